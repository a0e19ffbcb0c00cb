"""The airline's side of the demo: asks the worker for predictions as any client would, by the Open Inference Protocol. Called by demo/replay."""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from http.client import HTTPConnection, HTTPException
from threading import local
from urllib.parse import urlsplit

import msgspec

from noria.errors import RequestInvalid, StoreUnavailable


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """One request: all flights scheduled in one minute. key: makes a repeated request the same request."""

    key: str
    at: datetime
    rows: int
    body: bytes


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What came back: the id under which the request is logged, and the probability of each row."""

    key: str
    request_id: str
    probabilities: list[float]


class _Output(msgspec.Struct):
    name: str
    data: list[float]


class _Reply(msgspec.Struct):
    outputs: list[_Output]
    parameters: dict[str, str | int | float | bool | None] = {}


ATTEMPTS = 3
DECODER = msgspec.json.Decoder(_Reply)


def encode(columns: Mapping[str, tuple[str, Sequence[object]]], rows: int) -> bytes:
    """A V2 request body out of columns (name -> datatype and values; a missing value is null).

    >>> encode({"carrier": ("BYTES", ["AA"])}, 1)
    b'{"inputs":[{"name":"carrier","shape":[1],"datatype":"BYTES","data":["AA"]}]}'
    """
    inputs = [
        {"name": name, "shape": [rows], "datatype": kind, "data": values} for name, (kind, values) in columns.items()
    ]
    return msgspec.json.encode({"inputs": inputs})


class Client:
    """Asks one deployment over a few kept connections."""

    def __init__(self, url: str, deployment: str, *, connections: int = 3) -> None:
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "127.0.0.1", parts.port or 80
        self._path = f"/v2/models/{deployment}/infer"
        self._kept = local()
        self._pool = ThreadPoolExecutor(connections, thread_name_prefix="airline")

    def ask_all(self, asks: Sequence[Ask]) -> Iterator[Answer]:
        """Ask all, in order of time over the connections; answers come in the order of the questions."""
        return self._pool.map(self.ask, asks)

    def ask(self, ask: Ask) -> Answer:
        """Ask once; the key makes a repeated question the same request. Raises RequestInvalid, StoreUnavailable."""
        headers = {"Content-Type": "application/json", "Noria-Request-Key": ask.key, "Noria-Time": ask.at.isoformat()}
        status, body = self._exchange("POST", self._path, body=ask.body, headers=headers)
        if status != 200:
            raise RequestInvalid(
                f"the worker refused a request with {status}", cause=body[:500].decode(errors="replace")
            )
        reply = DECODER.decode(body)
        return Answer(
            key=ask.key, request_id=str(reply.parameters.get("request_id", "")), probabilities=reply.outputs[0].data
        )

    def post(self, path: str) -> bytes:
        """Post nothing to a path of the worker, for its own commands (flush)."""
        return self._exchange("POST", path)[1]

    def get(self, path: str) -> bytes:
        """Read a path of the worker."""
        return self._exchange("GET", path)[1]

    def _exchange(
        self, method: str, path: str, *, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> tuple[int, bytes]:
        """One request and its answer. A connection that was closed while nobody spoke is opened again."""
        for attempt in range(ATTEMPTS):
            connection = self._connection()
            try:
                connection.request(method, path, body=body, headers=dict(headers or {}))
                response = connection.getresponse()
                return response.status, response.read()
            except (OSError, HTTPException) as exc:
                connection.close()
                if attempt + 1 == ATTEMPTS:
                    raise StoreUnavailable("the worker does not answer", cause=str(exc), remedy="noria demo") from exc
        raise AssertionError

    def close(self) -> None:
        """Let the connections go."""
        self._pool.shutdown()

    def _connection(self) -> HTTPConnection:
        kept: HTTPConnection | None = getattr(self._kept, "connection", None)
        if kept is None:
            kept = HTTPConnection(self._host, self._port, timeout=30)
            self._kept.connection = kept
        return kept
