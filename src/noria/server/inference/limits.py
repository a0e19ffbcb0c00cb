"""How much a worker takes on: requests and bytes in flight, how long an answer may take, how long a body may take to arrive.

A request beyond these is refused at once, which costs little, instead of waiting with all the others until none is in time. Called by app.
"""

from time import monotonic
from typing import Protocol

import msgspec

from noria.errors import DeadlineMissed, Overloaded, RequestInvalid

IN_FLIGHT = 1024
IN_FLIGHT_BYTES = 256 << 20
BODY_S = 30.0
DEADLINE_HEADERS = (
    ("noria-deadline-ms", 0.001),
    ("x-request-timeout", 1.0),
    ("x-envoy-expected-rq-timeout-ms", 0.001),
)
"""Headers that say how long a caller waits, and their unit in seconds; the first that is there counts. X-Request-Timeout is in seconds."""


class Headers(Protocol):
    """A request's headers; names are lower case."""

    def get(self, name: str, default: str | None = None, /) -> str | None:
        """The value of a header, or the default."""
        ...


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """in_flight, in_flight_bytes: requests, and bytes of their bodies, that are held at once. body_s: seconds for a body to arrive.

    deadline_s: seconds within which an answer must be given, 0 for no limit; a caller can only shorten it.
    """

    in_flight: int = IN_FLIGHT
    in_flight_bytes: int = IN_FLIGHT_BYTES
    body_s: float = BODY_S
    deadline_s: float = 0.0


class Gate:
    """Counts what is in flight in one process. Used by one event loop, so nothing here is locked.

    >>> gate = Gate(Limits(in_flight=1))
    >>> place = gate.enter()
    >>> place.take(100)
    >>> gate.requests, gate.bytes
    (1, 100)
    >>> place.leave()
    >>> gate.requests, gate.bytes
    (0, 0)
    """

    __slots__ = ("bytes", "limits", "requests")

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.requests = 0
        self.bytes = 0

    def enter(self) -> "Place":
        """Take a request on. Raises Overloaded."""
        if self.requests >= self.limits.in_flight:
            raise _overloaded(f"{self.requests} requests are in flight")
        self.requests += 1
        return Place(self)


class Place:
    """A request's place among those in flight. `leave` must be called once."""

    __slots__ = ("_gate", "_size")

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self._size = 0

    def take(self, size: int) -> None:
        """Hold bytes of a body. Raises Overloaded. A request that is alone may hold as many as a body may have."""
        gate = self._gate
        if gate.bytes + size > gate.limits.in_flight_bytes and gate.bytes > self._size:
            raise _overloaded(f"requests of {gate.bytes:,} bytes are in flight")
        gate.bytes += size
        self._size += size

    def leave(self) -> None:
        """The request is done with."""
        self._gate.requests -= 1
        self._gate.bytes -= self._size


class Deadline:
    """Until when an answer must be given, by this process's clock. `until` 0: whenever.

    >>> Deadline(0.0).left() is None
    True
    """

    __slots__ = ("until",)

    def __init__(self, until: float) -> None:
        self.until = until

    def left(self) -> float | None:
        """Seconds left, None for no limit. Raises DeadlineMissed."""
        if not self.until:
            return None
        left = self.until - monotonic()
        if left <= 0.0:
            raise missed()
        return left


NEVER = Deadline(0.0)


def deadline_of(headers: Headers, limits: Limits) -> Deadline:
    """The deadline of a request that has just come: the server's, or the caller's if it is sooner. Raises RequestInvalid."""
    seconds = limits.deadline_s
    for name, unit in DEADLINE_HEADERS:
        text = headers.get(name)
        if text is None:
            continue
        try:
            asked = float(text) * unit
        except ValueError:
            asked = -1.0
        if not 0.0 <= asked < 1e9:
            raise RequestInvalid(
                f"header {name} is {text!r}",
                cause="it is no number of milliseconds" if unit < 1.0 else "it is no number of seconds",
                remedy="send how long you wait for the answer, such as Noria-Deadline-Ms: 250",
            )
        if asked == 0.0 and unit == 1.0:  # there, 0 is how clients say that they wait for ever
            break
        seconds = min(seconds, asked) if seconds else asked
        return Deadline(monotonic() + seconds)
    return Deadline(monotonic() + seconds) if seconds else NEVER


def missed(cause: str = "") -> DeadlineMissed:
    """What a request is told whose time is over."""
    return DeadlineMissed(
        "the answer could not be given in time",
        cause=cause or "its deadline passed before the model was asked; nothing was recorded",
        remedy="give it more time, or send it again when the worker is less busy",
    )


def _overloaded(cause: str) -> Overloaded:
    return Overloaded(
        "the worker has as many requests as it takes on",
        cause=cause,
        remedy="send it again in a moment; nothing was recorded",
    )
