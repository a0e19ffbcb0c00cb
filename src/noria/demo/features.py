"""Features of a flight as of its scheduled departure: the schedule, what had been seen of other flights, the weather of the last full hour.

One function for training and serving. Visible to a question at T: departures and landings seen strictly before T, weather rows whose hour was
complete at T, and the published schedule. A cancelled flight is only ever seen as not having left. The tail number is taken as known at the scheduled
departure; the data holds the one that really flew, which can differ after a late swap. Leaks are tested in tests/demo/test_features.py.
"""

from collections.abc import Mapping
from datetime import timedelta

import numpy as np
import polars as pl

from noria.data.join import join_asof
from noria.demo.asof import SPAN, Floats, Ints, OverdueLog, SeenLog, mean
from noria.demo.flights import LATE_MIN, event_times, utc_minute

TEXT = ("carrier", "origin")
HOUR, DAY = 60, 1440
WEATHER = ("humid", "wind_dir", "wind_speed", "precip", "visib")
SCHEDULE = ("minute_of_day", "weekday", "distance", "scheduled_minutes", "dest_lat", "dest_lon", "flights_this_hour")
DEPARTURES = (
    "dep_delay_origin_1h",
    "dep_delay_origin_3h",
    "dep_late_origin_1h",
    "dep_late_origin_3h",
    "dep_delay_all_2h",
    "dep_delay_carrier_here_3h",
    "dep_late_carrier_here_3h",
    "dep_delay_route_6h",
    "overdue_origin_1h",
    "overdue_origin_6h",
    "overdue_minutes_origin_6h",
    "overdue_carrier_here_3h",
    "overdue_route_6h",
)
LANDINGS = (
    "arr_delay_all_3h",
    "arr_delay_dest_6h",
    "arr_late_carrier_1d",
    "arr_late_route_14d",
    "arr_late_flight_30d",
    "arr_delay_flight_30d",
)
AIRCRAFT = ("aircraft_hours_since", "aircraft_arr_delay", "aircraft_slack")
NUMBERS = (*SCHEDULE, *DEPARTURES, *LANDINGS, *AIRCRAFT, *WEATHER)
FEATURES = (*TEXT, *NUMBERS)

Groups = Mapping[str, tuple[Ints, Ints]]


def features(
    flights: pl.DataFrame, weather: pl.DataFrame, airports: pl.DataFrame, *, asked: pl.DataFrame | None = None
) -> pl.DataFrame:
    """Features of the asked flights (all of `flights` by default), one row each, in their order; numbers are float32, NaN where nothing is known.

    flights: the log, with outcomes as far as they are known (null otherwise). Columns as published.
    """
    log = event_times(flights, airports)
    ask = log if asked is None else event_times(asked, airports)
    at = ask["sched"].to_numpy()
    groups = _groups(log, ask)
    columns: dict[str, Floats] = {}
    columns |= _schedule(log, ask, at, groups)
    columns |= _departures(log, at, groups)
    columns |= _landings(log, at, groups)
    columns |= _aircraft(log, ask, at, groups)
    columns |= _weather(weather, ask, at)
    texts = {name: ask[name] for name in TEXT}
    numbers = {name: pl.Series(name, columns[name], dtype=pl.Float32, strict=False) for name in NUMBERS}
    return pl.DataFrame({**texts, **numbers})


def _groups(log: pl.DataFrame, ask: pl.DataFrame) -> Groups:
    """Integer codes of each grouping, shared by the log and the questions."""
    keys = {
        "origin": ["origin"],
        "carrier": ["carrier"],
        "dest": ["dest"],
        "carrier_here": ["origin", "carrier"],
        "route": ["origin", "dest"],
        "flight": ["carrier", "flight", "origin", "dest"],
        "tail": ["tailnum"],
    }
    rows = len(log)
    found: dict[str, tuple[Ints, Ints]] = {"all": (np.zeros(rows, np.int64), np.zeros(len(ask), np.int64))}
    for name, parts in keys.items():
        key = pl.concat_str([pl.col(p).cast(pl.String).fill_null("?") for p in parts], separator="/").alias("key")
        codes = pl.concat([log.select(key), ask.select(key)])["key"].rank("dense").to_numpy().astype(np.int64)
        found[name] = (codes[:rows], codes[rows:])
    return found


