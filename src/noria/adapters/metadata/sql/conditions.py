"""Conditions in SQL. Each becomes an expression that is true or false, never NULL, so that NOT means what it means in matching.py.

Texts that stand as head and text (run_tables) are compared by head where that is enough, so that indices serve. Called by search.py.
"""

import math
from collections.abc import Callable
from typing import NamedTuple, assert_never

from noria.adapters.metadata.matching import lower
from noria.adapters.metadata.sql.connection import Dialect
from noria.adapters.metadata.sql.shapes import Column, Keyed, Shape
from noria.domain.query import And, Comparison, Condition, Field, Not, Operator, Or

HEAD = 64
"""Characters of a text in its head."""
TRUE, FALSE = "1 = 1", "1 = 0"
GROUP = 100
_EDGE = 9.2e15
"""Milliseconds beyond which microseconds leave 64 bits."""


class Sql(NamedTuple):
    """A piece of SQL with its values."""

    text: str
    values: tuple[object, ...] = ()


def compiled(condition: Condition, shape: Shape, dialect: Dialect) -> Sql:
    """A condition over `t`."""
    match condition:
        case Comparison():
            return _comparison(condition, shape, dialect)
        case And() | Or():
            # SQLite's parser keeps what stands to the left of an open parenthesis: the deepest term goes first, and little is kept.
            deepest_first = sorted(condition.terms, key=_depth, reverse=True)
            parts = [compiled(term, shape, dialect) for term in deepest_first]
            return joined("AND" if isinstance(condition, And) else "OR", parts)
        case Not():
            if isinstance(condition.term, Not):
                return compiled(condition.term.term, shape, dialect)
            inner = compiled(condition.term, shape, dialect)
            return Sql(f"NOT ({inner.text})", inner.values)
        case _:
            assert_never(condition)


def _depth(condition: Condition) -> int:
    match condition:
        case Comparison():
            return 0
        case And() | Or():
            return 1 + max((_depth(term) for term in condition.terms), default=0)
        case Not():
            return 1 + _depth(condition.term)
        case _:
            assert_never(condition)


def joined(word: str, parts: list[Sql]) -> Sql:
    """Parts with AND or OR between, many of them in groups: SQLite takes expressions that are 1000 deep, and each sign goes one deeper."""
    if not parts:
        return Sql(TRUE if word == "AND" else FALSE)
    while len(parts) > 1:
        groups = [parts[start : start + GROUP] for start in range(0, len(parts), GROUP)]
        parts = [
            Sql(f"({f' {word} '.join(one.text for one in group)})", tuple(v for one in group for v in one.values))
            if len(group) > 1
            else group[0]
            for group in groups
        ]
    return parts[0]


def row_condition(comparison: Comparison, shape: Shape, dialect: Dialect) -> tuple[Keyed, Sql] | None:
    """What a row `x` of a table must fulfil for a thing to match, if one row decides that; None for attributes and absence."""
    field, operator = comparison.field, comparison.operator
    table = _table(field, shape)
    if table is None or operator == "is null":
        return None
    keyed = Sql('x."key" = ?', (field.key,)) if field.scope != "dataset" else Sql(TRUE)
    parts = [keyed, *_on_dataset(field), _of_row(comparison, dialect)]
    return table, Sql(" AND ".join(part.text for part in parts), tuple(v for part in parts for v in part.values))


def _table(field: Field, shape: Shape) -> Keyed | None:
    match field.scope:
        case "tag":
            return shape.tags
        case "param":
            return shape.params
        case "metric":
            return shape.metrics or shape.measured
        case "dataset":
            return Keyed("inputs", "run")
        case "attribute":
            return None
        case _:
            assert_never(field.scope)


def _comparison(comparison: Comparison, shape: Shape, dialect: Dialect) -> Sql:
    field = comparison.field
    table = _table(field, shape)
    if table is None:
        if field.key == "text":
            return _any_text(comparison, shape, dialect)
        return _attribute(comparison, shape.attributes[field.key], dialect)
    if comparison.operator == "is null":
        there = _comparison(Comparison(field=field, operator="is not null"), shape, dialect)
        return Sql(f"NOT {there.text}", there.values)
    found = row_condition(comparison, shape, dialect)
    assert found is not None
    return Sql(f"EXISTS (SELECT 1 FROM {table.rows(shape.number)} AND {found[1].text})", found[1].values)


def _on_dataset(field: Field) -> list[Sql]:
    given = (("x.dataset", field.dataset), ("x.dataset_digest", field.dataset_digest))
    return [Sql(f"{column} = ?", (value,)) for column, value in given if value]


