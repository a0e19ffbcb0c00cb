"""Profiles: bins, missing values, values outside the range, text, and how labels enter."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from noria.domain.ids import digest_of
from noria.errors import EmptySample, InputInvalid, SchemaMismatch
from noria.monitoring.profile import SCORE, build_profile, count, merge, window

START = datetime(2026, 1, 1, tzinfo=UTC)


def a_profile(columns: dict[str, object], *, days: int = 4, **options: object):
    n = len(next(iter(columns.values())))  # type: ignore[arg-type]
    scores = np.linspace(0.1, 0.9, n)
    labels = (np.arange(n) % 2).astype(float)
    return build_profile(
        columns,  # type: ignore[arg-type]
        scores,
        labels=labels,
        blocks=np.arange(n) * days // n,
        since=START,
        until=START + timedelta(days=days),
        **options,  # type: ignore[arg-type]
    )


def counts_of(profile, name: str) -> tuple[int, ...]:
    return next(f.counts for f in profile.features if f.name == name)


def test_a_number_outside_the_reference_and_a_missing_one_have_bins_of_their_own() -> None:
    profile = a_profile({"x": np.arange(1000.0)})

    found = count(profile, {"x": [-1.0, 1000.0, float("nan"), 0.0, 999.0]}, [0.5] * 5)["x"]

    assert counts_of(profile, "x")[0] == counts_of(profile, "x")[-2] == counts_of(profile, "x")[-1] == 0
    assert (found[0], found[-2], found[-1]) == (1, 1, 1)
    assert sum(found) == 5


def test_a_value_that_went_through_float32_stays_in_its_bin() -> None:
    values = np.repeat([0.1, 0.2, 0.3, 59.37, 1e6 + 0.3], 50)
    profile = a_profile({"x": values})

    found = count(profile, {"x": values.astype(np.float32)}, np.linspace(0.1, 0.9, 250))["x"]

    assert found == counts_of(profile, "x")


def test_text_keeps_the_most_frequent_values_and_pools_the_rest() -> None:
    values = np.array(["a"] * 50 + ["b"] * 30 + ["c"] * 15 + [None] * 5, dtype=object)
    profile = a_profile({"t": values}, top=2)

    assert counts_of(profile, "t") == (50, 30, 0, 15, 5)
    assert count(profile, {"t": np.array(["a", "c", "new", None], dtype=object)}, [0.5] * 4)["t"] == (1, 0, 1, 1, 1)


def test_counting_the_reference_again_gives_the_reference() -> None:
    rng = np.random.default_rng(1)
    columns = {
        "x": rng.normal(size=400),
        "k": rng.integers(0, 5, 400),
        "none": np.full(400, np.nan),
        "one": np.ones(400),
    }
    profile = a_profile(columns)

    found = count(profile, columns, np.linspace(0.1, 0.9, 400))

    assert found == {f.name: f.counts for f in profile.features}


def test_the_hold_out_gives_expected_loss_excess_and_bias() -> None:
    rng = np.random.default_rng(2)
    scores = rng.uniform(0.05, 0.95, 6000)
    labels = (rng.uniform(size=6000) < scores).astype(float)

    profile = build_profile(
        {"x": rng.normal(size=100)},
        scores,
        labels=labels,
        blocks=np.arange(100) // 10,
        score_blocks=np.arange(6000) // 300,
        since=START,
        until=START,
    )

    assert abs(profile.expected_excess) < 0.02
    assert abs(profile.expected_bias) < 0.02
    assert 0.005 < profile.expected_excess_sd < 0.06
    assert profile.windows == 10


def test_importance_is_normalised_and_inputs_that_cannot_be_described_are_named() -> None:
    profile = a_profile({"x": np.arange(10.0), "z": np.arange(10.0)}, importance={"x": 3.0, "z": 1.0})
    assert [f.importance for f in profile.features if f.name != SCORE] == [0.75, 0.25]

    with pytest.raises(InputInvalid, match="prediction"):
        a_profile({SCORE: np.arange(10.0)})
    with pytest.raises(EmptySample):
        build_profile({}, [0.5, 0.4], labels=[0, 1], blocks=[0, 1], since=START, until=START)
    with pytest.raises(SchemaMismatch, match="'z'"):
        count(profile, {"x": [1.0]}, [0.5])
    with pytest.raises(SchemaMismatch, match="was a number"):
        count(profile, {"x": np.array(["a"], dtype=object), "z": [1.0]}, [0.5])


def test_windows_add_up() -> None:
    rng = np.random.default_rng(3)
    profile = a_profile({"x": rng.normal(size=100), "t": np.array(["a", "b"] * 50, dtype=object)})
    parts = [
        window(
            profile,
            {"x": rng.normal(size=7), "t": np.array(["a"] * 6 + ["z"], dtype=object)},
            rng.uniform(size=7),
            deployment="d",
            number=1,
            profile_digest=digest_of(b"p"),
            since=START + timedelta(hours=i),
            until=START + timedelta(hours=i + 1),
        )
        for i in range(3)
    ]

    total = merge(parts)

    assert total.rows == 21
    assert total.until - total.since == timedelta(hours=3)
    assert total.counts["x"] == tuple(sum(c) for c in zip(*(p.counts["x"] for p in parts), strict=True))
