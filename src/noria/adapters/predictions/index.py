"""Finds rows by a text id without reading them all: sorted columns of 64-bit hashes. Pure. Called by deployment_log.py and labels.py.

The hashes live in this process only. Two different ids share one with a chance of n squared / 2**65, so whoever must be certain compares the ids.
"""

from collections.abc import Iterable, Sequence
from itertools import pairwise

import numpy as np
import polars as pl

PARTS, SHIFT = 16, np.uint64(60)
SMALL = 100_000
"""Tables of fewer rows are added as they come."""


class HashIndex:
    """A table with the hash of an id in column `h`; several rows may have the same. Kept in layers of which each is more than twice the next,
    so adding a few rows moves few, and a search visits few layers.

    >>> index = HashIndex({"place": pl.Int64})
    >>> index.add(pl.DataFrame({"h": hashes(["a", "b"]), "place": [7, 8]}))
    >>> index.find(["b", "x"])["place"].to_list()
    [8]
    """

    def __init__(self, columns: pl.Schema | dict[str, pl.DataType]) -> None:
        self._empty = pl.DataFrame(schema={"h": pl.UInt64, **columns})
        self._nothing = self._empty.drop("h").with_columns(asked=pl.lit(None, pl.UInt32))
        self._layers: list[pl.DataFrame] = []
        self._base: list[pl.DataFrame] = []

    def add(self, table: pl.DataFrame) -> None:
        """Take up more rows."""
        if table.height:
            self._layers.append(table.select(self._empty.columns).sort("h", maintain_order=True))
        while len(self._layers) > 1 and self._layers[-2].height <= 2 * self._layers[-1].height:
            last = self._layers.pop()
            self._layers[-1] = pl.concat([self._layers[-1], last]).sort("h", maintain_order=True)

    def load(self, tables: Iterable[pl.DataFrame]) -> None:
        """Take up very many rows into an empty index, by the upper bits of their hash: never more than they and a small part of them in memory."""
        if len(self):
            raise ValueError("only an empty index can be loaded")
        parts: list[list[pl.DataFrame]] = [[] for _ in range(PARTS)]
        for table in tables:
            rows = table.select(self._empty.columns)
            if rows.height < SMALL:
                self.add(rows)
                continue
            top = pl.Series(rows["h"].to_numpy() >> SHIFT)
            for place, part in enumerate(parts):
                part.append(rows.filter(top == place))
        if parts[0]:
            self._base = []
            for part in parts:
                self._base.append(pl.concat(part).sort("h", maintain_order=True))
                part.clear()

    def find(self, ids: Sequence[str] | pl.Series) -> pl.DataFrame:
        """Rows of those ids that are here, without `h` and with `asked`, the place in `ids`; of one id in the order in which they were added."""
        asked = hashes(ids).to_numpy()
        order = np.argsort(asked).astype(np.uint32)
        asked = asked[order]
        found = [_found(layer, asked, order) for layer in self._layers]
        if self._base:
            cuts = np.searchsorted(asked, np.arange(1, PARTS, dtype=np.uint64) << SHIFT)
            bounds = [0, *cuts.tolist(), asked.size]
            found = [
                _found(layer, asked[low:high], order[low:high])
                for layer, (low, high) in zip(self._base, pairwise(bounds), strict=True)
            ] + found
        rows = pl.concat([self._nothing, *(rows for rows in found if rows is not None)])
        return rows.sort("asked", maintain_order=True)

    def table(self) -> pl.DataFrame:
        """All rows, in no order."""
        return pl.concat([self._empty, *self._base, *self._layers])

    def __len__(self) -> int:
        return sum(layer.height for layer in (*self._base, *self._layers))


def hashes(ids: Sequence[str] | pl.Series, *, seed: int = 0) -> pl.Series:
    """The 64-bit hash of each id, the same for the same text as long as this process lives. Another seed gives another, independent hash."""
    texts = ids if isinstance(ids, pl.Series) else pl.Series(ids, dtype=pl.String)
    return texts.hash(seed=seed).alias("h")


def _found(layer: pl.DataFrame, asked: np.ndarray, place: np.ndarray) -> pl.DataFrame | None:
    """Rows of a layer whose hash is asked for. asked: rising; place: of each in what was asked."""
    # numpy and not polars: a search of some thousand hashes is over before a pool of threads has woken up. In order, for the cache's sake.
    held = layer["h"].to_numpy()
    low = np.searchsorted(held, asked, side="left")
    hit = low < held.size
    hit[hit] = held[low[hit]] == asked[hit]
    if not hit.any():
        return None
    low, place = low[hit], place[hit]
    many = np.searchsorted(held, asked[hit], side="right") - low
    places = np.repeat(low - np.cumsum(many) + many, many) + np.arange(int(many.sum()))
    return layer[places].drop("h").with_columns(asked=pl.Series(np.repeat(place, many)))
