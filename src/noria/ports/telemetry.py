"""The telemetry port: Noria's own measurements of itself, kept on this machine."""

from typing import Protocol

from noria.domain.measurement import Family


class Telemetry(Protocol):
    """Counters, gauges and histograms by name and labels. Never blocks, never raises, never leaves the machine by itself (ADR 11).

    Names end as Prometheus has it: counters in `_total`, what has a unit in it (`_seconds`, `_bytes`).
    """

    def count(self, name: str, amount: float = 1.0, /, **labels: str) -> None:
        """Add to a counter."""
        ...

    def observe(self, name: str, value: float, /, **labels: str) -> None:
        """Put one value, in base units (seconds, bytes), into a histogram."""
        ...

    def set(self, name: str, value: float, /, **labels: str) -> None:
        """How much of something there is now."""
        ...

    def families(self) -> list[Family]:
        """Everything as it is now, for who sends it on in another form."""
        ...

    def exposition(self, *, openmetrics: bool = False) -> str:
        """Everything in the Prometheus text format 0.0.4, or in OpenMetrics 1.0."""
        ...
