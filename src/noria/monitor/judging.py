"""Bet on the pieces of the current table, one after the other, with the detector that watches deployments: monitoring/profile and monitoring/drift.

What is in the pieces is pieces.py, what the result says is wording.py. Called by compare and watch.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from math import ceil
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from noria.domain.alert import FeatureDrift
from noria.domain.comparison import ColumnReport, Judged, Moment
from noria.domain.ids import Digest
from noria.domain.profile import FeatureBins, ReferenceProfile, WindowCounts
from noria.monitor.pairing import Pair
from noria.monitor.table import Column
from noria.monitor.wording import says
from noria.monitoring.drift import Budget, Watch, WatchState, report, watch
from noria.monitoring.profile import SCORE, count, describe, merge
from noria.stats.checks import Ints
from noria.stats.sequential import log_evidence

_LN10 = float(np.log(10.0))
_START = datetime.fromtimestamp(0, UTC)
_NOWHERE = Digest("blake3:" + "0" * 64)
FLOOR = -99.0
"""Evidence is never shown as less than this."""


@dataclass(frozen=True, eq=False)
class Judgement:
    """What the bets came to. drifts: by column name; counts: of the whole current table, by column name."""

    inputs: Judged
    prediction: Judged | None
    drifts: Mapping[str, FeatureDrift]
    counts: Mapping[str, tuple[int, ...]]
    course: tuple[Moment, ...]
    since: datetime | None
    """When the piece began whose evidence first passed the threshold."""


def key_of(pair: Pair) -> str:
    """The name under which a profile keeps the column: the prediction has a name of its own there, which no input may take."""
    if pair.role == "prediction":
        return SCORE
    return f"{pair.name} ({pair.role})" if pair.name == SCORE else pair.name


def profile_of(
    pairs: Sequence[Pair], blocks: Ints, *, importance: Mapping[str, float], seconds: float
) -> ReferenceProfile:
    """The reference in bins. A label is counted where it is known only: that it is late is no drift."""
    features: list[FeatureBins] = []
    for each in pairs:
        values, codes = each.reference.values, blocks
        if each.role == "label":
            known = _known(each.reference)
            values, codes = values[known], blocks[known]
        if values.size:
            (bins,) = describe({key_of(each): values}, blocks=codes)
            features.append(msgspec.structs.replace(bins, importance=importance.get(each.name, 0.0)))
    return ReferenceProfile(
        features=tuple(features),
        rows=int(blocks.size),
        since=_START,
        until=_START,
        expected_loss=0.0,
        expected_loss_sd=0.0,
        windows=int(np.unique(blocks).size),
        window_seconds=seconds or 1.0,
    )


def _known(column: Column) -> NDArray[np.bool_]:
    if column.kind == "number":
        return np.asarray(~np.isnan(column.values))
    return np.array([v is not None for v in column.values.tolist()], dtype=bool)


def counts_of(profile: ReferenceProfile, columns: Mapping[str, tuple[str, Column]]) -> dict[str, tuple[int, ...]]:
    """Rows of a table in a profile's bins. columns: the profile's name -> (role, column)."""
    arrays: dict[str, NDArray[Any]] = {}
    for key, (role, column) in columns.items():
        arrays[key] = column.values[_known(column)] if role == "label" else column.values
    scores = arrays.get(SCORE, np.empty(0))
    return count(profile, arrays, scores)


def window_counts(counts: dict[str, tuple[int, ...]], rows: int, at: datetime) -> WindowCounts:
    """Counts as a window of nobody's deployment."""
    return WindowCounts(deployment="", number=0, profile=_NOWHERE, since=at, until=at, rows=rows, counts=counts)


def pieces_of(
    profile: ReferenceProfile, pairs: Sequence[Pair], codes: Ints, starts: Sequence[datetime]
) -> list[WindowCounts]:
    """Count each piece of the current table."""
    order = np.argsort(codes, kind="stable")
    edges = np.searchsorted(codes[order], np.arange(int(codes.max()) + 2))
    keys = {f.name for f in profile.features}
    held = [p for p in pairs if key_of(p) in keys]
    sorted_values = {p.name: p.current.values[order] for p in held}
    found: list[WindowCounts] = []
    for i in range(edges.size - 1):
        rows = slice(int(edges[i]), int(edges[i + 1]))
        columns = {
            key_of(p): (
                p.role,
                Column(name=p.name, kind=p.current.kind, dtype=p.current.dtype, values=sorted_values[p.name][rows]),
            )
            for p in held
        }
        at = starts[i] if starts else _START
        found.append(window_counts(counts_of(profile, columns), int(edges[i + 1] - edges[i]), at))
    return found


