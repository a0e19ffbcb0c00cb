"""The usual V2 request with binary tensors, read in a few calls: every column there once, in the signature's own types, of one length, no gap.

The tensors lie behind each other as they were sent, so the numbers of neighbouring columns of one type are one block of memory and are not copied.
Whatever is unusual is None here, and read with care by v2_question, which names the fault. Source: Triton, extension_binary_data.md.
"""

from typing import Any

import msgspec
import numpy as np

from noria.domain.model import FieldType, Signature
from noria.server.inference.answering import Read
from noria.server.inference.v2_tensors import WIRE, from_bytes
from noria.server.inference.v2_usual import Wanted
from noria.serving.live import Served

_NUMBERS: dict[FieldType, Any] = {kind: np.dtype(WIRE[kind]).newbyteorder("<") for kind in ("FP64", "FP32", "INT64")}
_MOST_PLANS = 64


class Sized(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """The one parameter that a usual tensor has."""

    binary_data_size: int


class BinaryTensor(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """One input tensor whose values follow the JSON. Data in JSON, or any other parameter, makes the request an unusual one."""

    name: str
    shape: list[int]
    datatype: str
    parameters: Sized


class BinaryRequest(msgspec.Struct):
    """The JSON of a request, all of whose tensors are binary."""

    inputs: list[BinaryTensor]
    id: str | None = None
    parameters: dict[str, Any] | None = None
    outputs: list[Wanted] | None = None


_decode = msgspec.json.Decoder(BinaryRequest).decode


def usual_binary(head: bytes) -> BinaryRequest | None:
    """A request that may be a usual one; None for anything else, also for what is wrong."""
    try:
        return _decode(head)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def read_binary(request: BinaryRequest, tail: memoryview, served: Served) -> Read | None:
    """All columns by the plan of the variant's signature, which is made once; None if the request is not a usual one. Raises RequestInvalid."""
    plan = _plans.get(served.variant.bundle)
    if plan is None:
        if len(_plans) >= _MOST_PLANS:
            _plans.clear()
        plan = _plans[served.variant.bundle] = _Plan(served.signature)
    return plan.read(request.inputs, tail)


class _Plan:
    """What a usual request of one signature looks like: runs of neighbouring columns of one type."""

    def __init__(self, signature: Signature) -> None:
        fields = signature.inputs
        self._names = [f.name for f in fields]
        self._datatypes = [f.datatype for f in fields]
        self._runs: list[tuple[FieldType, int, int]] = []
        for place, datatype in enumerate(self._datatypes):
            if self._runs and self._runs[-1][0] == datatype:
                self._runs[-1] = (datatype, self._runs[-1][1], place + 1)
            else:
                self._runs.append((datatype, place, place + 1))
        self._is_flat = bool(fields) and all(f.width == 1 for f in fields) and "BOOL" not in self._datatypes

    def read(self, tensors: list[BinaryTensor], tail: memoryview) -> Read | None:
        if not self._is_flat or [t.name for t in tensors] != self._names:
            return None
        shape = tensors[0].shape
        alike = [t.shape for t in tensors].count(shape) == len(tensors)
        if not alike or shape[1:] not in ([], [1]) or not shape or shape[0] < 1:
            return None
        sizes = [t.parameters.binary_data_size for t in tensors]
        if [t.datatype for t in tensors] != self._datatypes or min(sizes) < 0 or sum(sizes) != len(tail):
            return None
        return self._values(sizes, tail, rows=shape[0])

    def _values(self, sizes: list[int], tail: memoryview, *, rows: int) -> Read | None:
        columns: dict[str, Any] = {}
        blocks: list[tuple[list[str], Any]] = []
        start = 0
        for datatype, first, end in self._runs:
            names, stop = self._names[first:end], start + sum(sizes[first:end])
            if datatype == "BYTES":
                texts = _texts(names, sizes[first:end], tail[start:stop], rows=rows)
                columns.update(texts)
                blocks.append((names, [column.tolist() for column in texts.values()]))
            else:
                kind = _NUMBERS[datatype]
                if sizes[first:end].count(rows * kind.itemsize) != end - first:
                    return None
                matrix = np.frombuffer(tail[start:stop], dtype=kind).reshape(end - first, rows)
                if datatype != "INT64" and np.isnan(matrix).any():
                    return None  # a missing number is recorded as such
                columns.update(zip(names, matrix if matrix.flags.aligned else matrix.copy(), strict=True))
                blocks.append((names, matrix))
            start = stop
        return Read(columns, blocks, known_good=True)


_plans: dict[str, _Plan] = {}


def _texts(names: list[str], sizes: list[int], content: memoryview, *, rows: int) -> dict[str, Any]:
    found, start = {}, 0
    for name, size in zip(names, sizes, strict=True):
        found[name] = from_bytes(content[start : start + size], name, "BYTES", [rows])
        start += size
    return found
