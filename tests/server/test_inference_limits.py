"""What a worker takes on, and for how long: refused at once beyond it, 504 when it would be late, 408 for bodies that do not arrive."""

import json
import re
import socket
import threading
import time

import pytest

from noria.errors import DeadlineMissed, Overloaded, RequestInvalid
from noria.server.inference.limits import Deadline, Gate, Limits, deadline_of
from tests.serving.worker_factory import a_home, a_worker, eventually, flights, request_of

REQUEST = request_of(flights(1))
BODY = json.dumps(REQUEST).encode()
INFER = "/v2/models/late/infer"


def test_requests_and_bytes_are_taken_on_up_to_the_limit_and_again_when_one_has_left():
    gate = Gate(Limits(in_flight=2, in_flight_bytes=100))
    first, second = gate.enter(), gate.enter()
    with pytest.raises(Overloaded):
        gate.enter()

    first.take(80)
    with pytest.raises(Overloaded):
        second.take(30)
    first.leave()
    second.take(30)
    second.leave()

    assert (gate.requests, gate.bytes) == (0, 0)


def test_a_request_that_is_alone_may_be_larger_than_all_together():
    place = Gate(Limits(in_flight_bytes=10)).enter()

    place.take(50)
    place.take(50)


@pytest.mark.parametrize(
    ("headers", "server_s", "expected"),
    [
        ({}, 0.0, None),
        ({}, 2.0, 2.0),
        ({"noria-deadline-ms": "250"}, 0.0, 0.25),
        ({"noria-deadline-ms": "250"}, 2.0, 0.25),
        ({"noria-deadline-ms": "5000"}, 2.0, 2.0),
        ({"x-request-timeout": "1.5"}, 0.0, 1.5),
        ({"x-request-timeout": "0"}, 0.0, None),
        ({"x-envoy-expected-rq-timeout-ms": "100"}, 0.0, 0.1),
        ({"noria-deadline-ms": "50", "x-request-timeout": "9"}, 0.0, 0.05),
    ],
)
def test_the_sooner_of_the_callers_and_the_servers_deadline_counts(headers, server_s, expected):
    left = deadline_of(headers, Limits(deadline_s=server_s)).left()

    assert left == (None if expected is None else pytest.approx(expected, abs=0.05))


@pytest.mark.parametrize("text", ["soon", "-1", "nan", "inf", "", "1e99"])
def test_a_deadline_that_is_no_number_is_refused(text):
    with pytest.raises(RequestInvalid, match="noria-deadline-ms"):
        deadline_of({"noria-deadline-ms": text}, Limits())


def test_a_deadline_that_is_over_is_said():
    with pytest.raises(DeadlineMissed):
        Deadline(time.monotonic() - 1).left()


@pytest.fixture(scope="module")
def worker(tmp_path_factory):
    """Takes on three requests of 4 kB together, and waits a second for a body."""
    home, _, _ = a_home(tmp_path_factory.mktemp("limits"))
    limits = ("--max-in-flight", "3", "--max-in-flight-bytes", "4000", "--body-s", "1", "--idle-s", "1.5")
    with a_worker(home, *limits) as running:
        yield running


class Slow:
    """A connection that has announced a body and sent none of it."""

    def __init__(self, worker, *, length=1000, headers=""):
        self.socket = socket.create_connection((worker.host, worker.port), timeout=20)
        head = f"POST {INFER} HTTP/1.1\r\nHost: here\r\nContent-Length: {length}\r\n{headers}\r\n"
        self.socket.sendall(head.encode())

    def answer(self):
        """(status, headers and body as text, seconds until the connection was closed)."""
        began, content = time.monotonic(), b""
        while part := self.socket.recv(65536):
            content += part
        self.socket.close()
        head = content.decode()
        return int(head.split(" ", 2)[1]), head.lower(), time.monotonic() - began


