"""Points whose bytes were cut, changed, swapped or lost are reported with run and key; nothing wrong is drawn, and other series are as they were."""

import contextlib
import sqlite3

import pytest

from noria.adapters.metadata.sqlite import open_store
from noria.errors import StoreCorrupt
from noria.testing.runs_suite import a_point, a_run
from noria.testing.series_suite import A, a_walk

pytestmark = pytest.mark.faults


def change(raw: sqlite3.Connection) -> None:
    """One byte of the first chunk's points and of its summary."""
    whole = raw.execute("SELECT body, blocks FROM packs WHERE id = 1").fetchone()
    changed = [bytes((*part[:60], part[60] ^ 1, *part[61:])) for part in whole]
    raw.execute("UPDATE packs SET body = ?, blocks = ? WHERE id = 1", changed)


DAMAGE = {
    "cut": "UPDATE packs SET body = substr(body, 1, 500), blocks = substr(blocks, 1, 50) WHERE id = 1",
    "emptied": "UPDATE packs SET body = x'', blocks = x'' WHERE id = 1",
    "changed": change,
    "swapped": "UPDATE packs SET (body, blocks) = (SELECT body, blocks FROM packs WHERE id = 2) WHERE id = 1",
    "lost": "DELETE FROM packs WHERE id = 1",
}


@pytest.fixture(params=sorted(DAMAGE))
def store(request, tmp_path):
    path = tmp_path / "meta.db"
    with contextlib.closing(open_store(str(path), project="p")) as opened:
        opened.runs.create(a_run())
        for start in (0, 1000, 2000):
            opened.runs.log_metrics(A, a_walk(1000, first_step=start))
        opened.runs.log_metrics(A, a_walk(1000, key="sound"))
    with contextlib.closing(sqlite3.connect(path)) as raw, raw:
        damage = DAMAGE[request.param]
        raw.execute(damage) if isinstance(damage, str) else damage(raw)
    with contextlib.closing(open_store(str(path), project="p")) as opened:
        yield opened


def test_damaged_points_are_reported_with_their_run_and_key(store):
    for read in (
        lambda: store.series.history(A, "loss"),
        lambda: store.series.history(A, "loss", limit=10, offset=500),
        lambda: store.series.chart(A, "loss", buckets=2000),
        lambda: store.series.chart(A, "loss", buckets=20),
        lambda: store.series.chart(A, "loss", buckets=2, first_step=10),
        lambda: store.runs.log_metrics(A, [a_point(1.0, step=500)]),
    ):
        with pytest.raises(StoreCorrupt, match="'loss' of run 'a'"):
            read()


def test_what_is_whole_can_still_be_read_and_written(store):
    later = a_point(1.0, step=9000)

    store.runs.log_metrics(A, [later])

    assert len(store.series.history(A, "sound")) == 1000
    assert len(store.series.history(A, "loss", offset=1000)) == 2001
    assert store.series.latest([A], "loss") == {A: later}
    assert sum(bucket.count for bucket in store.series.chart(A, "loss", buckets=3)) == 3001
