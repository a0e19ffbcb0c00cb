"""Leases in memory: for one process and its threads. Who may hold one is metadata/rules_leases. Made by MemoryMetadata."""

from threading import RLock

from noria.adapters.metadata import rules_leases
from noria.domain.lease import Lease


class MemoryLeases:
    """ports.leases.LeaseStore."""

    def __init__(self, lock: RLock) -> None:
        self._lock = lock
        self.clear()

    def clear(self) -> None:
        """Back to the beginning."""
        self._leases: dict[str, Lease] = {}

    def find(self, name: str) -> Lease | None:
        with self._lock:
            return self._leases.get(name)

    def acquire(self, name: str, *, holder: str, seconds: float, seen: Lease | None = None) -> Lease:
        with self._lock:
            stored = self._leases.get(name)
            self._leases[name] = rules_leases.acquired(stored, name, holder=holder, seconds=seconds, seen=seen)
            return self._leases[name]

    def renew(self, lease: Lease) -> Lease:
        with self._lock:
            self._leases[lease.name] = rules_leases.renewed(self._leases.get(lease.name), lease)
            return self._leases[lease.name]

    def release(self, lease: Lease) -> None:
        with self._lock:
            free = rules_leases.released(self._leases.get(lease.name), lease)
            if free is not None:
                self._leases[lease.name] = free
