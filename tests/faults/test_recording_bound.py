"""What a kill -9 can cost: with `durable` nothing; else only answers that were still in the ring, the last ones, and never more than it holds."""

import json
import signal
import threading
import time
from http.client import HTTPConnection, HTTPException

import pytest

from noria.serving.record import LINGER_S
from tests.serving.worker_factory import a_home, a_worker, eventually, flights, logged, request_of

pytestmark = [pytest.mark.faults, pytest.mark.filterwarnings("ignore")]

BODY = json.dumps(request_of(flights(1))).encode()
SLACK_S = 2.0
"""For a machine on which the flushing thread or the clients do not get their turn at once; without writing at all the gap would be the whole run."""


class Clients:
    """Ask as fast as they can; remember when each answer came."""

    def __init__(self, worker, number=4):
        self.answered = {}
        self._stop = threading.Event()
        self._worker = worker
        self._threads = [threading.Thread(target=self._ask) for _ in range(number)]
        for thread in self._threads:
            thread.start()

    def _ask(self):
        connection = HTTPConnection(self._worker.host, self._worker.port, timeout=20)
        while not self._stop.is_set():
            try:
                connection.request("POST", "/v2/models/late/infer", body=BODY)
                response = connection.getresponse()
                content = json.loads(response.read())
            except (OSError, HTTPException, ValueError):
                return
            if response.status == 200:
                self.answered[content["parameters"]["request_id"]] = time.monotonic()

    def stop(self):
        self._stop.set()
        for thread in self._threads:
            thread.join()


def killed_under_load(home, *flags, seconds=3.0):
    """Answers with their times, and when the worker was killed."""
    with a_worker(home, *flags) as worker:
        clients = Clients(worker)
        begun = time.monotonic()
        eventually(lambda: time.monotonic() - begun > seconds and len(clients.answered) > 100)
        worker.process.send_signal(signal.SIGKILL)
        killed = time.monotonic()
        worker.process.wait()
        clients.stop()
    return clients.answered, killed


def test_only_the_last_moment_is_lost(tmp_path):
    home, _, _ = a_home(tmp_path)

    answered, killed = killed_under_load(home)
    kept = set(logged(home)["request_id"])
    lost = {request_id: at for request_id, at in answered.items() if request_id not in kept}

    assert kept
    assert all(killed - at < LINGER_S + SLACK_S for at in lost.values())
    assert len(lost) < len(answered)


def test_never_more_is_lost_than_the_ring_holds(tmp_path):
    home, _, _ = a_home(tmp_path)

    answered, _ = killed_under_load(home, "--ring-rows", "5", "--when-full", "refuse", seconds=1.0)
    kept = set(logged(home)["request_id"])

    assert len(set(answered) - kept) <= 5


def test_durable_loses_nothing(tmp_path):
    home, _, _ = a_home(tmp_path)

    answered, _ = killed_under_load(home, "--durable", seconds=1.0)

    assert set(answered) <= set(logged(home)["request_id"])
