"""Find a run among many. Reads the RunIndex port. Called by cli/ and by whoever trains in a notebook."""

import math
from typing import Literal

from noria.domain.query import And, Comparison, Field, Order, Query
from noria.domain.run import Run
from noria.ports.index import RunIndex


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
