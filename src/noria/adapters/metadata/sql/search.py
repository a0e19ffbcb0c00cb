"""Queries in SQL, for both databases: which things, in which order, page by page. Loading their documents is the caller's (run_index.py ...).

A page goes on after the sort keys of the last thing of the page before, never by counting, so writers do not move it. What a query means is
matching.py. An order by a metric, param or tag is walked in its stages (values, NaN or texts, then those without), each along an index.
Where to begin is looked up rather than guessed: with a condition that few rows fulfil, with the things of a small scope, or along the order. SQLite
has no statistics and is held to it; PostgreSQL chooses for itself between the last two.
"""

from collections.abc import Iterator
from copy import copy
from dataclasses import dataclass, replace
from typing import NamedTuple

from noria.adapters.metadata import page_tokens
from noria.adapters.metadata.page_tokens import Place, Rank
from noria.adapters.metadata.sql.conditions import FALSE, TRUE, Sql, compiled, joined, row_condition, serial_number
from noria.adapters.metadata.sql.connection import Connection, Dialect
from noria.adapters.metadata.sql.shapes import SHAPES, Keyed, Shape
from noria.domain.query import And, Comparison, Condition, Order, Query
from noria.wire.query_fields import Kind, check

FEW = 5_000
"""Rows that are looked at one by one rather than finding them along an order."""
SORTED = 4
"""Times as many things are sorted rather than walked along an order that they share with a million others."""
GLANCE = 5
"""A fifth as many entries at the front of an order are tried before things are sorted: a page that is there costs next to nothing."""
LINED_UP = ("o0.value", "o0.number")
"""Columns whose own index has them in order: only there is the front of an order found without looking at all of it."""
MOST_JOINED = 6
"""Subqueries that PostgreSQL may turn into joins: planning many takes it minutes, evaluating them one after the other does not."""
NOTHING = Sql("")


class Found(NamedTuple):
    """The numbers of a page's things in order (`number`; of model_versions `id`), and the next page's token."""

    numbers: list[int]
    next: str


def find(connection: Connection, query: Query, *, kind: Kind, project: int, dialect: Dialect, few: int = FEW) -> Found:
    """One page. few: where to begin changes with it, and nothing else. Raises QueryInvalid."""
    check(query, kind)
    search = _Search(connection, query, SHAPES[kind], project=project, dialect=dialect, few=few)
    place = page_tokens.read(query, kind) if query.after else None
    rows = search.page(place, query.limit + 1)
    shown = rows[: query.limit]
    more = len(rows) > query.limit and shown
    return Found([number for number, _ in shown], page_tokens.written(shown[-1][1], query, kind) if more else "")


def count(connection: Connection, query: Query, *, kind: Kind, project: int, dialect: Dialect, few: int = FEW) -> int:
    """How many things there are on all pages. Raises QueryInvalid."""
    check(query, kind)
    search = _Search(connection, query, SHAPES[kind], project=project, dialect=dialect, few=few)
    source, where = search.source(), search.where()
    row = connection.execute(
        f"SELECT count(*) FROM {source.text} WHERE {where.text}", (*source.values, *where.values)
    ).fetchone()
    return int(row[0])


@dataclass(frozen=True)
class _Ranked:
    """One order as SQL. stage: 0 for those with a value, 1 for NaN and texts among numbers, 2 for those without; values: the column of each stage."""

    order: Order
    stage: str
    values: dict[int, str]
    join: Sql = NOTHING
    table: Keyed | None = None
    """Where it is walked along an index: the table with a row `o` for each thing that has the field."""
    stages: dict[int, str] | None = None
    """Conditions on `o` by stage."""


