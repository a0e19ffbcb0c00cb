"""What somebody looks for: conditions over fields, an order, a page. Reading the text form is wire/query; finding is the index ports' business."""

from typing import Generic, Literal, TypeVar

import msgspec

from noria.domain.ids import ExperimentId

T = TypeVar("T")

Scope = Literal["attribute", "metric", "param", "tag", "dataset"]
Operator = Literal["=", "!=", "<", "<=", ">", ">=", "like", "ilike", "in", "not in", "is null", "is not null"]
Life = Literal["active", "trashed", "all"]


class Field(msgspec.Struct, frozen=True, kw_only=True):
    """Something that can be asked for: a metric's last value, a param, a tag, or an attribute of the thing itself (name, status, started_at, ...).

    dataset, dataset_digest: of a trained model's metric, the dataset it was measured on; empty: any.
    """

    scope: Scope
    key: str
    dataset: str = ""
    dataset_digest: str = ""


class Comparison(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """One condition. value: a number, a text, several of them for 'in' and 'not in', None for 'is null' and 'is not null'.

    A param is compared as a number if the value is one (params that are no numbers do not match then), as text otherwise. A thing that lacks the
    field matches only 'is null' and, for tags and params, nothing else: 'tag.a != "x"' finds those that have a tag a.
    like: % any text, _ one character, case counts; ilike: it does not, for the letters A to Z. NaN is equal to itself only, and neither more nor less
    than any number. Times are compared as whole milliseconds. Of several values (datasets, measurements) one that fits is enough.
    """

    field: Field
    operator: Operator
    value: float | str | tuple[str | float, ...] | None = None


class And(msgspec.Struct, frozen=True, tag=True):
    """All of them hold; of none, true."""

    terms: tuple["Condition", ...]


class Or(msgspec.Struct, frozen=True, tag=True):
    """At least one holds."""

    terms: tuple["Condition", ...]


class Not(msgspec.Struct, frozen=True, tag=True):
    """It does not hold: everything that the term does not match, things that lack its field included."""

    term: "Condition"


Condition = Comparison | And | Or | Not


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """Sort by a field: numbers as numbers, then NaN, then what has no value, whichever way it runs."""

    field: Field
    descending: bool = False


class Query(msgspec.Struct, frozen=True, kw_only=True):
    """One question to an index. Ties: newest first, then by id, so that an order is always total.

    experiments: only in these (None: in all). after: the `next` of the page before; a page is then what follows it in the order, whatever was
    written meanwhile. skip: this many more are left out first, for a page by its number (what is written meanwhile moves such pages).
    Raises QueryInvalid where it is used with a field or operator that the index does not know, or with another query's token.
    """

    where: Condition | None = None
    order: tuple[Order, ...] = ()
    experiments: tuple[ExperimentId, ...] | None = None
    life: Life = "active"
    limit: int = 100
    after: str = ""
    skip: int = 0


class Page(msgspec.Struct, Generic[T], frozen=True):
    """Some of what was found, in order. next: the token for what follows, empty at the end."""

    items: list[T]
    next: str = ""
