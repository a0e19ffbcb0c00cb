"""Where each kind of thing that can be searched has its fields: tables and columns of run_tables, point_tables and registry_tables.

`t` is the row of the thing itself in every statement, `x` one row of what belongs to it. Conditions are conditions.py, orders and pages search.py.
"""

from dataclasses import dataclass
from typing import Literal

from noria.wire.query_fields import Kind

ColumnType = Literal["text", "number", "time", "serial"]


@dataclass(frozen=True)
class Column:
    """An expression over `t`. lookup: a quicker way to the rows of `t`, with {} for the condition on `x.name`."""

    sql: str
    type: ColumnType = "text"
    nullable: bool = False
    lookup: str = ""


@dataclass(frozen=True)
class Keyed:
    """A table with a row for each thing and key. owner: its column with `t`'s number; scoped: which means something only within the project."""

    table: str
    owner: str
    scoped: bool = False

    def rows(self, number: str, *, row: str = "x") -> str:
        """FROM and WHERE for the rows of one thing."""
        project = f"{row}.project = t.project AND " if self.scoped else ""
        return f"{self.table} {row} WHERE {project}{row}.{self.owner} = {number}"


@dataclass(frozen=True)
class Shape:
    """A kind of thing. source: FROM; newest: what breaks ties, in microseconds; ids: what breaks the last ones.

    measured: metrics of which one thing has several. texts, keyed_texts: attributes and tables that the attribute `text` sees.
    """

    kind: Kind
    source: str
    number: str
    newest: str
    ids: tuple[str, ...]
    attributes: dict[str, Column]
    tags: Keyed
    params: Keyed | None = None
    metrics: Keyed | None = None
    measured: Keyed | None = None
    experiment: str = ""
    trashed: str = ""
    texts: tuple[str, ...] = ()
    keyed_texts: tuple[Keyed, ...] = ()


_NAME_OF_EXPERIMENT = "(SELECT e.name FROM experiments e WHERE e.project = t.project AND e.number = t.experiment)"

RUNS = Shape(
    kind="runs",
    source="runs t",
    number="t.number",
    newest="t.started_at",
    ids=("t.id",),
    attributes={
        "run_id": Column("t.id"),
        "name": Column("t.name"),
        "status": Column("t.status"),
        "user": Column("t.who"),
        "started_at": Column("t.started_at", "time"),
        "finished_at": Column("t.finished_at", "time", nullable=True),
        "artifact_root": Column("coalesce(t.artifact_root, t.experiment || '/' || t.id || '/artifacts')"),
        "experiment": Column(
            _NAME_OF_EXPERIMENT,
            lookup="t.experiment IN (SELECT x.number FROM experiments x WHERE x.project = t.project AND {})",
        ),
        "experiment_id": Column("t.experiment", "serial"),
        "seed": Column("t.seed", "number", nullable=True),
    },
    tags=Keyed("tags", "run"),
    params=Keyed("params", "run"),
    metrics=Keyed("series", "run"),
    experiment="t.experiment",
    trashed="t.trashed_at",
    texts=("run_id", "name", "user", "experiment"),
    keyed_texts=(Keyed("params", "run"), Keyed("tags", "run")),
)
EXPERIMENTS = Shape(
    kind="experiments",
    source="experiments t",
    number="t.number",
    newest="t.created_at",
    ids=("t.number",),
    attributes={
        "experiment_id": Column("t.number", "serial"),
        "name": Column("t.name"),
        "created_at": Column("t.created_at", "time"),
        "updated_at": Column("t.updated_at", "time"),
    },
    tags=Keyed("experiment_tags", "experiment", scoped=True),
    experiment="t.number",
    trashed="t.trashed_at",
)
TRAINED = Shape(
    kind="trained",
    source="trained t",
    number="t.number",
    newest="t.created_at",
    ids=("t.id",),
    attributes={
        "model_id": Column("t.id"),
        "name": Column("t.name"),
        "kind": Column("t.kind"),
        "status": Column("t.status"),
        "run_id": Column("t.run", nullable=True),
        "experiment_id": Column("t.experiment", "serial"),
        "created_at": Column("t.created_at", "time"),
        "updated_at": Column("t.updated_at", "time"),
    },
    tags=Keyed("trained_tags", "model"),
    params=Keyed("trained_params", "model"),
    measured=Keyed("trained_points", "model"),
    experiment="t.experiment",
    trashed="t.trashed_at",
)
VERSIONS = Shape(
    kind="versions",
    source="model_versions t JOIN models m ON m.number = t.model",
    number="t.id",
    newest="t.created_at",
    ids=("m.name", "t.number"),
    attributes={
        "name": Column("m.name"),
        "version": Column("t.number", "number"),
        "run_id": Column("t.run", nullable=True),
        "source": Column("t.source"),
        "created_at": Column("t.created_at", "time"),
        "updated_at": Column("t.updated_at", "time"),
    },
    tags=Keyed("model_version_tags", "version"),
)
MODELS = Shape(
    kind="models",
    source="models t",
    number="t.number",
    newest="t.created_at",
    ids=("t.name",),
    attributes={
        "name": Column("t.name"),
        "created_at": Column("t.created_at", "time"),
        "updated_at": Column("t.updated_at", "time"),
    },
    tags=Keyed("model_tags", "model"),
)
SHAPES: dict[Kind, Shape] = {shape.kind: shape for shape in (RUNS, EXPERIMENTS, TRAINED, VERSIONS, MODELS)}
