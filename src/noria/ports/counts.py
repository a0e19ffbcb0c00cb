"""The counts port: monitoring's additive state."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from noria.domain.profile import WindowCounts


class CountStore(Protocol):
    """Window counts by (deployment, number, since). Writing a window again replaces it, so a recount after a crash adds nothing twice."""

    def put(self, windows: Sequence[WindowCounts]) -> None:
        """Write windows, all or none."""
        ...

    def windows(
        self, deployment: str, number: int, *, since: datetime | None = None, until: datetime | None = None
    ) -> list[WindowCounts]:
        """Windows of one version in time order, with since <= window.since < until."""
        ...

    def latest(self, deployment: str) -> datetime | None:
        """Where the newest window of a deployment ends, or None."""
        ...
