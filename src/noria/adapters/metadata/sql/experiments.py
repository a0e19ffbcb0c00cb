"""Experiments in SQL, numbered in each project. Called through ports.experiments.ExperimentStore, and by runs.py and trained.py.

What may become of one is rules_runs.py; forgetting its runs is purging.py.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime

from noria.adapters.metadata import rules as times
from noria.adapters.metadata import rules_runs as rules
from noria.adapters.metadata.sql import purging, search
from noria.adapters.metadata.sql.connection import Connection, Database, listed, portions
from noria.adapters.metadata.sql.run_rows import put_tags, tell_change
from noria.domain.change import ChangeKind
from noria.domain.experiment import Experiment
from noria.domain.ids import ExperimentId
from noria.domain.query import Page, Query

_COLUMNS = "number, name, created_at, updated_at, artifact_root, trashed_at"
_Row = tuple[int, str, int, int, str, int | None]


def number_of(experiment_id: str) -> int:
    """The number behind an id. Raises NotFound for what can be no experiment's."""
    if experiment_id.isascii() and experiment_id.isdigit() and len(experiment_id) <= 19:
        number = int(experiment_id)
        if str(number) == experiment_id and number < 2**63:
            return number
    raise rules.missing_experiment(experiment_id)


def bare_experiment(connection: Connection, project: int, experiment_id: str) -> Experiment:
    """One experiment without its tags. Raises NotFound."""
    row = connection.execute(
        f"SELECT {_COLUMNS} FROM experiments WHERE project = ? AND number = ?", (project, number_of(experiment_id))
    ).fetchone()
    if row is None:
        raise rules.missing_experiment(experiment_id)
    return _experiment(row, {})


def active_named(connection: Connection, project: int, name: str) -> Experiment | None:
    """The experiment of this name that is not in the trash, without its tags."""
    row = connection.execute(
        f"SELECT {_COLUMNS} FROM experiments WHERE project = ? AND name = ? AND trashed_at IS NULL", (project, name)
    ).fetchone()
    return None if row is None else _experiment(row, {})


def make_experiment(
    connection: Connection,
    project: int,
    name: str,
    *,
    at: datetime,
    tags: Mapping[str, str] | None = None,
    artifact_root: str = "",
    experiment_id: ExperimentId | None = None,
) -> Experiment:
    """Write a new experiment and tell of it. Raises AlreadyExists, InputInvalid."""
    row = connection.execute("SELECT last FROM experiment_numbers WHERE project = ?", (project,)).fetchone()
    last = int(row[0]) if row else 0
    number = last + 1 if experiment_id is None else rules.checked_experiment_id(experiment_id)
    made = rules.new_experiment(ExperimentId(str(number)), name, at=at, tags=tags, artifact_root=artifact_root)
    holder = active_named(connection, project, name)
    if holder is not None:
        raise rules.name_taken(name, holder.id)
    if experiment_id is not None and _was_given(connection, project, number):
        raise rules.experiment_id_taken(experiment_id)
    connection.execute(
        "INSERT INTO experiments (project, number, name, created_at, updated_at, artifact_root) VALUES (?, ?, ?, ?, ?, ?)",
        (project, number, name, times.micros(at), times.micros(at), made.artifact_root),
    )
    connection.execute(
        "INSERT INTO experiment_numbers (project, last) VALUES (?, ?)"
        " ON CONFLICT (project) DO UPDATE SET last = excluded.last",
        (project, max(last, number)),
    )
    put_tags(connection, dict(made.tags), table="experiment_tags", owner="experiment", of=(project, number))
    tell_change(connection, project, rules.experiment_change("experiment.created", made, at=at))
    return made


