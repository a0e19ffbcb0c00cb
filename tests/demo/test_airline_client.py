"""The airline's client against real sockets: answers stand in the order of the questions, closed connections are opened again, refusals say why."""

import socketserver
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import count
from threading import Thread

import msgspec
import pytest

from noria.demo.client import Ask, Client
from noria.errors import RequestInvalid, StoreUnavailable

AT = datetime(2013, 3, 1, tzinfo=UTC)
Say = Callable[[str, int], bytes]


@contextmanager
def worker(say: Say) -> Iterator[str]:
    """A server that reads one request after the other and says what `say` makes of its key and its number."""
    numbers = count()

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            while head := self._head():
                self.rfile.read(int(head.get("content-length", "0")))
                answer = say(head.get("noria-request-key", ""), next(numbers))
                self.wfile.write(answer)
                if b"Connection: close" in answer or not answer.startswith(b"HTTP"):
                    return

        def _head(self) -> dict[str, str]:
            lines = list(iter(lambda: self.rfile.readline().decode().strip(), ""))
            return {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


def http(body: bytes, *, status: str = "200 OK", extra: str = "") -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{extra}\r\n".encode() + body


def reply(key: str) -> bytes:
    said = {"outputs": [{"name": "p", "data": [float(key)]}], "parameters": {"request_id": f"r{key}"}}
    return msgspec.json.encode(said)


def asks(number: int) -> list[Ask]:
    return [Ask(key=str(n), at=AT, rows=1, body=b"{}") for n in range(number)]


def test_answers_stand_in_the_order_of_the_questions_though_connections_are_closed_between() -> None:
    with worker(lambda key, n: http(reply(key), extra="Connection: close\r\n" if n % 7 == 3 else "")) as url:
        client = Client(url, "flights")
        found = [*client.ask_all(asks(60)), client.ask(asks(3)[2])]
        client.close()
    assert [answer.request_id for answer in found] == [*(f"r{n}" for n in range(60)), "r2"]


def test_a_refusal_says_what_the_worker_said() -> None:
    with worker(lambda _, n: http(b"no such column", status="400 Bad Request")) as url:
        client = Client(url, "flights")
        with pytest.raises(RequestInvalid, match="400") as caught:
            client.ask_all(asks(5))
        client.close()
    assert caught.value.cause == "no such column"


def test_what_is_no_http_and_nobody_at_all_are_a_worker_that_does_not_answer() -> None:
    with worker(lambda _, n: b"who are you?\r\n\r\n") as url:
        client = Client(url, "flights")
        with pytest.raises(StoreUnavailable, match="does not answer"):
            client.ask(asks(1)[0])
    with pytest.raises(StoreUnavailable, match="does not answer"):
        client.ask(asks(1)[0])
    client.close()
