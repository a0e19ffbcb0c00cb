"""Read a request's body within a limit and a time, and undo its content encoding within the same limit. What it says is the codecs' business.

Called by app for every POST.
"""

import asyncio
import zlib
from collections.abc import Awaitable
from time import monotonic
from typing import Any

from noria.errors import RequestInvalid, RequestTooLarge, RequestTooSlow
from noria.server.inference.limits import Place

LIMIT_BYTES = 16 << 20
DRAIN = 8
"""A body of up to this many limits is read and thrown away before it is refused, so that the client sees the answer and not a reset connection."""


SWEEP_S = 0.1
"""How often bodies that are late are looked for."""


class Patience:
    """Ends the reading of bodies that do not arrive in time. One timer for all of them: one each would cost every request what few need."""

    def __init__(self) -> None:
        self._waiting: dict[asyncio.Task[Any], float] = {}
        self._late: set[asyncio.Task[Any]] = set()

    async def watch(self) -> None:
        """Run beside the server, for ever."""
        while True:
            await asyncio.sleep(SWEEP_S)
            now = monotonic()
            for task in [task for task, until in self._waiting.items() if until <= now]:
                del self._waiting[task]
                self._late.add(task)
                task.cancel()

    async def read(self, reading: Awaitable[bytes], *, until: float) -> bytes:
        """Wait for a body until that time (monotonic). Raises RequestTooSlow, RequestInvalid where the client has gone."""
        task = asyncio.current_task()
        assert task is not None  # the server runs each request as a task
        self._waiting[task] = until
        try:
            return await reading
        except asyncio.CancelledError:
            if task not in self._late:
                raise
            task.uncancel()
            raise RequestTooSlow(
                "the body did not arrive in time",
                cause="it began and did not end",
                remedy="send it faster, or start the worker with a larger --body-s",
            ) from None
        except RuntimeError as exc:  # what the server's transports raise
            raise RequestInvalid(
                "the connection was closed before the body ended", cause=str(exc), remedy="send the whole body"
            ) from exc
        finally:
            self._waiting.pop(task, None)
            self._late.discard(task)


async def read_body(scope: Any, protocol: Any, *, limit: int, place: Place, patience: Patience, until: float) -> bytes:
    """The decoded body. place: where its bytes are counted. until: when it must have arrived (monotonic).

    Raises RequestTooLarge beyond `limit` bytes, sent or decoded, RequestTooSlow, Overloaded, and RequestInvalid for an encoding that is not
    understood.
    """
    headers = scope.headers
    announced = headers.get("content-length")
    if announced is not None and announced.isdecimal() and int(announced) <= limit:
        place.take(int(announced))
        body: bytes = await patience.read(protocol(), until=until)
    else:
        drain = announced is None or int(announced or 0) <= limit * DRAIN
        body = await patience.read(_read_unannounced(protocol, limit, place=place, drain=drain), until=until)
    encoding = headers.get("content-encoding")
    if encoding is None:
        return body
    plain = _decoded(body, encoding.strip().lower(), limit)
    place.take(len(plain))
    return plain


async def _read_unannounced(protocol: Any, limit: int, *, place: Place, drain: bool) -> bytes:
    """A body whose length is not known, or known to be too large; never held in memory beyond the limit."""
    parts: list[bytes] = []
    size = 0
    if drain:
        async for part in protocol:
            size += len(part)
            if size <= limit:
                place.take(len(part))
                parts.append(part)
            else:
                parts.clear()
                if size > limit * DRAIN:
                    break
        if size <= limit:
            return b"".join(parts)
    raise _too_large(limit)


def _decoded(body: bytes, encoding: str, limit: int) -> bytes:
    if encoding in ("", "identity"):
        return body
    if encoding not in ("gzip", "deflate"):
        raise RequestInvalid(
            f"content encoding {encoding!r} is not understood",
            cause="known: gzip, deflate, identity",
            remedy="send the body as it is",
        )
    try:
        stream = (
            zlib.decompressobj(wbits=47)
            if encoding == "gzip"
            else zlib.decompressobj(wbits=15 if body[:1] == b"\x78" else -15)
        )
        plain = stream.decompress(body, limit + 1)
    except zlib.error as exc:
        raise RequestInvalid(
            f"the body is not valid {encoding}", cause=str(exc), remedy="send the body as it is"
        ) from exc
    if len(plain) > limit:
        raise _too_large(limit)
    if not stream.eof:
        raise RequestInvalid(
            f"the body is not valid {encoding}", cause="it ends too early", remedy="send the body as it is"
        )
    return plain


def _too_large(limit: int) -> RequestTooLarge:
    return RequestTooLarge(
        f"the request is larger than {limit:,} bytes",
        cause="a body is held in memory while it is answered",
        remedy="send fewer rows a request",
    )
