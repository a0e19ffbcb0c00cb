"""A model of every datatype, answered in this process: requests of REST and of gRPC go through the real codecs into the real answering."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread
from time import perf_counter_ns
from typing import Any

import msgspec
import numpy as np

from noria.adapters.predictions import memory
from noria.domain.deployment import Variant
from noria.domain.ids import Digest
from noria.domain.model import Field, Signature
from noria.packaging.signature import checker, unseen_counter
from noria.server.inference.access import Keys
from noria.server.inference.answering import Answering, Told
from noria.server.inference.app import InferenceApp
from noria.server.inference.codec import Desk, Reply
from noria.server.inference.limits import Gate, Limits
from noria.server.inference.metrics import Metrics
from noria.server.inference.v2 import CODEC
from noria.serving.live import Board, Live, Served
from noria.serving.record import Recorder
from tests.server.inference_rig import _Protocol, _Scope

FIELDS = (
    Field(name="truth", datatype="BOOL"),
    Field(name="count", datatype="INT64"),
    Field(name="single", datatype="FP32"),
    Field(name="double", datatype="FP64", nullable=True),
    Field(name="text", datatype="BYTES"),
    Field(name="pair", datatype="FP32", width=2),
)
SIGNATURE = Signature(
    inputs=FIELDS, outputs=tuple(msgspec.structs.replace(f, name=f"{f.name}_out", nullable=False) for f in FIELDS)
)
ONE = Signature(
    inputs=(Field(name="pair", datatype="FP32", width=2),), outputs=(Field(name="pair_out", datatype="FP32", width=2),)
)


class Echo:
    """A model that answers each column with itself."""

    def predict(self, columns: Any) -> Any:
        return {f"{name}_out": values for name, values in columns.items()}


def served(signature: Signature = SIGNATURE, *, number: int = 1, name: str = "champion", weight: float = 1.0) -> Served:
    variant = Variant(
        name=name,  # type: ignore[arg-type]
        model="echo",
        number=number,
        version=f"{number}.0.0",
        bundle=Digest(f"{number:064d}"),
        weight=weight,
    )
    return Served(variant, signature, Echo(), checker(signature), unseen_counter(signature), "onnx")


class Shelf:
    """Loads and unloads what is on the board, and nothing else."""

    def __init__(self, board: Board) -> None:
        self.board = board
        self.known = {live.deployment: live for live in board.all()}

    def load(self, name: str) -> None:
        if name in self.known:
            self.board.put(self.known[name])
        self.board.get(name)

    def unload(self, name: str) -> None:
        self.board.get(name)
        self.board.unload(name)


class House:
    """A board with deployments 'echo' (every datatype), 'one' (one column), 'split' (two variants, sticky by text), and their answering."""

    def __init__(self, **settings: Any) -> None:
        board = Board()
        board.put(Live("echo", 1, (served(),)))
        board.put(Live("one", 1, (served(ONE, number=3),)))
        both = (served(weight=0.5, number=4), served(weight=0.5, number=5, name="challenger"))
        board.put(Live("split", 1, both, sticky_by="text"))
        board.wanted("soon")
        self.board = board
        self.log = memory.open_store()
        self.recorder = Recorder(lambda deployment: self.log.writer(deployment, name="v2"), linger_s=0.0)
        self.metrics = Metrics()
        self.answering = Answering(board, self.recorder, self.metrics, **settings)
        self.desk = Desk(board, Shelf(board), self.metrics)
        self.app = InferenceApp(self.answering, status=dict, flush=None, shelf=self.desk.shelf)  # type: ignore[arg-type]

    def rest(self, body: Any, *, name: str = "echo", version: str | None = None, **headers: str) -> tuple[Any, Reply]:
        """POST .../infer without the sockets: (the JSON of the answer, the reply). Raises what app turns into a status."""
        path = f"/v2/models/{name}/infer" if version is None else f"/v2/models/{name}/versions/{version}/infer"
        call = CODEC.call("POST", path)
        assert call is not None
        content = body if isinstance(body, bytes) else msgspec.json.encode(body)
        question = CODEC.ask(call, {k.replace("_", "-"): v for k, v in headers.items()}, content)  # type: ignore[arg-type]
        live = self.board.get(call.model)
        answer = self.answering.answer(live, question, Told(call.version), started=perf_counter_ns())
        reply = CODEC.respond(call, question, answer)  # type: ignore[arg-type]
        length = dict(reply.headers).get("inference-header-content-length")
        return msgspec.json.decode(reply.body[: int(length) if length else None]), reply

    def http(
        self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None
    ) -> tuple[int, dict[str, str], bytes]:
        """A request through the whole HTTP application: (status, headers, body)."""
        protocol = _Protocol(body)
        asyncio.run(
            self.app.__rsgi__(_Scope(method, path, {"content-length": str(len(body)), **(headers or {})}), protocol)
        )
        assert protocol.status, "nothing was answered"
        return protocol.status, protocol.headers, protocol.content

    def tell(self, method: str, path: str, body: bytes = b"") -> tuple[int, Any]:
        """Anything else over REST: (status, JSON)."""
        call = CODEC.call(method, path)
        assert call is not None, f"{method} {path} is not understood"
        reply = asyncio.run(CODEC.tell(call, {}, body, self.desk))  # type: ignore[arg-type]
        return reply.status, msgspec.json.decode(reply.body)

    def close(self) -> None:
        self.recorder.close()


@contextmanager
def a_house(**settings: Any) -> Iterator[House]:
    house = House(**settings)
    try:
        yield house
    finally:
        house.close()


@contextmanager
def a_port(house: House, *, keys: Keys | None = None, limits: Limits | None = None, **settings: Any) -> Iterator[str]:
    """The gRPC port of a house, answered on a loop in a thread of its own: its address."""
    from noria.server.inference.grpc.server import open_server

    loop = asyncio.new_event_loop()
    thread = Thread(target=loop.run_forever, daemon=True)
    thread.start()

    def on_loop(work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, loop).result(30)

    gate = Gate(limits or Limits())
    server = on_loop(open_server(house.answering, house.desk, keys=keys, gate=gate, **settings))
    on_loop(server.start())
    try:
        yield f"127.0.0.1:{server.port}"
    finally:
        on_loop(server.stop(1.0))
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


def columns(rows: int = 3, seed: int = 1) -> dict[str, np.ndarray]:
    """Values of every column, by name."""
    rng = np.random.default_rng(seed)
    return {
        "truth": rng.random(rows) < 0.5,
        "count": rng.integers(-(2**63), 2**63 - 1, rows, dtype=np.int64, endpoint=True),
        "single": rng.normal(0, 1e3, rows).astype(np.float32),
        "double": rng.normal(0, 1e300, rows),
        "text": np.array([f'ä{i}\n"' * (i % 3) for i in range(rows)], object),
        "pair": rng.normal(0, 1, (rows, 2)).astype(np.float32),
    }


KINDS = {f.name: f.datatype for f in FIELDS}


def as_json(values: dict[str, np.ndarray], **more: Any) -> dict[str, Any]:
    inputs = [
        {"name": name, "datatype": KINDS[name], "shape": list(held.shape), "data": held.tolist()}
        for name, held in values.items()
    ]
    return {"inputs": inputs, **more}


def raw(held: np.ndarray) -> bytes:
    if held.dtype == object:
        return b"".join(len(t.encode()).to_bytes(4, "little") + t.encode() for t in held)
    return np.ascontiguousarray(held).tobytes()


def as_binary(values: dict[str, np.ndarray], **more: Any) -> tuple[bytes, str]:
    """(body, length of its JSON)."""
    tail = [raw(held) for held in values.values()]
    inputs = [
        {
            "name": name,
            "datatype": KINDS[name],
            "shape": list(held.shape),
            "parameters": {"binary_data_size": len(part)},
        }
        for (name, held), part in zip(values.items(), tail, strict=True)
    ]
    head = msgspec.json.encode({"inputs": inputs, **more})
    return b"".join([head, *tail]), str(len(head))


def as_message(values: dict[str, np.ndarray], *, is_raw: bool, name: str = "echo", **more: Any) -> Any:
    from noria.server.inference.grpc.question import CONTENTS
    from noria.server.inference.grpc.schema import message

    request = message("ModelInferRequest")(model_name=name, **more)
    for column, held in values.items():
        tensor = request.inputs.add(name=column, datatype=KINDS[column], shape=held.shape)
        if is_raw:
            request.raw_input_contents.append(raw(held))
        else:
            plain = [t.encode() for t in held] if held.dtype == object else held.ravel().tolist()
            getattr(tensor.contents, CONTENTS[KINDS[column]]).extend(plain)
    return request


def ask(address: str, method: str, request: Any, *, metadata: Any = (), timeout: float = 20.0) -> Any:
    """One call to the port by gRPC's own channel: the answer's message. Raises grpc.RpcError."""
    import grpc

    from noria.server.inference.grpc.schema import SERVICE, message

    kind = type(request).__name__.removesuffix("Request") if not isinstance(request, bytes) else method
    path = f"/{SERVICE if not kind.startswith('Health') else 'grpc.health.v1.Health'}/{method}"
    with grpc.insecure_channel(address) as channel:
        call = channel.unary_unary(path)
        content = request if isinstance(request, bytes) else request.SerializeToString()
        answered = call(content, metadata=metadata, timeout=timeout)
        return message(f"{kind}Response").FromString(answered)
