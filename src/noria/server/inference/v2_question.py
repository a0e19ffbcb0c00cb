"""A request of the Open Inference Protocol V2 over REST, read: JSON tensors and binary ones, into the columns of the signature.

The rest of the protocol is v2; what tensors may be is v2_tensors. Source: kserve/open-inference-protocol, specification/protocol/inference_rest.md;
Triton, extension_binary_data.md.
"""

from typing import Annotated, Any

import msgspec
import numpy as np

from noria.domain.model import Field
from noria.errors import RequestInvalid
from noria.server.inference.answering import Read
from noria.server.inference.v2_binary import BinaryRequest, read_binary, usual_binary
from noria.server.inference.v2_tensors import BYTES_ONLY, WIRE, first_text, from_bytes, gather, in_range, wire
from noria.server.inference.v2_usual import UsualRequest, Wanted, read_usual, usual
from noria.serving.live import Served

Long = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]


class Tensor(msgspec.Struct):
    """One input tensor; its data stays raw until the signature says what it should be."""

    name: str
    shape: list[int]
    datatype: str
    data: msgspec.Raw = msgspec.Raw(b"")
    parameters: dict[str, Any] | None = None


class InferRequest(msgspec.Struct):
    """The body of a request."""

    inputs: list[Tensor]
    id: str | None = None
    parameters: dict[str, Any] | None = None
    outputs: list[Wanted] | None = None


_request = msgspec.json.Decoder(InferRequest)
_FLAT: dict[str, Any] = {
    "f": msgspec.json.Decoder(list[float | None]),
    "i": msgspec.json.Decoder(list[Long | None]),
    "u": msgspec.json.Decoder(list[Long | None]),
    "b": msgspec.json.Decoder(list[bool | None]),
    "O": msgspec.json.Decoder(list[str | None]),
}
_NESTED: dict[str, Any] = {
    "f": msgspec.json.Decoder(list[list[float | None]]),
    "i": msgspec.json.Decoder(list[list[Long | None]]),
    "u": msgspec.json.Decoder(list[list[Long | None]]),
    "b": msgspec.json.Decoder(list[list[bool | None]]),
    "O": msgspec.json.Decoder(list[list[str | None]]),
}
_any = msgspec.json.Decoder()


class V2Question:
    """A parsed request (see answering.Question). accepts: the header Accept-Encoding, which the answer follows."""

    __slots__ = ("_bare", "_behind", "_binary", "_body", "_tail", "_usual", "_with_care", "accepts", "request")
    protocol = "v2"

    def __init__(self, body: bytes, *, header_length: str | None = None, accepts: str | None = None) -> None:
        """header_length: of Inference-Header-Content-Length, when binary tensors follow the JSON. Raises RequestInvalid.

        Length 0: there is no JSON, the body is the one input of the model as binary tensor (Triton's raw binary request).
        """
        self.accepts = accepts
        self._binary: dict[str, memoryview] = {}
        self._bare = header_length == "0"
        self._tail = memoryview(b"")
        self._with_care: InferRequest | None = None
        self._usual = usual(body) if header_length is None else None
        self._behind: BinaryRequest | None = None
        self.request: InferRequest | UsualRequest | BinaryRequest
        if self._usual is not None:
            self.request, self._body = self._usual, body
            return
        if self._bare:
            self.request = self._with_care = InferRequest([], parameters={"binary_data_output": True})
            self._tail = memoryview(body)
            return
        head = body
        if header_length is not None:
            if not (header_length.isascii() and header_length.isdecimal()) or int(header_length) > len(body):
                raise RequestInvalid(
                    f"header Inference-Header-Content-Length is {header_length[:40]!r}",
                    cause=f"the body has {len(body)} bytes",
                    remedy="send the length of the JSON, before the binary tensors",
                )
            head, self._tail = body[: int(header_length)], memoryview(body)[int(header_length) :]
            self._behind = usual_binary(head)
        self._body = head
        self.request = self._behind if self._behind is not None else self._careful()

    @property
    def keys(self) -> list[str] | None:
        """Parameter `keys`: a list of texts, one a row."""
        return keys_of((self.request.parameters or {}).get("keys"))

    def first(self, column: str) -> str | None:
        """See Question."""
        if self._usual is not None:
            known = next((t for t in self._usual.inputs if t.name == column), None)
            return first_text(known.datatype, known.data[0]) if known is not None and known.data else None
        tensor = next((t for t in self._careful().inputs if t.name == column), None)
        if tensor is None:
            return None
        try:
            value: Any
            if column in self._binary:
                value = from_bytes(self._binary[column], column, tensor.datatype, tensor.shape).ravel()[:1].tolist()
            else:
                value = _any.decode(tensor.data)
        except (msgspec.DecodeError, RecursionError, RequestInvalid, KeyError):
            return None  # columns() says what is wrong with it
        while isinstance(value, list) and value:
            value = value[0]
        return first_text(tensor.datatype, value)

    def columns(self, served: Served) -> Read:
        """See Question."""
        if self._bare:
            return self._only_column(served)
        if self._usual is not None:
            read = read_usual(self._usual, served)
            if read is not None:
                return read
        if self._behind is not None:
            read = read_binary(self._behind, self._tail, served)
            if read is not None:
                return read
        tensors = self._careful().inputs
        return gather([t.name for t in tensors], served, lambda i, field: self._values(tensors[i], field))

    def _careful(self) -> InferRequest:
        """The request with its data still raw; one that was taken for a usual one is decoded again. Raises RequestInvalid."""
        if self._with_care is None:
            request = _decoded(self._body)
            if self._tail or any(t.parameters for t in request.inputs):
                self._binary = _split(request.inputs, self._tail)
            self._with_care = request
        return self._with_care

    def _values(self, tensor: Tensor, field: Field) -> Any:
        """One tensor's values, as JSON or the bytes behind it say them."""
        kind, size = wire(tensor.datatype, tensor.shape, field)
        content = self._binary.get(tensor.name)
        if content is not None:
            return from_bytes(content, tensor.name, tensor.datatype, tensor.shape)
        if tensor.datatype in BYTES_ONLY:
            raise RequestInvalid(
                f"tensor {tensor.name!r} is {tensor.datatype} and comes as JSON",
                cause=f"the protocol has no {tensor.datatype} in JSON",
                remedy="send it as binary tensor, or as FP32",
            )
        data = _from_json(tensor, field, size)
        values = np.array(data, dtype=kind)
        if kind is np.float32 and np.isinf(values).any():
            raise RequestInvalid(
                f"the data of tensor {tensor.name!r} is not FP32",
                cause="it holds a number beyond 3.4e38",
                remedy="send values that FP32 holds",
            )
        return values

    def _only_column(self, served: Served) -> Read:
        """The body as the model's one input."""
        fields = served.signature.inputs
        if len(fields) != 1:
            raise RequestInvalid(
                "header Inference-Header-Content-Length is '0', and the model has several inputs",
                cause=f"it has {len(fields)} of them",
                remedy="send the JSON that says which bytes are whose",
            )
        field, size = fields[0], len(self._tail)
        row = 1 if field.datatype == "BYTES" else np.dtype(WIRE[field.datatype]).itemsize * field.width
        rows = 1 if field.datatype == "BYTES" else size // row
        shape = [rows] if field.width == 1 else [rows, field.width]
        return gather([field.name], served, lambda _, f: from_bytes(self._tail, f.name, f.datatype, shape))


