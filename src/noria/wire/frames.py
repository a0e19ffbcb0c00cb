"""Long answers in pieces: four bytes of length (big-endian), then that many bytes; a length of 0 ends them, so that a cut connection is noticed.

What the pieces hold is calls.py's business. Called by server/control/store and adapters/metadata/remote.
"""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice

from noria.wire.nouns import pack

ROWS_A_FRAME = 256


def write_frames(rows: Iterable[object]) -> Iterator[bytes]:
    """Pack rows, some hundred a frame, and end the stream.

    >>> content = b"".join(write_frames([1, 2, 3]))
    >>> from io import BytesIO
    >>> list(read_frames(BytesIO(content).read))
    [b'\\x93\\x01\\x02\\x03']
    """
    rest = iter(rows)
    while some := list(islice(rest, ROWS_A_FRAME)):
        frame = pack(some)
        yield len(frame).to_bytes(4, "big") + frame
    yield bytes(4)


def read_frames(read: Callable[[int], bytes]) -> Iterator[bytes]:
    """Take frames apart again. Raises ConnectionError when they stop before their end."""
    while size := int.from_bytes(_exactly(read, 4), "big"):
        yield _exactly(read, size)


def _exactly(read: Callable[[int], bytes], size: int) -> bytes:
    found = b""
    while len(found) < size:
        piece = read(size - len(found))
        if not piece:
            raise ConnectionError("the answer stopped before its end")
        found += piece
    return found
