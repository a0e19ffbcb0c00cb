"""The ports of the loop over HTTP: ledger, deployments, steps, counts and leases. How a call is made is server.py."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime
from typing import cast

from noria.adapters.metadata.remote.server import Server, listed
from noria.domain.deployment import Deployment, Rollout
from noria.domain.ids import Digest, EventId
from noria.domain.lease import Lease
from noria.domain.ledger import Cursor, Draft, Entry, Head, StoredEntry
from noria.domain.pipeline import JournalEntry, StepTask
from noria.domain.profile import WindowCounts
from noria.domain.sketch import WindowSketches


class RemoteLedger:
    """ports.ledger.Ledger."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def append(self, drafts: Sequence[Draft], *, advance: Cursor | None = None) -> list[Entry]:
        return cast(list[Entry], self._server.call("ledger.append", drafts=list(drafts), advance=advance))

    def read(self, *, after: int = 0, limit: int = 1000, kinds: Collection[str] | None = None) -> list[Entry]:
        return cast(list[Entry], self._server.call("ledger.read", after=after, limit=limit, kinds=listed(kinds)))

    def latest(self, *, limit: int = 100, kinds: Collection[str] | None = None) -> list[Entry]:
        return cast(list[Entry], self._server.call("ledger.latest", limit=limit, kinds=listed(kinds)))

    def get(self, event_id: EventId) -> Entry:
        return cast(Entry, self._server.call("ledger.get", event_id=event_id))

    def head(self) -> Head:
        return cast(Head, self._server.call("ledger.head"))

    def cursor(self, name: str) -> Cursor:
        return cast(Cursor, self._server.call("ledger.cursor", name=name))

    def stored(self) -> Iterator[StoredEntry]:
        return self._server.stream("ledger.stored")


class RemoteDeployments:
    """ports.deployments.DeploymentStore."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def put(self, deployment: Deployment) -> Deployment:
        return cast(Deployment, self._server.call("deployments.put", deployment=deployment))

    def get(self, name: str) -> Deployment:
        return cast(Deployment, self._server.call("deployments.get", name=name))

    def at_generation(self, name: str, generation: int) -> Deployment:
        return cast(Deployment, self._server.call("deployments.at_generation", name=name, generation=generation))

    def all(self) -> list[Deployment]:
        return cast(list[Deployment], self._server.call("deployments.all"))

    def history(self, name: str) -> list[Deployment]:
        return cast(list[Deployment], self._server.call("deployments.history", name=name))

    def rollouts(self, name: str) -> list[Rollout]:
        return cast(list[Rollout], self._server.call("deployments.rollouts", name=name))


class RemoteJournal:
    """ports.journal.StepJournal."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def find(self, keys: Sequence[Digest]) -> dict[Digest, JournalEntry]:
        return cast(dict[Digest, JournalEntry], self._server.call("journal.find", keys=list(keys)))

    def last_done(self, step: str) -> JournalEntry | None:
        return cast(JournalEntry | None, self._server.call("journal.last_done", step=step))

    def lease(self, task: StepTask, *, holder: str, now: datetime, seconds: float, run_id: str = "") -> JournalEntry:
        answer = self._server.call("journal.lease", task=task, holder=holder, now=now, seconds=seconds, run_id=run_id)
        return cast(JournalEntry, answer)

    def heartbeat(self, entry: JournalEntry, *, now: datetime, seconds: float) -> JournalEntry:
        return cast(JournalEntry, self._server.call("journal.heartbeat", entry=entry, now=now, seconds=seconds))

    def commit(self, entry: JournalEntry, *, output: Digest, seconds: float) -> JournalEntry:
        return cast(JournalEntry, self._server.call("journal.commit", entry=entry, output=output, seconds=seconds))

    def release(self, entry: JournalEntry) -> None:
        self._server.call("journal.release", entry=entry)

    def outputs(self) -> Iterator[Digest]:
        return self._server.stream("journal.outputs")


class RemoteCounts:
    """ports.counts.CountStore."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def put(self, windows: Sequence[WindowCounts]) -> None:
        self._server.call("counts.put", windows=list(windows))

    def windows(
        self,
        deployment: str,
        number: int,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        step: int | None = None,
    ) -> list[WindowCounts]:
        answer = self._server.call(
            "counts.windows", deployment=deployment, number=number, since=since, until=until, step=step
        )
        return cast(list[WindowCounts], answer)

    def latest(self, deployment: str) -> datetime | None:
        return cast(datetime | None, self._server.call("counts.latest", deployment=deployment))

    def put_sketches(self, sketches: Sequence[WindowSketches]) -> None:
        self._server.call("counts.put_sketches", sketches=list(sketches))

    def sketches(
        self,
        deployment: str,
        number: int,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        step: int | None = None,
    ) -> list[WindowSketches]:
        answer = self._server.call(
            "counts.sketches", deployment=deployment, number=number, since=since, until=until, step=step
        )
        return cast(list[WindowSketches], answer)

    def forget(self, deployment: str, *, step: int, before: datetime) -> int:
        return cast(int, self._server.call("counts.forget", deployment=deployment, step=step, before=before))

    def counted(self, deployment: str) -> dict[str, int]:
        return cast(dict[str, int], self._server.call("counts.counted", deployment=deployment))

    def mark_counted(self, deployment: str, *, parts: Mapping[str, int], gone: Collection[str] = ()) -> None:
        self._server.call("counts.mark_counted", deployment=deployment, parts=dict(parts), gone=list(gone))


class RemoteLeases:
    """ports.leases.LeaseStore."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def find(self, name: str) -> Lease | None:
        return cast(Lease | None, self._server.call("leases.find", name=name))

    def acquire(self, name: str, *, holder: str, seconds: float, seen: Lease | None = None) -> Lease:
        return cast(Lease, self._server.call("leases.acquire", name=name, holder=holder, seconds=seconds, seen=seen))

    def renew(self, lease: Lease) -> Lease:
        return cast(Lease, self._server.call("leases.renew", lease=lease))

    def release(self, lease: Lease) -> None:
        self._server.call("leases.release", lease=lease)
