"""The way out, and clients that are slow or many: readiness first, then the port, then what is under way; a second signal ends the waiting."""

import contextlib
import json
import resource
import signal
import socket
import threading
import time

import pytest

from tests.serving.worker_factory import a_home, a_worker, eventually, flights, logged, request_of

pytestmark = [pytest.mark.faults, pytest.mark.filterwarnings("ignore")]

BODY = json.dumps(request_of(flights(1))).encode()
HEAD = f"POST /v2/models/late/infer HTTP/1.1\r\nHost: h\r\nContent-Length: {len(BODY)}\r\n\r\n".encode()


def test_in_the_grace_time_a_worker_is_not_ready_and_answers(tmp_path):
    home, _, _ = a_home(tmp_path)
    with a_worker(home, "--grace-s", "3") as worker:
        assert worker.ask("GET", "/v2/health/ready")[0] == 200
        worker.process.send_signal(signal.SIGTERM)

        eventually(lambda: worker.ask("GET", "/v2/health/ready")[0] == 503)
        assert worker.ask("GET", "/ping")[0] == 503
        assert worker.ask("GET", "/v2/health/live")[0] == 200
        assert worker.ask("POST", "/v2/models/late/infer", BODY)[0] == 200
        assert worker.process.wait(20) == 0

    assert len(logged(home)) == 1


def _half_sent(worker):
    connection = socket.create_connection((worker.host, worker.port), timeout=30)
    connection.sendall(HEAD + BODY[:-1])
    return connection


def test_what_is_under_way_is_answered_after_sigterm_and_new_connections_are_refused(tmp_path):
    home, _, _ = a_home(tmp_path)
    with a_worker(home, "--drain-s", "20") as worker:
        connection = _half_sent(worker)
        eventually(lambda: "noria_requests_in_flight" in worker.ask("GET", "/metrics")[2].decode())
        worker.process.send_signal(signal.SIGTERM)
        eventually(lambda: _is_refused(worker))

        connection.sendall(BODY[-1:])
        answer = connection.recv(65536)

        assert answer.startswith(b"HTTP/1.1 200")
        assert worker.process.wait(20) == 0
    assert len(logged(home)) == 1


def test_waiting_for_what_is_under_way_has_an_end(tmp_path):
    home, _, _ = a_home(tmp_path)
    with a_worker(home, "--drain-s", "1") as worker:
        connection = _half_sent(worker)
        began = time.monotonic()
        worker.process.send_signal(signal.SIGTERM)

        assert worker.process.wait(20) == 0
        assert 0.8 < time.monotonic() - began < 8
        connection.close()


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_second_sigterm_ends_the_waiting(tmp_path, workers):
    home, _, _ = a_home(tmp_path)
    with a_worker(home, "--drain-s", "60", "--grace-s", "60", "--workers", workers) as worker:
        worker.infer(json.loads(BODY))
        connection = _half_sent(worker)
        worker.process.send_signal(signal.SIGTERM)
        eventually(lambda: worker.ask("GET", "/v2/health/ready")[0] == 503)
        began = time.monotonic()
        while (
            worker.process.poll() is None and time.monotonic() - began < 20
        ):  # grace, then drain: each signal ends one wait at most
            worker.process.send_signal(signal.SIGTERM)
            threading.Event().wait(0.3)

        assert worker.process.wait(1) == 0
        connection.close()
    assert len(logged(home)) == 1


def test_slow_clients_by_the_hundred_do_not_keep_others_from_being_answered(tmp_path):
    """Slowloris: heads and bodies that never end. They are closed, each in its time, and nobody else waits."""
    home, _, _ = a_home(tmp_path)
    with a_worker(home, "--body-s", "2", "--idle-s", "2") as worker:
        slow = []
        for n in range(400):
            connection = socket.create_connection((worker.host, worker.port), timeout=30)
            connection.sendall(HEAD + BODY[:5] if n % 2 else HEAD[:20])
            slow.append(connection)

        began = time.monotonic()
        answered = [worker.infer(json.loads(BODY))[0] for _ in range(30)]
        took = time.monotonic() - began

        assert set(answered) == {200}
        assert took < 10
        for connection in slow:
            while connection.recv(4096):
                pass
            connection.close()


@pytest.mark.slow
def test_ten_thousand_open_connections_are_held_and_each_is_answered(tmp_path):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    wanted = min(10_000, hard - 500)
    home, _, _ = a_home(tmp_path)
    try:
        with a_worker(home) as worker, contextlib.ExitStack() as stack:
            held = []
            for _ in range(wanted):
                held.append(stack.enter_context(socket.create_connection((worker.host, worker.port), timeout=60)))
            for connection in held[:: max(1, wanted // 500)]:
                connection.sendall(HEAD + BODY)
                assert connection.recv(65536).startswith(b"HTTP/1.1 200")
            assert worker.infer(json.loads(BODY))[0] == 200
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def _is_refused(worker):
    try:
        with socket.create_connection((worker.host, worker.port), timeout=5):
            return False
    except ConnectionRefusedError:
        return True
