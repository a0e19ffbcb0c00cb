"""A disk that fills up: the write that does not fit is refused whole, what was answered stays, small writes go on."""

import contextlib
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from noria.adapters.metadata.sqlite import open_store
from noria.domain.events import ProjectCreated
from noria.domain.ids import EventId
from noria.domain.ledger import Cursor, Draft
from noria.errors import DiskFull
from noria.governance import audit
from noria.testing.ledger_suite import NOON, a_draft, names
from noria.testing.runs_suite import a_point, a_run
from noria.testing.series_suite import a_walk
from noria.wire import chain

pytestmark = pytest.mark.faults


def large(name: str, size: int) -> Draft:
    event = ProjectCreated(project="x" * size, noria_version="1")
    return Draft(id=EventId(name), at=NOON, actor="me", event=event)


def test_an_append_that_does_not_fit_leaves_nothing_and_what_was_answered_stays(small_disk):
    store = open_store(str(small_disk / "meta.db"), project="p")
    answered = []

    def fill() -> None:
        for number in range(1000):
            store.ledger.append([large(str(number), 20_000)], advance=Cursor(name="loop", seq=number))
            answered.append(str(number))

    with pytest.raises(DiskFull) as caught:
        fill()

    assert caught.value.retryable
    assert "meta.db" in caught.value.problem
    assert answered
    assert names(store.ledger.read(limit=1000)) == answered
    assert store.ledger.cursor("loop").seq == len(answered) - 1
    assert chain.verify(store.ledger.stored(), project="p", head=store.ledger.head()) == []
    store.close()

    again = open_store(str(small_disk / "meta.db"), project="p")
    assert names(again.ledger.read(limit=1000)) == answered
    again.close()


def test_small_writes_are_not_lost_with_a_large_one_that_waits_beside_them(small_disk):
    store = open_store(str(small_disk / "meta.db"), project="p")

    def append(number: int) -> bool:
        draft = large(str(number), 2_000_000) if number % 4 == 0 else a_draft(str(number))
        try:
            store.ledger.append([draft])
        except DiskFull:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        kept = list(pool.map(append, range(24)))

    assert kept == [number % 4 != 0 for number in range(24)]
    assert chain.verify(store.ledger.stored(), project="p", head=store.ledger.head()) == []
    store.close()


def test_a_batch_of_points_that_does_not_fit_leaves_no_point(small_disk):
    store = open_store(str(small_disk / "meta.db"), project="p")
    store.runs.create(a_run())
    store.runs.log_metrics(a_run().id, [a_point(1.0)])

    with pytest.raises(DiskFull):
        store.runs.log_metrics(a_run().id, a_walk(300_000, first_step=1))

    assert len(store.series.history(a_run().id, "loss")) == 1
    assert store.runs.get(a_run().id).metrics == {"loss": 1.0}
    store.close()


def test_a_store_that_does_not_fit_at_all_says_so(small_disk):
    (small_disk / "ballast").write_bytes(bytes(500_000))
    with contextlib.suppress(OSError):  # where the disk is a real one, this fills it to the last block
        (small_disk / "more").write_bytes(bytes(500_000))

    with pytest.raises(DiskFull):
        open_store(str(small_disk / "meta.db"), project="p")


def test_an_export_that_does_not_fit_leaves_no_file(small_disk, tmp_path):
    store = open_store(str(tmp_path / "meta.db"), project="p")
    store.ledger.append([large(str(number), 100_000) for number in range(15)])

    with pytest.raises(DiskFull):
        audit.export(store.ledger, small_disk / "out.jsonl")

    assert list(small_disk.iterdir()) == []
    store.close()


def test_a_limit_on_the_size_of_files_is_a_full_disk_too(tmp_path):
    program = """
import resource, sys
from noria.adapters.metadata.sqlite import open_store
from noria.errors import DiskFull
from noria.testing.ledger_suite import a_draft
store = open_store(sys.argv[1], project="p")
resource.setrlimit(resource.RLIMIT_FSIZE, (1_500_000, resource.RLIM_INFINITY))
for number in range(1000):
    try:
        store.ledger.append([a_draft(f"{number}" + "x" * 20_000)])
    except DiskFull:
        break
print(number, store.ledger.head().seq)
"""
    done = subprocess.run(
        [sys.executable, "-c", program, tmp_path / "meta.db"], capture_output=True, text=True, check=True
    )

    refused, kept = map(int, done.stdout.split())
    assert 0 < refused == kept < 1000
