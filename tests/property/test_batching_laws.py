"""Batching is invisible: whatever comes together, each request gets what it would have got alone, to the bit."""

import asyncio
import functools
import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from noria.adapters.flavors.sklearn import SklearnPredictor
from noria.errors import RequestInvalid
from noria.serving.batching import Batcher
from noria.serving.companions import judge, part
from tests.serving.worker_factory import arrays, boosting, flights, signature_of

pytestmark = pytest.mark.filterwarnings("ignore")
TABLE = arrays(flights(120, seed=3))
BAD = 113
"""The place of a row that the model refuses."""


@functools.cache
def native() -> Any:
    """A real pipeline with text columns that was not converted; it refuses the bad row."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        predictor = SklearnPredictor(boosting(), signature_of(flights()))
    bad = TABLE["distance"][BAD]

    def predict(columns: Any) -> Any:
        if bad in columns["distance"]:
            raise RequestInvalid("this row cannot be answered")
        return predictor.predict(columns)

    return predict


@functools.cache
def alone(places: tuple[int, ...]) -> bytes | str:
    """What a request gets when nobody else asks."""
    try:
        return bytes(native()(part(TABLE, places))["probability"].tobytes())
    except RequestInvalid as error:
        return error.problem


def test_the_model_of_these_laws_is_one_that_is_batched() -> None:
    judged = judge(native(), part(TABLE, [0, 1, 2]))

    assert judged.in_company, judged.reason


requests = st.lists(st.lists(st.integers(0, 119), min_size=1, max_size=9).map(tuple), min_size=1, max_size=14)


@settings(max_examples=60, deadline=None)
@given(
    requests,
    st.data(),
)
def test_each_request_gets_the_answer_that_it_gets_alone(asked: list[tuple[int, ...]], data: Any) -> None:
    pauses = data.draw(st.lists(st.integers(0, 3), min_size=len(asked), max_size=len(asked)), label="turns of the loop")
    cancelled = data.draw(st.sets(st.integers(0, len(asked) - 1), max_size=3), label="cancelled")
    most_rows = data.draw(st.integers(1, 64), label="most rows")

    async def run() -> list[Any]:
        batcher = Batcher(native(), most_rows=most_rows)
        waiting = []
        for number, (places, pause) in enumerate(zip(asked, pauses, strict=True)):
            waiting.append(batcher.join(part(TABLE, places)))
            if number in cancelled:
                waiting[-1].cancel()
            for _ in range(pause):
                await asyncio.sleep(0)
        return await asyncio.gather(*waiting, return_exceptions=True)

    for number, (places, answer) in enumerate(zip(asked, asyncio.run(run()), strict=True)):
        if number in cancelled:
            assert isinstance(answer, asyncio.CancelledError)
        elif isinstance(answer, RequestInvalid):
            assert answer.problem == alone(places)
        else:
            assert np.asarray(answer["probability"]).tobytes() == alone(places)
