"""Points that an older Noria kept one a row are the same points after they were packed, in series of any length."""

import contextlib
import sqlite3
from pathlib import Path

import pytest

from noria.adapters.metadata import rules
from noria.adapters.metadata.sql.migrations.upgrade import upgrade
from noria.adapters.metadata.sqlite import open_store
from noria.adapters.metadata.sqlite.connection import connect
from noria.adapters.metadata.sqlite.open import APPLICATION_ID
from noria.domain.run import Metric
from noria.testing.runs_suite import a_run
from noria.testing.series_suite import ODD_VALUES, A, a_walk, check_chart, exact
from noria.wire.nouns import pack

LENGTHS = (1, 255, 256, 1023, 1024, 1025, 1280, 5000)


def an_older_store(path: Path, points: list[Metric]) -> None:
    """A store of revision 0001 with one run."""
    with contextlib.closing(connect(path)) as connection:
        upgrade(connection, application_id=APPLICATION_ID, to="0001")
        run = pack(
            {"id": "a", "experiment": "trees", "name": "a", "status": "running", "started_at": a_run().started_at}
        )
        connection.execute("BEGIN")
        connection.execute("INSERT INTO projects (name) VALUES ('p')")
        connection.execute("INSERT INTO runs VALUES (7, 1, 'a', 'trees', 'running', 0, ?, ?)", (run, run))
        for key in dict.fromkeys(point.key for point in points):
            rows = sorted(
                (point.step, rules.micros(point.at), rules.float_bits(point.value))
                for point in points
                if point.key == key
            )
            number = connection.execute(
                'INSERT INTO series (project, run, "key", step, at, bits) VALUES (1, 7, ?, ?, ?, ?) RETURNING id',
                (key, *rows[-1]),
            ).fetchone()[0]
            connection.copy("points", ("series", "step", "at", "bits"), [(number, *row) for row in rows])
        connection.execute("COMMIT")


def test_points_of_an_older_store_are_the_same_points_and_go_on(tmp_path):
    path = tmp_path / "meta.db"
    walks = {f"n{length}": a_walk(length, key=f"n{length}", numbers=0.9) for length in LENGTHS}
    odd = [Metric(key="odd", value=v, step=n - 5, at=a_run().started_at) for n, v in enumerate(ODD_VALUES)]
    an_older_store(path, [*(point for walk in walks.values() for point in walk), *odd])

    with contextlib.closing(open_store(str(path), project="p")) as store:
        for key, walk in walks.items():
            assert exact(store.series.history(A, key)) == exact(walk)
            check_chart(store.series.chart(A, key, buckets=30), walk, 30)
            store.runs.log_metrics(A, walk[-300:])
        assert exact(store.series.history(A, "odd")) == exact(odd)
        heads = {head.key: (head.count, *exact([head.last])) for head in store.series.heads(A)}
        assert heads == {key: (len(walk), *exact(walk[-1:])) for key, walk in {**walks, "odd": odd}.items()}


@pytest.mark.parametrize("key", ["n1", "n5000"])
def test_a_search_sorts_by_the_last_value_of_an_older_series(tmp_path, key):
    path = tmp_path / "meta.db"
    walk = a_walk(int(key[1:]), key=key)
    an_older_store(path, walk)
    open_store(str(path), project="p").close()

    with contextlib.closing(sqlite3.connect(path)) as raw:
        assert raw.execute("SELECT value, is_nan FROM series").fetchall() == [(walk[-1].value, 0)]
