"""The telemetry port: Noria's own measurements of itself, kept on this machine."""

from typing import Protocol


class Telemetry(Protocol):
    """Counters and histograms by name and labels. Never blocks, never raises, never leaves the machine by itself (ADR 11)."""

    def count(self, name: str, amount: float = 1.0, /, **labels: str) -> None:
        """Add to a counter."""
        ...

    def observe(self, name: str, value: float, /, **labels: str) -> None:
        """Put one value, in base units (seconds, bytes), into a histogram."""
        ...

    def exposition(self) -> str:
        """Everything in the Prometheus text format."""
        ...
