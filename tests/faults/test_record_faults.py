"""What else befalls the record: a full disk, a clock that jumps back, a clean stop under load, a file larger than memory, bodies that break off."""

import json
import os
import shutil
import socket
import threading
import time
from contextlib import closing
from http.client import HTTPConnection

import psutil
import pytest

from tests.faults.record_server import AWAY, a_server, exchange

pytestmark = pytest.mark.faults

CLOCK = """
import sys, time
real, start = time.time, time.time()
def jumping():
    now = real()
    return now - 86_400 if now - start > {after} else now
time.time = jumping
"""


def batch(run_id, step, *, points=1):
    return {
        "run_id": run_id,
        "metrics": [{"key": f"k{i}", "value": 0.5, "timestamp": 1, "step": step} for i in range(points)],
    }


def test_a_full_disk_is_said_and_what_was_acknowledged_stays(tmp_path, small_disk):
    with a_server(small_disk / "home") as server:
        run_id = server.new_run()
        acknowledged, refusal = 0, None
        for step in range(2000):
            status, answer = server.ask("POST", "/api/2.0/mlflow/runs/log-batch", batch(run_id, step, points=100))
            if status != 200:
                refusal = (status, answer)
                break
            acknowledged += 1

        assert refusal is not None, "the disk was never full"
        assert refusal[0] in (503, 507)
        assert "no room" in refusal[1]["message"].lower()
        assert "Traceback" not in json.dumps(refusal[1])
        assert server.ask("GET", "/health")[0] == 200
        history = server.history(run_id, "k0")
        assert {int(point["step"]) for point in history} >= set(range(acknowledged))


def test_when_there_is_room_again_writing_goes_on(tmp_path, small_disk):
    filler = small_disk / "filler"
    with a_server(small_disk / "home") as server:
        run_id = server.new_run()
        filler.write_bytes(b"x" * 300_000)
        step = 0
        while server.ask("POST", "/api/2.0/mlflow/runs/log-batch", batch(run_id, step, points=100))[0] == 200:
            step += 1
            assert step < 2000, "the disk was never full"
        filler.unlink()

        assert (
            server.ask(
                "POST", "/api/2.0/mlflow/runs/log-metric", batch(run_id, step)["metrics"][0] | {"run_id": run_id}
            )[0]
            == 200
        )
        assert {int(point["step"]) for point in server.history(run_id, "k0")} >= set(range(step + 1))


def test_an_artifact_that_finds_no_room_leaves_nothing(tmp_path, small_disk):
    with a_server(small_disk / "home") as server:
        run_id = server.new_run()
        connection = HTTPConnection("127.0.0.1", server.port, timeout=30)
        path = f"/api/2.0/mlflow-artifacts/artifacts/0/{run_id}/artifacts/big.bin"
        try:
            connection.request("PUT", path, body=os.urandom(2_000_000))
            status = connection.getresponse().status
        except AWAY:
            status = 0  # the server answered and closed before it had read the whole body
        connection.close()

        assert status in (0, 503, 507)
        assert server.get(f"artifacts/list?run_id={run_id}").get("files", []) == []
        assert list((small_disk / "home" / "blobs" / "incoming").iterdir()) == []
        assert (
            server.post("runs/log-metric", {"run_id": run_id, "key": "a", "value": 1, "timestamp": 1, "step": 0}) == {}
        )


def test_a_clock_that_jumps_back_loses_and_reorders_nothing(tmp_path):
    """The server's clock goes back a day while clients log: points keep the clients' times, changes keep their order."""
    site = tmp_path / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(CLOCK.format(after=2.0))
    with a_server(tmp_path / "home", env={"PYTHONPATH": str(site)}) as server:
        run_ids = []
        until = time.monotonic() + 4.0
        while time.monotonic() < until:
            run_ids.append(server.new_run(f"run-{len(run_ids)}"))
            server.post("runs/log-metric", {"run_id": run_ids[-1], "key": "a", "value": 1, "timestamp": 7, "step": 0})

        page = server.post("runs/search", {"experiment_ids": ["0"], "max_results": 50_000})
        found = [run["info"]["run_id"] for run in page["runs"]]
        assert sorted(found) == sorted(run_ids)
        assert all(run["data"]["metrics"][0]["timestamp"] == 7 for run in page["runs"])
        server.post("runs/update", {"run_id": run_ids[0], "status": "FINISHED", "end_time": 9})
        server.post("runs/delete", {"run_id": run_ids[0]})
        server.post("runs/restore", {"run_id": run_ids[0]})


