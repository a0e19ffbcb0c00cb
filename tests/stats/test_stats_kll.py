"""Sketches: the error in rank is within what is promised, merging is as good as one pass, and bytes come back."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from noria.errors import InputInvalid, StoreCorrupt
from noria.stats.kll import EMPTY, Sketch, unpack_sketch

SHARES = np.linspace(0.02, 0.98, 49)


def error(sketch: Sketch, values: np.ndarray) -> float:
    """Largest distance between the shares asked for and where the answers really lie."""
    ordered = np.sort(values)
    got = sketch.quantile(SHARES)
    low, high = (
        np.searchsorted(ordered, got, "left") / ordered.size,
        np.searchsorted(ordered, got, "right") / ordered.size,
    )
    return float(np.maximum(np.maximum(low - SHARES, SHARES - high), 0).max())


@pytest.mark.parametrize("draw", ["normal", "lognormal", "few values", "sorted"])
@pytest.mark.parametrize("batch", [1, 17, 1000])
def test_the_error_in_rank_stays_within_the_promise(draw: str, batch: int) -> None:
    rng = np.random.default_rng(3)
    n = 3000 if batch == 1 else 20_000
    values = {
        "normal": rng.normal(size=n),
        "lognormal": rng.lognormal(0, 3, n),
        "few values": rng.integers(0, 5, n).astype(float),
        "sorted": np.sort(rng.uniform(size=n)),
    }[draw]

    sketch = EMPTY
    for i in range(0, n, batch):
        sketch = sketch.add(values[i : i + batch])

    assert sketch.n == n
    assert error(sketch, values) < 0.013
    assert sum(level.size for level in sketch.levels) < 700


def test_merging_a_day_of_minutes_is_as_good_as_one_pass() -> None:
    rng = np.random.default_rng(4)
    parts = [rng.gamma(2.0, 30.0 + i / 100, 60) for i in range(1440)]

    merged = EMPTY
    for part in parts:
        merged = merged.merge(EMPTY.add(part))

    whole = np.concatenate(parts)
    assert (merged.n, merged.low, merged.high) == (whole.size, whole.min(), whole.max())
    assert error(merged, whole) < 0.013
    assert len(merged.pack()) < 2400


def test_few_values_are_kept_as_they_are() -> None:
    sketch = EMPTY.add([5.0, np.nan, 1.0, np.inf, 3.0])

    assert sketch.n == 3
    assert sketch.quantile([0.0, 0.5, 1.0]).tolist() == [1.0, 3.0, 5.0]
    assert sketch.rank([0.0, 1.0, 4.0, 5.0]).tolist() == [0.0, 1 / 3, 2 / 3, 1.0]
    assert sketch.counts((1.0, 4.0)).tolist() == [1, 1, 1]


def test_an_empty_sketch_knows_nothing() -> None:
    assert np.isnan(EMPTY.quantile([0.5])).all()
    assert np.isnan(EMPTY.rank([0.5])).all()
    assert EMPTY.counts((1.0,)).tolist() == [0, 0]
    assert unpack_sketch(EMPTY.pack()).n == 0
    assert EMPTY.merge(EMPTY.add([1.0])).n == EMPTY.add([1.0]).merge(EMPTY).n == 1
    with pytest.raises(InputInvalid):
        EMPTY.quantile([1.5])


@settings(max_examples=40)
@given(st.lists(st.lists(st.floats(-1e6, 1e6, width=32), max_size=300), max_size=6))
def test_whatever_is_added_n_and_extremes_are_exact_and_bytes_come_back(parts: list[list[float]]) -> None:
    sketch = EMPTY
    for part in parts:
        sketch = sketch.add(part).merge(EMPTY.add(part))

    flat = [value for part in parts for value in part]
    assert sketch.n == 2 * len(flat)
    if flat:
        assert (sketch.low, sketch.high) == (min(flat), max(flat))
        assert sum(level.size << h for h, level in enumerate(sketch.levels)) == sketch.n
    assert unpack_sketch(sketch.pack()).pack() == sketch.pack()


@pytest.mark.parametrize("damage", ["head", "cut", "count"])
def test_bytes_that_are_no_sketch_are_refused(damage: str) -> None:
    data = EMPTY.add(np.arange(1000.0)).pack()
    broken = {"head": b"X" + data[1:], "cut": data[:-3], "count": data[:4] + b"\xff" + data[5:]}[damage]

    with pytest.raises(StoreCorrupt, match="sketch"):
        unpack_sketch(broken)
