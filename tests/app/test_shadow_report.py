"""The report of a shadow: figures are those of the rows that both answered, groups where the two differ are found, and nothing is made up."""

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest

from noria.app.shadow import shadow_of
from noria.app.workspace import Workspace
from noria.domain.ids import Digest
from noria.domain.prediction import PredictionRecord
from noria.errors import EmptySample, InputInvalid, NotFound
from noria.testing.clock import FakeClock
from tests.app.served import BEGIN, NAME, orders, serve

DAYS = 20
END = BEGIN + timedelta(days=DAYS + 2)


def shadow_record(day: int, said: Mapping[str, list[object]], **changes: object) -> PredictionRecord:
    """What the shadow said to the request of a day."""
    fields: dict[str, object] = {
        "request_id": f"r{day:032x}",
        "deployment": NAME,
        "variant": "next",
        "model": NAME,
        "number": 2,
        "bundle": Digest("blake3:2"),
        "generation": 1,
        "at": BEGIN + timedelta(days=day, hours=12),
        "latency_us": 250,
        "protocol": "v2",
        "rows": len(next(iter(said.values()), [])),
        "inputs": {},
        "outputs": said,
        "kind": "shadow",
    }
    return PredictionRecord(**(fields | changes))  # type: ignore[arg-type]


@pytest.fixture
def workspace() -> Iterator[Workspace]:
    """Twenty days of orders whose blind model has a shadow that sees the web, but failed on the last three days."""
    with Workspace.ephemeral("shadows", clock=FakeClock(BEGIN)) as opened:
        columns, outputs, labels, days = orders(blind=0.25, rows=2400, days=DAYS)
        serve(opened, columns, outputs, labels=labels, days=days)
        rows = pl.DataFrame(opened.predictions.scan(NAME))
        writer = opened.predictions.writer(NAME, name="shadow")
        for day in range(DAYS):
            mine = rows.filter(pl.col("request_id") == f"r{day:032x}")
            better = mine["out.probability"] + 0.25 * (mine["in.shop"] == "web").cast(pl.Float64)
            if day < DAYS - 3:
                writer.write([shadow_record(day, {"probability": better.clip(0.01, 0.99).to_list()})])
            else:
                broken = {"kind": "failure", "outputs": {}, "rows": mine.height, "error": "BundleError: no memory"}
                writer.write([shadow_record(day, {}, **broken)])
        writer.close()
        opened.clock.advance(days=DAYS + 2)  # type: ignore[attr-defined]
        yield opened


def test_the_figures_are_those_of_the_rows_that_both_answered(workspace: Workspace) -> None:
    answers = pl.DataFrame(workspace.predictions.scan(NAME))
    said = pl.DataFrame(workspace.predictions.scan(NAME, kind="shadow"))
    both = answers.join(said, on="prediction_id", suffix=".s")
    gap = (both["out.probability.s"] - both["out.probability"]).abs()

    report = shadow_of(workspace, NAME, days=30)

    (first,) = report.outputs
    assert (report.pairs, first.rows, first.kind) == (both.height, both.height, "probability")
    assert first.difference is not None
    assert first.difference.value == pytest.approx(gap.mean())
    assert first.difference.low < first.difference.value < first.difference.high
    assert first.shift is not None
    assert first.shift.low > 0
    assert first.quantiles[-1] == pytest.approx(gap.max())
    assert sum(b.answers for b in first.bins) == sum(b.shadow for b in first.bins) == both.height
    same = ((both["out.probability"] >= 0.5) == (both["out.probability.s"] >= 0.5)).mean()
    assert first.agreement.value == pytest.approx(same)


def test_requests_failures_and_latencies_stand_side_by_side(workspace: Workspace) -> None:
    report = shadow_of(workspace, NAME, days=30)

    assert (report.champion.requests, report.champion.failed, report.champion.latency_ms[0]) == (20, 0, 0.1)
    assert (report.shadow.requests, report.shadow.failed, report.shadow.latency_ms[0]) == (20, 3, 0.25)
    assert report.shadow.errors == ("BundleError: no memory (3 times)",)
    assert (report.answered, report.copied) == (20, 1.0)


def test_with_labels_it_says_which_is_better_and_where_the_two_differ(workspace: Workspace) -> None:
    report = shadow_of(workspace, NAME, days=30)

    assert report.loss == "log loss"
    assert report.quality is not None
    assert report.quality.high < 0
    assert "it is better" in report.verdict
    assert report.slices is not None
    assert str(report.slices.slices[0]) == "shop = 'web'"
    assert report.slices.slices[0].sure


def test_two_that_say_the_same_have_no_sure_difference(workspace: Workspace) -> None:
    answers = pl.DataFrame(workspace.predictions.scan(NAME))
    writer = workspace.predictions.writer(NAME, name="twin")
    for day in range(DAYS):
        mine = answers.filter(pl.col("request_id") == f"r{day:032x}")
        said = {"probability": mine["out.probability"].to_list()}
        writer.write([shadow_record(day, said, variant="twin", number=3)])
    writer.close()

    report = shadow_of(workspace, NAME, variant="twin", days=30)

    assert report.outputs[0].agreement.value == 1.0
    assert report.outputs[0].quantiles == (0.0, 0.0, 0.0, 0.0)
    assert report.quality is not None
    assert (report.quality.low, report.quality.high) == (0.0, 0.0)
    assert not any(s.sure for s in (report.slices.slices if report.slices else ()))


def test_texts_are_compared_as_they_are(workspace: Workspace) -> None:
    writer = workspace.predictions.writer(NAME, name="texts")
    answer = shadow_record(40, {"word": ["a", "b", "b", "a"]}, kind="answer", variant="champion", number=1)
    writer.write([answer, shadow_record(40, {"word": ["a", "b", "a", "a"]}, at=answer.at)])
    writer.close()
    workspace.clock.advance(days=30)  # type: ignore[attr-defined]

    report = shadow_of(workspace, NAME, days=20)

    assert [(o.name, o.kind, o.agreement.value) for o in report.outputs] == [("word", "text", 0.75)]
    assert report.quality is None


@pytest.mark.parametrize(
    ("ask", "error"),
    [
        ({"variant": "nobody"}, NotFound),
        ({"since": END, "until": BEGIN}, InputInvalid),
        ({"until": BEGIN - timedelta(days=9)}, EmptySample),
    ],
)
def test_what_cannot_be_compared_says_why(workspace: Workspace, ask: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        shadow_of(workspace, NAME, **ask)


def test_several_shadows_must_be_named(workspace: Workspace) -> None:
    writer = workspace.predictions.writer(NAME, name="other")
    writer.write([shadow_record(1, {"probability": [0.5]}, variant="other", number=3)])
    writer.close()

    with pytest.raises(InputInvalid, match="several shadows"):
        shadow_of(workspace, NAME, days=30)


def test_labels_that_come_later_are_not_known_before(workspace: Workspace) -> None:
    early = shadow_of(workspace, NAME, until=BEGIN + timedelta(days=5))

    assert early.labels > 0
    assert early.pairs == 5 * 2400 // DAYS
    assert np.isfinite(early.quality.value if early.quality else np.nan)
