"""A receiver of webhooks: a real HTTP server that keeps what it was sent and answers as it is told. Used by tests of delivering."""

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

import msgspec


@dataclass
class Message:
    """One request that came."""

    path: str
    headers: dict[str, str]
    content: bytes

    @property
    def body(self) -> dict[str, Any]:
        read: dict[str, Any] = msgspec.json.decode(self.content)
        return read

    @property
    def subject(self) -> str:
        return str(self.body["data"]["subject"])


def taken(_: Message) -> int:
    return 200


@dataclass
class Receiver(AbstractContextManager["Receiver"]):
    """Listens on a free port of loopback. answer: the status for a message, asked before the answer goes out. extra: headers of each answer."""

    answer: Callable[[Message], int] = taken
    extra: dict[str, str] = field(default_factory=dict)
    messages: list[Message] = field(default_factory=list)

    def __enter__(self) -> "Receiver":
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                content = self.rfile.read(int(self.headers["content-length"]))
                message = Message(self.path, {k.lower(): v for k, v in self.headers.items()}, content)
                receiver.messages.append(message)
                self.send_response(receiver.answer(message))
                for name, value in receiver.extra.items():
                    self.send_header(name, value)
                self.send_header("content-length", "5")
                self.end_headers()
                self.wfile.write(b"hello")

            def log_message(self, format: str, *args: object) -> None:
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/hook?token=t0ken"
