"""Tell of a decay or a drift of the answers, when it opens, why: which inputs moved, or what means something else now. Called by watch.

It reads some weeks of rows, so it is done when an alert opens and not at each look. The split is monitoring/blame; `noria errors --causes` asks it of
any stretches.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec
import numpy as np
import polars as pl

from noria.domain import events as e
from noria.domain.alert import Alert, AlertKind
from noria.domain.deployment import Variant
from noria.domain.profile import ReferenceProfile
from noria.errors import EmptySample, InputInvalid
from noria.loop.context import Context, Recipe, Timed
from noria.loop.training import as_sent
from noria.monitoring.blame import Diagnosis, Stretch, diagnose
from noria.monitoring.slices import SliceSearch, find_slices
from noria.stats.metrics import entropy, row_log_loss
from noria.wire.tables import open_table

EXPLAINED: tuple[AlertKind, ...] = ("decay", "concept_drift", "prediction_drift")
OF_LABELS: tuple[AlertKind, ...] = ("decay", "concept_drift")
NOW = timedelta(days=14)
BEFORE = timedelta(days=56)
MOST_ROWS = 20_000


def with_causes(
    context: Context,
    recipe: Recipe,
    champion: Variant,
    profile: ReferenceProfile,
    timed: Sequence[Timed],
    *,
    since: datetime,
    now: datetime,
) -> list[Timed]:
    """The same events; those that open a decay or a drift of the answers carry in their evidence what a look at the rows says of the cause."""
    if not any(_explained_in(each) for each in timed):
        return list(timed)
    rows = _rows(context, recipe, champion, since=since, now=now)
    enriched: list[Timed] = []
    for each in timed:
        alert = _explained_in(each)
        if alert is None:
            enriched.append(each)
            continue
        told = alert.evidence | _evidence(rows, recipe, profile, alert.kind, now=now)
        opened = e.AlertOpened(deployment=recipe.deployment, alert=msgspec.structs.replace(alert, evidence=told))
        enriched.append(Timed(key=each.key, event=opened, cause=each.cause))
    return enriched


def _explained_in(timed: Timed) -> Alert | None:
    event = timed.event
    return event.alert if isinstance(event, e.AlertOpened) and event.alert.kind in EXPLAINED else None


def _rows(context: Context, recipe: Recipe, champion: Variant, *, since: datetime, now: datetime) -> pl.DataFrame:
    """The champion's answers of the newest ten weeks as they were sent, thinned evenly."""
    wanted = ["number", "at", "label", "redacted", f"out.{recipe.output}", *(f"in.{n}" for n in recipe.features)]
    joined = open_table(
        context.predictions.joined(
            recipe.deployment, known_by=now, since=max(since, now - NOW - BEFORE), until=now, columns=wanted
        )
    )
    own = as_sent(joined.filter(pl.col("number") == champion.number), recipe)
    return own if own.height <= MOST_ROWS else own[np.linspace(0, own.height - 1, MOST_ROWS).astype(np.int64)]


def _evidence(
    rows: pl.DataFrame, recipe: Recipe, profile: ReferenceProfile, kind: AlertKind, *, now: datetime
) -> dict[str, float | str]:
    """What the rows say, or nothing where they are too few to say it."""
    if kind in OF_LABELS:
        rows = rows.filter(pl.col("label").is_in([0.0, 1.0]))
    score = rows[f"out.{recipe.output}"].cast(pl.Float64).to_numpy()
    values = row_log_loss(rows["label"].to_numpy(), score) if kind in OF_LABELS else score
    columns = {name: rows[f"in.{name}"].to_numpy() for name in recipe.features}
    days = rows["at"].dt.epoch("s").to_numpy() // 86400
    late = (rows["at"] >= now - NOW).to_numpy()
    told: dict[str, float | str] = {}
    try:
        found = diagnose(
            *(
                Stretch(columns={n: c[part] for n, c in columns.items()}, values=values[part], days=days[part])
                for part in (~late, late)
            ),
            measure="loss" if kind in OF_LABELS else "answer",
            importance={f.name: f.importance for f in profile.features if f.importance > 0},
        )
        told |= _said(found)
    except (EmptySample, InputInvalid) as exc:
        told["cause"] = f"not told: {exc.problem}"
    if kind in OF_LABELS:
        excess = values - entropy(score)
        try:
            recent = {n: c[late] for n, c in columns.items()}
            told |= _worst(find_slices(recent, excess[late], blocks=days[late]).search)
        except (EmptySample, InputInvalid):
            pass  # too few rows for groups: the alert says enough without them
    return told


def _said(found: Diagnosis) -> dict[str, float | str]:
    return {"cause": found.verdict, "cause.inputs": found.inputs.value, "cause.meaning": found.meaning.value}


def _worst(found: SliceSearch) -> dict[str, float | str]:
    """The group that is surely worst beyond what its scores expected."""
    if not found.sure:
        return {}
    worst = found.sure[0]
    return {"worst_group": f"{worst} ({worst.share:.1%} of the rows)", "worst_group.excess_loss": worst.excess.value}
