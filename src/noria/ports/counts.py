"""The counts port: monitoring's additive state, and what of the prediction log is in it."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Protocol

from noria.domain.profile import WindowCounts
from noria.domain.sketch import WindowSketches


class CountStore(Protocol):
    """Window counts and sketches by (deployment, number, step, since). Writing one again replaces it, so a recount after a crash adds nothing twice.

    Windows of another `step` stand in a tier of their own: the hours of a day and the day itself lie side by side.
    """

    def put(self, windows: Sequence[WindowCounts]) -> None:
        """Write windows, all or none. Raises InputInvalid."""
        ...

    def windows(
        self,
        deployment: str,
        number: int,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        step: int | None = None,
    ) -> list[WindowCounts]:
        """Windows of one version in time order, with since <= window.since < until; of one tier, or (None) of all."""
        ...

    def latest(self, deployment: str) -> datetime | None:
        """Where the newest window of a deployment ends, or None."""
        ...

    def put_sketches(self, sketches: Sequence[WindowSketches]) -> None:
        """Write sketches, all or none. Raises InputInvalid."""
        ...

    def sketches(
        self,
        deployment: str,
        number: int,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        step: int | None = None,
    ) -> list[WindowSketches]:
        """As `windows`, the sketches."""
        ...

    def forget(self, deployment: str, *, step: int, before: datetime) -> int:
        """Delete windows and sketches of one tier that begin before a time; gives how many. What a coarser tier holds stays."""
        ...

    def counted(self, deployment: str) -> dict[str, int]:
        """Parts of the prediction log that are in the counts, with the rows that they had (domain/log_part)."""
        ...

    def mark_counted(self, deployment: str, *, parts: Mapping[str, int], gone: Collection[str] = ()) -> None:
        """Note parts as counted, in place of what was noted for them, and forget others."""
        ...