def test_beyond_the_limit_a_request_is_refused_at_once_and_told_when_to_come_again(worker):
    slow = [Slow(worker) for _ in range(3)]

    status, headers, content = eventually(lambda: (a := worker.ask("POST", INFER, BODY))[0] == 503 and a)
    for one in slow:
        one.answer()

    assert status == 503
    assert headers["retry-after"] == "1"
    assert "as many requests as it takes on" in json.loads(content)["error"]
    assert worker.infer(REQUEST)[0] == 200
    text = worker.ask("GET", "/metrics")[2].decode()
    assert re.search(r'noria_requests_total\{[^}]*status="503"[^}]*\} [1-9]', text)
    assert re.search(r"noria_requests_shed_total\{[^}]*\} [1-9]", text)


def test_bytes_in_flight_are_bounded_too(worker):
    slow = Slow(worker, length=3900)

    _, _, content = eventually(lambda: (a := worker.ask("POST", INFER, BODY))[0] == 503 and a)
    slow.answer()

    assert "bytes are in flight" in json.loads(content)["error"]
    assert worker.infer(REQUEST)[0] == 200


def test_health_is_answered_however_much_is_in_flight(worker):
    slow = [Slow(worker) for _ in range(3)]
    eventually(lambda: worker.ask("POST", INFER, BODY)[0] == 503)

    assert worker.ask("GET", "/v2/health/ready")[0] == 200
    for one in slow:
        one.answer()


def test_a_body_that_does_not_arrive_is_408_in_the_protocols_form_and_the_connection_is_closed(worker):
    status, text, seconds = Slow(worker).answer()

    assert status == 408
    assert "did not arrive in time" in text
    assert '"error"' in text
    assert 0.8 < seconds < 5


def test_a_body_slower_than_the_deadline_is_504(worker):
    status, text, seconds = Slow(worker, headers="Noria-Deadline-Ms: 200\r\n").answer()

    assert status == 504
    assert "could not be given in time" in text
    assert seconds < 1


def test_a_head_that_does_not_arrive_and_a_connection_that_asks_nothing_are_closed(worker):
    for sent in (b"", b"POST /v2/models/late/infer HTTP/1.1\r\nHost: h"):
        connection = socket.create_connection((worker.host, worker.port), timeout=20)
        connection.sendall(sent)
        began = time.monotonic()
        assert connection.recv(100) == b""
        assert 1 < time.monotonic() - began < 5
        connection.close()


def test_a_deadline_that_cannot_be_met_is_504_and_nothing_is_recorded(worker):
    written = worker.json("GET", "/noria/status")[1]["ring"]["written"]

    status, headers, content = worker.ask("POST", INFER, BODY, {"Noria-Deadline-Ms": "0"})

    assert worker.flush()
    assert status == 504
    assert headers["retry-after"] == "1"
    assert "nothing was recorded" in json.loads(content)["error"]
    assert worker.json("GET", "/noria/status")[1]["ring"]["written"] == written


def test_a_deadline_that_is_no_number_is_400(worker):
    assert worker.ask("POST", INFER, BODY, {"Noria-Deadline-Ms": "soon"})[0] == 400


def test_clients_that_break_off_in_the_middle_leave_nothing_behind_and_no_word_in_the_log(tmp_path):
    home, _, _ = a_home(tmp_path)
    with (tmp_path / "log").open("w") as log, a_worker(home, "--max-in-flight", "3", stderr=log) as worker:
        for _ in range(20):
            slow = Slow(worker)
            slow.socket.sendall(b"x" * 10)
            slow.socket.close()

        assert eventually(lambda: worker.infer(REQUEST)[0] == 200)

    assert (tmp_path / "log").read_text() == ""


def test_slow_clients_do_not_hold_up_the_others(worker):
    slow = [Slow(worker) for _ in range(2)]
    threads = [threading.Thread(target=one.answer) for one in slow]
    for thread in threads:
        thread.start()

    answered = [worker.infer(REQUEST)[0] for _ in range(20)]
    for thread in threads:
        thread.join()

    assert set(answered) == {200}
