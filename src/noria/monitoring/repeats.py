"""Find rows that repeat another row, by a 64-bit digest of each. Pure arrays. Called by profile.py and profile_windows.py."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from noria.monitoring.profile_bins import Coded, Values, is_missing
from noria.stats.checks import Ints

TOGETHER = 1 << 16
"""So many values of several columns are mixed in one call."""

_ODD = np.uint64(0x9E3779B97F4A7C15)


def repeated_rows(columns: Mapping[str, Values], windows: Ints) -> NDArray[np.bool_] | None:
    """Whether each row equals an earlier row of its window in every column, shape (n,); None for no columns.

    windows: shape (n,), the window of each row. NaN equals NaN here. Two different rows are taken for equal once in about 2**64 pairs.

    >>> repeated_rows({"x": [1.0, 2.0, 1.0]}, np.zeros(3, dtype=np.int64)).tolist()
    [False, False, True]
    """
    if not columns:
        return None
    digest = _mixed(windows.astype(np.uint64))
    held = list(columns.values())
    together = max(1, TOGETHER // max(windows.size, 1))
    for first in range(0, len(held), together):
        digits = np.stack([_digits(values) for values in held[first : first + together]])
        digits += np.arange(first + 1, first + 1 + len(digits), dtype=np.uint64)[:, None] * _ODD
        digest += _mixed(digits).sum(axis=0, dtype=np.uint64)
    order = np.argsort(digest, kind="stable")
    ordered = digest[order]
    repeated = np.zeros(digest.size, dtype=bool)
    repeated[order[1:]] = ordered[1:] == ordered[:-1]
    return repeated


def _mixed(digest: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Spread every bit over all others, in place. Source: the finisher of SplitMix64 (Steele, Lea and Flood 2014)."""
    digest ^= digest >> np.uint64(30)
    digest *= np.uint64(0xBF58476D1CE4E5B9)
    digest ^= digest >> np.uint64(27)
    digest *= np.uint64(0x94D049BB133111EB)
    digest ^= digest >> np.uint64(31)
    return digest


def _digits(values: Values) -> NDArray[np.uint64]:
    """64 bits for each value, the same for the same value."""
    if isinstance(values, Coded):
        return values.codes.view(np.uint64)
    array = np.asarray(values)
    if array.dtype.kind == "f":
        bits = array.astype(np.float64) + 0.0  # one zero, not two
        bits[np.isnan(bits)] = np.nan
        return bits.view(np.uint64)
    if array.dtype.kind in "biuMm":
        return array.astype(np.int64).view(np.uint64)
    # repr and not the value: 1, True and "1" are not the same thing, and what cannot be a key of a dict has one too.
    names = array.tolist()
    if not set(map(type, names)) <= {str, type(None)}:
        names = [None if is_missing(v) else v if isinstance(v, str) else "\0" + repr(v) for v in names]
    code = {value: hash(value) & 0xFFFFFFFFFFFFFFFF for value in set(names)}
    return np.fromiter(map(code.__getitem__, names), dtype=np.uint64, count=len(names))
