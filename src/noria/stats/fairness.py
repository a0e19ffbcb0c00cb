"""Rates of groups and their gaps to all other rows, with intervals that count days as independent, not rows. Pure arrays in, nouns out.

Where the groups come from is monitoring/fairness and evaluation/fairness, which call this.

Source: the measures are those of Barocas, Hardt and Narayanan 2023, chapter 3: independence (selection rate), separation (true and false positive
rate) and sufficiency (calibration).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import ceil

import numpy as np
from numpy.typing import ArrayLike, NDArray

from noria.domain.fairness import FairnessReport, Gap, GroupRates
from noria.domain.interval import Interval
from noria.errors import EmptySample, InputInvalid
from noria.stats.checks import Floats
from noria.stats.intervals import clustered_interval, mean_interval
from noria.stats.shares import share_difference, share_interval, share_ratio

Mask = NDArray[np.bool_]

SMALLEST_GROUP = 30
"""Groups with fewer rows are named and not judged."""

ALLOWED = 0.1
"""The largest gap of a rate between a group and all others that is no matter, if nobody says."""

PLENTY = 10
"""Hits, misses and days from which on a share is nearly normal."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Measure:
    """One value a row where `counts` holds. is_share: the values are zeros and ones."""

    values: Floats
    counts: Mask
    is_share: bool = False

    def of(self, rows: Mask, days: ArrayLike | None, *, level: float) -> Interval:
        """The mean over these rows. Raises EmptySample."""
        kept = rows & self.counts
        if not kept.any():
            raise EmptySample("no row of the group counts for this measure")
        own = None if days is None else np.asarray(days)[kept]
        if self.is_share:
            return share_interval(self.values[kept], own, level=level)
        return mean_interval(self.values[kept], own, level=level)

    def gap(self, rows: Mask, days: ArrayLike | None, *, level: float) -> Interval:
        """The mean over these rows minus that over all others. Raises EmptySample.

        Days that move both sides alike cancel; where a share has too few hits or misses for that (or its rows too few days), Newcombe's interval.
        """
        inside, outside = rows & self.counts, ~rows & self.counts
        if not inside.any() or not outside.any():
            raise EmptySample("a gap needs rows on both sides")
        if self.is_share and not (self._plenty(inside, days) and self._plenty(outside, days)):
            return share_difference(self.of(rows, days, level=level), self.of(~rows, days, level=level))
        n = int(self.counts.sum())
        mean, other = float(self.values[inside].mean()), float(self.values[outside].mean())
        pull = np.where(
            inside, (self.values - mean) * (n / inside.sum()), -(self.values - other) * (n / outside.sum())
        )[self.counts]
        own = None if days is None else np.asarray(days)[self.counts]
        return clustered_interval(mean - other, pull, own, level=level)

    def _plenty(self, rows: Mask, days: ArrayLike | None) -> bool:
        """Whether a share over these rows has the hits, misses and days that a normal approximation needs."""
        hits, n = float(self.values[rows].sum()), int(rows.sum())
        spread = n if days is None else np.unique(np.asarray(days)[rows]).size
        return min(hits, n - hits) >= PLENTY and spread >= PLENTY


def binary_measures(happened: ArrayLike, said: ArrayLike, *, threshold: float = 0.5) -> dict[str, Measure]:
    """Selection rate, true and false positive rate, precision, calibration (what happened minus what was said) of scored answers.

    happened: shape (n,), 0, 1, or NaN where it is not known; said: shape (n,), probabilities. An answer selects from `threshold` on.
    Raises InputInvalid.
    """
    y, p = np.asarray(happened, dtype=np.float64), np.asarray(said, dtype=np.float64)
    known = ~np.isnan(y)
    if y.shape != p.shape or not np.isin(y[known], (0.0, 1.0)).all() or not ((p >= 0) & (p <= 1)).all():
        raise InputInvalid(
            "rates need labels of 0 and 1 and scores in [0, 1]", remedy="compare quantities by their error"
        )
    selected = (p >= threshold).astype(np.float64)
    yes = np.nan_to_num(y)
    return {
        "selection_rate": Measure(values=selected, counts=np.ones(y.size, dtype=bool), is_share=True),
        "true_positive_rate": Measure(values=selected, counts=known & (yes == 1), is_share=True),
        "false_positive_rate": Measure(values=selected, counts=known & (yes == 0), is_share=True),
        "precision": Measure(values=yes, counts=known & (selected == 1), is_share=True),
        "calibration": Measure(values=yes - p, counts=known),
    }


