"""A request of the Open Inference Protocol V2, read: JSON tensors and binary ones, into the columns of the signature. The rest of the protocol is v2.

Source: kserve/open-inference-protocol, specification/protocol/inference_rest.md; Triton, extension_binary_data.md.
"""

from collections.abc import Mapping
from math import isnan, prod
from typing import Annotated, Any

import msgspec
import numpy as np

from noria.domain.model import Field, FieldType, Signature
from noria.domain.prediction import Scalar
from noria.errors import RequestInvalid
from noria.server.inference.answering import Read
from noria.serving.columns import DTYPES, to_lists
from noria.serving.live import Served

Long = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]

WIRE: dict[str, Any] = {
    "BOOL": np.bool_,
    "UINT8": np.uint8,
    "UINT16": np.uint16,
    "UINT32": np.uint32,
    "INT8": np.int8,
    "INT16": np.int16,
    "INT32": np.int32,
    "INT64": np.int64,
    "FP16": np.float16,
    "FP32": np.float32,
    "FP64": np.float64,
    "BYTES": object,
}
_SMALL = ("UINT8", "UINT16", "INT8", "INT16")
ACCEPTED: dict[FieldType, frozenset[str]] = {
    "BOOL": frozenset({"BOOL"}),
    "INT64": frozenset({"INT64", "INT32", "UINT32", *_SMALL}),
    "FP32": frozenset({"FP32", "FP16", *_SMALL}),
    "FP64": frozenset({"FP64", "FP32", "FP16", "INT32", "UINT32", *_SMALL}),
    "BYTES": frozenset({"BYTES"}),
}
"""Which tensors a column takes: those that fit into it without loss."""


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
    """A parsed request (see answering.Question)."""

    __slots__ = ("_tail", "request")
    protocol = "v2"

    def __init__(self, body: bytes, *, header_length: str | None = None) -> None:
        """header_length: of Inference-Header-Content-Length, when binary tensors follow the JSON. Raises RequestInvalid."""
        head, self._tail = body, memoryview(b"")
        if header_length is not None:
            if not header_length.isdecimal() or int(header_length) > len(body):
                raise RequestInvalid(
                    f"header Inference-Header-Content-Length is {header_length!r}",
                    cause=f"the body has {len(body)} bytes",
                )
            head, self._tail = body[: int(header_length)], memoryview(body)[int(header_length) :]
        try:
            self.request = _request.decode(head)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
            kind = "does not follow the protocol" if isinstance(exc, msgspec.ValidationError) else "is not valid JSON"
            raise RequestInvalid(
                f"the request {kind}",
                cause=str(exc),
                remedy='send {"inputs": [{"name": ..., "shape": [n], "datatype": ..., "data": [...]}]}',
            ) from exc

    @property
    def keys(self) -> list[str] | None:
        """Parameter `keys`: a list of texts, one a row."""
        keys = (self.request.parameters or {}).get("keys")
        if keys is None:
            return None
        if isinstance(keys, str):
            return [keys]
        if isinstance(keys, list) and all(isinstance(key, str) for key in keys):
            return keys
        raise RequestInvalid(
            "parameter 'keys' is not a list of texts", remedy='send "parameters": {"keys": ["a", "b"]}'
        )

    def first(self, column: str) -> str | None:
        """See Question. Only JSON tensors are looked at."""
        tensor = next((t for t in self.request.inputs if t.name == column), None)
        if tensor is None or not bytes(tensor.data):
            return None
        try:
            value = _any.decode(tensor.data)
        except (msgspec.DecodeError, RecursionError):
            return None  # columns() says what is wrong with it
        while isinstance(value, list) and value:
            value = value[0]
        return None if value is None or value == [] else str(value)

    def columns(self, served: Served) -> Read:
        """See Question."""
        tensors = self.request.inputs
        if not self._tail:
            usual = _plan(served).read(tensors)
            if usual is not None:
                return usual
        by_name = {t.name: t for t in tensors}
        if len(by_name) != len(tensors):
            twice = next(t.name for i, t in enumerate(tensors) if t.name in {u.name for u in tensors[:i]})
            raise RequestInvalid(f"tensor {twice!r} was sent twice", remedy="send each column once")
        fields = served.signature.inputs
        binary = self._binary(tensors)
        columns: dict[str, Any] = {}
        lists: dict[str, list[Scalar]] = {}
        for field in fields:
            tensor = by_name.pop(field.name, None)
            if tensor is not None:
                columns[field.name] = _column(tensor, field, binary.get(field.name), lists)
        columns.update(dict.fromkeys(by_name))  # the check names what the model does not know
        return Read(columns, [(list(lists), list(lists.values()))])

    def _binary(self, tensors: list[Tensor]) -> Mapping[str, memoryview]:
        """Tensor name -> its bytes behind the JSON, in the order of the tensors."""
        if not self._tail and all(t.parameters is None for t in tensors):
            return {}
        found, start = {}, 0
        for tensor in tensors:
            size = (tensor.parameters or {}).get("binary_data_size")
            if size is None:
                continue
            if not isinstance(size, int) or isinstance(size, bool) or size < 0 or start + size > len(self._tail):
                raise RequestInvalid(
                    f"binary_data_size of tensor {tensor.name!r} is {size!r}",
                    cause=f"{len(self._tail) - start} bytes are left",
                )
            found[tensor.name] = self._tail[start : start + size]
            start += size
        if start != len(self._tail):
            raise RequestInvalid(
                f"{len(self._tail) - start} bytes follow the last binary tensor",
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


def _column(tensor: Tensor, field: Field, binary: memoryview | None, lists: dict[str, list[Scalar]]) -> Any:
    """One tensor as an array of the field's type; its recorded list goes into `lists`."""
    if tensor.datatype not in ACCEPTED[field.datatype]:
        known = (
            ", ".join(sorted(ACCEPTED[field.datatype])) if tensor.datatype in WIRE else "the protocol does not know it"
        )
        raise RequestInvalid(
            f"tensor {field.name!r} has datatype {tensor.datatype!r}",
            cause=f"the model takes {field.datatype} there: {known}",
            remedy=f"send {field.datatype}",
        )
    shape = tensor.shape
    if not (len(shape) in (1, 2) and shape[0] >= 0 and (shape[1] if len(shape) == 2 else 1) == field.width):
        wanted = "[rows] or [rows, 1]" if field.width == 1 else f"[rows, {field.width}]"
        raise RequestInvalid(
            f"tensor {field.name!r} has shape {shape}",
            cause=f"the model takes {wanted} there",
            remedy="send one tensor a column",
        )
    kind = WIRE[tensor.datatype]
    target = DTYPES[field.datatype]
    if binary is not None:
        values = _from_binary(binary, tensor, prod(shape))
    else:
        data = _from_json(tensor, field, prod(shape))
        values = np.array(data, dtype=kind)
        if field.width == 1 and kind in (np.float64, np.int64, object, np.bool_):
            lists[field.name] = data
            return values
    values = values.astype(target, copy=False)
    if field.width > 1:
        values = values.reshape(-1, field.width)
    lists.update(to_lists({field.name: values}, (field,)))
    return values


def _from_json(tensor: Tensor, field: Field, size: int) -> list[Any]:
    """Flat values; data may be nested."""
    kind = np.dtype(WIRE[tensor.datatype]).kind
    try:
        data: list[Any] = _FLAT[kind].decode(tensor.data)
    except msgspec.DecodeError as flat:
        try:
            data = [value for row in _NESTED[kind].decode(tensor.data) for value in row]
        except msgspec.DecodeError:
            missing = "" if bytes(tensor.data) else " (there is no data)"
            raise RequestInvalid(
                f"the data of tensor {field.name!r} is not {tensor.datatype}{missing}",
                cause=str(flat),
                remedy=f"send a list of {tensor.datatype} values",
            ) from flat
    if len(data) != size:
        raise RequestInvalid(
            f"tensor {field.name!r} says shape {tensor.shape} and has {len(data)} values",
            cause=f"the shape asks for {size}",
            remedy="correct the shape",
        )
    if kind in "iub" and data:
        _whole(data, tensor, field)
    return data


def _whole(data: list[Any], tensor: Tensor, field: Field) -> None:
    """Whole numbers and booleans have no missing value, and narrow types have a range."""
    if None in data:
        raise RequestInvalid(
            f"column {field.name!r} has no value in row {data.index(None) // field.width}",
            cause=f"{tensor.datatype} has no missing value",
            remedy=f"send a value for {field.name!r}",
        )
    if tensor.datatype not in ("BOOL", "INT64"):
        limits = np.iinfo(WIRE[tensor.datatype])
        if min(data) < limits.min or max(data) > limits.max:
            raise RequestInvalid(
                f"the data of tensor {field.name!r} is not {tensor.datatype}",
                cause=f"values from {limits.min} to {limits.max} are",
            )


def _from_binary(binary: memoryview, tensor: Tensor, size: int) -> Any:
    """Little-endian values, row by row; texts as 4 bytes of length and UTF-8."""
    if tensor.datatype != "BYTES":
        kind = np.dtype(WIRE[tensor.datatype]).newbyteorder("<")
        if len(binary) != size * kind.itemsize:
            raise RequestInvalid(
                f"tensor {tensor.name!r} has {len(binary)} bytes",
                cause=f"shape {tensor.shape} asks for {size * kind.itemsize}",
            )
        return np.frombuffer(binary, dtype=kind)
    texts: list[str] = []
    start = 0
    while start + 4 <= len(binary):
        end = start + 4 + int.from_bytes(binary[start : start + 4], "little")
        if end > len(binary):
            break
        try:
            texts.append(str(binary[start + 4 : end], "utf-8"))
        except UnicodeDecodeError as exc:
            raise RequestInvalid(f"value {len(texts)} of tensor {tensor.name!r} is not UTF-8", cause=str(exc)) from exc
        start = end
    if start != len(binary) or len(texts) != size:
        raise RequestInvalid(
            f"tensor {tensor.name!r} has {len(texts)} whole texts", cause=f"shape {tensor.shape} asks for {size}"
        )
    return np.array(texts, dtype=object)
