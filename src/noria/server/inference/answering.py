"""From a decoded request to a recorded answer, the same for every protocol: choose the variant, check, predict, record.

Reading and writing bytes is v2 and mlflow; HTTP is app. Nothing here waits for a disk, a lock of another process or a clock.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from secrets import token_hex
from time import perf_counter_ns
from typing import Any, Protocol

import msgspec
import numpy as np

from noria.domain.deployment import Variant
from noria.domain.ids import derive
from noria.domain.prediction import Column, PredictionRecord, Scalar
from noria.errors import RequestInvalid
from noria.ports.flavor import Columns
from noria.server.inference.metrics import Metrics
from noria.serving.batching import Batcher
from noria.serving.columns import to_lists
from noria.serving.live import Board, Live, Served
from noria.serving.predict import predict, predict_in_company
from noria.serving.record import Recorder
from noria.serving.route import pick, position

LEAST_PACKED = 8
"""Rows from which a column of numbers is recorded as it lies in memory: below, making a view of it costs more than a list."""


_MEMORY: dict[Any, Any] = {np.dtype(kind): form for kind, form in (("f8", "d"), ("f4", "f"), ("i8", "q"), ("?", "?"))}


class Question(Protocol):
    """A request as a codec read it: columns wait until the variant, and with it the signature, is known."""

    @property
    def protocol(self) -> str:
        """Name of the protocol, for the record."""
        ...

    @property
    def keys(self) -> list[str] | None:
        """One business key a row, if the caller gave them."""
        ...

    def first(self, column: str) -> str | None:
        """The first row's value of a column as text, for sticky routing; None if it is not there."""
        ...

    def columns(self, served: Served) -> "Read":
        """All columns. Raises RequestInvalid naming the column."""
        ...


class Read(msgspec.Struct, frozen=True, gc=False):
    """Columns as arrays. known_good: they follow the signature and nothing is missing (predict).

    blocks: the same values as they are recorded, (names, values with one row a column): turned into lists after the answer is sent.
    """

    columns: Columns
    blocks: list[tuple[list[str], Any]]
    known_good: bool = False


class Asked(msgspec.Struct, frozen=True, gc=False):
    """A record that waits to be spelled out (serving/record.Pending). The collector need not look at it: it holds arrays, not cycles."""

    request_id: str
    live: Live
    variant: Variant
    at: datetime
    latency_us: int
    protocol: str
    rows: int
    blocks: list[tuple[list[str], Any]]
    outputs: dict[str, list[Scalar]]
    keys: list[str] | None

    @property
    def deployment(self) -> str:
        """See Pending."""
        return self.live.deployment

    def record(self) -> PredictionRecord:
        """See Pending."""
        inputs: dict[str, Column] = {}
        for names, values in self.blocks:
            inputs.update(zip(names, _spelled(values, self.rows), strict=True))
        return PredictionRecord(
            request_id=self.request_id,
            deployment=self.live.deployment,
            variant=self.variant.name,
            model=self.variant.model,
            number=self.variant.number,
            bundle=self.variant.bundle,
            generation=self.live.generation,
            at=self.at,
            latency_us=self.latency_us,
            protocol=self.protocol,
            rows=self.rows,
            inputs=inputs,
            outputs=self.outputs,
            rollout=self.live.rollout,
            keys=self.keys,
        )


def _spelled(values: Any, rows: int) -> Sequence[Column]:
    """The columns of a block: lists, or where there are many numbers, their memory as it is."""
    if isinstance(values, list):
        return values
    if rows < LEAST_PACKED or values.dtype not in _MEMORY:
        listed: list[list[Scalar]] = values.tolist()
        return listed
    form = _MEMORY[values.dtype]
    return [np.ascontiguousarray(column).data.cast("B").cast(form) for column in values]


class _Asking(msgspec.Struct, frozen=True, gc=False):
    """What is known of a request before the model answers."""

    live: Live
    served: Served
    question: Question
    request_id: str
    at: datetime
    started: int
    read: Read


class Told(msgspec.Struct, frozen=True, gc=False):
    """What the headers say. version: of the path. key: Noria-Request-Key; variant: Noria-Variant; at: Noria-Time."""

    version: str | None = None
    key: str | None = None
    variant: str | None = None
    at: str | None = None


class Answer(msgspec.Struct, frozen=True, gc=False):
    """An answer that is recorded, or will be within a moment."""

    request_id: str
    live: Live
    served: Served
    rows: int
    outputs: Columns
    values: dict[str, list[Scalar]]
    kept: "asyncio.Future[str] | None" = None
    """In durable mode: done when the record is on the disk; its result names what went wrong, or is ''."""


