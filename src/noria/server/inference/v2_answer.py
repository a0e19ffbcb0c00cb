"""An answer in the Open Inference Protocol V2: which outputs, their order, as values, as bytes or as classes; REST's body of them.

Source: kserve/open-inference-protocol, inference_rest.md; Triton, extension_{binary_data,classification}.md. Called by v2 and grpc/answer.
"""

import gzip
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np

from noria.domain.model import Field
from noria.errors import RequestInvalid
from noria.server.inference.answering import Answer
from noria.server.inference.codec import HeaderList, Reply
from noria.server.inference.v2_question import V2Question
from noria.server.inference.v2_usual import Wanted
from noria.serving.columns import DTYPES

SMALL_BYTES = 4096
"""Below this an answer is compressed only for a client that names one encoding, and so means it: compressing costs more than sending."""
_encode = msgspec.json.Encoder().encode


class Output(msgspec.Struct, frozen=True, gc=False):
    """One output tensor as it is answered. values: an array, or a list of texts if datatype is BYTES. binary: as REST asked for it."""

    name: str
    datatype: str
    shape: list[int]
    values: Any
    binary: bool = False


def outputs_of(answer: Answer, wanted: Sequence[Wanted] | None, *, binary: bool = False) -> list[Output]:
    """The outputs that were asked for, in that order; all of them if none were. Raises RequestInvalid for one that does not exist."""
    fields = answer.served.signature.outputs
    if not wanted:
        return [_output(answer, field, {}, binary=binary) for field in fields]
    by_name = {f.name: f for f in fields}
    chosen: dict[str, Output] = {}
    for one in wanted:
        field = by_name.get(one.name)
        if field is None:
            raise RequestInvalid(
                f"the model has no output {one.name!r}",
                remedy="ask for outputs that the model's metadata names",
            )
        if one.name in chosen:
            raise RequestInvalid(f"output {one.name!r} is asked for twice", remedy="ask for each output once")
        chosen[one.name] = _output(answer, field, one.parameters or {}, binary=binary)
    return list(chosen.values())


def parameters_of(answer: Answer) -> dict[str, str]:
    """What the answer's parameters say: which prediction this is, and which variant and version gave it."""
    variant = answer.served.variant
    return {"request_id": answer.request_id, "variant": variant.name, "version": variant.version}


def respond(answer: Answer, question: V2Question) -> Reply:
    """REST's answer: JSON, and behind it the binary tensors that were asked for. Raises RequestInvalid."""
    request = question.request
    everything = _flag(request.parameters or {}, "binary_data_output", otherwise=False)
    described: list[dict[str, Any]] = []
    tail: list[bytes] = []
    for output in outputs_of(answer, request.outputs, binary=everything):
        tensor: dict[str, Any] = {"name": output.name, "datatype": output.datatype, "shape": output.shape}
        if output.binary:
            content = to_bytes(output)
            tensor["parameters"] = {"binary_data_size": len(content)}
            tail.append(content)
        else:
            tensor["data"] = _listed(answer, output)
        described.append(tensor)
    body: dict[str, Any] = {
        "model_name": answer.live.deployment,
        "model_version": str(answer.served.variant.number),
        "parameters": parameters_of(answer),
        "outputs": described,
    }
    if request.id is not None:
        body["id"] = request.id
    head = _encode(body)
    if not tail:
        return compressed(Reply(head), question.accepts)
    told = (("content-type", "application/octet-stream"), ("inference-header-content-length", str(len(head))))
    return compressed(Reply(b"".join([head, *tail]), headers=told), question.accepts)


