"""Counting is additive: what two windows hold, one window over both holds."""

from datetime import UTC, datetime

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from noria.monitoring.profile import build_profile, count

NOW = datetime(2026, 1, 1, tzinfo=UTC)
RNG = np.random.default_rng(0)
PROFILE = build_profile(
    {"x": RNG.normal(size=200), "t": np.array(["a", "b", "c", None] * 50, dtype=object)},
    RNG.uniform(size=200),
    labels=RNG.integers(0, 2, 200),
    blocks=np.arange(200) // 20,
    since=NOW,
    until=NOW,
)
numbers = st.one_of(st.floats(-5, 5), st.just(float("nan")), st.just(float("inf")))
rows = st.lists(
    st.tuples(numbers, st.one_of(st.none(), st.sampled_from(["a", "b", "zz"])), st.floats(0, 1)), max_size=20
)


def counted(part: list[tuple[float, str | None, float]]) -> dict[str, tuple[int, ...]]:
    columns = {"x": np.array([r[0] for r in part], dtype=float), "t": np.array([r[1] for r in part], dtype=object)}
    return count(PROFILE, columns, np.array([r[2] for r in part], dtype=float))


@settings(max_examples=60)
@given(rows, rows)
def test_count_of_a_and_b_is_count_of_a_plus_count_of_b(
    a: list[tuple[float, str | None, float]], b: list[tuple[float, str | None, float]]
) -> None:
    first, second, both = counted(a), counted(b), counted(a + b)

    for name in both:
        assert both[name] == tuple(np.add(first[name], second[name]).tolist())
        assert sum(both[name]) == len(a) + len(b)
