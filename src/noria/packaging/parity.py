"""Whether a converted model answers like its origin: on a sample, beside every threshold, with missing values and with categories never seen.

Converting is convert; what follows from a verdict is bundle. Pure: takes two functions and arrays.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from noria.domain.bundle import Parity
from noria.domain.model import Signature
from noria.errors import EmptySample, NoriaError
from noria.ports.flavor import Columns

Predict = Callable[[Columns], Columns]
TOLERANCE = 1e-5
UNSEEN = "a value that training never saw"
MOST_NEAR = 3000
"""Rows tried beside thresholds, at most."""
ZERO = 1e-30
"""LightGBM splits at +-1e-35 to part zero from the rest, and on some of its paths reads what lies between as zero: nearer than this is not tried."""


def parity(
    origin: Predict,
    converted: Predict,
    sample: Columns,
    *,
    signature: Signature,
    thresholds: Mapping[str, Sequence[float]] | None = None,
    tolerance: float = TOLERANCE,
) -> Parity:
    """Compare two predictors of one signature over ordinary and hostile rows.

    sample: columns of real rows, at least one. thresholds: column -> split points of a tree model on it; each is tried with its float64 and float32
    neighbours. tolerance: largest difference allowed, of a probability, or relative to the largest answer if answers exceed 1.
    Answers that are NaN must be NaN in both. An error of one side alone is a failure, of both sides it is agreement.
    Raises EmptySample.
    """
    rows = len(next(iter(sample.values()))) if sample else 0
    if rows == 0:
        raise EmptySample("parity needs rows to compare", remedy="pass a sample of the training columns")
    cases = {
        "sample": dict(sample),
        "near thresholds": _near(sample, signature, thresholds or {}),
        "missing values": _missing(sample, signature),
        "unseen categories": _unseen(sample, signature),
    }
    tried, compared, worst, flips, reason = [], 0, 0.0, 0, ""
    for name, columns in cases.items():
        if columns is None:
            continue
        tried.append(name)
        difference, flipped, problem = _compare(origin, converted, columns)
        compared += len(next(iter(columns.values())))
        flips += flipped
        worst = max(worst, difference)
        if problem or difference > tolerance:
            reason = (
                reason or f"{name}: {problem or f'answers differ by {difference:.3g}, allowed are {tolerance:.3g}'}"
            )
    return Parity(
        passed=not reason,
        rows=compared,
        max_difference=worst,
        label_flips=flips,
        tolerance=tolerance,
        cases=tuple(tried),
        reason=reason,
    )


def _compare(origin: Predict, converted: Predict, columns: Columns) -> tuple[float, int, str]:
    """(largest difference, flipped decisions, problem)."""
    expected, refused = _outcome(origin, columns)
    answered, refused_too = _outcome(converted, columns)
    if expected is None or answered is None:
        return 0.0, 0, "" if expected is answered else f"only one of the two refuses: {refused or refused_too}"
    if expected.keys() != answered.keys():
        return 0.0, 0, f"outputs {sorted(answered)} instead of {sorted(expected)}"
    left = np.column_stack([np.asarray(expected[name], dtype=np.float64) for name in expected])
    right = np.column_stack([np.asarray(answered[name], dtype=np.float64) for name in expected])
    if left.shape != right.shape or not np.array_equal(np.isnan(left), np.isnan(right)):
        return 0.0, 0, "shapes or missing answers differ"
    scale = max(1.0, float(np.nanmax(np.abs(left), initial=0.0)))
    difference = float(np.nanmax(np.abs(left - right), initial=0.0)) / scale
    return difference, _flips(left, right), ""


def _outcome(predict: Predict, columns: Columns) -> tuple[Columns | None, str]:
    try:
        return predict(columns), ""
    except NoriaError as error:
        return None, error.problem


def _flips(
    left: "np.ndarray[tuple[int, int], np.dtype[np.float64]]",
    right: "np.ndarray[tuple[int, int], np.dtype[np.float64]]",
) -> int:
    """Rows whose decision differs: the side of one half for one probability, the largest of several."""
    if left.shape[1] > 1:
        return int((left.argmax(axis=1) != right.argmax(axis=1)).sum())
    if left.min(initial=0.0) < 0.0 or left.max(initial=0.0) > 1.0:
        return 0
    return int(((left >= 0.5) != (right >= 0.5)).sum())


def _near(sample: Columns, signature: Signature, thresholds: Mapping[str, Sequence[float]]) -> Columns | None:
    """Rows of the sample with one column put at and beside a threshold of it."""
    whole = {f.name for f in signature.inputs if f.datatype == "INT64"}
    wanted = [
        (name, value)
        for name, points in thresholds.items()
        for point in points
        for value in _beside(point, whole=name in whole)
    ]
    if not wanted:
        return None
    step = max(1, -(-len(wanted) // MOST_NEAR))
    wanted = wanted[::step]
    rows = len(next(iter(sample.values())))
    taken = np.arange(len(wanted)) % rows
    columns = {name: np.array(np.asarray(values)[taken]) for name, values in sample.items()}
    with np.errstate(over="ignore"):  # a threshold beyond float32 becomes infinity there
        for row, (name, value) in enumerate(wanted):
            columns[name][row] = value
    return columns


def _beside(point: float, *, whole: bool) -> list[float]:
    """Values on either side of one threshold, as near as the column's type allows."""
    if abs(point) < ZERO:
        return [-1.0, 0.0, 1.0] if whole else [-ZERO, 0.0, ZERO]
    if whole:
        return [float(np.floor(point)), float(np.floor(point)) + 1.0]
    with np.errstate(over="ignore"):  # a threshold beyond float32 has infinity beside it
        single = np.float32(point)
    near = [float(np.nextafter(centre, side)) for centre in (point, float(single)) for side in (-np.inf, np.inf)]
    return [point, float(single), *near, *(float(np.nextafter(single, np.float32(side))) for side in (-np.inf, np.inf))]


def _missing(sample: Columns, signature: Signature) -> Columns | None:
    """The first rows, each nullable column emptied in turn, then all of them."""
    nullable = [f for f in signature.inputs if f.nullable]
    if not nullable:
        return None
    some = min(50, len(next(iter(sample.values()))))
    blocks = [[f.name] for f in nullable] + [[f.name for f in nullable]]
    columns = {
        name: np.concatenate([np.array(np.asarray(values)[:some]) for _ in blocks]) for name, values in sample.items()
    }
    empties = {f.name: None if f.datatype == "BYTES" else np.nan for f in nullable}
    for number, names in enumerate(blocks):
        for name in names:
            columns[name][number * some : (number + 1) * some] = empties[name]
    return columns


def _unseen(sample: Columns, signature: Signature) -> Columns | None:
    """The first rows, each text column replaced in turn by a value that training cannot have seen."""
    text = [f.name for f in signature.inputs if f.datatype == "BYTES"]
    if not text:
        return None
    some = min(50, len(next(iter(sample.values()))))
    columns = {
        name: np.concatenate([np.array(np.asarray(values)[:some]) for _ in text]) for name, values in sample.items()
    }
    for number, name in enumerate(text):
        columns[name] = columns[name].astype(object)
        columns[name][number * some : (number + 1) * some] = UNSEEN
    return columns
