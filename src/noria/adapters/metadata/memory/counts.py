"""The counts of monitoring in memory. Made by MemoryMetadata."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from threading import RLock
from typing import TypeVar

from noria.adapters.metadata import rules
from noria.domain.profile import WindowCounts
from noria.domain.sketch import WindowSketches

W = TypeVar("W", WindowCounts, WindowSketches)
Shelf = dict[tuple[str, int], dict[tuple[datetime, int], W]]


class MemoryCounts:
    """ports.counts.CountStore."""

    def __init__(self, lock: RLock) -> None:
        self._lock = lock
        self.clear()

    def clear(self) -> None:
        """Back to the beginning."""
        self._windows: Shelf[WindowCounts] = {}
        self._sketches: Shelf[WindowSketches] = {}
        self._counted: dict[str, dict[str, int]] = {}

    def put(self, windows: Sequence[WindowCounts]) -> None:
        rules.check_windows(windows)
        with self._lock:
            _keep(self._windows, windows)

    def windows(
        self,
        deployment: str,
        number: int,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        step: int | None = None,
    ) -> list[WindowCounts]:
        with self._lock:
            return _chosen(self._windows.get((deployment, number), {}), since, until, step=step)

    def latest(self, deployment: str) -> datetime | None:
        with self._lock:
            ends = [
                window.until
                for (name, _), held in self._windows.items()
                if name == deployment
                for window in held.values()
            ]
            return max(ends, default=None)

    def put_sketches(self, sketches: Sequence[WindowSketches]) -> None:
        rules.check_windows(sketches)
        with self._lock:
            _keep(self._sketches, sketches)

    def sketches(
        self,
        deployment: str,
        number: int,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        step: int | None = None,
    ) -> list[WindowSketches]:
        with self._lock:
            return _chosen(self._sketches.get((deployment, number), {}), since, until, step=step)

    def forget(self, deployment: str, *, step: int, before: datetime) -> int:
        with self._lock:
            return _drop(self._windows, deployment, step, before=before) + _drop(
                self._sketches, deployment, step, before=before
            )

    def counted(self, deployment: str) -> dict[str, int]:
        with self._lock:
            return dict(self._counted.get(deployment, {}))

    def mark_counted(self, deployment: str, *, parts: Mapping[str, int], gone: Collection[str] = ()) -> None:
        rules.check_parts(parts)
        with self._lock:
            held = self._counted.setdefault(deployment, {})
            for name in gone:
                held.pop(name, None)
            held.update(parts)


def _keep(shelf: Shelf[W], windows: Sequence[W]) -> None:
    for window in windows:
        shelf.setdefault((window.deployment, window.number), {})[window.since, window.step] = window


def _chosen(
    held: dict[tuple[datetime, int], W], since: datetime | None, until: datetime | None, *, step: int | None
) -> list[W]:
    return [
        held[at, tier]
        for at, tier in sorted(held)
        if (since is None or since <= at) and (until is None or at < until) and (step is None or step == tier)
    ]


def _drop(shelf: Shelf[W], deployment: str, step: int, *, before: datetime) -> int:
    dropped = 0
    for (name, _), held in shelf.items():
        old = [key for key in held if name == deployment and key[1] == step and key[0] < before]
        for key in old:
            del held[key]
        dropped += len(old)
    return dropped
