"""All metadata ports in memory: for tests, sketches and `Workspace.ephemeral`. One lock for all; nothing outlives the process.

What counts as a repetition or a contradiction is rules.py. Opened by app/plugins.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from threading import RLock

from msgspec.structs import replace

from noria.adapters.metadata import rules
from noria.domain.deployment import Deployment, Rollout
from noria.domain.events import kind_of
from noria.domain.ids import Digest, EventId, RunId
from noria.domain.ledger import Cursor, Draft, Entry, Head, StoredEntry
from noria.domain.model import AliasMove, ModelVersion
from noria.domain.pipeline import JournalEntry, StepTask
from noria.domain.profile import WindowCounts
from noria.domain.run import Artifact, Metric, ParamValue, Run, RunStatus
from noria.errors import NotFound
from noria.ports.metadata import Metadata
from noria.wire import chain
from noria.wire.nouns import pack


def open_store(location: str, *, project: str) -> Metadata:
    """A new, empty store. location is only a name here: opening it twice gives two stores.

    >>> open_store("", project="sketch").ledger.head().seq
    0
    """
    return MemoryMetadata(rules.project_of(project))


class MemoryLedger:
    """ports.ledger.Ledger."""

    def __init__(self, project: str, lock: RLock) -> None:
        self._project = project
        self._lock = lock
        self._rows: list[StoredEntry] = []
        self._entries: list[Entry] = []
        self._by_id: dict[str, Entry] = {}
        self._head = chain.genesis(project)
        self._cursors: dict[str, int] = {}

    def append(self, drafts: Sequence[Draft], *, advance: Cursor | None = None) -> list[Entry]:
        prepared = [chain.prepare(draft) for draft in drafts]
        with self._lock:
            head, answer, fresh = self._head, [], []
            known: dict[str, Entry] = {}
            for draft in prepared:
                stored = self._by_id.get(draft.draft.id) or known.get(draft.draft.id)
                if stored is not None:
                    answer.append(chain.same_event(stored, draft))
                    continue
                entry, row = chain.seal(draft, project=self._project, head=head, recorded_at=datetime.now(UTC))
                head = Head(seq=entry.seq, hash=entry.hash)
                known[entry.id] = entry
                fresh.append((entry, row))
                answer.append(entry)
            if advance is not None:
                rules.check_advance(advance, head)
                self._cursors[advance.name] = max(advance.seq, self._cursors.get(advance.name, 0))
            self._entries += [entry for entry, _ in fresh]
            self._rows += [row for _, row in fresh]
            self._by_id |= known
            self._head = head
            return answer

    def read(self, *, after: int = 0, limit: int = 1000, kinds: Collection[str] | None = None) -> list[Entry]:
        with self._lock:
            return _first(iter(self._entries[max(after, 0) :]), kinds, limit)

    def latest(self, *, limit: int = 100, kinds: Collection[str] | None = None) -> list[Entry]:
        with self._lock:
            return _first(reversed(self._entries), kinds, limit)

    def get(self, event_id: EventId) -> Entry:
        with self._lock:
            if event_id not in self._by_id:
                raise NotFound.of("event", event_id)
            return self._by_id[event_id]

    def head(self) -> Head:
        with self._lock:
            return self._head

    def cursor(self, name: str) -> Cursor:
        with self._lock:
            return Cursor(name=name, seq=self._cursors.get(name, 0))

    def stored(self) -> Iterator[StoredEntry]:
        with self._lock:
            rows = list(self._rows)
        return iter(rows)


def _first(entries: Iterator[Entry], kinds: Collection[str] | None, limit: int) -> list[Entry]:
    found: list[Entry] = []
    for entry in entries:
        if len(found) >= limit:
            break
        if kinds is None or kind_of(entry.event) in kinds:
            found.append(entry)
    return found


class _Series:
    """Points of one metric, ordered and without repetitions."""

    def __init__(self) -> None:
        self._points: dict[tuple[int, int, int], Metric] = {}

    def add(self, point: Metric) -> None:
        self._points.setdefault(rules.point_key(point), point)

    def ordered(self) -> list[Metric]:
        return [self._points[key] for key in sorted(self._points)]

    def last(self) -> float:
        return self._points[max(self._points)].value


class MemoryRuns:
    """ports.runs.RunStore."""

    def __init__(self, lock: RLock) -> None:
        self._lock = lock
        self._runs: dict[str, Run] = {}
        self._made: dict[str, Run] = {}
        self._series: dict[str, dict[str, _Series]] = {}

    def create(self, run: Run) -> Run:
        kept, points = rules.new_run(run)
        pack(run)
        with self._lock:
            if run.id in self._runs:
                rules.same_run(self._made[run.id], run)
            else:
                self._runs[run.id] = kept
                self._made[run.id] = run
                self._series[run.id] = {}
                self.log_metrics(run.id, points)
            return self.get(run.id)

    def get(self, run_id: RunId) -> Run:
        with self._lock:
            run = self._find(run_id)
            return replace(run, metrics={key: series.last() for key, series in self._series[run_id].items()})

    def find(
        self, *, experiment: str | None = None, status: RunStatus | None = None, limit: int = 100, offset: int = 0
    ) -> list[Run]:
        with self._lock:
            matching = self._matching(experiment, status)
            # A stable sort, then reversed: of runs that began at once, the one written last comes first.
            newest = sorted(matching, key=lambda run: run.started_at)[::-1]
            return [self.get(run.id) for run in newest[max(offset, 0) : max(offset, 0) + max(limit, 0)]]

    def count(self, *, experiment: str | None = None, status: RunStatus | None = None) -> int:
        with self._lock:
            return len(self._matching(experiment, status))

    def experiments(self) -> list[str]:
        with self._lock:
            return sorted({run.experiment for run in self._runs.values()})

    def log_params(self, run_id: RunId, params: Mapping[str, ParamValue]) -> None:
        self._change(run_id, lambda run: rules.with_params(run, params))

    def log_metrics(self, run_id: RunId, points: Sequence[Metric]) -> None:
        for point in points:
            rules.point_key(point)  # all are checked before the first is kept
        with self._lock:
            self._find(run_id)
            for point in points:
                self._series[run_id].setdefault(point.key, _Series()).add(point)

    def history(self, run_id: RunId, key: str) -> list[Metric]:
        with self._lock:
            self._find(run_id)
            series = self._series[run_id].get(key)
            return series.ordered() if series else []

    def set_tags(self, run_id: RunId, tags: Mapping[str, str]) -> None:
        self._change(run_id, lambda run: rules.with_tags(run, tags))

    def add_artifacts(self, run_id: RunId, artifacts: Sequence[Artifact]) -> None:
        self._change(run_id, lambda run: rules.with_artifacts(run, artifacts))

    def finish(self, run_id: RunId, *, status: RunStatus, at: datetime, error: str = "") -> Run:
        with self._lock:
            self._change(run_id, lambda run: rules.finished(run, status=status, at=at, error=error))
            return self.get(run_id)

    def _change(self, run_id: RunId, change: Callable[[Run], Run]) -> None:
        with self._lock:
            changed = change(self._find(run_id))
            pack(changed)  # what a database could not keep is refused here as well
            self._runs[run_id] = changed

    def _find(self, run_id: RunId) -> Run:
        if run_id not in self._runs:
            raise rules.missing_run(run_id)
        return self._runs[run_id]

    def _matching(self, experiment: str | None, status: RunStatus | None) -> list[Run]:
        return [
            run for run in self._runs.values() if experiment in (None, run.experiment) and status in (None, run.status)
        ]


class MemoryModels:
    """ports.models.ModelStore."""

    def __init__(self, lock: RLock) -> None:
        self._lock = lock
        self._versions: dict[tuple[str, int], ModelVersion] = {}
        self._moves: list[AliasMove] = []

    def register(self, version: ModelVersion) -> ModelVersion:
        rules.check_version(version)
        pack(version)
        with self._lock:
            stored = self._versions.get((version.model, version.number)) or next(
                (v for v in self.versions(version.model) if v.run_id == version.run_id), None
            )
            if stored is not None:
                return rules.same_version(stored, version)
            self._versions[version.model, version.number] = version
            return version

    def get(self, model: str, number: int) -> ModelVersion:
        with self._lock:
            version = self._versions.get((model, number))
            if version is None:
                raise NotFound.of("version", f"{model}/{number}", [v.ref for v in self._versions.values()])
            return version

    def versions(self, model: str) -> list[ModelVersion]:
        with self._lock:
            return [self._versions[key] for key in sorted(self._versions) if key[0] == model]

    def models(self) -> list[str]:
        with self._lock:
            return sorted({model for model, _ in self._versions})

    def move_alias(self, move: AliasMove) -> None:
        rules.micros(move.at, what="a move of an alias")
        with self._lock:
            self.get(move.model, move.number)
            if any(rules.same_move(earlier, move) for earlier in self.alias_history(move.model, move.alias)):
                return
            self._moves.append(replace(move, previous=self.alias(move.model, move.alias)))

    def alias(self, model: str, alias: str) -> int | None:
        history = self.alias_history(model, alias)
        return history[-1].number if history else None

    def alias_history(self, model: str, alias: str | None = None) -> list[AliasMove]:
        with self._lock:
            return [move for move in self._moves if move.model == model and alias in (None, move.alias)]


class MemoryDeployments:
    """ports.deployments.DeploymentStore."""

    def __init__(self, lock: RLock) -> None:
        self._lock = lock
        self._generations: dict[str, list[Deployment]] = {}

    def put(self, deployment: Deployment) -> Deployment:
        pack(deployment)
        with self._lock:
            past = self._generations.get(deployment.name, [])
            number = deployment.generation
            same = past[number - 1] if 1 <= number <= len(past) else None
            if rules.next_generation(past[-1] if past else None, same, deployment):
                self._generations[deployment.name] = [*past, deployment]
            return deployment

    def get(self, name: str) -> Deployment:
        with self._lock:
            if name not in self._generations:
                raise NotFound.of("deployment", name, list(self._generations))
            return self._generations[name][-1]

    def at_generation(self, name: str, generation: int) -> Deployment:
        with self._lock:
            newest = self.get(name).generation
            if not 1 <= generation <= newest:
                raise NotFound(f"no generation {generation} of deployment '{name}'", cause=f"its newest is {newest}")
            return self._generations[name][generation - 1]

    def all(self) -> list[Deployment]:
        with self._lock:
            return [self._generations[name][-1] for name in sorted(self._generations)]

    def history(self, name: str) -> list[Deployment]:
        with self._lock:
            return list(self._generations.get(name, []))

    def rollouts(self, name: str) -> list[Rollout]:
        return rules.rollouts_of(self.history(name))


class MemoryJournal:
    """ports.journal.StepJournal."""

    def __init__(self, lock: RLock) -> None:
        self._lock = lock
        self._entries: dict[str, JournalEntry] = {}
        self._done: dict[str, JournalEntry] = {}

    def find(self, keys: Sequence[Digest]) -> dict[Digest, JournalEntry]:
        with self._lock:
            found = ((key, self._entries.get(key)) for key in keys)
            return {key: entry for key, entry in found if entry is not None and entry.state == "done"}

    def last_done(self, step: str) -> JournalEntry | None:
        with self._lock:
            return self._done.get(step)

    def lease(self, task: StepTask, *, holder: str, now: datetime, seconds: float, run_id: str = "") -> JournalEntry:
        with self._lock:
            stored = self._entries.get(task.cache_key)
            return self._keep(rules.leased(stored, task, holder=holder, now=now, seconds=seconds, run_id=run_id))

    def heartbeat(self, entry: JournalEntry, *, now: datetime, seconds: float) -> JournalEntry:
        with self._lock:
            return self._keep(rules.extended(self._entries.get(entry.cache_key), entry, now=now, seconds=seconds))

    def commit(self, entry: JournalEntry, *, output: Digest, seconds: float) -> JournalEntry:
        with self._lock:
            stored = self._entries.get(entry.cache_key)
            done = self._keep(rules.committed(stored, entry, output=output, seconds=seconds))
            if done is not stored:
                self._done[done.step] = done
            return done

    def release(self, entry: JournalEntry) -> None:
        with self._lock:
            free = rules.released(self._entries.get(entry.cache_key), entry)
            if free is not None:
                self._keep(free)

    def _keep(self, entry: JournalEntry) -> JournalEntry:
        self._entries[entry.cache_key] = entry
        return entry


class MemoryCounts:
    """ports.counts.CountStore."""

    def __init__(self, lock: RLock) -> None:
        self._lock = lock
        self._windows: dict[tuple[str, int], dict[datetime, WindowCounts]] = {}

    def put(self, windows: Sequence[WindowCounts]) -> None:
        rules.check_windows(windows)
        with self._lock:
            for window in windows:
                self._windows.setdefault((window.deployment, window.number), {})[window.since] = window

    def windows(
        self, deployment: str, number: int, *, since: datetime | None = None, until: datetime | None = None
    ) -> list[WindowCounts]:
        with self._lock:
            held = self._windows.get((deployment, number), {})
            return [held[at] for at in sorted(held) if (since is None or since <= at) and (until is None or at < until)]

    def latest(self, deployment: str) -> datetime | None:
        with self._lock:
            ends = [
                window.until
                for (name, _), held in self._windows.items()
                if name == deployment
                for window in held.values()
            ]
            return max(ends, default=None)


class MemoryMetadata:
    """ports.metadata.Metadata, over one lock."""

    def __init__(self, project: str) -> None:
        lock = RLock()
        self.ledger = MemoryLedger(project, lock)
        self.runs = MemoryRuns(lock)
        self.models = MemoryModels(lock)
        self.deployments = MemoryDeployments(lock)
        self.journal = MemoryJournal(lock)
        self.counts = MemoryCounts(lock)

    def close(self) -> None:
        """Nothing is held that must be let go."""
