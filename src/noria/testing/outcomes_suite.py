"""The law of ports/predictions for outcomes by key and for feedback, as tests. Subclass `OutcomesSuite` as predictions_suite says."""

from datetime import timedelta
from typing import Any

import pytest

from noria.domain.ids import PredictionId
from noria.domain.prediction import Feedback, KeyedTruth
from noria.errors import LabelInvalid
from noria.ports.predictions import PredictionLog
from noria.testing.predictions_suite import NOON, STAGES, Stage, a_label, a_record, frame, kept


def an_outcome(key: str = "UA 1", value: float = 1.0, *, minutes: float = 30, **changes: Any) -> KeyedTruth:
    """What happened to a key at some minutes after noon, known an hour later."""
    about = NOON + timedelta(minutes=minutes)
    return KeyedTruth(key=key, value=value, about=about, at=about + timedelta(hours=1), **changes)


def a_word(number: int = 1, *, minutes: float = 5, **changes: Any) -> Feedback:
    """What somebody said of the first row of a record."""
    name = a_record(number).prediction_id(0)
    return Feedback(prediction_id=name, at=NOON + timedelta(minutes=minutes), **({"good": True} | changes))


def labels(log: PredictionLog) -> dict[int, float | None]:
    """The label of every prediction by now, by the number in its input."""
    table = frame(log.joined("flights", known_by=NOON + timedelta(days=30)))
    return dict(zip(table["in.hour"], table["label"], strict=True)) if table.height else {}


