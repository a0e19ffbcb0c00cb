"""Runs and their params, tags and inputs as rows, and back. Which rows, and what may become of them, is runs.py, run_index.py, experiments.py.

The columns are explained in run_tables.py. Called by the files of ports that write or read runs.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from math import isnan
from typing import Any

import msgspec
from blake3 import blake3

from noria.adapters.metadata import rules
from noria.adapters.metadata.matching import param_number, param_text
from noria.adapters.metadata.sql.conditions import HEAD
from noria.adapters.metadata.sql.connection import Connection, listed, portions
from noria.adapters.metadata.sql.feed import tell
from noria.domain.change import Change
from noria.domain.ids import Digest, EventId, ExperimentId, RunId
from noria.domain.run import CodeVersion, DatasetUse, ModelLink, ParamValue, Run
from noria.errors import StoreCorrupt
from noria.wire.nouns import fingerprint, pack, unpack

RUN = (
    "r.number, r.id, e.name, r.experiment, r.name, r.status, r.who, r.started_at, r.finished_at, r.artifact_root,"
    " r.trashed_at, r.doc"
)
"""The columns of a run, as `_run` reads them."""
OF_RUNS = "runs r JOIN experiments e ON e.project = r.project AND e.number = r.experiment"
_KINDS = {str: "s", bool: "b", int: "i", float: "f", type(None): "n"}


class Rest(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What of a run is not searched by: `runs.doc`."""

    datasets: tuple[Digest, ...] = ()
    seed: int | None = None
    code: CodeVersion | None = None
    environment: Digest | None = None
    parent: RunId | None = None
    cause: EventId | None = None
    error: str = ""
    models_in: tuple[ModelLink, ...] = ()
    models_out: tuple[ModelLink, ...] = ()


def rest_of(run: Run) -> bytes:
    """A run's document."""
    return pack(
        Rest(
            datasets=run.datasets,
            seed=run.seed,
            code=run.code,
            environment=run.environment,
            parent=run.parent,
            cause=run.cause,
            error=run.error,
            models_in=run.models_in,
            models_out=run.models_out,
        )
    )


def made_of(noun: msgspec.Struct) -> bytes:
    """A digest of a noun as it was created, to know a repetition of that. What says nothing is left out: a field added later changes no digest."""
    said = msgspec.to_builtins(noun, builtin_types=(datetime,))
    return blake3(fingerprint({key: value for key, value in said.items() if _speaks(value)})).digest(length=16)


def _speaks(value: object) -> bool:
    return value is not None and value not in ("", [], {}, ())


def split(whole: str) -> tuple[str, str | None]:
    """A text as the columns head and text keep it."""
    return whole[:HEAD], whole if len(whole) > HEAD else None


def param_rows(project: int, run: int, params: Mapping[str, ParamValue], *, first: int = 0) -> list[tuple[object, ...]]:
    """Rows of PARAMS. first: the place of the first of them."""
    rows: list[tuple[object, ...]] = []
    for place, (key, value) in enumerate(params.items(), start=first):
        text = param_text(value)
        head, whole = (None, None) if text is None else split(text)
        rows.append((project, run, key, place, _kind(value), head, whole, param_number(value)))
    return rows


def _kind(value: ParamValue) -> str:
    """A param's type as a letter; of a NaN with its bits, of which there are many that all read 'nan'."""
    kind = _KINDS[type(value)]
    return f"{kind}{rules.float_bits(value)}" if isinstance(value, float) and isnan(value) else kind


def param_of(kind: str, text: str | None) -> ParamValue:
    """A param from its type's letter and its whole text. Raises StoreCorrupt."""
    try:
        if kind == "s":
            return str(text)
        if kind == "f":
            return float(str(text))
        if kind == "i":
            return int(str(text))
        if kind.startswith("f"):
            return rules.bits_float(int(kind[1:]))
    except ValueError as error:
        raise StoreCorrupt("a stored param cannot be read", cause=str(error)) from error
    return text == "True" if kind == "b" else None


def add_params(connection: Connection, rows: Iterable[Sequence[object]]) -> None:
    """Write new params."""
    connection.executemany(
        'INSERT INTO params (project, run, "key", place, kind, head, text, number) VALUES (?, ?, ?, ?, ?, ?, ?, ?)',
        rows,
    )


def params_of(connection: Connection, run: int) -> dict[str, ParamValue]:
    """Every param of a run, in the order in which they came."""
    rows = connection.execute(
        'SELECT "key", kind, coalesce(text, head) FROM params WHERE run = ? ORDER BY place', (run,)
    ).fetchall()
    return {key: param_of(kind, text) for key, kind, text in rows}


