"""Count later rows in a profile's bins, one window or many at once, and add windows up. Raw rows are not needed again.

Nothing that a table holds stops the counting: columns that lack, or are of another type, are noted for monitoring/data_quality.
Making a profile is profile.py. Called by loop/stages and by noria.monitor.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta

import msgspec
import numpy as np
from numpy.typing import ArrayLike

from noria.domain.ids import Digest
from noria.domain.profile import FeatureBins, Moments, ReferenceProfile, WindowCounts
from noria.errors import BinMismatch, EmptySample, InputInvalid, SchemaMismatch
from noria.monitoring.profile_bins import Coded, Values, as_numbers, as_texts, number_bins, text_bins
from noria.monitoring.repeats import repeated_rows
from noria.stats.checks import Floats, Ints

SCORE = "prediction"
"""The name under which a profile keeps the model's own score, beside the inputs."""

TOGETHER = 1 << 17
"""So many numbers of several columns are looked at in one call."""

LARGEST = float(np.finfo(np.float64).max)


def count(
    profile: ReferenceProfile, columns: Mapping[str, ArrayLike], scores: ArrayLike, *, unseen: Collection[str] = ()
) -> dict[str, tuple[int, ...]]:
    """Count rows in a profile's bins. columns must hold every input of the profile (more are ignored); scores: shape (n,), NaN is missing.

    unseen: inputs that are not to be counted: their bins stay empty.

    count(a) + count(b) equals count(a and b together), bin by bin. Raises SchemaMismatch when an input is absent or a number came as text.
    """
    found: dict[str, tuple[int, ...]] = {}
    for feature in profile.features:
        if feature.name in unseen:
            found[feature.name] = (0,) * len(feature.counts)
            continue
        if feature.name != SCORE and feature.name not in columns:
            raise SchemaMismatch(
                f"the input {feature.name!r} is not among the logged columns",
                cause="the profile belongs to another signature than the log",
                remedy="noria models show, and compare the signature with the requests",
            )
        values = np.asarray(scores if feature.name == SCORE else columns[feature.name])
        where, mistyped, _ = _placed(feature, values)
        if mistyped and feature.kind == "number":
            raise SchemaMismatch(
                f"the input {feature.name!r} was a number in training and is not one now",
                cause=f"{mistyped} of {where.size} values are of another type",
                remedy="noria models show",
            )
        found[feature.name] = tuple(np.bincount(where, minlength=len(feature.counts)).tolist())
    return found


def _placed(feature: FeatureBins, values: Values) -> tuple[Ints, int, Floats | Coded]:
    """The bin of each row, how many values are of another type, and the values as they were read."""
    if feature.kind == "number":
        numbers, mistyped = as_numbers(_written_out(values))
        return number_bins(numbers, feature.cuts), mistyped, numbers
    texts, mistyped = as_texts(values)
    return text_bins(feature, texts), mistyped, texts


def window(
    profile: ReferenceProfile,
    columns: Mapping[str, Values],
    scores: ArrayLike | None,
    *,
    deployment: str,
    number: int,
    profile_digest: Digest,
    since: datetime,
    until: datetime,
    unseen: Collection[str] = (),
    step: int = 0,
) -> WindowCounts:
    """The counts of one window of one version, ready for the counts port. Rows with since <= time < until are the caller's choice.

    scores: None for tables without answers. unseen: inputs that the log does not hold as they were (it was told to redact them): no row of them
    is counted, so nothing is said of them. Raises InputInvalid for columns of different lengths.
    """
    rows = _rows(columns, scores)
    empty = WindowCounts(
        deployment=deployment,
        number=number,
        profile=profile_digest,
        since=since,
        until=until,
        rows=0,
        counts={feature.name: (0,) * len(feature.counts) for feature in profile.features},
        step=step,
    )
    if rows == 0:
        return empty
    return _counted(
        profile,
        columns,
        scores,
        slots=np.zeros(rows, dtype=np.int64),
        empty=lambda _: empty,
        unseen=unseen,
    )[0]


def windows(
    profile: ReferenceProfile,
    columns: Mapping[str, Values],
    scores: ArrayLike | None,
    *,
    at: ArrayLike,
    step: int,
    until: datetime,
    deployment: str,
    number: int,
    profile_digest: Digest,
    unseen: Collection[str] = (),
    repeats: bool = True,
) -> list[WindowCounts]:
    """The counts of all windows of `step` seconds that hold a row, in time order, in one pass over the columns.

    at: shape (n,), microseconds since 1970, not decreasing. until: what has been counted up to; a window that reaches beyond it is still filling.
    repeats: whether rows that repeat another are looked for. Otherwise as `window`. Raises InputInvalid for times out of order and columns of
    different lengths.
    """
    moments = np.asarray(at, dtype=np.int64)
    if moments.size != _rows(columns, scores) or (np.diff(moments) < 0).any():
        raise InputInvalid("each row needs a time, and the rows must stand in its order", remedy="sort the rows first")
    if moments.size == 0:
        return []
    slots = moments // (step * 1_000_000)

    def empty(slot: int) -> WindowCounts:
        begins = datetime.fromtimestamp(slot * step, UTC)
        ends = begins + timedelta(seconds=step)
        return WindowCounts(
            deployment=deployment,
            number=number,
            profile=profile_digest,
            since=begins,
            until=min(ends, until) if until > begins else ends,
            rows=0,
            counts={},
            step=step,
        )

    return _counted(profile, columns, scores, slots=slots, empty=empty, unseen=unseen, repeats=repeats)


