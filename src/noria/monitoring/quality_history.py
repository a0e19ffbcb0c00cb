"""Quality of a version over time: each stretch realised, and estimated as it would have been when it ended; how good those estimates turned out.

Point in time: what a stretch's estimate learns from, and the record that widens it, are labels that were known when it ended. Measures are
quality_measures.py, estimates estimate*.py, arrivals labels.py. Called by loop/stages and server/control.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from math import sqrt
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from noria.domain.interval import Interval
from noria.domain.quality import Estimate, QualityHistory, QualityWindow, Task, TrackRecord
from noria.errors import EmptySample, InputInvalid
from noria.monitoring.estimate import (
    UNLEARNT,
    estimate_binary,
    estimate_classes,
    learn_honesty,
    learn_temperature,
)
from noria.monitoring.estimate_direct import ErrorModel, estimate_errors, learn_errors
from noria.monitoring.labels import Times, arrival, as_datetime, moment, moments
from noria.monitoring.quality_measures import blocks_of, measures
from noria.stats.checks import Floats

LEARN_ROWS = 40_000
ENOUGH = 0.8
"""Share of the labels that will come, from which on the realised value is shown and not the estimate."""
MORE = 1.5
"""A loss is learnt anew when there are so many times the labels of last time."""
RECORD_FROM = 3
LEARNT = 200
Rows = NDArray[np.bool_]


@dataclass(frozen=True, eq=False, kw_only=True)
class Served:
    """Answers of one version with the labels that have come. `served_of` makes and checks it.

    at, label_at: shape (n,), datetime64[us], rising in `at`. happened: shape (n,), NaN without label. said: as in quality_measures.measures.
    features: for estimates of quantities: name -> n values.
    """

    task: Task
    at: Times
    happened: Floats
    said: Floats
    label_at: Times
    threshold: float = 0.5
    features: Mapping[str, Any] = field(default_factory=dict)


def served_of(
    task: Task,
    *,
    at: ArrayLike,
    happened: ArrayLike,
    said: ArrayLike,
    label_at: ArrayLike,
    threshold: float = 0.5,
    features: Mapping[str, Any] | None = None,
) -> Served:
    """Answers in the order of time. happened: None or NaN where no label is known. Rows whose answer is no number are refused: InputInvalid."""
    asked, known = moments(at), moments(label_at)
    y = (
        np.array([np.nan if v is None else v for v in happened], dtype=np.float64)
        if isinstance(happened, list)
        else np.asarray(happened, dtype=np.float64)
    )
    p = np.asarray(said, dtype=np.float64)
    columns = dict(features or {})
    if not asked.shape == known.shape == y.shape == p.shape[:1] or any(len(c) != y.size for c in columns.values()):
        raise InputInvalid(f"{asked.shape} times, {y.shape} labels and {p.shape} answers do not belong together")
    if not np.isfinite(p).all():
        raise InputInvalid("an answer is no finite number", remedy="leave out rows without an answer first")
    order = np.argsort(asked, kind="stable")
    y = np.where(np.isnat(known), np.nan, y)
    known = np.where(np.isnan(y), np.datetime64("NaT"), known)
    return Served(
        task=task,
        at=asked[order],
        happened=y[order],
        said=p[order],
        label_at=known[order],
        threshold=threshold,
        features={name: np.asarray(column)[order] for name, column in columns.items()},
    )


def history(
    served: Served, *, edges: Sequence[datetime], known_by: datetime, enough: float = ENOUGH, seed: int = 0
) -> QualityHistory:
    """Windows between neighbouring edges, oldest first; the newest may end after `known_by` and is then still filling.

    enough: share of the labels to be expected from which a window counts as realised. The same arguments give the same history. Raises InputInvalid.
    """
    if len(edges) < 2 or any(a >= b for a, b in pairwise(edges)):
        raise InputInvalid("windows need at least two edges, in the order of time")
    whole = arrival(served.at, served.label_at, known_by=known_by)
    expected = whole.final.value if whole.final is not None else 1.0
    memory = _Memory(served, final=max(expected, 1e-9), enough=enough, seed=seed)
    windows = [memory.window(since, until, known_by=known_by) for since, until in pairwise(edges)]
    return QualityHistory(task=served.task, windows=tuple(windows), record=track_record(windows), arrival=whole)


def track_record(windows: Sequence[QualityWindow]) -> tuple[TrackRecord, ...]:
    """How the estimates of each metric turned out, over windows that count as realised; metrics without any are left out."""
    told: list[TrackRecord] = []
    names = sorted({name for w in windows if w.estimate for name in w.estimate.metrics})
    for name in names:
        pairs = [(w.estimate.metrics[name], w.realised[name]) for w in windows if _comparable(w, name) and w.estimate]
        if not pairs:
            continue
        gaps = np.array([said.value - real.value for said, real in pairs])
        steps = np.diff([real.value for _, real in pairs])
        told.append(
            TrackRecord(
                metric=name,
                windows=len(pairs),
                inside=sum(said.low <= real.value <= said.high for said, real in pairs),
                level=pairs[0][0].level,
                bias=float(gaps.mean()),
                error=float(np.abs(gaps).mean()),
                naive=float(np.abs(steps).mean()) if steps.size else None,
            )
        )
    return tuple(told)


def _comparable(window: QualityWindow, name: str) -> bool:
    return (
        window.source == "realised"
        and window.estimate is not None
        and name in window.estimate.metrics
        and name in window.realised
    )


class _Memory:
    """What is computed once while windows are walked through in the order of time."""

    def __init__(self, served: Served, *, final: float, enough: float, seed: int) -> None:
        self._served, self._final, self._enough, self._seed = served, final, enough, seed
        self._done: list[tuple[Rows, Estimate]] = []
        self._errors: tuple[int, ErrorModel] | None = None
        self._points: dict[tuple[int, int], dict[str, float]] = {}

    def window(self, since: datetime, until: datetime, *, known_by: datetime) -> QualityWindow:
        served, now = self._served, moment(known_by)
        inside = (served.at >= moment(since)) & (served.at < min(moment(until), now))
        have = inside & (served.label_at <= now)
        answers, labelled = int(inside.sum()), int(have.sum())
        realised, missing = self._measure(have)
        estimate = self._estimate(inside, moment(since), as_of=min(moment(until), now)) if answers else None
        is_done = answers > 0 and labelled >= self._enough * self._final * answers and bool(realised)
        if estimate is not None and estimate.metrics:
            self._done.append((inside, estimate))
        told = estimate is not None and bool(estimate.metrics)
        return QualityWindow(
            since=since,
            until=until,
            answers=answers,
            labelled=labelled,
            coverage=labelled / answers if answers else 0.0,
            realised=realised,
            missing=missing,
            estimate=estimate,
            source="realised" if is_done else "estimated" if told else "none",
            note=self._note(inside, have) if 0 < labelled < answers else "",
        )

    def _measure(self, rows: Rows, only: Collection[str] | None = None) -> tuple[dict[str, Interval], dict[str, str]]:
        s = self._served
        return measures(
            s.task,
            s.happened[rows],
            s.said[rows],
            blocks=blocks_of(s.at[rows]),
            threshold=s.threshold,
            only=only,
            seed=self._seed,
        )

    def _estimate(self, inside: Rows, since: np.datetime64, *, as_of: np.datetime64) -> Estimate:
        """As it would have been made at `as_of`: learnt from answers before `since` whose labels were known by then."""
        s = self._served
        places = np.flatnonzero((s.at < since) & (s.label_at <= as_of))[-LEARN_ROWS:]
        extra = self._extra(as_of)
        try:
            if s.task == "regression":
                return self._direct(places, inside, extra)
            blocks = blocks_of(s.at[places])
            if s.task == "binary":
                honest = (
                    learn_honesty(s.happened[places], s.said[places], blocks=blocks, threshold=s.threshold)
                    if places.size
                    else UNLEARNT
                )
                return estimate_binary(s.said[inside], honest, threshold=s.threshold, extra=extra)
            if s.said.ndim == 1:
                return _no_estimate("classes without probabilities say nothing of how sure they are", places.size)
            honest = learn_temperature(s.happened[places], s.said[places], blocks=blocks) if places.size else UNLEARNT
            return estimate_classes(s.said[inside], honest, extra=extra)
        except EmptySample as exc:
            return _no_estimate(exc.problem, places.size)

    def _direct(self, places: NDArray[np.int64], inside: Rows, extra: Mapping[str, float]) -> Estimate:
        s = self._served
        columns = {**s.features, "(the answer)": s.said}
        if self._errors is None or places.size >= MORE * self._errors[0]:
            learnt = learn_errors(
                (s.said - s.happened)[places],
                {n: c[places] for n, c in columns.items()},
                blocks=blocks_of(s.at[places]),
            )
            self._errors = (places.size, learnt)
        return estimate_errors(self._errors[1], {n: c[inside] for n, c in columns.items()}, extra=extra)

    def _extra(self, as_of: np.datetime64) -> dict[str, float]:
        """By metric, the standard deviation by which earlier estimates missed beyond what their intervals say, from labels known at the time."""
        misses: dict[str, list[float]] = {}
        for place, (inside, estimate) in enumerate(self._done):
            if estimate.learnt_from < LEARNT:  # a guess before there were labels says nothing of later estimates
                continue
            have = inside & (self._served.label_at <= as_of)
            if have.sum() < self._enough * self._final * inside.sum():
                continue
            for name, value in self._point(place, have, estimate.metrics).items():
                told = estimate.metrics.get(name)
                if told is not None:
                    within = ((told.high - told.low) / 2 / 1.96) ** 2 - estimate.widened.get(name, 0.0) ** 2
                    misses.setdefault(name, []).append((value - told.value) ** 2 - max(within, 0.0))
        return {
            name: sqrt(max(0.0, sum(each) / len(each))) for name, each in misses.items() if len(each) >= RECORD_FROM
        }

    def _point(self, place: int, have: Rows, only: Collection[str]) -> dict[str, float]:
        key = (place, int(have.sum()))
        if key not in self._points:
            self._points[key] = {name: found.value for name, found in self._measure(have, only)[0].items()}
        return self._points[key]

    def _note(self, inside: Rows, have: Rows) -> str:
        """A warning if the answers that have labels do not look like the others."""
        s = self._served
        if s.said.ndim != 1 or have.sum() < 100 or (inside & ~have).sum() < 100:
            return ""
        labelled, others = s.said[have], s.said[inside & ~have]
        error = float(np.sqrt(labelled.var() / labelled.size + others.var() / others.size))
        if error == 0 or abs(labelled.mean() - others.mean()) < 4 * error:
            return ""
        return (
            f"labelled answers are not like the others (mean answer {labelled.mean():.4g} against {others.mean():.4g}): "
            "what they show may not hold for all"
        )


def _no_estimate(reason: str, learnt_from: int) -> Estimate:
    return Estimate(method="none", assumption="", rows=0, learnt_from=learnt_from, metrics={}, reason=reason)


def stretches(served: Served, *, count: int, until: datetime) -> list[datetime]:
    """Edges of windows with about equally many answers each, from the first answer to `until`; for `history`. Empty if there are too few."""
    asked = served.at[served.at < moment(until)]
    if asked.size < 2 * count:
        return []
    places = np.linspace(0, asked.size, count + 1).astype(int)[:-1]
    inner = sorted({as_datetime(at) for at in asked[places]})
    return [edge for edge in inner if edge < until] + [until]
