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
from noria.domain.finding import Finding
from noria.domain.ids import Digest
from noria.domain.profile import FeatureBins, ReferenceProfile, WindowCounts
from noria.monitor.pairing import Pair
from noria.monitor.table import Column
from noria.monitor.wording import says
from noria.monitoring.data_quality import check_window
from noria.monitoring.drift import Budget, Watch, WatchState, report, watch
from noria.monitoring.profile import SCORE, describe, merge, windows
from noria.monitoring.repeats import repeated_rows
from noria.stats.checks import Ints
from noria.stats.sequential import log_evidence

_LN10 = float(np.log(10.0))
_START = datetime.fromtimestamp(0, UTC)
_LATEST = datetime.max.replace(tzinfo=UTC)
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


def pieces_of(
    profile: ReferenceProfile, pairs: Sequence[Pair], codes: Ints, starts: Sequence[datetime]
) -> list[WindowCounts]:
    """Count each piece of the current table, in order. codes: shape (rows,), the piece of each row."""
    order = np.argsort(codes, kind="stable")
    held = {key_of(p): p.current.values[order] for p in pairs}
    found = windows(
        profile,
        {name: values for name, values in held.items() if name != SCORE},
        held.get(SCORE),
        at=codes[order] * 1_000_000,
        step=1,
        until=_LATEST,
        deployment="",
        number=0,
        profile_digest=_NOWHERE,
    )
    labels = [key_of(p) for p in pairs if p.role == "label"]
    return [
        msgspec.structs.replace(
            each,
            since=starts[i] if starts else _START,
            until=starts[i] if starts else _START,
            step=0,
            counts={n: (*c[:-1], 0) if n in labels else c for n, c in each.counts.items()},
        )
        for i, each in enumerate(found)
    ]


def _coded(column: Column) -> NDArray[Any]:
    """Values in which equal rows stay equal, texts as whole numbers."""
    if column.kind != "text":
        return column.values
    items = column.values.tolist()
    code = {value: i for i, value in enumerate(set(items))}
    return np.fromiter(map(code.__getitem__, items), dtype=np.int64, count=len(items))


def findings_of(
    profile: ReferenceProfile, pairs: Sequence[Pair], pieces: Sequence[WindowCounts], blocks: Ints
) -> tuple[Finding, ...]:
    """What is wrong with the current table's values, by monitoring/data_quality. A label is late, or wrong, but no input."""
    inputs = {key_of(p): p for p in pairs if p.role != "label"}
    compared = {name: p for name, p in inputs.items() if name != SCORE}
    then = repeated_rows({n: _coded(p.reference) for n, p in compared.items()}, blocks)
    rows = sum(p.rows for p in pieces)
    now = repeated_rows({n: _coded(p.current) for n, p in compared.items()}, np.zeros(rows, dtype=np.int64))
    judged = msgspec.structs.replace(
        profile,
        features=tuple(f for f in profile.features if f.name in inputs),
        duplicates=0.0 if then is None else float(then.mean()),
    )
    whole = msgspec.structs.replace(
        merge(pieces), duplicates=None if now is None else int(now.sum()), absent=(), surplus=()
    )
    names = {key: p.name for key, p in inputs.items()}
    return tuple(
        msgspec.structs.replace(f, about=names.get(f.about, f.about), since=None, until=None)
        for f in check_window(judged, whole)
    )


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