def judge(
    profile: ReferenceProfile, pieces: Sequence[WindowCounts], *, budget: float, smallest: float, timed: bool
) -> Judgement:
    """Fold the pieces and judge at the moment when the evidence was largest: at most one false alarm in `budget` comparisons.

    If no column moved beyond its margin, the capital after k pieces is k on average, so the chance that it ever passes `pieces x budget` while
    they last is at most 1 / budget.
    """
    eyes = watch(profile, budget=Budget(windows=ceil(len(pieces) * budget), smallest=smallest))
    return fold(eyes, pieces, timed=timed)


def fold(eyes: Watch, pieces: Iterable[WindowCounts], *, timed: bool) -> Judgement:
    """Take in all pieces. An alarm is one at any piece, as the budget counts it."""
    limit = float(np.log(eyes.threshold)) / _LN10
    state = eyes.begin()
    best: tuple[WatchState, float] | None = None
    best_answers: tuple[WatchState, float] | None = None
    since: datetime | None = None
    course: list[Moment] = []
    seen: list[WindowCounts] = []
    for each in pieces:
        state = eyes.step(state, each.counts)
        seen.append(each)
        inputs, answers = evidence_of(eyes, state)
        course.append(Moment(at=each.since if timed else None, rows=each.rows, inputs=inputs, prediction=answers))
        if best is None or inputs > best[1]:
            best = (state, inputs)
        if answers is not None and (best_answers is None or answers > best_answers[1]):
            best_answers = (state, answers)
        if since is None and timed and max(inputs, FLOOR if answers is None else answers) > limit:
            since = each.since
    whole = merge(seen)
    drifts: dict[str, FeatureDrift] = {}
    judged: list[Judged] = []
    for is_answers, top in ((False, best), (True, best_answers)):
        if top is None:
            continue
        found = report(eyes, top[0], [whole])
        side = found.prediction if is_answers else found.inputs
        drifts |= {f.feature: f for f in side.features}
        judged.append(Judged(alarm=top[1] > limit, evidence=top[1], threshold=limit))
    return Judgement(
        inputs=judged[0],
        prediction=judged[1] if len(judged) > 1 else None,
        drifts=drifts,
        counts=whole.counts,
        course=tuple(course),
        since=since,
    )


def evidence_of(eyes: Watch, state: WatchState) -> tuple[float, float | None]:
    """log10 of the capital held against the inputs, and against the predictions if there are any."""
    inputs = max(log_evidence(eyes.inputs.bets, state.inputs) / _LN10, FLOOR)
    if eyes.prediction is None or state.prediction is None:
        return inputs, None
    return inputs, max(log_evidence(eyes.prediction.bets, state.prediction) / _LN10, FLOOR)


def columns_of(profile: ReferenceProfile, pairs: Sequence[Pair], judgement: Judgement) -> tuple[ColumnReport, ...]:
    """A report of each column: named causes first, then by evidence."""
    bins = {f.name: f for f in profile.features}
    found: list[ColumnReport] = []
    for each in pairs:
        feature, drift = bins.get(key_of(each)), judgement.drifts.get(key_of(each))
        if feature is None or drift is None:
            continue
        side = judgement.prediction if each.role == "prediction" else judgement.inputs
        now = judgement.counts[feature.name]
        found.append(
            ColumnReport(
                name=each.name,
                role=each.role,
                kind=feature.kind,
                says=says(feature, now),
                blamed=bool(drift.blamed and side is not None and side.alarm),
                evidence=drift.evidence,
                shift=drift.shift,
                margin=drift.margin,
                psi=drift.psi,
                psi_noise=drift.psi_noise,
                importance=feature.importance,
                cuts=feature.cuts,
                categories=feature.categories,
                reference=feature.counts,
                current=now,
            )
        )
    found.sort(key=lambda c: (not c.blamed, -c.evidence, c.name))
    return tuple(found)
