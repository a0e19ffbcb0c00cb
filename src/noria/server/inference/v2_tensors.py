"""Tensors of the Open Inference Protocol V2 as columns of a signature: which fit, their bytes, their shapes. REST and gRPC share it.

Source: kserve/open-inference-protocol, required API, tensor data types; Triton, extension_binary_data.md. Called by v2_question and grpc/question.
"""

from collections.abc import Callable, Sequence
from functools import partial
from math import isnan, prod
from struct import Struct
from typing import Any

import numpy as np

from noria.domain.model import Field, FieldType
from noria.errors import RequestInvalid
from noria.server.inference.answering import Read
from noria.serving.columns import DTYPES, to_lists
from noria.serving.live import Served

WIRE: dict[str, Any] = {
    "BOOL": np.bool_,
    "UINT8": np.uint8,
    "UINT16": np.uint16,
    "UINT32": np.uint32,
    "UINT64": np.uint64,
    "INT8": np.int8,
    "INT16": np.int16,
    "INT32": np.int32,
    "INT64": np.int64,
    "FP16": np.float16,
    "BF16": np.float32,
    "FP32": np.float32,
    "FP64": np.float64,
    "BYTES": object,
}
"""Datatypes as numpy holds them; BF16 has no type there and is widened when it is read."""
BYTES_ONLY = frozenset({"FP16", "BF16"})
"""Datatypes that neither JSON nor gRPC's typed contents can say."""
_SMALL = ("UINT8", "UINT16", "INT8", "INT16")
ACCEPTED: dict[FieldType, frozenset[str]] = {
    "BOOL": frozenset({"BOOL"}),
    "INT64": frozenset({"INT64", "UINT64", "INT32", "UINT32", *_SMALL}),
    "FP32": frozenset({"FP32", "FP16", "BF16", *_SMALL}),
    "FP64": frozenset({"FP64", "FP32", "FP16", "BF16", "INT32", "UINT32", *_SMALL}),
    "BYTES": frozenset({"BYTES"}),
}
"""Which tensors a column takes: those that fit into it without loss (of UINT64, the values below 2^63)."""
_quiet = partial(np.errstate, over="ignore", invalid="ignore")
"""Numbers beyond FP32 are refused by name, and a NaN may be a signalling one: neither is worth a warning in the log."""
_length_at = Struct("<I").unpack_from
_MOST = np.iinfo(np.int64).max


def gather(names: list[str], served: Served, read: Callable[[int, Field], Any]) -> Read:
    """All columns of a request. names: of the tensors as they were sent; read: the values of tensor i as wire() allows, for a field.

    Tensors that the signature does not know stay without values, for the check to name. Raises RequestInvalid for a tensor sent twice.
    """
    places = {name: i for i, name in enumerate(names)}
    if len(places) != len(names):
        twice = next(name for i, name in enumerate(names) if name in names[:i])
        raise RequestInvalid(f"tensor {twice!r} was sent twice", remedy="send each column once")
    columns: dict[str, Any] = {}
    blocks: list[tuple[list[str], Any]] = []
    fields = served.signature.inputs
    good = len(names) == len(fields)
    with _quiet():
        for field in fields:
            i = places.pop(field.name, None)
            if i is not None:
                values = columns[field.name] = _settled(read(i, field), field)
                gaps = _has_gaps(values)
                good = good and (field.nullable or not gaps)
                blocks.append(_block(values, field, gaps=gaps))
    rows = {len(values) for values in columns.values()}
    good = good and not places and len(rows) == 1 and 0 not in rows
    columns.update(dict.fromkeys(places))
    return Read(columns, blocks, good)


def wire(datatype: str, shape: Sequence[int], field: Field) -> tuple[Any, int]:
    """How numpy holds a tensor, and how many values its shape asks for. Raises RequestInvalid if the column does not take it."""
    if datatype not in ACCEPTED[field.datatype]:
        known = ", ".join(sorted(ACCEPTED[field.datatype])) if datatype in WIRE else "the protocol does not know it"
        raise RequestInvalid(
            f"tensor {field.name!r} has datatype {datatype!r}",
            cause=f"the model takes {field.datatype} there: {known}",
            remedy=f"send {field.datatype}",
        )
    if not (len(shape) in (1, 2) and shape[0] >= 0 and (shape[1] if len(shape) == 2 else 1) == field.width):
        wanted = "[rows] or [rows, 1]" if field.width == 1 else f"[rows, {field.width}]"
        raise RequestInvalid(
            f"tensor {field.name!r} has shape {list(shape)}",
            cause=f"the model takes {wanted} there",
            remedy="send one tensor a column",
        )
    return WIRE[datatype], prod(shape)


