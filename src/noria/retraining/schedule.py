"""When a trigger by the calendar is due: cron's five fields in a time zone, and what of the past is owed. Pure: no clock, no store.

The rule of daylight saving: times are those of the wall. Of an hour that comes twice the first counts; what falls into an hour that is skipped is due
at the next minute that exists. Firing is loop/stages/triggers; how a rule is declared is domain/trigger. Called by both and by app/triggers.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from noria.domain.trigger import CatchUp
from noria.errors import SettingInvalid

LATE = timedelta(minutes=10)
"""With catch_up = 'none', what was due longer ago than this was missed."""
MOST_OWED = 1000
"""So many missed times are told of or made up for; what lies before them is given up."""
YEARS = 60
"""Within so many years every schedule that can be due is due: Feb 29 on a given weekday comes within 40."""

MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)
NICKNAMES = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_FIELDS: tuple[tuple[str, int, int, dict[str, int]], ...] = (
    ("minute", 0, 59, {}),
    ("hour", 0, 23, {}),
    ("day of the month", 1, 31, {}),
    ("month", 1, 12, {name: number for number, name in enumerate(_MONTHS, 1)}),
    ("day of the week", 0, 7, {name: number for number, name in enumerate(_WEEKDAYS)}),
)
_LONGEST = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_PART = re.compile(r"(?:(\*)|(\w+)(?:-(\w+))?)(?:/(\d+))?", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """Five fields read, in a zone. either: a day is due when its date or its weekday is meant (both fields are restricted), as cron has it."""

    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    either: bool
    zone: ZoneInfo

    def means(self, day: date) -> bool:
        """Whether something is due on this day of the calendar."""
        if day.month not in self.months:
            return False
        by_date, by_weekday = day.day in self.days, day.isoweekday() % 7 in self.weekdays
        return by_date or by_weekday if self.either else by_date and by_weekday


@dataclass(frozen=True, kw_only=True)
class Owed:
    """One time that must be made up for now. missed: how many earlier ones it stands for."""

    due: datetime
    missed: int = 0


def parse(cron: str, zone: str = "UTC") -> Schedule:
    """Read cron's five fields: numbers, names (JAN, MON), lists, ranges, steps; 0 and 7 are Sunday; or @daily and its like.

    A field that begins with `*` does not restrict its day (cronie's rule): `0 0 */2 * MON` means Mondays of odd date. Raises SettingInvalid.

    >>> next_due(parse("30 6 * * MON-FRI", "Europe/Berlin"), datetime(2026, 3, 27, 12, tzinfo=UTC)).isoformat()
    '2026-03-30T04:30:00+00:00'
    """
    fields = NICKNAMES.get(cron.strip().lower(), cron).split()
    if len(fields) != len(_FIELDS):
        raise _wrong(cron, f"it has {len(fields)} fields, cron has 5: minute, hour, day, month, weekday")
    sets = [_field(cron, text, *known) for text, known in zip(fields, _FIELDS, strict=True)]
    minutes, hours, days, months, weekdays = sets
    schedule = Schedule(
        minutes=tuple(sorted(minutes)),
        hours=tuple(sorted(hours)),
        days=frozenset(days),
        months=frozenset(months),
        weekdays=frozenset(day % 7 for day in weekdays),
        either=not fields[2].startswith("*") and not fields[4].startswith("*"),
        zone=_zone(zone),
    )
    if not schedule.either and not any(day <= _LONGEST[month - 1] for day in days for month in months):
        raise _wrong(cron, "it names a day that no month has")
    return schedule


def next_due(schedule: Schedule, after: datetime) -> datetime:
    """The first due minute after a moment, in UTC. Raises SettingInvalid if there is none within 60 years."""
    start = after.astimezone(schedule.zone)
    wall = start.replace(tzinfo=None, fold=0)
    day, last = wall.date(), wall.date() + YEARS * 366 * DAY
    while day <= last:
        if schedule.means(day):
            for time in _walls(schedule, day):
                if time >= wall - MINUTE and (due := _instant(time, schedule.zone)) > after:
                    return due
        day += DAY
    raise SettingInvalid(
        "a schedule is never due", cause=f"nothing within {YEARS} years", remedy="correct its days and months"
    )


def last_due(schedule: Schedule, at: datetime, *, since: datetime) -> datetime | None:
    """The newest due minute in (since, at], in UTC; None if there is none."""
    local = at.astimezone(schedule.zone)
    wall = local.replace(tzinfo=None, fold=0)
    if local.fold:  # in an hour that comes a second time: later times of the wall have been there as well
        wall += at - _instant(wall, schedule.zone)
    first = since.astimezone(schedule.zone).date() - DAY
    day = wall.date()
    while day >= first:
        if schedule.means(day):
            for time in _walls(schedule, day, backwards=True, limit=wall):
                due = _instant(time, schedule.zone)
                if due <= since:
                    return None
                if due <= at:
                    return due
        day -= DAY
    return None


def owed(
    schedule: Schedule, catch_up: CatchUp, *, since: datetime, now: datetime, stands: Callable[[datetime], bool]
) -> list[Owed]:
    """What is to be fired now, oldest first. since: when the trigger was declared; stands: whether a due time was fired already.

    Nothing is remembered but what was fired, so no clock can make a time be lost or fired twice: one that ran ahead has fired times that have not
    come, and those before them stay owed. A `since` that lies ahead of now was written by such a clock: then the last minutes are looked at.
    """
    begin = since if since <= now else now - LATE
    due = last_due(schedule, now, since=begin)
    if due is None or stands(due):
        return []
    if catch_up == "none":
        return [Owed(due=due)] if now - due <= LATE else []
    missed: list[datetime] = []
    while len(missed) < MOST_OWED:
        earlier = last_due(schedule, (missed or [due])[-1] - MINUTE, since=begin)
        if earlier is None or stands(earlier):
            break
        missed.append(earlier)
    if catch_up == "one":
        return [Owed(due=due, missed=len(missed))]
    return [Owed(due=each) for each in (*reversed(missed), due)]


def _walls(
    schedule: Schedule, day: date, *, backwards: bool = False, limit: datetime = datetime.max
) -> Iterator[datetime]:
    """The times of the wall that are meant on a day up to a limit, in order."""
    step = -1 if backwards else 1
    for hour in schedule.hours[::step]:
        if datetime(day.year, day.month, day.day, hour) > limit:
            continue
        for minute in schedule.minutes[::step]:
            if (time := datetime(day.year, day.month, day.day, hour, minute)) <= limit:
                yield time


def _instant(wall: datetime, zone: ZoneInfo) -> datetime:
    """The moment of a time of the wall: the first of two, or the first that exists after it."""
    moment = wall.replace(tzinfo=zone).astimezone(UTC)
    if moment.astimezone(zone).replace(tzinfo=None) == wall:
        return moment
    # A skipped time: with fold=0 it is reckoned by the offset from before the jump, with fold=1 by the one after it; the jump lies between.
    low, high = wall.replace(tzinfo=zone, fold=1).astimezone(UTC), moment
    before = low.astimezone(zone).utcoffset()
    while high - low > timedelta(seconds=1):
        middle = low + (high - low) // 2
        low, high = (middle, high) if middle.astimezone(zone).utcoffset() == before else (low, middle)
    jump = high.replace(microsecond=0)
    return jump if jump.second == 0 else jump.replace(second=0) + MINUTE


def _field(cron: str, text: str, name: str, low: int, high: int, names: dict[str, int]) -> set[int]:
    found: set[int] = set()
    for part in text.split(","):
        match = _PART.fullmatch(part)
        if match is None:
            raise _wrong(cron, f"{part!r} is no {name}")
        star, one, other, step = match.groups()
        if step is not None and not star and other is None:
            raise _wrong(cron, f"{part!r}: a step needs a range, such as {one}-{high}/{step} or */{step}")
        if step is not None and int(step) == 0:
            raise _wrong(cron, f"{part!r} is a step of nothing")
        begin = low if star else _number(cron, one, name, low, high, names)
        end = high if star else begin if other is None else _number(cron, other, name, low, high, names)
        if end == 0 and begin > 0 and high == 7:
            end = 7  # FRI-SUN
        if end < begin:
            raise _wrong(cron, f"{part!r} ends before it begins")
        found.update(range(begin, end + 1, int(step or 1)))
    return found


def _number(cron: str, text: str, name: str, low: int, high: int, names: dict[str, int]) -> int:
    value = names.get(text.lower(), int(text) if text.isdecimal() else -1)
    if not low <= value <= high:
        raise _wrong(cron, f"{text!r} is no {name}: they go from {low} to {high}")
    return value


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as exc:
        raise SettingInvalid(
            f"no time zone {name!r}",
            cause="it is not in this machine's database of time zones",
            remedy="write a name such as 'Europe/Berlin'; where there is no database at all: pip install tzdata",
        ) from exc


def _wrong(cron: str, cause: str) -> SettingInvalid:
    return SettingInvalid(
        f"{cron!r} is no schedule",
        cause=cause,
        remedy="write five fields, such as '30 6 * * MON-FRI' for 6:30 on workdays",
    )
