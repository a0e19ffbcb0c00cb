"""Skew: rows computed twice, matched by key; and a first window that lies outside what was learnt."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from noria.domain.ids import digest_of
from noria.errors import EmptySample, InputInvalid
from noria.monitoring.profile import build_profile, window
from noria.monitoring.skew import compare_rows, first_window_findings, match_rows, skew_findings

START = datetime(2026, 1, 5, tzinfo=UTC)


def test_the_same_rows_computed_alike_have_no_skew_though_float32_rounded_them() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(1e6, 1e3, 500)
    x[::7] = np.nan
    t = np.array(["a", None] * 250, dtype=object)

    skews = compare_rows({"x": x.astype(np.float32), "t": t, "only here": t}, {"t": t, "x": x})

    assert [(s.feature, s.differing) for s in skews] == [("t", 0), ("x", 0)]
    assert skew_findings(skews) == ()


def test_a_changed_unit_is_named_by_its_factor() -> None:
    miles = np.random.default_rng(1).gamma(2.0, 300.0, 400)

    (found,) = skew_findings(compare_rows({"distance": miles}, {"distance": miles * 1.609344}))

    assert found.value == 1.0
    assert "a factor of 1.60934" in found.summary


def test_values_lost_at_serving_and_changed_words_are_told_apart() -> None:
    shop = np.array(["north", "south"] * 200, dtype=object)
    served = shop.copy()
    served[:40] = None
    served[40:60] = "North"

    (skew,) = compare_rows({"shop": served}, {"shop": shop})
    (found,) = skew_findings([skew])

    assert (skew.differing, skew.lost, skew.gained) == (60, 40, 0)
    assert "40 were logged as missing" in found.summary
    assert len(skew.examples) == 5


def test_a_few_differing_rows_are_allowed_unless_none_are() -> None:
    a = np.arange(10_000.0)
    b = a.copy()
    b[3] += 1

    skews = compare_rows({"x": a}, {"x": b})

    assert skew_findings(skews) == ()
    assert len(skew_findings(skews, allowed=0.0)) == 1


def test_infinities_and_other_types_are_compared_too() -> None:
    (x, t) = sorted(
        compare_rows(
            {"x": [np.inf, 1.0, np.nan], "t": np.array(["1", "2", "x"], dtype=object)},
            {"x": [np.inf, -np.inf, np.inf], "t": [1, 2, 3]},
        ),
        key=lambda s: s.feature != "x",
    )

    assert (x.differing, x.lost) == (2, 1)
    assert t.differing == 1


def test_rows_are_matched_by_whatever_identifies_them() -> None:
    left, right = match_rows([("a", 1), ("a", 2), ("b", 1)], [("b", 1), ("a", 2), ("z", 9)])

    assert (left.tolist(), right.tolist()) == ([1, 2], [1, 0])
    with pytest.raises(InputInvalid, match="twice"):
        match_rows(["a"], ["a", "a"])
    with pytest.raises(EmptySample):
        compare_rows({"x": []}, {"x": []})
    with pytest.raises(EmptySample):
        compare_rows({"x": [1.0]}, {"y": [1.0]})
    with pytest.raises(InputInvalid, match="rows on one side"):
        compare_rows({"x": [1.0]}, {"x": [1.0, 2.0]})


def first(columns: dict[str, np.ndarray], profile):
    n = next(iter(columns.values())).size
    made = window(
        profile,
        columns,
        np.full(n, 0.5),
        deployment="d",
        number=1,
        profile_digest=digest_of(b"p"),
        since=START,
        until=START + timedelta(days=1),
    )
    return first_window_findings(profile, made)


def test_a_first_window_outside_the_margins_is_named_and_one_inside_is_not() -> None:
    rng = np.random.default_rng(2)
    table = {"x": rng.normal(size=6000), "t": rng.choice(np.array(["a", "b"], dtype=object), 6000)}
    profile = build_profile(
        table,
        rng.uniform(size=6000),
        labels=rng.integers(0, 2, 6000),
        blocks=np.arange(6000) // 200,
        since=START,
        until=START,
    )

    assert all(
        first({"x": rng.normal(size=500), "t": rng.choice(np.array(["a", "b"], dtype=object), 500)}, profile) == ()
        for _ in range(50)
    )
    (found,) = first(
        {"x": rng.normal(1.5, 1.0, 500), "t": rng.choice(np.array(["a", "b"], dtype=object), 500)}, profile
    )
    assert (found.kind, found.about, found.severity) == ("skew", "x", "info")
    assert found.value > found.allowed
    assert first({"x": rng.normal(3.0, 1.0, 50), "t": np.array(["a"] * 50, dtype=object)}, profile) == ()
