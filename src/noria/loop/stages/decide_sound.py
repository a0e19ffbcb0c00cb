"""Which rows are nothing to learn from: inputs that were broken, labels that look wrong. Found in counts and log. Called by stages/decide and train.

What is broken is monitoring/data_quality, when labels are doubted retraining/doubt. What lasts longer than the policy's `mend_days` and `doubt_days`
is how the world is now, and is learnt from.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec
import polars as pl

from noria.domain.alert import Alert
from noria.domain.finding import Finding
from noria.domain.policy import Unsound
from noria.domain.profile import ReferenceProfile, WindowCounts
from noria.errors import Conflict, NotFound
from noria.loop.champion import answering_since
from noria.loop.context import Context, Recipe
from noria.loop.stages.decide_facts import change_of, standing
from noria.loop.stages.watch_counts import profile_of
from noria.loop.training import as_sent, without
from noria.monitoring.data_quality import check_window
from noria.monitoring.quality import DayQuality, daily, decay
from noria.monitoring.tiers import DAY
from noria.registry.packaged import bundle_of
from noria.retraining.change import began
from noria.retraining.decide import DECAYS, is_harmless
from noria.retraining.doubt import contradicted, doubtful, labelled
from noria.wire.tables import open_table

BREAKS = ("schema", "type", "constant", "stale")
"""Findings that make an input useless whatever their share."""
SHARES = {"missing": 0.2, "infinite": 0.2, "range": 0.5, "unseen": 0.5}
"""Findings that do from this share of rows on: below it most rows are as they should be, and new values may well be the world's."""
NEWEST_LABELS = 50_000
SETTLING = timedelta(days=14)
"""So many days before a doubt may have begun are read with it: they say how labels and scores went together."""


def unsound_of(context: Context, recipe: Recipe, *, since: datetime | None = None, now: datetime) -> list[Unsound]:
    """Every stretch of these days that is nothing to learn from, oldest first: broken or doubted, and not for so long that it is the world.

    since: when the champion began, where only its days matter; None: all that was ever served. Nothing where the recipe names no features (a replay
    of the ledger alone): without inputs a world that turned cannot be told from labels that are told wrong.
    """
    if not recipe.features:
        return []
    policy = recipe.policy
    waits = {"asked": timedelta(days=policy.mend_days), "known": timedelta(days=policy.doubt_days)}
    read = None if since is None else since - SETTLING
    found = [
        *broken_inputs(context, recipe, since=read, now=now),
        *doubted_labels(context, recipe, since=read, now=now),
    ]
    # What lies before the champion is no matter of its decay.
    over = [each for each in found if since is None or each.until is None or each.until > since]
    return sorted((x for x in over if (x.until or now) - x.since < waits[x.by]), key=lambda x: x.since)


def explained_by(
    context: Context, recipe: Recipe, unsound: Sequence[Unsound], *, since: datetime | None, now: datetime
) -> str:
    """What explains the champion's decay, in words, if without the rows of these stretches none is seen; else ''. since: when it became champion."""
    judged = _labelled_days(context, recipe, unsound, since=since, now=now)
    if judged is None:
        return ""
    profile, days = judged
    seen = decay(profile, days, budget_days=max(2, round(recipe.false_page_days)))
    return "" if seen.alarm else told(unsound)


def dated(context: Context, recipe: Recipe, alert: Alert, *, since: datetime | None, now: datetime) -> Alert:
    """The alert itself, with the day since which the decay stands if it is one that does not say so and labelled days do."""
    if alert.kind not in DECAYS or is_harmless(alert) or change_of(alert) is not None:
        return alert
    judged = _labelled_days(context, recipe, (), since=since, now=now)
    if judged is None:
        return alert
    profile, days = judged
    usual = max(0.0, profile.expected_excess)
    first = began([day.loss - day.expected for day in days], [day.rows for day in days], usual=usual)
    if first is None:
        return alert
    return msgspec.structs.replace(alert, evidence={**alert.evidence, "began": days[first].day})


def _labelled_days(
    context: Context, recipe: Recipe, unsound: Sequence[Unsound], *, since: datetime | None, now: datetime
) -> tuple[ReferenceProfile, list[DayQuality]] | None:
    """The champion's labelled days without the rows of these stretches, and what it learnt from; None where nothing answers."""
    current = standing(context, recipe.deployment)
    champion = current.variant("champion") if current is not None else None
    if champion is None:
        return None
    assert current is not None
    since = since and answering_since(context.ledger, context.deployments, current, champion.number)
    _, profile = profile_of(context, champion.bundle)
    output = f"out.{recipe.output}"
    wanted = ["number", "at", "label", "label_at", output]
    joined = context.predictions.joined(recipe.deployment, known_by=now, since=since, until=now, columns=wanted)
    rows = open_table(joined).filter((pl.col("number") == champion.number) & pl.col("label").is_in([0.0, 1.0]))
    sound = without(rows.lazy(), unsound, asked="at", known="label_at").collect()
    at = sound["at"].dt.replace_time_zone(None).to_numpy()
    return profile, daily(sound["label"].to_numpy(), sound[output].to_numpy(), at=at, known_by=now)


