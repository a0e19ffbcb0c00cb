"""The calls are the ports: each method of each port, and each error, crosses the wire as itself."""

import inspect

import pytest

from noria import errors
from noria.errors import NoriaError, StoreUnavailable
from noria.ports.ledger import Ledger
from noria.ports.metadata import Metadata
from noria.ports.runs import RunStore
from noria.wire.calls import Refusal, calls_of, raised, refusal
from noria.wire.frames import ROWS_A_FRAME, read_frames, write_frames
from noria.wire.nouns import unpack

CLASSES = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, NoriaError)]


@pytest.mark.parametrize(("name", "port"), [("ledger", Ledger), ("runs", RunStore)])
def test_every_method_of_a_port_is_a_call_with_its_parameters(name, port):
    calls = calls_of(Metadata)

    for verb, method in inspect.getmembers(port, inspect.isfunction):
        if not verb.startswith("_"):
            parameters = tuple(inspect.signature(method).parameters)[1:]
            assert calls[f"{name}.{verb}"].arguments.__struct_fields__ == parameters


def test_only_the_stored_rows_stream():
    assert [name for name, call in calls_of(Metadata).items() if call.streams] == ["ledger.stored"]


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