def fairness(
    groups: Sequence[str],
    measures: Mapping[str, Measure],
    *,
    column: str,
    labelled: Mask,
    blocks: ArrayLike | None = None,
    allowed: float | Mapping[str, float] = ALLOWED,
    level: float = 0.95,
    minimum_rows: int = SMALLEST_GROUP,
    threshold: float | None = None,
) -> FairnessReport:
    """Every group against all other rows, by every measure.

    groups: the group of each row, length n. measures: by name, over the same rows. blocks: shape (n,), the day of each row. allowed: the largest gap
    that is no matter, for all measures or by name. level: of all gaps together (Bonferroni). Raises EmptySample when fewer than two groups have
    `minimum_rows`, InputInvalid.
    """
    names, codes, sizes = np.unique(np.asarray(groups, dtype=str), return_inverse=True, return_counts=True)
    large = [i for i in range(names.size) if sizes[i] >= minimum_rows]
    small = {str(names[i]): int(sizes[i]) for i in range(names.size) if sizes[i] < minimum_rows}
    if len(large) + bool(small) < 2 or not large:
        raise EmptySample(
            f"{column!r} has not two groups of {minimum_rows} rows to compare",
            cause=f"{names.size} groups in {codes.size} rows",
            remedy="take a longer window or a coarser column",
        )
    # Of two groups the gap of one is that of the other with the sign turned.
    compared = large[:1] if names.size == 2 and len(large) == 2 else large
    each = 1 - (1 - level) / (len(compared) * max(len(measures), 1))
    rates, gaps = [], []
    for i in large:
        rows, name = np.asarray(codes == i), str(names[i])
        found = _try({k: partial(m.of, rows, blocks, level=level) for k, m in measures.items()})
        rates.append(GroupRates(group=name, rows=int(sizes[i]), labelled=int((rows & labelled).sum()), rates=found))
        if i not in compared:
            continue
        between = _try({k: partial(m.gap, rows, blocks, level=each) for k, m in measures.items()})
        for measure, gap in between.items():
            limit = allowed if isinstance(allowed, float | int) else allowed.get(measure, ALLOWED)
            counted = int((rows & measures[measure].counts).sum())
            gaps.append(_gap(measure, name, gap, allowed=float(limit), rows=counted))
    gaps.sort(key=lambda g: (not g.beyond, not g.sure, g.settled, -abs(g.gap.value), g.group))
    ratio, ratio_group = _ratio(measures.get("selection_rate"), {str(names[i]): codes == i for i in large}, blocks)
    return FairnessReport(
        column=column,
        groups=tuple(rates),
        gaps=tuple(gaps),
        level=level,
        too_small=small,
        threshold=threshold,
        ratio=ratio,
        ratio_group=ratio_group,
    )


def _try(measured: Mapping[str, Callable[[], Interval]]) -> dict[str, Interval]:
    """What can be measured."""
    found = {}
    for name, measure in measured.items():
        try:
            found[name] = measure()
        except EmptySample:
            continue
    return found


def _gap(measure: str, group: str, gap: Interval, *, allowed: float, rows: int) -> Gap:
    beyond = gap.low > allowed or gap.high < -allowed
    settled = gap.high <= allowed and gap.low >= -allowed
    reach = (gap.high - gap.low) / 2
    room = abs(allowed - abs(gap.value))
    times = 0.0 if beyond or settled or room == 0 else (reach / room) ** 2
    return Gap(
        measure=measure,
        group=group,
        gap=gap,
        allowed=allowed,
        sure=gap.low > 0 or gap.high < 0,
        beyond=beyond,
        settled=settled,
        rows_needed=ceil(rows * times) if times <= 1000 else 0,
    )


def _ratio(
    selection: Measure | None, groups: Mapping[str, Mask], blocks: ArrayLike | None
) -> tuple[Interval | None, str]:
    """The lowest ratio of a group's selection rate to that of all others, its level corrected for the number of groups."""
    lowest: Interval | None = None
    which = ""
    level = 1 - 0.05 / max(len(groups), 1)
    for name, rows in groups.items():
        if selection is None or rows.all():
            continue
        try:
            found = share_ratio(selection.of(rows, blocks, level=level), selection.of(~rows, blocks, level=level))
        except EmptySample:
            continue
        if lowest is None or found.value < lowest.value:
            lowest, which = found, name
    return lowest, which
