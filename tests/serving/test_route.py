"""Routing: the same key keeps its variant, the split is exact, and nobody loses the challenger when its weight rises."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from noria.domain.deployment import Variant
from noria.domain.ids import Digest
from noria.serving.route import pick, position


def variants(weight):
    return [
        Variant(name=name, model="m", number=n, version="1.0.0", bundle=Digest(""), weight=w)  # type: ignore[arg-type]
        for n, (name, w) in enumerate([("champion", 1 - weight), ("challenger", weight)])
    ]


@given(st.text(), st.text())
def test_a_key_stands_where_it_stands(key, salt):
    place = position(key, salt=salt)

    assert 0.0 <= place < 1.0
    assert place == position(key, salt=salt)


@given(st.integers(0, 1000))
def test_evenly_spread_places_are_split_exactly(per_mille):
    both = variants(per_mille / 1000)

    taken = sum(pick(both, place / 1000) for place in range(1000))

    assert taken == per_mille


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1, exclude_max=True))
def test_a_rising_weight_takes_the_challenger_from_nobody(one, other, place):
    low, high = sorted((one, other))

    assert pick(variants(low), place) <= pick(variants(high), place)


def test_many_keys_come_near_the_weight():
    both = variants(0.2)

    share = sum(pick(both, position(f"user-{i}", salt="r")) for i in range(20_000)) / 20_000

    assert abs(share - 0.2) < 0.01  # 3.5 standard deviations


def test_salts_are_independent():
    first = [position(f"u{i}", salt="a") < 0.5 for i in range(4000)]
    second = [position(f"u{i}", salt="b") < 0.5 for i in range(4000)]

    assert abs(sum(a == b for a, b in zip(first, second, strict=True)) / 4000 - 0.5) < 0.04


def test_one_variant_takes_everything_whatever_its_weight():
    alone = variants(0.0)[:1]

    assert {pick(alone, place / 10) for place in range(10)} == {0}


def test_no_variant_is_an_error():
    with pytest.raises(IndexError):
        pick([], 0.5)
