"""Find the slice of the rows that got worst. One column at a time; intersections are columns that the caller makes. Called by evaluation/gates."""

from typing import Literal

import msgspec
import numpy as np

from noria.domain.interval import Interval
from noria.errors import EmptySample, NotFound
from noria.evaluation.compare import difference
from noria.evaluation.metrics import measure
from noria.evaluation.sample import Sample

MINIMUM_ROWS = 200


class SliceResult(msgspec.Struct, frozen=True, kw_only=True):
    """One slice. worsening: of the challenger against the champion (above 0: worse, whichever direction is good), limits corrected for the number
    of slices; without a champion: against all rows together. relative: worsening over the reference's value."""

    column: str
    value: str
    rows: int
    challenger: Interval
    reference: float
    worsening: Interval
    relative: float


class SliceReport(msgspec.Struct, frozen=True, kw_only=True):
    """All slices of one column, the worst first. too_small: values with fewer rows than needed, or that cannot be measured, with their rows."""

    column: str
    slices: tuple[SliceResult, ...]
    too_small: dict[str, int] = {}


def by_slice(
    metric: str,
    sample: Sample,
    *,
    column: str,
    better: Literal["higher", "lower"],
    level: float = 0.95,
    minimum_rows: int = MINIMUM_ROWS,
) -> SliceReport:
    """Measure every value of a column, worst first by the relative worsening of its point value.

    level: of all intervals together (Bonferroni: each of k slices gets 1 - (1-level)/k). Raises NotFound for a column that is not in the sample,
    EmptySample when no slice is large enough.
    """
    if column not in sample.slices:
        raise NotFound.of("slice column", column, sorted(sample.slices))
    values = np.array([str(v) for v in np.asarray(sample.slices[column]).tolist()], dtype=object)
    names, sizes = np.unique(values.astype(str), return_counts=True)
    large = [str(n) for n, size in zip(names, sizes, strict=True) if size >= minimum_rows]
    small = {str(n): int(size) for n, size in zip(names, sizes, strict=True) if size < minimum_rows}
    each = 1 - (1 - level) / max(len(large), 1)
    sign = 1.0 if better == "lower" else -1.0
    overall = measure(metric, sample, level=level).value if sample.champion_p is None else None
    found: list[SliceResult] = []
    for name in large:
        part = sample.only(values == name)
        try:
            found.append(_measure(metric, part, column=column, value=name, level=each, sign=sign, overall=overall))
        except EmptySample:
            small[name] = part.rows
    if not found:
        raise EmptySample(
            f"no slice of {column!r} can be measured",
            cause=f"{len(names)} values, none with {minimum_rows} rows in at least two blocks",
            remedy="take a longer window or a coarser column",
        )
    found.sort(key=lambda s: (-s.relative, s.value))
    return SliceReport(column=column, slices=tuple(found), too_small=small)


def _measure(
    metric: str, part: Sample, *, column: str, value: str, level: float, sign: float, overall: float | None
) -> SliceResult:
    own = measure(metric, part, level=level)
    if overall is None:
        reference = measure(metric, part, level=level, of_champion=True).value
        raw = difference(metric, part, level=level)
    else:
        reference = overall
        raw = Interval(
            value=own.value - overall,
            low=own.low - overall,
            high=own.high - overall,
            n=own.n,
            level=level,
            method=own.method,
        )
    low, high = sorted((sign * raw.low, sign * raw.high))
    worse = Interval(value=sign * raw.value, low=low, high=high, n=raw.n, level=level, method=raw.method)
    relative = worse.value / abs(reference) if reference else worse.value
    return SliceResult(
        column=column,
        value=value,
        rows=part.rows,
        challenger=own,
        reference=reference,
        worsening=worse,
        relative=relative,
    )