def compressed(reply: Reply, accepts: str | None) -> Reply:
    """The reply as the header Accept-Encoding wishes it. Inference-Header-Content-Length goes on to count the JSON before compression.

    >>> reply = compressed(Reply(b"{}"), "gzip")
    >>> reply.headers[-2], gzip.decompress(reply.body)
    (('content-encoding', 'gzip'), b'{}')
    >>> compressed(Reply(b"{}"), "gzip, deflate, br").body
    b'{}'
    """
    if accepts is None:
        return reply
    weights = _weights(accepts)
    encoding = next((name for name in ("gzip", "deflate") if weights.get(name, weights.get("*", 0.0)) > 0), None)
    if encoding is None or (len(reply.body) < SMALL_BYTES and len(weights) > 1):
        return reply
    body = gzip.compress(reply.body, 1, mtime=0) if encoding == "gzip" else zlib.compress(reply.body, 1)
    told: HeaderList = (("content-encoding", encoding), ("vary", "accept-encoding"))
    return Reply(body, reply.status, reply.headers + told)


def to_bytes(output: Output) -> bytes:
    """An output as a binary tensor: little-endian, row by row; a text is 4 bytes of length and then UTF-8."""
    if output.datatype == "BYTES":
        return b"".join(len(text).to_bytes(4, "little") + text for text in texts(output))
    kind = np.dtype(DTYPES[output.datatype]).newbyteorder("<")  # type: ignore[index]
    content: bytes = np.ascontiguousarray(output.values, dtype=kind).tobytes()
    return content


def texts(output: Output) -> list[bytes]:
    """The texts of a BYTES output, row by row."""
    plain = output.values if isinstance(output.values, list) else output.values.ravel().tolist()
    return [str(value).encode() for value in plain]


def _output(answer: Answer, field: Field, parameters: Mapping[str, Any], *, binary: bool) -> Output:
    values = answer.outputs[field.name]
    shape = [answer.rows] if field.width == 1 else [answer.rows, field.width]
    as_bytes = _flag(parameters, "binary_data", otherwise=binary)
    if "shared_memory_region" in parameters:
        raise RequestInvalid(
            f"output {field.name!r} is asked for in shared memory",
            cause="a worker shares no memory with its clients",
            remedy="ask for the values, as JSON or as binary tensor",
        )
    count = parameters.get("classification")
    if not count:
        return Output(field.name, field.datatype, shape, values, as_bytes)
    if field.datatype == "BYTES" or not isinstance(count, int) or isinstance(count, bool) or count < 0:
        raise RequestInvalid(
            f"output {field.name!r} is asked for with classification {count!r}",
            cause=f"it is {field.datatype}" if field.datatype == "BYTES" else "it is no number of classes",
            remedy="ask for 1 or more classes of an output of numbers",
        )
    classes = _classes(values.reshape(answer.rows, field.width), min(count, field.width))
    return Output(field.name, "BYTES", [answer.rows, min(count, field.width)], classes, as_bytes)


def _classes(values: Any, count: int) -> list[str]:
    """The highest values of each row with their places, as Triton writes them: 'value:index'; of equal ones the first comes first."""
    places = np.argsort(-values.astype(np.float64), axis=1, kind="stable")[:, :count]
    return [f"{values[row, place]:f}:{place}" for row, chosen in enumerate(places.tolist()) for place in chosen]


def _listed(answer: Answer, output: Output) -> Any:
    """Values for JSON. Those of width 1 were listed for the record already."""
    if isinstance(output.values, list):
        return output.values
    known = answer.values.get(output.name)
    return output.values.ravel().tolist() if known is None else known


def _flag(parameters: Mapping[str, Any], name: str, *, otherwise: bool) -> bool:
    value = parameters.get(name, otherwise)
    if not isinstance(value, bool):
        raise RequestInvalid(
            f"parameter {name!r} is {value!r}", cause="it is true or false", remedy="send true or false"
        )
    return value


def _weights(accepts: str) -> dict[str, float]:
    """Encoding -> its q-value (RFC 9110, 12.5.3); what cannot be read counts as refused."""
    found: dict[str, float] = {}
    for part in accepts.lower().split(","):
        name, _, rest = part.strip().partition(";")
        quality = rest.strip().removeprefix("q=").strip()
        try:
            found[name.strip()] = float(quality) if rest else 1.0
        except ValueError:
            found[name.strip()] = 0.0
    return found
