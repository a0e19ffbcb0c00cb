"""The index of a book against a plain dictionary: many rows of one id, ids that are not there, layers of any size."""

import numpy as np
import polars as pl
import pytest

from noria.adapters.predictions.book import Book
from noria.adapters.predictions.columns import TIME
from noria.adapters.predictions.index import HashIndex, hashes


@pytest.mark.parametrize("seed", range(5))
def test_rows_are_found_in_the_order_in_which_they_were_added(seed: int) -> None:
    dice = np.random.default_rng(seed)
    index, plain = HashIndex({"place": pl.Int64}), {}
    for place in range(12):
        ids = [f"r{n}" for n in dice.integers(0, 40, int(dice.integers(0, 30)))]
        places = [place * 100 + n for n in range(len(ids))]
        index.add(pl.DataFrame({"h": hashes(ids), "place": pl.Series(places, dtype=pl.Int64)}))
        for name, at in zip(ids, places, strict=True):
            plain.setdefault(name, []).append(at)
    asked = [f"r{n}" for n in dice.permutation(60)]

    found = index.find(asked)

    got = {}
    for name, place in zip([asked[n] for n in found["asked"]], found["place"], strict=True):
        got.setdefault(name, []).append(place)
    assert {name: sorted(places) for name, places in got.items()} == {n: plain[n] for n in asked if n in plain}
    assert len(index) == sum(map(len, plain.values()))
    assert index.find([]).height == 0


def test_a_slim_book_says_what_a_whole_one_says(tmp_path) -> None:
    schema = {"name": pl.String, "at": TIME, "value": pl.Float64}
    books = [Book(tmp_path / str(slim), kind=b"TEST", schema=schema, by="name", slim=slim) for slim in (False, True)]
    for book in books:
        for start in (0, 30):
            with book.writing():
                rows = range(start, start + 40)
                book.append({"name": [f"n{n % 50}" for n in rows], "at": list(rows), "value": [n / 2 for n in rows]})
            if not start:
                book.compact(at_least=0)
    whole, slim = books

    with whole.reading(), slim.reading():
        asked = ["n3", "n40", "n3", "none"]
        assert (
            slim.find(asked).drop("_written").select(*schema).equals(whole.find(asked).drop("_written").select(*schema))
        )
        assert slim.placed(pl.Series(["none"])).height == 0
    assert slim.everything().drop("_written").equals(whole.everything().drop("_written"))
    assert slim.everything()["value"].to_list() == [n / 2 for n in (*range(40), *range(30, 70))]


def test_a_loaded_index_finds_what_one_that_grew_finds() -> None:
    dice = np.random.default_rng(9)
    tables = []
    for place, rows in enumerate((120_000, 50, 100_000)):
        ids = pl.Series([f"r{n}" for n in dice.integers(0, 150_000, rows)])
        tables.append(pl.DataFrame({"h": hashes(ids), "place": np.arange(rows) + place * 1_000_000}))
    grown, loaded = HashIndex({"place": pl.Int64}), HashIndex({"place": pl.Int64})
    for table in tables:
        grown.add(table)

    loaded.load(iter(tables))
    later = pl.DataFrame({"h": hashes(["r7", "r8"]), "place": [-1, -2]})
    for index in (grown, loaded):
        index.add(later)

    asked = [f"r{n}" for n in dice.permutation(200_000)[:5000]] + ["r7"]
    found, other = (index.find(asked).sort("asked", "place") for index in (loaded, grown))
    assert found.equals(other)
    assert -1 in found["place"].to_list()
    assert len(loaded) == len(grown) == 220_052
    assert loaded.table().sort("place").equals(grown.table().sort("place"))
    with pytest.raises(ValueError, match="empty"):
        loaded.load([])
