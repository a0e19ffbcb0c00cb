"""Feedback that an earlier Noria kept, before a word could be a metric's value, is read and added to."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from noria.adapters.predictions.book import Book
from noria.adapters.predictions.feedback import KIND, SCHEMA, FeedbackBook
from noria.domain.ids import PredictionId
from noria.domain.prediction import Feedback

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
EARLIER = {name: dtype for name, dtype in SCHEMA.items() if name != "metric"}


@pytest.mark.parametrize("compacted", [False, True])
def test_words_of_before_are_read_and_added_to(tmp_path: Path, compacted: bool) -> None:
    old = Book(tmp_path, kind=KIND, schema=EARLIER, by="prediction_id")
    at = int(NOON.timestamp() * 1e6)
    with old.writing():
        old.append(
            {"prediction_id": ["r1.0"], "at": [at], "good": [True], "value": [None], "comment": [""], "by": ["ann"]}
        )
    if compacted:
        old.compact(at_least=0)
    word = Feedback(prediction_id=PredictionId("r1.0"), at=NOON, good=True, by="ann")
    value = Feedback(prediction_id=PredictionId("r1.0"), at=NOON, value=2.5, by="shop", metric="revenue")

    book = FeedbackBook(tmp_path)
    assert book.words(None, None, prediction_id=None) == [word]
    receipt = book.add([word, value], lambda ids: [True] * len(ids))

    assert (receipt.accepted, receipt.duplicates) == (1, 1)
    for prediction_id in (None, PredictionId("r1.0")):
        assert FeedbackBook(tmp_path).words(None, None, prediction_id=prediction_id) == [word, value]
