"""Make a reference profile when a model is trained, and count later windows in its bins. Counts add up; raw rows are not needed again.

Judging the counts is monitoring/drift. Called by loop/stages and by the pipeline's evaluate step.
"""

import math
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from noria.domain.ids import Digest
from noria.domain.profile import FeatureBins, ReferenceProfile, WindowCounts
from noria.errors import BinMismatch, EmptySample, InputInvalid, SchemaMismatch
from noria.stats.checks import Floats, Ints, block_codes, scored
from noria.stats.metrics import entropy, row_log_loss
from noria.stats.quantiles import chi_square_quantile
from noria.stats.sequential import wobble_of

SCORE = "prediction"
"""The name under which a profile keeps the model's own score, beside the inputs."""


def build_profile(
    columns: Mapping[str, ArrayLike],
    scores: ArrayLike,
    *,
    labels: ArrayLike,
    blocks: ArrayLike,
    since: datetime,
    until: datetime,
    score_blocks: ArrayLike | None = None,
    cuts: int = 16,
    top: int = 8,
    importance: Mapping[str, float] | None = None,
    window_seconds: float = 86400.0,
) -> ReferenceProfile:
    """Describe what a model saw: inputs, its scores, and how both wobble from one window to the next.

    columns: name -> values of shape (n,), numbers or text, NaN and None are missing. blocks: shape (n,), the window (day) of each row.
    scores, labels: shape (m,), probabilities and 0/1 labels of rows that the model did NOT learn from; score_blocks: their days (default `blocks`,
    then m = n). cuts: quantile bins of a number. top: most frequent values of a text that get a bin of their own. importance: name -> any
    non-negative measure. window_seconds: length of one block. Raises EmptySample, InputInvalid.
    """
    y, p = scored(labels, scores)
    days = blocks if score_blocks is None else score_blocks
    score_codes, score_groups = block_codes(days, p.size)
    sizes = {name: len(np.asarray(values)) for name, values in columns.items()}
    if not sizes or 0 in sizes.values():
        raise EmptySample("a profile needs at least one column with rows")
    if len(set(sizes.values())) > 1:
        raise InputInvalid(f"columns have different lengths: {sizes}")
    if SCORE in columns:
        raise InputInvalid(
            f"no input may be called {SCORE!r}", remedy="rename the column: the name is kept for the model's score"
        )
    rows = next(iter(sizes.values()))
    codes, groups = block_codes(blocks, rows)
    weights = importance or {}
    total = sum(weights.values()) or 1.0
    features = [
        _describe(
            name, values, codes=codes, groups=groups, cuts=cuts, top=top, importance=weights.get(name, 0.0) / total
        )
        for name, values in columns.items()
    ]
    features.append(_describe(SCORE, p, codes=score_codes, groups=score_groups, cuts=cuts, top=top, importance=0.0))
    loss, own = row_log_loss(y, p), entropy(p)
    return ReferenceProfile(
        features=tuple(features),
        rows=rows,
        since=since,
        until=until,
        expected_loss=float(loss.mean()),
        expected_loss_sd=_sd_between(loss, score_codes, score_groups)[0],
        expected_excess=float((loss - own).mean()),
        expected_excess_sd=_sd_between(loss - own, score_codes, score_groups)[1],
        expected_bias=float((y - p).mean()),
        expected_bias_sd=_sd_between(y - p, score_codes, score_groups)[1],
        windows=groups,
        window_seconds=window_seconds,
    )


def describe(
    columns: Mapping[str, ArrayLike],
    *,
    blocks: ArrayLike,
    cuts: int = 16,
    top: int = 8,
    importance: Mapping[str, float] | None = None,
) -> tuple[FeatureBins, ...]:
    """The bins of columns that need not belong to a model: what `build_profile` makes of inputs, without scores and labels.

    Arguments as there; the importances are divided by their sum. Raises InputInvalid when `blocks` has another length than a column.
    """
    weights = importance or {}
    total = sum(weights.values()) or 1.0
    described = []
    for name, values in columns.items():
        codes, groups = block_codes(blocks, len(np.asarray(values)))
        share = weights.get(name, 0.0) / total
        described.append(_describe(name, values, codes=codes, groups=groups, cuts=cuts, top=top, importance=share))
    return tuple(described)


def _sd_between(values: Floats, codes: Ints, groups: int) -> tuple[float, float]:
    """Standard deviation of the daily means, and its upper 80 % bound. One day only: the error of its mean, for want of better."""
    if groups < 2:
        error = float(values.std() / np.sqrt(values.size))
        return error, error
    means = np.bincount(codes, values, minlength=groups) / np.bincount(codes, minlength=groups)
    spread = float(means.std(ddof=1))
    degrees = groups - 1
    return spread, spread * (degrees / (chi_square_quantile(0.2, degrees) if degrees >= 3 else degrees * 0.1)) ** 0.5


