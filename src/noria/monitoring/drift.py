"""Judge window counts against a reference profile under one budget: at most one false alarm in so many windows, on average.

State is nothing but a fold over the windows in time order, so a restart repeats it exactly; `step` takes in one more window.
Counting is monitoring/profile, the bets are stats/sequential, what a report shows is drift_report, what would have silenced it drift_silence.
Opening an alert is monitoring/alert. Called by loop/stages and noria.monitor.

Inputs with seasons drift and should: a drift says that something changed, whether it hurts is for monitoring/quality to say.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from math import log
from typing import NamedTuple

import msgspec
import numpy as np

from noria.domain.alert import DriftReport
from noria.domain.profile import FeatureBins, ReferenceProfile, WindowCounts
from noria.errors import BinMismatch, InputInvalid
from noria.monitoring.drift_report import FLOOR, LN10, report_of
from noria.monitoring.profile import SCORE, merge
from noria.stats.checks import Floats
from noria.stats.sequential import MARGIN_FLOOR, Panel, State, log_evidence, panel, start, step

SHOWN_WINDOWS = 7
"""The distances beside a verdict are those of the newest windows, a week of days."""

MEMORY = 2000
"""Windows that a fold takes in, the newest: a drift that began earlier still stands in them. Fewer starts to bet on only lower the evidence."""


class Budget(msgspec.Struct, frozen=True, kw_only=True):
    """What the user allows: at most one false drift alarm in `windows` windows on average, inputs and prediction together.

    smallest: the smallest shift of a share that is worth an alarm (0.01: one row in a hundred on the other side of a cut). prediction: share of
    the false alarms that the model's own answers may cause; the inputs have the rest.
    """

    windows: int = 3650
    smallest: float = MARGIN_FLOOR
    prediction: float = 0.5

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
        """Run length given to the inputs, so that both sides together keep the budget."""
        return self.budget.windows / (1 - self.budget.prediction if self.prediction else 1.0)

    @property
    def prediction_threshold(self) -> float:
        """Run length given to the model's answers."""
        return self.budget.windows / self.budget.prediction

    def begin(self) -> "WatchState":
        """The state before any window."""
        return WatchState(
            inputs=start(self.inputs.bets), prediction=start(self.prediction.bets) if self.prediction else None
        )

    def step(
        self, state: "WatchState", counts: Mapping[str, Sequence[int]], *, at: datetime | None = None
    ) -> "WatchState":
        """Take in the counts of one window. at: when it began; needed where the reference has a season. Raises BinMismatch, InputInvalid."""
        moment = at.timestamp() if at is not None else None
        table = self.inputs.table(counts)
        inputs = step(self.inputs.bets, state.inputs, table, threshold=self.threshold, at=moment)
        if self.prediction is None or state.prediction is None:
            return WatchState(inputs=inputs, prediction=None)
        answers = self.prediction.table(counts)
        limit = self.prediction_threshold
        return WatchState(
            inputs=inputs,
            prediction=step(self.prediction.bets, state.prediction, answers, threshold=limit, at=moment),
        )

    def evidence(self, state: "WatchState") -> tuple[float, float]:
        """Evidence so far as powers of ten, for the inputs and for the predictions; 0 where there are none, never below -99."""
        inputs = log_evidence(self.inputs.bets, state.inputs) if state.inputs.steps else 0.0
        if self.prediction is None or state.prediction is None or not state.prediction.steps:
            return max(inputs / LN10, FLOOR), 0.0
        return max(inputs / LN10, FLOOR), max(log_evidence(self.prediction.bets, state.prediction) / LN10, FLOOR)

    def alarms(self, state: "WatchState") -> tuple[bool, bool]:
        """Whether the inputs, and whether the predictions, have drifted beyond their margins."""
        moved = log_evidence(self.inputs.bets, state.inputs) > log(self.threshold)
        if self.prediction is None or state.prediction is None:
            return moved, False
        return moved, log_evidence(self.prediction.bets, state.prediction) > log(self.prediction_threshold)


@dataclass(frozen=True, eq=False)
class WatchState:
    """Evidence gathered so far: a pure function of the windows."""

    inputs: State
    prediction: State | None


