"""Turn what callers hand in into checked float arrays, or say what is wrong with it. Called by the other files of stats/."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from noria.errors import EmptySample, InputInvalid

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def vector(values: ArrayLike, name: str, *, empty: bool = False) -> Floats:
    """A finite float array of shape (n,). Raises EmptySample for n = 0 (unless `empty`), InputInvalid for another shape, NaN or infinity."""
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1:
        raise InputInvalid(f"{name!r} must have one dimension, it has {array.ndim}")
    if array.size == 0 and not empty:
        raise EmptySample(f"{name!r} holds no value", remedy="hand in at least one row")
    if not np.isfinite(array).all():
        bad = int(np.flatnonzero(~np.isfinite(array))[0])
        raise InputInvalid(f"{name!r} holds {array[bad]} at row {bad}", remedy="leave out rows without a value first")
    return array


def scored(y: ArrayLike, p: ArrayLike, *, empty: bool = False) -> tuple[Floats, Floats]:
    """Labels of 0 and 1 and probabilities in [0, 1], both of shape (n,). Raises EmptySample or InputInvalid."""
    labels, scores = vector(y, "y", empty=empty), vector(p, "p", empty=empty)
    if labels.shape != scores.shape:
        raise InputInvalid(f"'y' has {labels.size} rows and 'p' has {scores.size}")
    if not ((labels == 0) | (labels == 1)).all():
        raise InputInvalid("'y' may hold 0 and 1 only", remedy="encode the label as 0 and 1")
    if (scores < 0).any() or (scores > 1).any():
        raise InputInvalid(
            "'p' must lie in [0, 1]",
            cause=f"it runs from {scores.min():.4g} to {scores.max():.4g}",
            remedy="hand in probabilities, not margins or log odds",
        )
    return labels, scores


def block_codes(blocks: ArrayLike | None, n: int) -> tuple[Ints, int]:
    """Codes 0..g-1 of the blocks (days, say) of n rows, and g. None: every row is its own block. Raises InputInvalid for another length."""
    if blocks is None:
        return np.arange(n, dtype=np.int64), n
    array = np.asarray(blocks)
    if array.shape != (n,):
        raise InputInvalid(f"'blocks' has shape {array.shape}, the sample has {n} rows")
    distinct, codes = np.unique(array, return_inverse=True)
    return codes.astype(np.int64), int(distinct.size)
