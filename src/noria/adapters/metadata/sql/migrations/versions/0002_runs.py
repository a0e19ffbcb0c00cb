"""Experiments, searchable params and tags, artifacts, trained models. Never edited once released.

Revision 0002, after 0001. Documents are read as plain dicts here: what a Run is may change later, what stood in stores of 0001 does not.
"""

import re
import struct
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from math import isnan
from typing import Any

import msgspec
from alembic import op
from blake3 import blake3
from sqlalchemy import text

from noria.adapters.metadata.sql.migrations.statements import run

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

TABLES = """
CREATE TABLE experiments (
    project INTEGER NOT NULL REFERENCES projects (id),
    number BIGINT NOT NULL,
    name TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    artifact_root TEXT NOT NULL,
    trashed_at BIGINT,
    PRIMARY KEY (project, number)
);
CREATE UNIQUE INDEX experiments_name ON experiments (project, name) WHERE trashed_at IS NULL;
CREATE TABLE experiment_numbers (
    project INTEGER NOT NULL REFERENCES projects (id),
    last BIGINT NOT NULL,
    PRIMARY KEY (project)
);
CREATE TABLE experiments_gone (
    project INTEGER NOT NULL REFERENCES projects (id),
    number BIGINT NOT NULL,
    PRIMARY KEY (project, number)
) WITHOUT ROWID;
CREATE TABLE experiment_tags (
    project INTEGER NOT NULL REFERENCES projects (id),
    experiment BIGINT NOT NULL,
    "key" TEXT NOT NULL,
    head TEXT NOT NULL,
    text TEXT,
    PRIMARY KEY (project, experiment, "key")
) WITHOUT ROWID;
CREATE INDEX experiment_tags_text ON experiment_tags (project, "key", head, experiment);
CREATE TABLE params (
    project INTEGER NOT NULL REFERENCES projects (id),
    run INTEGER NOT NULL REFERENCES runs (number),
    "key" TEXT NOT NULL,
    place INTEGER NOT NULL,
    kind TEXT NOT NULL,
    head TEXT,
    text TEXT,
    number DOUBLE,
    PRIMARY KEY (run, "key")
) WITHOUT ROWID;
CREATE INDEX params_text ON params (project, "key", head, run);
CREATE INDEX params_number ON params (project, "key", number, run) WHERE number IS NOT NULL;
CREATE TABLE tags (
    project INTEGER NOT NULL REFERENCES projects (id),
    run INTEGER NOT NULL REFERENCES runs (number),
    "key" TEXT NOT NULL,
    head TEXT NOT NULL,
    text TEXT,
    PRIMARY KEY (run, "key")
) WITHOUT ROWID;
CREATE INDEX tags_text ON tags (project, "key", head, run);
CREATE TABLE inputs (
    project INTEGER NOT NULL REFERENCES projects (id),
    run INTEGER NOT NULL REFERENCES runs (number),
    name TEXT NOT NULL,
    digest TEXT NOT NULL,
    context TEXT,
    place INTEGER NOT NULL,
    doc BLOB NOT NULL,
    PRIMARY KEY (run, name, digest)
);
CREATE INDEX inputs_name ON inputs (project, name, run);
CREATE INDEX inputs_digest ON inputs (project, digest, run);
CREATE TABLE trained (
    number INTEGER NOT NULL PRIMARY KEY,
    project INTEGER NOT NULL REFERENCES projects (id),
    id TEXT NOT NULL,
    experiment BIGINT NOT NULL,
    run TEXT,
    name TEXT NOT NULL,
    kind TEXT NOT NULL,
    status TEXT NOT NULL,
    message TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    artifact_root TEXT,
    trashed_at BIGINT,
    made BLOB NOT NULL
);
CREATE UNIQUE INDEX trained_id ON trained (project, id);
CREATE INDEX trained_newest ON trained (project, created_at, trashed_at);
CREATE INDEX trained_experiment ON trained (project, experiment, created_at, trashed_at);
CREATE INDEX trained_run ON trained (project, run);
CREATE TABLE trained_params (
    project INTEGER NOT NULL REFERENCES projects (id),
    model INTEGER NOT NULL REFERENCES trained (number),
    "key" TEXT NOT NULL,
    place INTEGER NOT NULL,
    head TEXT NOT NULL,
    text TEXT,
    number DOUBLE,
    PRIMARY KEY (model, "key")
) WITHOUT ROWID;
CREATE INDEX trained_params_text ON trained_params (project, "key", head, model);
CREATE TABLE trained_tags (
    project INTEGER NOT NULL REFERENCES projects (id),
    model INTEGER NOT NULL REFERENCES trained (number),
    "key" TEXT NOT NULL,
    head TEXT NOT NULL,
    text TEXT,
    PRIMARY KEY (model, "key")
) WITHOUT ROWID;
CREATE INDEX trained_tags_text ON trained_tags (project, "key", head, model);
CREATE TABLE trained_points (
    project INTEGER NOT NULL REFERENCES projects (id),
    model INTEGER NOT NULL REFERENCES trained (number),
    "key" TEXT NOT NULL,
    dataset TEXT NOT NULL,
    dataset_digest TEXT NOT NULL,
    run INTEGER NOT NULL REFERENCES runs (number),
    step BIGINT NOT NULL,
    at BIGINT NOT NULL,
    bits BIGINT NOT NULL,
    value DOUBLE,
    is_nan INTEGER NOT NULL,
    PRIMARY KEY (model, "key", dataset, dataset_digest, run, step, at, bits)
) WITHOUT ROWID;
CREATE INDEX trained_points_value ON trained_points (project, "key", value, model);
CREATE INDEX trained_points_run ON trained_points (run);
CREATE TABLE artifacts (
    project INTEGER NOT NULL REFERENCES projects (id),
    path TEXT NOT NULL,
    digest TEXT NOT NULL,
    size BIGINT NOT NULL,
    PRIMARY KEY (project, path)
) WITHOUT ROWID;
DROP INDEX runs_newest;
DROP INDEX runs_experiment;
ALTER TABLE runs RENAME COLUMN experiment TO old_experiment;
ALTER TABLE runs RENAME COLUMN made TO old_made;
ALTER TABLE runs RENAME COLUMN doc TO old_doc;
ALTER TABLE runs ADD COLUMN experiment BIGINT NOT NULL DEFAULT 0;
ALTER TABLE runs ADD COLUMN name TEXT NOT NULL DEFAULT '';
ALTER TABLE runs ADD COLUMN who TEXT NOT NULL DEFAULT '';
ALTER TABLE runs ADD COLUMN finished_at BIGINT;
ALTER TABLE runs ADD COLUMN seed DOUBLE;
ALTER TABLE runs ADD COLUMN artifact_root TEXT;
ALTER TABLE runs ADD COLUMN trashed_at BIGINT;
ALTER TABLE runs ADD COLUMN went_along INTEGER NOT NULL DEFAULT 0;
ALTER TABLE runs ADD COLUMN made BLOB NOT NULL DEFAULT '';
ALTER TABLE runs ADD COLUMN doc BLOB NOT NULL DEFAULT '';
"""
# SQLite drops columns only when nothing refers to them: after the data has moved.
AFTER = """
ALTER TABLE runs DROP COLUMN old_experiment;
ALTER TABLE runs DROP COLUMN old_made;
ALTER TABLE runs DROP COLUMN old_doc;
CREATE INDEX runs_newest ON runs (project, started_at, trashed_at);
CREATE INDEX runs_experiment ON runs (project, experiment, started_at, trashed_at);
"""
PAGE = 500
HEAD = 64
_KINDS = {str: "s", bool: "b", int: "i", float: "f", type(None): "n"}
_encode = msgspec.msgpack.Encoder(order="deterministic").encode
_NUMERAL = re.compile(r"[+-]?(?:(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:e[+-]?[0-9]+)?|inf(?:inity)?)", re.IGNORECASE)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def upgrade() -> None:
    """Make what is new and move what was there."""
    run(TABLES)
    numbers = _number_experiments()
    for rows in _pages():
        _move(rows, numbers)
    run(AFTER)


