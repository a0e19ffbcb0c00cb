"""What can be asked for of each kind of thing: scopes, attributes with their types and other names, and whether a query fits. Pure.

Reading text is query.py; answering is adapters/metadata (matching in plain Python, sql/search). Called by these and by the faces.
"""

import math
from collections.abc import Iterator
from difflib import get_close_matches
from typing import Literal, assert_never

from noria.domain.query import And, Comparison, Condition, Field, Not, Or, Query, Scope
from noria.errors import QueryInvalid

Kind = Literal["runs", "experiments", "trained", "versions", "models"]
FieldType = Literal["text", "number", "time", "serial", "param", "all"]
"""text; number; time: a moment, asked for in ms since 1970; serial: a number that is written as text and sorts as a number; param: either;
all: every text of a thing at once, only for `like` and `ilike`."""
Reason = Literal["syntax", "scope", "field", "operator", "value", "list", "size", "page"]

MAX_DEPTH = 18
"""Levels of parentheses and NOT in a text."""
MAX_LEVELS = 2 * MAX_DEPTH + 4
"""The same in a condition, where a parenthesis may hold an OR of ANDs: what SQLite's parser has room for."""
MAX_COMPARISONS = 500
MAX_VALUES = 30_000
"""Values of a query together: SQLite binds 32,766, PostgreSQL 65,535."""
MAX_PATTERN = 10_000
"""Characters of a pattern: SQLite takes 50,000 bytes."""
MAX_ORDERS = 16
MAX_LIMIT = 2**53

ATTRIBUTES: dict[Kind, dict[str, FieldType]] = {
    "runs": {
        "run_id": "text",
        "name": "text",
        "status": "text",
        "user": "text",
        "started_at": "time",
        "finished_at": "time",
        "artifact_root": "text",
        "experiment": "text",
        "experiment_id": "serial",
        "seed": "number",
        "text": "all",
    },
    "experiments": {"experiment_id": "serial", "name": "text", "created_at": "time", "updated_at": "time"},
    "trained": {
        "model_id": "text",
        "name": "text",
        "kind": "text",
        "status": "text",
        "run_id": "text",
        "experiment_id": "serial",
        "created_at": "time",
        "updated_at": "time",
    },
    "versions": {
        "name": "text",
        "version": "number",
        "run_id": "text",
        "source": "text",
        "created_at": "time",
        "updated_at": "time",
    },
    "models": {"name": "text", "created_at": "time", "updated_at": "time"},
}
_CREATED = dict.fromkeys(("creation_time", "creation_timestamp", "creation_timestamp_ms", "created"), "created_at")
_UPDATED = dict.fromkeys(
    (
        "last_update_time",
        "last_updated_time",
        "last_updated_timestamp",
        "last_updated_timestamp_ms",
        "updated",
    ),
    "updated_at",
)
OTHER_NAMES: dict[Kind, dict[str, str]] = {
    "runs": {
        "run_name": "name",
        "run name": "name",
        "Run name": "name",
        "Run Name": "name",
        "start_time": "started_at",
        "created": "started_at",
        "Created": "started_at",
        "end_time": "finished_at",
        "user_id": "user",
        "artifact_uri": "artifact_root",
        "experiment_name": "experiment",
    },
    "experiments": {**_CREATED, **_UPDATED},
    "trained": {**_CREATED, **_UPDATED, "model_type": "kind", "source_run_id": "run_id"},
    "versions": {
        **_CREATED,
        **_UPDATED,
        "version_number": "version",
        "source_path": "source",
        "model": "name",
        "model_name": "name",
    },
    "models": {**_CREATED, **_UPDATED, "timestamp": "updated_at"},
}
DATASET_KEYS = ("name", "digest", "context")
SCOPES: dict[Kind, tuple[Scope, ...]] = {
    "runs": ("attribute", "metric", "param", "tag", "dataset"),
    "experiments": ("attribute", "tag"),
    "trained": ("attribute", "metric", "param", "tag"),
    "versions": ("attribute", "tag"),
    "models": ("attribute", "tag"),
}
SCOPE_NAMES: dict[str, Scope] = {
    "metric": "metric",
    "metrics": "metric",
    "param": "param",
    "params": "param",
    "parameter": "param",
    "parameters": "param",
    "tag": "tag",
    "tags": "tag",
    "attribute": "attribute",
    "attributes": "attribute",
    "attr": "attribute",
    "run": "attribute",
    "dataset": "dataset",
    "datasets": "dataset",
}


