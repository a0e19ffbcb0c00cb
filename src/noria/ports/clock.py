"""The clock port. Real time in production, an accelerated one in the demo, a fake in tests (noria.testing.clock)."""

from datetime import datetime
from typing import Protocol


class Clock(Protocol):
    """Gives the project's time, always aware and in UTC."""

    def now(self) -> datetime:
        """The present moment, in UTC."""
        ...