def length_of(values: Values) -> int:
    """Rows of a column."""
    return len(values) if isinstance(values, Coded) else len(np.asarray(values))


def _written_out(values: Values) -> ArrayLike:
    """A column as an array, row by row: texts that were read before are not numbers."""
    return values.written() if isinstance(values, Coded) else values


def _rows(columns: Mapping[str, Values], scores: ArrayLike | None) -> int:
    sizes = {name: length_of(values) for name, values in columns.items()}
    if scores is not None:
        sizes[SCORE] = len(np.asarray(scores))
    if len(set(sizes.values())) > 1:
        raise InputInvalid(f"columns have different lengths: {sizes}")
    return next(iter(sizes.values()), 0)


def _counted(
    profile: ReferenceProfile,
    columns: Mapping[str, Values],
    scores: ArrayLike | None,
    *,
    slots: Ints,
    empty: Callable[[int], WindowCounts],
    unseen: Collection[str],
    repeats: bool = True,
) -> list[WindowCounts]:
    """One window for each run of equal slots. empty: slot -> a window that says who and when."""
    starts = np.flatnonzero(np.concatenate([[True], slots[1:] != slots[:-1]]))
    place = np.repeat(np.arange(starts.size), np.diff(np.append(starts, slots.size)))
    names = {feature.name for feature in profile.features}
    counts: dict[str, list[tuple[int, ...]]] = {}
    numbers: dict[str, tuple[Floats, float]] = {}
    mistyped: dict[str, Ints] = {}
    absent: list[str] = []
    compared = {n: v for n, v in columns.items() if n in names and n not in unseen}
    for feature in profile.features:
        values: Values | None = scores if feature.name == SCORE else columns.get(feature.name)
        width = len(feature.counts)
        if values is None or feature.name in unseen:
            counts[feature.name] = [(0,) * width] * starts.size
            if feature.name not in unseen:
                absent.append(feature.name)
            continue
        where, wrong, held = _placed(feature, values)
        table = np.bincount(place * width + where, minlength=starts.size * width).reshape(starts.size, width)
        counts[feature.name] = [tuple(row) for row in table.tolist()]
        if isinstance(held, Coded):
            if not wrong and feature.name in compared:
                compared[feature.name] = held  # read once for both
        else:
            numbers[feature.name] = (held, feature.centre)
        if wrong:
            mistyped[feature.name] = _wrong_by_slot(feature, values, place, groups=starts.size)
    moments = _moments_of_all(numbers, starts)
    repeated = repeated_rows(compared, place) if repeats else None
    duplicates = np.bincount(place, repeated, minlength=starts.size) if repeated is not None else None
    rows = np.diff(np.append(starts, slots.size))
    surplus = tuple(sorted(columns.keys() - names))
    return [
        msgspec.structs.replace(
            empty(int(slots[start])),
            rows=int(rows[i]),
            counts={name: found[i] for name, found in counts.items()},
            moments={name: found[i] for name, found in moments.items()},
            duplicates=None if duplicates is None else int(duplicates[i]),
            mistyped={name: int(found[i]) for name, found in mistyped.items() if found[i]},
            absent=tuple(absent),
            surplus=surplus,
        )
        for i, start in enumerate(starts)
    ]