def _number_experiments() -> dict[tuple[int, str], int]:
    """Every name that runs had becomes an experiment, numbered in the order of their first runs."""
    bind = op.get_bind()
    rows = bind.execute(
        text(
            "SELECT project, old_experiment, min(started_at), min(number) FROM runs GROUP BY project, old_experiment"
            " ORDER BY project, min(number)"
        )
    ).fetchall()
    numbers: dict[tuple[int, str], int] = {}
    last: dict[int, int] = {}
    for project, name, began, _ in rows:
        last[project] = numbers[project, name] = last.get(project, 0) + 1
        bind.execute(
            text("INSERT INTO experiments VALUES (:project, :number, :name, :at, :at, '', NULL)"),
            {"project": project, "number": last[project], "name": name, "at": began},
        )
    for project, number in last.items():
        bind.execute(
            text("INSERT INTO experiment_numbers VALUES (:project, :last)"), {"project": project, "last": number}
        )
    return numbers


def _pages() -> Iterator[list[Any]]:
    """Runs of the old form, some hundred at a time."""
    after = -1
    while True:
        rows = (
            op.get_bind()
            .execute(
                text(
                    "SELECT number, project, id, old_experiment, old_made, old_doc FROM runs WHERE number > :after"
                    f" ORDER BY number LIMIT {PAGE}"
                ),
                {"after": after},
            )
            .fetchall()
        )
        if not rows:
            return
        yield list(rows)
        after = rows[-1][0]