def _of_row(comparison: Comparison, dialect: Dialect) -> Sql:
    field, operator = comparison.field, comparison.operator
    match field.scope:
        case "metric":
            return Sql(TRUE) if operator == "is not null" else _numbers(comparison, "x.value", _metric)
        case "dataset":
            if operator == "is not null":
                return Sql(f"x.{field.key} IS NOT NULL")
            return _text(f"x.{field.key}", comparison, dialect)
        case "param":
            if operator == "is not null":
                return Sql("x.head IS NOT NULL")
            return _param(comparison, dialect)
        case _:
            return Sql(TRUE) if operator == "is not null" else _headed(comparison, dialect)


def _each(comparison: Comparison, one: Callable[[Operator, float], Sql]) -> Sql:
    """IN and NOT IN as what they stand for, anything else as it is."""
    operator, value = comparison.operator, comparison.value
    if isinstance(value, tuple):
        single: Operator = "=" if operator == "in" else "!="
        return joined("OR" if operator == "in" else "AND", [one(single, float(each)) for each in value])
    return one(operator, float(value)) if value is not None else Sql(FALSE)


def _numbers(comparison: Comparison, column: str, one: Callable[[Operator, float], Sql]) -> Sql:
    """The same for a nullable column of numbers: long lists stay lists."""
    operator, value = comparison.operator, comparison.value
    if not isinstance(value, tuple):
        return _each(comparison, one)
    numbers = tuple(number for each in value if not math.isnan(number := float(each)))
    odd = [one("=" if operator == "in" else "!=", math.nan)] if len(numbers) < len(value) else []
    if not numbers:
        return odd[0]
    listed = Sql(f"({column} IS NOT NULL AND {column} {_in(numbers)})", numbers)
    if operator == "in":
        return joined("OR", [listed, *odd])
    there = one("!=", numbers[0])  # what lacks a number, or is NaN, is treated as for one value
    return joined("AND", [there, Sql(f"NOT {listed.text}", listed.values), *odd])


def _metric(operator: Operator, value: float) -> Sql:
    if math.isnan(value):
        return Sql("x.value IS NULL" if operator == "=" else "x.value IS NOT NULL")
    if operator == "!=":
        return Sql("(x.value IS NULL OR x.value <> ?)", (value,))
    return Sql(f"(x.value IS NOT NULL AND x.value {operator} ?)", (value,))


def _param(comparison: Comparison, dialect: Dialect) -> Sql:
    """A list may hold numbers and texts: each compares in its own way."""
    value = comparison.value
    if isinstance(value, str):
        return _headed(comparison, dialect)
    if not isinstance(value, tuple):
        return _numbers(comparison, "x.number", _param_number)
    texts = tuple(one for one in value if isinstance(one, str))
    numbers = tuple(one for one in value if not isinstance(one, str))
    parts = [_headed(_with(comparison, texts), dialect)] if texts else []
    if numbers:
        parts.append(_numbers(_with(comparison, numbers), "x.number", _param_number))
    return joined("OR" if comparison.operator == "in" else "AND", parts)


def _with(comparison: Comparison, value: tuple[str | float, ...]) -> Comparison:
    return Comparison(field=comparison.field, operator=comparison.operator, value=value)


def _param_number(operator: Operator, value: float) -> Sql:
    if math.isnan(value):
        return Sql(FALSE if operator == "=" else "x.number IS NOT NULL")
    return Sql(f"(x.number IS NOT NULL AND x.number {_sign(operator)} ?)", (value,))


def _headed(comparison: Comparison, dialect: Dialect) -> Sql:
    """A text that stands as head and, if it is long, text. The row's head may be null: then nothing matches."""
    operator, value = comparison.operator, comparison.value
    if operator in ("in", "="):
        wanted = tuple(str(one) for one in value) if isinstance(value, tuple) else (str(value),)
        short = tuple(text for text in wanted if len(text) < HEAD)
        parts = [Sql("(x.head = ? AND coalesce(x.text, x.head) = ?)", (t[:HEAD], t)) for t in wanted if len(t) >= HEAD]
        if short:
            parts.append(Sql(f"x.head {_in(short)}", short))
        return joined("OR", parts)
    if operator in ("like", "ilike") and isinstance(value, str) and "%" not in value and len(value) < HEAD:
        # As long as the text itself: the head decides.
        return _text("x.head", comparison, dialect)
    return _text("coalesce(x.text, x.head)", comparison, dialect)


def _text(column: str, comparison: Comparison, dialect: Dialect) -> Sql:
    """A comparison of a column of text; NULL where that is NULL, which a WHERE takes for false."""
    operator, value = comparison.operator, comparison.value
    if isinstance(value, tuple):
        word = "" if operator == "in" else "NOT "
        return Sql(f"{column} {word}{_in(value)}", tuple(str(one) for one in value))
    if operator in ("like", "ilike"):
        return _like(column, str(value), dialect, cased=operator == "like")
    return Sql(f"{column} {_sign(operator)} ?", (str(value),))


