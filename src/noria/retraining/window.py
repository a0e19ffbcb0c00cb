"""What a back-test says of each window and candidate, and how rows are weighted by age. Pure.

Choosing by that is retraining/pool; fitting the back-test's models is loop/training.

Source of the error: that of the paired difference over days, as in the one-standard-error rule of Breiman et al. 1984, section 3.4.3.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import ArrayLike, NDArray

from noria.domain.policy import WindowChoice, WindowEvidence
from noria.errors import EmptySample, InputInvalid
from noria.stats.checks import Floats, block_codes, vector

SIMPLEST_FIRST: tuple[WindowChoice, ...] = ("all", "weighted", "recent", "since_change")
"""All rows: nothing to tune. Weighted: one number (half-life). Recent: throws rows away. Since a change: rests on its date besides."""


def evidence(losses: Mapping[tuple[WindowChoice, str], ArrayLike], blocks: ArrayLike) -> list[WindowEvidence]:
    """What a back-test says: mean loss of each (window, candidate), and the error over days of its difference to the best.

    losses: per row of the same held-back rows, each of shape (n,). blocks: day of each row. Raises EmptySample, InputInvalid.
    """
    if not losses:
        raise EmptySample("a back-test without a combination says nothing")
    rows = {key: vector(values, f"losses of {key}") for key, values in losses.items()}
    if len({values.size for values in rows.values()}) > 1:
        raise InputInvalid("combinations were scored on different rows", remedy="score all on the same held-back rows")
    best = min(rows, key=lambda key: float(rows[key].mean()))
    found = []
    for (window, candidate), values in rows.items():
        error = 0.0 if (window, candidate) == best else difference_error(values - rows[best], blocks)
        found.append(
            WindowEvidence(
                window=window, candidate=candidate, log_loss=float(values.mean()), rows=values.size, error=error
            )
        )
    return found


def difference_error(difference: Floats, blocks: ArrayLike) -> float:
    """Standard error of a mean over blocks (as in stats.intervals.clustered_interval); 0 with one block, which then excuses nothing."""
    codes, groups = block_codes(blocks, difference.size)
    if groups < 2:
        return 0.0
    sums = np.bincount(codes, difference - difference.mean(), minlength=groups) / difference.size
    return float(np.sqrt(groups / (groups - 1) * (sums**2).sum()))


def weights(times: ArrayLike | Sequence[datetime], *, until: datetime, half_life_days: float) -> Floats:
    """Weight of each row by its age at `until`: halves every `half_life_days`, mean 1. times: aware datetimes, or datetime64 in UTC, shape (n,).

    Raises EmptySample, InputInvalid.

    >>> from datetime import UTC
    >>> weights([datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 11, tzinfo=UTC)], until=datetime(2026, 1, 11, tzinfo=UTC), half_life_days=10)
    array([0.66666667, 1.33333333])
    """
    if half_life_days <= 0:
        raise InputInvalid(f"a half-life must be positive, got {half_life_days}")
    ages = _ages(times, until)
    if ages.size == 0:
        raise EmptySample("no row to weight")
    raw = 0.5 ** (ages / half_life_days)
    return np.asarray(raw / raw.mean())


def _ages(times: ArrayLike | Sequence[datetime], until: datetime) -> Floats:
    """Ages in days."""
    array: NDArray[np.generic] = np.asarray(times)
    if array.dtype.kind == "O":
        return np.array([(until - t).total_seconds() / 86400 for t in array.tolist()], dtype=np.float64)
    if array.dtype.kind != "M":
        raise InputInvalid("times must be datetimes", remedy="hand in datetime64 values or aware datetimes")
    end = np.datetime64(until.replace(tzinfo=None) - (until.utcoffset() or timedelta()), "us")
    since = array.astype("datetime64[us]").astype(np.int64)
    return np.asarray((int(end.astype(np.int64)) - since) / 86_400_000_000, dtype=np.float64)
