"""The law of ports/predictions on records that are no answers, as tests: shadows and failures. Subclass `KindsSuite` with a `log` fixture.

Called by tests/conformance.
"""

from datetime import timedelta
from typing import Any

import pytest

from noria.domain.prediction import PredictionRecord
from noria.errors import InputInvalid
from noria.ports.predictions import PredictionLog
from noria.testing.predictions_suite import META, NOON, STAGES, Stage, a_label, a_record, frame, kept

LATER = NOON + timedelta(days=1)


def a_shadow(number: int, /, *, variant: str = "challenger", value: float = 0.75) -> PredictionRecord:
    """What a shadow said to the request of `a_record(number)`."""
    said: dict[str, Any] = {"inputs": {}, "outputs": {"probability": [value]}, "weight": 0.5}
    return a_record(number, kind="shadow", variant=variant, **said)


def a_failure(number: int, /, *, variant: str = "champion", error: str = "noria-5001 it broke") -> PredictionRecord:
    """A request that a variant could not answer."""
    return a_record(number, kind="failure", variant=variant, outputs={}, error=error)


@pytest.mark.parametrize("stage", STAGES)
class KindsSuite:
    """What is no answer is kept apart from the answers, whatever stage its rows are in."""

    @pytest.fixture
    def log(self) -> PredictionLog:
        """An empty log."""
        raise NotImplementedError("override the fixture 'log'")

    def test_each_kind_is_read_by_itself(self, log: PredictionLog, stage: Stage) -> None:
        kept(log, [a_record(1), a_shadow(1), a_failure(2), a_record(3)], stage=stage)

        assert frame(log.scan("flights"))["prediction_id"].to_list() == [f"r{n:032x}.0" for n in (1, 3)]
        assert frame(log.scan("flights", kind="shadow"))["request_id"].to_list() == [f"r{1:032x}"]
        failed = frame(log.scan("flights", kind="failure"))
        assert failed.select("request_id", "error").rows() == [(f"r{2:032x}", "noria-5001 it broke")]

    def test_several_variants_may_answer_one_request(self, log: PredictionLog, stage: Stage) -> None:
        kept(log, [a_shadow(1, variant="b"), a_record(1), a_shadow(1, variant="a", value=0.5)], stage=stage)

        rows = frame(log.scan("flights", kind="shadow", columns=["variant", "out.probability"]))

        assert rows.rows() == [("a", 0.5), ("b", 0.75)]

    def test_the_same_request_of_a_variant_counts_once(self, log: PredictionLog, stage: Stage) -> None:
        kept(log, [a_shadow(1), a_failure(2)], stage=stage)
        kept(log, [a_shadow(1, value=0.1), a_failure(2, error="again")], stage=stage, name="other")

        assert frame(log.scan("flights", kind="shadow"))["out.probability"].to_list() == [0.75]
        assert frame(log.scan("flights", kind="failure"))["error"].to_list() == ["noria-5001 it broke"]

    def test_a_shadow_has_the_label_of_the_answer(self, log: PredictionLog, stage: Stage) -> None:
        kept(log, [a_record(1), a_record(2), a_shadow(1), a_shadow(2)], stage=stage)
        log.add_labels("flights", [a_label(a_record(2), 1.0)])

        whole = frame(log.joined("flights", known_by=LATER, kind="shadow"))
        some = frame(log.joined("flights", known_by=LATER, kind="shadow", columns=["label", "out.probability"]))

        assert whole["label"].to_list() == [None, 1.0]
        assert some.rows() == [(None, 0.75), (1.0, 0.75)]
        assert frame(log.joined("flights", known_by=NOON, kind="shadow"))["label"].null_count() == 2

    def test_what_is_no_answer_is_no_prediction(self, log: PredictionLog, stage: Stage) -> None:
        kept(log, [a_shadow(1), a_failure(2)], stage=stage)

        assert log.deployments() == []
        assert log.parts("flights") == []
        assert log.add_labels("flights", [a_label(a_record(1))]).unknown == (a_record(1).prediction_id(0),)

    def test_a_kind_that_nobody_wrote_has_the_columns_of_all(self, log: PredictionLog, stage: Stage) -> None:
        kept(log, [a_record(1)], stage=stage)

        assert frame(log.scan("flights", kind="shadow")).columns == META
        assert frame(log.joined("flights", known_by=NOON, kind="failure")).columns == [*META, "label", "label_at"]

    def test_a_row_says_how_it_came_to_its_variant(self, log: PredictionLog, stage: Stage) -> None:
        kept(log, [a_record(1, weight=0.2), a_record(2, asked=True), a_record(3)], stage=stage)

        rows = frame(log.scan("flights", columns=["weight", "asked", "error"])).rows()

        assert rows == [(0.2, False, ""), (None, True, ""), (None, False, "")]
        assert log.get(a_record(1).prediction_id(0)).record == a_record(1, weight=0.2)

    def test_a_span_cuts_every_kind(self, log: PredictionLog, stage: Stage) -> None:
        records = [a_record(n, minutes=n, kind="shadow", variant=f"v{n % 2}", inputs={}) for n in range(6)]
        kept(log, records, stage=stage)

        since, until = NOON + timedelta(minutes=1), NOON + timedelta(minutes=4)
        rows = frame(log.scan("flights", since=since, until=until, kind="shadow", columns=["request_id"]))

        assert rows["request_id"].to_list() == [f"r{n:032x}" for n in (1, 2, 3)]

    def test_a_variant_that_cannot_name_a_folder_is_refused(self, log: PredictionLog, stage: Stage) -> None:
        with pytest.raises(InputInvalid):
            kept(log, [a_shadow(1, variant="../elsewhere")], stage=stage)
