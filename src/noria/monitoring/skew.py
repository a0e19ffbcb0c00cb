"""Skew between training and serving: the same rows as they were logged and as they are computed now, or the first window beside the reference.

What changes in the world later is drift.py. Called by app/inputs and loop/stages/watch_findings.
"""

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from math import log, log10

import msgspec
import numpy as np
from numpy.typing import ArrayLike, NDArray

from noria.domain.finding import Finding
from noria.domain.profile import FeatureBins, ReferenceProfile, WindowCounts
from noria.errors import EmptySample, InputInvalid
from noria.monitoring.data_quality import EVIDENCE
from noria.monitoring.profile_bins import as_numbers, as_texts, is_text
from noria.monitoring.profile_windows import SCORE
from noria.stats.checks import Floats, Ints
from noria.stats.sequential import excess_share_log_e, margin_of

FEWEST_FIRST = 200
"""Rows of a first window below which it is not compared with the reference."""


class ColumnSkew(msgspec.Struct, frozen=True, kw_only=True):
    """How one column differs between two computations of the same rows.

    rows: compared; differing: of them. lost: missing where it was logged and there now; gained: the other way round. typical: the most frequent
    change of a text, or of a number the median difference (now minus logged) and a factor that all share. examples: places of differing rows.
    """

    feature: str
    rows: int
    differing: int
    lost: int
    gained: int
    typical: str
    examples: tuple[int, ...] = ()


def match_rows(first: Sequence[Hashable], second: Sequence[Hashable]) -> tuple[Ints, Ints]:
    """Places in both of the rows with the same key, in the order of `first`.

    A key is whatever identifies a row: an id, or an entity and a time as a tuple. Raises InputInvalid when `second` has a key twice.

    >>> [places.tolist() for places in match_rows(["a", "b", "c"], ["c", "a"])]
    [[0, 2], [1, 0]]
    """
    place = {key: i for i, key in enumerate(second)}
    if len(place) != len(second):
        twice = next(key for key, n in Counter(second).items() if n > 1)
        raise InputInvalid(
            f"the key {twice!r} stands twice among the recomputed rows",
            remedy="recompute each row once, as of its own time",
        )
    left = [i for i, key in enumerate(first) if key in place]
    return np.array(left, dtype=np.int64), np.array([place[first[i]] for i in left], dtype=np.int64)


def compare_rows(
    logged: Mapping[str, ArrayLike],
    recomputed: Mapping[str, ArrayLike],
    *,
    tolerance: float = 1e-6,
    examples: int = 5,
) -> tuple[ColumnSkew, ...]:
    """Compare two computations of the same rows, column by column, those that differ most first.

    logged, recomputed: name -> values of shape (n,), row i of both is the same row; columns of one side only are left out. tolerance: numbers are
    equal within this share of the larger (float32 keeps seven digits). Missing on both sides is equal. Raises EmptySample, InputInvalid.
    """
    names = [name for name in logged if name in recomputed]
    if not names or any(len(np.asarray(logged[name])) == 0 for name in names):
        raise EmptySample(
            "there are no rows and columns to compare", remedy="look at the names of the columns, and at the keys"
        )
    found = []
    for name in names:
        a, b = np.asarray(logged[name]), np.asarray(recomputed[name])
        if a.shape != b.shape:
            raise InputInvalid(f"{name!r} has {a.size} rows on one side and {b.size} on the other")
        compare = _texts if is_text(a) or is_text(b) else _numbers
        found.append(compare(name, a, b, tolerance, examples))
    return tuple(sorted(found, key=lambda skew: (-skew.differing / skew.rows, skew.feature)))


def _numbers(name: str, a: NDArray[np.generic], b: NDArray[np.generic], tolerance: float, examples: int) -> ColumnSkew:
    first, second = as_numbers(a)[0], as_numbers(b)[0]
    gone, here = np.isnan(first), np.isnan(second)
    with np.errstate(invalid="ignore", over="ignore"):
        apart = np.abs(first - second) > tolerance * np.maximum(np.abs(first), np.abs(second))
    differs = np.where(gone | here, gone != here, (first != second) & (apart | np.isinf(first) | np.isinf(second)))
    both = differs & ~gone & ~here
    with np.errstate(invalid="ignore", over="ignore"):
        by = second[both] - first[both]
    by = by[np.isfinite(by)]
    typical = f"differs by {np.median(by):+.4g}" if by.size else ""
    if by.size and _ratio(first, second, differs) is not None:
        typical += f", a factor of {_ratio(first, second, differs):.6g}"
    return _skew(name, differs, lost=gone & ~here, gained=here & ~gone, typical=typical, examples=examples)


def _ratio(first: Floats, second: Floats, differs: NDArray[np.bool_]) -> float | None:
    """The factor between two computations, if nine in ten of the differing rows share it: a unit that was changed."""
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        ratios = (second / first)[differs]
    ratios = ratios[np.isfinite(ratios) & (ratios != 0)]
    if ratios.size < 10:
        return None
    middle = float(np.median(ratios))
    return middle if float((np.abs(ratios / middle - 1) < 1e-4).mean()) > 0.9 else None