class SqlExperiments:
    """ports.experiments.ExperimentStore."""

    def __init__(self, database: Database, project: int) -> None:
        self._database = database
        self._project = project

    def create(
        self,
        name: str,
        *,
        at: datetime,
        tags: Mapping[str, str] | None = None,
        artifact_root: str = "",
        experiment_id: ExperimentId | None = None,
    ) -> Experiment:
        return self._database.write(
            lambda connection: make_experiment(
                connection,
                self._project,
                name,
                at=at,
                tags=tags,
                artifact_root=artifact_root,
                experiment_id=experiment_id,
            )
        )

    def get(self, experiment_id: ExperimentId) -> Experiment:
        return self._database.read(lambda connection: self._one(connection, experiment_id))

    def named(self, name: str) -> Experiment | None:
        def query(connection: Connection) -> Experiment | None:
            row = _first(connection, "trashed_at IS NULL", (self._project, name)) or _first(
                connection, "trashed_at IS NOT NULL ORDER BY created_at DESC, number DESC", (self._project, name)
            )
            return None if row is None else load_experiments(connection, self._project, [row[0]])[0]

        return self._database.read(query)

    def search(self, query: Query) -> Page[Experiment]:
        def find(connection: Connection) -> Page[Experiment]:
            found = search.find(
                connection, query, kind="experiments", project=self._project, dialect=self._database.dialect
            )
            return Page(load_experiments(connection, self._project, found.numbers), found.next)

        return self._database.read(find)

    def count(self, query: Query) -> int:
        return self._database.read(
            lambda connection: search.count(
                connection, query, kind="experiments", project=self._project, dialect=self._database.dialect
            )
        )

    def rename(self, experiment_id: ExperimentId, name: str, *, at: datetime) -> Experiment:
        def work(connection: Connection) -> Experiment:
            before = self._one(connection, experiment_id)
            renamed = rules.renamed_experiment(before, name, at=at)
            holder = active_named(connection, self._project, name)
            if holder is not None and holder.id != experiment_id:
                raise rules.name_taken(name, holder.id)
            self._keep(connection, renamed)
            return renamed

        return self._database.write(work)

    def set_tags(self, experiment_id: ExperimentId, tags: Mapping[str, str | None], *, at: datetime) -> None:
        def work(connection: Connection) -> None:
            self._keep(connection, rules.tagged_experiment(self._one(connection, experiment_id), tags, at=at))
            of = (self._project, number_of(experiment_id))
            put_tags(connection, tags, table="experiment_tags", owner="experiment", of=of)

        self._database.write(work)

    def trash(self, experiment_id: ExperimentId, *, at: datetime | None) -> None:
        def work(connection: Connection) -> None:
            moved = rules.trashed_experiment(bare_experiment(connection, self._project, experiment_id), at=at)
            if moved is None:
                return
            holder = active_named(connection, self._project, moved.name) if at is None else None
            if holder is not None:
                raise rules.name_taken(moved.name, holder.id)
            self._keep(connection, moved)
            self._move_runs(connection, number_of(experiment_id), at=at)
            kind: ChangeKind = "experiment.restored" if at is None else "experiment.trashed"
            tell_change(connection, self._project, rules.experiment_change(kind, moved, at=at))

        self._database.write(work)

    def purge(self, experiment_id: ExperimentId) -> int:
        def work(connection: Connection) -> int:
            experiment = bare_experiment(connection, self._project, experiment_id)
            if experiment.trashed_at is None:
                raise rules.not_in_trash("experiment", experiment.name)
            return purging.forget_experiment(connection, self._project, number_of(experiment_id))

        return self._database.write(work)

    def _move_runs(self, connection: Connection, number: int, *, at: datetime | None) -> None:
        """Its active runs go into the trash with it; out of it come those that went along, and no others."""
        if at is None:
            connection.execute(
                "UPDATE runs SET trashed_at = NULL, went_along = 0 WHERE project = ? AND experiment = ? AND went_along = 1",
                (self._project, number),
            )
        else:
            connection.execute(
                "UPDATE runs SET trashed_at = ?, went_along = 1 WHERE project = ? AND experiment = ? AND trashed_at IS NULL",
                (times.micros(at), self._project, number),
            )

    def _one(self, connection: Connection, experiment_id: str) -> Experiment:
        found = load_experiments(connection, self._project, [number_of(experiment_id)])
        if not found:
            raise rules.missing_experiment(experiment_id)
        return found[0]

    def _keep(self, connection: Connection, experiment: Experiment) -> None:
        """Write what may change, without the tags."""
        trashed = experiment.trashed_at
        connection.execute(
            "UPDATE experiments SET name = ?, updated_at = ?, trashed_at = ? WHERE project = ? AND number = ?",
            (
                experiment.name,
                times.micros(experiment.updated_at),
                None if trashed is None else times.micros(trashed),
                self._project,
                number_of(experiment.id),
            ),
        )


def load_experiments(connection: Connection, project: int, numbers: Sequence[int]) -> list[Experiment]:
    """Experiments by their numbers, in that order; what is gone is left out."""
    found: dict[int, Experiment] = {}
    for some in portions(numbers):
        marks, values = listed(some)
        tags: dict[int, dict[str, str]] = {}
        for number, key, text in connection.execute(
            'SELECT experiment, "key", coalesce(text, head) FROM experiment_tags'
            f" WHERE project = ? AND experiment IN ({marks})",
            (project, *values),
        ).fetchall():
            tags.setdefault(number, {})[key] = text
        for row in connection.execute(
            f"SELECT {_COLUMNS} FROM experiments WHERE project = ? AND number IN ({marks})", (project, *values)
        ).fetchall():
            found[row[0]] = _experiment(row, tags.get(row[0], {}))
    return [found[number] for number in numbers if number in found]


def _first(connection: Connection, which: str, values: Sequence[object]) -> tuple[int] | None:
    """The number of the first experiment of a name; an index leads to those that are not in the trash."""
    row: tuple[int] | None = connection.execute(
        f"SELECT number FROM experiments WHERE project = ? AND name = ? AND {which} LIMIT 1", values
    ).fetchone()
    return row


def _was_given(connection: Connection, project: int, number: int) -> bool:
    found = connection.execute(
        "SELECT 1 FROM experiments WHERE project = ? AND number = ?"
        " UNION ALL SELECT 1 FROM experiments_gone WHERE project = ? AND number = ?",
        (project, number, project, number),
    ).fetchone()
    return found is not None


def _experiment(row: _Row, tags: dict[str, str]) -> Experiment:
    number, name, created, updated, root, trashed = row
    return Experiment(
        id=ExperimentId(str(number)),
        name=name,
        created_at=times.moment(created),
        updated_at=times.moment(updated),
        tags=tags,
        artifact_root=root,
        trashed_at=None if trashed is None else times.moment(trashed),
    )
