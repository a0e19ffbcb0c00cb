"""Make the flights ready: ingest with schema and expectations, compute features as of each departure, keep both as dataset versions. Called by demo/story.

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
from noria.domain.ids import Digest
from noria.domain.pipeline import StepResult
from noria.packaging.environment import capture, digest
from noria.pipeline.declare import Pipeline, pipeline
from noria.pipeline.run import run_pipeline
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


def preparation(workspace: Workspace, source: Path) -> Pipeline:
    """The steps: flights and weather as published, features of the year, the labelled winter to begin with."""
    tables = workspace.tables

    def flights() -> str:
        """Ingest the flights: conform, check expectations, keep."""
        frame = read_flights(source)
        schema = infer_schema(frame, time_column="time_hour")
        return str(
            snapshot(
                tables, "flights", frame, schema=schema, at=PUBLISHED, expectations=EXPECTED, source_name=PACKAGE
            ).digest
        )

    def weather() -> str:
        """Ingest the weather."""
        frame = read_weather(source)
        schema = infer_schema(frame, time_column="time_hour")
        expected = (
            Expectation(rule="one_of", column="origin", values=ORIGINS),
            Expectation(rule="between", column="temp", minimum=-30, maximum=120, severity="warn"),
        )
        return str(
            snapshot(
                tables, "weather", frame, schema=schema, at=PUBLISHED, expectations=expected, source_name=PACKAGE
            ).digest
        )

    def year(flights: str, weather: str) -> str:
        """Join weather to flights in time, and compute the features of every flight as of its scheduled departure."""
        log, airports = open_table(tables.read(Digest(flights))), read_airports(source)
        asked = features(log, open_table(tables.read(Digest(weather))), airports)
        times = event_times(log, airports)
        frame = pl.DataFrame(
            {
                "at": pl.from_epoch(times["sched"] * 60, time_unit="s")
                .dt.cast_time_unit("us")
                .dt.replace_time_zone("UTC"),
                "known_at": pl.from_epoch(times["seen_arr"] * 60, time_unit="s")
                .dt.cast_time_unit("us")
                .dt.replace_time_zone("UTC"),
                "label": times["late"].cast(pl.Float64),
            }
        ).hstack(asked.with_columns(pl.col(NUMBERS).fill_nan(None)))
        parents = (Digest(flights), Digest(weather))
        version = snapshot(
            tables, "flights-year", frame.sort("at", maintain_order=True), schema=ASKED, at=PUBLISHED, parents=parents
        )
        return str(version.digest)

    def base(year: str) -> str:
        """The labelled rows that were known when March began."""
        frame = open_table(tables.read(Digest(year)))
        known = frame.filter((pl.col("at") < BEGIN) & (pl.col("known_at") <= BEGIN))
        parents = (Digest(year),)
        return str(snapshot(tables, "flights-winter", known, schema=ASKED, at=BEGIN, parents=parents).digest)

    return pipeline("flights-prepare", flights, weather, year, base)


def prepare(workspace: Workspace, *, on_step: Callable[[StepResult], None]) -> Prepared:
    """Run the preparation, or find it done."""
    done = run_pipeline(
        preparation(workspace, folder()),
        params={},
        inputs={},
        journal=workspace.journal,
        blobs=workspace.blobs,
        executor=workspace.executor,
        clock=workspace.clock,
        holder=workspace.project,
        environment=digest(capture()),
        on_step=on_step,
    )
    names = ("flights", "weather", "year", "base")
    return Prepared(**{name: Digest(str(done.result(name))) for name in names})


__all__ = ["ASKED", "BEGIN", "END", "FEATURES", "Prepared", "prepare"]
