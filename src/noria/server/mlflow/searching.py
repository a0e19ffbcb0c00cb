"""A search as MLflow's clients ask it, as a question to Noria's indexes: filter, order, view, page. The grammar itself is wire/query.

Called by experiments, runs and logged_models.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from msgspec.structs import replace

from noria.domain.query import And, Comparison, Condition, Field, Life, Not, Or, Order
from noria.errors import QueryInvalid
from noria.server.mlflow.errors import Refused
from noria.server.mlflow.locations import stored_path
from noria.server.mlflow.shapes import RUN_NAME
from noria.server.mlflow.wire import invalid
from noria.wire.query import parse_filter, parse_order
from noria.wire.query_fields import Kind

SCOPES = ["metric", "parameter", "tag", "attribute", "dataset"]
LIVES: dict[str | int, Life] = {
    "ACTIVE_ONLY": "active",
    "DELETED_ONLY": "trashed",
    "ALL": "all",
    1: "active",
    2: "trashed",
    3: "all",
    "1": "active",
    "2": "trashed",
    "3": "all",
}


def life(view: str | int | None, name: str) -> Life:
    """What a view type asks for. Raises Refused."""
    found = LIVES.get("ACTIVE_ONLY" if view is None else view)
    if found is None:
        raise Refused(invalid(name, view, "Expected ACTIVE_ONLY, DELETED_ONLY or ALL."))
    return found


def where(text: str | None, kind: Kind) -> Condition | None:
    """A filter's condition. Raises Refused."""
    try:
        condition = parse_filter(text or "", kind=kind)
    except QueryInvalid as error:
        raise refusal(error, "Invalid filter string") from None
    return condition if condition is None or kind != "runs" else _in_our_words(condition)


def order(clauses: list[str] | None, kind: Kind) -> tuple[Order, ...]:
    """What to sort by. Raises Refused."""
    try:
        orders = parse_order(clauses or [], kind=kind)
    except QueryInvalid as error:
        raise refusal(error, "Invalid order_by clause") from None
    return tuple(replace(one, field=_field(one.field)) for one in orders)


def said(error: QueryInvalid) -> str:
    """What is wrong with a query, on one line."""
    return f"{error.problem}; {error.cause}." if error.cause else f"{error.problem}."


def refusal(error: QueryInvalid, what: str) -> Refused:
    """What is wrong with a query, on one line: first in MLflow's words, where it has some, then where and why."""
    match error.reason:
        case "scope":
            what = f"Invalid entity type '{error.token}'. Valid values are {SCOPES}"
        case "field":
            what = f"Invalid attribute key '{error.token}' specified"
        case "page":
            what = "Invalid page token, could not base64-decode"
    return Refused(f"{what}: {said(error)}")


@contextmanager
def asked() -> Iterator[None]:
    """Say in MLflow's words what an index refuses: a token that is not its own, more than it answers at once."""
    try:
        yield
    except QueryInvalid as error:
        raise refusal(error, "Invalid search") from None


def _in_our_words(condition: Condition) -> Condition:
    """What MLflow keeps as a tag and Noria as an attribute, and addresses as clients know them."""
    match condition:
        case Comparison():
            field, value = _field(condition.field), condition.value
            if field.key == "artifact_root" and isinstance(value, str):
                value = stored_path(value) or value
            return replace(condition, field=field, value=value)
        case And():
            return And(tuple(map(_in_our_words, condition.terms)))
        case Or():
            return Or(tuple(map(_in_our_words, condition.terms)))
        case Not():
            return Not(_in_our_words(condition.term))


def _field(field: Field) -> Field:
    return Field(scope="attribute", key="name") if (field.scope, field.key) == ("tag", RUN_NAME) else field
