"""Whether a deployment is asked as often as it usually is at this hour of the week: too little, too much, or silence. From rows per window alone.

What the rows hold is data_quality.py. Called by loop/stages and by noria.monitor.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from math import log, log1p, sqrt
from statistics import median

from noria.domain.finding import Finding
from noria.errors import InputInvalid

FARTHEST = 5.0
"""Standard deviations, on a logarithmic scale, that rows may be away from what is usual."""
FACTOR = 2.0
"""Less than this many times more or fewer is not worth a word."""
FEWEST = 20
"""Usual rows below which an hour, or a day, is too small to be judged."""
LEAST_SPREAD = 0.15
"""Nobody's traffic repeats itself more exactly than this (log scale)."""
WEEK = timedelta(days=7)


def check_volume(
    rows: Sequence[tuple[datetime, int]],
    *,
    step_s: int,
    hours: Sequence[float] = (),
    weeks: int = 8,
    first: datetime | None = None,
) -> Finding | None:
    """Judge the newest of equally long windows by those before it; None if its rows are usual or too little is known.

    rows: (beginning, rows) in time order, each `step_s` seconds long and over; a window that is not there had no rows. first: since when there
    could have been any (default: the first window). hours: rows an hour of the reference for each hour of the week (ReferenceProfile.hours), used for
    its shape as long as there are fewer than three weeks of history.
    Compared with the same hour of earlier weeks (three at least), else with the same hour of earlier days (five at least), else with the shape
    of the reference, scaled to the newest day. Raises InputInvalid for windows out of order.
    """
    if any(a[0] >= b[0] for a, b in pairwise(rows)):
        raise InputInvalid("windows must be in order, each once")
    if not rows or step_s <= 0:
        return None
    held = dict(rows)
    newest, now = rows[-1]
    usual, spread, source = _usual(held, newest, first=first or rows[0][0], step_s=step_s, hours=hours, weeks=weeks)
    if usual is None or usual < FEWEST:
        return None
    sd = sqrt(max(spread, LEAST_SPREAD) ** 2 + 1 / (usual + 1))
    away = (log1p(now) - log1p(usual)) / sd
    if abs(away) < FARTHEST or usual / FACTOR < now < usual * FACTOR:
        return None
    length = "hour" if step_s == 3600 else "day" if step_s == 86400 else f"{step_s} s"
    few = now < usual
    many = f"{now} rows in the {length} from {newest:%Y-%m-%d %H:%M} UTC"
    return Finding(
        kind="silence" if now == 0 else "volume",
        severity="warn",
        value=float(now),
        usual=usual,
        allowed=usual / FACTOR if few else usual * FACTOR,
        unit=f"rows a {length}",
        rows=now,
        summary=f"{many}, where {usual:.0f} are usual ({source})",
        remedy="ask whoever sends the requests: traffic that went elsewhere looks like this"
        if few
        else "look for a client that repeats itself; `duplicate` findings would show it",
        since=newest,
        until=newest + timedelta(seconds=step_s),
    )


def _usual(
    held: dict[datetime, int], newest: datetime, *, first: datetime, step_s: int, hours: Sequence[float], weeks: int
) -> tuple[float | None, float, str]:
    """Rows that are usual, how much they spread on a logarithmic scale, and by which comparison."""
    for apart, fewest, most, source in (
        (WEEK, 3, weeks, "the same time of earlier weeks"),
        (timedelta(days=1), 5, 7, "the same time of earlier days"),
    ):
        before = [newest - apart * k for k in range(1, most + 1) if newest - apart * k >= first]
        if len(before) >= fewest:
            some = [held.get(moment, 0) for moment in before]
            middle = float(median(some))
            return middle, 1.4826 * median(abs(log1p(v) - log1p(middle)) for v in some), source
    if len(hours) == 168 and step_s == 3600:
        recent = [newest - timedelta(hours=k) for k in range(1, 25) if newest - timedelta(hours=k) >= first]
        shape = sum(hours[hour_of_week(moment)] for moment in recent)
        if len(recent) >= 12 and shape > 0:
            scale = sum(held.get(moment, 0) for moment in recent) / shape
            return hours[hour_of_week(newest)] * scale, log(2) / 2, "the reference's hour of the week"
    return None, 0.0, ""


def compared(newest: datetime, *, step_s: int, weeks: int = 8) -> list[datetime]:
    """Beginnings of the windows that `check_volume` compares one with, so that nobody has to read all."""
    asked = {newest - WEEK * k for k in range(1, weeks + 1)} | {newest - timedelta(days=k) for k in range(1, 8)}
    if step_s == 3600:
        asked |= {newest - timedelta(hours=k) for k in range(1, 25)}
    return sorted(asked)


def hour_of_week(moment: datetime) -> int:
    """0 for Monday 00:00 to 01:00 UTC, 167 for the last hour of Sunday.

    >>> hour_of_week(datetime(2026, 1, 5, 7, tzinfo=UTC))
    7
    """
    here = moment.astimezone(UTC)
    return here.weekday() * 24 + here.hour
