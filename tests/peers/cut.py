"""A line to a server that can be cut at a given word, before the server has heard it or after it has answered. For tests of lost connections."""

import contextlib
import select
import socket
from threading import Thread
from typing import Literal

Moment = Literal["before", "after"]


class Line:
    """Listens on a port of its own and passes everything on to 127.0.0.1:`port`, until `cut_at` was called and its word comes by."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._word = b""
        self._moment: Moment = "before"
        self._left = 0
        self.cuts = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        Thread(target=self._accept, daemon=True).start()

    def cut_at(self, word: bytes, moment: Moment, *, times: int = 1) -> None:
        """Cut the line the next `times` that a client says this word: it is not passed on ('before'), or its answer is not ('after')."""
        self._moment, self._left, self._word = moment, times, word

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, socket.create_connection(("127.0.0.1", self._port)) as server, contextlib.suppress(OSError):
            while True:
                for ready in select.select([client, server], [], [])[0]:
                    said = ready.recv(1 << 16)
                    if not said:
                        return
                    if ready is client and self._left and self._word in said:
                        self._left -= 1
                        self.cuts += 1
                        if self._moment == "after":
                            server.sendall(said)
                            server.recv(1 << 16)
                        return
                    (server if ready is client else client).sendall(said)
