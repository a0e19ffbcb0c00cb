"""All metadata ports over HTTP: the client is an adapter, the server is server/control/store (ADR 4). Standard library only.

What crosses is wire/calls: MessagePack there and back, errors as JSON. Every call may be sent twice without harm, so one that met a connection which
the server had closed meanwhile is sent again on a new one. Opened by app/plugins.
"""

import http.client
import json
import os
import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, cast
from urllib.parse import unquote, urlsplit

import msgspec

from noria.adapters.metadata import rules
from noria.domain.deployment import Deployment, Rollout
from noria.domain.ids import Digest, EventId, RunId
from noria.domain.ledger import Cursor, Draft, Entry, Head, StoredEntry
from noria.domain.model import AliasMove, ModelVersion
from noria.domain.pipeline import JournalEntry, StepTask
from noria.domain.profile import WindowCounts
from noria.domain.run import Artifact, Metric, ParamValue, Run, RunStatus
from noria.errors import SettingInvalid, StoreError, StoreUnavailable
from noria.ports.metadata import Metadata
from noria.wire import calls
from noria.wire.frames import read_frames
from noria.wire.nouns import pack, unpack

PATH = "/api/v1/store"
TIMEOUT_S = 60.0
MOST_IDLE = 32
"""Connections kept when nobody calls."""
CALLS = calls.calls_of(Metadata)


def open_store(location: str, *, project: str) -> Metadata:
    """Open a project on a server. location: its address, such as 'http://127.0.0.1:7700', or 'https://KEY@host' if the server asks for a key.

    Asks the server once, so that a wrong address or project is told now. Raises SettingInvalid, StoreUnavailable, NotFound for another project.
    """
    metadata = RemoteMetadata(_Server(location, rules.project_of(project)))
    try:
        metadata.ledger.head()
    except BaseException:
        metadata.close()
        raise
    return metadata