def _describe(
    name: str, values: ArrayLike, *, codes: Ints, groups: int, cuts: int, top: int, importance: float
) -> FeatureBins:
    """Choose the bins of one feature and count the reference in them, window by window."""
    array = np.asarray(values)
    if is_text(array):
        known = Counter(v for v in array.tolist() if not is_missing(v))
        categories = tuple(v for v, _ in sorted(known.items(), key=lambda item: (-item[1], str(item[0])))[:top])
        bins = FeatureBins(
            name=name, kind="text", categories=tuple(str(v) for v in categories), counts=(), importance=importance
        )
        place = {v: i for i, v in enumerate(bins.categories)}
        other, missing = len(bins.categories), len(bins.categories) + 1
        where = np.array(
            [missing if is_missing(v) else place.get(str(v), other) for v in array.tolist()], dtype=np.int64
        )
        width = missing + 1
    else:
        numbers = array.astype(np.float64)
        bins = FeatureBins(name=name, kind="number", cuts=_cut_points(numbers, cuts), counts=(), importance=importance)
        where, width = _number_bins(numbers, bins.cuts), len(bins.cuts) + 2
    table = np.bincount(codes * width + where, minlength=groups * width).reshape(groups, width)
    return FeatureBins(
        name=name,
        kind=bins.kind,
        cuts=bins.cuts,
        categories=bins.categories,
        counts=tuple(int(c) for c in table.sum(axis=0)),
        wobble=tuple(float(w) for w in wobble_of(table)),
        importance=importance,
    )


def _cut_points(numbers: Floats, cuts: int) -> tuple[float, ...]:
    """Cuts between values, never on one (a value that went through float32 stays in its bin), with one just outside either end of the range."""
    distinct, counts = np.unique(numbers[np.isfinite(numbers)], return_counts=True)
    if distinct.size == 0:
        return ()
    low = np.nextafter(np.float32(distinct[0]), np.float32(-np.inf))
    high = np.nextafter(np.float32(distinct[-1]), np.float32(np.inf))
    share = np.cumsum(counts) / counts.sum()
    at = np.searchsorted(share, np.linspace(0, 1, cuts + 1)[1:-1] - 1e-12)
    at = np.unique(at[at < distinct.size - 1])
    inner = (distinct[at] + distinct[at + 1]) / 2
    points = np.unique(np.concatenate([[float(low)], inner, [float(high)]]))
    return tuple(float(c) for c in points[np.isfinite(points)])


def _number_bins(numbers: Floats, cuts: Sequence[float]) -> Ints:
    """The bin of each value: how many cuts lie below it; missing values get the last bin."""
    where = np.searchsorted(np.asarray(cuts, dtype=np.float64), numbers, side="left")
    where[np.isnan(numbers)] = len(cuts) + 1
    return where.astype(np.int64)


def is_text(array: NDArray[Any]) -> bool:
    """Whether a column is counted by value. Numbers, booleans and object columns that hold nothing but them are not."""
    if array.dtype.kind in "biuf":
        return False
    if array.dtype.kind == "O":
        return any(isinstance(v, str) for v in array.tolist())
    return True


def is_missing(value: object) -> bool:
    """None and NaN. An empty text is a value."""
    return value is None or (isinstance(value, float) and math.isnan(value))


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
        found[feature.name] = _count_one(
            feature, np.asarray(scores if feature.name == SCORE else columns[feature.name])
        )
    return found


def _count_one(feature: FeatureBins, array: NDArray[Any]) -> tuple[int, ...]:
    width = len(feature.counts)
    if feature.kind == "number":
        try:
            numbers = array.astype(np.float64)
        except (TypeError, ValueError) as exc:
            raise SchemaMismatch(
                f"the input {feature.name!r} was a number in training and is not one now",
                cause=str(exc),
                remedy="noria models show",
            ) from exc
        return tuple(int(c) for c in np.bincount(_number_bins(numbers, feature.cuts), minlength=width))
    table = [0] * width
    place = {v: i for i, v in enumerate(feature.categories)}
    for value, rows in Counter(array.tolist()).items():
        table[width - 1 if is_missing(value) else place.get(str(value), width - 2)] += rows
    return tuple(table)


def window(
    profile: ReferenceProfile,
    columns: Mapping[str, ArrayLike],
    scores: ArrayLike,
    *,
    deployment: str,
    number: int,
    profile_digest: Digest,
    since: datetime,
    until: datetime,
    unseen: Collection[str] = (),
) -> WindowCounts:
    """The counts of one window of one version, ready for the counts port. Rows with since <= time < until are the caller's choice.

    unseen: inputs that the log does not hold as they were (it was told to redact them): no row of them is counted, so nothing is said of them.
    """
    return WindowCounts(
        deployment=deployment,
        number=number,
        profile=profile_digest,
        since=since,
        until=until,
        rows=int(np.asarray(scores).size),
        counts=count(profile, columns, scores, unseen=unseen),
    )


def merge(windows: Sequence[WindowCounts]) -> WindowCounts:
    """One window out of several of the same version and profile. Raises EmptySample for none, BinMismatch for strangers."""
    if not windows:
        raise EmptySample("no window to merge")
    first = windows[0]
    total: dict[str, list[int]] = {name: [0] * len(counts) for name, counts in first.counts.items()}
    for each in windows:
        if (each.deployment, each.number, each.profile) != (
            first.deployment,
            first.number,
            first.profile,
        ) or each.counts.keys() != total.keys():
            raise BinMismatch(
                "windows of different versions or profiles cannot be added", remedy="group them by version first"
            )
        for name, counts in each.counts.items():
            kept = total[name]
            if len(kept) != len(counts):
                raise BinMismatch(f"windows have different bins for {name!r}")
            for i, value in enumerate(counts):
                kept[i] += value
    return WindowCounts(
        deployment=first.deployment,
        number=first.number,
        profile=first.profile,
        since=min(w.since for w in windows),
        until=max(w.until for w in windows),
        rows=sum(w.rows for w in windows),
        counts={name: tuple(counts) for name, counts in total.items()},
    )
