"""Counting what was served: every row once, in its own minute, however late, however often and beside whatever it arrives."""

from datetime import datetime, timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace

from noria.errors import NotFound
from noria.monitoring.profile import merge
from tests.loop.counted import MONDAY, NAME, Asked

MINUTE, HOUR, DAY = 60, 3600, 86400


@pytest.fixture
def asked(tmp_path: Path) -> Asked:
    return Asked(tmp_path)


def after(**spans: float) -> datetime:
    return MONDAY + timedelta(**spans)


def test_minutes_hours_and_the_day_hold_the_same_rows(asked: Asked) -> None:
    asked.write(asked.records([5, 5.5, 6, 70], rows=50))

    judged = asked.look(after(minutes=80))

    assert asked.held(MINUTE) == {after(minutes=5): 100, after(minutes=6): 50, after(minutes=70): 50}
    assert asked.held(HOUR) == {MONDAY: 150, after(hours=1): 50}
    assert asked.held(DAY) == {MONDAY: 200}
    assert [(w.since, w.until, w.rows) for w in judged] == [(MONDAY, after(minutes=80), 200)]
    minutes = asked.context.counts.windows(NAME, 1, step=MINUTE)
    day = asked.context.counts.windows(NAME, 1, step=DAY)[0]
    assert merge(minutes).counts == day.counts
    assert {name: m.n for name, m in day.moments.items()} == {"price": 200, "prediction": 200}


def test_a_look_without_news_changes_nothing_and_a_restart_counts_nothing_twice(asked: Asked) -> None:
    asked.write(asked.records([1, 2, 3], rows=40))
    asked.look(after(minutes=4))
    before = asked.context.counts.windows(NAME, 1)

    assert asked.look(after(minutes=5)) == []
    asked.context.counts.mark_counted(NAME, parts={}, gone=list(asked.context.counts.counted(NAME)))
    asked.look(after(minutes=6))

    assert asked.context.counts.windows(NAME, 1) == before


def test_a_minute_that_fills_is_counted_anew_from_an_open_journal(asked: Asked) -> None:
    writer = asked.log.writer(NAME, name="w")
    writer.write(asked.records([0.1], rows=40))
    asked.look(after(minutes=0.2))
    writer.write(asked.records([0.4, 1.2], rows=40))

    asked.look(after(minutes=1.5))

    assert asked.held(MINUTE) == {MONDAY: 80, after(minutes=1): 40}
    assert asked.held(DAY) == {MONDAY: 120}
    writer.close()


def test_what_comes_a_week_late_is_counted_into_its_minute_once(asked: Asked) -> None:
    asked.write(asked.records([5, 6], rows=60))
    asked.look(after(minutes=10))
    late = asked.records([5.5, 600], rows=60)
    asked.write(asked.records([7 * 1440.0], rows=60), name="v")
    asked.look(after(days=7, minutes=1))

    asked.write(late, name="away")
    changed = asked.look(after(days=7, minutes=2))
    asked.write(late, name="again")  # the same requests once more, from another worker
    asked.look(after(days=7, minutes=3))

    assert asked.held(MINUTE)[after(minutes=5)] == 120
    assert asked.held(MINUTE)[after(hours=10)] == 60
    assert asked.held(DAY) == {MONDAY: 240, after(days=7): 60}
    assert [w.since for w in changed] == [MONDAY]


def test_late_rows_find_their_hour_and_day_when_the_minutes_are_forgotten(asked: Asked) -> None:
    asked.write(asked.records([5, 6], rows=60))
    asked.look(after(minutes=10))
    asked.write(asked.records([80 * 1440.0], rows=60), name="later")
    asked.look(after(days=80, minutes=1))
    assert list(asked.held(MINUTE)) == [after(days=80)]
    assert list(asked.held(HOUR)) == [after(days=80)]

    asked.write(asked.records([5.2, 90], rows=60), name="away")
    asked.look(after(days=80, minutes=2))

    assert asked.held(DAY) == {MONDAY: 240, after(days=80): 60}
    assert list(asked.held(HOUR)) == [after(days=80)]