def broken_inputs(context: Context, recipe: Recipe, *, since: datetime | None, now: datetime) -> list[Unsound]:
    """Stretches of days on which an input of the model was broken, by the counts of each version against what that version learnt from."""
    days: dict[datetime, tuple[WindowCounts, list[Finding]]] = {}
    for number in range(1, context.models.next_number(recipe.model)):
        windows = context.counts.windows(recipe.deployment, number, since=since, until=now, step=DAY)
        if not windows:
            continue
        try:
            _, profile = profile_of(context, bundle_of(context.models.get(recipe.model, number)))
        except (NotFound, Conflict):
            continue
        before = None
        for window in windows:
            wrong = [each for each in check_window(profile, window, before=before) if _breaks(each, recipe)]
            before = window
            known = days.get(window.since)
            # While two versions answer, the day is told by the one that answered more.
            if known is None or known[0].rows < window.rows:
                days[window.since] = (window, wrong)
    return _stretches([days[day] for day in sorted(days)])


def doubted_labels(context: Context, recipe: Recipe, *, since: datetime | None, now: datetime) -> list[Unsound]:
    """Stretches whose labels look wrong in themselves, by the scores that were answered; with labels that contradict what was known."""
    if standing(context, recipe.deployment) is None:
        return []
    rows = _labelled(context, recipe, since=since, now=now)
    if not rows.height:
        return []
    scores = rows[f"out.{recipe.output}"].to_numpy()
    inputs = {name: rows[f"in.{name}"].to_numpy() for name in recipe.features if f"in.{name}" in rows.columns}
    known = rows["label_at"].dt.replace_time_zone(None).to_numpy()
    found = doubtful(labelled(rows["label"].to_numpy(), scores, known=known, inputs=inputs))
    against = _contradicted(context, recipe, rows, now=now)
    return [*found, *([against] if against else [])]


def told(unsound: Sequence[Unsound]) -> str:
    """Stretches in words."""
    return "; ".join(
        f"{each.since:%Y-%m-%d} to {f'{each.until:%Y-%m-%d}' if each.until else 'now'}, {each.what}" for each in unsound
    )


def _breaks(finding: Finding, recipe: Recipe) -> bool:
    if finding.about not in recipe.features or finding.severity == "info":
        return False
    return finding.kind in BREAKS or finding.value >= SHARES.get(finding.kind, 2.0)


def _stretches(days: Sequence[tuple[WindowCounts, list[Finding]]]) -> list[Unsound]:
    """Broken days that follow each other, as one stretch; the last lasts while no day after it was whole."""
    found: list[Unsound] = []
    run: list[tuple[WindowCounts, list[Finding]]] = []
    for window, wrong in days:
        if wrong:
            run.append((window, wrong))
        elif run:
            found.append(_stretch(run, until=run[-1][0].until))
            run = []
    if run:
        found.append(_stretch(run, until=None))
    return found


def _stretch(run: Sequence[tuple[WindowCounts, list[Finding]]], *, until: datetime | None) -> Unsound:
    said = dict.fromkeys(finding.summary for _, wrong in run for finding in wrong)
    names = dict.fromkeys(finding.about for _, wrong in run for finding in wrong)
    first = next(iter(said))
    more = f" (and {len(names) - 1} more inputs)" if len(names) > 1 else ""
    return Unsound(since=run[0][0].since, until=until, by="asked", what=f"{first}{more}")


def _labelled(context: Context, recipe: Recipe, *, since: datetime | None, now: datetime) -> pl.DataFrame:
    """The newest labelled answers: prediction_id, label, label_at, the score, and inputs as they were sent."""
    output = f"out.{recipe.output}"
    wanted = ["prediction_id", "at", "label", "label_at", "redacted", output, *(f"in.{n}" for n in recipe.features)]
    # Looking at times alone first spares reading the inputs of a whole year.
    times = open_table(
        context.predictions.joined(recipe.deployment, known_by=now, since=since, until=now, columns=["at", "label"])
    )
    newest = times.filter(pl.col("label").is_not_null())["at"].tail(NEWEST_LABELS)
    if not newest.len():
        return pl.DataFrame()
    joined = open_table(
        context.predictions.joined(recipe.deployment, known_by=now, since=newest[0], until=now, columns=wanted)
    )
    if not {"label", "redacted", output} <= set(joined.columns):
        return pl.DataFrame()
    usable = pl.col("label").is_in([0.0, 1.0]) & pl.col(output).is_between(0.0, 1.0)
    return as_sent(joined.filter(usable), recipe).sort("label_at", "at").tail(NEWEST_LABELS)


def _contradicted(context: Context, recipe: Recipe, rows: pl.DataFrame, *, now: datetime) -> Unsound | None:
    """Labels of the last days that say otherwise than those which were known first."""
    since = now - timedelta(days=recipe.policy.doubt_days)
    first = rows.select("prediction_id", "label", "label_at")
    aside = [x for x in context.predictions.labels_aside(recipe.deployment, since=since) if x.at <= now]
    if not aside:
        return None
    others = pl.DataFrame(
        {
            "prediction_id": [str(x.prediction_id) for x in aside],
            "said": [x.value for x in aside],
            "on": [x.at for x in aside],
        }
    )
    differs = others.join(first, on="prediction_id", how="inner").filter(pl.col("said") != pl.col("label"))
    return contradicted(differs["on"].to_list(), rows.filter(pl.col("label_at") >= since)["label_at"].to_list())