def _move(rows: list[Any], numbers: Mapping[tuple[int, str], int]) -> None:
    runs: list[dict[str, Any]] = []
    params: list[dict[str, Any]] = []
    tags: list[dict[str, Any]] = []
    artifacts: list[dict[str, Any]] = []
    for number, project, run_id, name, made, doc in rows:
        old = msgspec.msgpack.decode(doc)
        experiment = numbers[project, name]
        of_run = {"project": project, "run": number}
        runs.append({"number": number, "experiment": experiment, **_run(old, made)})
        for place, (key, value) in enumerate(old.get("params", {}).items()):
            params.append({**of_run, "key": key, "place": place, **_param(value)})
        tags += [{**of_run, "key": key, **_split(value)} for key, value in old.get("tags", {}).items()]
        artifacts += [
            {**file, "project": project, "path": f"{experiment}/{run_id}/artifacts/{file['path']}"}
            for file in old.get("artifacts", ())
        ]
    _many(
        "UPDATE runs SET experiment = :experiment, name = :name, finished_at = :finished_at, seed = :seed, made = :made,"
        " doc = :doc WHERE number = :number",
        runs,
    )
    _many(
        'INSERT INTO params (project, run, "key", place, kind, head, text, number)'
        " VALUES (:project, :run, :key, :place, :kind, :head, :text, :number)",
        params,
    )
    _many('INSERT INTO tags (project, run, "key", head, text) VALUES (:project, :run, :key, :head, :text)', tags)
    _many("INSERT INTO artifacts (project, path, digest, size) VALUES (:project, :path, :digest, :size)", artifacts)


def _many(sql: str, rows: list[dict[str, Any]]) -> None:
    if rows:
        op.get_bind().execute(text(sql), rows)


def _run(old: Mapping[str, Any], made: bytes) -> dict[str, Any]:
    finished, seed = old.get("finished_at"), old.get("seed")
    kept = ("datasets", "seed", "code", "environment", "parent", "cause", "error")
    return {
        "name": old["name"],
        "finished_at": None if finished is None else (finished - _EPOCH) // timedelta(microseconds=1),
        "seed": None if seed is None else float(seed),
        "made": blake3(_encode(_said(msgspec.msgpack.decode(made)))).digest(length=16),
        "doc": _encode(_said({key: old.get(key) for key in kept})),
    }


def _said(values: Mapping[str, Any]) -> dict[str, Any]:
    """Without what says nothing."""
    return {key: value for key, value in values.items() if value is not None and value not in ("", [], {})}


def _param(value: Any) -> dict[str, Any]:
    texts = {"head": None, "text": None} if value is None else _split(str(value))
    kind = _KINDS[type(value)]
    if isinstance(value, float) and isnan(value):
        kind += str(struct.unpack("<q", struct.pack("<d", value))[0])
    return {"kind": kind, **texts, "number": _number(value)}


def _split(whole: str) -> dict[str, Any]:
    return {"head": whole[:HEAD], "text": whole if len(whole) > HEAD else None}


def _number(value: Any) -> float | None:
    """As a double, if it is a number or reads as one; NaN is none."""
    if value is None or isinstance(value, bool) or (isinstance(value, str) and not _NUMERAL.fullmatch(value)):
        return None
    number = float(value)
    return None if isnan(number) else number