def _schedule(log: pl.DataFrame, ask: pl.DataFrame, at: Ints, groups: Groups) -> dict[str, Floats]:
    known, here = groups["origin"]
    around, _ = SeenLog(known, log["sched"].to_numpy()).window(here, at + HOUR // 2, HOUR)
    return {
        "minute_of_day": (ask["hour"].cast(pl.Int64) * 60 + ask["minute"].cast(pl.Int64)).to_numpy().astype(float),
        "weekday": ask.select(pl.date("year", "month", "day").dt.weekday()).to_series().to_numpy().astype(float),
        "distance": ask["distance"].to_numpy().astype(float),
        "scheduled_minutes": ask["dur"].to_numpy().astype(float),
        "dest_lat": ask["lat"].to_numpy().astype(float),
        "dest_lon": ask["lon"].to_numpy().astype(float),
        "flights_this_hour": around,
    }


def _departures(log: pl.DataFrame, at: Ints, groups: Groups) -> dict[str, Floats]:
    left = log["seen_dep"].is_not_null().to_numpy()
    seen = log["seen_dep"].fill_null(0).to_numpy()
    sched = log["sched"].to_numpy()
    delay = np.clip(log["dep_delay"].fill_null(0).to_numpy().astype(float), 0, 180)
    late = (delay > LATE_MIN).astype(float)
    columns: dict[str, Floats] = {}
    for group, hours in (("origin", (1, 3)), ("all", (2,)), ("carrier_here", (3,)), ("route", (6,))):
        known, here = groups[group]
        departed = SeenLog(known[left], seen[left], delay[left], late[left])
        for h in hours:
            number, (delays, lates) = departed.window(here, at, h * HOUR)
            columns[f"dep_delay_{group}_{h}h"] = mean(number, delays)
            columns[f"dep_late_{group}_{h}h"] = mean(number, lates)
    for group, h in (("origin", 1), ("origin", 6), ("carrier_here", 3), ("route", 6)):
        known, here = groups[group]
        number, minutes = OverdueLog(known, sched, seen, left, minutes=h * HOUR).at(here, at)
        columns[f"overdue_{group}_{h}h"] = number
        columns[f"overdue_minutes_{group}_{h}h"] = mean(number, minutes)
    return columns


def _landings(log: pl.DataFrame, at: Ints, groups: Groups) -> dict[str, Floats]:
    landed = log["seen_arr"].is_not_null().to_numpy()
    seen = log["seen_arr"].fill_null(0).to_numpy()[landed]
    delay = np.clip(log["arr_delay"].fill_null(0).to_numpy().astype(float), -60, 180)[landed]
    late = log["late"].fill_null(0).to_numpy().astype(float)[landed]
    columns: dict[str, Floats] = {}
    for group, minutes, label in (
        ("all", 3 * HOUR, "3h"),
        ("dest", 6 * HOUR, "6h"),
        ("carrier", DAY, "1d"),
        ("route", 14 * DAY, "14d"),
    ):
        known, here = groups[group]
        number, (delays, lates) = SeenLog(known[landed], seen, delay, late).window(here, at, minutes)
        columns[f"arr_delay_{group}_{label}"] = mean(number, delays)
        columns[f"arr_late_{group}_{label}"] = mean(number, lates)
    known, here = groups["flight"]
    number, (delays, lates) = SeenLog(known[landed], seen, delay, late).window(here, at, 30 * DAY)
    return columns | {"arr_delay_flight_30d": mean(number, delays), "arr_late_flight_30d": mean(number, lates)}


def _aircraft(log: pl.DataFrame, ask: pl.DataFrame, at: Ints, groups: Groups) -> dict[str, Floats]:
    """Where the aircraft was last: its previous flight out of New York within three days, as far as that had been seen."""
    known, here = groups["tail"]
    named = np.flatnonzero(log["tailnum"].is_not_null().to_numpy())
    sched = log["sched"].to_numpy()
    position = SeenLog(known[named], sched[named]).last(here, at)
    previous = named[np.maximum(position, 0)]
    there = (position >= 0) & ask["tailnum"].is_not_null().to_numpy() & (at - sched[previous] < 3 * DAY)
    seen_dep, seen_arr = (
        log["seen_dep"].fill_null(SPAN).to_numpy()[previous],
        log["seen_arr"].fill_null(SPAN).to_numpy()[previous],
    )
    gone, back = seen_dep < at, seen_arr < at
    duration = log["dur"].to_numpy()[previous]
    delay = np.clip(log["arr_delay"].fill_null(0).to_numpy().astype(float), -60, 180)[previous]
    landed_at = np.where(back, seen_arr, np.where(gone, np.maximum(seen_dep + duration, at), at + duration))
    # Minutes between when it could be back in New York and now: a small or negative slack means that it comes late.
    slack = at - (landed_at + duration)
    return {
        "aircraft_hours_since": np.where(there, (at - sched[previous]) / HOUR, np.nan),
        "aircraft_arr_delay": np.where(there & back, delay, np.nan),
        "aircraft_slack": np.where(there, slack, np.nan).astype(float),
    }


def _weather(weather: pl.DataFrame, ask: pl.DataFrame, at: Ints) -> dict[str, Floats]:
    """The last complete hour at the origin, at most three hours old. A row of hour h is complete at h + 60 minutes."""
    complete = pl.from_epoch((utc_minute("time_hour") + HOUR) * 60, time_unit="s")
    rows = weather.select("origin", complete.alias("complete"), *[pl.col(name).cast(pl.Float64) for name in WEATHER])
    moments = pl.DataFrame({"origin": ask["origin"], "at": at}).with_columns(
        pl.from_epoch(pl.col("at") * 60, time_unit="s")
    )
    # One autumn hour stands twice in the file (the clock goes back): the tie-break makes the choice the same every time.
    joined = join_asof(
        moments,
        rows,
        left_on="at",
        right_on="complete",
        by=["origin"],
        tolerance=timedelta(hours=3),
        strictly_before=False,
        tie_break=WEATHER,
    )
    return {name: joined.frame[name].fill_null(float("nan")).to_numpy() for name in WEATHER}