class _Search:
    """A query on its way through the database."""

    def __init__(
        self, connection: Connection, query: Query, shape: Shape, *, project: int, dialect: Dialect, few: int
    ) -> None:
        self.shape = shape
        self._most = few
        self._connection = connection
        self._query = query
        self._project = project
        self._dialect = dialect
        self._scope = self._scoped()
        self._narrow = _all(
            [self._scope, *(compiled(term, shape, dialect) for term in _terms(query.where) if _narrows(term))]
        )
        self._driven = 0
        self._driver, rest = self._selective()
        self._condition = self._compiled(rest)

    def _compiled(self, terms: list[Condition]) -> Sql:
        condition = _all([compiled(term, self.shape, self._dialect) for term in terms])
        if self._dialect == "postgres" and condition.text.count("EXISTS") > MOST_JOINED:
            return Sql(f"({condition.text}) IS TRUE", condition.values)
        return condition

    def _undriven(self) -> "_Search":
        """The same question, not begun with the rows of one condition."""
        if self._driver is None:
            return self
        other = copy(self)
        other._driver, other._condition = None, self._compiled(_terms(self._query.where))
        return other

    def source(self) -> Sql:
        """FROM, beginning where few rows are; CROSS JOIN keeps SQLite to that order."""
        if self._driver is None:
            return Sql(self.shape.source)
        return Sql(f"{self._driver.text} CROSS JOIN {self.shape.source}", self._driver.values)

    def where(self) -> Sql:
        """All that a thing must fulfil."""
        driven = [Sql(f"{self.shape.number} = few.number")] if self._driver else []
        return _all([*driven, self._scope, self._condition])

    def page(self, place: Place | None, limit: int) -> list[tuple[int, Place]]:
        """Up to `limit` things after a place."""
        orders = [_ranked(order, index, self.shape) for index, order in enumerate(self._query.order)]
        skip = self._query.skip
        rows: list[tuple[int, Place]] = []
        for staged, along in self._walks(orders, place):
            found = None
            if along and self._is_small():
                along = False
                found = self._glance(staged, place, limit=limit - len(rows), skip=skip)
            if found is None:
                found = self._walk(staged, place, along=along, limit=limit - len(rows), skip=skip)
            rows += found
            if len(rows) == limit:
                break
            if skip and not found:
                skip = max(0, skip - self._length(staged, place, along=along))
            elif found:
                skip = 0
        return rows

    def _walks(self, orders: list[_Ranked], place: Place | None) -> Iterator[tuple[list[_Ranked], bool]]:
        """The query in stages of its first order, if it has some; and whether each can be walked along an index."""
        if not orders or orders[0].stages is None:
            yield orders, False
            return
        first = orders[0]
        for stage in sorted(first.stages or ()):
            if place is None or stage >= place.ranks[0][0]:
                column = first.values.get(stage)
                fixed = replace(first, stage=str(stage), values={} if column is None else {stage: column}, join=NOTHING)
                yield [fixed, *orders[1:]], stage < 2
        return

    def _glance(
        self, orders: list[_Ranked], place: Place | None, *, limit: int, skip: int
    ) -> list[tuple[int, Place]] | None:
        """The page, if it is full of what stands at the very front of the order; None if one has to look further. Costs a glance either way."""
        first = orders[0]
        column = first.values.get(int(first.stage))
        if first.table is None or first.stages is None or column not in LINED_UP:
            return None
        if 0 < self._driven <= self._most // GLANCE:
            return None
        down = " DESC" if first.order.descending else ""
        near = [Sql(f'o0.project = ? AND o0."key" = ? AND {first.stages[int(first.stage)]}')]
        near += [_bound(orders, place, self.shape)] if place is not None else []
        front = _all(near)
        cut = self._connection.execute(
            f"SELECT {column} FROM {first.table.table} o0 WHERE {front.text} ORDER BY {column}{down} LIMIT 1 OFFSET ?",
            (self._project, first.order.field.key, *front.values, max(self._most // GLANCE, 2 * (limit + skip))),
        ).fetchone()
        if cut is None:  # there is no more of the order than that
            return self._undriven()._walk(orders, place, along=True, limit=limit, skip=skip)
        # What stands before the cut is a front of the order without a gap, whatever else has the value of the cut.
        before = Sql(f"{column} {'>' if down else '<'} ?", (cut[0],))
        found = self._undriven()._walk(orders, place, along=True, limit=limit, skip=skip, within=before)
        return found if len(found) == limit else None

    def _walk(
        self,
        orders: list[_Ranked],
        place: Place | None,
        *,
        along: bool,
        limit: int,
        skip: int,
        within: Sql = NOTHING,
    ) -> list[tuple[int, Place]]:
        source, where = self._from_where(orders, place, along=along)
        where = _all([where, within]) if within.text else where
        shape = self.shape
        columns = [shape.number]
        sorting: list[str] = []
        for ranked in orders:
            columns += [ranked.stage, ranked.values.get(0, "NULL"), ranked.values.get(1, "NULL")]
            if not ranked.stage.isdigit():
                sorting.append(ranked.stage)
            sorting += [f"{value}{' DESC' if ranked.order.descending else ''}" for value in ranked.values.values()]
        columns += [shape.newest, *shape.ids]
        sorting += [f"{shape.newest} DESC", *shape.ids]
        rows = self._connection.execute(
            f"SELECT {', '.join(columns)} FROM {source.text} WHERE {where.text}"
            f" ORDER BY {', '.join(sorting)} LIMIT ? OFFSET ?",
            (*source.values, *where.values, limit, skip),
        ).fetchall()
        return [_placed(row, len(orders)) for row in rows]

    def _length(self, orders: list[_Ranked], place: Place | None, *, along: bool) -> int:
        source, where = self._from_where(orders, place, along=along)
        row = self._connection.execute(
            f"SELECT count(*) FROM {source.text} WHERE {where.text}", (*source.values, *where.values)
        ).fetchone()
        return int(row[0])

    def _from_where(self, orders: list[_Ranked], place: Place | None, *, along: bool) -> tuple[Sql, Sql]:
        parts = [self.where()]
        source, values = self.source()
        first = orders[0] if orders else None
        if first is not None and first.stages is not None:
            parts.append(self._stage(first))
            if first.table is not None and int(first.stage) < 2:
                row = f"{first.table.table} o0"
                source = f"{row} CROSS JOIN {source}" if along else f"{source} CROSS JOIN {row}"
        joins = [ranked.join for ranked in orders if ranked.join.text]
        if place is not None:
            parts.append(_after(orders, place, self.shape))
        text = " ".join([source, *(join.text for join in joins)])
        return Sql(text, values + tuple(value for join in joins for value in join.values)), _all(parts)

    def _stage(self, first: _Ranked) -> Sql:
        """That a thing is in the stage of a walk."""
        assert first.table is not None
        assert first.stages is not None
        key, table, condition = first.order.field.key, first.table, first.stages[int(first.stage)]
        if int(first.stage) == 2:
            inner = f'EXISTS (SELECT 1 FROM {table.rows(self.shape.number, row="o0")} AND o0."key" = ? AND {condition})'
            return Sql(f"NOT {inner}", (key,))
        row = f'o0.project = ? AND o0."key" = ? AND o0.{table.owner} = {self.shape.number} AND {condition}'
        return Sql(row, (self._project, key))

    def _scoped(self) -> Sql:
        """Project, experiments, trash."""
        query, shape = self._query, self.shape
        parts = [Sql("t.project = ?", (self._project,))]
        if query.experiments is not None and shape.experiment:
            numbers = tuple(n for one in query.experiments if (n := serial_number(one)) is not None)
            listed = Sql(f"{shape.experiment} IN ({', '.join('?' * len(numbers))})", numbers)
            parts.append(listed if numbers else Sql(FALSE))
        if query.life != "all":
            if shape.trashed:
                parts.append(Sql(f"{shape.trashed} IS {'NOT ' if query.life == 'trashed' else ''}NULL"))
            elif query.life == "trashed":
                parts.append(Sql(FALSE))
        return _all(parts)

    def _is_small(self) -> bool:
        """Whether few things are in question, so that sorting them is quicker than walking along an index that all share."""
        if self._dialect != "sqlite":
            return False
        things = Sql(f"{self.shape.source} WHERE {self._narrow.text}", self._narrow.values)
        return self._driver is not None or self._counted(things, SORTED * self._most) <= SORTED * self._most

    def _selective(self) -> tuple[Sql | None, list[Condition]]:
        """The numbers of the things that fulfil the first term for which an index has few rows, if there is one; and the other terms."""
        terms = _terms(self._query.where)
        for place, term in enumerate(terms):
            if not (isinstance(term, Comparison) and _is_indexed(term)):
                continue
            found = row_condition(term, self.shape, self._dialect)
            if found is None:
                continue
            table, condition = found
            rows = Sql(f"{table.table} x WHERE x.project = ? AND {condition.text}", (self._project, *condition.values))
            found_rows = self._counted(rows, self._most)
            if found_rows <= self._most:
                self._driven = max(found_rows, 1)
                numbers = Sql(f"(SELECT DISTINCT x.{table.owner} AS number FROM {rows.text}) few", rows.values)
                return numbers, [*terms[:place], *terms[place + 1 :]]
        return None, terms

    def _counted(self, rows: Sql, most: int) -> int:
        """How many rows there are; one more than `most` stands for all that is more."""
        row = self._connection.execute(
            f"SELECT count(*) FROM (SELECT 1 FROM {rows.text} LIMIT {most + 1}) counted", rows.values
        ).fetchone()
        return int(row[0])


def _all(parts: list[Sql]) -> Sql:
    kept = [part for part in parts if part.text != TRUE] or [Sql(TRUE)]
    return Sql(" AND ".join(part.text for part in kept), tuple(value for part in kept for value in part.values))


def _terms(where: Condition | None) -> list[Condition]:
    """Conditions that all hold."""
    return list(where.terms) if isinstance(where, And) else [where] if where is not None else []


def _narrows(term: Condition) -> bool:
    """Whether an index of the things themselves leads to those that fulfil it."""
    if not isinstance(term, Comparison) or term.field.scope != "attribute":
        return False
    return term.operator in ("=", "in") and term.field.key in ("experiment", "experiment_id", "run_id", "model_id")


def _is_indexed(comparison: Comparison) -> bool:
    """Whether an index leads to the rows that fulfil it."""
    ordered = ("=", "in", "<", "<=", ">", ">=")
    if comparison.field.scope == "metric" or isinstance(comparison.value, int | float):
        return comparison.operator in ordered
    return comparison.field.scope != "attribute" and comparison.operator in ("=", "in", "is not null")


def _ranked(order: Order, index: int, shape: Shape) -> _Ranked:
    """An order over a row `o<index>` that is joined, or over `t`."""
    field, row = order.field, f"o{index}"
    if field.scope == "attribute":
        column = shape.attributes[field.key]
        stage = f"CASE WHEN {column.sql} IS NULL THEN 2 ELSE 0 END" if column.nullable else "0"
        return _Ranked(order, stage, {0: column.sql})
    if field.scope == "metric" and shape.measured is not None:
        return _measured(order, row, shape.measured, shape.number)
    table = {"metric": shape.metrics, "param": shape.params, "tag": shape.tags}.get(field.scope)
    assert table is not None
    project = f"{row}.project = t.project AND " if table.scoped else ""
    join = Sql(
        f'LEFT JOIN {table.table} {row} ON {project}{row}.{table.owner} = {shape.number} AND {row}."key" = ?',
        (field.key,),
    )
    whole = f"coalesce({row}.text, {row}.head)"
    there = f"{row}.{table.owner} IS NULL"
    match field.scope:
        case "metric":
            stage, values = f"CASE WHEN {there} THEN 2 WHEN {row}.value IS NULL THEN 1 ELSE 0 END", {0: f"{row}.value"}
            stages = {0: f"{row}.value IS NOT NULL", 1: f"{row}.value IS NULL", 2: TRUE}
        case "param":
            stage = f"CASE WHEN {row}.head IS NULL THEN 2 WHEN {row}.number IS NULL THEN 1 ELSE 0 END"
            values = {0: f"{row}.number", 1: f"CASE WHEN {row}.number IS NULL THEN {whole} END"}
            stages = {
                0: f"{row}.number IS NOT NULL",
                1: f"{row}.number IS NULL AND {row}.head IS NOT NULL",
                2: f"{row}.head IS NOT NULL",
            }
        case _:
            stage, values = f"CASE WHEN {there} THEN 2 ELSE 0 END", {0: whole}
            stages = {0: f"{row}.head IS NOT NULL", 2: TRUE}
    return _Ranked(order, stage, values, join, table, stages if index == 0 else None)


def _measured(order: Order, row: str, table: Keyed, number: str) -> _Ranked:
    """By the last measurement of a thing that has several."""
    field = order.field
    key = ("key", "dataset", "dataset_digest", "run", "step", "at", "bits")
    columns = [f'"{column}"' for column in key]
    given = [
        (column, value)
        for column, value in (("dataset", field.dataset), ("dataset_digest", field.dataset_digest))
        if value
    ]
    narrowed = "".join(f" AND x.{column} = ?" for column, _ in given)
    last = (
        f"SELECT {', '.join(f'x.{column}' for column in columns)} FROM {table.table} x WHERE x.{table.owner} = {number}"
        f' AND x."key" = ?{narrowed} ORDER BY x."at" DESC, x.step DESC, x.dataset DESC, x.dataset_digest DESC,'
        " x.run DESC, x.bits DESC LIMIT 1"
    )
    join = Sql(
        f"LEFT JOIN {table.table} {row} ON {row}.{table.owner} = {number}"
        f" AND ({', '.join(f'{row}.{column}' for column in columns)}) = ({last})",
        (field.key, *(value for _, value in given)),
    )
    stage = f"CASE WHEN {row}.{table.owner} IS NULL THEN 2 WHEN {row}.value IS NULL THEN 1 ELSE 0 END"
    return _Ranked(order, stage, {0: f"{row}.value"}, join)


def _after(orders: list[_Ranked], place: Place, shape: Shape) -> Sql:
    """That a thing stands after a place: beyond it by one key and at it by those before. In front a plain bound that an index can use."""
    keys = [_key_after(ranked, rank) for ranked, rank in zip(orders, place.ranks, strict=True)]
    keys.append((Sql(f"{shape.newest} < ?", (place.newest,)), Sql(f"{shape.newest} = ?", (place.newest,))))
    for column, value in zip(shape.ids, place.id, strict=True):
        keys.append((Sql(f"{column} > ?", (value,)), Sql(f"{column} = ?", (value,))))
    ways = [_all([*(equal for _, equal in keys[:index]), beyond]) for index, (beyond, _) in enumerate(keys)]
    bound = _bound(orders, place, shape)
    return _all([bound, joined("OR", ways)])


def _key_after(ranked: _Ranked, rank: Rank) -> tuple[Sql, Sql]:
    """What stands beyond a rank, and what stands at it."""
    stage, value = rank
    sign = "<" if ranked.order.descending else ">"
    column = ranked.values.get(stage)
    if ranked.stage.isdigit():
        if int(ranked.stage) > stage:
            return Sql(TRUE), Sql(FALSE)
        if column is None or value is None:
            return Sql(FALSE), Sql(TRUE)
        return Sql(f"{column} {sign} ?", (value,)), Sql(f"{column} = ?", (value,))
    if column is None or value is None:
        return Sql(f"{ranked.stage} > {stage}"), Sql(f"{ranked.stage} = {stage}")
    at = f"{ranked.stage} = {stage}"
    return (
        Sql(f"({ranked.stage} > {stage} OR ({at} AND {column} {sign} ?))", (value,)),
        Sql(f"({at} AND {column} = ?)", (value,)),
    )


def _bound(orders: list[_Ranked], place: Place, shape: Shape) -> Sql:
    if not orders:
        return Sql(f"{shape.newest} <= ?", (place.newest,))
    first, (stage, value) = orders[0], place.ranks[0]
    column = first.values.get(stage)
    if first.stage != str(stage) or column is None or value is None:
        return Sql(TRUE)
    return Sql(f"{column} {'<=' if first.order.descending else '>='} ?", (value,))


def _placed(row: tuple[object, ...], orders: int) -> tuple[int, Place]:
    """A row's number and place."""
    number, *keys = row
    ranks: list[Rank] = []
    for index in range(orders):
        stage, value, text = keys[3 * index : 3 * index + 3]
        assert isinstance(stage, int)
        shown = value if stage == 0 else text if stage == 1 else None
        assert shown is None or isinstance(shown, int | float | str)
        ranks.append((stage, shown))
    newest, *ids = keys[3 * orders :]
    assert isinstance(number, int)
    assert isinstance(newest, int)
    return number, Place(tuple(ranks), newest, tuple(i if isinstance(i, int) else str(i) for i in ids))
