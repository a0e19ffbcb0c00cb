"""kill -9 of the server under writers: every write that was acknowledged is there, and none of the others is there by half."""

import random
import threading
import time
from http.client import HTTPConnection

import pytest

from tests.faults.record_server import AWAY, RecordServer, a_server, exchange

pytestmark = pytest.mark.faults
WRITERS = 6
BATCH = 7
"""Points of one batch, each of another key, with one param and one tag: all of them, or none."""


class Writers:
    """Clients that log batches as fast as they can, write down what was acknowledged, and go on when the server comes back."""

    def __init__(self, server: RecordServer, run_ids: list[str]) -> None:
        self._server = server
        self.acknowledged: dict[str, set[int]] = {run_id: set() for run_id in run_ids}
        self.tried: dict[str, int] = dict.fromkeys(run_ids, 0)
        self.refused: list[tuple[int, object]] = []
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._write, args=(run_id,)) for run_id in run_ids]
        for thread in self._threads:
            thread.start()

    def total(self) -> int:
        return sum(len(steps) for steps in self.acknowledged.values())

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _write(self, run_id: str) -> None:
        connection = HTTPConnection("127.0.0.1", self._server.port, timeout=30)
        while not self._stop.is_set():
            step = self.tried[run_id]
            self.tried[run_id] += 1
            try:
                status, answer = exchange(connection, "POST", "/api/2.0/mlflow/runs/log-batch", batch(run_id, step))
            except AWAY:
                connection.close()
                connection = HTTPConnection("127.0.0.1", self._server.port, timeout=30)
                time.sleep(0.02)  # the server is away: ask again in a moment, as a client would
                continue
            if status == 200:
                self.acknowledged[run_id].add(step)
            else:
                self.refused.append((status, answer))
        connection.close()


def batch(run_id: str, step: int) -> dict[str, object]:
    points = [{"key": f"k{i}", "value": step + i / 10, "timestamp": 1000 + step, "step": step} for i in range(BATCH)]
    return {
        "run_id": run_id,
        "metrics": points,
        "params": [{"key": f"p{step}", "value": str(step)}],
        "tags": [{"key": f"t{step}", "value": str(step)}],
    }


def check(server: RecordServer, writers: Writers) -> None:
    """Everything acknowledged is there; a batch is there whole or not at all; nothing else is there."""
    for run_id, acknowledged in writers.acknowledged.items():
        data = server.get(f"runs/get?run_id={run_id}")["run"]["data"]
        params = {int(param["key"][1:]) for param in data.get("params", [])}
        tags = {
            int(tag["key"][1:])
            for tag in data.get("tags", [])
            if tag["key"].startswith("t") and tag["key"][1:].isdigit()
        }
        steps = []
        for i in range(BATCH):
            points = server.history(run_id, f"k{i}")
            steps.append({int(point["step"]) for point in points})
            assert len(points) == len(steps[-1]), "no point twice"
            assert all(point["value"] == int(point["step"]) + i / 10 for point in points)
        assert acknowledged <= params
        assert all(found == params for found in [tags, *steps]), "a batch is there by half"
        assert params <= set(range(writers.tried[run_id]))


def killed_at_random(tmp_path, *, times: int, seed: int) -> None:
    chance = random.Random(seed)
    with a_server(tmp_path / "home") as server:
        writers = Writers(server, [server.new_run(f"run-{number}") for number in range(WRITERS)])
        try:
            for _ in range(times):
                before = writers.total()
                until = time.monotonic() + 30
                while writers.total() == before:
                    assert time.monotonic() < until, "nothing is acknowledged"
                    time.sleep(0.001)
                time.sleep(chance.uniform(0.0, 0.15))
                server.kill()
                server.start()
        finally:
            writers.stop()
        assert writers.refused == []
        assert writers.total() >= times
        check(server, writers)


def test_what_was_acknowledged_survives_kills(tmp_path):
    killed_at_random(tmp_path, times=4, seed=1)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_what_was_acknowledged_survives_a_hundred_kills(tmp_path):
    killed_at_random(tmp_path, times=100, seed=2)


def test_many_writers_at_once_are_all_served(tmp_path):
    """64 clients on one SQLite file: no 'database is locked', nothing lost."""
    with a_server(tmp_path / "home") as server:
        run_ids = [server.new_run(f"run-{number}") for number in range(64)]
        failures: list[object] = []

        def write(run_id: str) -> None:
            connection = HTTPConnection("127.0.0.1", server.port, timeout=60)
            for step in range(20):
                status, answer = exchange(connection, "POST", "/api/2.0/mlflow/runs/log-batch", batch(run_id, step))
                if status != 200:
                    failures.append(answer)
            connection.close()

        threads = [threading.Thread(target=write, args=(run_id,)) for run_id in run_ids]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert failures == []
        for run_id in run_ids:
            assert len(server.history(run_id, "k0")) == 20
