"""Both prediction logs under the suite for outcomes by key and feedback; and in files: another process, a crash, many of them."""

from pathlib import Path

import pytest

from noria.adapters.predictions import memory, parquet
from noria.testing.outcomes_suite import OutcomesSuite, a_word, an_outcome, labels
from noria.testing.predictions_suite import a_record, kept


class TestMemory(OutcomesSuite):
    @pytest.fixture
    def log(self):
        return memory.open_store("")


class TestParquet(OutcomesSuite):
    @pytest.fixture
    def log(self, tmp_path: Path):
        return parquet.open_store(str(tmp_path))


def test_what_one_process_added_another_knows(tmp_path: Path) -> None:
    one, other = (parquet.open_store(str(tmp_path)) for _ in range(2))
    kept(one, [a_record(1, keys=["UA 1"])])
    other.add_keyed_labels("flights", [an_outcome(), an_outcome("DL 7")])
    other.add_feedback("flights", [a_word(1)])

    assert one.add_keyed_labels("flights", [an_outcome()]).duplicates == 1
    assert [label.key for label in one.labels_waiting("flights")] == ["DL 7"]
    assert one.add_feedback("flights", [a_word(1)]).duplicates == 1
    assert parquet.open_store(str(tmp_path)).feedback("flights") == [a_word(1)]


def test_many_outcomes_and_much_feedback_move_to_parquet_and_say_the_same(tmp_path: Path) -> None:
    log = parquet.open_store(str(tmp_path))
    kept(log, [a_record(n, minutes=n, keys=[f"k{n}"]) for n in range(50)])
    outcomes = [an_outcome(f"k{n}", n % 2, minutes=n, source="s" * 100) for n in range(8000)]
    words = [a_word(n, by="b" * 100) for n in range(8000)]
    log.add_keyed_labels("flights", outcomes)
    log.add_feedback("flights", words)

    log.compact("flights")

    for book in ("keyed", "feedback"):
        assert list((tmp_path / "flights" / book).glob("*.parquet")), book
    again = parquet.open_store(str(tmp_path))
    assert labels(again) == {n: float(n % 2) for n in range(50)}
    assert len(again.labels_waiting("flights")) == 7950
    assert len(again.feedback("flights")) == 8000
    assert again.add_keyed_labels("flights", outcomes[:50]).duplicates == 50


def test_an_outcome_whose_label_found_no_room_still_waits(tmp_path: Path) -> None:
    log = parquet.open_store(str(tmp_path))
    log.add_keyed_labels("flights", [an_outcome()])
    kept(log, [a_record(1, keys=["UA 1"])], stage="closed")
    (tmp_path / "flights" / "labels").write_text("a file where a folder must be")

    with pytest.raises(Exception, match="folder"):
        log.compact("flights")
    assert log.labels_waiting("flights") == [an_outcome()]
    (tmp_path / "flights" / "labels").unlink()
    log.compact("flights")

    assert log.labels_waiting("flights") == []
    assert labels(log) == {1: 1.0}
