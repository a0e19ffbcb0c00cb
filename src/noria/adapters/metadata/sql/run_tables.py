"""Runs and what belongs to them: tables beside those of schema.py, in the same metadata. Reached by migrations/env.

Reading and writing is runs.py, run_index.py, experiments.py, trained.py, artifacts.py; which SQL answers a query is search.py.

Numbers: `runs.number` and `trained.number` stand for ids inside the store; an experiment's number is its id, counted from 1 in each project.
Texts that are searched (params, tags): `head` is the text's first 64 characters, `text` the whole of it where that is longer, else null. The whole
is `coalesce(text, head)`; a literal shorter than 64 characters is equal if `head` is; of a longer one both must be. Only heads stand in an index,
since a note of 8000 characters does not belong there. `number`: the param as a double if it is or reads as one (matching.param_number).
`place` keeps the order of keys. trashed_at: null for what is not in the trash.
"""

from sqlalchemy import BigInteger, Column, ForeignKey, Index, PrimaryKeyConstraint, Table, text

from noria.adapters.metadata.sql.columns import BYTES, NUMBER, REAL, TEXT, numbered
from noria.adapters.metadata.sql.schema import METADATA


def _project() -> Column[int]:
    return Column("project", NUMBER, ForeignKey("projects.id"), nullable=False)


def _text(name: str) -> Column[str]:
    return Column(name, TEXT, nullable=False)


def _time(name: str, *, nullable: bool = False) -> Column[int]:
    return Column(name, BigInteger, nullable=nullable)


def _searched() -> tuple[Column[str], Column[str]]:
    return _text("head"), Column("text", TEXT)


experiments = Table(
    "experiments",
    METADATA,
    _project(),
    Column("number", BigInteger, nullable=False),
    _text("name"),
    _time("created_at"),
    _time("updated_at"),
    _text("artifact_root"),
    _time("trashed_at", nullable=True),
    PrimaryKeyConstraint("project", "number"),
    Index(
        "experiments_name",
        "project",
        "name",
        unique=True,
        sqlite_where=text("trashed_at IS NULL"),
        postgresql_where=text("trashed_at IS NULL"),
    ),
)

experiment_numbers = Table(
    "experiment_numbers",
    METADATA,
    _project(),
    Column("last", BigInteger, nullable=False),
    PrimaryKeyConstraint("project"),
)
"""The highest number that an experiment ever had."""

experiments_gone = Table(
    "experiments_gone",
    METADATA,
    _project(),
    Column("number", BigInteger, nullable=False),
    PrimaryKeyConstraint("project", "number"),
    sqlite_with_rowid=False,
)
"""Numbers of forgotten experiments: they are not given again."""

experiment_tags = Table(
    "experiment_tags",
    METADATA,
    _project(),
    Column("experiment", BigInteger, nullable=False),
    _text("key"),
    *_searched(),
    PrimaryKeyConstraint("project", "experiment", "key"),
    Index("experiment_tags_text", "project", "key", "head", "experiment"),
    sqlite_with_rowid=False,
)

runs = Table(
    "runs",
    METADATA,
    numbered("number"),
    _project(),
    _text("id"),
    Column("experiment", BigInteger, nullable=False),
    _text("name"),
    _text("status"),
    _text("who"),
    _time("started_at"),
    _time("finished_at", nullable=True),
    Column("seed", REAL),
    Column("artifact_root", TEXT),
    _time("trashed_at", nullable=True),
    Column("went_along", NUMBER, nullable=False),
    Column("made", BYTES, nullable=False),
    Column("doc", BYTES, nullable=False),
    Index("runs_id", "project", "id", unique=True),
    Index("runs_newest", "project", "started_at", "trashed_at"),
    Index("runs_experiment", "project", "experiment", "started_at", "trashed_at"),
)
"""who: who started it. artifact_root: null for `<experiment>/<id>/artifacts`. went_along: 1 if it is in the trash because its experiment is.

made: digest of the run as it was created, to know a repetition. doc: what is not searched (run_rows.Rest).
"""

