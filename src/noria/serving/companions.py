"""Whether a model's requests may be answered in company: it must pay, and no answer may change by a bit. Measured at load, on example rows.

Doing it is batching. Called by app/worker_loader.
"""

from collections.abc import Callable, Iterator
from time import perf_counter
from typing import Any

import msgspec
import numpy as np

from noria.domain.model import Signature
from noria.errors import NoriaError, RequestInvalid
from noria.ports.flavor import Columns
from noria.serving.batching import MOST_ROWS, Batcher
from noria.serving.columns import array_of

LEAST_FIXED_US = 300.0
"""What a call must cost before its first row: handing a request to another thread and back costs 50 to 100 us, and company must save more."""
LEAST_RATIO = 4.0
"""... and in rows: 64 requests of one row then take a fourth of the time or less, and those with many rows lose little by waiting."""
DIFFERENT = 16
SIZES = (*range(2, 18), 24, 31, 32, 33, 48, 63, MOST_ROWS)
BUDGET_S = 5.0
TIMES = 3

Predict = Callable[[Columns], Columns]


class Judgement(msgspec.Struct, frozen=True, kw_only=True):
    """What was measured. in_company: whether requests are batched. fixed_us, row_us: of one call, and of each row in it."""

    in_company: bool
    reason: str
    fixed_us: float = 0.0
    row_us: float = 0.0


UNTRIED = Judgement(in_company=False, reason="it was not tried")


def judge(predict: Predict, example: Columns | None, *, budget_s: float = BUDGET_S) -> Judgement:
    """Try the model on rows made of the example's: does a call cost much more than a row, and are all answers the same alone and in company?

    example: columns of at least one row that follow the signature; None: there are none, and nothing can be said. budget_s: more is not spent.
    """
    if example is None:
        return Judgement(in_company=False, reason="the bundle has no example rows to try it on")
    until = perf_counter() + budget_s
    rows = varied(example, DIFFERENT)
    try:
        one, many = _seconds(predict, part(rows, [0])), _seconds(predict, part(rows, range(MOST_ROWS)))
        row = max(0.0, (many - one) / (MOST_ROWS - 1))
        fixed = max(0.0, one - row)
        cost = {"fixed_us": round(1e6 * fixed, 1), "row_us": round(1e6 * row, 1)}
        if 1e6 * fixed < LEAST_FIXED_US or fixed < LEAST_RATIO * row:
            return Judgement(in_company=False, reason="a call costs little beside its rows", **cost)
        different = _different(predict, rows, until)
    except NoriaError as error:
        return Judgement(in_company=False, reason=f"the model does not answer its example: {error.problem}")
    if different:
        return Judgement(in_company=False, reason=different, **cost)
    return Judgement(in_company=True, reason="a call costs much beside its rows, and company changes no bit", **cost)


def batcher_for(predict: Predict, judgement: Judgement) -> Batcher | None:
    """A batcher where it was judged to pay and to change nothing."""
    return Batcher(predict) if judgement.in_company else None


def example_columns(content: bytes, signature: Signature) -> Columns | None:
    """The rows of a bundle's `example.json` (a request of the Open Inference Protocol); None if they do not follow the signature."""
    try:
        by_name = {tensor["name"]: tensor["data"] for tensor in msgspec.json.decode(content)["inputs"]}
        columns: dict[str, Any] = {}
        for field in signature.inputs:
            values = array_of(by_name[field.name], field)
            columns[field.name] = values if field.width == 1 else values.reshape(-1, field.width)
    except (msgspec.DecodeError, KeyError, TypeError, ValueError, RequestInvalid):
        return None
    return columns if columns and {len(values) for values in columns.values()} not in ({0},) else None


def varied(example: Columns, rows: int) -> Columns:
    """Rows made of the example's by turns; fractional numbers are moved a little, so that no two rows share all their digits.

    >>> varied({"x": np.array([1.0]), "t": np.array(["a"], object)}, 3)["t"].tolist()
    ['a', 'a', 'a']
    """
    made: dict[str, Any] = {}
    for place, (name, values) in enumerate(example.items()):
        taken = values[np.arange(rows) % len(values)]
        if taken.dtype.kind == "f":
            shift = 1 + np.sin(np.arange(1, rows + 1) * (place + 1)) / 64
            taken = (taken * shift.reshape(-1, *[1] * (taken.ndim - 1))).astype(taken.dtype)
        made[name] = taken
    return made


def part(rows: Columns, places: Any) -> Columns:
    """Some rows, by place, beginning anew after the last."""
    return {name: values[np.asarray(places) % len(values)] for name, values in rows.items()}


def _seconds(predict: Predict, columns: Columns) -> float:
    """The shortest of a few calls, after one that warms up."""
    predict(columns)
    taken = []
    for _ in range(TIMES):
        begun = perf_counter()
        predict(columns)
        taken.append(perf_counter() - begun)
    return min(taken)


def _different(predict: Predict, rows: Columns, until: float) -> str:
    """Why answers in company are not those given alone; '' if every bit is the same in batches of many sizes that begin at different rows."""
    alone = [_bits(predict(part(rows, [place])), 1) for place in range(DIFFERENT)]
    for size, start in _batches():
        if perf_counter() > until:
            return f"comparing answers would take longer than {BUDGET_S:g} s"
        places = [(start + i) % DIFFERENT for i in range(size)]
        together = _bits(predict(part(rows, places)), size)
        if any(together[i] != alone[place][0] for i, place in enumerate(places)):
            return f"a row is answered with other bits among {size} than alone"
    return ""


def _batches() -> Iterator[tuple[int, int]]:
    for number, size in enumerate(SIZES):
        yield size, (5 * number) % DIFFERENT


def _bits(outputs: Columns, rows: int) -> list[tuple[object, ...]]:
    """The answers of each row, to the bit; NaN is like NaN only of the same bits."""
    if any(len(values) != rows for values in outputs.values()):
        return [(rows,)] * rows  # never like the answer to another number of rows
    return [
        tuple(
            (name, values[i].tolist() if values.dtype == object else np.ascontiguousarray(values[i]).tobytes())
            for name, values in outputs.items()
        )
        for i in range(rows)
    ]