def put_tags(
    connection: Connection, tags: Mapping[str, str | None], *, table: str, owner: str, of: Sequence[object]
) -> None:
    """Set tags, or take away those whose value is None. owner: the table's key columns before "key"; of: project and the owner's number."""
    gone = [(*of, key) for key, value in tags.items() if value is None]
    rows = [(*of, key, *split(value)) for key, value in tags.items() if value is not None]
    if gone:
        connection.executemany(f'DELETE FROM {table} WHERE project = ? AND {owner} = ? AND "key" = ?', gone)
    if rows:
        keys = f'project, {owner}, "key"' if table == "experiment_tags" else f'{owner}, "key"'
        connection.executemany(
            f'INSERT INTO {table} (project, {owner}, "key", head, text) VALUES (?, ?, ?, ?, ?)'
            f" ON CONFLICT ({keys}) DO UPDATE SET head = excluded.head, text = excluded.text",
            rows,
        )


def put_inputs(connection: Connection, project: int, run: int, inputs: Sequence[DatasetUse]) -> None:
    """Write the datasets of a run, all of them: what stood there under the same name and digest is replaced."""
    connection.executemany(
        "INSERT INTO inputs (project, run, name, digest, context, place, doc) VALUES (?, ?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (run, name, digest) DO UPDATE SET context = excluded.context, doc = excluded.doc",
        [
            (project, run, use.name, use.digest, use.tags.get("context"), place, pack(use))
            for place, use in enumerate(inputs)
        ],
    )


def tell_change(connection: Connection, project: int, change: Change) -> None:
    """Tell the feed of a change."""
    tell(connection, project, change.kind, change.subject, at=change.at, detail=change.detail)


def load(connection: Connection, numbers: Sequence[int]) -> list[Run]:
    """Runs by their numbers, in that order, without their artifacts: one query a table, however many runs. What is gone is left out."""
    found: dict[int, Run] = {}
    for some in portions(numbers):
        marks, values = listed(some)
        rows = connection.execute(f"SELECT {RUN} FROM {OF_RUNS} WHERE r.number IN ({marks})", values).fetchall()
        parts: dict[int, _Parts] = {row[0]: _Parts() for row in rows}
        _gather(connection, parts, marks, values)
        for row in rows:
            found[row[0]] = _run(row, parts[row[0]])
    return [found[number] for number in numbers if number in found]


class _Parts:
    """What other tables hold of a run."""

    __slots__ = ("inputs", "metrics", "params", "tags")

    def __init__(self) -> None:
        self.params: dict[str, ParamValue] = {}
        self.tags: dict[str, str] = {}
        self.metrics: dict[str, float] = {}
        self.inputs: list[DatasetUse] = []


def _gather(connection: Connection, parts: Mapping[int, _Parts], marks: str, values: tuple[object, ...]) -> None:
    for run, key, kind, text in connection.execute(
        f'SELECT run, "key", kind, coalesce(text, head) FROM params WHERE run IN ({marks}) ORDER BY run, place', values
    ).fetchall():
        parts[run].params[key] = text if kind == "s" else param_of(kind, text)
    for run, key, text in connection.execute(
        f'SELECT run, "key", coalesce(text, head) FROM tags WHERE run IN ({marks})', values
    ).fetchall():
        parts[run].tags[key] = text
    for run, key, value, bits in connection.execute(
        f'SELECT run, "key", value, bits FROM series WHERE run IN ({marks})', values
    ).fetchall():
        # NaN stands as null there, and SQLite forgets the sign of a zero.
        parts[run].metrics[key] = value or rules.bits_float(bits)
    for run, doc in connection.execute(
        f"SELECT run, doc FROM inputs WHERE run IN ({marks}) ORDER BY run, place", values
    ).fetchall():
        parts[run].inputs.append(unpack(doc, DatasetUse, what="a stored dataset of a run"))


def _run(row: Sequence[Any], parts: _Parts) -> Run:
    _, run_id, experiment, number, name, status, who, started, finished, own_root, trashed, doc = row
    rest = unpack(doc, Rest, what=f"run '{run_id}'")
    return Run(
        id=run_id,
        experiment=experiment,
        name=name,
        status=status,
        started_at=rules.moment(started),
        finished_at=None if finished is None else rules.moment(finished),
        params=parts.params,
        metrics=parts.metrics,
        tags=parts.tags,
        datasets=rest.datasets,
        seed=rest.seed,
        code=rest.code,
        environment=rest.environment,
        parent=rest.parent,
        cause=rest.cause,
        error=rest.error,
        experiment_id=ExperimentId(str(number)),
        user=who,
        artifact_root=f"{number}/{run_id}/artifacts" if own_root is None else own_root,
        inputs=tuple(parts.inputs),
        models_in=rest.models_in,
        models_out=rest.models_out,
        trashed_at=None if trashed is None else rules.moment(trashed),
    )
