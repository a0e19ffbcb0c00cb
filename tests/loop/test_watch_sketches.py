"""Sketches of what was served: made when a window is over, again when something came late, and good for another reference's bins."""

from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from noria.domain.deployment import Variant
from noria.loop.stages.watch_sketches import sketch_served
from noria.monitoring.sketch import quantiles
from tests.loop.counted import MONDAY, NAME, Asked

HOUR, DAY = 3600, 86400


@pytest.fixture
def asked(tmp_path: Path) -> Asked:
    return Asked(tmp_path)


def look(asked: Asked, now: datetime) -> None:
    champion = Variant(name="champion", model="m", number=1, version="1.0.0", bundle=asked.bundle, weight=1.0)
    sketch_served(asked.context, asked.recipe, champion, asked.profile, asked.look(now), now=now)


def sketched(asked: Asked, step: int) -> dict[datetime, int]:
    return {each.since: each.rows for each in asked.context.counts.sketches(NAME, 1, step=step)}


def test_hours_with_enough_rows_and_days_are_sketched_when_they_are_over(asked: Asked) -> None:
    asked.write(asked.records([5, 65], rows=400))
    look(asked, MONDAY + timedelta(minutes=70))
    assert (sketched(asked, HOUR), sketched(asked, DAY)) == ({MONDAY: 400}, {})

    look(asked, MONDAY + timedelta(days=1, minutes=1))

    assert sketched(asked, HOUR) == {MONDAY: 400, MONDAY + timedelta(hours=1): 400}
    assert sketched(asked, DAY) == {MONDAY: 800}


def test_what_comes_late_is_sketched_too(asked: Asked) -> None:
    asked.write(asked.records([5, 65], rows=40))
    look(asked, MONDAY + timedelta(days=1))
    assert (sketched(asked, HOUR), sketched(asked, DAY)) == ({}, {MONDAY: 80})

    asked.write(asked.records([5], rows=20), name="late")
    look(asked, MONDAY + timedelta(days=5))

    assert sketched(asked, DAY) == {MONDAY: 100}


def test_quantiles_are_read_off_a_sketch(asked: Asked) -> None:
    records = asked.records([5, 65], rows=3000)
    asked.write(records)
    look(asked, MONDAY + timedelta(days=1))
    (day,) = asked.context.counts.sketches(NAME, 1, step=DAY)
    prices = np.concatenate([record.inputs["price"] for record in records])

    median = quantiles(day, "price", [0.5])
    assert median is not None
    assert abs((prices <= median[0]).mean() - 0.5) < 0.013
    assert quantiles(day, "nobody", [0.5]) is None
