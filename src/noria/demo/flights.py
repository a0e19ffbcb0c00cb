"""The flights of 2013 as events in time: when each was scheduled, seen leaving, seen landing. Called by demo/prepare and demo/features.

Times are int64 minutes since 1970-01-01 UTC. The question asked of each flight, at its scheduled departure: will it arrive more than 15 minutes late?
"""

from pathlib import Path

import polars as pl

from noria.data.source import read_source

LATE_MIN = 15
NULLS = ("", "NA")
# Not in airports.csv; coordinates of the airports, all in America/Puerto_Rico (UTC-4 the year round).
ISLANDS = [
    ("BQN", 18.4949, -67.1294),
    ("PSE", 18.0083, -66.5630),
    ("SJU", 18.4394, -66.0018),
    ("STT", 18.3373, -64.9734),
]
ISLAND_ZONE = "America/Puerto_Rico"
HOME_ZONE = "America/New_York"


def read_flights(folder: Path) -> pl.DataFrame:
    """All 336,776 rows as published."""
    return read_source(folder / "flights.csv.zip", null_values=NULLS)


def read_weather(folder: Path) -> pl.DataFrame:
    """Hourly weather of the three New York airports."""
    return read_source(folder / "weather.csv", null_values=NULLS)


def read_airports(folder: Path) -> pl.DataFrame:
    """Destination airports with place and time zone; four islands that the file lacks are added."""
    airports = read_source(folder / "airports.csv", null_values=NULLS).select("faa", "lat", "lon", "tzone")
    islands = pl.DataFrame(
        [(code, lat, lon, ISLAND_ZONE) for code, lat, lon in ISLANDS],
        schema=["faa", "lat", "lon", "tzone"],
        orient="row",
    )
    return pl.concat([airports, islands], how="vertical_relaxed")


def utc_minute(column: str) -> pl.Expr:
    """Minutes since 1970 of a time in UTC."""
    return (pl.col(column).dt.epoch("s") // 60).cast(pl.Int64)


def event_times(flights: pl.DataFrame, airports: pl.DataFrame) -> pl.DataFrame:
    """One row a flight, in the given order, with its times.

    sched: scheduled departure, when the prediction is asked for. dur: scheduled minutes gate to gate, from the scheduled arrival in the destination's
    own zone. seen_dep: when its departure was seen (null: it never left); a flight that leaves early counts as seen at its scheduled minute, so
    nobody sees his own departure. seen_arr: when its arrival was seen (null: cancelled or diverted); then the label is known.
    late: arr_delay > 15 (null: no label ever comes).
    """
    rows = flights.with_row_index("row").with_columns(
        sched=utc_minute("time_hour") + pl.col("minute").cast(pl.Int64),
        arrives=(pl.col("sched_arr_time") // 100) * 60 + pl.col("sched_arr_time") % 100,
    )
    rows = rows.join(airports, left_on="dest", right_on="faa", how="left", maintain_order="left")
    moment = pl.from_epoch(pl.col("sched") * 60, time_unit="s").dt.replace_time_zone("UTC")
    parts = []
    for (zone,), group in rows.group_by("tzone", maintain_order=True):
        local = moment.dt.convert_time_zone(str(zone or HOME_ZONE))
        # A daylight-saving switch while the flight is in the air is ignored: it moves the duration of a few flights a year by an hour.
        parts.append(group.with_columns(offset=(local.dt.base_utc_offset() + local.dt.dst_offset()).dt.total_minutes()))
    rows = pl.concat(parts).sort("row")
    rows = rows.with_columns(dur=(pl.col("arrives") - pl.col("offset") - pl.col("sched")) % 1440)
    delay = pl.col("dep_delay").cast(pl.Int64)
    return rows.with_columns(
        seen_dep=pl.when(delay.is_not_null()).then(pl.col("sched") + pl.max_horizontal(delay, pl.lit(0, pl.Int64))),
        seen_arr=pl.col("sched") + pl.col("dur") + pl.col("arr_delay").cast(pl.Int64),
        late=(pl.col("arr_delay") > LATE_MIN).cast(pl.Int8),
    )
