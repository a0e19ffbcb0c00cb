"""From a decoded request to a recorded answer, the same for every protocol: choose the variant, check, predict, record.

Reading and writing bytes is v2 and mlflow; HTTP is app. Nothing here waits for a disk, a lock of another process or a clock.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from secrets import token_hex
from time import monotonic, perf_counter_ns
from typing import Any, Protocol

import msgspec
import numpy as np

from noria.domain.deployment import Variant
from noria.domain.ids import derive
from noria.domain.prediction import Column, PredictionRecord, Scalar
from noria.errors import DeadlineMissed, InputInvalid, NoriaError, Overloaded, RequestInvalid
from noria.ports.flavor import Columns
from noria.server.inference.metrics import Metrics
from noria.serving.batching import Batcher
from noria.serving.columns import to_lists
from noria.serving.live import Board, Live, Served
from noria.serving.predict import answered_rows, predict, predict_in_company
from noria.serving.record import Recorder
from noria.serving.route import position
from noria.serving.shadow import Copy, Shadows, error_line, is_copied

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


NOTHING = Read({}, [])


class Asked(msgspec.Struct, frozen=True, gc=False):
    """A record that waits to be spelled out (serving/record.Pending). The collector need not look at it: it holds arrays, not cycles.

    named: the caller chose the variant. error: of a request that the variant could not answer; it has no outputs then.
    """

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
    named: bool = False
    error: str = ""

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
            kind="failure" if self.error else "answer",
            weight=None if self.named else self.live.chance(self.variant.name),
            asked=self.named,
            error=self.error,
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
    """What is known of a request before the model answers. read_at: when its columns had been read, where shadows want to know (perf_counter_ns)."""

    live: Live
    served: Served
    question: Question
    request_id: str
    at: datetime
    started: int
    read: Read
    told: "Told"
    read_at: int = 0

    @property
    def rows(self) -> int:
        """How many rows were asked; 0 for a model without inputs."""
        return len(next(iter(self.read.columns.values()), ()))


class Told(msgspec.Struct, frozen=True, gc=False):
    """What the headers say. version: of the path. key: Noria-Request-Key; variant: Noria-Variant; at: Noria-Time.

    headers: all of them (anything with `get`), for a deployment that keeps callers by one. until: when the request's time is over, by monotonic();
    0: never.
    """

    version: str | None = None
    key: str | None = None
    variant: str | None = None
    at: str | None = None
    headers: Any = None
    until: float = 0.0

    @property
    def is_named(self) -> bool:
        """Whether the caller chose who answers."""
        return self.version is not None or self.variant is not None


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
    copy: Copy | None = None
    """For models in the shadow, once the answer is on its way (Answering.sent)."""


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
        shadows: Shadows | None = None,
    ) -> None:
        """replay_clock: believe Noria-Time. Only for replays of the past: otherwise anybody could date a prediction.

        durable: an answer says when its record is on the disk (needs a running event loop); whoever sends it waits for that.
        shadows: who answers copies of requests; None: nobody does.
        """
        self.board = board
        self.recorder = recorder
        self.metrics = metrics
        self._now = now
        self._replay_clock = replay_clock
        self._durable = durable
        self._shadows = shadows

    def answer(self, live: Live, question: Question, told: Told, *, started: int) -> Answer | Awaitable[Answer]:
        """Answer and record one request. started: perf_counter_ns when its body was there. To be awaited where the model is answered in company.

        The same Noria-Request-Key gives the same request id, so a request that is sent again is recorded once. What the variant could not answer is
        recorded as its failure; what is the caller's fault is not.
        Raises RequestInvalid, ModelUnknown, Overloaded, and what the model raises, at once or when it is awaited.
        """
        request_id = f"r{derive(live.deployment, told.key) if told.key else token_hex(16)}"
        at = self._time(told.at)
        served = choose(live, question, told, request_id)
        try:
            read = question.columns(served)
        except InputInvalid as error:
            self._refused(_Asking(live, served, question, request_id, at, started, NOTHING, told), error)
            raise
        read_at = perf_counter_ns() if live.shadows else 0
        asked = _Asking(live, served, question, request_id, at, started, read, told, read_at)
        if served.batcher is not None:
            return self._in_company(served.batcher, asked)
        try:
            outputs, unseen = predict(served, read.columns, known_good=read.known_good)
            values = _values(asked, outputs)
        except InputInvalid as error:
            self._refused(asked, error)
            raise
        except Exception as error:
            self._failed(asked, error)
            raise
        return self._record(asked, outputs, values, unseen)

    def sent(self, answer: Answer) -> None:
        """An answer is on its way: now its copies may be made."""
        if answer.copy is not None and self._shadows is not None:
            self._shadows.offer(answer.copy)

    async def _in_company(self, batcher: Batcher, asked: "_Asking") -> Answer:
        read, told = asked.read, asked.told
        try:
            outputs, unseen = await predict_in_company(batcher, asked.served, read.columns, known_good=read.known_good)
            values = _values(asked, outputs)
        except InputInvalid as error:
            self._refused(asked, error)
            raise
        except asyncio.CancelledError:
            if told.until and monotonic() >= told.until:  # else the caller has gone, which is not the model's fault
                self._failed(asked, DeadlineMissed("the model had not answered when the request's time was over"))
            raise
        except Exception as error:
            self._failed(asked, error)
            raise
        return self._record(asked, outputs, values, unseen)

    def _record(self, asked: "_Asking", outputs: Columns, values: dict[str, list[Scalar]], unseen: int) -> Answer:
        """What is left when the model has answered."""
        live, served, question = asked.live, asked.served, asked.question
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
                asked.told.is_named,
            ),
            then=then,
        )
        self.metrics.answered(
            (live.deployment, variant.number, variant.name, question.protocol),
            seconds=passed / 1e9,
            rows=rows,
            unseen=unseen,
        )
        copy = _copy(asked, rows) if live.shadows and self._shadows is not None else None
        return Answer(asked.request_id, live, served, rows, outputs, values, kept, copy)

    def _failed(self, asked: "_Asking", error: Exception) -> None:
        """Record that a variant could not answer. A ring that is full costs the record, never another error."""
        passed = perf_counter_ns() - asked.started
        rows = asked.rows
        if rows:
            with suppress(Overloaded):
                self.recorder.offer(
                    Asked(
                        asked.request_id,
                        asked.live,
                        asked.served.variant,
                        asked.at,
                        passed // 1000,
                        asked.question.protocol,
                        rows,
                        asked.read.blocks,
                        {},
                        None,
                        asked.told.is_named,
                        error_line(error),
                    )
                )

    def _refused(self, asked: "_Asking", error: InputInvalid) -> None:
        """A request that was refused: the caller's fault if its columns do not follow the signature, else that of the one who refused it.

        It follows the signature and the model will not have it; or it follows that of the champion, and this variant takes other inputs.
        """
        champion, served = asked.live.variants[0], asked.served
        with suppress(NoriaError):
            if asked.read is not NOTHING:
                served.check(asked.read.columns)
                self._failed(asked, error)
                return
        if served is champion or served.signature == champion.signature:
            return
        with suppress(NoriaError):
            read = asked.question.columns(champion)
            champion.check(read.columns)
            self._failed(msgspec.structs.replace(asked, read=read), error)

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


def _values(asked: _Asking, outputs: Columns) -> dict[str, list[Scalar]]:
    """Outputs as they are recorded and sent. Raises BundleError for what is no answer to what was asked."""
    rows = asked.rows
    if rows:
        answered_rows(asked.served, outputs, rows)
    return to_lists(outputs, asked.served.signature.outputs)


def _copy(asked: _Asking, rows: int) -> Copy | None:
    """The request for its shadows, if any of them is to have it."""
    if not any(is_copied(asked.request_id, shadow) for shadow in asked.live.shadows):
        return None
    signature, read, question = asked.served.signature, asked.read, asked.question

    def columns(shadow: Served) -> Columns:
        mine = read if shadow.signature == signature else question.columns(shadow)
        if not mine.known_good:
            shadow.check(mine.columns)
        return mine.columns

    # What reading it cost is part of what every answer to it costs.
    before_us = (asked.read_at - asked.started) // 1000
    return Copy(asked.live, asked.request_id, asked.at, question.protocol, rows, before_us, columns)


def choose(live: Live, question: Question, told: Told, request_id: str) -> Served:
    """The variant that answers: the one asked for by version or by name, else the one that the key falls to.

    What keeps a caller is said by the deployment's `sticky_by` (route.sticky_of); a request without such a value is placed by its id.
    """
    if told.version is not None:
        return live.numbered(told.version)
    if told.variant is not None:
        return live.named(told.variant)
    if len(live.variants) == 1:
        return live.variants[0]
    key: str | None = None
    kind, name = live.held
    if kind == "key":
        key = question.keys[0] if question.keys else None
    elif kind == "input":
        key = question.first(name)
    elif kind == "header":
        key = told.headers.get(name) if told.headers is not None else None
    return live.at(position(request_id if key is None else key, salt=live.rollout or live.deployment))
