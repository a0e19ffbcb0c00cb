"""What a query means, in plain Python: the reference that every other way of answering is held to, and the memory store's own way.

A view answers a field of one thing with its value: text, number, a param of any type, a moment (datetime, or ms since 1970), None if it lacks the
field, a tuple if it has several. Of several the last one sorts. Fields and types are wire/query_fields, tokens page_tokens.py.
"""

import math
import operator as operators
import re
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from functools import total_ordering
from heapq import nsmallest
from typing import Any, TypeVar, assert_never

from noria.adapters.metadata import page_tokens
from noria.adapters.metadata.page_tokens import Place, Rank
from noria.adapters.metadata.rules import EPOCH, micros
from noria.domain.query import And, Comparison, Condition, Field, Not, Operator, Or, Order, Page, Query
from noria.domain.run import ParamValue
from noria.wire.query_fields import Kind, check

T = TypeVar("T")
Value = str | int | float | bool | datetime | None | tuple[str | float, ...]
View = Callable[[Field], Value]

TIMES = frozenset(("started_at", "finished_at", "created_at", "updated_at"))
SERIAL = "experiment_id"
_ORDERED: dict[Operator, Callable[[Any, Any], Any]] = {
    "<": operators.lt,
    "<=": operators.le,
    ">": operators.gt,
    ">=": operators.ge,
}
_MILLISECOND = timedelta(milliseconds=1)
_NUMBER = re.compile(r"[+-]?(?:(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:e[+-]?[0-9]+)?|inf(?:inity)?)", re.IGNORECASE)
_UPPER = str.maketrans("ABCDEFGHIJKLMNOPQRSTUVWXYZ", "abcdefghijklmnopqrstuvwxyz")


def chosen(items: Iterable[T], query: Query, *, kind: Kind, view_of: Callable[[T], View]) -> list[T]:
    """What the query's condition holds for, in the order given; experiments, life and page are the caller's. Raises QueryInvalid."""
    check(query, kind)
    if query.life == "trashed" and kind in ("versions", "models"):
        return []  # they know no trash
    where = query.where
    return list(items) if where is None else [item for item in items if matches(where, view_of(item))]


def page(
    items: Iterable[T],
    query: Query,
    *,
    kind: Kind,
    view_of: Callable[[T], View],
    id_of: Callable[[T], str | tuple[str | int, ...]],
    newest_of: Callable[[T], datetime],
) -> Page[T]:
    """One page of what the query's condition holds for, in its order. Raises QueryInvalid."""

    def place(item: T) -> Place:
        view, found = view_of(item), id_of(item)
        ranks = tuple(rank(order.field, view(order.field)) for order in query.order)
        return Place(ranks, micros(newest_of(item)), (found,) if isinstance(found, str) else found)

    placed = [(place(item), item) for item in chosen(items, query, kind=kind, view_of=view_of)]
    sortable = [(_sortable(where, query.order), number) for number, (where, _) in enumerate(placed)]
    if query.after:
        last = _sortable(page_tokens.read(query, kind), query.order)
        sortable = [one for one in sortable if one[0] > last]
    wanted = nsmallest(query.skip + query.limit + 1, sortable)[query.skip :]
    shown = [placed[number] for _, number in wanted[: query.limit]]
    more = len(wanted) > query.limit and shown
    return Page(
        [item for _, item in shown],
        page_tokens.written(shown[-1][0], query, kind) if more else "",
    )


def matches(condition: Condition, view: View) -> bool:
    """Whether a condition holds for a thing."""
    match condition:
        case Comparison():
            return _compare(condition, view(condition.field))
        case And():
            return all(matches(term, view) for term in condition.terms)
        case Or():
            return any(matches(term, view) for term in condition.terms)
        case Not():
            return not matches(condition.term, view)
        case _:
            assert_never(condition)


def sort_key(order: Order, view: View) -> Any:
    """What sorts a thing by one field: ascending keys are the order, whichever way it runs."""
    return _sortable(Place((rank(order.field, view(order.field)),), 0, ()), (order,))[0]


def rank(field: Field, value: Value) -> Rank:
    """Where a value stands: numbers (0), then NaN (1; for a param its texts that are no numbers), then nothing (2)."""
    if isinstance(value, tuple):
        value = value[-1] if value else None
    if value is None:
        return 2, None
    if isinstance(value, datetime):
        return 0, micros(value)
    if field.scope == "param":
        number = param_number(value)
        return (1, param_text(value)) if number is None else (0, number)
    if (field.scope, field.key) == ("attribute", SERIAL):
        return 0, int(str(value))
    if isinstance(value, float) and math.isnan(value):
        return 1, None
    return 0, value


