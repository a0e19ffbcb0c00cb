"""Open Inference Protocol V2 over REST: its paths, answers in JSON and in the binary tensors that Triton's client asks for by default.

Source: kserve/open-inference-protocol, specification/protocol/inference_rest.md; Triton, extension_binary_data.md. Reading a request is v2_question.
"""

from typing import Any, cast

import msgspec
import numpy as np

from noria import __version__
from noria.domain.model import Field
from noria.errors import NoriaError, RequestInvalid
from noria.server.inference.answering import Answer, Question
from noria.server.inference.codec import Call, Desk, Headers, Reply
from noria.server.inference.v2_question import V2Question, Wanted
from noria.serving.columns import DTYPES
from noria.serving.live import Live, Served

_encode = msgspec.json.Encoder().encode


class V2Codec:
    """See codec.Codec. Verbs: infer; live, ready, server; model, model_ready."""

    name = "v2"
    roots = ("v2",)

    def call(self, method: str, path: str) -> Call | None:
        """See Codec."""
        asked = {"/v2/health/live": "live", "/v2/health/ready": "ready", "/v2": "server"}.get(path)
        if asked is not None:
            return Call("tell", asked, is_open=asked != "server") if method == "GET" else None
        match path.split("/")[3:] if path.startswith("/v2/models/") else []:
            case [model, *rest] if model:
                version = rest[1] if len(rest) > 1 and rest[0] == "versions" and rest[1] else None
                verb = tuple(rest[2:] if version is not None else rest)
                if method == "POST" and verb == ("infer",):
                    return Call("predict", "infer", model, version)
                if method == "GET" and verb in ((), ("ready",)):
                    return Call("tell", "model_ready" if verb else "model", model, version)
        return None

    def ask(self, call: Call, headers: Headers, body: bytes) -> Question:
        """See Codec."""
        return V2Question(body, header_length=headers.get("inference-header-content-length"))

    def respond(self, call: Call, question: Question, answer: Answer) -> Reply:
        """See Codec."""
        content, json_length = respond(answer, cast(V2Question, question))
        if json_length is None:
            return Reply(content)
        told = (("content-type", "application/octet-stream"), ("inference-header-content-length", str(json_length)))
        return Reply(content, headers=told)

    async def tell(self, call: Call, headers: Headers, body: bytes, desk: Desk) -> Reply:
        """See Codec."""
        if call.verb in ("live", "ready"):
            fine = call.verb == "live" or desk.board.ready()
            return Reply(_encode({call.verb: fine}), 200 if fine else 503)
        if call.verb == "server":
            return Reply(_encode({"name": "noria", "version": __version__, "extensions": ["binary_tensor_data"]}))
        live = desk.board.get(call.model)
        served = live.variants[0] if call.version is None else live.numbered(call.version)
        if call.verb == "model_ready":
            return Reply(_encode({"name": call.model, "ready": True}))
        return Reply(metadata(live, served))

    def refuse(self, call: Call | None, status: int, error: NoriaError) -> Reply:
        """See Codec."""
        return Reply(_encode({"error": str(error)}), status)


CODEC = V2Codec()


def respond(answer: Answer, question: V2Question) -> tuple[bytes, int | None]:
    """The body of an answer, and the length of its JSON if binary tensors follow. Raises RequestInvalid for an output that does not exist."""
    request = question.request
    fields = answer.served.signature.outputs
    everything_binary = bool((request.parameters or {}).get("binary_data_output", False))
    wanted = (
        [(f, everything_binary) for f in fields]
        if not request.outputs
        else _wanted(request.outputs, fields, binary=everything_binary)
    )
    outputs: list[dict[str, Any]] = []
    tail: list[bytes] = []
    for field, binary in wanted:
        shape = [answer.rows] if field.width == 1 else [answer.rows, field.width]
        tensor: dict[str, Any] = {"name": field.name, "datatype": field.datatype, "shape": shape}
        if binary:
            content = _to_binary(answer.outputs[field.name], field)
            tensor["parameters"] = {"binary_data_size": len(content)}
            tail.append(content)
        elif field.width == 1:
            tensor["data"] = answer.values[field.name]
        else:
            tensor["data"] = answer.outputs[field.name].ravel().tolist()
        outputs.append(tensor)
    variant = answer.served.variant
    body: dict[str, Any] = {
        "model_name": answer.live.deployment,
        "model_version": str(variant.number),
        "parameters": {"request_id": answer.request_id, "variant": variant.name, "version": variant.version},
        "outputs": outputs,
    }
    if request.id is not None:
        body["id"] = request.id
    head = _encode(body)
    return (b"".join([head, *tail]), len(head)) if tail else (head, None)


def _wanted(outputs: list[Wanted], fields: tuple[Field, ...], *, binary: bool) -> list[tuple[Field, bool]]:
    by_name = {f.name: f for f in fields}
    chosen = []
    for output in outputs:
        field = by_name.get(output.name)
        if field is None:
            raise RequestInvalid(
                f"the model has no output {output.name!r}", cause=f"its outputs: {', '.join(repr(n) for n in by_name)}"
            )
        chosen.append((field, bool((output.parameters or {}).get("binary_data", binary))))
    return chosen


def _to_binary(values: Any, field: Field) -> bytes:
    if field.datatype != "BYTES":
        content: bytes = np.ascontiguousarray(
            values, dtype=np.dtype(DTYPES[field.datatype]).newbyteorder("<")
        ).tobytes()
        return content
    texts = [str(value).encode() for value in values.ravel().tolist()]
    return b"".join(len(text).to_bytes(4, "little") + text for text in texts)


def metadata(live: Live, served: Served) -> bytes:
    """What a model takes and gives."""
    platform = "onnxruntime_onnx" if served.flavor == "onnx" else served.flavor
    return _encode(
        {
            "name": live.deployment,
            "versions": [str(s.variant.number) for s in live.variants],
            "platform": platform,
            "inputs": [_described(f) for f in served.signature.inputs],
            "outputs": [_described(f) for f in served.signature.outputs],
        }
    )


def _described(field: Field) -> dict[str, Any]:
    return {"name": field.name, "datatype": field.datatype, "shape": [-1] if field.width == 1 else [-1, field.width]}
