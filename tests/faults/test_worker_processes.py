"""Several processes under load: one is killed, versions are exchanged, all are stopped. What may be lost is stated, and not more is lost."""

import contextlib
import os
import signal
import threading
import time
from collections import Counter
from http.client import HTTPException

import pytest

from noria.serving import desired
from tests.faults.test_worker_faults import Load
from tests.serving.worker_factory import a_home, a_worker, deployment, eventually, logged, open_blobs, variant

pytestmark = [pytest.mark.faults, pytest.mark.filterwarnings("ignore")]

RING_S = 0.5
"""Answers of the last half second of a killed process may not be in the log: they waited 0.05 s for others, and then for the disk."""


def _status(worker):
    """What one process tells; asked again where the one that was asked was just killed."""

    def told():
        with contextlib.suppress(OSError, HTTPException):
            return worker.json("GET", "/noria/status")[1]
        return None

    return eventually(told)


def _pids(worker):
    """slot -> pid, asked until every process has been heard."""
    heard = {}

    def all_of_them():
        told = _status(worker)
        heard[told["slot"]] = told["pid"]
        return len(heard) == told["processes"] == 2

    eventually(all_of_them)
    return heard


class Insisting(Load):
    """Clients that come again on a new connection when theirs breaks, as real ones do."""

    def _ask(self):
        while not self._stop.is_set():
            super()._ask()


def _flush(worker):
    """Flush, asked again where the process that was asked was just killed."""
    with contextlib.suppress(OSError, HTTPException):
        return worker.flush()
    return worker.flush()


def test_when_a_process_is_killed_the_others_answer_and_it_comes_back(tmp_path):
    home, _, _ = a_home(tmp_path)
    with a_worker(home, "--workers", "2") as worker:
        load = Insisting(worker, clients=6)
        before = _pids(worker)
        eventually(lambda: len(load.answers) > 300)
        seen_before = set(load.ids())
        assert _flush(worker)

        os.kill(before[0], signal.SIGKILL)
        at = len(load.answers)
        eventually(lambda: len(load.answers) > at + 300)
        after = eventually(lambda: (now := _pids(worker))[0] != before[0] and now)
        restarts = _status(worker)["restarts"]
        at = len(load.answers)
        eventually(lambda: len(load.answers) > at + 100)
        load.stop()
        assert _flush(worker)

    rows = logged(home)
    counts = Counter(rows["prediction_id"].to_list())
    assert {status for status, _, _ in load.answers} == {200}
    assert len(load.ids()) == len(set(load.ids()))
    assert max(counts.values()) == 1
    assert seen_before <= set(rows["request_id"].to_list())
    assert after[1] == before[1]
    assert restarts == 1
    # Each client's connection, and once more where it came back while the dying process's socket still took callers.
    assert len(load.faults) <= 12


def test_what_a_killed_process_loses_of_its_answers_is_bounded(tmp_path):
    """Half a second of answers at most; the other process loses nothing."""
    home, _, _ = a_home(tmp_path)
    with a_worker(home, "--workers", "2") as worker:
        load = Load(worker, clients=4)
        noted = {}
        stop = threading.Event()

        def note():
            while not stop.wait(0.01):
                now = time.monotonic()
                for one in load.ids():
                    noted.setdefault(one, now)

        watch = threading.Thread(target=note)
        watch.start()
        eventually(lambda: len(load.answers) > 600)
        killed = time.monotonic()
        os.kill(_pids(worker)[0], signal.SIGKILL)
        eventually(lambda: len(load.answers) > 1000 or len(load.faults) == 4)
        load.stop()
        stop.set()
        watch.join()
        assert _flush(worker)

    lost = set(load.ids()) - set(logged(home)["request_id"].to_list())
    assert all(noted.get(one, killed) > killed - RING_S for one in lost)


def test_a_durable_worker_of_several_processes_loses_no_answer_to_a_kill(tmp_path):
    home, _, _ = a_home(tmp_path)
    with a_worker(home, "--workers", "2", "--durable") as worker:
        load = Insisting(worker, clients=4)
        eventually(lambda: len(load.answers) > 100)
        os.kill(_pids(worker)[1], signal.SIGKILL)
        at = len(load.answers)
        eventually(lambda: len(load.answers) > at + 50)
        load.stop()

    found = logged(home)["request_id"].to_list()
    assert set(load.ids()) <= set(found)
    assert len(found) == len(set(found))


def test_a_process_that_crashes_again_and_again_waits_longer_and_the_other_answers(tmp_path):
    home, _, _ = a_home(tmp_path)
    with (tmp_path / "log").open("w") as log, a_worker(home, "--workers", "2", stderr=log) as worker:
        for _ in range(3):
            os.kill(_pids(worker)[0], signal.SIGKILL)
            eventually(lambda: _status(worker)["processes"] == 1)
        eventually(lambda: _status(worker)["processes"] == 2)

    said = (tmp_path / "log").read_text()
    assert [f"restart {n} in {s} s" in said for n, s in ((1, "0.1"), (2, "0.5"), (3, "2"))] == [True] * 3
    assert "SIGKILL" in said


def test_a_swap_under_load_drops_nothing_in_any_process(tmp_path):
    home, champion, challenger = a_home(tmp_path)
    with a_worker(home, "--workers", "2") as worker:
        load = Load(worker)
        for generation in range(2, 6):
            number = generation % 2 + 1
            state = deployment(variant([champion, challenger][number - 1], number=number), generation=generation)
            desired.publish(open_blobs(home), state)
            at = len(load.answers)
            eventually(lambda at=at, n=number: {v for _, v, _ in load.answers[at:][-200:]} == {str(n)})
        load.stop()
        assert _flush(worker)

    assert load.faults == []
    assert {status for status, _, _ in load.answers} == {200}
    assert len(logged(home)) == len(load.answers)


def test_sigterm_under_load_answers_what_is_under_way_in_every_process_and_records_it(tmp_path):
    home, _, _ = a_home(tmp_path)
    with a_worker(home, "--workers", "2") as worker:
        load = Load(worker, clients=6)
        eventually(lambda: len(load.answers) > 300)
        assert worker.stop() == 0
        load.stop()

    assert {status for status, _, _ in load.answers} == {200}
    assert set(load.ids()) == set(logged(home)["request_id"].to_list())