def fault(problem: str, *, reason: Reason, token: str = "", cause: str = "", remedy: str = "") -> QueryInvalid:
    """A QueryInvalid with the facts that a face needs to say it in its own words."""
    error = QueryInvalid(problem, cause=cause, remedy=remedy)
    error.reason = reason
    error.token = token
    return error


def type_of(field: Field, kind: Kind) -> FieldType:
    """What values a field has. Raises QueryInvalid for one that the kind does not have, offering the nearest."""
    if field.scope not in SCOPES[kind]:
        raise fault(
            f"{kind} have no {field.scope}s",
            reason="scope",
            token=field.scope,
            cause=f"they have {', '.join(SCOPES[kind])}",
        )
    if (field.dataset or field.dataset_digest) and (kind, field.scope) != ("trained", "metric"):
        raise fault(
            f"{field.scope} '{field.key}' belongs to no dataset",
            reason="field",
            token=field.dataset,
            cause="only metrics of trained models are measured on one",
        )
    match field.scope:
        case "metric":
            return "number"
        case "param":
            return "param"
        case "tag":
            return "text"
        case "dataset":
            if field.key not in DATASET_KEYS:
                raise _unknown(field.key, "dataset", list(DATASET_KEYS))
            return "text"
        case "attribute":
            found = ATTRIBUTES[kind].get(field.key)
            if found is None:
                raise _unknown(field.key, kind, sorted({*ATTRIBUTES[kind], *OTHER_NAMES[kind]}))
            return found
        case _:
            assert_never(field.scope)


def _unknown(key: str, of: str, known: list[str]) -> QueryInvalid:
    near = get_close_matches(key, known, n=1, cutoff=0.6)
    return fault(
        f"{of} have no attribute '{key}'" if of != "dataset" else f"a dataset has no '{key}'",
        reason="field",
        token=key,
        cause=f"did you mean '{near[0]}'?" if near else f"known: {', '.join(known)}",
        remedy="write tags.NAME, params.NAME or metrics.NAME for what was logged" if of in ("runs", "trained") else "",
    )


def check(query: Query, kind: Kind) -> None:
    """Raises QueryInvalid for what cannot be asked of this kind: unknown fields, operators and values that do not fit them, and more than can be
    answered at once."""
    if not (0 <= query.limit <= MAX_LIMIT and 0 <= query.skip <= MAX_LIMIT):
        raise fault(
            f"a page cannot hold {query.limit} things after {query.skip}",
            reason="size",
            cause=f"from 0 to {MAX_LIMIT:,}",
        )
    if query.experiments is not None and kind in ("versions", "models"):
        raise fault(f"{kind} belong to no experiment", reason="field", token="experiments")
    if len(query.order) > MAX_ORDERS:
        raise fault(f"an order by {len(query.order)} fields is too long", reason="size", cause=f"at most {MAX_ORDERS}")
    for order in query.order:
        _check_key(order.field)
        if type_of(order.field, kind) == "all" or order.field.scope == "dataset":
            raise fault(f"{kind} cannot be sorted by '{order.field.key}'", reason="field", token=order.field.key)
    check_condition(query.where, kind, more=len(query.experiments or ()))


def check_condition(condition: Condition | None, kind: Kind, *, more: int = 0) -> None:
    """The same for a condition alone. more: values that the query has besides."""
    values = more
    for comparisons, comparison in enumerate(comparisons_of(condition), 1):
        values += _check_comparison(comparison, kind)
        if comparisons > MAX_COMPARISONS or values > MAX_VALUES:
            raise fault(
                "the query is too large",
                reason="size",
                cause=f"at most {MAX_COMPARISONS} conditions with {MAX_VALUES:,} values together",
            )


