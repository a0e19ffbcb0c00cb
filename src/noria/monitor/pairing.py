"""Put the columns of two tables side by side: which are compared, which cannot be, and what is broken about the current table's shape.

Reading a table is table.py, judging what moved is judging.py. Called by two_tables and watch.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Literal

import msgspec
import numpy as np

from noria.domain.comparison import Role
from noria.domain.finding import Finding, FindingKind
from noria.errors import InputInvalid
from noria.monitor.table import Column, Table

_ROW_NUMBER_ROWS = 20
_FREE_SHARE = 0.9


class Roles(msgspec.Struct, frozen=True):
    """Which column is what, by name. columns: compare only these inputs; ignore: never these."""

    prediction: str | None = None
    label: str | None = None
    time: str | None = None
    columns: tuple[str, ...] = ()
    ignore: frozenset[str] = frozenset()

    def special(self) -> set[str]:
        """Columns that are no inputs."""
        return {n for n in (self.prediction, self.label, self.time) if n is not None}


@dataclass(frozen=True, eq=False)
class Pair:
    """One column of both tables, of one kind. alone: a prediction with no inputs beside it, which is then judged as they would be."""

    name: str
    role: Role
    reference: Column
    current: Column
    alone: bool = False


@dataclass(frozen=True, eq=False)
class Pairing:
    """What can be compared, what is broken, and what the reader should know."""

    pairs: tuple[Pair, ...]
    findings: tuple[Finding, ...]
    notes: tuple[str, ...]

    def role(self, role: Role) -> Pair | None:
        """The pair of the prediction or of the label."""
        return next((p for p in self.pairs if p.role == role), None)

    @property
    def inputs(self) -> tuple[Pair, ...]:
        """The pairs that are inputs."""
        return tuple(p for p in self.pairs if p.role == "input")


def roles_of(
    table: Table,
    *,
    prediction: str | None,
    label: str | None,
    time: str | None,
    columns: Sequence[str],
    ignore: Collection[str],
) -> Roles:
    """Check that what is named is there. Raises InputInvalid with the nearest names."""
    roles = Roles(prediction, label, time, tuple(columns), frozenset([ignore] if isinstance(ignore, str) else ignore))
    for what, name in (("prediction", prediction), ("label", label), ("time", time)):
        if name is not None:
            require(table, name, f"the {what}")
    for name in columns:
        require(table, name, "an input")
    twice = [n for n in (prediction, label, time) if n is not None]
    if len(set(twice)) < len(twice):
        raise InputInvalid("prediction, label and time must be different columns", cause=f"named: {', '.join(twice)}")
    return roles


def require(table: Table, name: str, what: str) -> Column:
    """A column by name. Raises InputInvalid."""
    if name in table.columns:
        return table.columns[name]
    near = get_close_matches(name, list(table.columns), n=3, cutoff=0.5)
    known = near or list(table.columns)[:8]
    raise InputInvalid(
        f"the {table.name} table has no column {name!r}, which should be {what}",
        cause=f"{'did you mean' if near else 'it has'} {', '.join(repr(n) for n in known)}{'?' if near else ''}",
        remedy="name a column that both tables have",
    )


def pair(reference: Table, current: Table, roles: Roles) -> Pairing:
    """Match columns by name. A column of the reference that is gone, or is of another kind now, is a fault; times, lists and bytes are left out.

    Raises InputInvalid when nothing is left to compare, or the prediction is not in the current table.
    """
    pairs: list[Pair] = []
    findings: list[Finding] = []
    notes: list[str] = []
    for name, role in _wanted(reference, roles):
        then, now = reference.columns[name], current.columns.get(name)
        if now is None:
            if role == "prediction":
                require(current, name, "the prediction")
            if role == "label":
                notes.append(f"The current table has no labels ({name!r}): quality is estimated where it can be.")
            else:
                findings.append(_finding("schema", name, f"the column {name!r} is gone", severity="warn"))
            continue
        then, now = then.as_kind(now.kind), now.as_kind(then.kind)
        reason = _incomparable(then, now, named=name in roles.columns or role != "input")
        if then.kind != now.kind:
            said = f"{name!r} was {then.kind} ({then.dtype}) and is {now.kind} now ({now.dtype})"
            findings.append(_finding("type", name, said, severity="warn"))
        elif reason:
            notes.append(f"{name!r} was not compared: {reason}.")
        else:
            pairs.append(Pair(name=name, role=role, reference=then, current=now))
    findings += [
        _finding("schema", name, f"the column {name!r} is new: the reference does not have it", severity="info")
        for name in current.columns
        if name not in reference.columns and name not in roles.ignore and not roles.columns
    ]
    if not pairs and not any(f.severity != "info" for f in findings):
        raise InputInvalid(
            "the two tables have no column that can be compared",
            cause="; ".join(notes)[:300] or f"the reference has {', '.join(map(repr, list(reference.columns)[:8]))}",
            remedy="name inputs with columns=, or hand in tables of the same columns",
        )
    if {p.role for p in pairs} == {"prediction"}:
        pairs = [replace(pairs[0], alone=True)]
    return Pairing(pairs=tuple(pairs), findings=tuple(findings), notes=tuple(notes))


def _wanted(reference: Table, roles: Roles) -> Iterator[tuple[str, Role]]:
    special = roles.special()
    for name in roles.columns or reference.columns:
        if name not in special and name not in roles.ignore:
            yield name, "input"
    if roles.prediction is not None:
        yield roles.prediction, "prediction"
    if roles.label is not None:
        yield roles.label, "label"


def _finding(kind: FindingKind, about: str, summary: str, *, severity: Literal["info", "warn"]) -> Finding:
    return Finding(kind=kind, about=about, severity=severity, value=1.0, unit="columns", summary=summary)


def _incomparable(then: Column, now: Column, *, named: bool) -> str:
    """Why two columns of one kind say nothing about drift, or ''. named: somebody asked for this column."""
    if then.kind == "time":
        return "it holds times, which only move on (name it with time= to cut windows by it)"
    if then.kind == "other":
        return f"it holds {then.dtype if then.dtype != 'other' else 'neither numbers nor texts'}"
    if then.kind == "empty":
        return "it is empty in both tables"
    if not named and _is_row_number(then) and now.kind == "number":
        return "it looks like a row number (whole, rising, never twice; name it in columns= to compare it)"
    if not named and _is_free(then) and now.kind == "text":
        return "it holds another text in nearly every row, an id or free text (name it in columns= to compare it)"
    return ""


def _is_row_number(column: Column) -> bool:
    values = column.values
    if column.kind != "number" or values.size < _ROW_NUMBER_ROWS or not np.isfinite(values).all():
        return False
    return bool((values[1:] > values[:-1]).all() and (values == np.floor(values)).all())


def _is_free(column: Column) -> bool:
    if column.kind != "text":
        return False
    missing = [i for i, value in enumerate(column.coded.values) if value is None]
    known = column.values.size - sum(int((column.coded.codes == i).sum()) for i in missing)
    return known >= _ROW_NUMBER_ROWS and len(column.coded.values) - len(missing) >= _FREE_SHARE * known


def is_sorted_by(pairs: Sequence[Pair]) -> str | None:
    """An input that the reference is sorted by and that is no time: its values are within the same range now. None: there is none.

    A table sorted by price says nothing about how it wobbles from one stretch of rows to the next.
    """
    for each in pairs:
        values = each.reference.values
        if each.reference.kind != "number" or values.size < _ROW_NUMBER_ROWS:
            continue
        known = values[np.isfinite(values)]
        in_order = bool((known[1:] >= known[:-1]).all() or (known[1:] <= known[:-1]).all())
        if known.size < values.size / 2 or not in_order or np.unique(known).size < 3:
            continue
        now = each.current.values[np.isfinite(each.current.values)]
        overlaps = now.size > 0 and now.min() < known.max() and now.max() > known.min()
        if overlaps:
            return each.name
    return None