def _in(values: tuple[object, ...]) -> str:
    return f"IN ({', '.join('?' * len(values))})"


def _like(column: str, pattern: str, dialect: Dialect, *, cased: bool) -> Sql:
    """SQLite's LIKE folds A to Z, which is `ilike`; its GLOB folds nothing. PostgreSQL's LIKE would take a backslash for more than it is."""
    if dialect == "postgres":
        if cased:
            return Sql(f"{column} LIKE ? ESCAPE ''", (pattern,))
        return Sql(f"lower({column}) LIKE ? ESCAPE ''", (lower(pattern),))
    if not cased:
        return Sql(f"{column} LIKE ?", (pattern,))
    marks = {"%": "*", "_": "?", "*": "[*]", "?": "[?]", "[": "[[]"}
    return Sql(f"{column} GLOB ?", ("".join(marks.get(letter, letter) for letter in pattern),))


def _sign(operator: Operator) -> str:
    return "<>" if operator == "!=" else operator


def _attribute(comparison: Comparison, column: Column, dialect: Dialect) -> Sql:
    operator = comparison.operator
    if operator in ("is null", "is not null"):
        if not column.nullable:
            return Sql(TRUE if operator == "is not null" else FALSE)
        return Sql(f"{column.sql} {operator.upper()}")
    match column.type:
        case "text":
            if column.lookup:
                inner = _text("x.name", comparison, dialect)
                return Sql(column.lookup.format(inner.text), inner.values)
            found = _text(column.sql, comparison, dialect)
        case "serial":
            found = _serial(comparison, column.sql, dialect)
        case "time":
            found = _each(comparison, lambda op, value: _time(column.sql, op, value))
        case "number":
            found = _each(comparison, lambda op, value: _number(column.sql, op, value))
        case _:
            assert_never(column.type)
    return Sql(f"({column.sql} IS NOT NULL AND {found.text})", found.values) if column.nullable else found


def _number(column: str, operator: Operator, value: float) -> Sql:
    if math.isnan(value):
        return Sql(FALSE if operator == "=" else TRUE)
    return Sql(f"{column} {_sign(operator)} ?", (value,))


def _time(column: str, operator: Operator, value: float) -> Sql:
    """Moments are kept in microseconds and asked for in whole milliseconds."""
    if math.isnan(value) or abs(value) > _EDGE:
        true = operator == "!=" or (operator in ("<", "<=") and value > 0) or (operator in (">", ">=") and value < 0)
        return Sql(TRUE if true else FALSE)
    begins, ends = math.ceil(value) * 1000, (math.floor(value) + 1) * 1000
    if operator in ("=", "!="):
        if begins > ends - 1000:  # no whole millisecond
            return Sql(FALSE if operator == "=" else TRUE)
        within = Sql(f"({column} >= ? AND {column} < ?)", (begins, ends))
        return within if operator == "=" else Sql(f"NOT {within.text}", within.values)
    sign = "<" if operator in ("<", "<=") else ">="
    return Sql(f"{column} {sign} ?", (begins if operator in ("<", ">=") else ends,))


def _serial(comparison: Comparison, column: str, dialect: Dialect) -> Sql:
    """An id that is a number here and text to everybody else."""
    operator, value = comparison.operator, comparison.value
    if operator in ("like", "ilike"):
        return _like(f"CAST({column} AS TEXT)", str(value), dialect, cased=True)
    wanted = value if isinstance(value, tuple) else (value,)
    numbers = tuple(number for one in wanted if (number := serial_number(str(one))) is not None)
    found = Sql(f"{column} {_in(numbers)}", numbers) if numbers else Sql(FALSE)
    return found if operator in ("=", "in") else Sql(f"NOT ({found.text})", found.values)


def serial_number(text: str) -> int | None:
    """The number that an id stands for; None for a text that is none of ours."""
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        return None
    return int(text) if str(int(text)) == text and int(text) < 2**63 else None


def _any_text(comparison: Comparison, shape: Shape, dialect: Dialect) -> Sql:
    """Any text of a thing, its params and tags as 'key=value'."""
    parts = [_attribute(comparison, shape.attributes[key], dialect) for key in shape.texts]
    for table in shape.keyed_texts:
        inner = _text("""x."key" || '=' || coalesce(x.text, x.head)""", comparison, dialect)
        parts.append(Sql(f"EXISTS (SELECT 1 FROM {table.rows(shape.number)} AND {inner.text})", inner.values))
    return joined("OR", parts)
