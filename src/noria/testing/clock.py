"""A clock that stands still until a test moves it. The real one is app/; the port is ports/clock. Used by tests instead of sleeping."""

from datetime import UTC, datetime, timedelta
from threading import Lock

START = datetime(2013, 1, 1, tzinfo=UTC)


class FakeClock:
    """ports.clock.Clock, by hand. Thread-safe.

    >>> clock = FakeClock()
    >>> clock.advance(hours=1).isoformat()
    '2013-01-01T01:00:00+00:00'
    """

    def __init__(self, now: datetime = START) -> None:
        if now.tzinfo is None:
            raise ValueError("a clock needs a time with a zone")
        self._now = now.astimezone(UTC)
        self._lock = Lock()

    def now(self) -> datetime:
        """The present moment, in UTC."""
        with self._lock:
            return self._now

    def advance(
        self,
        by: timedelta | float = 0.0,
        *,
        days: float = 0.0,
        hours: float = 0.0,
        minutes: float = 0.0,
        seconds: float = 0.0,
    ) -> datetime:
        """Move on, by a timedelta or a number of seconds and whatever is named; the new time. A clock never goes back: ValueError."""
        step = by if isinstance(by, timedelta) else timedelta(seconds=by)
        step += timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
        if step < timedelta():
            raise ValueError("a clock never goes back")
        with self._lock:
            self._now += step
            return self._now
