"""Learn from a reference's own windows how what is watched of a feature moves while nothing is wrong: spread, persistence and season.

Statistics are linear in the counts of a window, so minutes add up. What is made of them is sequential.py. Called by monitoring/profile, sequential.
"""

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray

from noria.domain.profile import Wobble
from noria.errors import BinMismatch
from noria.stats.checks import Floats, Ints
from noria.stats.quantiles import chi_square_quantile

DAY_S, WEEK_S, HOUR_S = 86_400, 604_800, 3_600
LONGEST_MEMORY = 0.98
"""Correlation of neighbouring windows is never taken to be more; one window then counts as a hundredth."""

MEMORY_SEEN = 1.0
"""So many standard errors must the correlation of neighbours reach to be believed; so many are then added to it."""


def normal_scores(counts: ArrayLike) -> Floats:
    """Scores of the bins of a number, the missing bin (last) 0: mean 0 and variance 1 over the reference. Shape (k,), all 0 below three filled bins.

    Their mean over a window is the place of its values in standard deviations, whatever their unit and however long their tails.

    >>> normal_scores([100, 100, 100, 0]).round(2).tolist()
    [-1.22, 0.0, 1.22, 0.0]
    """
    table = np.asarray(counts, dtype=np.float64)
    present = table[:-1]
    total = present.sum()
    if (present > 0).sum() < 3:
        return np.zeros(table.size)
    middle = (np.cumsum(present) - present / 2) / total
    edge = 0.5 / (total + 1)
    normal = NormalDist()
    raw = np.array([normal.inv_cdf(float(p)) for p in np.clip(middle, edge, 1 - edge)])
    weight = present / total
    mean = float(weight @ raw)
    spread = float(np.sqrt(weight @ (raw - mean) ** 2))
    # Bins that the reference left empty lie far out; how far must not decide.
    return np.append(np.clip((raw - mean) / spread, -4.0, 4.0), 0.0)


def watched(counts: ArrayLike, scores: Floats, *, text: bool) -> tuple[Floats, Floats]:
    """What is watched of windows: values and the rows they rest on, both of shape (windows, k).

    counts: shape (windows, k), the last bin counts missing values. Text: the share of each bin. Number: the cumulative shares at the first k-1 bins,
    and the mean normal score of the rows that are not missing. Without rows: 0.
    """
    table = np.asarray(counts, dtype=np.float64)
    rows = np.repeat(table.sum(axis=1)[:, None], table.shape[1], axis=1)
    if text:
        return table / np.maximum(rows, 1), rows
    rows[:, -1] -= table[:, -1]
    values = np.cumsum(table, axis=1)
    values[:, -1] = table @ scores
    return values / np.maximum(rows, 1), rows


def row_variance(mean: Floats, *, text: bool, scores: Floats) -> Floats:
    """Variance of one row's contribution to each statistic, shape (k,); 0 where a statistic cannot move."""
    variance = mean * (1 - mean)
    if not text:
        variance[-1] = float(scores.any())
    return np.maximum(variance, 0.0)


def learn_wobble(
    counts: ArrayLike, *, text: bool, starts: ArrayLike | None = None, window_seconds: float = float(DAY_S)
) -> Wobble:
    """Learn from the windows of a reference, in order of time.

    counts: shape (windows, k), the last bin counts missing values. starts: seconds since 1970 at which each window began, for the season; None if
    not known. window_seconds: their length. Few windows make the spread larger, not smaller: it is an upper 80 % confidence bound. Fewer than two: 0.

    >>> learn_wobble([[50, 50, 0], [50, 50, 0], [50, 50, 0]], text=False).spread
    (0.0, 0.0, 0.0)
    """
    table = np.asarray(counts, dtype=np.float64)
    if table.ndim != 2 or (starts is not None and np.shape(starts) != (table.shape[0],)):
        raise BinMismatch("windows and their starts do not fit together")
    held = table.sum(axis=1) > 0
    times = None if starts is None else np.asarray(starts, dtype=np.float64)[held]
    table = table[held]
    windows, width = table.shape
    if windows < 2:
        return Wobble(spread=(0.0,) * width, error=(0.0,) * width, windows=windows)
    total = table.sum(axis=0)
    scores = normal_scores(total) if not text else np.zeros(width)
    values, rows = watched(table, scores, text=text)
    mean = watched(total[None], scores, text=text)[0][0]
    season = None if times is None else _season_of(values - mean, times, window_seconds)
    usual = 0.0 if season is None else season.rows[season.slot]
    parts = 1 if season is None else len(season.rows)
    with np.errstate(divide="ignore"):
        sampling = row_variance(mean, text=text, scores=scores) * np.where(rows > 0, 1 / rows, 1.0).mean(axis=0)
    spread, error, memory = _spread(values - mean - usual, sampling, degrees=max(windows - parts, 1))
    return Wobble(
        spread=_short(np.sqrt(spread)),
        error=_short(np.sqrt(error)),
        persistence=round((1 + memory) / (1 - memory), 3),
        windows=windows,
        period_s=0 if season is None else season.period_s,
        season=() if season is None else tuple(_short(row) for row in season.rows),
    )


