"""The bin of each value: cut points of a number, places of a text, what is missing and what has another type. Pure arrays.

Profiles are made in profile.py, windows counted in profile_windows.py. Called by both.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from zlib import crc32

import numpy as np
from numpy.typing import ArrayLike, NDArray

from noria.domain.profile import FeatureBins
from noria.stats.checks import Floats, Ints

KNOWN_VALUES = 16_384
"""Values of a text that are remembered beside those with a bin: 64 KB. Of a column with more, the most frequent are."""


LEAST_ROWS = 5
"""Rows that a value needs for a bin of its own: which are the most frequent of those that occur less often is chance, and others come later."""

MANY = 4096
"""From so many numbers on, one comparison with each cut is faster than a search for each number."""


@dataclass(frozen=True, eq=False)
class Coded:
    """A column of texts, read once: the place of each row's value among `values`, which are all different; None is missing. codes: shape (n,)."""

    codes: Ints
    values: tuple[str | None, ...]

    @classmethod
    def of(cls, texts: Sequence[str | None]) -> "Coded":
        """Read a column.

        >>> Coded.of(["a", None, "a"]).codes.tolist() in ([0, 1, 0], [1, 0, 1])
        True
        """
        values = tuple(set(texts))
        place = {value: i for i, value in enumerate(values)}
        return cls(np.fromiter(map(place.__getitem__, texts), dtype=np.int64, count=len(texts)), values)

    def __len__(self) -> int:
        return self.codes.size

    def written(self) -> NDArray[Any]:
        """The text of each row, as objects of shape (n,)."""
        found = np.empty(len(self.values), dtype=object)
        found[:] = self.values
        return found[self.codes]

    def take(self, rows: NDArray[Any]) -> "Coded":
        """The rows of a mask or of positions; a value may then occur nowhere."""
        return Coded(self.codes[rows], self.values)


Values = ArrayLike | Coded
"""A column: an array of numbers or objects, or texts that were read before."""


def is_text(array: NDArray[Any]) -> bool:
    """Whether a column is counted by value. Numbers, booleans, times and object columns that hold no text are not."""
    if array.dtype.kind in "biufMm":
        return False
    if array.dtype.kind == "O":
        return any(isinstance(v, str) for v in array.tolist())
    return True


def is_missing(value: object) -> bool:
    """None and NaN. An empty text is a value."""
    return value is None or (isinstance(value, float) and math.isnan(value))


def as_numbers(values: ArrayLike) -> tuple[Floats, int]:
    """A column as floats of shape (n,), and how many of its values are no numbers. Text that reads as one is read; the rest is NaN.

    Times become seconds since 1970.

    >>> as_numbers(["1.5", "many", None])
    (array([1.5, nan, nan]), 2)
    """
    array = np.asarray(values)
    if array.dtype.kind in "biuf":
        return array.astype(np.float64, copy=False), 0
    if array.dtype.kind in "Mm":
        seconds = array.astype(array.dtype.str[:2] + "[us]").astype(np.int64) / 1e6
        return np.where(np.isnat(array), np.nan, seconds), 0
    if array.dtype.kind == "O":
        try:
            if not is_text(array):
                return array.astype(np.float64), 0
        except (TypeError, ValueError, OverflowError):
            pass
    read, wrong = np.empty(array.size), 0
    for i, value in enumerate(array.tolist()):
        read[i], mistyped = _number(value)
        wrong += mistyped
    return read, wrong


def _number(value: object) -> tuple[float, bool]:
    """A value as a float, and whether it is of another type."""
    if is_missing(value):
        return math.nan, False
    mistyped = not isinstance(value, (int, float, np.number, np.bool_))
    try:
        return float(value), mistyped  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return math.nan, True


def in_order(numbers: Floats) -> Floats:
    """The values that are not missing, rising; infinities at the ends."""
    missing = np.isnan(numbers)
    return np.sort(numbers[~missing] if missing.any() else numbers)


def most_frequent(ordered: Floats) -> float:
    """Share of the most frequent of values in order; 0 for none.

    >>> most_frequent(np.array([1.0, 2.0, 2.0, 3.0]))
    0.5
    """
    if not ordered.size:
        return 0.0
    ends = np.append(np.flatnonzero(ordered[1:] != ordered[:-1]), ordered.size - 1)
    return float(np.diff(ends, prepend=-1).max() / ordered.size)


def cut_points(ordered: Floats, cuts: int) -> tuple[float, ...]:
    """Cuts between values (from `in_order`), never on one (a value that went through float32 stays in its bin), with one just outside either end."""
    ordered = ordered[np.searchsorted(ordered, -np.inf, side="right") : np.searchsorted(ordered, np.inf)]
    if ordered.size == 0:
        return ()
    with np.errstate(over="ignore"):
        low = np.nextafter(np.float32(ordered[0]), np.float32(-np.inf))
        high = np.nextafter(np.float32(ordered[-1]), np.float32(np.inf))
    # What float32 cannot hold never went through it.
    ends = [
        float(low if np.isfinite(low) else np.nextafter(ordered[0], -np.inf)),
        float(high if np.isfinite(high) else np.nextafter(ordered[-1], np.inf)),
    ]
    share = np.arange(1, ordered.size + 1) / ordered.size
    value = ordered[np.searchsorted(share, np.linspace(0, 1, cuts + 1)[1:-1] - 1e-12)]
    after = np.searchsorted(ordered, value, side="right")
    value, after = value[after < ordered.size], after[after < ordered.size]
    inner = value + (ordered[after] - value) / 2
    points = np.unique(np.concatenate([ends, inner]))
    return tuple(float(c) for c in points[np.isfinite(points)])