def watch(profile: ReferenceProfile, *, budget: Budget | None = None, together: bool = False) -> Watch:
    """Lay out the bets of a profile. Half of the capital is spread evenly over the inputs, half by importance. Raises InputInvalid.

    A profile without a prediction is one of a table only: the inputs have the whole budget. together: the windows to come are one stretch of time,
    dealt out at random: they share one wobble, which then is part of the margin.
    """
    chosen = budget or Budget()
    if not 0 < chosen.prediction < 1 or chosen.windows < 1:
        raise InputInvalid(
            f"a budget of {chosen.windows} windows of which answers have {chosen.prediction:g} cannot be kept",
            remedy="allow one false alarm in at least 1 window, and answers a share between 0 and 1 of it",
        )
    inputs = tuple(f for f in profile.features if f.name != SCORE)
    prediction = tuple(f for f in profile.features if f.name == SCORE)
    if not inputs:
        raise InputInvalid(
            "a profile needs inputs to be watched", remedy="build it with monitoring.profile.build_profile"
        )
    watched = _side(profile, inputs, chosen, together=together)
    # Answers live through the days of the inputs: one feature alone knows too little of how long these are remembered.
    least = float(watched.bets.persistence.min())
    answers = _side(profile, prediction, chosen, together=together, persistence=least) if prediction else None
    return Watch(profile=profile, budget=chosen, inputs=watched, prediction=answers)


def _side(
    profile: ReferenceProfile,
    features: tuple[FeatureBins, ...],
    budget: Budget,
    *,
    together: bool,
    persistence: float = 1.0,
) -> Side:
    importance = np.array([f.importance for f in features])
    even = np.full(len(features), 1 / len(features))
    weights = even if importance.sum() <= 0 else 0.5 * even + 0.5 * importance / importance.sum()
    bets = panel(
        features,
        smallest=budget.smallest,
        weights=weights,
        windows=profile.windows,
        together=together,
        persistence=persistence,
    )
    return Side(features=features, bets=bets)


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
    """Fold the windows of one version and judge. The same windows give the same answer, however they were cut into minutes.

    Raises BinMismatch for windows of another profile, EmptySample is never raised: without a complete window there is no alarm.
    """
    return detect_on(profile, windows, budget=budget)[0]


class Fold(NamedTuple):
    """Where a fold stands: the state after so many complete windows."""

    windows: int
    state: "WatchState"


def detect_on(
    profile: ReferenceProfile,
    windows: Sequence[WindowCounts],
    *,
    budget: Budget | None = None,
    before: Fold | None = None,
) -> tuple[Drift, Fold]:
    """As `detect`, and where the fold stands now. before: where one stood, of the same profile and budget, over the first of these windows."""
    eyes = watch(profile, budget=budget)
    complete = complete_windows(profile, windows)
    if before is None or not before.windows <= len(complete) <= MEMORY:
        state = fold(eyes, complete[-MEMORY:])
    else:
        state = fold(eyes, complete[before.windows :], state=before.state)
    return report(eyes, state, complete), Fold(len(complete), state)


def fold(eyes: Watch, complete: Sequence[WindowCounts], *, state: WatchState | None = None) -> WatchState:
    """The state after these windows, in order of time. state: after those before them."""
    state = eyes.begin() if state is None else state
    for each in complete:
        state = eyes.step(state, each.counts, at=each.since)
    return state


def report(eyes: Watch, state: WatchState, complete: Sequence[WindowCounts]) -> Drift:
    """What a state says, with the distances of the newest windows beside it. complete: the windows that led to it, in order."""
    recent = complete[-SHOWN_WINDOWS:]
    return Drift(
        inputs=_report(eyes.inputs, state.inputs, recent, threshold=eyes.threshold),
        prediction=_report(eyes.prediction, state.prediction, recent, threshold=eyes.prediction_threshold),
        windows=len(complete),
        budget=eyes.budget.sentence(eyes.profile.window_seconds),
    )


def _report(side: Side | None, state: State | None, recent: Sequence[WindowCounts], *, threshold: float) -> DriftReport:
    if side is None or state is None:
        return report_of((), None, None, (), threshold=threshold)
    return report_of(side.features, side.bets, state, recent, threshold=threshold, table=side.table)