def param_text(value: ParamValue) -> str | None:
    """A param as text, as MLflow's clients would send it; None has none.

    >>> [param_text(value) for value in ("a", 6, 0.1, True, None)]
    ['a', '6', '0.1', 'True', None]
    """
    return None if value is None else str(value)


def param_number(value: ParamValue) -> float | None:
    """A param as a number: what is one, and text that is written as one. NaN, True and False are none.

    >>> [param_number(value) for value in (6, "1e-3", "six", True, float("nan"))]
    [6.0, 0.001, None, None, None]
    """
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, str) and not _NUMBER.fullmatch(value):
        return None
    number = float(value)
    return None if math.isnan(number) else number


def like(text: str, pattern: str) -> bool:
    """SQL's LIKE: % is any text, _ one character, nothing escapes them; case counts. Takes time in proportion to both at worst.

    >>> like("gradient boosting", "grad%boo_ting"), like("Boost", "boost")
    (True, False)
    """
    first, *rest = pattern.split("%")
    if not rest:
        return len(text) == len(first) and _same(text, first, 0)
    last = rest.pop()
    if len(text) < len(first) + len(last) or not _same(text, first, 0) or not _same(text, last, len(text) - len(last)):
        return False
    at, end = len(first), len(text) - len(last)
    for piece in rest:
        at = _find(text, piece, at, end)
        if at < 0:
            return False
        at += len(piece)
    return True


def lower(text: str) -> str:
    """A to Z as a to z, and nothing else: what every database can do alike."""
    return text.translate(_UPPER)


def _compare(comparison: Comparison, value: Value) -> bool:
    field, operator, wanted = comparison.field, comparison.operator, comparison.value
    if isinstance(value, tuple):
        if operator in ("is null", "is not null"):
            return (not value) == (operator == "is null")
        return any(_compare(comparison, one) for one in value)
    if operator in ("is null", "is not null"):
        return (value is None) == (operator == "is null")
    if isinstance(wanted, tuple):
        if operator == "in":
            return any(_holds("=", value, one, field=field) for one in wanted)
        return all(_holds("!=", value, one, field=field) for one in wanted)
    return wanted is not None and _holds(operator, value, wanted, field=field)


def _holds(operator: Operator, value: Value, wanted: str | float, *, field: Field) -> bool:
    """One value against another; what has no value of that type does not match."""
    found = _shaped(value, wanted, field=field)
    if found is None:
        return False
    if operator in ("=", "!="):
        return _equal(found, wanted) == (operator == "=")
    if operator == "like":
        return like(str(found), str(wanted))
    if operator == "ilike":
        return like(lower(str(found)), lower(str(wanted)))
    return bool(_ORDERED[operator](found, wanted))


def _shaped(value: Value, wanted: str | float, *, field: Field) -> str | float | None:
    """A value as it is compared with what is wanted: as text or as a number; None if it cannot be."""
    if value is None or isinstance(value, tuple):
        return None
    if isinstance(value, datetime):
        return float((value - EPOCH) // _MILLISECOND)
    if field.scope == "param":
        return param_text(value) if isinstance(wanted, str) else param_number(value)
    if field.scope == "attribute" and field.key in TIMES and isinstance(value, int | float):
        return float(math.floor(value))
    return str(value) if isinstance(wanted, str) else float(value)


def _equal(found: str | float, wanted: str | float) -> bool:
    both_nan = found != found and wanted != wanted  # noqa: PLR0124 - only NaN is not itself
    return both_nan or found == wanted


def _same(text: str, piece: str, at: int) -> bool:
    return all(letter in ("_", text[at + index]) for index, letter in enumerate(piece))


def _find(text: str, piece: str, start: int, end: int) -> int:
    """Where a piece of a pattern first stands in a stretch of a text; -1 if nowhere."""
    if "_" not in piece:
        return text.find(piece, start, end)
    return next((at for at in range(start, end - len(piece) + 1) if _same(text, piece, at)), -1)


@total_ordering
class _Down:
    """A text that sorts the other way round."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Down) and self.text == other.text

    def __lt__(self, other: "_Down") -> bool:
        return self.text > other.text

    def __hash__(self) -> int:
        return hash(self.text)


def _sortable(place: Place, orders: tuple[Order, ...]) -> tuple[Any, ...]:
    """A place as a key that Python sorts: by the orders, then newest first, then by id."""
    keys: list[Any] = []
    for (stage, value), order in zip(place.ranks, orders, strict=True):
        if not order.descending or value is None:
            keys.append((stage, value))
        else:
            keys.append((stage, _Down(value) if isinstance(value, str) else -value))
    return (*keys, -place.newest, place.id)
