"""Judge the labelled answers of the champion, date a decay that stands, and say how far labels have come. Called by stages/watch."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from math import log

import msgspec
import numpy as np
import polars as pl

from noria.domain.deployment import Variant
from noria.domain.look import LabelState
from noria.domain.profile import ReferenceProfile
from noria.loop.context import Context, Recipe
from noria.monitoring.concept import concept, losses_of
from noria.monitoring.labels import Times, arrival
from noria.monitoring.quality import Decay, daily, decay
from noria.stats.metrics import entropy, row_log_loss
from noria.wire.tables import open_table

LABELS_SEEN = timedelta(days=30)
"""How far back answers are counted whose labels are waited for."""

NEWEST = 20_000
"""So many of the newest labels date a decay."""


def quality_of(
    context: Context, recipe: Recipe, champion: Variant, profile: ReferenceProfile, *, since: datetime, now: datetime
) -> tuple[Decay, LabelState]:
    """The verdict on the champion's labelled days, and how its labels come. A decay that stands is dated, and its group named if it has one."""
    answers = _answers(context, recipe, champion, since=since, now=now)
    rows = answers.filter(pl.col("label").is_not_null())
    days = (
        daily(rows["label"].to_numpy(), rows["score"].to_numpy(), at=_times(rows["at"]), known_by=now)
        if rows.height
        else []
    )
    found = decay(profile, days, budget_days=max(2, round(recipe.false_page_days)))
    if found.alarm:
        slices = [f"in.{name}" for name in recipe.slices]
        found = _dated(found, _answers(context, recipe, champion, since=since, now=now, also=slices), slices)
    return found, _label_state(answers.filter(pl.col("at") >= now - LABELS_SEEN), now)


def _answers(
    context: Context,
    recipe: Recipe,
    champion: Variant,
    *,
    since: datetime,
    now: datetime,
    also: Sequence[str] = (),
) -> pl.DataFrame:
    """The champion's answers with what is known of them: at, score, label, label_at. Other columns are read when they are needed, which is seldom."""
    output = f"out.{recipe.output}"
    wanted = ["number", "at", "label", "label_at", output, *also]
    joined = context.predictions.joined(recipe.deployment, known_by=now, since=since, until=now, columns=wanted)
    return open_table(joined).filter(pl.col("number") == champion.number).rename({output: "score"}, strict=False)


def _label_state(answers: pl.DataFrame, now: datetime) -> LabelState:
    told = arrival(_times(answers["at"]), _times(answers["label_at"]), known_by=now)
    shares = ("0.5", "0.9", "0.99")
    known = all(share in told.delay_s for share in shares)
    return LabelState(
        answers=told.answers,
        labelled=told.labelled,
        delay_s=tuple(told.delay_s[share] for share in shares) if known else (),
    )


def _dated(found: Decay, answers: pl.DataFrame, slices: Sequence[str]) -> Decay:
    """When the loss left what the scores expect, by the last change for the worse that stands; '' where no single moment can be told."""
    newest = answers.filter(pl.col("label").is_not_null()).sort("label_at").tail(NEWEST)
    label, score = newest["label"].to_numpy(), newest["score"].to_numpy()
    excess = np.maximum(row_log_loss(label, score) - entropy(score) + log(2), 0.0)
    report = concept(
        losses_of(
            excess,
            at=_times(newest["at"]),
            label_at=_times(newest["label_at"]),
            groups={name.removeprefix("in."): newest[name].cast(pl.String).fill_null("").to_numpy() for name in slices},
        )
    )
    if not report.alarm:
        return found
    standing = [each for each in report.changes if each.worse]
    overall = [each for each in standing if each.where == "all"]
    first = (overall or standing)[-1]
    groups = sorted(
        {each.where for each in standing if each.where != "all" and each.since >= first.since - LABELS_SEEN}
    )
    return msgspec.structs.replace(found, began=first.since.date().isoformat(), where=", ".join(groups[:3]))


def _times(at: pl.Series) -> Times:
    return at.dt.replace_time_zone(None).to_numpy().astype("datetime64[us]")
