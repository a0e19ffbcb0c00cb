"""No feature of a flight knows what was not known yet at its scheduled departure; shown on real flights by changing the whole future."""

from datetime import UTC, datetime

import numpy as np
import polars as pl
import pytest

from noria.demo.features import DEPARTURES, LANDINGS, WEATHER, features
from noria.demo.flights import event_times, read_airports, read_flights, read_weather, utc_minute
from noria.demo.source import folder

ROWS = 20_000
MOMENTS = [
    datetime(2013, 1, 3, 14, 29, tzinfo=UTC),
    datetime(2013, 1, 9, 11, 0, tzinfo=UTC),
    datetime(2013, 1, 17, 23, 15, tzinfo=UTC),
    datetime(2013, 1, 22, 20, 45, tzinfo=UTC),
]
HOUR = 60


class Flights:
    """The first flights of 2013, and what is asked of them."""

    def __init__(self) -> None:
        whole = read_flights(folder()).sort("time_hour", "minute", maintain_order=True)
        self.log = whole.head(ROWS)
        self.weather = read_weather(folder())
        self.airports = read_airports(folder())
        self.times = event_times(self.log, self.airports).select("sched", "dur", "seen_dep", "seen_arr")
        self.asked = features(self.log, self.weather, self.airports)


@pytest.fixture(scope="module")
def flights() -> Flights:
    return Flights()


def minute(moment: datetime) -> int:
    return int(moment.timestamp()) // 60


def another_future(flights: Flights, now: int, *, seed: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Log and weather with everything that was observed at or after `now` drawn anew, so that it is still observed at or after `now`."""
    rng = np.random.default_rng(seed)
    n = flights.log.height
    rows = flights.log.with_columns(
        flights.times,
        later=pl.Series(rng.integers(0, 600, n)),
        landing=pl.Series(rng.integers(0, 900, n)),
        gone=pl.Series(rng.random(n) < 0.1),
    )
    left_later = pl.col("seen_dep").is_null() | (pl.col("seen_dep") >= now)
    landed_later = pl.col("seen_arr").is_null() | (pl.col("seen_arr") >= now)
    dep = (
        pl.when("gone")
        .then(None)
        .otherwise(pl.max_horizontal(pl.lit(now) - pl.col("sched"), pl.lit(0)) + pl.col("later"))
    )
    arr = pl.when("gone").then(None).otherwise(pl.lit(now) - pl.col("sched") - pl.col("dur") + pl.col("landing"))
    log = rows.with_columns(
        dep_delay=pl.when(left_later).then(dep).otherwise("dep_delay").cast(pl.Int64),
        arr_delay=pl.when(landed_later).then(arr).otherwise("arr_delay").cast(pl.Int64),
    ).select(flights.log.columns)
    complete_later = utc_minute("time_hour") + HOUR > now
    noise = pl.Series(rng.normal(50.0, 40.0, flights.weather.height))
    weather = flights.weather.with_columns(
        [
            pl.when(complete_later).then(noise + i).otherwise(pl.col(name).cast(pl.Float64)).alias(name)
            for i, name in enumerate(WEATHER)
        ]
    )
    return log, weather


def known_then(flights: Flights, now: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Log and weather as a live system holds them at `now`: no outcome that had not been seen, no hour that was not complete."""
    log = flights.log.with_columns(flights.times).with_columns(
        dep_delay=pl.when(pl.col("seen_dep") < now).then("dep_delay"),
        arr_delay=pl.when(pl.col("seen_arr") < now).then("arr_delay"),
    )
    return log.select(flights.log.columns), flights.weather.filter(utc_minute("time_hour") + HOUR <= now)


@pytest.mark.parametrize("moment", MOMENTS, ids=str)
def test_features_do_not_change_when_everything_after_them_does(flights: Flights, moment: datetime) -> None:
    now = minute(moment)
    log, weather = another_future(flights, now, seed=now)

    asked = features(log, weather, flights.airports)

    past = flights.times["sched"] <= now
    assert int(past.sum()) > 1000
    assert asked.filter(past).equals(flights.asked.filter(past), null_equal=True)


@pytest.mark.parametrize("moment", MOMENTS, ids=str)
def test_the_other_future_is_really_another_one(flights: Flights, moment: datetime) -> None:
    now = minute(moment)
    log, weather = another_future(flights, now, seed=now)
    times = event_times(log, flights.airports).select("seen_dep", "seen_arr")

    asked = features(log, weather, flights.airports)

    soon = flights.times["sched"].is_between(now + 1, now + 8 * HOUR)
    assert int(soon.sum()) > 50
    for name in (*DEPARTURES[:2], *LANDINGS[:2], "aircraft_slack", "humid"):
        assert not asked.filter(soon)[name].equals(flights.asked.filter(soon)[name]), name
    for name in ("seen_dep", "seen_arr"):
        drawn = times[name] != flights.times[name]
        assert int(drawn.sum()) > 100
        assert int(times[name].filter(drawn).min()) >= now  # type: ignore[arg-type]


@pytest.mark.parametrize("moment", MOMENTS, ids=str)
def test_one_moment_online_gives_the_numbers_of_the_batch(flights: Flights, moment: datetime) -> None:
    scheduled = flights.times["sched"]
    now = int(scheduled.filter(scheduled >= minute(moment)).min())  # type: ignore[arg-type]
    log, weather = known_then(flights, now)
    here = scheduled == now

    online = features(log, weather, flights.airports, asked=log.filter(here))

    assert online.height > 0
    assert online.equals(flights.asked.filter(here), null_equal=True)


def test_a_leak_would_be_found(flights: Flights) -> None:
    """The test of the test: departures that are seen half an hour before they happen make the law fail."""
    now = minute(MOMENTS[2])
    early = flights.log.with_columns(flights.times).with_columns(
        dep_delay=pl.when(pl.col("seen_dep").is_between(now, now + 240))
        .then(now - 30 - pl.col("sched"))
        .otherwise("dep_delay")
    )

    asked = features(early.select(flights.log.columns), flights.weather, flights.airports)

    past = flights.times["sched"] <= now
    assert not asked.filter(past).equals(flights.asked.filter(past), null_equal=True)
