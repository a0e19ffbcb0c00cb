"""The worker's HTTP application without a server: requests go in as RSGI hands them over, answers and records come out. For tests that ask often."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import numpy as np

from noria.domain.model import Field, Signature
from noria.domain.prediction import PredictionRecord
from noria.packaging.signature import checker, unseen_counter
from noria.server.inference.answering import Answering
from noria.server.inference.app import InferenceApp
from noria.server.inference.codec import Codec
from noria.server.inference.metrics import Metrics
from noria.server.inference.protocols import CODECS
from noria.serving.live import Board, Live, Served
from noria.serving.record import Recorder
from tests.serving.worker_factory import variant

INPUTS = (
    Field(name="distance", datatype="FP64"),
    Field(name="delay", datatype="FP64", nullable=True),
    Field(name="speed", datatype="FP32"),
    Field(name="hour", datatype="INT64"),
    Field(name="late", datatype="BOOL"),
    Field(name="carrier", datatype="BYTES", categories=("AA", "UA")),
    Field(name="note", datatype="BYTES", nullable=True),
)
PLAIN = Signature(inputs=INPUTS, outputs=(Field(name="probability", datatype="FP32"),))
SEVERAL = Signature(
    inputs=INPUTS,
    outputs=(
        Field(name="probability", datatype="FP64"),
        Field(name="hour", datatype="INT64"),
        Field(name="word", datatype="BYTES"),
        Field(name="raw_bytes", datatype="BYTES"),
        Field(name="late", datatype="BOOL"),
    ),
)
WIDE = Signature(
    inputs=(Field(name="x", datatype="FP32", width=3), Field(name="n", datatype="INT64")),
    outputs=(Field(name="probabilities", datatype="FP64", width=3),),
)
ONE = Signature(inputs=(Field(name="x", datatype="FP64"),), outputs=(Field(name="y", datatype="FP64"),))
VECTOR = Signature(inputs=(Field(name="x", datatype="FP64", width=2),), outputs=(Field(name="y", datatype="FP64"),))
TEXT = Signature(inputs=(Field(name="x", datatype="BYTES"),), outputs=(Field(name="y_bytes", datatype="BYTES"),))


class Arithmetic:
    """A predictor whose answers show every bit of what it was given."""

    def __init__(self, signature: Signature) -> None:
        self.signature = signature

    def predict(self, columns: Mapping[str, Any]) -> dict[str, Any]:
        if self.signature == WIDE:
            scores = np.asarray(columns["x"], np.float64) + columns["n"][:, None]
            return {"probabilities": scores}
        if self.signature == ONE:
            return {"y": columns["x"] / 2 + 3}
        if self.signature == VECTOR:
            return {"y": columns["x"][:, 0] - columns["x"][:, 1]}
        if self.signature == TEXT:
            return {"y_bytes": np.array([f"{v}!" for v in columns["x"]], dtype=object)}
        words = [
            len(c) + (0 if n is None else len(n)) for c, n in zip(columns["carrier"], columns["note"], strict=True)
        ]
        with np.errstate(over="ignore"):
            mixed = np.nan_to_num(columns["delay"], nan=-1.0) * 1e-3 + columns["distance"]
            mixed = mixed + columns["speed"] + np.array(words)
        mixed = np.where(columns["late"], mixed, -mixed)
        if self.signature == PLAIN:
            with np.errstate(over="ignore"):
                return {"probability": mixed.astype(np.float32)}
        text = np.array([f'{c},"{n}"' for c, n in zip(columns["carrier"], columns["note"], strict=True)], dtype=object)
        return {
            "probability": mixed,
            "hour": columns["hour"],
            "word": text,
            "raw_bytes": text,
            "late": np.asarray(columns["late"]),
        }


class Kept:
    """A prediction log in a list."""

    def __init__(self) -> None:
        self.records: list[PredictionRecord] = []

    def write(self, records: Any) -> None:
        self.records.extend(records)

    def close(self) -> None:
        pass


class _Scope:
    proto, query_string, client = "http", "", "127.0.0.1:1"

    def __init__(self, method: str, path: str, headers: dict[str, str]) -> None:
        self.method, self.path, self.headers = method, path, headers


class _Protocol:
    def __init__(self, body: bytes) -> None:
        self.body, self.status, self.headers, self.content = body, 0, {}, b""

    async def __call__(self) -> bytes:
        return self.body

    def response_bytes(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        assert not self.status, "answered twice"
        self.status, self.headers, self.content = status, dict(headers), body
        assert len(self.headers) == len(headers), f"a header twice: {headers}"


class _Shelf:
    def load(self, name: str) -> None:
        raise AssertionError("nothing is loaded here")

    unload = load


class Rig:
    """A worker with one deployment a signature, in this process."""

    def __init__(self, signatures: Mapping[str, Signature], *, codecs: tuple[Codec, ...] = CODECS) -> None:
        board = Board()
        for name, signature in signatures.items():
            served = [
                Served(v, signature, Arithmetic(signature), checker(signature), unseen_counter(signature), "python")
                for v in (variant(f"{name}1"), variant(f"{name}2", name="challenger", number=2, weight=0.0))  # type: ignore[arg-type]
            ]
            board.put(Live(name, 1, tuple(served)))
        self.log = Kept()
        self.recorder = Recorder(lambda _: self.log, linger_s=0.0)
        answering = Answering(board, self.recorder, Metrics(), now=lambda: datetime(2026, 1, 2, tzinfo=UTC))
        self.app = InferenceApp(answering, status=dict, flush=None, shelf=_Shelf(), codecs=codecs)  # type: ignore[arg-type]
        self.loop = asyncio.new_event_loop()

    def ask(
        self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> tuple[int, dict[str, str], bytes]:
        sent = {"content-length": str(len(body)), **(headers or {})}
        protocol = _Protocol(body)
        self.loop.run_until_complete(self.app.__rsgi__(_Scope(method, path, sent), protocol))
        assert protocol.status, "nothing was answered"
        return protocol.status, protocol.headers, protocol.content

    def record(self, request_id: str) -> PredictionRecord:
        assert self.recorder.flush()
        return next(r for r in reversed(self.log.records) if r.request_id == request_id)

    def close(self) -> None:
        self.recorder.close()
        self.loop.close()
