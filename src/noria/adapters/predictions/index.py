"""Finds rows by a text id without reading them all: sorted columns of 64-bit hashes. Pure. Called by deployment_log.py and labels.py.

The hashes live in this process only. Two different ids share one with a chance of n squared / 2**65, so whoever must be certain compares the ids.
"""

from collections.abc import Sequence

import numpy as np
import polars as pl


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

    def add(self, table: pl.DataFrame) -> None:
        """Take up more rows."""
        if table.height:
            self._layers.append(table.select(self._empty.columns).sort("h", maintain_order=True))
        while len(self._layers) > 1 and self._layers[-2].height <= 2 * self._layers[-1].height:
            last = self._layers.pop()
            self._layers[-1] = pl.concat([self._layers[-1], last]).sort("h", maintain_order=True)

    def find(self, ids: Sequence[str] | pl.Series) -> pl.DataFrame:
        """Rows of those ids that are here, without `h` and with `asked`, the place in `ids`; of one id in the order in which they were added."""
        asked = hashes(ids).to_numpy()
        found = [_found(layer, asked) for layer in self._layers]
        return pl.concat([self._nothing, *(rows for rows in found if rows is not None)])

    def table(self) -> pl.DataFrame:
        """All rows, in no order."""
        return pl.concat([self._empty, *self._layers])

    def __len__(self) -> int:
        return sum(layer.height for layer in self._layers)


def hashes(ids: Sequence[str] | pl.Series, *, seed: int = 0) -> pl.Series:
    """The 64-bit hash of each id, the same for the same text as long as this process lives. Another seed gives another, independent hash."""
    texts = ids if isinstance(ids, pl.Series) else pl.Series(ids, dtype=pl.String)
    return texts.hash(seed=seed).alias("h")


def _found(layer: pl.DataFrame, asked: np.ndarray) -> pl.DataFrame | None:
    # numpy and not polars: a search of some thousand hashes is over before a pool of threads has woken up. In order, for the cache's sake.
    held, order = layer["h"].to_numpy(), np.argsort(asked)
    low = np.searchsorted(held, asked[order], side="left")
    hit = low < held.size
    hit[hit] = held[low[hit]] == asked[order[hit]]
    if not hit.any():
        return None
    order, low = order[hit], low[hit]
    many = np.searchsorted(held, asked[order], side="right") - low
    places = np.repeat(low - np.cumsum(many) + many, many) + np.arange(int(many.sum()))
    rows = layer[places].drop("h").with_columns(asked=pl.Series(np.repeat(order, many).astype(np.uint32)))
    return rows.sort("asked", maintain_order=True)
