"""Find a run among many. Reads the RunIndex port. Called by cli/ and by whoever trains in a notebook."""

import math
from collections.abc import Iterator
from itertools import islice
from typing import Literal

from msgspec.structs import replace

from noria.domain.query import And, Comparison, Field, Order, Query
from noria.domain.run import Run
from noria.errors import InputInvalid
from noria.ports.index import RunIndex
from noria.wire.query import parse_filter, parse_order

PAGE = 500


def search(index: RunIndex, where: str = "", *, order: str = "", limit: int | None = None) -> Iterator[Run]:
    """Runs that a filter finds, in an order, by default newest first; read page by page. Raises QueryInvalid at once."""
    if limit is not None and limit < 0:
        raise InputInvalid(f"{limit} runs cannot be found", remedy="give a limit of 0 or more, or none")
    size = PAGE if limit is None else min(limit, PAGE)
    query = Query(where=parse_filter(where, kind="runs"), order=parse_order(order, kind="runs"), limit=size)
    return islice(_pages(index, query), limit)


def _pages(index: RunIndex, query: Query) -> Iterator[Run]:
    while True:
        page = index.search(query)
        yield from page.items
        if not page.next:
            return
        query = replace(query, after=page.next)


def best(index: RunIndex, experiment: str, *, metric: str, better: Literal["higher", "lower"]) -> Run | None:
    """The finished run of an experiment with the best last value of a metric; of equal ones the earliest. None if no run has a number there."""
    measured = Field(scope="metric", key=metric)
    conditions = (
        Comparison(field=Field(scope="attribute", key="experiment"), operator="=", value=experiment),
        Comparison(field=Field(scope="attribute", key="status"), operator="=", value="finished"),
        Comparison(field=measured, operator="is not null"),
    )
    order = (
        Order(field=measured, descending=better == "higher"),
        Order(field=Field(scope="attribute", key="started_at")),
    )
    found = index.search(Query(where=And(conditions), order=order, limit=1)).items
    # NaN comes after every number: if it is first, there is no number.
    return found[0] if found and not math.isnan(found[0].metrics[metric]) else None
