"""Which windows to count anew, in tiers of minutes, hours and days, when rows arrived: late ones too, each into its own minute. Pure.

A tier is kept as long as it is of use (minutes for a week and a day, so that what comes a week late finds its minute), and only where a window holds
enough rows to say anything: a deployment that is asked ten times an hour has days. Reading and writing is loop/stages/watch_counts.
"""

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import groupby

import msgspec

from noria.domain.profile import ReferenceProfile, WindowCounts
from noria.monitoring.profile_windows import merge

MINUTE, HOUR, DAY = 60, 3600, 86400
KEPT = {MINUTE: timedelta(days=8), HOUR: timedelta(days=60)}
"""How long the windows of a tier are kept; days are kept for ever."""
FINER = {DAY: HOUR, HOUR: MINUTE}
ENOUGH = 30
"""Rows that a window should hold on average, or the next coarser tier will do."""

Rows = Mapping[int, int]
"""Beginning of a minute, in seconds since 1970, to rows."""


class Unit(msgspec.Struct, frozen=True, order=True):
    """One window of a tier. start: seconds since 1970, a multiple of `step`. rows: what the log holds of it."""

    start: int
    step: int
    rows: int

    @property
    def end(self) -> int:
        """Where it ends."""
        return self.start + self.step


class Stored(msgspec.Struct, frozen=True):
    """What is counted of one version and one day: the windows of each tier by their beginning, in seconds since 1970."""

    day: WindowCounts | None
    hours: Mapping[int, WindowCounts]
    minutes: Mapping[int, WindowCounts]

    @property
    def is_whole(self) -> bool:
        """Whether the hours are all there is of the day: else some were never made, or are forgotten."""
        return sum(w.rows for w in self.hours.values()) == (self.day.rows if self.day else 0)


def base_step(profile: ReferenceProfile) -> int:
    """The tier in which drift is judged: the coarsest that is no longer than the reference's windows."""
    return next((step for step in (DAY, HOUR) if step <= profile.window_seconds), MINUTE)


def due(found: Rows, stored: Stored, *, base: int, now: datetime) -> list[Unit] | None:
    """The windows of one day that must be counted from the log; None if that takes the rows of the whole day, of which some are not in `found`.

    found: rows in the log of whole hours of that day. A window in which the log holds no more than was counted is left as it is: rows do not
    vanish, but a log may be shortened. base: tier that must be there. The result leaves out what merging finer windows gives (`merged`).
    """
    if not found:
        return []
    by_hour = _summed(found, HOUR)
    if not stored.is_whole:
        return None
    if not (stored.hours or _worth(by_hour, HOUR, base=base, now=now)):
        return None if stored.day is not None else [_day(found)]
    units: list[Unit] = []
    for hour, rows in by_hour.items():
        counted = stored.hours[hour].rows if hour in stored.hours else 0
        if rows > counted:
            units += _hour(hour, rows, found, stored, base=base, now=now)
    return units


def due_of_whole_day(found: Rows, stored: Stored, *, base: int, now: datetime) -> list[Unit]:
    """As `due`, where `found` holds the whole day: it is counted as a day, or hour by hour if that has become worth it."""
    if sum(found.values()) <= (stored.day.rows if stored.day else 0):
        return []
    by_hour = _summed(found, HOUR)
    if _worth(by_hour, HOUR, base=base, now=now):
        empty = Stored(None, {}, {})
        return [unit for hour, rows in by_hour.items() for unit in _hour(hour, rows, found, empty, base=base, now=now)]
    return [_day(found)]


def _hour(hour: int, rows: int, found: Rows, stored: Stored, *, base: int, now: datetime) -> list[Unit]:
    """An hour that holds more than was counted: its changed minutes, all of its minutes, or itself."""
    inside = {minute: n for minute, n in found.items() if hour <= minute < hour + HOUR}
    minutes = {minute: w.rows for minute, w in stored.minutes.items() if hour <= minute < hour + HOUR}
    whole = sum(minutes.values()) == (stored.hours[hour].rows if hour in stored.hours else 0)
    if whole and minutes:
        return [Unit(m, MINUTE, n) for m, n in inside.items() if n > minutes.get(m, 0)]
    if _worth(inside, MINUTE, base=base, now=now):
        return [Unit(m, MINUTE, n) for m, n in inside.items()]
    return [Unit(hour, HOUR, rows)]