def test_few_rows_make_days_and_no_minutes_until_there_are_more(asked: Asked) -> None:
    asked.write(asked.records(list(range(0, 300, 30))))
    asked.look(after(hours=5))
    assert (asked.held(MINUTE), asked.held(HOUR), asked.held(DAY)) == ({}, {}, {MONDAY: 10})

    asked.write(asked.records([301, 302], rows=400), name="more")
    asked.look(after(hours=6))

    assert asked.held(DAY) == {MONDAY: 810}
    assert sum(asked.held(HOUR).values()) == 810
    assert asked.held(MINUTE) == {after(minutes=301): 400, after(minutes=302): 400}


def test_versions_are_counted_apart_and_one_that_was_deleted_is_left_out(tmp_path: Path) -> None:
    asked = Asked(tmp_path, versions=(1, 2))
    asked.write([*asked.records([1], rows=50), *asked.records([1.5], rows=70, number=2), *asked.records([2], number=9)])

    asked.look(after(minutes=3))

    assert asked.held(DAY) == {MONDAY: 50}
    assert asked.held(DAY, number=2) == {MONDAY: 70}
    assert asked.held(DAY, number=9) == {}
    with pytest.raises(NotFound):
        asked.context.models.get("m", 9)


def test_a_clock_that_is_ahead_is_counted_when_its_time_has_come(asked: Asked) -> None:
    asked.write(asked.records([1, 90], rows=50))

    asked.look(after(minutes=3))
    first = asked.held(MINUTE)
    asked.look(after(minutes=100))

    assert first == {after(minutes=1): 50}
    assert asked.held(MINUTE) == {after(minutes=1): 50, after(minutes=90): 50}


def test_a_damaged_segment_is_left_out_and_the_rest_is_counted_until_it_is_put_back(asked: Asked) -> None:
    asked.write(asked.records([1], rows=300), name="a")
    asked.log.compact(NAME)
    (broken,) = (asked.home / NAME / "segments").iterdir()
    whole = broken.read_bytes()
    broken.write_bytes(whole[:100] + b"?" + whole[101:])
    fresh = Asked(asked.home)
    fresh.write(asked.records([2], rows=50), name="b")

    fresh.look(after(minutes=3))
    assert fresh.held(MINUTE) == {after(minutes=2): 50}
    assert [part.name for part in fresh.log.parts(NAME) if part.damaged] == [broken.name]

    broken.write_bytes(whole)
    fresh.look(after(minutes=4))
    assert fresh.held(MINUTE) == {after(minutes=1): 300, after(minutes=2): 50}


def test_a_part_of_a_segment_that_was_put_back_beside_the_whole_counts_once(asked: Asked) -> None:
    for n in range(8):
        asked.write(asked.records([n + 0.5], rows=40), name=f"w{n}")
        asked.log.compact(NAME)
        if n == 0:
            (first,) = (asked.home / NAME / "segments").iterdir()
            kept = first.read_bytes()
    assert not first.exists()  # eight small segments became one
    first.write_bytes(kept)

    asked.look(after(minutes=9))

    assert set(asked.held(MINUTE).values()) == {40}
    assert asked.held(DAY) == {MONDAY: 320}


def test_windows_of_a_noria_before_tiers_are_not_counted_again(asked: Asked) -> None:
    asked.write(asked.records([1, 30], rows=50))
    asked.look(after(minutes=10))
    (day,) = asked.context.counts.windows(NAME, 1, step=DAY)
    old = replace(day, step=0, until=after(minutes=10))
    upgraded = Asked(asked.home)
    upgraded.context.counts.put([old])

    upgraded.look(after(minutes=40))
    upgraded.look(after(minutes=50))

    assert upgraded.held(DAY) == {MONDAY: 50}
    assert upgraded.held(0) == {MONDAY: 50}


def test_a_redacted_input_is_not_counted_and_the_rest_is(asked: Asked) -> None:
    records = asked.records([1], rows=50)
    asked.write([replace(r, redacted=("price",), inputs={"shop": r.inputs["shop"]}) for r in records])

    asked.look(after(minutes=2))

    (day,) = asked.context.counts.windows(NAME, 1, step=DAY)
    assert sum(day.counts["price"]) == 0
    assert sum(day.counts["shop"]) == 50
