"""One HTTP request to an address that the project configured, and to no other; what the answer means. Called by the notifiers that speak HTTP.

An address, its credentials and a receiver's secret are never shown: errors name the host, and what an answer repeats of a secret is blotted out.
"""

import base64
import contextlib
import http.client
import socket
from collections.abc import Iterator, Mapping
from threading import Timer
from urllib.parse import SplitResult, unquote, urlsplit

from noria.errors import RequestInvalid, SettingInvalid, StoreUnavailable

TIMEOUT_SECONDS = 10.0
"""For the whole exchange: a receiver that drips its answer is cut off."""
LATER = {408, 425, 429}
"""Answers below 500 that say: try again later."""
REFUSED = {400, 409, 413, 422}
"""Answers that refuse this very message, and not everything that comes from here."""
READ_BYTES = 300


class Endpoint:
    """Where a receiver listens. what: what it is called in errors.

    >>> Endpoint("https://me:pass@alerts.example.org/hook", what="webhook").host
    'alerts.example.org'
    """

    def __init__(self, location: str, *, what: str, timeout_s: float = TIMEOUT_SECONDS) -> None:
        url = checked(location, what=what)
        self.host = url.hostname or ""
        self._what = what
        self._secure = url.scheme == "https"
        self._port = url.port
        self._path = url.path
        self._query = f"?{url.query}" if url.query else ""
        self._credentials = f"{unquote(url.username)}:{unquote(url.password or '')}" if url.username else None
        self._timeout_s = timeout_s

    def ask(
        self,
        body: bytes,
        headers: Mapping[str, str] | None = None,
        *,
        under: str = "",
        query: str = "",
        method: str = "POST",
        blot: str = "",
    ) -> None:
        """Send one request; under, query: put behind the address's own path and query. blot: a secret that must not come back in an error.

        Raises StoreUnavailable when the receiver is away or says 'later', RequestInvalid when it refuses this message, SettingInvalid when it
        refuses whatever comes: the address or the credentials are wrong.
        """
        kind = http.client.HTTPSConnection if self._secure else http.client.HTTPConnection
        connection = kind(self.host, self._port, timeout=self._timeout_s)
        target = (self._path.rstrip("/") + under if under else self._path) or "/"
        target += self._query + (("&" if self._query else "?") + query if query else "")
        try:
            with _cut_after(connection, self._timeout_s):
                connection.request(method, target, body=body or None, headers=self._headers(body, headers or {}))
                answer = connection.getresponse()
                status, said = answer.status, answer.read(READ_BYTES).decode("utf-8", "replace").strip()
        except (OSError, http.client.HTTPException) as exc:
            raise self._away(f"{type(exc).__name__}: {exc}") from exc
        finally:
            connection.close()
        if 200 <= status < 300:
            return
        cause = f"it answers {status}" + (f": {_blotted(said, blot)}" if said and status in REFUSED else "")
        if status >= 500 or status in LATER:
            raise self._away(cause)
        if status in REFUSED:
            raise RequestInvalid(
                f"the {self._what} at {self.host!r} refuses the message",
                cause=cause,
                remedy="correct the receiver in noria.toml, [notify], then: noria alerts test",
            )
        raise SettingInvalid(
            f"the {self._what} at {self.host!r} refuses alerts",
            cause=cause,
            remedy="correct the address or its credentials in noria.toml, [notify]; redirects are not followed",
        )

    def _headers(self, body: bytes, given: Mapping[str, str]) -> dict[str, str]:
        headers = {"User-Agent": "noria", **given}
        if body:
            headers.setdefault("Content-Type", "application/json")
        if self._credentials is not None:
            headers["Authorization"] = "Basic " + base64.b64encode(self._credentials.encode()).decode()
        return headers

    def _away(self, cause: str) -> StoreUnavailable:
        return StoreUnavailable(
            f"the {self._what} at {self.host!r} does not take alerts now",
            cause=cause,
            remedy="nothing is lost: it is tried again until it is taken; see noria alerts receivers",
        )


def checked(location: str, *, what: str, schemes: tuple[str, ...] = ("http", "https")) -> SplitResult:
    """The parts of an address. Raises SettingInvalid, which does not repeat it."""
    example = f"{schemes[-1]}://host/path"
    try:
        url = urlsplit(location)
        _ = url.port
    except ValueError as exc:
        raise SettingInvalid(f"the address of the {what} is no URL", cause=str(exc), remedy=f"use {example}") from exc
    if url.scheme not in schemes or not url.hostname or not location.isascii() or any(c.isspace() for c in location):
        raise SettingInvalid(
            f"the address of the {what} is no {' or '.join(schemes)} URL",
            remedy=f"in noria.toml, [notify]: location = '{example}'",
        )
    return url


def demanded(secret: str, *, what: str, name: str) -> str:
    """A secret that the receiver cannot do without. Raises SettingInvalid."""
    if not secret.strip():
        raise SettingInvalid(
            f"the {what} receiver has no {name}",
            remedy="in noria.toml, [notify.receivers.NAME]: secret = 'env:THE_VARIABLE'",
        )
    return secret.strip()


def _blotted(said: str, secret: str) -> str:
    return said.replace(secret, "***") if secret else said


@contextlib.contextmanager
def _cut_after(connection: http.client.HTTPConnection, seconds: float) -> Iterator[None]:
    """Shut the socket when the time is over. Each read's own timeout would begin anew with every byte."""

    def cut() -> None:
        if connection.sock is not None:
            with contextlib.suppress(OSError):
                connection.sock.shutdown(socket.SHUT_RDWR)

    timer = Timer(seconds, cut)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
