"""How labels come: delays that young answers do not shorten, the share that comes in the end, clocks that disagree; and what people say."""

from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pytest

from noria.domain.ids import PredictionId
from noria.domain.prediction import Feedback
from noria.errors import InputInvalid
from noria.monitoring.labels import arrival, as_datetime, moment, moments, summarise_feedback

START = datetime(2026, 1, 1, tzinfo=UTC)
HOUR = 3600.0


def answers(
    rows: int, *, days: float, final: float = 0.9, mean_h: float = 24.0, seed: int = 0
) -> tuple[np.ndarray, ...]:
    """Times of answers, and of their labels: exponential delays, a share that never comes."""
    dice = np.random.default_rng(seed)
    at = moment(START) + (np.sort(dice.random(rows)) * days * 86400e6).astype("timedelta64[us]")
    label_at = at + (dice.exponential(mean_h * 3600e6, rows)).astype("timedelta64[us]")
    label_at[dice.random(rows) > final] = np.datetime64("NaT")
    return at, label_at


def test_young_answers_do_not_make_delays_look_short() -> None:
    at, label_at = answers(20_000, days=10)

    now = START + timedelta(days=10)
    told = arrival(at, label_at, known_by=now)
    seen = (label_at <= moment(now)) & ~np.isnat(label_at)
    naive = float(np.median((label_at - at)[seen] / np.timedelta64(1, "s")))

    assert told.delay_s["0.5"] == pytest.approx(24 * HOUR * np.log(2), rel=0.05)
    assert told.delay_s["0.9"] == pytest.approx(24 * HOUR * np.log(10), rel=0.05)
    assert naive < 0.95 * told.delay_s["0.5"]
    assert told.final is not None
    assert told.final.low < 0.9 < told.final.high
    assert told.coverage == pytest.approx(seen.mean())
    assert told.settled_s == pytest.approx(24 * HOUR * np.log(20), rel=0.1)


def test_a_label_that_is_not_known_yet_does_not_count() -> None:
    at, label_at = answers(2000, days=4)
    early = arrival(at, label_at, known_by=START + timedelta(days=2))
    shown = np.where(label_at <= moment(START + timedelta(days=2)), label_at, np.datetime64("NaT"))

    assert early == arrival(at, shown, known_by=START + timedelta(days=2))
    assert early.answers < 2000
    assert early.settled_s is None, "two days tell too little of labels that take three"


@pytest.mark.parametrize("labels", [[None] * 50, [START + timedelta(hours=1)] * 50])
def test_no_label_or_all_at_once(labels: list[datetime | None]) -> None:
    told = arrival([START] * 50, labels, known_by=START + timedelta(days=9))

    assert told.labelled == sum(label is not None for label in labels)
    assert told.early == 0
    assert told.delay_s == ({} if labels[0] is None else dict.fromkeys(("0.5", "0.9", "0.95", "0.99"), HOUR))
    assert (told.settled_s == HOUR) == (labels[0] is not None)


def test_labels_before_their_answers_are_told_and_break_nothing() -> None:
    told = arrival([START] * 100, [START - timedelta(hours=1)] * 10 + [START] * 90, known_by=START + timedelta(days=1))

    assert told.early == 10
    assert told.delay_s["0.99"] == 0.0
    assert arrival([], [], known_by=START).answers == 0


def test_times_may_have_any_zone_and_must_be_times() -> None:
    there = START.astimezone(timezone(timedelta(hours=9)))

    assert moments([there, None])[0] == moment(START)
    assert as_datetime(moment(there)) == START
    with pytest.raises(InputInvalid):
        moments([3.0])
    with pytest.raises(InputInvalid):
        arrival([START], [START, START], known_by=START)


def test_feedback_is_summed_up_apart_from_labels() -> None:
    words = [
        Feedback(prediction_id=PredictionId(f"r{n}.0"), at=START, good=n < 3, value=float(n % 2) if n < 2 else None)
        for n in range(4)
    ]

    told = summarise_feedback(words, answers=100, labels={"r0.0": 0.0, "r1.0": 0.0})
    silent = summarise_feedback([], answers=100)

    assert (told.spoken, told.good, told.bad, told.with_value) == (4, 3, 1, 2)
    assert told.approval is not None
    assert told.approval.value == 0.75
    assert told.agreeing is not None
    assert told.agreeing.value == 0.5
    assert (silent.approval, silent.agreeing) == (None, None)
