"""Bet on the pieces of the current table, one after the other, with the detector that watches deployments: monitoring/profile and monitoring/drift.

What is in the pieces is pieces.py, what the result says is wording.py. Called by two_tables and watch.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from math import ceil, log10
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from noria.domain.alert import FeatureDrift
from noria.domain.comparison import ColumnReport, Judged, Moment, Role
from noria.domain.finding import Finding
from noria.domain.ids import Digest
from noria.domain.profile import ReferenceProfile, WindowCounts
from noria.monitor.pairing import Pair
from noria.monitor.pieces import Pieces
from noria.monitor.table import Column
from noria.monitor.wording import says
from noria.monitoring.alert import RESOLVE_BELOW
from noria.monitoring.data_quality import check_window
from noria.monitoring.drift import Budget, Watch, WatchState, report, watch
from noria.monitoring.drift_report import report_of
from noria.monitoring.profile import SCORE, Values, describe, merge, windows
from noria.monitoring.repeats import repeated_rows
from noria.stats.checks import Ints

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
    if pair.role == "prediction" and not pair.alone:
        return SCORE
    return f"{pair.name} ({pair.role})" if pair.name == SCORE else pair.name


class Watched(msgspec.Struct, frozen=True, kw_only=True):
    """A column that is judged: its own name, its role, and its name in the profile."""

    name: str
    role: Role
    key: str


def watched_of(pair: Pair) -> Watched:
    """A pair without its values."""
    return Watched(name=pair.name, role=pair.role, key=key_of(pair))


def profile_of(
    pairs: Sequence[Pair], blocks: NDArray[Any], *, importance: Mapping[str, float], seconds: float
) -> ReferenceProfile:
    """The reference in bins. A label is counted where it is known only: that it is late is no drift."""
    length = seconds or 1.0
    whole = {key_of(p): _values(p.reference) for p in pairs if p.role != "label"}
    bins = {f.name: f for f in describe(whole, blocks=blocks, window_seconds=length)}
    for each in pairs:
        if each.role == "label":
            known = _known(each.reference)
            if known.any():
                values = {key_of(each): each.reference.values[known]}
                bins |= {f.name: f for f in describe(values, blocks=blocks[known], window_seconds=length)}
    features = [
        msgspec.structs.replace(bins[key_of(p)], importance=importance.get(p.name, 0.0))
        for p in pairs
        if key_of(p) in bins
    ]
    inputs = {key_of(p): _values(p.reference) for p in pairs if p.role == "input"}
    repeated = repeated_rows(inputs, np.unique(blocks, return_inverse=True)[1].astype(np.int64))
    return ReferenceProfile(
        features=tuple(features),
        rows=int(blocks.size),
        duplicates=0.0 if repeated is None else float(repeated.mean()),
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
    return np.array([v is not None for v in column.coded.values], dtype=bool)[column.coded.codes]


def pieces_of(
    profile: ReferenceProfile, pairs: Sequence[Pair], codes: Ints, starts: Sequence[datetime]
) -> list[WindowCounts]:
    """Count each piece of the current table, in order. codes: shape (rows,), the piece of each row."""
    order = np.argsort(codes, kind="stable")
    held: dict[str, Values] = {}
    answers = None
    for each in pairs:
        if key_of(each) == SCORE:
            answers = each.current.values[order]
        else:
            texts = each.current.kind == "text"
            held[key_of(each)] = each.current.coded.take(order) if texts else each.current.values[order]
    found = windows(
        profile,
        held,
        answers,
        at=codes[order] * 1_000_000,
        step=1,
        until=_LATEST,
        deployment="",
        number=0,
        profile_digest=_NOWHERE,
        repeats=False,
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


def _values(column: Column) -> Values:
    """What is counted of a column: texts are read once."""
    return column.coded if column.kind == "text" else column.values


def findings_of(
    profile: ReferenceProfile, pairs: Sequence[Pair], pieces: Sequence[WindowCounts]
) -> tuple[Finding, ...]:
    """What is wrong with the current table's values, by monitoring/data_quality. A label is late, or wrong, but no input."""
    inputs = {key_of(p): p for p in pairs if p.role != "label"}
    rows = sum(p.rows for p in pieces)
    compared = {name: _values(p.current) for name, p in inputs.items() if p.role == "input"}
    repeated = repeated_rows(compared, np.zeros(rows, dtype=np.int64))
    judged = msgspec.structs.replace(profile, features=tuple(f for f in profile.features if f.name in inputs))
    whole = msgspec.structs.replace(
        merge(pieces), duplicates=None if repeated is None else int(repeated.sum()), absent=(), surplus=()
    )
    names = {key: p.name for key, p in inputs.items()}
    return tuple(
        msgspec.structs.replace(f, about=names.get(f.about, f.about), since=None, until=None)
        for f in check_window(judged, whole)
    )


