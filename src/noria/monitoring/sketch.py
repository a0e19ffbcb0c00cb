"""Quantile sketches of what windows held: made from rows, merged, and read as quantiles or as counts in another reference's bins. For exploring only.

What is in a sketch is stats/kll; what decides are the exact counts of profile_windows.py. Called by loop/stages and by app/inputs.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import ArrayLike

from noria.domain.profile import ReferenceProfile, WindowCounts
from noria.domain.sketch import WindowSketches
from noria.errors import BinMismatch, EmptySample
from noria.monitoring.profile_bins import as_numbers
from noria.monitoring.profile_windows import SCORE
from noria.stats.kll import EMPTY, Sketch, unpack_sketch


def sketch_window(
    profile: ReferenceProfile, columns: Mapping[str, ArrayLike], scores: ArrayLike | None, *, window: WindowCounts
) -> WindowSketches:
    """Sketch the numbers among a window's rows; columns and scores are those that were counted."""
    sketches = {}
    for feature in profile.features:
        values = scores if feature.name == SCORE else columns.get(feature.name)
        if feature.kind == "number" and values is not None:
            sketches[feature.name] = EMPTY.add(as_numbers(values)[0]).pack()
    return _of(window, sketches)


def merge_sketches(parts: Sequence[WindowSketches], *, window: WindowCounts) -> WindowSketches:
    """The sketches of a window out of those of its parts. Raises EmptySample for none, BinMismatch for those of another version."""
    if not parts:
        raise EmptySample("no sketches to merge")
    if any((p.deployment, p.number) != (window.deployment, window.number) for p in parts):
        raise BinMismatch("sketches of different versions cannot be merged", remedy="group them by version first")
    merged: dict[str, Sketch] = {}
    for part in sorted(parts, key=lambda p: p.since):
        for name, data in part.sketches.items():
            merged[name] = merged.get(name, EMPTY).merge(unpack_sketch(data))
    return _of(window, {name: sketch.pack() for name, sketch in merged.items()})


def _of(window: WindowCounts, sketches: dict[str, bytes]) -> WindowSketches:
    return WindowSketches(
        deployment=window.deployment,
        number=window.number,
        since=window.since,
        until=window.since + timedelta(seconds=window.step) if window.step else window.until,
        step=window.step,
        rows=window.rows,
        sketches=sketches,
    )


def quantiles(sketches: WindowSketches, name: str, shares: Sequence[float]) -> tuple[float, ...] | None:
    """Quantiles of one number in one window; None where it held no finite value."""
    data = sketches.sketches.get(name)
    sketch = unpack_sketch(data) if data is not None else EMPTY
    return tuple(sketch.quantile(np.asarray(shares)).tolist()) if sketch.n else None


def is_due(window: WindowCounts, sketched: WindowSketches | None, *, now: datetime) -> bool:
    """Whether a window is over and its sketches lack, or are those of fewer rows."""
    over = window.since + timedelta(seconds=window.step) <= now
    return over and window.rows > 0 and (sketched is None or sketched.rows != window.rows)
