"""Make the flights ready: ingest with schema and expectations, features as of each departure, both kept as dataset versions. Called by story.

Each part is a cached step: a second demo finds them and does nothing again.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import polars as pl

from noria.app.workspace import Workspace
from noria.data.schema import infer_schema
from noria.data.snapshot import snapshot
from noria.demo.features import FEATURES, NUMBERS, TEXT, features
from noria.demo.flights import event_times, read_airports, read_flights, read_weather
from noria.demo.source import PACKAGE, folder
from noria.domain.dataset import Column, Expectation, Schema
from noria.domain.ids import Digest, digest_of
from noria.domain.pipeline import StepResult
from noria.packaging.environment import capture, digest
from noria.pipeline.declare import pipeline
from noria.pipeline.run import Input, run_pipeline
from noria.ports.tables import TableStore
from noria.wire.tables import open_table

BEGIN = datetime(2013, 3, 1, 5, tzinfo=UTC)
"""The first of March in New York: what was known before trains the first version."""
END = datetime(2014, 1, 1, 5, tzinfo=UTC)
PUBLISHED = datetime(2014, 1, 2, tzinfo=UTC)

ORIGINS = ("EWR", "JFK", "LGA")
EXPECTED = (
    Expectation(rule="row_count_at_least", minimum=300_000),
    Expectation(rule="not_null", column="time_hour"),
    Expectation(rule="not_null", column="carrier"),
    Expectation(rule="one_of", column="origin", values=ORIGINS),
    Expectation(rule="between", column="month", minimum=1, maximum=12),
    Expectation(rule="between", column="distance", minimum=1, maximum=6000),
    Expectation(rule="between", column="arr_delay", minimum=-120, maximum=1500, severity="warn"),
    Expectation(rule="not_null", column="tailnum", tolerance=0.01, severity="warn"),
    Expectation(rule="not_null", column="arr_delay", tolerance=0.04, severity="warn"),
)
WEATHER_EXPECTED = (
    Expectation(rule="one_of", column="origin", values=ORIGINS),
    Expectation(rule="between", column="temp", minimum=-30, maximum=120, severity="warn"),
)
FILES = ("flights.csv.zip", "weather.csv", "airports.csv")
ASKED = Schema(
    columns=(
        Column(name="at", dtype="datetime"),
        Column(name="known_at", dtype="datetime", nullable=True),
        Column(name="label", dtype="float64", nullable=True),
        *(Column(name=name, dtype="string") for name in TEXT),
        *(Column(name=name, dtype="float32", nullable=True) for name in NUMBERS),
    ),
    time_column="at",
)


class Prepared(msgspec.Struct, frozen=True, kw_only=True):
    """Addresses of the dataset versions. year: every flight with its features and (for the replay to release in time) its label."""

    flights: Digest
    weather: Digest
    year: Digest
    base: Digest


def flights(tables: TableStore, source: Path) -> str:
    """Step: ingest the flights: conform, check expectations, keep."""
    frame = read_flights(source)
    schema = infer_schema(frame, time_column="time_hour")
    return snapshot(
        tables, "flights", frame, schema=schema, at=PUBLISHED, expectations=EXPECTED, source_name=PACKAGE
    ).digest


def weather(tables: TableStore, source: Path) -> str:
    """Step: ingest the weather."""
    frame = read_weather(source)
    schema = infer_schema(frame, time_column="time_hour")
    return snapshot(
        tables, "weather", frame, schema=schema, at=PUBLISHED, expectations=WEATHER_EXPECTED, source_name=PACKAGE
    ).digest


def year(flights: str, weather: str, tables: TableStore, source: Path) -> str:
    """Step: join weather to flights in time, and compute the features of every flight as of its scheduled departure."""
    log, airports = open_table(tables.read(Digest(flights))), read_airports(source)
    asked = features(log, open_table(tables.read(Digest(weather))), airports)
    times = event_times(log, airports)
    frame = pl.DataFrame(
        {"at": _utc(times["sched"]), "known_at": _utc(times["seen_arr"]), "label": times["late"].cast(pl.Float64)}
    ).hstack(asked.with_columns(pl.col(NUMBERS).fill_nan(None)))
    parents = (Digest(flights), Digest(weather))
    rows = frame.sort("at", maintain_order=True)
    return snapshot(tables, "flights-year", rows, schema=ASKED, at=PUBLISHED, parents=parents).digest


def base(year: str, tables: TableStore) -> str:
    """Step: the labelled rows that were known when March began."""
    frame = open_table(tables.read(Digest(year)))
    known = frame.filter((pl.col("at") < BEGIN) & (pl.col("known_at") <= BEGIN))
    return snapshot(tables, "flights-winter", known, schema=ASKED, at=BEGIN, parents=(Digest(year),)).digest


def _utc(minutes: pl.Series) -> pl.Series:
    """Minutes since 1970 as times in UTC."""
    return pl.select(pl.from_epoch(minutes * 60, time_unit="s").cast(pl.Datetime("us", "UTC"))).to_series()


def prepare(workspace: Workspace, *, on_step: Callable[[StepResult], None]) -> Prepared:
    """Run the preparation, or find it done."""
    source = folder()
    content = digest_of(b"".join(digest_of((source / name).read_bytes()).encode() for name in FILES))
    done = run_pipeline(
        pipeline("flights-prepare", flights, weather, year, base),
        inputs={
            "tables": Input(digest=digest_of(str(workspace.home).encode()), load=lambda: workspace.tables),
            "source": Input(digest=content, load=lambda: source),
        },
        journal=workspace.journal,
        blobs=workspace.blobs,
        executor=workspace.executor,
        clock=workspace.clock,
        holder=workspace.project,
        environment=digest(capture()),
        on_step=on_step,
    )
    return Prepared(**{name: Digest(done[name]) for name in ("flights", "weather", "year", "base")})


__all__ = ["ASKED", "BEGIN", "END", "FEATURES", "Prepared", "prepare"]