class OutcomesSuite:
    """What every prediction log does with outcomes that know no prediction id, and with what people say."""

    @pytest.fixture(params=STAGES)
    def stage(self, request: pytest.FixtureRequest) -> Stage:
        """Each law holds wherever the rows are."""
        return request.param  # type: ignore[no-any-return]

    def test_an_outcome_is_about_the_newest_prediction_of_its_key_before_it(
        self, log: PredictionLog, stage: Stage
    ) -> None:
        times = {1: 0, 2: 20, 3: 40}
        kept(log, [a_record(n, minutes=m, keys=["UA 1"]) for n, m in times.items()], stage=stage)
        kept(log, [a_record(9, minutes=25, keys=["DL 7"]), a_record(8, minutes=25)], stage="live", name="v")

        receipt = log.add_keyed_labels("flights", [an_outcome(minutes=30)])

        assert (receipt.accepted, receipt.waiting) == (1, ())
        assert labels(log) == {1: None, 2: 1.0, 3: None, 8: None, 9: None}

    @pytest.mark.parametrize(
        ("match", "minutes", "meant"),
        [
            ("before", 20, [2]),
            ("before", 19.9, [1]),
            ("nearest", 31, [3]),
            ("nearest", 30, [3]),
            ("nearest", 29, [2]),
            ("every", 20, [1, 2, 3]),
            ("every", 45, [2, 3]),
            ("before", 65.1, []),
            ("before", 65, [3]),
            ("nearest", -25, [1]),
            ("before", -1, []),
        ],
    )
    def test_how_an_outcome_finds_its_predictions(
        self, log: PredictionLog, match: str, minutes: float, meant: list[int]
    ) -> None:
        kept(log, [a_record(n, minutes=m, keys=["UA 1"]) for n, m in {1: 0, 2: 20, 3: 40}.items()])

        receipt = log.add_keyed_labels("flights", [an_outcome(minutes=minutes, match=match, tolerance_s=25 * 60)])

        assert [n for n, value in labels(log).items() if value is not None] == meant
        assert receipt.waiting == (() if meant else ("UA 1",))

    def test_an_outcome_waits_for_its_prediction(self, log: PredictionLog, stage: Stage) -> None:
        first, second = an_outcome(minutes=30), an_outcome("DL 7", 0.0, minutes=5)
        assert log.add_keyed_labels("flights", [first, second, first]).waiting == ("UA 1", "DL 7")
        assert log.labels_waiting("flights") == [first, second]

        kept(log, [a_record(1, minutes=10, keys=["UA 1"])], stage=stage)
        log.compact("flights")

        assert log.labels_waiting("flights") == [second]
        assert labels(log) == {1: 1.0}
        kept(log, [a_record(2, minutes=1, keys=["DL 7"])], stage=stage, name="v")
        assert log.add_keyed_labels("flights", [second]).duplicates == 1, "the waiting one was settled first"
        assert log.labels_waiting("flights") == []
        assert labels(log) == {2: 0.0, 1: 1.0}

    def test_an_outcome_sent_again_means_the_same_prediction(self, log: PredictionLog) -> None:
        kept(log, [a_record(1, minutes=0, keys=["UA 1"])])
        log.add_keyed_labels("flights", [an_outcome(minutes=30)])
        kept(log, [a_record(2, minutes=20, keys=["UA 1"])], name="v")

        again = log.add_keyed_labels("flights", [an_outcome(minutes=30)])
        other = log.add_keyed_labels("flights", [an_outcome(minutes=30, value=0.0)])
        corrected = log.add_keyed_labels("flights", [an_outcome(minutes=30, value=0.0, corrects=True)])

        assert (again.duplicates, again.accepted) == (1, 0)
        assert other.contradictions == (a_record(1).prediction_id(0),)
        assert corrected.corrected == 1
        assert labels(log) == {1: 0.0, 2: None}

    def test_a_label_by_id_and_an_outcome_by_key_meet(self, log: PredictionLog) -> None:
        record = a_record(1, rows=2, keys=["UA 1", "UA 2"], inputs={"hour": [1, 2]}, outputs={"p": [0.0, 0.0]})
        kept(log, [record])
        log.add_labels("flights", [a_label(record, 1.0, row=1)])

        receipt = log.add_keyed_labels("flights", [an_outcome("UA 2", 1.0), an_outcome("UA 1", 0.0)])

        assert (receipt.accepted, receipt.duplicates) == (1, 1)
        assert labels(log) == {1: 0.0, 2: 1.0}

    @pytest.mark.parametrize(
        "spoilt",
        [
            {"key": ""},
            {"value": float("nan")},
            {"about": NOON.replace(tzinfo=None)},
            {"at": NOON.replace(tzinfo=None)},
            {"tolerance_s": -1.0},
            {"tolerance_s": float("inf")},
        ],
    )
    def test_an_outcome_that_cannot_be_used_is_refused_with_its_batch(
        self, log: PredictionLog, spoilt: dict[str, Any]
    ) -> None:
        fields: dict[str, Any] = {"key": "UA 1", "value": 1.0, "about": NOON, "at": NOON}

        with pytest.raises(LabelInvalid):
            log.add_keyed_labels("flights", [an_outcome("UA 2"), KeyedTruth(**(fields | spoilt))])

        assert log.labels_waiting("flights") == []

    def test_feedback_is_kept_beside_the_labels(self, log: PredictionLog, stage: Stage) -> None:
        kept(log, [a_record(1), a_record(2)], stage=stage)
        words = [a_word(1), a_word(2, minutes=6, good=False, value=0.0, comment="it was on time", by="ann")]

        receipt = log.add_feedback("flights", words)

        assert (receipt.accepted, receipt.unknown) == (2, ())
        assert log.feedback("flights") == words
        assert log.feedback("flights", since=NOON + timedelta(minutes=6)) == words[1:]
        assert log.feedback("flights", until=NOON + timedelta(minutes=6)) == words[:1]
        assert log.feedback("flights", prediction_id=a_record(2).prediction_id(0)) == words[1:]
        assert labels(log) == {1: None, 2: None}, "what somebody says is not what happened"
        assert log.feedback("boats") == []

    def test_the_newest_words_of_each_person_count(self, log: PredictionLog) -> None:
        kept(log, [a_record(1)])
        bad, good = a_word(by="ann", good=False), a_word(by="ann", minutes=9)

        first = log.add_feedback("flights", [bad, a_word(by="bob")])
        second = log.add_feedback("flights", [good, bad, a_word(by="ann", minutes=1, comment="before")])

        assert (first.accepted, first.replaced) == (2, 0)
        assert (second.accepted, second.duplicates, second.replaced) == (2, 1, 1)
        assert log.feedback("flights") == [a_word(by="bob"), good]

    def test_what_a_prediction_brought_is_a_word_of_its_own(self, log: PredictionLog) -> None:
        kept(log, [a_record(1)])
        first, later = (
            a_word(by="shop", value=9.5, metric="revenue"),
            a_word(by="shop", minutes=9, value=12.0, metric="revenue"),
        )
        said, minutes = a_word(by="shop"), a_word(by="shop", value=3.0, metric="minutes")

        log.add_feedback("flights", [said, first, minutes])
        receipt = log.add_feedback("flights", [later, later])

        assert (receipt.accepted, receipt.replaced, receipt.duplicates) == (1, 1, 1)
        assert log.feedback("flights") == [said, minutes, later]
        assert labels(log) == {1: None}

    def test_feedback_on_an_unknown_prediction_is_kept_and_told(self, log: PredictionLog) -> None:
        odd = Feedback(prediction_id=PredictionId("elsewhere"), at=NOON, comment="?")

        receipt = log.add_feedback("flights", [a_word(7), odd])

        assert receipt.unknown == (a_record(7).prediction_id(0), odd.prediction_id)
        assert log.feedback("flights") == [odd, a_word(7)]

    @pytest.mark.parametrize(
        "spoilt",
        [
            {"good": None},
            {"value": float("inf")},
            {"at": NOON.replace(tzinfo=None)},
            {"comment": "a" * 4001},
            {"metric": "revenue"},
        ],
    )
    def test_feedback_that_says_nothing_is_refused_with_its_batch(
        self, log: PredictionLog, spoilt: dict[str, Any]
    ) -> None:
        fields: dict[str, Any] = {"prediction_id": a_record(2).prediction_id(0), "at": NOON, "good": True}

        with pytest.raises(LabelInvalid):
            log.add_feedback("flights", [a_word(1), Feedback(**(fields | spoilt))])

        assert log.feedback("flights") == []