def test_a_clean_stop_under_load_answers_what_it_took(tmp_path):
    with a_server(tmp_path / "home") as server:
        run_id = server.new_run()
        acknowledged: set[int] = set()
        broken = threading.Event()

        def write(start: int) -> None:
            with closing(HTTPConnection("127.0.0.1", server.port, timeout=30)) as connection:
                for step in range(start, start + 100_000):
                    try:
                        status, _ = exchange(connection, "POST", "/api/2.0/mlflow/runs/log-batch", batch(run_id, step))
                    except AWAY:
                        broken.set()
                        return
                    if status == 200:
                        acknowledged.add(step)

        threads = [threading.Thread(target=write, args=(number * 100_000,)) for number in range(4)]
        for thread in threads:
            thread.start()
        while len(acknowledged) < 200:
            time.sleep(0.01)
        server.stop()
        for thread in threads:
            thread.join()

        assert broken.is_set()
        assert server.process.returncode == 0
        server.start()
        assert acknowledged <= {int(point["step"]) for point in server.history(run_id, "k0")}


def test_an_upload_that_breaks_off_leaves_nothing(tmp_path):
    with a_server(tmp_path / "home") as server:
        run_id = server.new_run()
        path = f"/api/2.0/mlflow-artifacts/artifacts/0/{run_id}/artifacts/half.bin"
        with socket.create_connection(("127.0.0.1", server.port)) as raw:
            raw.sendall(
                f"PUT {path} HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nContent-Length: 5000000\r\n\r\n".encode()
            )
            raw.sendall(b"x" * 1_000_000)
        incoming = tmp_path / "home" / "blobs" / "incoming"
        until = time.monotonic() + 20
        while incoming.exists() and any(incoming.iterdir()):
            assert time.monotonic() < until, "the half file stays"
            time.sleep(0.02)

        assert server.get(f"artifacts/list?run_id={run_id}").get("files", []) == []
        assert server.ask("GET", path)[0] == 404


def through(server, path, size, *, chunk=1 << 20):
    """Send zeros of this size and read them back; gives the server's highest memory meanwhile, in bytes."""
    process = psutil.Process(server.process.pid)
    highest, stop = [0], threading.Event()

    def watch() -> None:
        while not stop.wait(0.02):
            highest[0] = max(highest[0], process.memory_info().rss)

    watcher = threading.Thread(target=watch)
    watcher.start()
    zeros = b"\0" * chunk
    try:
        connection = HTTPConnection("127.0.0.1", server.port, timeout=120)
        connection.putrequest("PUT", path)
        connection.putheader("content-length", str(size))
        connection.endheaders()
        for _ in range(size // chunk):
            connection.send(zeros)
        response = connection.getresponse()
        assert response.status == 200, response.read()
        response.read()
        connection.request("GET", path)
        response = connection.getresponse()
        got = 0
        while piece := response.read(chunk):
            got += len(piece)
            assert piece.count(0) == len(piece)
        connection.close()
    finally:
        stop.set()
        watcher.join()
    assert got == size
    return highest[0]


@pytest.mark.parametrize("gigabytes", [1, pytest.param(10, marks=[pytest.mark.slow, pytest.mark.timeout(900)])])
def test_a_large_artifact_passes_in_constant_memory(tmp_path, gigabytes):
    if shutil.disk_usage(tmp_path).free < (gigabytes + 2) << 30:
        pytest.skip(f"less than {gigabytes + 2} GB of disk")
    with a_server(tmp_path / "home") as server:
        run_id = server.new_run()
        before = psutil.Process(server.process.pid).memory_info().rss

        peak = through(server, f"/api/2.0/mlflow-artifacts/artifacts/0/{run_id}/artifacts/big.bin", gigabytes << 30)

        assert peak - before < 100 << 20, f"{(peak - before) >> 20} MB more"
    shutil.rmtree(tmp_path / "home")
