"""The law of ports/predictions.PredictionParts as tests. Subclass `PartsSuite` with a `log` fixture. Called by tests/conformance."""

from datetime import timedelta

import pytest

from noria.ports.predictions import PredictionLog
from noria.testing.predictions_suite import NOON, STAGES, Stage, a_record, frame, kept


@pytest.mark.parametrize("stage", STAGES)
class PartsSuite:
    """What a log consists of, whatever stage its rows are in."""

    @pytest.fixture
    def log(self) -> PredictionLog:
        """An empty log."""
        raise NotImplementedError("override the fixture 'log'")

    def test_an_empty_log_has_no_parts(self, log: PredictionLog, stage: Stage) -> None:
        assert log.parts("flights") == []
        assert log.set_aside("flights") == []

    def test_parts_hold_every_row_between_their_first_and_last(self, log: PredictionLog, stage: Stage) -> None:
        kept(log, [a_record(n, minutes=n) for n in range(5)], stage=stage)
        kept(log, [a_record(n, minutes=-n) for n in range(5, 9)], stage=stage, name="other")

        parts = log.parts("flights")

        assert sum(part.rows for part in parts) == 9
        assert min(part.since for part in parts) == NOON - timedelta(minutes=8)
        assert max(part.until for part in parts) == NOON + timedelta(minutes=4)
        assert not any(part.damaged for part in parts)

    def test_a_part_that_did_not_grow_is_the_same_part(self, log: PredictionLog, stage: Stage) -> None:
        kept(log, [a_record(0)], stage=stage)
        before = log.parts("flights")

        log.compact("flights")
        kept(log, [a_record(1, minutes=3)], stage=stage, name="other")

        after = log.parts("flights")
        assert [part for part in after if part in before] == before or after[0].rows == 2
        assert sum(part.rows for part in after) == 2

    def test_nothing_is_set_aside_from_a_sound_log(self, log: PredictionLog, stage: Stage) -> None:
        kept(log, [a_record(n) for n in range(3)], stage=stage)

        assert log.set_aside("flights") == []
        assert frame(log.scan("flights")).height == 3