class _Server:
    """Connections kept alive between calls, as many as threads call at once."""

    def __init__(self, location: str, project: str) -> None:
        parts = urlsplit(location)
        try:
            port = parts.port
        except ValueError as error:
            raise SettingInvalid("that is no address of a server", cause=str(error)) from error
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise SettingInvalid(
                f"'{location}' is no address of a server", remedy="give one such as 'http://127.0.0.1:7700'"
            )
        self._address = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"  # never with the key
        self._secure = parts.scheme == "https"
        self._host = (parts.hostname, port)
        self._path = parts.path.rstrip("/") + PATH
        self._headers = {
            "content-type": calls.MEDIA_TYPE,
            calls.PROTOCOL_HEADER: calls.PROTOCOL,
            calls.PROJECT_HEADER: json.dumps(project),  # headers are ASCII
        }
        if parts.username:
            self._headers["authorization"] = f"Bearer {unquote(parts.username)}"
        self._idle: list[http.client.HTTPConnection] = []
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._closed = False

    def call(self, name: str, /, **arguments: object) -> Any:
        """Make one call. Raises what the server raised; StoreUnavailable if it does not answer."""
        body = pack(arguments)
        connection, used = self._take()
        try:
            response, content = self._exchange(connection, name, body, used=used)
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise self._away(error) from error
        except BaseException:
            connection.close()  # half an answer may still be on its way
            raise
        self._give_back(connection)
        if response.status != 200:
            raise self._refused(response, content)
        return unpack(content, CALLS[name].result, what=f"the server's answer to '{name}'")

    def stream(self, name: str, /, **arguments: object) -> Iterator[Any]:
        """Make one call whose answer comes in pieces, on a connection of its own. Raises like `call`, at any piece."""
        if self._closed:
            raise StoreUnavailable(f"store '{self._address}' is closed", remedy="open it again")
        connection = self._new()
        try:
            response = self._send(connection, name, pack(arguments))
            if response.status != 200:
                raise self._refused(response, response.read())
            for frame in read_frames(response.read):
                yield from unpack(frame, CALLS[name].result, what=f"the server's answer to '{name}'")
        except (OSError, http.client.HTTPException) as error:
            raise self._away(error) from error
        finally:
            connection.close()

    def close(self) -> None:
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def _exchange(
        self, connection: http.client.HTTPConnection, name: str, body: bytes, *, used: bool
    ) -> tuple[http.client.HTTPResponse, bytes]:
        try:
            response = self._send(connection, name, body)
            return response, response.read()
        except (ConnectionError, http.client.BadStatusLine):
            connection.close()
            if not used:
                raise
            # It lay idle and the server has let go of it; http.client connects again by itself.
            response = self._send(connection, name, body)
            return response, response.read()

    def _send(self, connection: http.client.HTTPConnection, name: str, body: bytes) -> http.client.HTTPResponse:
        connection.request("POST", f"{self._path}/{name.replace('.', '/')}", body, self._headers)
        return connection.getresponse()

    def _take(self) -> tuple[http.client.HTTPConnection, bool]:
        """A connection, and whether it was used before."""
        with self._lock:
            if self._closed:
                raise StoreUnavailable(f"store '{self._address}' is closed", remedy="open it again")
            if self._pid != os.getpid():  # forked: these sockets are the parent's as well
                self._idle, self._pid = [], os.getpid()
            if self._idle:
                return self._idle.pop(), True
        return self._new(), False

    def _give_back(self, connection: http.client.HTTPConnection) -> None:
        with self._lock:
            if not self._closed and len(self._idle) < MOST_IDLE:
                self._idle.append(connection)
                return
        connection.close()

    def _new(self) -> http.client.HTTPConnection:
        kind = http.client.HTTPSConnection if self._secure else http.client.HTTPConnection
        return kind(*self._host, timeout=TIMEOUT_S)

    def _away(self, error: Exception) -> StoreUnavailable:
        return StoreUnavailable(
            f"the store at '{self._address}' does not answer",
            cause=f"{type(error).__name__}: {error}",
            remedy="noria up, on the machine of that address; then repeat the command",
        )

    def _refused(self, response: http.client.HTTPResponse, content: bytes) -> Exception:
        """The error that the server told of. What is not in Noria's form comes from something else that answers there."""
        try:
            return calls.raised(msgspec.json.decode(content, type=calls.Refusal))
        except msgspec.MsgspecError:
            kind = StoreUnavailable if response.status >= 500 else StoreError
            return kind(
                f"'{self._address}' answered {response.status} {response.reason}",
                cause=f"its answer is not that of a Noria store: {content[:200].decode(errors='replace')!r}",
                remedy="look at the address: is it `noria up` that answers there, of a version like this one?",
            )


class RemoteLedger:
    """ports.ledger.Ledger."""

    def __init__(self, server: _Server) -> None:
        self._server = server

    def append(self, drafts: Sequence[Draft], *, advance: Cursor | None = None) -> list[Entry]:
        return cast(list[Entry], self._server.call("ledger.append", drafts=list(drafts), advance=advance))

    def read(self, *, after: int = 0, limit: int = 1000, kinds: Collection[str] | None = None) -> list[Entry]:
        return cast(list[Entry], self._server.call("ledger.read", after=after, limit=limit, kinds=_listed(kinds)))

    def latest(self, *, limit: int = 100, kinds: Collection[str] | None = None) -> list[Entry]:
        return cast(list[Entry], self._server.call("ledger.latest", limit=limit, kinds=_listed(kinds)))

    def get(self, event_id: EventId) -> Entry:
        return cast(Entry, self._server.call("ledger.get", event_id=event_id))

    def head(self) -> Head:
        return cast(Head, self._server.call("ledger.head"))

    def cursor(self, name: str) -> Cursor:
        return cast(Cursor, self._server.call("ledger.cursor", name=name))

    def stored(self) -> Iterator[StoredEntry]:
        return self._server.stream("ledger.stored")


