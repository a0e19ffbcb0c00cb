"""The ring: nothing that was taken is lost, nothing waits, and what cannot be kept is counted."""

import threading
from datetime import UTC, datetime

import pytest

from noria.domain.ids import Digest
from noria.domain.prediction import PredictionRecord
from noria.errors import DiskFull, InputInvalid, Overloaded
from noria.serving.record import Recorder


def record(number=0, *, rows=1, deployment="late"):
    return PredictionRecord(
        request_id=f"r{number:032x}",
        deployment=deployment,
        variant="champion",
        model="m",
        number=1,
        bundle=Digest("blake3:0"),
        generation=1,
        at=datetime(2026, 1, 1, tzinfo=UTC),
        latency_us=1,
        protocol="v2",
        rows=rows,
        inputs={"x": [1.0] * rows},
        outputs={"p": [0.5] * rows},
    )


class Shelf:
    """A writer in memory that can be made to fail or to wait."""

    def __init__(self):
        self.records = []
        self.batches = []
        self.error = None
        self.open = threading.Event()
        self.open.set()
        self.closed = False

    def write(self, records):
        self.open.wait(10)
        if self.error is not None:
            raise self.error
        bad = [r for r in records if r.rows == 13]
        if bad:
            raise InputInvalid("thirteen rows cannot be kept")
        self.batches.append(len(records))
        self.records += records

    def close(self):
        self.closed = True


@pytest.fixture
def shelf():
    return Shelf()


def test_everything_taken_is_written_in_order(shelf):
    recorder = Recorder(lambda _: shelf)

    for number in range(5000):
        recorder.offer(record(number))

    assert recorder.flush()
    assert [r.request_id for r in shelf.records] == [record(n).request_id for n in range(5000)]
    assert recorder.status().written == 5000
    assert recorder.close()
    assert shelf.closed


def test_records_of_many_threads_all_arrive(shelf):
    recorder = Recorder(lambda _: shelf)

    def some(start):
        for number in range(start, start + 500):
            recorder.offer(record(number))

    threads = [threading.Thread(target=some, args=(n * 500,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert recorder.flush()
    assert {r.request_id for r in shelf.records} == {record(n).request_id for n in range(4000)}
    recorder.close()


def test_records_are_written_in_company(shelf):
    shelf.open.clear()
    recorder = Recorder(lambda _: shelf)
    for number in range(1000):
        recorder.offer(record(number))
    shelf.open.set()

    assert recorder.flush()
    assert len(shelf.batches) <= 3
    recorder.close()


def test_a_full_ring_drops_counts_and_never_waits(shelf):
    shelf.open.clear()
    recorder = Recorder(lambda _: shelf, capacity_rows=10)

    for number in range(25):
        recorder.offer(record(number))

    assert recorder.status().dropped == 15
    assert recorder.status().depth == 10
    shelf.open.set()
    assert recorder.flush()
    assert len(shelf.records) == 10
    recorder.close()


def test_a_full_ring_refuses_if_told_to(shelf):
    shelf.open.clear()
    recorder = Recorder(lambda _: shelf, capacity_rows=2, when_full="refuse")
    recorder.offer(record(0))
    recorder.offer(record(1))

    with pytest.raises(Overloaded):
        recorder.offer(record(2))

    assert recorder.status().refused == 1
    shelf.open.set()
    recorder.close()


def test_a_record_larger_than_the_ring_fits_when_it_is_empty(shelf):
    recorder = Recorder(lambda _: shelf, capacity_rows=5)

    recorder.offer(record(rows=100))

    assert recorder.flush()
    assert recorder.status().written == 100
    recorder.close()


def test_a_full_disk_is_counted_and_everything_is_kept_until_there_is_room(shelf):
    shelf.error = DiskFull("the disk is full")
    recorder = Recorder(lambda _: shelf, retry_s=0.01)
    for number in range(100):
        recorder.offer(record(number))

    assert not recorder.flush(seconds=0.2)
    status = recorder.status()
    shelf.error = None

    assert status.failures >= 1
    assert "DiskFull" in status.problem
    assert status.depth == 100
    assert recorder.flush()
    assert [r.request_id for r in shelf.records] == [record(n).request_id for n in range(100)]
    assert recorder.status().problem == ""
    recorder.close()


def test_one_record_that_cannot_be_kept_does_not_hold_up_the_others(shelf):
    recorder = Recorder(lambda _: shelf)
    for number, rows in enumerate((1, 13, 1)):
        recorder.offer(record(number, rows=rows))

    assert recorder.flush()

    assert [r.rows for r in shelf.records] == [1, 1]
    assert recorder.status().dropped == 13
    recorder.close()


def test_one_deployment_in_trouble_does_not_stop_another():
    good, bad = Shelf(), Shelf()
    bad.error = DiskFull("full")
    recorder = Recorder({"good": good, "bad": bad}.__getitem__, retry_s=0.01)
    recorder.offer(record(1, deployment="bad"))
    recorder.offer(record(2, deployment="good"))

    assert not recorder.flush(seconds=0.2)

    assert len(good.records) == 1
    assert recorder.status().depth == 1
    bad.error = None
    assert recorder.flush()
    assert len(bad.records) == 1
    recorder.close()


def test_whoever_waits_for_a_record_hears_when_it_is_written(shelf):
    recorder = Recorder(lambda _: shelf, linger_s=0.0)
    heard, done = [], threading.Event()

    recorder.offer(record(), then=lambda problem: (heard.append((problem, len(shelf.records))), done.set()))

    assert done.wait(10)
    assert heard == [("", 1)]
    recorder.close()


def test_whoever_waits_hears_of_a_failure_once_and_the_record_is_written_later(shelf):
    shelf.error = DiskFull("full")
    recorder = Recorder(lambda _: shelf, linger_s=0.0, retry_s=0.01)
    heard, done = [], threading.Event()

    recorder.offer(record(), then=lambda problem: (heard.append(problem), done.set()))

    assert done.wait(10)
    shelf.error = None
    assert recorder.flush()
    assert len(heard) == 1
    assert "DiskFull" in heard[0]
    assert len(shelf.records) == 1
    recorder.close()


def test_closing_with_a_full_disk_says_so_and_ends(shelf):
    shelf.error = DiskFull("full")
    recorder = Recorder(lambda _: shelf, retry_s=0.01)
    recorder.offer(record())

    assert not recorder.close(seconds=0.2)
