"""A request of the Open Inference Protocol V2 over REST, read: JSON tensors and binary ones, into the columns of the signature.

The rest of the protocol is v2; what tensors may be is v2_tensors. Source: kserve/open-inference-protocol, specification/protocol/inference_rest.md;
Triton, extension_binary_data.md.
"""

from math import isnan
from typing import Annotated, Any

import msgspec
import numpy as np

from noria.domain.model import Field, FieldType, Signature
from noria.errors import RequestInvalid
from noria.server.inference.answering import Read
from noria.server.inference.v2_tensors import BYTES_ONLY, WIRE, first_text, from_bytes, gather, in_range, wire
from noria.serving.live import Served

Long = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]


class Tensor(msgspec.Struct):
    """One input tensor; its data stays raw until the signature says what it should be."""

    name: str
    shape: list[int]
    datatype: str
    data: msgspec.Raw = msgspec.Raw(b"")
    parameters: dict[str, Any] | None = None


class Wanted(msgspec.Struct):
    """One output that the client asks for."""

    name: str
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

    __slots__ = ("_bare", "_binary", "_tail", "accepts", "request")
    protocol = "v2"

    def __init__(self, body: bytes, *, header_length: str | None = None, accepts: str | None = None) -> None:
        """header_length: of Inference-Header-Content-Length, when binary tensors follow the JSON. Raises RequestInvalid.

        Length 0: there is no JSON, the body is the one input of the model as binary tensor (Triton's raw binary request).
        """
        self.accepts = accepts
        self._binary: dict[str, memoryview] = {}
        self._bare = header_length == "0"
        self._tail = memoryview(b"")
        if self._bare:
            self.request = InferRequest([], parameters={"binary_data_output": True})
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
        self.request = _decoded(head)
        tensors = self.request.inputs
        if self._tail or any(t.parameters for t in tensors):
            self._binary = _split(tensors, self._tail)

    @property
    def keys(self) -> list[str] | None:
        """Parameter `keys`: a list of texts, one a row."""
        return keys_of((self.request.parameters or {}).get("keys"))

    def first(self, column: str) -> str | None:
        """See Question."""
        tensor = next((t for t in self.request.inputs if t.name == column), None)
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
        tensors = self.request.inputs
        if not self._binary:
            usual = _plan(served).read(tensors)
            if usual is not None:
                return usual
        return gather([t.name for t in tensors], served, lambda i, field: self._values(tensors[i], field))

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
                cause=f"they are: {', '.join(repr(f.name) for f in fields)}",
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


class _Plan:
    """The usual request of one signature read in a few calls: every column there once, in the signature's own types, flat, of one length.

    All columns of a type are decoded as one matrix, and what can be compared is compared as whole lists: a third of the time of reading one by one.
    """

    def __init__(self, signature: Signature) -> None:
        fields = signature.inputs
        groups: dict[FieldType, list[int]] = {}
        for place, field in enumerate(fields):
            groups.setdefault(field.datatype, []).append(place)
        self._names = [f.name for f in fields]
        self._datatypes = [f.datatype for f in fields]
        self._groups = [(datatype, [fields[i].name for i in places], places) for datatype, places in groups.items()]
        self._size = len(fields)
        self._usual = all(f.width == 1 for f in fields)

    def read(self, tensors: list[Tensor]) -> Read | None:
        """All columns; None if the request is not a usual one (then it is read with care, and faults are named)."""
        if not self._usual or len(tensors) != self._size:
            return None
        if [t.name for t in tensors] != self._names:
            by_name = {t.name: t for t in tensors}
            if by_name.keys() != set(self._names):
                return None
            tensors = [by_name[name] for name in self._names]
        shape = tensors[0].shape
        alike = [t.shape for t in tensors].count(shape) == [t.parameters for t in tensors].count(None) == self._size
        if not alike or len(shape) != 1 or [t.datatype for t in tensors] != self._datatypes:
            return None
        raw = [t.data for t in tensors]
        columns: dict[str, Any] = {}
        blocks: list[tuple[list[str], Any]] = []
        good = shape[0] > 0
        try:
            for datatype, names, places in self._groups:
                values, matrix, complete = _block([raw[i] for i in places], datatype, shape[0])
                columns.update(zip(names, matrix, strict=True))
                # What is recorded is what the model saw, float32 rounded; lists only where a number is missing, which an array cannot say.
                blocks.append((names, matrix if complete else values))
                good = good and complete
        except (ValueError, TypeError, msgspec.DecodeError):
            return None
        return Read(columns, blocks, good)


def _block(raw: list[msgspec.Raw], datatype: FieldType, rows: int) -> tuple[list[list[Any]], Any, bool]:
    """All columns of one type as lists, as the rows of a matrix, and whether nothing is missing. Raises ValueError for anything unusual."""
    kind = np.dtype(WIRE[datatype])
    values: list[list[Any]] = _NESTED[kind.kind].decode(b"[" + b",".join(raw) + b"]")
    matrix = np.array(values, dtype=kind)
    if matrix.shape != (len(raw), rows):
        raise ValueError(datatype)
    if kind.kind == "f":
        flat = matrix.ravel()
        if kind.itemsize == 4 and np.isinf(flat).any():
            raise ValueError(datatype)
        complete = flat.size > 0 and not isnan(flat[flat.argmin()])  # argmin finds the first NaN
    else:
        complete = not any(None in row for row in values)
    if not complete and datatype not in ("FP64", "BYTES"):
        raise ValueError(datatype)
    return values, matrix, complete


_plans: dict[str, _Plan] = {}
_MOST_PLANS = 64


def _plan(served: Served) -> _Plan:
    plan = _plans.get(served.variant.bundle)
    if plan is None:
        if len(_plans) >= _MOST_PLANS:
            _plans.clear()
        plan = _plans[served.variant.bundle] = _Plan(served.signature)
    return plan


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