class RemoteRuns:
    """ports.runs.RunStore."""

    def __init__(self, server: _Server) -> None:
        self._server = server

    def create(self, run: Run) -> Run:
        return cast(Run, self._server.call("runs.create", run=run))

    def get(self, run_id: RunId) -> Run:
        return cast(Run, self._server.call("runs.get", run_id=run_id))

    def find(
        self, *, experiment: str | None = None, status: RunStatus | None = None, limit: int = 100, offset: int = 0
    ) -> list[Run]:
        answer = self._server.call("runs.find", experiment=experiment, status=status, limit=limit, offset=offset)
        return cast(list[Run], answer)

    def count(self, *, experiment: str | None = None, status: RunStatus | None = None) -> int:
        return cast(int, self._server.call("runs.count", experiment=experiment, status=status))

    def experiments(self) -> list[str]:
        return cast(list[str], self._server.call("runs.experiments"))

    def log_params(self, run_id: RunId, params: Mapping[str, ParamValue]) -> None:
        self._server.call("runs.log_params", run_id=run_id, params=dict(params))

    def log_metrics(self, run_id: RunId, points: Sequence[Metric]) -> None:
        self._server.call("runs.log_metrics", run_id=run_id, points=list(points))

    def history(self, run_id: RunId, key: str) -> list[Metric]:
        return cast(list[Metric], self._server.call("runs.history", run_id=run_id, key=key))

    def set_tags(self, run_id: RunId, tags: Mapping[str, str]) -> None:
        self._server.call("runs.set_tags", run_id=run_id, tags=dict(tags))

    def add_artifacts(self, run_id: RunId, artifacts: Sequence[Artifact]) -> None:
        self._server.call("runs.add_artifacts", run_id=run_id, artifacts=list(artifacts))

    def finish(self, run_id: RunId, *, status: RunStatus, at: datetime, error: str = "") -> Run:
        return cast(Run, self._server.call("runs.finish", run_id=run_id, status=status, at=at, error=error))


class RemoteModels:
    """ports.models.ModelStore."""

    def __init__(self, server: _Server) -> None:
        self._server = server

    def register(self, version: ModelVersion) -> ModelVersion:
        return cast(ModelVersion, self._server.call("models.register", version=version))

    def get(self, model: str, number: int) -> ModelVersion:
        return cast(ModelVersion, self._server.call("models.get", model=model, number=number))

    def versions(self, model: str) -> list[ModelVersion]:
        return cast(list[ModelVersion], self._server.call("models.versions", model=model))

    def models(self) -> list[str]:
        return cast(list[str], self._server.call("models.models"))

    def move_alias(self, move: AliasMove) -> None:
        self._server.call("models.move_alias", move=move)

    def alias(self, model: str, alias: str) -> int | None:
        return cast(int | None, self._server.call("models.alias", model=model, alias=alias))

    def alias_history(self, model: str, alias: str | None = None) -> list[AliasMove]:
        return cast(list[AliasMove], self._server.call("models.alias_history", model=model, alias=alias))


class RemoteDeployments:
    """ports.deployments.DeploymentStore."""

    def __init__(self, server: _Server) -> None:
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

    def __init__(self, server: _Server) -> None:
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


class RemoteCounts:
    """ports.counts.CountStore."""

    def __init__(self, server: _Server) -> None:
        self._server = server

    def put(self, windows: Sequence[WindowCounts]) -> None:
        self._server.call("counts.put", windows=list(windows))

    def windows(
        self, deployment: str, number: int, *, since: datetime | None = None, until: datetime | None = None
    ) -> list[WindowCounts]:
        answer = self._server.call("counts.windows", deployment=deployment, number=number, since=since, until=until)
        return cast(list[WindowCounts], answer)

    def latest(self, deployment: str) -> datetime | None:
        return cast(datetime | None, self._server.call("counts.latest", deployment=deployment))


def _listed(kinds: Collection[str] | None) -> list[str] | None:
    return None if kinds is None else sorted(kinds)


class RemoteMetadata:
    """ports.metadata.Metadata, over one server."""

    def __init__(self, server: _Server) -> None:
        self._server = server
        self.ledger = RemoteLedger(server)
        self.runs = RemoteRuns(server)
        self.models = RemoteModels(server)
        self.deployments = RemoteDeployments(server)
        self.journal = RemoteJournal(server)
        self.counts = RemoteCounts(server)

    def close(self) -> None:
        """Close the connections of all threads."""
        self._server.close()