def _moments_of_all(numbers: Mapping[str, tuple[Floats, float]], starts: Ints) -> dict[str, list[Moments]]:
    """Moments of columns, each about its own centre, in each window; short columns together, for then most of the time goes into calls."""
    found: dict[str, list[Moments]] = {}
    names = list(numbers)
    rows = numbers[names[0]][0].size if names else 0
    together = max(1, TOGETHER // max(rows, 1))
    for first in range(0, len(names), together):
        some = names[first : first + together]
        table = np.stack([numbers[name][0] for name in some])
        centres = np.array([numbers[name][1] for name in some])
        found |= dict(zip(some, _moments(table, starts, centres=centres), strict=True))
    return found


def _wrong_by_slot(feature: FeatureBins, values: Values, place: Ints, *, groups: int) -> Ints:
    """Values of another type in each window; looked at again, because it is rare."""
    array = np.asarray(_written_out(values))
    parts = [array[place == group] for group in range(groups)]
    wrong = [as_numbers(part)[1] if feature.kind == "number" else as_texts(part)[1] for part in parts]
    return np.array(wrong, dtype=np.int64)


def _moments(numbers: Floats, starts: Ints, *, centres: Floats) -> list[list[Moments]]:
    """numbers: shape (columns, rows). Moments of each column in each window."""
    finite = np.isfinite(numbers)
    whole = bool(finite.all())
    with np.errstate(over="ignore", invalid="ignore"):
        away = numbers - centres[:, None]
        if not whole:
            away = np.where(finite, away, 0.0)
        totals = np.nan_to_num(np.add.reduceat(away, starts, axis=1))
        squares = np.nan_to_num(np.add.reduceat(away * away, starts, axis=1))
    n = np.add.reduceat(finite.astype(np.int64), starts, axis=1)
    low = np.minimum.reduceat(numbers if whole else np.where(finite, numbers, np.inf), starts, axis=1)
    high = np.maximum.reduceat(numbers if whole else np.where(finite, numbers, -np.inf), starts, axis=1)
    infinite = np.zeros_like(n) if whole else np.add.reduceat(np.isinf(numbers).astype(np.int64), starts, axis=1)
    low, high = np.where(n == 0, 0.0, low), np.where(n == 0, 0.0, high)
    parts = (each.tolist() for each in (n, totals, squares, low, high, infinite))
    return [[Moments(*row) for row in zip(*column, strict=True)] for column in zip(*parts, strict=True)]


def moments_of(values: ArrayLike, *, centre: float) -> Moments:
    """The moments of one column of numbers about a centre.

    >>> moments_of([1.0, 3.0, float("nan")], centre=2.0)
    Moments(n=2, total=0.0, squares=2.0, low=1.0, high=3.0, infinite=0)
    """
    numbers = np.asarray(values, dtype=np.float64)
    if numbers.size == 0:
        return Moments(0, 0.0, 0.0, 0.0, 0.0)
    return _moments(numbers[None], np.zeros(1, dtype=np.int64), centres=np.array([centre]))[0][0]


def add_moments(first: Moments, second: Moments) -> Moments:
    """The moments of both windows together."""
    if first.n == 0 or second.n == 0:
        some, none = (second, first) if first.n == 0 else (first, second)
        return Moments(some.n, some.total, some.squares, some.low, some.high, some.infinite + none.infinite)
    return Moments(
        first.n + second.n,
        max(-LARGEST, min(LARGEST, first.total + second.total)),
        min(LARGEST, first.squares + second.squares),
        min(first.low, second.low),
        max(first.high, second.high),
        first.infinite + second.infinite,
    )


def merge(windows: Sequence[WindowCounts], *, step: int = 0) -> WindowCounts:
    """One window out of several of the same version and profile. Raises EmptySample for none, BinMismatch for strangers.

    step: tier that the sum is to stand in. Rows that repeat one of another window are not found any more: `duplicates` adds what was found.
    """
    if not windows:
        raise EmptySample("no window to merge")
    first = windows[0]
    if len(windows) == 1:
        return first if first.step == step else msgspec.structs.replace(first, step=step)
    for each in windows:
        if (each.deployment, each.number, each.profile) != (
            first.deployment,
            first.number,
            first.profile,
        ) or each.counts.keys() != first.counts.keys():
            raise BinMismatch(
                "windows of different versions or profiles cannot be added", remedy="group them by version first"
            )
    moments: dict[str, Moments] = {}
    mistyped: dict[str, int] = {}
    for each in windows:
        for name, found in each.moments.items():
            moments[name] = add_moments(moments[name], found) if name in moments else found
        for name, rows in each.mistyped.items():
            mistyped[name] = mistyped.get(name, 0) + rows
    looked = [w.duplicates for w in windows if w.duplicates is not None]
    return WindowCounts(
        deployment=first.deployment,
        number=first.number,
        profile=first.profile,
        since=min(w.since for w in windows),
        until=max(w.until for w in windows),
        rows=sum(w.rows for w in windows),
        counts={name: _added(name, [w.counts[name] for w in windows]) for name in first.counts},
        step=step,
        moments=moments,
        duplicates=sum(looked) if looked else None,
        mistyped=mistyped,
        absent=tuple(sorted(set().union(*(w.absent for w in windows)))),
        surplus=tuple(sorted(set().union(*(w.surplus for w in windows)))),
    )


def _added(name: str, counts: Sequence[tuple[int, ...]]) -> tuple[int, ...]:
    if len({len(c) for c in counts}) > 1:
        raise BinMismatch(f"windows have different bins for {name!r}")
    return tuple(map(sum, zip(*counts, strict=True)))
