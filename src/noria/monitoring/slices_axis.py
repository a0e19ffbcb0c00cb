"""Cut a column into bins that a person can read, so that groups of rows can be searched: numbers by quantiles, text by its most frequent values.

A profile's bins (monitoring/profile) describe what a model saw when it learnt; these describe the rows at hand. Called by slices, blame and anomaly.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import msgspec
import numpy as np
from numpy.typing import ArrayLike, NDArray

from noria.errors import EmptySample, InputInvalid
from noria.monitoring.profile import is_missing, is_text
from noria.stats.checks import Floats, Ints

FEW_VALUES = 12
"""A number with at most this many distinct values is cut between each two of them."""


class Condition(msgspec.Struct, frozen=True, kw_only=True):
    """A claim about one column of a row. Numbers: above < value <= upto, None for no limit. Text: `value`; state 'other': none of the frequent ones.

    >>> print(Condition(column="price", above=20.0, upto=60.0))
    20 < price <= 60
    >>> print(Condition(column="shop", value="web"))
    shop = 'web'
    """

    column: str
    above: float | None = None
    upto: float | None = None
    value: str | None = None
    state: Literal["is", "other", "missing"] = "is"

    def __str__(self) -> str:
        if self.state == "missing":
            return f"{self.column} is missing"
        if self.state == "other":
            return f"{self.column} is a rare value"
        if self.value is not None:
            return f"{self.column} = {self.value!r}"
        if self.above is None:
            return f"{self.column} <= {self.upto:g}" if self.upto is not None else f"{self.column} is known"
        if self.upto is None:
            return f"{self.column} > {self.above:g}"
        return f"{self.above:g} < {self.column} <= {self.upto:g}"


@dataclass(frozen=True, eq=False, kw_only=True)
class Axis:
    """The bins of one column. Numbers: k edges make k + 1 bins, value <= edge falls left. Text: `values`, then one bin for all others.

    The last bin holds missing values.
    """

    name: str
    kind: Literal["number", "text"]
    edges: tuple[float, ...] = ()
    values: tuple[str, ...] = ()

    @property
    def bins(self) -> int:
        """How many bins there are, the one for missing values included."""
        return (len(self.edges) + 2) if self.kind == "number" else (len(self.values) + 2)

    def codes(self, column: ArrayLike) -> Ints:
        """The bin of each row, shape (n,). Raises InputInvalid when text stands where numbers stood."""
        array = np.asarray(column)
        missing = self.bins - 1
        if self.kind == "number":
            numbers = as_numbers(self.name, array)
            found = np.searchsorted(np.asarray(self.edges), numbers, side="left").astype(np.int64)
            found[np.isnan(numbers)] = missing
            return found
        place = {value: i for i, value in enumerate(self.values)}
        other = missing - 1
        coded = [missing if is_missing(v) else place.get(str(v), other) for v in array.tolist()]
        return np.asarray(coded, dtype=np.int64)

    def condition(self, first: int, last: int) -> Condition:
        """What the bins first..last mean, for text always one bin."""
        if first == self.bins - 1:
            return Condition(column=self.name, state="missing")
        if self.kind == "text":
            if first >= len(self.values):
                return Condition(column=self.name, state="other")
            return Condition(column=self.name, value=self.values[first])
        above = self.edges[first - 1] if first > 0 else None
        upto = self.edges[last] if last < len(self.edges) else None
        return Condition(column=self.name, above=above, upto=upto)

    def ranges(self) -> list[tuple[int, int]]:
        """Groups of bins worth a look: runs of neighbouring bins of a number (not all of them), single values of a text, and what is missing."""
        missing = self.bins - 1
        if self.kind == "text":
            return [(i, i) for i in range(self.bins)]
        runs = [(i, j) for i in range(missing) for j in range(i, missing) if (i, j) != (0, missing - 1)]
        return [*runs, (missing, missing)]


def as_numbers(name: str, array: NDArray[Any]) -> Floats:
    """A column as floats, None as NaN. Raises InputInvalid for text."""
    try:
        return array.astype(np.float64)
    except (TypeError, ValueError) as exc:
        raise InputInvalid(f"the column {name!r} holds text among its numbers", cause=str(exc)) from exc


def axis_of(name: str, column: ArrayLike, *, bins: int = 6, top: int = 15) -> Axis:
    """Cut one column. bins: how many a number gets, by equal mass; top: how many values of a text stand for themselves.

    Edges are the shortest decimals that separate the same rows. Raises EmptySample for no rows.

    >>> axis_of("price", [1.02, 2.03, 4.97]).edges
    (2.0, 4.0)
    """
    array = np.asarray(column)
    if array.ndim != 1:
        raise InputInvalid(f"the column {name!r} has {array.ndim} dimensions", remedy="analyse embeddings as such")
    if array.size == 0:
        raise EmptySample(f"the column {name!r} has no rows")
    if array.dtype.kind == "b" or is_text(array):
        known = Counter(str(v) for v in array.tolist() if not is_missing(v))
        ranked = sorted(known.items(), key=lambda item: (-item[1], item[0]))
        return Axis(name=name, kind="text", values=tuple(v for v, _ in ranked[:top]))
    return Axis(name=name, kind="number", edges=_edges(as_numbers(name, array), bins))


def axes_of(columns: Mapping[str, ArrayLike], *, bins: int = 6, top: int = 15) -> list[Axis]:
    """An axis for every column that takes at least two bins; a constant column cannot tell rows apart."""
    found = [axis_of(name, values, bins=bins, top=top) for name, values in columns.items()]
    return [axis for axis in found if np.unique(axis.codes(columns[axis.name])).size > 1]


def _edges(numbers: Floats, bins: int) -> tuple[float, ...]:
    distinct, counts = np.unique(numbers[np.isfinite(numbers)], return_counts=True)
    if distinct.size < 2:
        return ()
    if distinct.size <= FEW_VALUES:
        at = np.arange(distinct.size - 1)
    else:
        share = np.cumsum(counts) / counts.sum()
        at = np.unique(np.searchsorted(share, np.linspace(0, 1, bins + 1)[1:-1] - 1e-12))
        at = at[at < distinct.size - 1]
    return tuple(short_between(float(distinct[i]), float(distinct[i + 1])) for i in at)


def short_between(low: float, high: float) -> float:
    """The decimal with the fewest digits in [low, high), for two finite numbers with low < high.

    >>> short_between(59.98, 60.31), short_between(0.0, 1.0), short_between(-3.2, -3.1)
    (60.0, 0.0, -3.2)
    """
    for digits in range(1, 18):
        for near in (high, low, low + (high - low) / 2):
            found = float(f"{near:.{digits}g}")
            if low <= found < high:
                return found
    return low