class Answering:
    """Answers questions about what is on the board, and records each answer."""

    def __init__(
        self,
        board: Board,
        recorder: Recorder,
        metrics: Metrics,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        replay_clock: bool = False,
        durable: bool = False,
    ) -> None:
        """replay_clock: believe Noria-Time. Only for replays of the past: otherwise anybody could date a prediction.

        durable: an answer says when its record is on the disk (needs a running event loop); whoever sends it waits for that.
        """
        self.board = board
        self.recorder = recorder
        self.metrics = metrics
        self._now = now
        self._replay_clock = replay_clock
        self._durable = durable

    def answer(self, live: Live, question: Question, told: Told, *, started: int) -> Answer | Awaitable[Answer]:
        """Answer and record one request. started: perf_counter_ns when its body was there. To be awaited where the model is answered in company.

        The same Noria-Request-Key gives the same request id, so a request that is sent again is recorded once.
        Raises RequestInvalid, ModelUnknown, Overloaded, at once or when it is awaited.
        """
        request_id = f"r{derive(live.deployment, told.key) if told.key else token_hex(16)}"
        at = self._time(told.at)
        served = choose(live, question, told, request_id)
        read = question.columns(served)
        asked = _Asking(live, served, question, request_id, at, started, read)
        if served.batcher is not None:
            return self._in_company(served.batcher, asked)
        outputs, unseen = predict(served, read.columns, known_good=read.known_good)
        return self._record(asked, outputs, unseen)

    async def _in_company(self, batcher: Batcher, asked: "_Asking") -> Answer:
        read = asked.read
        outputs, unseen = await predict_in_company(batcher, asked.served, read.columns, known_good=read.known_good)
        return self._record(asked, outputs, unseen)

    def _record(self, asked: "_Asking", outputs: Columns, unseen: int) -> Answer:
        """What is left when the model has answered."""
        live, served, question = asked.live, asked.served, asked.question
        values = to_lists(outputs, served.signature.outputs)
        rows = len(next(iter(values.values())))
        keys = question.keys
        if keys is not None and len(keys) != rows:
            raise RequestInvalid(f"{len(keys)} keys came with {rows} rows", remedy="send one key a row, or none")
        passed = perf_counter_ns() - asked.started
        variant = served.variant
        kept, then = _promise() if self._durable else (None, None)
        self.recorder.offer(
            Asked(
                asked.request_id,
                live,
                variant,
                asked.at,
                passed // 1000,
                question.protocol,
                rows,
                asked.read.blocks,
                values,
                keys,
            ),
            then=then,
        )
        self.metrics.answered(
            (live.deployment, variant.number, variant.name, question.protocol),
            seconds=passed / 1e9,
            rows=rows,
            unseen=unseen,
        )
        return Answer(asked.request_id, live, served, rows, outputs, values, kept)

    def _time(self, given: str | None) -> datetime:
        """When it was asked: now, or what the caller says in a replay."""
        if given is None or not self._replay_clock:
            return self._now()
        try:
            at = datetime.fromisoformat(given)
        except ValueError as exc:
            raise RequestInvalid(
                f"header Noria-Time is {given!r}", cause=str(exc), remedy="send RFC 3339: 2013-02-01T07:30:00Z"
            ) from exc
        if at.tzinfo is None:
            raise RequestInvalid(
                f"header Noria-Time is {given!r}",
                cause="it has no time zone",
                remedy="send RFC 3339: 2013-02-01T07:30:00Z",
            )
        return at.astimezone(UTC)


def _promise() -> "tuple[asyncio.Future[str], Callable[[str], None]]":
    """A future of this loop, and what fulfils it from another thread."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[str] = loop.create_future()

    def fulfil(problem: str) -> None:
        loop.call_soon_threadsafe(lambda: None if future.done() else future.set_result(problem))

    return future, fulfil


def choose(live: Live, question: Question, told: Told, request_id: str) -> Served:
    """The variant that answers: the one asked for by version or by name, else the one that the key falls to.

    sticky_by 'request': the request id; 'key': the first row's business key; anything else: the first row's value of that column. A request
    without such a value is placed by its id.
    """
    if told.version is not None:
        return live.numbered(told.version)
    if told.variant is not None:
        return live.named(told.variant)
    if len(live.variants) == 1:
        return live.variants[0]
    key: str | None = None
    if live.sticky_by == "key":
        key = question.keys[0] if question.keys else None
    elif live.sticky_by != "request":
        key = question.first(live.sticky_by)
    place = position(request_id if key is None else key, salt=live.rollout or live.deployment)
    return live.variants[pick(live.weights(), place)]
