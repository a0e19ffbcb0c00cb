"""Alarms on streams whose truth is known: asleep in all weathers, awake when something changes. How often: benchmarks/monitoring_proof."""

from dataclasses import replace

import numpy as np
import pytest

from noria.domain.ids import digest_of
from noria.monitoring.concept import concept, losses_of
from noria.monitoring.drift import detect
from noria.monitoring.profile import build_profile, window
from noria.testing.streams import Change, Rows, Stream
from noria.testing.streams_weather import Batches, RowMemory, Season, Trend, Weather, Wobble
from noria.testing.streams_worlds import Sea, Table

AT, AFTER = 40, 20
MOVED = Change(kind="shift", window=AT, size=1.0, columns=("x0",))
WEATHERS = [Wobble(0.05), Season(7, 0.3), Trend(0.0005), RowMemory(0.9, 0.5), Batches(20, 0.3)]


def alarms(stream: Stream, *looks: int) -> list[bool]:
    """Whether inputs or answers are said to have drifted at the end of some windows."""
    history = stream.history()
    profile = build_profile(
        history.columns,
        stream.world.believes(history.columns),
        labels=history.labels,
        blocks=history.at.astype("datetime64[D]"),
        since=stream.span(-stream.reference)[0],
        until=stream.span(-1)[1],
    )

    def counted(rows: Rows, number: int) -> object:
        since, until = stream.span(number)
        scores = stream.world.believes(rows.columns)
        return window(
            profile,
            rows.columns,
            scores,
            deployment="d",
            number=1,
            profile_digest=digest_of(b"p"),
            since=since,
            until=until,
        )

    windows = [counted(rows, number) for number, rows in enumerate(stream)]
    told = [detect(profile, windows[: look + 1]) for look in looks]
    return [each.inputs.alarm or each.prediction.alarm for each in told]


@pytest.mark.parametrize("weather", WEATHERS, ids=lambda w: type(w).__name__)
def test_weather_is_slept_through_and_a_change_is_seen(weather: Weather) -> None:
    stream = Stream(
        world=Table(width=6, levels=(5,), used=4),
        seed=11,
        rows=100,
        reference=42,
        windows=AT + AFTER,
        weather=(weather,),
        changes=(MOVED,),
    )

    early, half, before, after = alarms(stream, 10, 25, AT - 1, AT + AFTER - 1)

    assert not (early or half or before)
    assert after


def test_a_change_of_meaning_is_seen_in_the_errors_and_weather_is_not() -> None:
    world = Sea(0, 3)
    stream = Stream(
        world=world,
        seed=12,
        rows=100,
        reference=10,
        windows=60,
        weather=(Wobble(0.1),),
        changes=(Change(kind="concept", window=40),),
    )

    def errors(rows: Rows) -> np.ndarray:
        return ((world.believes(rows.columns) > 0.5) != rows.labels).astype(float)

    def report(many: Stream, days: int) -> bool:
        parts = [many.window(i) for i in range(days)]
        at = np.concatenate([rows.at for rows in parts])
        losses = losses_of(np.concatenate([errors(rows) for rows in parts]), at=at, label_at=at)
        history = many.history()
        return concept(losses, reference=errors(history), reference_at=history.at).alarm

    assert not report(stream, 40)
    assert report(stream, 60)
    assert not report(replace(stream, changes=()), 60)