params = Table(
    "params",
    METADATA,
    _project(),
    Column("run", NUMBER, ForeignKey("runs.number"), nullable=False),
    _text("key"),
    Column("place", NUMBER, nullable=False),
    _text("kind"),
    Column("head", TEXT),
    Column("text", TEXT),
    Column("number", REAL),
    PrimaryKeyConstraint("run", "key"),
    Index("params_text", "project", "key", "head", "run"),
    Index(
        "params_number",
        "project",
        "key",
        "number",
        "run",
        sqlite_where=text("number IS NOT NULL"),
        postgresql_where=text("number IS NOT NULL"),
    ),
    sqlite_with_rowid=False,
)
"""kind: one letter for the type: (s)tr, (i)nt, (f)loat, (b)ool, (n)one; of a NaN with its bits behind it. head: null for None, which has no text."""

tags = Table(
    "tags",
    METADATA,
    _project(),
    Column("run", NUMBER, ForeignKey("runs.number"), nullable=False),
    _text("key"),
    *_searched(),
    PrimaryKeyConstraint("run", "key"),
    Index("tags_text", "project", "key", "head", "run"),
    sqlite_with_rowid=False,
)

inputs = Table(
    "inputs",
    METADATA,
    _project(),
    Column("run", NUMBER, ForeignKey("runs.number"), nullable=False),
    _text("name"),
    _text("digest"),
    Column("context", TEXT),
    Column("place", NUMBER, nullable=False),
    Column("doc", BYTES, nullable=False),
    PrimaryKeyConstraint("run", "name", "digest"),
    Index("inputs_name", "project", "name", "run"),
    Index("inputs_digest", "project", "digest", "run"),
)
"""Datasets that runs read. context: the tag of that name. doc: the DatasetUse."""

trained = Table(
    "trained",
    METADATA,
    numbered("number"),
    _project(),
    _text("id"),
    Column("experiment", BigInteger, nullable=False),
    Column("run", TEXT),
    _text("name"),
    _text("kind"),
    _text("status"),
    _text("message"),
    _time("created_at"),
    _time("updated_at"),
    Column("artifact_root", TEXT),
    _time("trashed_at", nullable=True),
    Column("made", BYTES, nullable=False),
    Index("trained_id", "project", "id", unique=True),
    Index("trained_newest", "project", "created_at", "trashed_at"),
    Index("trained_experiment", "project", "experiment", "created_at", "trashed_at"),
    Index("trained_run", "project", "run"),
)
"""run: the id of the run that brought it forth; the run may be purged while the model stays.
artifact_root: null for `<experiment>/models/<id>/artifacts`."""

trained_params = Table(
    "trained_params",
    METADATA,
    _project(),
    Column("model", NUMBER, ForeignKey("trained.number"), nullable=False),
    _text("key"),
    Column("place", NUMBER, nullable=False),
    *_searched(),
    Column("number", REAL),
    PrimaryKeyConstraint("model", "key"),
    Index("trained_params_text", "project", "key", "head", "model"),
    sqlite_with_rowid=False,
)

trained_tags = Table(
    "trained_tags",
    METADATA,
    _project(),
    Column("model", NUMBER, ForeignKey("trained.number"), nullable=False),
    _text("key"),
    *_searched(),
    PrimaryKeyConstraint("model", "key"),
    Index("trained_tags_text", "project", "key", "head", "model"),
    sqlite_with_rowid=False,
)

trained_points = Table(
    "trained_points",
    METADATA,
    _project(),
    Column("model", NUMBER, ForeignKey("trained.number"), nullable=False),
    _text("key"),
    _text("dataset"),
    _text("dataset_digest"),
    Column("run", NUMBER, ForeignKey("runs.number"), nullable=False),
    Column("step", BigInteger, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("bits", BigInteger, nullable=False),
    Column("value", REAL),
    Column("is_nan", NUMBER, nullable=False),
    PrimaryKeyConstraint("model", "key", "dataset", "dataset_digest", "run", "step", "at", "bits"),
    Index("trained_points_value", "project", "key", "value", "model"),
    Index("trained_points_run", "run"),
    sqlite_with_rowid=False,
)
"""Measurements of trained models: points with a subject, beside the series of their run.
bits: the double's 64 bits; value: it as a double, null for NaN."""

artifacts = Table(
    "artifacts",
    METADATA,
    _project(),
    _text("path"),
    _text("digest"),
    Column("size", BigInteger, nullable=False),
    PrimaryKeyConstraint("project", "path"),
    sqlite_with_rowid=False,
)
