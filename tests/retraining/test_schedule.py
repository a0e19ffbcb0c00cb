"""Schedules: held to a walk over every minute, through every jump of daylight saving; and what is owed after a silence or a clock that jumped."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from noria.errors import SettingInvalid
from noria.retraining.schedule import LATE, MOST_OWED, Schedule, last_due, next_due, owed, parse

MINUTE = timedelta(minutes=1)
# Around jumps: Berlin, New York, half an hour (Lord Howe), at midnight (Cairo, Beirut), a whole day that never was (Apia), none at all.
JUMPS = [
    ("Europe/Berlin", datetime(2026, 3, 29, 1)),
    ("Europe/Berlin", datetime(2026, 10, 25, 1)),
    ("America/New_York", datetime(2026, 3, 8, 7)),
    ("America/New_York", datetime(2026, 11, 1, 6)),
    ("Australia/Lord_Howe", datetime(2026, 4, 4, 15)),
    ("Australia/Lord_Howe", datetime(2026, 10, 3, 15, 30)),
    ("Africa/Cairo", datetime(2024, 4, 25, 22)),
    ("Africa/Cairo", datetime(2024, 10, 31, 21)),
    ("Pacific/Apia", datetime(2011, 12, 30, 10)),
    ("Asia/Kathmandu", datetime(2026, 5, 1)),
    ("UTC", datetime(2024, 2, 29)),
]


def is_meant(schedule: Schedule, wall: datetime) -> bool:
    return wall.minute in schedule.minutes and wall.hour in schedule.hours and schedule.means(wall.date())


def by_walking(schedule: Schedule, begin: datetime, end: datetime) -> list[datetime]:
    """Every due minute in (begin, end]: each minute of UTC is asked what the wall shows, and what it showed the minute before."""
    found = []
    at = begin + MINUTE
    while at <= end:
        now = at.astimezone(schedule.zone)
        wall = now.replace(tzinfo=None, fold=0)
        skipped = (at - MINUTE).astimezone(schedule.zone).replace(tzinfo=None, fold=0) + MINUTE
        due = now.fold == 0 and is_meant(schedule, wall)
        while skipped < wall and not due:
            due = is_meant(schedule, skipped)
            skipped += MINUTE
        if due:
            found.append(at)
        at += MINUTE
    return found


def number(low: int, high: int) -> st.SearchStrategy[str]:
    span = st.tuples(st.integers(low, high), st.integers(low, high)).map(sorted)
    part = st.one_of(
        st.integers(low, high).map(str),
        span.map(lambda s: f"{s[0]}-{s[1]}"),
        st.tuples(span, st.integers(1, 9)).map(lambda s: f"{s[0][0]}-{s[0][1]}/{s[1]}"),
        st.integers(1, high).map(lambda n: f"*/{n}"),
    )
    return st.one_of(st.just("*"), st.lists(part, min_size=1, max_size=2).map(",".join))


CRON = st.tuples(number(0, 59), number(0, 5), number(1, 31), st.just("*"), number(0, 7)).map(" ".join)


@given(cron=CRON, jump=st.sampled_from(JUMPS), offset=st.integers(-200, 60))
@settings(max_examples=25, deadline=None)
def test_due_times_are_those_of_a_walk_over_every_minute(cron: str, jump: tuple[str, datetime], offset: int) -> None:
    zone, moment = jump
    begin = moment.replace(tzinfo=UTC) + timedelta(minutes=offset)
    end = begin + timedelta(hours=4)
    schedule = parse(cron, zone)
    walked = by_walking(schedule, begin, end)

    forward, at = [], begin
    while (at := next_due(schedule, at)) <= end:
        forward.append(at)
    backward: list[datetime] = []
    newest: datetime | None = end
    while newest is not None and (newest := last_due(schedule, newest, since=begin)) is not None:
        backward.insert(0, newest)
        newest -= MINUTE

    assert forward == walked
    assert backward == walked


@pytest.mark.slow
@given(cron=CRON, jump=st.sampled_from(JUMPS))
@settings(max_examples=150, deadline=None)
def test_due_times_of_whole_days_are_those_of_a_walk(cron: str, jump: tuple[str, datetime]) -> None:
    zone, moment = jump
    begin = moment.replace(tzinfo=UTC) - timedelta(days=2, minutes=7)
    schedule = parse(cron, zone)

    forward, at = [], begin
    while (at := next_due(schedule, at)) <= begin + timedelta(days=4):
        forward.append(at)

    assert forward == by_walking(schedule, begin, begin + timedelta(days=4))


def dues(cron: str, zone: str, begin: datetime, count: int) -> list[str]:
    at, found = begin.replace(tzinfo=UTC), []
    for _ in range(count):
        at = next_due(parse(cron, zone), at)
        found.append(f"{at.astimezone(ZoneInfo(zone)):%m-%d %H:%M%z}")
    return found


def test_the_rule_of_daylight_saving() -> None:
    assert dues("30 2 * * *", "Europe/Berlin", datetime(2026, 3, 28), 3) == [
        "03-28 02:30+0100",
        "03-29 03:00+0200",  # 02:30 does not exist: the next minute that does
        "03-30 02:30+0200",
    ]
    assert dues("30 2 * * *", "Europe/Berlin", datetime(2026, 10, 24), 3) == [
        "10-24 02:30+0200",
        "10-25 02:30+0200",  # 02:30 comes twice: the first
        "10-26 02:30+0100",
    ]
    assert dues("*/20 2 * * *", "Europe/Berlin", datetime(2026, 3, 29), 1) == ["03-29 03:00+0200"], "once, not thrice"


def test_fields_are_read_as_cron_reads_them() -> None:
    assert dues("0 12 13 * FRI", "UTC", datetime(2026, 2, 1), 4) == [
        "02-06 12:00+0000",
        "02-13 12:00+0000",
        "02-20 12:00+0000",
        "02-27 12:00+0000",
    ], "date or weekday"
    assert dues("0 0 */2 * MON", "UTC", datetime(2026, 6, 1, 1), 2) == ["06-15 00:00+0000", "06-29 00:00+0000"], "both"
    assert dues("0 0 29 2 *", "UTC", datetime(2096, 3, 1), 1) == ["02-29 00:00+0000"]
    assert parse("0 0 * jan,Mar sat-sun").weekdays == {6, 0}
    assert parse("0 0 * * 5-7").weekdays == {5, 6, 0}
    assert parse("@weekly").minutes == (0,)


@pytest.mark.parametrize(
    ("cron", "said"),
    [
        ("", "5"),
        ("* * * *", "4 fields"),
        ("60 * * * *", "0 to 59"),
        ("5-1 * * * *", "ends before"),
        ("*/0 * * * *", "step of nothing"),
        ("5/10 * * * *", "needs a range"),
        ("* * 31 2,4 *", "no month has"),
        ("* * L * *", "'L'"),
        ("* * * foo *", "'foo'"),
        ("²  * * * *", "minute"),
        ("1,,2 * * * *", "minute"),
        ("@never", "5"),
    ],
)
def test_what_is_no_schedule_is_refused_with_the_place(cron: str, said: str) -> None:
    with pytest.raises(SettingInvalid) as caught:
        parse(cron)
    assert said in caught.value.cause


@pytest.mark.parametrize("zone", ["", "Middle/Earth", "../etc/passwd", "/etc/passwd", "a\x00b"])
def test_an_unknown_zone_is_refused(zone: str) -> None:
    with pytest.raises(SettingInvalid, match="no time zone"):
        parse("0 0 * * *", zone)


DAILY = parse("0 3 * * *")
DECLARED = datetime(2026, 1, 1, 12, tzinfo=UTC)


def at_three(day: int) -> datetime:
    return datetime(2026, 1, day, 3, tzinfo=UTC)


def firings(
    catch_up: str, now: datetime, stands: set[datetime], *, since: datetime = DECLARED
) -> list[tuple[int, int]]:
    found = owed(DAILY, catch_up, since=since, now=now, stands=stands.__contains__)  # type: ignore[arg-type]
    return [(each.due.day, each.missed) for each in found]


def test_what_was_missed_is_made_up_for_as_declared() -> None:
    now = at_three(5) + timedelta(hours=4)

    assert firings("one", now, {at_three(2)}) == [(5, 2)]
    assert firings("all", now, {at_three(2)}) == [(3, 0), (4, 0), (5, 0)]
    assert firings("none", now, {at_three(2)}) == []
    assert firings("none", at_three(5) + LATE, set()) == [(5, 0)]
    assert firings("all", now, {at_three(5)}) == []


def test_nothing_is_owed_from_before_the_declaration() -> None:
    assert firings("all", DECLARED + timedelta(hours=10), set()) == []
    assert firings("all", at_three(2), set()) == [(2, 0)]


def test_of_a_long_silence_the_newest_are_made_up_for() -> None:
    every_minute = parse("* * * * *")
    found = owed(every_minute, "all", since=DECLARED, now=DECLARED + timedelta(days=9), stands=lambda _: False)

    assert len(found) == MOST_OWED + 1
    assert found[-1].due == DECLARED + timedelta(days=9)


@given(st.lists(st.integers(-72 * 60, 96 * 60), min_size=1, max_size=40), st.sampled_from(["one", "all"]))
@settings(max_examples=30, deadline=None)
def test_a_clock_that_jumps_loses_and_doubles_nothing(jumps: list[int], catch_up: str) -> None:
    """Wherever the clock goes by jumps of minutes, once it runs on truly every later due time fires, each exactly once."""
    fired: set[datetime] = set()
    now = DECLARED

    def look() -> None:
        for each in owed(DAILY, catch_up, since=DECLARED, now=now, stands=fired.__contains__):  # type: ignore[arg-type]
            assert each.due not in fired, "twice"
            assert each.due <= now, "early"
            fired.add(each.due)

    for jump in jumps:
        now = max(now + timedelta(minutes=jump), datetime(2025, 1, 1, tzinfo=UTC))
        look()
    begin = now
    while now < begin + timedelta(days=3):
        now += timedelta(minutes=31)
        look()

    at, expected = max(begin, DECLARED), set()
    while (at := next_due(DAILY, at)) <= now:
        expected.add(at)
    assert expected <= fired