def _worth(rows: Rows, step: int, *, base: int, now: datetime) -> bool:
    """Whether windows of a tier are worth having: they are new enough to be kept, and hold enough rows."""
    if base <= step:
        return True
    first = datetime.fromtimestamp(min(rows), UTC)
    return first >= oldest_kept(step, now) and sum(rows.values()) >= ENOUGH * len(rows)


def oldest_kept(step: int, now: datetime) -> datetime:
    """Windows of a tier that begin before this day are forgotten."""
    today = datetime(now.year, now.month, now.day, tzinfo=UTC)
    return today - KEPT[step]


def _day(found: Rows) -> Unit:
    first = min(found)
    return Unit(first - first % DAY, DAY, sum(found.values()))


def _summed(rows: Rows, step: int) -> dict[int, int]:
    summed: dict[int, int] = {}
    for start in sorted(rows):
        place = start - start % step
        summed[place] = summed.get(place, 0) + rows[start]
    return summed


def merged(new: Sequence[WindowCounts], stored: Stored, *, now: datetime) -> list[WindowCounts]:
    """The windows of one version and day that follow from newly counted ones: those themselves, their hours, and the day."""
    minutes = dict(stored.minutes) | {_start(w): w for w in new if w.step == MINUTE}
    hours = dict(stored.hours) | {_start(w): w for w in new if w.step == HOUR}
    changed: dict[int, WindowCounts] = {}
    for hour in sorted({_start(w) - _start(w) % HOUR for w in new if w.step == MINUTE}):
        changed[hour] = _sum((w for m, w in minutes.items() if hour <= m < hour + HOUR), HOUR, now=now)
    hours |= changed
    days = [w for w in new if w.step == DAY] or ([_sum(hours.values(), DAY, now=now)] if hours else [])
    return [*(w for w in new if w.step != DAY), *changed.values(), *days]


def _start(window: WindowCounts) -> int:
    return int(window.since.timestamp())


def _sum(windows: Iterable[WindowCounts], step: int, *, now: datetime) -> WindowCounts:
    """Windows of a finer tier as one of `step` seconds, which begins where that tier has it begin and ends there, or now."""
    ordered = sorted(windows, key=lambda w: w.since)
    total = ordered[0] if len(ordered) == 1 else merge(ordered)
    first = _start(ordered[0])
    begins = datetime.fromtimestamp(first - first % step, UTC)
    ends = begins + timedelta(seconds=step)
    return msgspec.structs.replace(total, step=step, since=begins, until=min(ends, now) if now > begins else ends)


def stretches(units: Iterable[Unit], *, most_rows: int, apart: int = HOUR) -> list[list[Unit]]:
    """Units in groups that are read from the log together: near each other, and not more than `most_rows` in all unless one alone has more."""
    groups: list[list[Unit]] = []
    rows = 0
    for unit in sorted(units):
        near = groups and unit.start - groups[-1][-1].end <= apart
        if near and rows + unit.rows <= most_rows:
            groups[-1].append(unit)
            rows += unit.rows
        else:
            groups.append([unit])
            rows = unit.rows
    return groups


def finest(windows: Sequence[WindowCounts]) -> list[WindowCounts]:
    """Of windows of several tiers those that no finer one explains, in time order: minutes where there are some, else hours, else days."""
    starts = sorted((_start(w), w.step) for w in windows if w.step)
    kept = []
    for window in windows:
        begins = bisect_left(starts, (_start(window), 0))
        ends = bisect_left(starts, (_start(window) + window.step, 0))
        if not any(step < window.step for _, step in starts[begins:ends]):
            kept.append(window)
    return sorted(kept, key=lambda w: (w.since, w.step))


def by_day(rows: Rows) -> dict[int, dict[int, int]]:
    """Rows by minute, apart for each day, which is named by its beginning.

    >>> by_day({0: 1, 60: 2, 86400: 3})
    {0: {0: 1, 60: 2}, 86400: {86400: 3}}
    """
    return {
        day: {minute: rows[minute] for minute in minutes}
        for day, minutes in groupby(sorted(rows), key=lambda minute: minute - minute % DAY)
    }
