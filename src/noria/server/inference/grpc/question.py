"""A request of gRPC's ModelInfer, read: typed contents or raw ones into the columns of the signature. Answers are answer.

Source: kserve/open-inference-protocol, open_inference_grpc.proto. Called by service.
"""

from math import prod
from typing import Any

import msgspec
import numpy as np

from noria.domain.model import Field
from noria.errors import RequestInvalid
from noria.server.inference.answering import Read
from noria.server.inference.v2_question import keys_of
from noria.server.inference.v2_tensors import BYTES_ONLY, WIRE, first_text, from_bytes, gather, in_range, text_of, wire
from noria.server.inference.v2_usual import Wanted
from noria.serving.live import Served

CONTENTS = {
    "BOOL": "bool_contents",
    "INT8": "int_contents",
    "INT16": "int_contents",
    "INT32": "int_contents",
    "INT64": "int64_contents",
    "UINT8": "uint_contents",
    "UINT16": "uint_contents",
    "UINT32": "uint_contents",
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    "BYTES": "bytes_contents",
}
"""Which field of the contents a datatype's values are in."""


class GrpcQuestion:
    """See answering.Question. is_raw: the request carries raw contents, and so will the answer."""

    __slots__ = ("is_raw", "request")
    protocol = "v2-grpc"

    def __init__(self, request: Any) -> None:
        """request: a ModelInferRequest. Raises RequestInvalid where raw contents are not one for each input, or mixed with typed ones."""
        raw, inputs = request.raw_input_contents, request.inputs
        self.request = request
        self.is_raw = len(raw) > 0
        if not self.is_raw:
            return
        if len(raw) != len(inputs):
            raise RequestInvalid(
                f"raw_input_contents has {len(raw)} parts for {len(inputs)} inputs",
                remedy="send one part for each input, in their order",
            )
        typed = next((t.name for t in inputs if t.HasField("contents")), None)
        if typed is not None:
            raise RequestInvalid(
                f"tensor {typed!r} has contents, and the request has raw_input_contents", remedy="send one of the two"
            )

    @property
    def keys(self) -> list[str] | None:
        """Parameter `keys`: a text for a single row, or a JSON list of texts, one a row."""
        value = parameters_of(self.request.parameters).get("keys")
        if isinstance(value, str) and value.startswith("["):
            try:
                value = msgspec.json.decode(value)
            except (msgspec.DecodeError, RecursionError):
                pass  # a key that begins with a bracket
        return keys_of(value)

    def first(self, column: str) -> str | None:
        """See Question."""
        for i, tensor in enumerate(self.request.inputs):
            if tensor.name == column:
                try:
                    values = self._read(i).ravel()[:1].tolist()
                except (RequestInvalid, KeyError):
                    return None  # columns() says what is wrong with it
                return first_text(tensor.datatype, values[0]) if values else None
        return None

    def columns(self, served: Served) -> Read:
        """See Question."""
        return gather([t.name for t in self.request.inputs], served, self._values)

    @property
    def wanted(self) -> list[Wanted]:
        """The outputs that are asked for."""
        return [Wanted(output.name, parameters_of(output.parameters)) for output in self.request.outputs]

    def _values(self, i: int, field: Field) -> Any:
        tensor = self.request.inputs[i]
        wire(tensor.datatype, tensor.shape, field)
        if "shared_memory_region" in tensor.parameters:
            raise RequestInvalid(
                f"tensor {tensor.name!r} points to shared memory",
                cause="a worker shares no memory with its clients",
                remedy="send the values",
            )
        return self._read(i)

    def _read(self, i: int) -> Any:
        """One tensor's values. Raises RequestInvalid; KeyError for a datatype that is none."""
        tensor = self.request.inputs[i]
        if self.is_raw:
            return from_bytes(self.request.raw_input_contents[i], tensor.name, tensor.datatype, tensor.shape)
        if tensor.datatype in BYTES_ONLY:
            raise RequestInvalid(
                f"tensor {tensor.name!r} is {tensor.datatype} and not raw",
                cause=f"the protocol has no typed contents for {tensor.datatype}",
                remedy="send it in raw_input_contents, or as FP32",
            )
        return _typed(tensor)


def parameters_of(parameters: Any) -> dict[str, Any]:
    """A map of InferParameter, or of ModelRepositoryParameter, as plain values; one without a value is None."""
    plain = {}
    for name, parameter in parameters.items():
        choice = parameter.WhichOneof("parameter_choice")
        plain[name] = None if choice is None else getattr(parameter, choice)
    return plain


def _typed(tensor: Any) -> Any:
    name, datatype, size = tensor.name, tensor.datatype, prod(tensor.shape)
    expected = CONTENTS[datatype]
    foreign = next((f.name for f, _ in tensor.contents.ListFields() if f.name != expected), None)
    if foreign is not None:
        raise RequestInvalid(
            f"tensor {name!r} is {datatype} and has {foreign}",
            cause=f"{datatype} is sent in {expected}",
            remedy=f"send the values in {expected}",
        )
    values = getattr(tensor.contents, expected)
    if len(values) != size:
        raise RequestInvalid(
            f"tensor {name!r} says shape {list(tensor.shape)} and has {len(values)} values in {expected}",
            cause=f"the shape asks for {size}",
            remedy="correct the shape",
        )
    if datatype == "BYTES":
        return np.array([text_of(text, name, place) for place, text in enumerate(values)], dtype=object)
    if size and expected in ("int_contents", "uint_contents"):
        in_range(values, name, datatype)
    return np.fromiter(values, dtype=WIRE[datatype], count=size)
