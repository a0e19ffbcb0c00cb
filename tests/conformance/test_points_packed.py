"""How the SQL stores keep points: as packed chunks that never overlap, with few rows waiting beside them, whatever order the points come in."""

import contextlib
import sqlite3
from itertools import pairwise
from pathlib import Path
from random import Random

import pytest

from noria.adapters.metadata.sqlite import open_store
from noria.domain.run import Metric
from noria.testing.runs_suite import NOON, a_run
from noria.testing.series_suite import A, a_walk

CURVE = a_walk(12_000)


def one_by_one(points: list[Metric]) -> list[list[Metric]]:
    return [[point] for point in points[:1200]]


def in_small_batches(points: list[Metric]) -> list[list[Metric]]:
    return [points[start : start + 70] for start in range(0, 12_000, 70)]


def in_large_batches(points: list[Metric]) -> list[list[Metric]]:
    return [points[start : start + 1000] for start in range(0, 12_000, 1000)]


def by_turns(points: list[Metric]) -> list[list[Metric]]:
    """As four writers would bring them."""
    return [points[start + n : start + 2000 : 4] for start in range(0, 12_000, 2000) for n in range(4)]


def backwards(points: list[Metric]) -> list[list[Metric]]:
    return in_large_batches(points)[::-1]


def shuffled(points: list[Metric]) -> list[list[Metric]]:
    mixed = points[:]
    Random(5).shuffle(mixed)
    return in_large_batches(mixed)


def rows(path: Path, sql: str) -> list[tuple]:
    with contextlib.closing(sqlite3.connect(path)) as raw:
        return raw.execute(sql).fetchall()


@pytest.mark.parametrize("way", [one_by_one, in_small_batches, in_large_batches, by_turns, backwards, shuffled])
def test_chunks_never_overlap_and_rows_and_counts_agree(tmp_path, way):
    path = tmp_path / "meta.db"
    with contextlib.closing(open_store(str(path), project="p")) as store:
        store.runs.create(a_run())
        for batch in way(CURVE):
            store.runs.log_metrics(A, batch)

    chunks = rows(
        path,
        "SELECT first_step, first_at, first_bits, last_step, last_at, last_bits, count FROM chunks ORDER BY 1, 2, 3",
    )
    assert all(before[3:6] < after[:3] for before, after in pairwise(chunks))
    [(count, tail)] = rows(path, "SELECT count, tail FROM series")
    assert rows(path, "SELECT count(*) FROM tails") == [(tail,)]
    assert sum(chunk[6] for chunk in chunks) + tail == count == sum(map(len, way(CURVE)))
    assert rows(path, "SELECT count(*) FROM packs") == [(len(chunks),)]
    if way is not shuffled:  # scattered points wait until several fall into one chunk
        assert tail < 256


def test_the_end_of_a_run_packs_what_waits(tmp_path):
    path = tmp_path / "meta.db"
    with contextlib.closing(open_store(str(path), project="p")) as store:
        store.runs.create(a_run())
        store.runs.log_metrics(A, [*a_walk(100), *a_walk(5, key="few")])

        store.runs.finish(A, status="finished", at=NOON)

    assert rows(path, 'SELECT "key", count, tail FROM series ORDER BY 1') == [("few", 5, 5), ("loss", 100, 0)]
    assert rows(path, "SELECT count(*) FROM tails") == [(5,)]


def test_purging_a_run_removes_every_row_of_its_points(tmp_path):
    path = tmp_path / "meta.db"
    with contextlib.closing(open_store(str(path), project="p")) as store:
        for name in ("a", "b"):
            store.runs.create(a_run(name))
            store.runs.log_metrics(a_run(name).id, [*a_walk(1500), *a_walk(5, key="few")])
        before = {
            table: rows(path, f"SELECT count(*) FROM {table}")[0][0] for table in ("series", "chunks", "packs", "tails")
        }
        store.runs.trash([A], at=NOON)

        store.runs.purge([A])

    assert {table: 2 * rows(path, f"SELECT count(*) FROM {table}")[0][0] for table in before} == before


def test_a_training_curve_takes_less_than_twelve_bytes_a_point(tmp_path):
    path = tmp_path / "meta.db"
    with contextlib.closing(open_store(str(path), project="p")) as store:
        store.runs.create(a_run())
    empty = path.stat().st_size
    with contextlib.closing(open_store(str(path), project="p")) as store:
        for start in range(0, 100_000, 10_000):
            store.runs.log_metrics(A, a_walk(10_000, first_step=start))

    assert (path.stat().st_size - empty) / 100_000 < 12
