"""Answer requests that wait for the same slow model together: while one batch runs in a thread, the next collects. No timer.

Only for models where it pays and changes no bit: judging that, once at load, is companions. Called by server/inference/answering.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from noria.errors import BundleError, Overloaded
from noria.ports.flavor import Columns

MOST_ROWS = 64
"""Rows of one batch: as many as companions tried. A request with more is answered alone."""

MOST_WAITING = 1024
"""Requests that may wait for one model; the next ones are refused."""

log = logging.getLogger(__name__)

_Outcome = Columns | Exception


@dataclass(slots=True, eq=False)
class _Seat:
    """One request that waits. kind: what its columns must share with those of its companions, so that none is coerced."""

    columns: Columns
    rows: int
    kind: tuple[tuple[str, str, tuple[int, ...]], ...]
    answer: "asyncio.Future[Columns]"


class Batcher:
    """Greedy batches in front of one loaded model. Used from one event loop; the model runs in one thread of its own, which ends with the batcher.

    Requests are answered in the order they came. Each gets the rows that it would have got alone: the bits were compared at load.
    """

    def __init__(self, predict: Callable[[Columns], Columns], *, most_rows: int = MOST_ROWS) -> None:
        """predict: answers columns that follow the signature (Predictor.predict)."""
        self._predict = predict
        self._most_rows = most_rows
        self._waiting: deque[_Seat] = deque()
        self._is_running = False
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="noria-batch")

    def join(self, columns: Columns) -> "asyncio.Future[Columns]":
        """Wait for an answer, in company. The columns were checked against the signature: what is invalid never joins.

        The result raises what the model raises for this request alone. Cancelling it takes the request out, and nobody else.
        Raises Overloaded when too many wait already.
        """
        if len(self._waiting) >= MOST_WAITING:
            raise Overloaded(
                "too many requests wait for this model", cause=f"{MOST_WAITING} do", remedy="try again in a moment"
            )
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Columns] = loop.create_future()
        rows = len(next(iter(columns.values())))
        kind = tuple((name, values.dtype.str, values.shape[1:]) for name, values in sorted(columns.items()))
        self._waiting.append(_Seat(columns, rows, kind, answer))
        if not self._is_running:
            self._run_next(loop)
        return answer

    @property
    def waiting(self) -> int:
        """Requests that no batch has taken yet."""
        return len(self._waiting)

    def _run_next(self, loop: asyncio.AbstractEventLoop) -> None:
        seats = self._take()
        self._is_running = bool(seats)
        if seats:
            run = loop.run_in_executor(self._thread, answer_together, self._predict, [s.columns for s in seats])
            run.add_done_callback(lambda done: self._hand_out(seats, done, loop))

    def _take(self) -> list[_Seat]:
        """The oldest request and those behind it that fit: of its kind, and not too many rows in all."""
        seats: list[_Seat] = []
        rows = 0
        while self._waiting:
            seat = self._waiting[0]
            if not seat.answer.cancelled():
                if seats and (rows + seat.rows > self._most_rows or seat.kind != seats[0].kind):
                    break
                seats.append(seat)
                rows += seat.rows
            self._waiting.popleft()
        return seats

    def _hand_out(
        self, seats: list[_Seat], done: "asyncio.Future[list[_Outcome]]", loop: asyncio.AbstractEventLoop
    ) -> None:
        """Start the next batch first, then wake those who were answered."""
        self._run_next(loop)
        error = None if done.cancelled() else done.exception()
        outcomes = [error] * len(seats) if error is not None else [] if done.cancelled() else done.result()
        for seat, outcome in zip(seats, outcomes, strict=False):
            if seat.answer.done():
                continue
            if isinstance(outcome, BaseException):
                seat.answer.set_exception(outcome)
            else:
                seat.answer.set_result(outcome)


def answer_together(predict: Callable[[Columns], Columns], requests: list[Columns]) -> list[_Outcome]:
    """Answer requests as one table, and cut the answers by their numbers of rows. If that fails, each is answered alone and has its own error.

    >>> double = lambda columns: {"y": columns["x"] * 2}
    >>> [answer["y"].tolist() for answer in answer_together(double, [{"x": np.array([1.0])}, {"x": np.array([2.0, 3.0])}])]
    [[2.0], [4.0, 6.0]]
    """
    if len(requests) > 1:
        try:
            return list(cut(predict(joined(requests)), [len(next(iter(c.values()))) for c in requests]))
        except Exception as error:  # noqa: BLE001 - whoever caused it meets it again, alone
            log.debug("a batch of %d requests failed and is answered one by one: %s", len(requests), error)
    return [_alone(predict, columns) for columns in requests]


def joined(requests: list[Columns]) -> Columns:
    """Requests of one kind end to end."""
    return {name: np.concatenate([columns[name] for columns in requests]) for name in requests[0]}


def cut(outputs: Columns, rows: list[int]) -> list[Mapping[str, Any]]:
    """The answers of each request again. Raises BundleError when there is not one row of answers for each row asked."""
    if any(len(values) != sum(rows) for values in outputs.values()):
        raise BundleError("the model gave another number of rows than it was asked for")
    edges = np.cumsum([0, *rows]).tolist()
    return [{name: values[start:end] for name, values in outputs.items()} for start, end in pairwise(edges)]


def _alone(predict: Callable[[Columns], Columns], columns: Columns) -> _Outcome:
    try:
        return predict(columns)
    except Exception as error:  # noqa: BLE001 - raised for the one who asked; the others are answered
        return error
