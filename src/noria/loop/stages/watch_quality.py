"""Judge the labelled answers of the champion: decay, whether they mean something else now, and how far labels have come. Called by stages/watch."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

import msgspec
import polars as pl

from noria.domain.alert import SEVERITIES
from noria.domain.deployment import Variant
from noria.domain.look import LabelState
from noria.domain.profile import ReferenceProfile
from noria.domain.quality import ConceptReport
from noria.loop.context import Context, Recipe
from noria.loop.stages.watch_concept import ORDER, USABLE, Concepts, concept_of
from noria.loop.stages.watch_holdout import holdout_of
from noria.monitoring.alert import Report
from noria.monitoring.concept_alert import concept_report, standing_changes
from noria.monitoring.labels import Times, arrival
from noria.monitoring.quality import Decay, daily, decay
from noria.monitoring.rate_alert import rate_report, standing_rates
from noria.stats.metrics import row_log_loss
from noria.wire.tables import open_table

LABELS_SEEN = timedelta(days=30)
"""How far back answers are counted whose labels are waited for."""


class Quality(NamedTuple):
    """What a look says of labelled answers. concept: whether a change of what they mean is to be told of."""

    decay: Decay
    labels: LabelState
    concept: Report


def quality_of(
    context: Context, recipe: Recipe, champion: Variant, profile: ReferenceProfile, *, since: datetime, now: datetime
) -> Quality:
    """The verdict on the champion's labelled days, on what they mean, and how its labels come. A decay that stands is dated, and its groups named."""
    answers = _answers(context, recipe, champion, since=since, now=now)
    rows = answers.filter(pl.col("label").is_not_null())
    days = (
        daily(rows["label"].to_numpy(), rows["score"].to_numpy(), at=_times(rows["at"]), known_by=now)
        if rows.height
        else []
    )
    found = decay(profile, days, budget_days=max(2, round(recipe.false_page_days)))

    def beside(begin: datetime, inputs: Sequence[str]) -> pl.DataFrame:
        return _answers(context, recipe, champion, since=begin, now=now, also=inputs)

    holdout = holdout_of(context, recipe, champion)
    changes = concept_of(context, recipe, champion, rows, since=since, answers=beside, holdout=holdout)
    told = changes_told(changes, found, _usable(holdout, rows), profile, recipe) if changes is not None else Report()
    labels = _label_state(answers.filter(pl.col("at") >= now - LABELS_SEEN), now)
    return Quality(_dated(found, changes) if found.alarm and changes is not None else found, labels, told)


def changes_told(
    changes: Concepts, found: Decay, rows: pl.DataFrame, profile: ReferenceProfile, recipe: Recipe
) -> Report:
    """Of what the losses and the rates say, the graver; of like, what speaks louder. It is over when both say so.

    rows: labelled answers, those to the hold-out among them: at, label, score.
    """
    by_loss = concept_report(
        changes.losses,
        found,
        expected_excess=profile.expected_excess,
        days=recipe.false_page_days,
        shares=changes.shares,
        loss_rise=_loss_rise(rows, changes.losses),
    )
    by_rate = rate_report(
        changes.rates,
        found,
        labels=rows["label"].to_numpy(),
        scores=rows["score"].to_numpy(),
        at=_times(rows["at"]),
        edges=changes.edges,
        days=recipe.false_page_days,
    )
    alerts = [each.alert for each in (by_loss, by_rate) if each.alert is not None]
    if alerts:
        return Report(alert=max(alerts, key=lambda x: (SEVERITIES.index(x.severity), x.evidence["log10_evidence"])))
    return by_loss if by_loss.over and by_rate.over else Report()


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


def _loss_rise(rows: pl.DataFrame, report: ConceptReport | None) -> float | None:
    """By how much the loss itself rose with the change of all answers that stands; None where none does, or one side has no labels."""
    whole = [each for each in standing_changes(report) if each.where == "all"] if report is not None else []
    if not whole:
        return None
    loss = row_log_loss(rows["label"].to_numpy(), rows["score"].to_numpy())
    after = (rows["at"] >= whole[0].since).to_numpy()
    return float(loss[after].mean() - loss[~after].mean()) if after.any() and not after.all() else None


def _label_state(answers: pl.DataFrame, now: datetime) -> LabelState:
    told = arrival(_times(answers["at"]), _times(answers["label_at"]), known_by=now)
    shares = ("0.5", "0.9", "0.99")
    known = all(share in told.delay_s for share in shares)
    return LabelState(
        answers=told.answers,
        labelled=told.labelled,
        delay_s=tuple(told.delay_s[share] for share in shares) if known else (),
    )


def _usable(*parts: pl.DataFrame) -> pl.DataFrame:
    return pl.concat([each.select(ORDER) for each in parts if each.height]).filter(USABLE)


def _dated(found: Decay, changes: Concepts) -> Decay:
    """Since when answers are worse, by the change that speaks loudest of those that stand; '' where no single moment can be told."""
    standing = standing_changes(changes.losses)
    overall = [each for each in standing if each.where == "all"]
    first = max([*(overall or standing)[-1:], *standing_rates(changes.rates)], key=lambda x: x.evidence, default=None)
    if first is None:
        return found
    groups = sorted(
        {each.where for each in standing if each.where != "all" and each.since >= first.since - LABELS_SEEN}
    )
    return msgspec.structs.replace(
        found,
        began=first.since.date().isoformat(),
        changed_at=first.since.isoformat(),
        where=", ".join(groups[:3]),
    )


def _times(at: pl.Series) -> Times:
    return at.dt.replace_time_zone(None).to_numpy().astype("datetime64[us]")
