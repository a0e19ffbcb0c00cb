"""Realised and estimated quality by window, point in time, and the record of the estimates: two classes, several, quantities."""

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from noria.domain.quality import QualityHistory
from noria.errors import InputInvalid
from noria.monitoring.labels import moment
from noria.monitoring.quality_history import Served, history, served_of, stretches, track_record
from noria.monitoring.quality_measures import measures, row_loss
from noria.stats.metrics import auc, brier, log_loss

START = datetime(2026, 1, 1, tzinfo=UTC)
DAYS, PER_DAY = 63, 120
EDGES = [START + timedelta(days=7 * week) for week in range(10)]
NOW = START + timedelta(days=DAYS)


def arrivals(dice: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Day, time and time of the label of each answer: two days late on average, one in ten never."""
    rows = DAYS * PER_DAY
    day = np.repeat(np.arange(DAYS), PER_DAY)
    at = moment(START) + day.astype("timedelta64[D]") + (np.arange(rows) % PER_DAY) * np.timedelta64(600, "s")
    label_at = at + dice.exponential(2 * 86400e6, rows).astype("timedelta64[us]")
    label_at[dice.random(rows) < 0.1] = np.datetime64("NaT")
    return day, at.astype("datetime64[us]"), label_at.astype("datetime64[us]")


def binary(seed: int, *, drift: float = 1.0, concept: float = 0.0) -> Served:
    """Scores that are too timid by a known map; inputs drift; from day 42 on the truth may mean something else."""
    dice = np.random.default_rng(seed)
    day, at, label_at = arrivals(dice)
    z = dice.normal(-1.0, 1.0, day.size) + drift * day / DAYS + np.repeat(dice.normal(0, 0.2, DAYS), PER_DAY)
    truth = 1.4 * z + 0.3 + np.repeat(dice.normal(0, 0.1, DAYS), PER_DAY) + concept * (day >= 42)
    y = (dice.random(day.size) < 1 / (1 + np.exp(-truth))).astype(float)
    return served_of("binary", at=at, happened=y, said=1 / (1 + np.exp(-z)), label_at=label_at)


def quantities(seed: int) -> Served:
    """Errors that grow with an input, which drifts."""
    dice = np.random.default_rng(seed)
    day, at, label_at = arrivals(dice)
    x = dice.normal(size=day.size) + 0.8 * (day >= 35)
    kind = dice.choice(["a", "b"], day.size)
    y = 2 * x + dice.normal(size=day.size) * (1 + np.abs(x) + (kind == "b"))
    features = {"x": x, "kind": kind}
    return served_of("regression", at=at, happened=y, said=2 * x, label_at=label_at, features=features)


def classes(seed: int) -> Served:
    """Three classes, answered much too surely."""
    dice = np.random.default_rng(seed)
    day, at, label_at = arrivals(dice)
    logits = dice.normal(size=(day.size, 3)) * 1.5 + 0.7 * np.eye(3)[0] * (day >= 35)[:, None]
    share = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    y = np.minimum((share.cumsum(axis=1) < dice.random((day.size, 1))).sum(axis=1), 2).astype(float)
    said = np.exp(1.8 * logits) / np.exp(1.8 * logits).sum(axis=1, keepdims=True)
    return served_of("multiclass", at=at, happened=y, said=said, label_at=label_at)


def inside(found: QualityHistory, metric: str) -> tuple[int, int]:
    record = next(
        r for r in track_record(found.windows[1:]) if r.metric == metric
    )  # before the first there is nothing to learn from
    return record.inside, record.windows


def test_a_window_is_estimated_until_its_labels_are_there() -> None:
    served = binary(1)
    while_filling = history(served, edges=EDGES, known_by=EDGES[5] + timedelta(hours=12))
    later = history(served, edges=EDGES, known_by=NOW)

    assert [w.source for w in while_filling.windows] == ["realised"] * 4 + ["estimated"] * 2 + ["none"] * 3
    fresh, settled = while_filling.windows[4], later.windows[4]
    assert fresh.estimate == settled.estimate, "what was estimated does not change when labels come"
    assert fresh.metric("log_loss") == fresh.estimate.metrics["log_loss"]  # type: ignore[union-attr]
    assert settled.metric("log_loss") == settled.realised["log_loss"]
    assert settled.coverage > 0.85 > fresh.coverage
    assert later.arrival.final is not None
    assert later.arrival.final.low < 0.9 < later.arrival.final.high


def test_nothing_that_was_known_later_enters_an_estimate() -> None:
    served = binary(2)
    late = np.where(served.label_at > moment(EDGES[4]), 1 - served.happened, served.happened)
    other = Served(
        task="binary",
        at=served.at,
        happened=late,
        said=served.said,
        label_at=served.label_at,
        threshold=served.threshold,
    )

    first, second = (history(each, edges=EDGES[:5], known_by=EDGES[4]) for each in (served, other))

    assert first == second
    assert history(other, edges=EDGES, known_by=NOW).windows[3].estimate == first.windows[3].estimate


def test_estimates_of_two_classes_hold_what_their_intervals_promise_under_drift_of_inputs() -> None:
    found = [history(binary(seed), edges=EDGES, known_by=NOW) for seed in range(2)]

    for metric in ("log_loss", "auc", "accuracy", "brier", "precision", "recall", "f1", "bias"):
        hits, windows = np.sum([inside(each, metric) for each in found], axis=0)
        assert windows == 14
        assert hits >= 11, metric
    assert "no concept drift" in found[0].windows[4].estimate.assumption  # type: ignore[union-attr]


def test_the_record_tells_when_the_assumption_fails() -> None:
    found = history(binary(4, drift=0.0, concept=2.0), edges=EDGES, known_by=NOW)

    record = next(r for r in found.record if r.metric == "log_loss")
    before, after = found.windows[5].estimate, found.windows[8].estimate
    assert record.bias < -0.02
    assert record.inside < record.windows
    assert after is not None
    assert before is not None
    assert after.widened["log_loss"] > 5 * before.widened.get("log_loss", 0.005), "it learns from having missed"


def test_errors_of_quantities_are_estimated_from_inputs() -> None:
    found = history(quantities(5), edges=EDGES, known_by=NOW)

    hits, windows = inside(found, "mae")
    record = next(r for r in found.record if r.metric == "mae")
    assert (windows, hits >= windows - 2) == (7, True), (
        "the first window has nothing to learn from, the last one is still filling"
    )
    assert "too few" in found.windows[0].estimate.reason  # type: ignore[union-attr]
    jump = found.windows[5].estimate.metrics["mae"].value - found.windows[4].estimate.metrics["mae"].value  # type: ignore[union-attr]
    assert jump > 0.1, "inputs moved where errors are larger, and no label of that week was known"
    assert record.error < 0.12


def test_several_classes_are_cooled_down() -> None:
    found = history(classes(6), edges=EDGES, known_by=NOW)

    late = found.windows[7]
    assert late.estimate is not None
    assert "temperature 1.8" in late.estimate.method or "temperature 1.7" in late.estimate.method
    for metric in ("accuracy", "log_loss"):
        hits, windows = inside(found, metric)
        assert hits >= windows - 2, metric
    bare = served_of("multiclass", at=[START], happened=[1.0], said=[1.0], label_at=[START])
    assert "say nothing" in history(bare, edges=EDGES[:2], known_by=NOW).windows[0].estimate.reason  # type: ignore[union-attr]


def test_measures_are_those_of_the_textbook() -> None:
    dice = np.random.default_rng(7)
    p = dice.random(400)
    y = (dice.random(400) < p).astype(float)
    found, missing = measures("binary", y, p, blocks=None)
    said = p >= 0.5
    hits = (said & (y == 1)).sum()

    assert missing == {}
    assert found["log_loss"].value == pytest.approx(log_loss(y, p))
    assert found["auc"].value == pytest.approx(auc(y, p))
    assert found["brier"].value == pytest.approx(brier(y, p))
    assert found["precision"].value == pytest.approx(hits / said.sum())
    assert found["recall"].value == pytest.approx(hits / y.sum())
    assert found["f1"].value == pytest.approx(2 * hits / (said.sum() + y.sum()))
    assert all(each.low <= each.value <= each.high for each in found.values())

    q = y * 3 + dice.normal(size=400)
    wide, _ = measures("regression", q, y * 3, blocks=None)
    error = y * 3 - q
    assert wide["rmse"].value == pytest.approx(np.sqrt((error**2).mean()))
    assert wide["r2"].value == pytest.approx(1 - (error**2).sum() / ((q - q.mean()) ** 2).sum())
    some, _ = measures("regression", q, y * 3, blocks=None, only=["mae"])
    assert some == {"mae": wide["mae"]}


@pytest.mark.parametrize(
    ("task", "happened", "said", "why"),
    [
        ("binary", [1.0] * 9, [0.4] * 9, {"auc": "both classes", "precision": "no answer was positive"}),
        ("binary", [], [], {"all": "no label"}),
        ("regression", [2.0] * 9, [1.0] * 9, {"r2": "differ"}),
    ],
)
def test_what_cannot_be_measured_says_why(
    task: Any, happened: list[float], said: list[float], why: dict[str, str]
) -> None:
    _, missing = measures(task, np.array(happened), np.array(said), blocks=None)

    assert all(text in missing[name] for name, text in why.items())


def test_labels_of_only_some_kind_of_answers_are_told() -> None:
    served = binary(8, drift=0.0)
    hidden = np.where(served.said > 0.4, np.datetime64("NaT"), served.label_at)
    some = served_of("binary", at=served.at, happened=served.happened, said=served.said, label_at=hidden)

    assert "not like the others" in history(some, edges=EDGES[:2], known_by=NOW).windows[0].note
    assert history(served, edges=EDGES[:2], known_by=NOW).windows[0].note == ""


def test_bad_input_is_refused() -> None:
    with pytest.raises(InputInvalid):
        served_of("binary", at=[START], happened=[1.0, 0.0], said=[0.5], label_at=[START])
    with pytest.raises(InputInvalid):
        served_of("binary", at=[START], happened=[1.0], said=[float("nan")], label_at=[START])
    with pytest.raises(InputInvalid):
        history(binary(1), edges=[NOW, START], known_by=NOW)
    with pytest.raises(InputInvalid):
        row_loss("multiclass", np.array([3.0]), np.array([[0.5, 0.5]]))
    assert row_loss("multiclass", np.array([1.0]), np.array([2.0])).tolist() == [1.0]


def test_stretches_have_about_as_many_answers_each() -> None:
    served = binary(1)
    edges = stretches(served, count=5, until=NOW)

    counts = [w.answers for w in history(served, edges=edges, known_by=NOW).windows]
    assert len(counts) == 5
    assert max(counts) - min(counts) <= 1
    assert stretches(served, count=9000, until=NOW) == []