def keys_of(keys: Any) -> list[str] | None:
    """The parameter `keys` of a request. Raises RequestInvalid."""
    if keys is None:
        return None
    if isinstance(keys, str):
        return [keys]
    if isinstance(keys, list) and all(isinstance(key, str) for key in keys):
        return keys
    raise RequestInvalid("parameter 'keys' is not a list of texts", remedy='send "parameters": {"keys": ["a", "b"]}')


def _decoded(head: bytes) -> InferRequest:
    try:
        return _request.decode(head)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        kind = "does not follow the protocol" if isinstance(exc, msgspec.ValidationError) else "is not valid JSON"
        raise RequestInvalid(
            f"the request {kind}",
            cause=str(exc),
            remedy='send {"inputs": [{"name": ..., "shape": [n], "datatype": ..., "data": [...]}]}',
        ) from exc


def _split(tensors: list[Tensor], tail: memoryview) -> dict[str, memoryview]:
    """Tensor name -> its bytes behind the JSON, in the order of the tensors. Raises RequestInvalid."""
    found: dict[str, memoryview] = {}
    start = 0
    for tensor in tensors:
        parameters = tensor.parameters or {}
        if "shared_memory_region" in parameters:
            raise RequestInvalid(
                f"tensor {tensor.name!r} points to shared memory",
                cause="a worker shares no memory with its clients",
                remedy="send the values, as JSON or as binary tensor",
            )
        size = parameters.get("binary_data_size")
        if size is None:
            continue
        if not isinstance(size, int) or isinstance(size, bool) or size < 0 or start + size > len(tail):
            raise RequestInvalid(
                f"binary_data_size of tensor {tensor.name!r} is {size!r}",
                cause=f"{len(tail) - start} bytes are left",
                remedy="send the bytes behind the JSON, and its length in the header Inference-Header-Content-Length",
            )
        if bytes(tensor.data):
            raise RequestInvalid(
                f"tensor {tensor.name!r} has data in JSON and binary_data_size", remedy="send one of the two"
            )
        found[tensor.name] = tail[start : start + size]
        start += size
    if start != len(tail):
        raise RequestInvalid(
            f"{len(tail) - start} bytes follow the last binary tensor",
            remedy="correct the binary_data_size of the tensors",
        )
    return found


def _from_json(tensor: Tensor, field: Field, size: int) -> list[Any]:
    """Flat values; data may be nested as its shape says, and one value a row may be nested or not."""
    kind = np.dtype(WIRE[tensor.datatype]).kind
    try:
        data: list[Any] = _FLAT[kind].decode(tensor.data)
    except msgspec.DecodeError as flat:
        try:
            nested: list[list[Any]] = _NESTED[kind].decode(tensor.data)
        except msgspec.DecodeError:
            missing = "" if bytes(tensor.data) else " (there is no data)"
            raise RequestInvalid(
                f"the data of tensor {field.name!r} is not {tensor.datatype}{missing}",
                cause=str(flat),
                remedy=f"send a list of {tensor.datatype} values",
            ) from flat
        uneven = next((i for i, row in enumerate(nested) if len(row) != field.width), None)
        if uneven is not None:
            raise RequestInvalid(
                f"the data of tensor {field.name!r} has {len(nested[uneven])} values in row {uneven}",
                cause=f"the model takes {field.width} there",
                remedy=f"send {field.width} values a row",
            ) from flat
        data = [value for row in nested for value in row]
    if len(data) != size:
        raise RequestInvalid(
            f"tensor {field.name!r} says shape {tensor.shape} and has {len(data)} values",
            cause=f"the shape asks for {size}",
            remedy="correct the shape",
        )
    if kind in "iub" and data:
        if None in data:
            raise RequestInvalid(
                f"column {field.name!r} has no value in row {data.index(None) // field.width}",
                cause=f"{tensor.datatype} has no missing value",
                remedy=f"send a value for {field.name!r}",
            )
        if kind != "b":
            in_range(data, field.name, tensor.datatype)
    return data
