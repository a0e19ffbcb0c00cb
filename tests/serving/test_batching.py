"""Requests in company: nobody waits for a timer, nobody gets another's answer or error, and a batch has its bounds."""

import asyncio
from threading import Event

import numpy as np
import pytest

from noria.errors import Overloaded, RequestInvalid
from noria.serving.batching import MOST_WAITING, Batcher, answer_together


def ask(*values):
    return {"x": np.array(values, dtype=float)}


class Model:
    """Doubles numbers, remembers the rows of its calls, and waits where told to."""

    def __init__(self):
        self.calls = []
        self.gate = Event()
        self.gate.set()

    def predict(self, columns):
        self.gate.wait(10)
        self.calls.append(columns["x"].tolist())
        if -1.0 in columns["x"]:
            raise RequestInvalid("minus one cannot be doubled")
        return {"y": columns["x"] * 2}


async def behind_the_first(model, *requests, batcher=None):
    """Hold the first request in the model while the others come; give what became of all."""
    batcher = batcher or Batcher(model.predict)
    model.gate.clear()
    answers = [batcher.join(columns) for columns in requests]
    await asyncio.sleep(0)
    model.gate.set()
    return await asyncio.gather(*answers, return_exceptions=True)


def test_what_comes_while_a_batch_runs_is_the_next_batch():
    model = Model()

    answers = asyncio.run(behind_the_first(model, ask(1), ask(2), ask(3, 4), ask(5)))

    assert model.calls == [[1], [2, 3, 4, 5]]
    assert [a["y"].tolist() for a in answers] == [[2], [4], [6, 8], [10]]


def test_a_request_that_comes_alone_does_not_wait_for_company():
    model = Model()

    answer = asyncio.run(behind_the_first(model, ask(7)))

    assert model.calls == [[7]]
    assert answer[0]["y"].tolist() == [14]


def test_an_error_of_one_request_is_its_own():
    model = Model()

    answers = asyncio.run(behind_the_first(model, ask(1), ask(2), ask(-1), ask(3)))

    assert isinstance(answers[2], RequestInvalid)
    assert [a["y"].tolist() for a in answers if not isinstance(a, Exception)] == [[2], [4], [6]]


def test_a_cancelled_request_is_not_asked_and_holds_nobody_up():
    model = Model()

    async def run():
        batcher = Batcher(model.predict)
        model.gate.clear()
        answers = [batcher.join(ask(n)) for n in (1, 2, 3)]
        answers[1].cancel()
        model.gate.set()
        return await asyncio.gather(*answers, return_exceptions=True)

    answers = asyncio.run(run())

    assert isinstance(answers[1], asyncio.CancelledError)
    assert model.calls == [[1], [3]]
    assert answers[2]["y"].tolist() == [6]


def test_a_batch_has_its_bound_and_keeps_the_order():
    model = Model()

    asyncio.run(
        behind_the_first(
            model, ask(0), ask(1, 2), ask(3, 4), ask(5), ask(*range(6, 16)), batcher=Batcher(model.predict, most_rows=4)
        )
    )

    assert model.calls == [[0], [1, 2, 3, 4], [5], list(range(6, 16))]


def test_columns_of_another_type_are_not_coerced_into_company():
    model = Model()
    single = {"x": np.array([2.0], dtype=np.float32)}

    answers = asyncio.run(behind_the_first(model, ask(1), ask(3), single, ask(4)))

    assert model.calls == [[1], [3], [2], [4]]
    assert answers[2]["y"].dtype == np.float32


def test_beyond_its_bound_the_queue_refuses():
    model = Model()

    async def run():
        batcher = Batcher(model.predict)
        model.gate.clear()
        answers = [batcher.join(ask(n)) for n in range(MOST_WAITING + 1)]
        try:
            with pytest.raises(Overloaded, match="too many requests"):
                batcher.join(ask(0))
        finally:
            model.gate.set()
        return len(await asyncio.gather(*answers))

    assert asyncio.run(run()) == MOST_WAITING + 1


def test_a_model_that_answers_too_few_rows_is_asked_one_by_one():
    calls = []

    def first_row(columns):
        calls.append(len(columns["x"]))
        return {"y": columns["x"][:1]}

    answers = answer_together(first_row, [ask(1), ask(2)])

    assert calls == [2, 1, 1]
    assert [a["y"].tolist() for a in answers] == [[1], [2]]
