"""Judge window counts against a reference profile under one budget: at most one false alarm in so many windows, on average.

State is nothing but a fold over the windows in time order, so a restart repeats it exactly; `step` takes in one more window.
Counting is monitoring/profile, the bets are stats/sequential, opening an alert is monitoring/alert. Called by loop/stages.

Inputs with seasons drift and should: a drift says that something changed, whether it hurts is for monitoring/quality to say.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from math import log, log10

import msgspec
import numpy as np

from noria.domain.alert import DriftReport, FeatureDrift
from noria.domain.profile import FeatureBins, ReferenceProfile, WindowCounts
from noria.errors import BinMismatch, InputInvalid
from noria.monitoring.profile import SCORE, merge
from noria.stats.checks import Floats
from noria.stats.distances import psi, psi_noise
from noria.stats.sequential import (
    MARGIN_FLOOR,
    Panel,
    State,
    e_benjamini_hochberg,
    log_e_values,
    log_evidence,
    margin_of,
    panel,
    start,
    step,
)

LN10 = log(10.0)
SHOWN_WINDOWS = 7


class Budget(msgspec.Struct, frozen=True, kw_only=True):
    """What the user allows: at most one false drift alarm in `windows` windows on average, inputs and prediction together.

    smallest: the smallest shift of a cumulative share that is worth an alarm (0.01: one row in a hundred on the other side of a cut).
    """

    windows: int = 3650
    smallest: float = MARGIN_FLOOR

    def sentence(self, window_seconds: float) -> str:
        """The budget in words, as every alert shows it.

        >>> Budget(windows=3650).sentence(86400)
        'at most one false drift alarm in 3650 windows of 1 day (10.0 years) on average'
        """
        years = self.windows * window_seconds / (365.25 * 86400)
        span = f"{years:.1f} years" if years >= 1 else f"{self.windows * window_seconds / 86400:.1f} days"
        return (
            f"at most one false drift alarm in {self.windows} windows of {_length(window_seconds)} ({span}) on average"
        )


def _length(seconds: float) -> str:
    for unit, size in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if seconds >= size:
            number = seconds / size
            return f"{number:g} {unit}{'' if number == 1 else 's'}"
    return f"{seconds:g} seconds"


class Drift(msgspec.Struct, frozen=True, kw_only=True):
    """One look: the inputs and the model's own answers are judged apart, each with half of the budget. windows: complete ones judged so far."""

    inputs: DriftReport
    prediction: DriftReport
    windows: int
    budget: str


@dataclass(frozen=True, eq=False)
class Side:
    """One half of a watch: which features, and the bets on them."""

    features: tuple[FeatureBins, ...]
    bets: Panel

    def table(self, counts: Mapping[str, Sequence[int]]) -> Floats:
        """Counts by name as a padded table of shape (features, bins). Raises BinMismatch."""
        found = np.zeros((len(self.features), self.bets.width))
        for i, feature in enumerate(self.features):
            row = counts.get(feature.name)
            if row is None or len(row) != len(feature.counts):
                raise BinMismatch(
                    f"the counts of {feature.name!r} do not fit the profile",
                    remedy="recount the window with the version's own profile",
                )
            found[i, : len(row)] = row
        return found


@dataclass(frozen=True, eq=False)
class Watch:
    """A profile laid out for betting: build it once per version with `watch`, then `step` costs well under a millisecond.

    prediction: None for tables that hold no model's answers.
    """

    profile: ReferenceProfile
    budget: Budget
    inputs: Side
    prediction: Side | None

    @property
    def threshold(self) -> float:
        """Run length given to each half, so that both together keep the budget."""
        return (1.0 if self.prediction is None else 2.0) * self.budget.windows

    def begin(self) -> "WatchState":
        """The state before any window."""
        return WatchState(
            inputs=start(self.inputs.bets), prediction=start(self.prediction.bets) if self.prediction else None
        )

    def step(self, state: "WatchState", counts: Mapping[str, Sequence[int]]) -> "WatchState":
        """Take in the counts of one window. Raises BinMismatch."""
        inputs = step(self.inputs.bets, state.inputs, self.inputs.table(counts), threshold=self.threshold)
        if self.prediction is None or state.prediction is None:
            return WatchState(inputs=inputs, prediction=None)
        table = self.prediction.table(counts)
        return WatchState(
            inputs=inputs, prediction=step(self.prediction.bets, state.prediction, table, threshold=self.threshold)
        )

    def alarms(self, state: "WatchState") -> tuple[bool, bool]:
        """Whether the inputs, and whether the predictions, have drifted beyond their margins."""
        limit = log(self.threshold)
        moved = log_evidence(self.inputs.bets, state.inputs) > limit
        if self.prediction is None or state.prediction is None:
            return moved, False
        return moved, log_evidence(self.prediction.bets, state.prediction) > limit


@dataclass(frozen=True, eq=False)
class WatchState:
    """Evidence gathered so far: a pure function of the windows."""

    inputs: State
    prediction: State | None


def watch(profile: ReferenceProfile, *, budget: Budget | None = None) -> Watch:
    """Lay out the bets of a profile. Half of the capital is spread evenly over the inputs, half by importance. Raises InputInvalid.

    A profile without a prediction is one of a table only: the inputs have the whole budget.
    """
    chosen = budget or Budget()
    inputs = tuple(f for f in profile.features if f.name != SCORE)
    prediction = tuple(f for f in profile.features if f.name == SCORE)
    if not inputs:
        raise InputInvalid(
            "a profile needs inputs to be watched", remedy="build it with monitoring.profile.build_profile"
        )
    return Watch(
        profile=profile,
        budget=chosen,
        inputs=_side(profile, inputs, chosen),
        prediction=_side(profile, prediction, chosen) if prediction else None,
    )


