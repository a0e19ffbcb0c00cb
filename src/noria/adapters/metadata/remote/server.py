"""Calls over HTTP: connections kept alive between calls, errors raised as the server raised them. Standard library only.

Every call may be sent twice without harm, so one that met a connection which the server had closed meanwhile is sent again on a new one.
Called by the ports beside this file.
"""

import http.client
import json
import os
import threading
from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import unquote, urlsplit

import msgspec

from noria.errors import SettingInvalid, StoreError, StoreUnavailable
from noria.ports.metadata import Metadata
from noria.wire import calls
from noria.wire.frames import read_frames
from noria.wire.nouns import unpack

PATH = "/api/v1/store"
CONNECT_S = 5.0
"""A host that swallows what is sent to it holds nobody up for longer."""
TIMEOUT_S = 60.0
MOST_IDLE = 32
"""Connections kept when nobody calls."""
CALLS = calls.calls_of(Metadata)


class Server:
    """Connections kept alive between calls, as many as threads call at once."""

    def __init__(self, location: str, project: str) -> None:
        parts = urlsplit(location)
        try:
            port = parts.port
        except ValueError as error:
            raise SettingInvalid("that is no address of a server", cause=str(error)) from error
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise SettingInvalid(
                f"'{location}' is no address of a server", remedy="give one such as 'http://127.0.0.1:7700'"
            )
        self._address = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"  # never with the key
        self._secure = parts.scheme == "https"
        self._host = (parts.hostname, port)
        self._path = parts.path.rstrip("/") + PATH
        self._headers = {
            "content-type": calls.MEDIA_TYPE,
            calls.PROTOCOL_HEADER: calls.PROTOCOL,
            calls.PROJECT_HEADER: json.dumps(project),  # headers are ASCII
        }
        if parts.username:
            self._headers["authorization"] = f"Bearer {unquote(parts.username)}"
        self._idle: list[http.client.HTTPConnection] = []
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._closed = False

    def call(self, name: str, /, **arguments: object) -> Any:
        """Make one call. Raises what the server raised; StoreUnavailable if it does not answer."""
        call = CALLS[name]
        body = call.ask(arguments)
        connection, used = self._take()
        try:
            response, content = self._exchange(connection, name, body, used=used)
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise self._away(error) from error
        except BaseException:
            connection.close()  # half an answer may still be on its way
            raise
        self._give_back(connection)
        if response.status != 200:
            raise self._refused(response, content)
        return call.answered(content)

    def stream(self, name: str, /, **arguments: object) -> Iterator[Any]:
        """Make one call whose answer comes in pieces, on a connection of its own. Raises like `call`, at any piece."""
        if self._closed:
            raise StoreUnavailable(f"store '{self._address}' is closed", remedy="open it again")
        connection = self._new()
        try:
            response = self._send(connection, name, CALLS[name].ask(arguments))
            if response.status != 200:
                raise self._refused(response, response.read())
            for frame in read_frames(response.read):
                yield from unpack(frame, CALLS[name].result, what=f"the server's answer to '{name}'")
        except (OSError, http.client.HTTPException) as error:
            raise self._away(error) from error
        finally:
            connection.close()

    def close(self) -> None:
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def _exchange(
        self, connection: http.client.HTTPConnection, name: str, body: bytes, *, used: bool
    ) -> tuple[http.client.HTTPResponse, bytes]:
        try:
            response = self._send(connection, name, body)
            return response, response.read()
        except (ConnectionError, http.client.BadStatusLine):
            connection.close()
            if not used:
                raise
            # It lay idle and the server has let go of it; http.client connects again by itself.
            response = self._send(connection, name, body)
            return response, response.read()

    def _send(self, connection: http.client.HTTPConnection, name: str, body: bytes) -> http.client.HTTPResponse:
        if connection.sock is None:
            _connect(connection)
        connection.request("POST", f"{self._path}/{name.replace('.', '/')}", body, self._headers)
        return connection.getresponse()

    def _take(self) -> tuple[http.client.HTTPConnection, bool]:
        """A connection, and whether it was used before."""
        with self._lock:
            if self._closed:
                raise StoreUnavailable(f"store '{self._address}' is closed", remedy="open it again")
            if self._pid != os.getpid():  # forked: these sockets are the parent's as well
                self._idle, self._pid = [], os.getpid()
            if self._idle:
                return self._idle.pop(), True
        return self._new(), False

    def _give_back(self, connection: http.client.HTTPConnection) -> None:
        with self._lock:
            if not self._closed and len(self._idle) < MOST_IDLE:
                self._idle.append(connection)
                return
        connection.close()

    def _new(self) -> http.client.HTTPConnection:
        kind = http.client.HTTPSConnection if self._secure else http.client.HTTPConnection
        return kind(*self._host, timeout=CONNECT_S)

    def _away(self, error: Exception) -> StoreUnavailable:
        return StoreUnavailable(
            f"the store at '{self._address}' does not answer",
            cause=f"{type(error).__name__}: {error}",
            remedy="noria up, on the machine of that address; then repeat the command",
        )

    def _refused(self, response: http.client.HTTPResponse, content: bytes) -> Exception:
        """The error that the server told of. What is not in Noria's form comes from something else that answers there."""
        try:
            return calls.raised(msgspec.json.decode(content, type=calls.Refusal))
        except msgspec.MsgspecError:
            kind = StoreUnavailable if response.status >= 500 else StoreError
            return kind(
                f"'{self._address}' answered {response.status} {response.reason}",
                cause=f"its answer is not that of a Noria store: {content[:200].decode(errors='replace')!r}",
                remedy="look at the address: is it `noria up` that answers there, of a version like this one?",
            )


def _connect(connection: http.client.HTTPConnection) -> None:
    connection.connect()
    connection.sock.settimeout(TIMEOUT_S)


def listed(kinds: Iterable[str] | None) -> list[str] | None:
    """What is asked for, in an order of its own."""
    return None if kinds is None else sorted(kinds)
