"""Make a reference profile when a model is trained: what it saw, in bins in which later windows are counted (profile_windows.py).

Which bin a value falls into is profile_bins.py, judging the counts drift.py. Called by loop/stages and by noria.monitor.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import msgspec
import numpy as np
from numpy.typing import ArrayLike

from noria.domain.profile import FeatureBins, ReferenceProfile
from noria.errors import EmptySample, InputInvalid
from noria.monitoring.profile_bins import (
    Coded,
    Values,
    as_numbers,
    as_texts,
    cut_points,
    describe_text,
    in_order,
    is_missing,
    is_text,
    most_frequent,
    number_bins,
)
from noria.monitoring.profile_windows import SCORE, count, length_of, merge, moments_of, window, windows
from noria.monitoring.repeats import repeated_rows
from noria.stats.checks import Floats, Ints, block_codes, scored
from noria.stats.metrics import entropy, row_log_loss
from noria.stats.quantiles import chi_square_quantile
from noria.stats.sequential import wobble_of
from noria.stats.wobble import learn_wobble

__all__ = [
    "SCORE",
    "Coded",
    "Values",
    "build_profile",
    "count",
    "describe",
    "is_missing",
    "is_text",
    "merge",
    "window",
    "windows",
]

HOURS_A_WEEK = 168
MONDAY = 4 * 86400
"""Seconds from the beginning of 1970, a Thursday, to its first Monday."""


def build_profile(
    columns: Mapping[str, ArrayLike],
    scores: ArrayLike,
    *,
    labels: ArrayLike,
    blocks: ArrayLike,
    since: datetime,
    until: datetime,
    score_blocks: ArrayLike | None = None,
    cuts: int = 16,
    top: int = 8,
    importance: Mapping[str, float] | None = None,
    window_seconds: float = 86400.0,
    at: ArrayLike | None = None,
) -> ReferenceProfile:
    """Describe what a model saw: inputs, its scores, and how both wobble from one window to the next.

    columns: name -> values of shape (n,), numbers or text, NaN and None are missing. blocks: shape (n,), the window (day) of each row.
    scores, labels: shape (m,), probabilities and 0/1 labels of rows that the model did NOT learn from; score_blocks: their days (default `blocks`,
    then m = n). cuts: quantile bins of a number. top: most frequent values of a text that get a bin of their own. importance: name -> any
    non-negative measure. window_seconds: length of one block. at: shape (n,), microseconds since 1970 of each row, if known: from it the rows of
    each hour of the week are learnt. Raises EmptySample, InputInvalid.
    """
    y, p = scored(labels, scores)
    days = blocks if score_blocks is None else score_blocks
    answered = _Blocks.of(days, p.size, window_seconds=window_seconds, since=since, until=until)
    sizes = {name: len(np.asarray(values)) for name, values in columns.items()}
    if not sizes or 0 in sizes.values():
        raise EmptySample("a profile needs at least one column with rows")
    if len(set(sizes.values())) > 1:
        raise InputInvalid(f"columns have different lengths: {sizes}")
    if SCORE in columns:
        raise InputInvalid(
            f"no input may be called {SCORE!r}", remedy="rename the column: the name is kept for the model's score"
        )
    rows = next(iter(sizes.values()))
    windows = _Blocks.of(blocks, rows, window_seconds=window_seconds, since=since, until=until)
    weights = importance or {}
    total = sum(weights.values()) or 1.0
    features = [
        _describe(name, values, windows, cuts=cuts, top=top, importance=weights.get(name, 0.0) / total)
        for name, values in columns.items()
    ]
    features.append(_describe(SCORE, p, answered, cuts=cuts, top=top, importance=0.0))
    loss, own = row_log_loss(y, p), entropy(p)
    return ReferenceProfile(
        features=tuple(features),
        rows=rows,
        since=since,
        until=until,
        expected_loss=float(loss.mean()),
        expected_loss_sd=_sd_between(loss, answered.codes, answered.groups)[0],
        expected_excess=float((loss - own).mean()),
        expected_excess_sd=_sd_between(loss - own, answered.codes, answered.groups)[1],
        expected_bias=float((y - p).mean()),
        expected_bias_sd=_sd_between(y - p, answered.codes, answered.groups)[1],
        windows=windows.groups,
        window_seconds=window_seconds,
        duplicates=_repeated(columns, windows.codes),
        hours=() if at is None else hours_of(at),
    )


def describe(
    columns: Mapping[str, Values],
    *,
    blocks: ArrayLike,
    cuts: int = 16,
    top: int = 8,
    importance: Mapping[str, float] | None = None,
    window_seconds: float = 86400.0,
) -> tuple[FeatureBins, ...]:
    """The bins of columns that need not belong to a model: what `build_profile` makes of inputs, without scores and labels.

    Arguments as there; the importances are divided by their sum. A season is learnt where blocks are datetimes.
    Raises InputInvalid when `blocks` has another length than a column.
    """
    weights = importance or {}
    total = sum(weights.values()) or 1.0
    described = []
    windows = None
    for name, values in columns.items():
        rows = length_of(values)
        if windows is None or windows.codes.size != rows:
            windows = _Blocks.of(blocks, rows, window_seconds=window_seconds)
        share = weights.get(name, 0.0) / total
        described.append(_describe(name, values, windows, cuts=cuts, top=top, importance=share))
    return tuple(described)


def _sd_between(values: Floats, codes: Ints, groups: int) -> tuple[float, float]:
    """Standard deviation of the daily means, and its upper 80 % bound. One day only: the error of its mean, for want of better."""
    if groups < 2:
        error = float(values.std() / np.sqrt(values.size))
        return error, error
    means = np.bincount(codes, values, minlength=groups) / np.bincount(codes, minlength=groups)
    spread = float(means.std(ddof=1))
    degrees = groups - 1
    return spread, spread * (degrees / (chi_square_quantile(0.2, degrees) if degrees >= 3 else degrees * 0.1)) ** 0.5


def _repeated(columns: Mapping[str, ArrayLike], codes: Ints) -> float:
    """Share of the rows that repeat another one of their window."""
    found = repeated_rows(columns, codes)
    return 0.0 if found is None or found.size == 0 else float(found.mean())


def hours_of(at: ArrayLike) -> tuple[float, ...]:
    """Rows an hour for each hour of the week, Monday 00:00 UTC first; shape (168,), () for less than a week.

    at: microseconds since 1970. An hour of the week that occurs k times between the first and the last row is divided by k.
    """
    hours = np.asarray(at, dtype=np.int64) // 3_600_000_000
    if hours.size == 0:
        return ()
    first, last = int(hours.min()), int(hours.max())
    if last - first + 1 < HOURS_A_WEEK:
        return ()
    offset = MONDAY // 3600
    times = np.bincount((np.arange(first, last + 1) - offset) % HOURS_A_WEEK, minlength=HOURS_A_WEEK)
    rows = np.bincount((hours - offset) % HOURS_A_WEEK, minlength=HOURS_A_WEEK)
    return tuple((rows / times).tolist())


@dataclass(frozen=True, eq=False)
class _Blocks:
    """The windows of a reference: the code of each row, how many there are, and when each began if the blocks say so, seconds since 1970."""

    codes: Ints
    groups: int
    starts: Floats | None
    window_seconds: float

    @classmethod
    def of(
        cls,
        blocks: ArrayLike,
        rows: int,
        *,
        window_seconds: float,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> "_Blocks":
        """Blocks tell their time as datetimes, or as windows numbered from 1970 on that lie between since and until."""
        codes, groups = block_codes(blocks, rows)
        distinct = np.unique(np.asarray(blocks))
        starts = None
        if distinct.dtype.kind == "M":
            starts = distinct.astype("datetime64[us]").astype(np.int64) / 1e6
        elif distinct.dtype.kind in "iu" and since is not None and until is not None and distinct.size:
            seconds = distinct.astype(np.float64) * window_seconds
            if seconds[0] > since.timestamp() - window_seconds and seconds[-1] < until.timestamp() + window_seconds:
                starts = seconds
        return cls(codes=codes, groups=groups, starts=starts, window_seconds=window_seconds)


def _describe(name: str, values: Values, blocks: _Blocks, *, cuts: int, top: int, importance: float) -> FeatureBins:
    """Choose the bins of one feature and count the reference in them, window by window."""
    codes, groups = blocks.codes, blocks.groups
    if isinstance(values, Coded) or is_text(np.asarray(values)):
        texts, _ = as_texts(values)
        bins, where = describe_text(texts, codes=codes, groups=groups, top=top)
        width = len(bins.counts)
    else:
        numbers, _ = as_numbers(values)
        ordered = in_order(numbers)
        points = cut_points(ordered, cuts)
        where, width = number_bins(numbers, points), len(points) + 2
        centre = (points[0] + (points[-1] - points[0]) / 2) if points else 0.0
        bins = FeatureBins(
            name=name,
            kind="number",
            cuts=points,
            counts=(),
            centre=centre,
            moments=moments_of(numbers, centre=centre),
            common=most_frequent(ordered),
            steady=_steady(numbers, codes, groups),
        )
    table = np.bincount(codes * width + where, minlength=groups * width).reshape(groups, width)
    return msgspec.structs.replace(
        bins,
        name=name,
        counts=tuple(table.sum(axis=0).tolist()),
        wobble=tuple(wobble_of(table).tolist()),
        varies=learn_wobble(
            table, text=bins.kind == "text", starts=blocks.starts, window_seconds=blocks.window_seconds
        ),
        importance=importance,
    )


def _steady(numbers: Floats, codes: Ints, groups: int) -> float:
    """Share of the windows whose values are all the same."""
    present = ~np.isnan(numbers)
    if not present.all():
        numbers, codes = numbers[present], codes[present]
    if not numbers.size:
        return 0.0
    if (codes[1:] < codes[:-1]).any():
        order = np.argsort(codes, kind="stable")
        numbers, codes = numbers[order], codes[order]
    starts = np.flatnonzero(np.concatenate([[True], codes[1:] != codes[:-1]]))
    low, high = np.minimum.reduceat(numbers, starts), np.maximum.reduceat(numbers, starts)
    return float((low == high).sum() / groups)