def _texts(name: str, a: NDArray[np.generic], b: NDArray[np.generic], tolerance: float, examples: int) -> ColumnSkew:
    first, second = as_texts(a)[0].written(), as_texts(b)[0].written()
    differs = np.asarray(first != second, dtype=bool)
    gone, here = np.array([x is None for x in first]), np.array([y is None for y in second])
    changes = Counter((first[i], second[i]) for i in np.flatnonzero(differs).tolist())
    typical = ""
    if changes:
        (was, now), times = changes.most_common(1)[0]
        typical = f"{was!r} was logged where it is {now!r} now, {times} times"
    return _skew(name, differs, lost=gone & ~here, gained=here & ~gone, typical=typical, examples=examples)


def _skew(
    name: str,
    differs: NDArray[np.bool_],
    *,
    lost: NDArray[np.bool_],
    gained: NDArray[np.bool_],
    typical: str,
    examples: int,
) -> ColumnSkew:
    return ColumnSkew(
        feature=name,
        rows=int(differs.size),
        differing=int(differs.sum()),
        lost=int(lost.sum()),
        gained=int(gained.sum()),
        typical=typical,
        examples=tuple(np.flatnonzero(differs)[:examples].tolist()),
    )


def skew_findings(skews: Sequence[ColumnSkew], *, allowed: float = 0.001) -> tuple[Finding, ...]:
    """A finding for each column in which surely more than the allowed share of rows differs (0: any row that differs), worst first."""
    found = []
    for skew in skews:
        share = skew.differing / skew.rows
        if skew.differing == 0 or share <= allowed:
            continue
        evidence = excess_share_log_e(skew.differing, skew.rows, allowed) / log(10) if 0 < allowed < 1 else None
        if evidence is not None and evidence < 2.0:
            continue
        gaps = f"; {skew.lost} were logged as missing" if skew.lost else ""
        found.append(
            Finding(
                kind="skew",
                about=skew.feature,
                value=share,
                allowed=allowed,
                rows=skew.rows,
                evidence=evidence,
                summary=f"{skew.feature!r} was served otherwise than it is computed now in {share:.1%} of {skew.rows} rows"
                + (f": {skew.typical}" if skew.typical else "")
                + gaps,
                remedy="compare the code that fills the column at serving time with the code that makes the training table",
            )
        )
    return tuple(found)


def first_window_findings(profile: ReferenceProfile, window: WindowCounts) -> tuple[Finding, ...]:
    """Inputs whose first window lies surely outside the reference's margins: the pipeline differs, or the model learnt of another time.

    One look, all cuts together: by Chernoff's bound a feature within its margin is named less than once in a million windows. 'info' by design: a
    reference of a whole year is wider than any of its days, and one of a winter is no summer. What lasts becomes drift.
    Source: Hoeffding 1963 (the bound with the Kullback-Leibler divergence).
    """
    found = []
    for feature in profile.features:
        counts = np.array(window.counts.get(feature.name, ()), dtype=np.float64)
        if feature.name == SCORE or counts.size != len(feature.counts) or counts.sum() < FEWEST_FIRST:
            continue
        shift, allowed, evidence = _farthest(profile, feature, counts)
        if evidence - log10(2 * counts.size * len(profile.features)) < EVIDENCE:
            continue
        found.append(
            Finding(
                kind="skew",
                about=feature.name,
                severity="info",
                value=shift,
                allowed=allowed,
                rows=int(counts.sum()),
                evidence=evidence,
                summary=f"{feature.name!r} is served otherwise than it was learnt from the first window on:"
                f" {shift:.1%} of the rows lie elsewhere ({allowed:.1%} are allowed)",
                remedy="compute some of the served rows as in training and compare: noria inputs DEPLOYMENT --against TABLE",
                deployment=window.deployment,
                number=window.number,
                since=window.since,
                until=window.until,
            )
        )
    return tuple(sorted(found, key=lambda each: -(each.evidence or 0.0)))


def _farthest(profile: ReferenceProfile, feature: FeatureBins, counts: Floats) -> tuple[float, float, float]:
    """Shift, margin and log10 evidence at the cut that speaks most against 'within the margin'."""
    reference = np.array(feature.counts, dtype=np.float64)
    n, known = counts.sum(), reference.sum()
    share, now = np.cumsum(reference)[:-1] / known, np.cumsum(counts)[:-1] / n
    wobble = np.array(feature.wobble[:-1]) if len(feature.wobble) == counts.size else np.zeros(share.size)
    margin = margin_of(share, known, wobble, windows=profile.windows)
    limit = np.clip(np.where(now > share, share + margin, share - margin), 1e-12, 1 - 1e-12)
    outside = np.abs(now - share) > margin
    p = np.clip(now, 1e-12, 1 - 1e-12)
    gain = np.where(outside, n * (p * np.log(p / limit) + (1 - p) * np.log((1 - p) / (1 - limit))), 0.0)
    worst = int(np.argmax(gain)) if gain.size else 0
    if not gain.size:
        return 0.0, 0.0, 0.0
    return float(abs(now - share)[worst]), float(margin[worst]), float(gain[worst] / log(10))