def judge(
    profile: ReferenceProfile, pieces: Sequence[WindowCounts], *, budget: float, smallest: float, cut: Pieces
) -> Judgement:
    """Fold the pieces and judge at the moment when the evidence was largest: at most one false alarm in `budget` comparisons.

    If no column moved beyond its margin, the capital after k pieces is k on average, so the chance that it ever passes `pieces x budget` while
    they last is at most 1 / budget.
    """
    allowed = Budget(windows=ceil(len(pieces) * budget), smallest=smallest)
    bets = Bets(watch(profile, budget=allowed, together=cut.together), timed=bool(cut.starts))
    for each in pieces:
        bets.take(each)
    return bets.best([merge(pieces)] if cut.together else pieces)


@dataclass(frozen=True, eq=False)
class _Seen:
    """The evidence after a piece: log10 of the capital against the inputs, and against the predictions if there are any."""

    state: WatchState
    at: datetime
    inputs: float
    answers: float | None


class Bets:
    """The fold over pieces, one `take` at a time; everything it keeps follows from the pieces in their order."""

    def __init__(self, eyes: Watch, *, timed: bool) -> None:
        self._eyes = eyes
        self._timed = timed
        self._limits = (log10(eyes.threshold), log10(eyes.prediction_threshold))
        nothing = _Seen(eyes.begin(), _START, FLOOR, FLOOR if eyes.prediction is not None else None)
        self._now = self._top = self._top_answers = nothing
        self._first: datetime | None = None
        self._standing: dict[bool, datetime] = {}
        self.course: list[Moment] = []

    def take(self, piece: WindowCounts) -> None:
        """Bet on one more piece."""
        state = self._eyes.step(self._now.state, piece.counts, at=piece.since)
        found = report(self._eyes, state, ())
        answers = found.prediction.evidence if self._now.answers is not None else None
        self._now = _Seen(state, piece.since, found.inputs.evidence, answers)
        self.course.append(
            Moment(
                at=piece.since if self._timed else None, rows=piece.rows, inputs=self._now.inputs, prediction=answers
            )
        )
        if self._now.inputs > self._top.inputs:
            self._top = self._now
        if answers is not None and answers > _or_floor(self._top_answers.answers):
            self._top_answers = self._now
        for is_answers, evidence in ((False, self._now.inputs), (True, _or_floor(answers))):
            limit = self._limits[is_answers]
            if evidence > limit:
                self._first = self._first or piece.since
                self._standing.setdefault(is_answers, piece.since)
            elif evidence < limit - RESOLVE_BELOW:
                self._standing.pop(is_answers, None)

    def best(self, shown: Sequence[WindowCounts]) -> Judgement:
        """The judgement at the moment when the evidence was largest: for a table that is judged once. shown: what distances are measured on."""
        alarms = (self._top.inputs > self._limits[0], _or_floor(self._top_answers.answers) > self._limits[1])
        return self._judgement(self._top, self._top_answers, shown, alarms=alarms, since=self._first)

    def now(self, shown: Sequence[WindowCounts]) -> Judgement:
        """The judgement as of now: an alarm stands until its evidence has fallen two powers of ten below the threshold."""
        alarms = (False in self._standing, True in self._standing)
        since = min(self._standing.values(), default=None)
        return self._judgement(self._now, self._now, shown, alarms=alarms, since=since)

    def _judgement(
        self,
        inputs: _Seen,
        answers: _Seen,
        shown: Sequence[WindowCounts],
        *,
        alarms: tuple[bool, bool],
        since: datetime | None,
    ) -> Judgement:
        drifts: dict[str, FeatureDrift] = {}
        for side, state, limit in (
            (self._eyes.inputs, inputs.state.inputs, self._eyes.threshold),
            (self._eyes.prediction, answers.state.prediction, self._eyes.prediction_threshold),
        ):
            if side is not None and state is not None:
                found = report_of(side.features, side.bets, state, shown, threshold=limit, table=side.table)
                drifts |= {f.feature: f for f in found.features}
        said = None
        if answers.answers is not None:
            said = Judged(alarm=alarms[1], evidence=answers.answers, threshold=self._limits[1])
        return Judgement(
            inputs=Judged(alarm=alarms[0], evidence=inputs.inputs, threshold=self._limits[0]),
            prediction=said,
            drifts=drifts,
            counts=merge(shown).counts,
            course=tuple(self.course),
            since=since if self._timed else None,
        )


def _or_floor(evidence: float | None) -> float:
    return FLOOR if evidence is None else evidence


def columns_of(profile: ReferenceProfile, columns: Sequence[Watched], judgement: Judgement) -> tuple[ColumnReport, ...]:
    """A report of each column: named causes first, then by evidence."""
    bins = {f.name: f for f in profile.features}
    found: list[ColumnReport] = []
    for each in columns:
        feature, drift = bins.get(each.key), judgement.drifts.get(each.key)
        if feature is None or drift is None:
            continue
        side = judgement.prediction if each.key == SCORE else judgement.inputs
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
                js=drift.js,
                js_noise=drift.js_noise,
                ks=drift.ks,
                ks_noise=drift.ks_noise,
                wasserstein=drift.wasserstein,
                wasserstein_noise=drift.wasserstein_noise,
                importance=feature.importance,
                cuts=feature.cuts,
                categories=feature.categories,
                reference=feature.counts,
                current=now,
            )
        )
    found.sort(key=lambda c: (not c.blamed, -c.evidence, c.name))
    return tuple(found)