def _spread(residual: Floats, sampling: Floats, *, degrees: int) -> tuple[Floats, Floats, float]:
    """Upper bound of the variance between windows, variance of the reference's mean, and the correlation of neighbouring windows.

    Windows that resemble each other are worth fewer degrees of freedom, and their own mean follows them about: the plain estimate is too small.
    """
    windows = residual.shape[0]
    memory = _memory(residual, sampling)
    longer = (1 + memory) / (1 - memory)
    worth = max(degrees * (1 - memory**2) / (1 + memory**2), 0.5)
    followed = 1 / max(1 - longer / windows, 0.25)
    bound = worth / chi_square_quantile(0.2, worth) if worth >= 3 else 10.0
    bound = min(bound, (5.0 if windows >= 20 else 10.0) / followed)
    plain = np.maximum(0.0, (residual**2).sum(axis=0) / degrees - sampling) * followed
    return plain * max(bound, 1.0), plain * min(longer / windows, 1.0), memory


def _memory(residual: Floats, sampling: Floats) -> float:
    """Correlation of neighbouring windows beyond sampling, over all statistics of the feature, on the careful side; 0 where none is to be seen.

    Source: Marriott and Pope 1954 for the bias of the estimate.
    """
    windows = residual.shape[0]
    if windows < 4:
        return 0.0
    each = (residual**2).mean(axis=0)
    beyond, lagged = (
        float(np.maximum(each - sampling, 0.0).sum()),
        float((residual[1:] * residual[:-1]).sum() / windows),
    )
    whole = float(each.sum())
    if whole <= 0 or beyond <= 0 or lagged / whole <= MEMORY_SEEN / windows**0.5 - 1 / windows:
        return 0.0
    found = min(max(lagged / beyond, 0.0), LONGEST_MEMORY)
    found += (1 + 3 * found) / windows + MEMORY_SEEN * ((1 - found**2) / windows) ** 0.5
    return float(min(found, LONGEST_MEMORY))


@dataclass(frozen=True, eq=False)
class _Season:
    """rows: usual distance from the mean, shape (parts, k). slot: the part of each window. left: variance that remains, over all statistics."""

    period_s: int
    rows: Floats
    slot: Ints
    left: float


def part_of(seconds: ArrayLike, period_s: int, parts: int) -> Ints:
    """Which of `parts` equal parts of a period a moment (seconds since 1970) lies in.

    >>> part_of([0, 3600, 90000], 86400, 24).tolist()
    [0, 1, 1]
    """
    within = np.asarray(seconds, dtype=np.float64) % period_s
    return np.asarray(np.minimum((within * parts / period_s).astype(np.int64), parts - 1))


def _season_of(distance: Floats, times: Floats, window_seconds: float) -> _Season | None:
    """The hour of the day, or of the week, or the day of the week, if it explains clearly more than chance would."""
    hour = int(max(HOUR_S, round(window_seconds)))
    day = _fitted(distance, times, period_s=DAY_S, part_s=hour, cycles=3, window_seconds=window_seconds)
    week = _fitted(distance, times, period_s=WEEK_S, part_s=hour, cycles=4, window_seconds=window_seconds)
    if week is not None and (day is None or week.left < 0.8 * day.left):
        return week
    return day


def _fitted(
    distance: Floats, times: Floats, *, period_s: int, part_s: int, cycles: int, window_seconds: float
) -> _Season | None:
    parts = period_s // part_s
    if period_s % part_s or parts < 2 or times[-1] - times[0] + window_seconds < cycles * period_s:
        return None
    slot = part_of(times, period_s, parts)
    # Windows of one hour of one day say one thing about that hour.
    cells, inverse = np.unique(slot * 10**6 + (times // period_s).astype(np.int64), return_inverse=True)
    rows = np.bincount(inverse)
    mean = np.stack([np.bincount(inverse, column) for column in distance.T], axis=1) / rows[:, None]
    part = cells // 10**6
    seen = np.bincount(part, minlength=parts)
    sums = np.stack([np.bincount(part, column, minlength=parts) for column in mean.T], axis=1)
    usual: Floats = np.asarray(sums / np.maximum(seen, 1)[:, None], dtype=np.float64)
    used = int((seen > 0).sum())
    if used < 2 or mean.shape[0] < 2 * used:
        return None
    left = float(((mean - usual[part]) ** 2).sum()) / (mean.shape[0] - used)
    explained = float((usual**2 * seen[:, None]).sum()) / (used - 1)
    if explained <= left * (1 + 4 * (2 / (used - 1)) ** 0.5) or explained <= 0:
        return None
    return _Season(period_s=period_s, rows=usual, slot=slot, left=left)


def _short(values: Floats | NDArray[np.float64]) -> tuple[float, ...]:
    """Six digits are more than the estimates are worth, and keep a profile small."""
    return tuple(round(float(v), 6) for v in values)