def number_bins(numbers: Floats, cuts: Sequence[float]) -> Ints:
    """The bin of each value: how many cuts lie below it; missing values get the last bin. Shape (n,)."""
    where: Ints
    if numbers.size < MANY or len(cuts) > np.iinfo(np.uint8).max:
        where = np.searchsorted(np.asarray(cuts, dtype=np.float64), numbers, side="left").astype(np.int64)
    else:
        below = np.zeros(numbers.size, dtype=np.uint8)
        with np.errstate(invalid="ignore"):
            for cut in cuts:
                below += numbers > cut
        where = below.astype(np.int64)
    where[np.isnan(numbers)] = len(cuts) + 1
    return where


def as_texts(values: Values) -> tuple[Coded, int]:
    """A column as texts, None for missing, and how many of its values are of another type (all of a column of numbers).

    >>> texts, wrong = as_texts(["a", None, 3])
    >>> [texts.values[i] for i in texts.codes], wrong
    (['a', None, '3'], 1)
    """
    if isinstance(values, Coded):
        return values, 0
    array = np.asarray(values)
    items = array.tolist() if array.dtype.kind != "S" else [str(v) for v in array.tolist()]
    if set(map(type, items)) <= {str, type(None)}:
        return Coded.of(items), 0
    wrong = 0
    texts: list[str | None] = []
    for value in items:
        if isinstance(value, str):
            texts.append(value)
        elif is_missing(value):
            texts.append(None)
        else:
            texts.append(str(value))
            wrong += 1
    return Coded.of(texts), wrong


def text_bins(feature: FeatureBins, texts: Coded) -> Ints:
    """The bin of each value: its own, that of the other known values, that of values the reference did not hold, or that of missing. Shape (n,)."""
    last = len(feature.counts) - 1
    place: dict[str | None, int] = {value: i for i, value in enumerate(feature.categories)}
    place[None] = last
    new = [value for value in texts.values if value not in place]
    known = is_known(feature.known, new) if feature.has_unseen else np.ones(len(new), dtype=bool)
    other = len(feature.categories)
    place.update(zip(new, np.where(known, other, last - 1).tolist(), strict=True))
    bins = np.array([place[value] for value in texts.values], dtype=np.int64)
    return bins[texts.codes]


def digests_of(values: Iterable[str | None]) -> NDArray[np.uint32]:
    """A 32-bit digest of each value: enough to tell 16,384 known values from a strange one, which is taken for known once in 260,000 times."""
    return np.array([crc32(str(value).encode("utf-8", "surrogatepass")) for value in values], dtype=np.uint32)


def is_known(known: bytes, values: Sequence[str | None]) -> NDArray[np.bool_]:
    """Whether the digest of each value is among sorted ones. Shape (n,)."""
    held = np.frombuffer(known, dtype="<u4")
    if held.size == 0:
        return np.zeros(len(values), dtype=bool)
    asked = digests_of(values)
    at = np.minimum(np.searchsorted(held, asked), held.size - 1)
    return np.asarray(held[at] == asked)


def describe_text(texts: Coded, *, codes: Ints, groups: int, top: int) -> tuple[FeatureBins, Ints]:
    """The bins of a text (without counts), and the bin of each row of the reference itself.

    A value that occurs in one of several windows only is unseen there: had that window come later, nobody would have known it. With one window,
    a value that occurs once. So the reference says how many unseen values are usual, and a column of ever new ids is no news.
    """
    times = np.bincount(texts.codes, minlength=len(texts.values))
    tally = {value: n for value, n in zip(texts.values, times.tolist(), strict=True) if n and value is not None}
    ranked = sorted(tally, key=lambda value: (-tally[value], str(value)))
    top = min(top, sum(1 for value in ranked[:top] if tally[value] >= LEAST_ROWS))
    categories, rest = ranked[:top], ranked[top : top + KNOWN_VALUES]
    code: dict[str | None, int] = {value: i for i, value in enumerate(ranked)}
    row = np.array([code.get(value, len(ranked)) for value in texts.values], dtype=np.int64)[texts.codes]
    held, window = np.divmod(_pairs(row, codes, width=len(ranked) + 1, groups=groups), groups)
    spread = np.bincount(held if groups > 1 else row, minlength=len(ranked) + 1)
    distinct = np.bincount(window[held < len(ranked)], minlength=groups)
    rank = np.arange(len(ranked) + 1)
    other, unseen, missing = len(categories), len(categories) + 1, len(categories) + 2
    bin_of = np.where(rank < len(categories), rank, np.where((spread > 1) & (rank < top + KNOWN_VALUES), other, unseen))
    bin_of[-1] = missing
    digests = np.unique(digests_of(rest)).astype("<u4").tobytes()
    feature = FeatureBins(
        name="",
        kind="text",
        categories=tuple(str(v) for v in categories),
        counts=(0,) * (missing + 1),
        known=digests,
        common=tally[ranked[0]] / sum(tally.values()) if ranked else 0.0,
        steady=float((distinct == 1).mean()),
    )
    return feature, bin_of[row].astype(np.int64)


def _pairs(row: Ints, codes: Ints, *, width: int, groups: int) -> Ints:
    """The pairs of a value and a window that occur, each once, as value * groups + window, rising."""
    both = row * groups + codes
    if width * groups > 4 * row.size:
        return np.unique(both)
    return np.flatnonzero(np.bincount(both, minlength=width * groups))