def comparisons_of(condition: Condition | None) -> Iterator[Comparison]:
    """Every comparison of a condition. Raises QueryInvalid if it is nested too deep."""
    waiting: list[tuple[Condition, int]] = [] if condition is None else [(condition, 0)]
    while waiting:
        term, depth = waiting.pop()
        if depth > MAX_LEVELS:
            raise fault("the query is nested too deep", reason="size", cause=f"at most {MAX_DEPTH} levels")
        match term:
            case Comparison():
                yield term
            case And() | Or():
                waiting.extend((inner, depth + 1) for inner in reversed(term.terms))
            case Not():
                waiting.append((term.term, depth + 1))
            case _:
                assert_never(term)


def _check_comparison(comparison: Comparison, kind: Kind) -> int:
    """How many values it has."""
    field, operator, value = comparison.field, comparison.operator, comparison.value
    _check_key(field)
    kind_of_value = type_of(field, kind)
    if operator in ("is null", "is not null"):
        if value is not None or kind_of_value == "all":
            raise fault(f"'{operator}' does not go with '{field.key}'", reason="operator", token=operator)
        return 0
    if operator in ("in", "not in"):
        if not isinstance(value, tuple) or not value:
            raise fault(f"'{operator}' needs a list of values", reason="list", token=str(value))
        values: tuple[object, ...] = value
    else:
        values = (value,)
    _check_operator(comparison, kind_of_value)
    for one in values:
        _check_value(one, comparison, kind_of_value)
    return len(values)


def _check_key(field: Field) -> None:
    for text in (field.key, field.dataset, field.dataset_digest):
        _check_text(text)
    if not field.key:
        raise fault(f"a {field.scope} without a name", reason="field")


def _check_text(text: str) -> None:
    if "\0" in text or any("\ud800" <= letter <= "\udfff" for letter in text if letter > "\ud7ff"):
        raise fault("a text holds a character that no store keeps", reason="value", cause=ascii(text[:80]))


def _check_operator(comparison: Comparison, kind_of_value: FieldType) -> None:
    operator, numeric = comparison.operator, not isinstance(comparison.value, str | tuple)
    ordered = operator in ("<", "<=", ">", ">=")
    alike = operator in ("like", "ilike")
    wrong = (
        (alike and kind_of_value in ("number", "time"))
        or (alike and numeric)
        or (ordered and kind_of_value == "serial")
        or (kind_of_value == "all" and not alike)
    )
    if wrong:
        raise fault(
            f"'{operator}' does not go with {comparison.field.scope} '{comparison.field.key}'",
            reason="operator",
            token=operator,
            cause={
                "number": "it is a number",
                "time": "it is a time",
                "serial": "it is an id",
                "all": "it is every text of a thing: use like or ilike",
            }.get(kind_of_value, "a pattern is a text"),
        )


def _check_value(value: object, comparison: Comparison, kind_of_value: FieldType) -> None:
    named = f"{comparison.field.scope} '{comparison.field.key}'"
    if isinstance(value, str):
        _check_text(value)
        if kind_of_value in ("number", "time"):
            raise fault(f"{named} is compared with a number, not with text", reason="value", token=value)
        if comparison.operator in ("like", "ilike") and len(value) > MAX_PATTERN:
            raise fault("the pattern is too long", reason="size", cause=f"at most {MAX_PATTERN:,} characters")
    elif isinstance(value, int | float):
        if kind_of_value in ("text", "serial", "all"):
            raise fault(
                f"{named} is compared with a text, not with a number",
                reason="value",
                token=str(value),
                remedy=f"put it into quotes: '{value}'",
            )
        if math.isnan(value) and comparison.operator in ("<", "<=", ">", ">="):
            raise fault("nothing is more or less than NaN", reason="value", token="nan", remedy="use = or !=")
    else:
        raise fault(f"{named} is compared with nothing", reason="value", token=str(value))
