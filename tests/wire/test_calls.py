"""The calls are the ports: each method of each port, and each error, crosses the wire as itself."""

import inspect
from datetime import UTC, datetime
from typing import get_type_hints

import pytest

from noria import errors
from noria.domain.ids import RunId
from noria.domain.run import Metric, RunBatch
from noria.errors import NoriaError, StoreUnavailable
from noria.ports.metadata import Metadata
from noria.wire.calls import Refusal, calls_of, raised, refusal
from noria.wire.frames import ROWS_A_FRAME, read_frames, write_frames
from noria.wire.nouns import unpack

NOON = datetime(2013, 3, 1, 12, tzinfo=UTC)
CLASSES = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, NoriaError)]


PORTS = [
    (name, get_type_hints(member.fget)["return"])
    for name, member in inspect.getmembers(Metadata, lambda item: isinstance(item, property))
]


@pytest.mark.parametrize(("name", "port"), PORTS)
def test_every_method_of_a_port_is_a_call_with_its_parameters(name, port):
    calls = calls_of(Metadata)

    for verb, method in inspect.getmembers(port, inspect.isfunction):
        if not verb.startswith("_"):
            parameters = tuple(inspect.signature(method).parameters)[1:]
            assert calls[f"{name}.{verb}"].arguments.__struct_fields__ == parameters


def test_what_gives_an_iterator_streams():
    streams = {name for name, call in calls_of(Metadata).items() if call.streams}

    assert streams == {"ledger.stored", "artifacts.digests", "journal.outputs"}


def test_the_database_is_asked_as_a_port_of_its_own_and_never_closed_from_afar():
    asked = {name for name in calls_of(Metadata) if name.startswith("metadata.")}

    assert asked == {"metadata.projects", "metadata.waiting"}


def test_a_batch_crosses_with_its_points_as_columns():
    call = calls_of(Metadata)["runs.log"]
    points = [Metric(key=f"k{step % 2}", value=step / 7, step=step, at=NOON) for step in range(100)]
    batch = RunBatch(run_id=RunId("a"), metrics=points, params={"lr": 0.1, "depth": 3}, tags={"a": "b"})

    body = call.ask({"batch": batch})
    there = call.asked(body)["batch"]

    assert len(body) < 100 * 30 + 100
    assert (list(there.metrics), there.params, there.tags) == (points, batch.params, batch.tags)


def test_a_history_crosses_as_columns_too():
    call = calls_of(Metadata)["series.history"]
    points = [Metric(key="loss", value=float("inf"), step=step, at=NOON) for step in range(3)]

    assert call.answered(call.answer(points)) == points
    assert call.answered(call.answer([])) == []


@pytest.mark.parametrize("kind", CLASSES)
def test_every_error_arrives_as_the_class_that_left(kind):
    error = raised(refusal(kind("problem", cause="cause", remedy="remedy")))

    assert type(error) is kind
    assert (error.problem, error.cause, error.remedy) == ("problem", "cause", "remedy")


def test_an_unknown_code_keeps_whether_a_retry_helps():
    assert type(raised(Refusal(code="noria-9999", problem="p", retryable=True))) is StoreUnavailable
    assert not raised(Refusal(code="noria-9999", problem="p")).retryable


@pytest.mark.parametrize("rows", [0, 1, ROWS_A_FRAME, ROWS_A_FRAME + 1])
def test_frames_carry_all_rows(rows):
    stream = Stream(b"".join(write_frames(range(rows))))

    assert [row for frame in read_frames(stream.read) for row in unpack(frame, list[int], what="rows")] == list(
        range(rows)
    )


def test_a_stream_that_is_cut_anywhere_is_noticed():
    whole = b"".join(write_frames(range(5)))

    for size in range(len(whole)):
        with pytest.raises(ConnectionError):
            list(read_frames(Stream(whole[:size]).read))


class Stream:
    """Gives bytes as a socket may: less than was asked for."""

    def __init__(self, content: bytes) -> None:
        self._rest = content

    def read(self, size: int) -> bytes:
        piece, self._rest = self._rest[: min(size, 3)], self._rest[min(size, 3) :]
        return piece