def from_bytes(content: bytes | memoryview, name: str, datatype: str, shape: Sequence[int]) -> Any:
    """Little-endian values, row by row, without gaps; a text is 4 bytes of length and then UTF-8. Raises RequestInvalid.

    >>> from_bytes(b"\\x01\\x00\\x00\\x00A\\x02\\x00\\x00\\x00BC", "carrier", "BYTES", [2]).tolist()
    ['A', 'BC']
    >>> from_bytes(b"\\x80\\x3f", "share", "BF16", [1]).tolist()
    [1.0]
    """
    size = prod(shape)
    if datatype == "BYTES":
        return _texts(memoryview(content), name, shape, size)
    kind = np.dtype(np.uint16 if datatype == "BF16" else WIRE[datatype]).newbyteorder("<")
    if len(content) != size * kind.itemsize:
        raise RequestInvalid(
            f"tensor {name!r} has {len(content)} bytes",
            cause=f"{datatype} of shape {list(shape)} has {size * kind.itemsize}",
            remedy="send as many bytes as the shape asks for",
        )
    if datatype == "BOOL":
        flags = np.frombuffer(content, dtype=np.uint8)
        if size and flags.max() > 1:
            raise RequestInvalid(
                f"the data of tensor {name!r} is not BOOL",
                cause=f"a byte is {int(flags.max())}",
                remedy="send a byte 0 or 1 for each value",
            )
        return flags.view(np.bool_)
    values = np.frombuffer(content, dtype=kind)
    if datatype == "BF16":
        return (values.astype(np.uint32) << 16).view(np.float32)
    return values if values.flags.aligned else values.copy()


def in_range(values: Sequence[int], name: str, datatype: str) -> None:
    """Narrow types come in wider containers: JSON has one kind of whole number, gRPC has two sizes. Raises RequestInvalid."""
    limits = np.iinfo(WIRE[datatype])
    low, high = min(values), max(values)
    if low < limits.min or high > limits.max:
        raise RequestInvalid(
            f"the data of tensor {name!r} is not {datatype}",
            cause=f"it holds {low if low < limits.min else high}; values from {limits.min} to {limits.max} are",
            remedy=f"send values that {datatype} holds",
        )


def first_text(datatype: str, value: Any) -> str | None:
    """A value as sticky routing takes it: the same text whichever way the same value came.

    >>> first_text("FP64", 100), first_text("FP64", 100.0), first_text("BYTES", "AA")
    ('100.0', '100.0', 'AA')
    """
    if value is None or datatype not in WIRE:
        return None
    try:
        with _quiet():
            return str(value if datatype == "BYTES" else WIRE[datatype](value).item())
    except (ValueError, TypeError, OverflowError):
        return None  # columns() says what is wrong with it


def _texts(content: memoryview, name: str, shape: Sequence[int], size: int) -> Any:
    data, texts = bytes(content), np.empty(min(size, len(content) // 4), dtype=object)
    start, begin, stop, place, end = 0, 0, 0, 0, len(data)
    try:
        while place < len(texts) and start + 4 <= end:
            begin = start + 4
            stop = begin + _length_at(data, start)[0]
            if stop > end:
                break
            texts[place] = data[begin:stop].decode()
            start, place = stop, place + 1
    except UnicodeDecodeError:
        text_of(data[begin:stop], name, place)
    if start != end or place != size:
        raise RequestInvalid(
            f"tensor {name!r} has {place} whole texts in {start} of {end} bytes",
            cause=f"shape {list(shape)} asks for {size} texts, each behind 4 bytes with its length",
            remedy="send as many texts as the shape asks for",
        )
    return texts


def text_of(content: bytes | memoryview, name: str, place: int) -> str:
    """One text. Raises RequestInvalid where it is not UTF-8."""
    try:
        return str(content, "utf-8")
    except UnicodeDecodeError as exc:
        raise RequestInvalid(
            f"value {place} of tensor {name!r} is not UTF-8",
            cause=f"{exc.reason} at byte {exc.start}",
            remedy="BYTES is text here: encode it as UTF-8",
        ) from exc


def _settled(values: Any, field: Field) -> Any:
    """Wire values as the array that the model takes."""
    if values.dtype == np.uint64 and values.size and int(values.max()) > _MOST:
        raise RequestInvalid(
            f"the data of tensor {field.name!r} does not fit",
            cause=f"it holds {int(values.max())}, and the model takes INT64 there",
            remedy=f"send values up to {_MOST}",
        )
    values = values.astype(DTYPES[field.datatype], copy=False)
    return values if field.width == 1 else values.reshape(-1, field.width)


def _has_gaps(values: Any) -> bool:
    """Whether a number or a text is missing."""
    if values.dtype.kind == "f":
        flat = values.ravel()
        return bool(flat.size) and isnan(flat[flat.argmin()])  # argmin finds the first NaN
    return values.dtype.kind == "O" and None in values.ravel().tolist()


def _block(values: Any, field: Field, *, gaps: bool) -> tuple[list[str], Any]:
    """What is recorded of a column (answering.Read). A missing number is None in a record, which an array cannot say."""
    if gaps and values.dtype.kind == "f" and field.nullable:
        lists = to_lists({field.name: values}, (field,))
        return list(lists), list(lists.values())
    if field.width == 1:
        return [field.name], values[None, :]
    return [f"{field.name}.{i}" for i in range(field.width)], values.T
