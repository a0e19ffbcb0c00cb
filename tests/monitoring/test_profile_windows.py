"""Windows: many at once are the same as one by one, nothing in a table stops the counting, moments add up, and repeated rows are found."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from noria.domain.ids import digest_of
from noria.domain.profile import FeatureBins, ReferenceProfile
from noria.errors import InputInvalid
from noria.monitoring.profile import SCORE, build_profile, merge, window, windows
from noria.monitoring.profile_bins import KNOWN_VALUES
from noria.monitoring.profile_windows import add_moments, moments_of
from noria.wire.nouns import from_json, pack, to_json, unpack

START = datetime(2026, 1, 1, tzinfo=UTC)
MINUTE = 60_000_000
WHO = {"deployment": "d", "number": 1, "profile_digest": digest_of(b"p")}


def a_profile(columns: dict[str, object], *, days: int = 4, **options: object) -> ReferenceProfile:
    n = len(next(iter(columns.values())))  # type: ignore[arg-type]
    return build_profile(
        columns,  # type: ignore[arg-type]
        np.linspace(0.1, 0.9, n),
        labels=np.arange(n) % 2,
        blocks=np.arange(n) * days // n,
        since=START,
        until=START + timedelta(days=days),
        **options,  # type: ignore[arg-type]
    )


def a_table(n: int, seed: int = 0) -> tuple[dict[str, np.ndarray], np.ndarray]:
    rng = np.random.default_rng(seed)
    x = rng.normal(1e9, 3.0, n)
    x[rng.uniform(size=n) < 0.1] = np.nan
    text = np.array(["a", "b", "c", None, "rare"], dtype=object)[rng.integers(0, 5, n)]
    return {"x": x, "t": text}, rng.uniform(size=n)


def feature(profile: ReferenceProfile, name: str) -> FeatureBins:
    return next(f for f in profile.features if f.name == name)


def test_many_windows_in_one_pass_are_what_each_is_alone_and_add_up_to_the_whole() -> None:
    profile = a_profile(a_table(400)[0])
    columns, scores = a_table(300, seed=1)
    at = np.sort(np.random.default_rng(2).integers(0, 20 * MINUTE, 300))

    found = windows(profile, columns, scores, at=at, step=60, until=datetime(1970, 1, 1, 1, tzinfo=UTC), **WHO)

    for each in found:
        inside = (at >= each.since.timestamp() * 1e6) & (at < each.until.timestamp() * 1e6)
        alone = window(
            profile,
            {name: values[inside] for name, values in columns.items()},
            scores[inside],
            since=each.since,
            until=each.until,
            step=60,
            **WHO,
        )
        assert pack(alone) == pack(each)
    whole = merge(found)
    at_once = window(profile, columns, scores, since=whole.since, until=whole.until, **WHO)
    assert (whole.rows, whole.counts) == (300, at_once.counts)
    for name, moments in at_once.moments.items():
        assert whole.moments[name].total == pytest.approx(moments.total, rel=1e-9, abs=1e-9)
        assert whole.moments[name].squares == pytest.approx(moments.squares, rel=1e-9)
        assert (whole.moments[name].n, whole.moments[name].low) == (moments.n, moments.low)


def test_a_window_that_still_fills_ends_where_it_was_counted_up_to() -> None:
    profile = a_profile({"x": np.arange(100.0)})

    (one,) = windows(
        profile,
        {"x": [1.0]},
        [0.5],
        at=[90 * 1_000_000],
        step=60,
        until=datetime(1970, 1, 1, 0, 1, 40, tzinfo=UTC),
        **WHO,
    )

    assert (one.since.second, one.until.second, one.step) == (0, 40, 60)
    with pytest.raises(InputInvalid, match="order"):
        windows(profile, {"x": [1.0, 2.0]}, [0.5, 0.5], at=[5, 4], step=60, until=START, **WHO)


def test_moments_far_from_zero_keep_their_digits() -> None:
    values = 1.7e9 + np.random.default_rng(0).normal(0, 0.5, 2000)
    profile = a_profile({"x": values})
    centre = feature(profile, "x").centre

    half, rest = moments_of(values[:700], centre=centre), moments_of(values[700:], centre=centre)
    both = add_moments(half, rest)

    assert both.mean(centre) == pytest.approx(values.mean(), abs=1e-6)
    assert both.sd() == pytest.approx(values.std(ddof=1), rel=1e-6)
    assert (both.low, both.high) == (values.min(), values.max())
    assert add_moments(moments_of([], centre=centre), half) == half


def test_infinities_and_numbers_too_large_to_square_are_counted_and_can_be_written_down() -> None:
    profile = a_profile({"x": np.array([-1e300, 0.0, 1e300, np.inf] * 10)})

    found = window(profile, {"x": [np.inf, -np.inf, 1e300, np.nan]}, [0.5] * 4, since=START, until=START, **WHO)

    assert found.moments["x"].infinite == 2
    assert feature(profile, "x").moments.infinite == 10  # type: ignore[union-attr]
    assert (found.moments["x"].n, sum(found.counts["x"])) == (1, 4)
    assert from_json(to_json(profile), ReferenceProfile, what="a profile") == profile
    assert unpack(pack(found), type(found), what="a window") == found


def test_columns_that_lack_or_changed_their_type_are_noted_and_the_rest_is_counted() -> None:
    profile = a_profile({"x": np.arange(100.0), "y": np.arange(100.0), "t": np.array(["1", "2"] * 50, dtype=object)})

    found = window(
        profile,
        {"x": np.array(["3.5", "many", None, 4.0], dtype=object), "t": [1, 1, 2, 3], "new": [0, 0, 0, 0]},
        [0.5] * 4,
        since=START,
        until=START,
        **WHO,
    )

    assert found.mistyped == {"x": 2, "t": 4}
    assert (found.absent, found.surplus) == (("y",), ("new",))
    assert (sum(found.counts["x"]), found.counts["x"][-1], sum(found.counts["y"])) == (4, 2, 0)
    assert found.counts["t"] == (2, 1, 0, 1, 0)


def test_a_column_of_ever_new_ids_is_unseen_in_its_reference_as_it_will_be_later() -> None:
    n = KNOWN_VALUES + 4000
    ids = np.array([f"order-{i}" for i in range(n)], dtype=object)
    half = np.array([f"user-{i // 2}" for i in range(n)], dtype=object)  # seen twice, in one window
    stable = np.array([f"shop-{i % 500}" for i in range(n)], dtype=object)
    profile = a_profile({"ids": ids, "half": half, "stable": stable})

    assert [feature(profile, name).counts[-2] for name in ("ids", "half")] == [n, n], (
        "what occurs once or twice has no bin of its own"
    )
    assert feature(profile, "stable").counts[-2] == 0
    assert len(feature(profile, "ids").known) == 4 * KNOWN_VALUES
    later = window(
        profile,
        {"ids": ["order-n"], "half": ["user-1"], "stable": ["shop-499"]},
        [0.5],
        since=START,
        until=START,
        **WHO,
    )
    assert later.counts["ids"][-2] == later.counts["stable"][-3] == 1


def test_repeated_rows_are_found_within_a_window_only() -> None:
    x = np.array([1.0, np.nan, 1.0, np.nan, 1.0, 2.0])
    t = np.array(["a", None, "a", None, "a", "a"], dtype=object)
    profile = a_profile({"x": x, "t": t}, days=2)

    found = windows(
        profile, {"x": x, "t": t}, [0.5] * 6, at=np.array([0, 1, 2, 3, 60, 61]) * 1_000_000, step=60, until=START, **WHO
    )

    assert [each.duplicates for each in found] == [2, 0]
    assert profile.duplicates == pytest.approx(1 / 6)


def test_the_rows_of_each_hour_of_the_week_are_learnt_from_times() -> None:
    hours = np.arange(0, 24 * 21)
    at = np.repeat(START.timestamp() * 1e6 + hours * 3600e6, np.where(hours % 24 == 12, 10, 2)).astype(np.int64)

    profile = a_profile({"x": np.arange(float(at.size))}, at=at)

    assert len(profile.hours) == 168
    assert profile.hours[12::24] == (10.0,) * 7
    assert set(profile.hours[0::24]) == {2.0}
    assert a_profile({"x": np.arange(9.0)}).hours == ()


def test_an_empty_window_has_no_rows_and_all_bins() -> None:
    profile = a_profile({"x": np.arange(100.0)})

    none = window(profile, {"x": []}, [], since=START, until=START, **WHO)

    assert (none.rows, sum(none.counts["x"]), sum(none.counts[SCORE])) == (0, 0, 0)
    assert windows(profile, {"x": []}, [], at=[], step=60, until=START, **WHO) == []
