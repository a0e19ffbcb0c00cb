"""Findings: each fault that is put into a table is found and named, and nothing is found in a table without one."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from noria.domain.finding import Finding
from noria.domain.ids import digest_of
from noria.domain.profile import ReferenceProfile, WindowCounts
from noria.errors import InputInvalid
from noria.monitoring.data_quality import check_window, damaged
from noria.monitoring.data_volume import check_volume
from noria.monitoring.profile import build_profile, window

START = datetime(2026, 1, 5, tzinfo=UTC)
Table = dict[str, np.ndarray]


def a_table(rows: int, seed: int = 0) -> Table:
    rng = np.random.default_rng(seed)
    return {
        "price": rng.gamma(2.0, 30.0, rows),
        "hour": rng.integers(0, 24, rows).astype(float),
        "shop": rng.choice(np.array(["north", "south", "web"], dtype=object), rows),
        "city": np.array([f"city-{int(v)}" for v in rng.zipf(1.5, rows) % 400], dtype=object),
    }


def profile_of(table: Table, days: int = 20) -> ReferenceProfile:
    n = next(iter(table.values())).size
    return build_profile(
        table,
        np.random.default_rng(9).uniform(size=n),
        labels=np.arange(n) % 2,
        blocks=np.arange(n) * days // n,
        since=START,
        until=START + timedelta(days=days),
    )


PROFILE = profile_of(a_table(8000))


def counted(table: Table, *, profile: ReferenceProfile = PROFILE, day: int = 30, step: int = 86400) -> WindowCounts:
    n = len(next(iter(table.values())))
    since = START + timedelta(days=day)
    return window(
        profile,
        table,
        np.random.default_rng(day).uniform(size=n),
        deployment="d",
        number=3,
        profile_digest=digest_of(b"p"),
        since=since,
        until=since + timedelta(seconds=step),
        step=step,
    )


def kinds(found: tuple[Finding, ...]) -> list[tuple[str, str]]:
    return [(each.kind, each.about) for each in found]


def test_nothing_is_found_in_two_hundred_windows_like_the_reference() -> None:
    found = [kinds(check_window(PROFILE, counted(a_table(400, seed=seed)))) for seed in range(1, 201)]

    assert [each for each in found if each] == []


def test_small_references_and_small_windows_are_no_reason_for_findings() -> None:
    small = profile_of(a_table(50), days=2)

    found = [
        each
        for seed in range(1, 101)
        for each in check_window(small, counted(a_table(30, seed=seed), profile=small))
        if each.about != "city"  # 50 rows cannot tell which of 400 cities there are
    ]

    assert found == []


def with_fault(table: Table, name: str, share: float, value: object) -> Table:
    hit = np.random.default_rng(5).uniform(size=table[name].size) < share
    column = table[name].copy()
    column[hit] = value
    return {**table, name: column}


@pytest.mark.parametrize(
    ("name", "share", "value", "kind"),
    [
        ("price", 0.2, np.nan, "missing"),
        ("shop", 0.2, None, "missing"),
        ("price", 0.05, 1e7, "range"),
        ("price", 0.05, -1.0, "range"),
        ("price", 0.01, np.inf, "infinite"),
        ("shop", 0.1, "moon", "unseen"),
    ],
)
def test_a_fault_is_found_and_named(name: str, share: float, value: object, kind: str) -> None:
    found = check_window(PROFILE, counted(with_fault(a_table(1000, seed=4), name, share, value)))

    assert (kind, name) in kinds(found)
    one = next(each for each in found if each.kind == kind)
    assert 0.5 * share < one.value < 1.5 * share
    assert (one.deployment, one.number, one.since) == ("d", 3, START + timedelta(days=30))
    assert one.summary and one.remedy


def test_scores_beyond_those_of_the_hold_out_are_no_broken_input() -> None:
    table = a_table(2000, 7)
    found = window(
        PROFILE,
        table,
        np.full(2000, 1.0 - 1e-9),
        deployment="shop",
        number=1,
        profile_digest=digest_of(b"profile"),
        since=START + timedelta(days=30),
        until=START + timedelta(days=31),
    )

    assert ("range", "prediction") not in kinds(check_window(PROFILE, found))


def test_a_column_that_is_all_missing_or_all_infinite_is_found_in_thirty_rows() -> None:
    table = a_table(30, seed=2)

    found = kinds(check_window(PROFILE, counted({**table, "price": np.full(30, np.nan), "hour": np.full(30, np.inf)})))

    assert ("missing", "price") in found
    assert ("infinite", "hour") in found


def test_columns_that_vanish_appear_or_change_their_type_are_found_in_one_row() -> None:
    found = check_window(
        PROFILE,
        counted(
            {
                "price": np.array(["12"], dtype=object),
                "hour": np.array([3.0]),
                "shop": np.array([1]),
                "extra": np.array([1]),
                "key": np.array([7]),
            }
        ),
        expected=("key",),
    )

    assert kinds(found) == [("schema", "city"), ("type", "price"), ("type", "shop"), ("schema", "extra")]
    assert [each.severity for each in found] == ["page", "warn", "warn", "info"]


def test_a_default_instead_of_the_value_is_constant_unless_the_window_is_short() -> None:
    table = a_table(200, seed=3) | {"hour": np.full(200, 12.0), "shop": np.full(200, "web", dtype=object)}

    assert kinds(check_window(PROFILE, counted(table))) == [("constant", "hour"), ("constant", "shop")]
    assert kinds(check_window(PROFILE, counted(table, step=3600))) == []


def test_what_is_the_same_all_day_in_the_reference_is_not_constant() -> None:
    month = np.repeat(np.arange(20.0), 100)
    profile = profile_of({"month": month, "x": np.random.default_rng(0).normal(size=2000)})

    found = check_window(
        profile, counted({"month": np.full(100, 3.0), "x": np.random.default_rng(1).normal(size=100)}, profile=profile)
    )

    assert found == ()


def test_values_that_are_not_filled_anew_are_stale() -> None:
    first, second = a_table(300, seed=6), a_table(300, seed=7)
    frozen = {**second, "price": np.random.default_rng(0).permutation(first["price"])}

    found = check_window(PROFILE, counted(frozen), before=counted(first, day=29))

    assert kinds(found) == [("stale", "price")]
    assert check_window(PROFILE, counted(second), before=counted(first, day=29)) == ()


def test_rows_that_come_twice_are_found() -> None:
    table = a_table(500, seed=8)
    twice = {name: np.concatenate([values, values[:100]]) for name, values in table.items()}

    found = check_window(PROFILE, counted(twice))

    assert kinds(found) == [("duplicate", "")]
    assert found[0].value == pytest.approx(100 / 600)


def hours(values: list[int]) -> list[tuple[datetime, int]]:
    return [(START + timedelta(hours=i), rows) for i, rows in enumerate(values)]


def weekly(weeks: int, seed: int = 0) -> list[int]:
    rng = np.random.default_rng(seed)
    level = (
        200
        * (1.2 + np.sin(np.arange(weeks * 168) * 2 * np.pi / 24))
        * np.where(np.arange(weeks * 168) % 168 < 120, 1, 0.4)
    )
    return rng.poisson(level).tolist()


def test_a_quiet_night_is_no_silence_and_a_silent_noon_is() -> None:
    rows = weekly(6)

    assert [check_volume(hours(rows[:end]), step_s=3600) for end in range(5 * 168, 6 * 168)] == [None] * 168
    assert check_volume(hours([*rows[: 5 * 168 + 12], 0]), step_s=3600).kind == "silence"  # type: ignore[union-attr]
    flood = check_volume(hours([*rows[: 5 * 168 + 12], 9 * rows[12]]), step_s=3600)
    assert flood is not None and flood.kind == "volume" and flood.value > flood.allowed > flood.usual


def test_before_there_is_history_the_shape_of_the_reference_serves() -> None:
    shape = np.array(weekly(8)).reshape(8, 168).mean(axis=0)
    rows = [v // 10 + 25 for v in weekly(1, seed=3)]

    assert check_volume(hours(rows[:30]), step_s=3600) is None
    found = check_volume(hours([*rows[:30], 0]), step_s=3600, hours=shape.tolist())
    assert found is not None and found.kind == "silence"
    assert check_volume(hours(rows[:3]), step_s=3600, hours=shape.tolist()) is None


def test_windows_out_of_order_are_refused_and_none_say_nothing() -> None:
    assert check_volume([], step_s=3600) is None
    with pytest.raises(InputInvalid, match="order"):
        check_volume([(START, 1), (START, 2)], step_s=3600)


def test_a_part_of_the_log_that_was_set_aside_is_said_by_name() -> None:
    said = damaged("a.parquet", "its bytes differ", deployment="d", at=START)

    assert (said.kind, said.about) == ("damaged", "a.parquet")
    assert "a.parquet" in said.summary
