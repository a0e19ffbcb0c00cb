"""What a look finds wrong with the data, with the traffic and with the log, and what it tells people of it."""

from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace

from noria.domain.alert import Alert
from noria.domain.deployment import Deployment, Variant
from noria.domain.finding import Finding
from noria.domain.ids import EventId
from noria.loop.stages.watch_findings import findings_of
from noria.monitoring.data_alert import report_of
from noria.monitoring.tiers import finest
from tests.loop.counted import MONDAY, NAME, Asked


@pytest.fixture
def asked(tmp_path: Path) -> Asked:
    made = Asked(tmp_path)
    variant = Variant(name="champion", model="m", number=1, version="1.0.0", bundle=made.bundle, weight=1.0)
    made.context.deployments.put(
        Deployment(name=NAME, model="m", generation=1, variants=(variant,), updated_at=MONDAY, cause=EventId("c"))
    )
    return made


def after(**spans: float) -> datetime:
    return MONDAY + timedelta(**spans)


def found_at(
    asked: Asked, now: datetime, *, since: datetime = MONDAY - timedelta(days=9)
) -> tuple[Finding, ...] | None:
    champion = asked.context.deployments.get(NAME).variant("champion")
    assert champion is not None
    counted = asked.look(now)
    return findings_of(asked.context, asked.recipe, champion, asked.profile, counted, since=since, now=now)


def kinds(found: tuple[Finding, ...] | None) -> list[tuple[str, str]] | None:
    return None if found is None else [(each.kind, each.about) for each in found]


def test_a_look_at_sound_data_finds_nothing_and_one_without_news_says_nothing(asked: Asked) -> None:
    asked.write(asked.records([1, 2], rows=200))

    assert found_at(asked, after(minutes=3)) == ()
    assert found_at(asked, after(minutes=4)) is None


def test_an_input_that_breaks_is_told_of_with_what_to_look_at(asked: Asked) -> None:
    sound, broken = asked.records([1, 2], rows=100)
    asked.write([sound, replace(broken, inputs={**broken.inputs, "price": [None] * 100, "shop": ["moon"] * 100})])

    found = found_at(asked, after(minutes=3))

    assert found is not None
    assert set(kinds(found) or ()) >= {("missing", "price"), ("unseen", "shop")}
    report = report_of(found)
    assert isinstance(report.alert, Alert)
    assert report.alert.severity == "warn"
    assert set(report.alert.causes) == {"price", "shop"}
    assert report.alert.evidence["missing.price"] == pytest.approx(0.5)


def test_what_is_served_otherwise_than_it_was_learnt_is_said_of_the_first_window_only(asked: Asked) -> None:
    records = asked.records([1, 1441], rows=400)
    cents = [replace(r, inputs={**r.inputs, "price": [100 * v for v in r.inputs["price"]]}) for r in records]
    asked.write(cents)

    first = found_at(asked, after(minutes=3), since=after(minutes=1))
    second = found_at(asked, after(days=1, minutes=3), since=after(minutes=1))

    assert ("skew", "price") in (kinds(first) or ())
    assert ("skew", "price") not in (kinds(second) or ())


def test_what_is_only_worth_knowing_opens_no_alert() -> None:
    small = Finding(kind="schema", about="new", severity="info", value=1.0, summary="a column is new")

    assert report_of([small]).alert is None
    assert report_of([]).over


def test_a_damaged_part_and_a_clock_that_is_ahead_are_named(asked: Asked) -> None:
    asked.write(asked.records([1], rows=50), name="a")
    asked.log.compact(NAME)
    (segment,) = (asked.home / NAME / "segments").iterdir()
    segment.write_bytes(b"?" + segment.read_bytes()[1:])
    asked.log = asked.context.predictions  # type: ignore[assignment]
    asked.write(asked.records([90], rows=50), name="b")
    again = Asked(asked.home)
    again.context.deployments.put(asked.context.deployments.get(NAME))

    found = found_at(again, after(minutes=3))

    assert sorted(kind for kind, _ in kinds(found) or ()) == ["clock", "damaged"]
    assert ("damaged", segment.name) in (kinds(found) or ())


def test_a_noon_without_requests_is_silence_and_the_nights_before_were_not(asked: Asked) -> None:
    minutes = [day * 1440 + hour * 60 + 30.0 for day in range(6) for hour in range(8, 18)]
    asked.write(asked.records([m for m in minutes if m < 4 * 1440], rows=100))
    assert kinds(found_at(asked, after(days=4, hours=3))) == []

    asked.write(asked.records([m for m in minutes if 4 * 1440 < m < 5 * 1440 + 720], rows=100), name="v")
    asked.look(after(days=5, hours=12))
    silent = found_at(asked, after(days=5, hours=13, minutes=1))

    assert [kind for kind, _ in kinds(silent) or ()] == ["silence"]


def test_a_former_champion_that_came_back_is_followed_whatever_its_number(tmp_path: Path) -> None:
    asked = Asked(tmp_path, versions=range(1, 7))
    for generation, number in enumerate((1, 2, 3, 4, 5, 6, 1), start=1):
        variant = Variant(name="champion", model="m", number=number, version="1.0.0", bundle=asked.bundle, weight=1.0)
        asked.context.deployments.put(
            Deployment(
                name=NAME,
                model="m",
                generation=generation,
                variants=(variant,),
                updated_at=MONDAY + timedelta(minutes=generation),
                cause=EventId(f"c{generation}"),
            )
        )
    minutes = [day * 1440 + hour * 60 + 30.0 for day in range(6) for hour in range(8, 18)]
    asked.write(asked.records([m for m in minutes if m < 5 * 1440 + 600], rows=100))

    assert kinds(found_at(asked, after(days=5, hours=10, minutes=1))) == []
    assert [kind for kind, _ in kinds(found_at(asked, after(days=5, hours=11, minutes=1))) or ()] == ["silence"]


def test_the_finest_windows_are_those_that_no_finer_one_explains(asked: Asked) -> None:
    asked.write(asked.records([1, 2, 125], rows=50))
    asked.write(asked.records([3000 + float(n) for n in np.arange(0, 100, 10)]), name="few")
    asked.look(after(days=3))

    kept = finest(asked.context.counts.windows(NAME, 1))

    assert [(w.since, w.step) for w in kept] == [
        (after(minutes=1), 60),
        (after(minutes=2), 60),
        (after(minutes=125), 60),
        (after(days=2), 86400),
    ]
