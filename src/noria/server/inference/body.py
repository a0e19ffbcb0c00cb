"""Read a request's body within a limit, and undo its content encoding within the same limit. What it says is the codecs' business.

Called by app for every POST.
"""

import zlib
from typing import Any

from noria.errors import RequestInvalid, RequestTooLarge

LIMIT_BYTES = 16 << 20
DRAIN = 8
"""A body of up to this many limits is read and thrown away before it is refused, so that the client sees the answer and not a reset connection."""


async def read_body(scope: Any, protocol: Any, *, limit: int = LIMIT_BYTES) -> bytes:
    """The decoded body. Raises RequestTooLarge beyond `limit` bytes, sent or decoded, and RequestInvalid for an encoding that is not understood."""
    headers = scope.headers
    announced = headers.get("content-length")
    if announced is not None and announced.isdecimal() and int(announced) <= limit:
        body: bytes = await protocol()
    else:
        body = await _read_unannounced(protocol, limit, drain=announced is None or int(announced or 0) <= limit * DRAIN)
    encoding = headers.get("content-encoding")
    return body if encoding is None else _decoded(body, encoding.strip().lower(), limit)


async def _read_unannounced(protocol: Any, limit: int, *, drain: bool) -> bytes:
    """A body whose length is not known, or known to be too large; never held in memory beyond the limit."""
    parts: list[bytes] = []
    size = 0
    if drain:
        async for part in protocol:
            size += len(part)
            if size <= limit:
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