def _side(profile: ReferenceProfile, features: tuple[FeatureBins, ...], budget: Budget) -> Side:
    width = max(len(f.counts) for f in features)
    counts, wobble = np.zeros((len(features), width)), np.zeros((len(features), width))
    for i, feature in enumerate(features):
        counts[i, : len(feature.counts)] = feature.counts
        wobble[i, : len(feature.wobble)] = feature.wobble
    rows = counts.sum(axis=1, keepdims=True)
    share = np.cumsum(counts, axis=1) / rows
    margins = margin_of(share, rows, wobble, windows=profile.windows, floor=budget.smallest)
    importance = np.array([f.importance for f in features])
    even = np.full(len(features), 1 / len(features))
    weights = even if importance.sum() <= 0 else 0.5 * even + 0.5 * importance / importance.sum()
    return Side(features=features, bets=panel(counts, margins, bins=[len(f.counts) for f in features], weights=weights))


def complete_windows(profile: ReferenceProfile, windows: Sequence[WindowCounts]) -> list[WindowCounts]:
    """Merge windows to the length on which the reference's wobble was measured; what has not ended yet is left for the next look.

    Minutes make an hour, hours a day: a share that is usual for a day would be drift for the hour it falls in. Longer windows stay as they are.
    """
    groups: dict[int, list[WindowCounts]] = {}
    for each in windows:
        groups.setdefault(int(each.since.timestamp() // profile.window_seconds), []).append(each)
    latest = max((w.until.timestamp() for w in windows), default=0.0)
    return [merge(groups[key]) for key in sorted(groups) if latest >= (key + 1) * profile.window_seconds]


def detect(profile: ReferenceProfile, windows: Sequence[WindowCounts], *, budget: Budget | None = None) -> Drift:
    """Fold all windows of one version and judge. The same windows give the same answer, however they were cut into minutes.

    Raises BinMismatch for windows of another profile, EmptySample is never raised: without a complete window there is no alarm.
    """
    eyes = watch(profile, budget=budget)
    complete = complete_windows(profile, windows)
    state = eyes.begin()
    for each in complete:
        state = eyes.step(state, each.counts)
    return report(eyes, state, complete)


def report(eyes: Watch, state: WatchState, complete: Sequence[WindowCounts]) -> Drift:
    """What a state says, with the distances of the newest windows beside it. complete: the windows that led to it, in order."""
    recent = merge(complete[-SHOWN_WINDOWS:]) if complete else None
    return Drift(
        inputs=_report(eyes, eyes.inputs, state.inputs, recent),
        prediction=_report(eyes, eyes.prediction, state.prediction, recent),
        windows=state.inputs.steps,
        budget=eyes.budget.sentence(eyes.profile.window_seconds),
    )


def _report(eyes: Watch, side: Side | None, state: State | None, recent: WindowCounts | None) -> DriftReport:
    if side is None or state is None:
        return DriftReport(
            deployment="",
            number=0,
            at=datetime.fromtimestamp(0, UTC),
            rows=0,
            alarm=False,
            evidence=0.0,
            threshold=log10(eyes.threshold),
        )
    evidence = log_evidence(side.bets, state) if state.steps else 0.0
    values = log_e_values(side.bets, state) if state.steps else np.zeros(len(side.features))
    blamed = e_benjamini_hochberg(values)
    shown = [
        _feature(
            feature,
            recent.counts[feature.name],
            evidence=float(values[i]) / LN10,
            margins=side.bets.margins[i],
            blamed=bool(blamed[i]),
        )
        for i, feature in enumerate(side.features)
        if recent is not None
    ]
    shown.sort(key=lambda f: (-f.evidence, f.feature))
    return DriftReport(
        deployment=recent.deployment if recent else "",
        number=recent.number if recent else 0,
        at=recent.until if recent else datetime.fromtimestamp(0, UTC),
        rows=recent.rows if recent else 0,
        alarm=evidence > log(eyes.threshold),
        evidence=max(evidence / LN10, -99.0),
        threshold=log10(eyes.threshold),
        features=tuple(shown),
    )


def _feature(
    feature: FeatureBins, counts: Sequence[int], *, evidence: float, margins: Floats, blamed: bool
) -> FeatureDrift:
    reference, current = np.asarray(feature.counts, dtype=np.float64), np.asarray(counts, dtype=np.float64)
    if current.sum() == 0:
        return FeatureDrift(
            feature=feature.name,
            evidence=max(evidence, -99.0),
            psi=0.0,
            margin=float(margins[: len(counts) - 1].max(initial=0.0)),
        )
    moved = np.abs(np.cumsum(current) / current.sum() - np.cumsum(reference) / reference.sum())[:-1]
    allowed = margins[: len(counts) - 1]
    # The cut that is farthest out, measured in its own margin, so that shift and margin belong together.
    worst = int(np.argmax(moved / allowed)) if moved.size else 0
    return FeatureDrift(
        feature=feature.name,
        evidence=max(evidence, -99.0),
        psi=psi(reference, current),
        margin=float(allowed[worst]) if moved.size else 0.0,
        shift=float(moved[worst]) if moved.size else 0.0,
        psi_noise=psi_noise(int((reference > 0).sum()), float(reference.sum()), float(current.sum())),
        blamed=blamed,
    )
