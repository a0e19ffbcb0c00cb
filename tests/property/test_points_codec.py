"""What wire/points writes is read back exactly, whatever the points; and bytes that were damaged are never taken for points."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from noria.errors import StoreCorrupt
from noria.wire.points import bits, extremes, floats, joined, pack_points, stretches, unpack_blocks, unpack_points

int64 = st.integers(-(2**63), 2**63 - 1)
times = st.one_of(st.integers(0, 100), st.integers(1_700_000_000_000_000, 1_700_000_100_000_000), int64)
values = st.one_of(st.floats(), st.sampled_from([0.0, -0.0, math.nan, math.inf, -math.inf, 1.0])).map(
    lambda value: bits([value])[0]
)
points = st.lists(
    st.tuples(st.one_of(st.integers(-3, 300), int64), times, st.one_of(values, int64)),
    min_size=1,
    max_size=300,
    unique=True,
).map(sorted)
rounded = st.builds(
    lambda places, digits: [(n, 10 * n, bits([digit / 10**places])[0]) for n, digit in enumerate(digits)],
    st.integers(0, 9),
    st.lists(st.one_of(st.integers(-20000, 20000), st.integers(-(2**60), 2**60)), min_size=1, max_size=200),
)
lines = st.builds(
    lambda first, step, count: [(first + n * step, n * 1000, n % 5) for n in range(count)],
    st.integers(-1000, 1000),
    st.integers(1, 2**50),
    st.integers(1, 2000),
)


@given(st.one_of(points, lines, rounded))
def test_points_come_back_as_they_were(some):
    assert unpack_points(pack_points(some).body, what="a chunk") == some


@given(st.one_of(points, lines, rounded))
def test_blocks_are_those_of_the_points_and_make_the_whole(some):
    whole, blocks, _ = pack_points(some)

    found = unpack_blocks(blocks, what="a chunk")

    assert found == stretches(some)
    assert joined(found, [0, len(found)]) == [whole]
    assert sum(block.size for block in found) == whole.size == len(some)
    assert (whole.first, whole.last) == (some[0], some[-1])


@given(points)
def test_the_extremes_of_a_chunk_are_those_of_its_numbers(some):
    whole = pack_points(some).whole

    numbers = [value for value in floats([point[2] for point in some]) if not math.isnan(value)]
    assert whole.nans == len(some) - len(numbers)
    assert (whole.low is None, whole.high is None) == (not numbers, not numbers)
    if whole.low and whole.high:
        assert {whole.low, whole.high} <= set(some)
        assert list(floats([whole.low[2], whole.high[2]])) == [min(numbers), max(numbers)]


@given(st.lists(st.floats(), max_size=50))
def test_extremes_are_the_first_of_equals(some):
    low, high, nans = extremes(some)

    numbers = [value for value in some if not math.isnan(value)]
    assert nans == len(some) - len(numbers)
    assert low == (some.index(min(numbers)) if numbers else None)
    assert high == (some.index(max(numbers)) if numbers else None)


@given(points, st.data())
def test_damaged_bytes_are_refused_and_the_reader_is_told_whose(some, data):
    chunk = pack_points(some)
    for whole, unpack in ((chunk.body, unpack_points), (chunk.blocks, unpack_blocks)):
        place, bit = data.draw(st.integers(0, len(whole) - 1)), data.draw(st.integers(0, 7))
        changed = bytes((*whole[:place], whole[place] ^ 1 << bit, *whole[place + 1 :]))

        for wrong in (changed, whole[:place], whole + b"\0"):
            with pytest.raises(StoreCorrupt, match="a chunk cannot be read"):
                unpack(wrong, what="a chunk")


def test_rounded_values_take_little_and_their_zeros_keep_their_signs():
    rounded = [round(2 + math.sin(step / 50), 4) for step in range(1023)]
    curve = [(step, 1000 * step, bits([value])[0]) for step, value in enumerate([*rounded, 0.0])]

    short, odd = pack_points(curve), pack_points([*curve[:-1], (1023, 1023000, bits([-0.0])[0])])

    assert len(short.body) / 1024 < 2
    assert unpack_points(short.body, what="")[-1][2] == 0
    assert math.copysign(1.0, floats([unpack_points(odd.body, what="")[-1][2]])[0]) == -1.0


def test_a_training_curve_takes_less_than_nine_bytes_a_point():
    curve = [
        (step, 1_700_000_000_000_000 + 110_000 * step, bits([math.exp(-step / 500) + step % 7 / 700])[0])
        for step in range(1024)
    ]

    chunk = pack_points(curve)

    assert (len(chunk.body) + len(chunk.blocks)) / 1024 < 9
