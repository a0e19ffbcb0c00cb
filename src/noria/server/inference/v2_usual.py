"""The usual V2 request over REST, read in a few calls: JSON only, every column there once, in the signature's own types, flat, of one length.

Whatever is unusual is None here, and read with care by v2_question, which names the fault. Numbers go from the parser's lists straight into one
block of memory for all columns of a type: half the time of arrays column by column.
"""

from functools import lru_cache
from struct import Struct, error
from typing import Any

import msgspec
import numpy as np

from noria.domain.model import FieldType, Signature
from noria.server.inference.answering import Read
from noria.serving.live import Served

_CODES: dict[FieldType, str] = {"FP64": "d", "FP32": "f", "INT64": "q"}
"""As struct packs them. It takes whole numbers for fractions, never fractions for whole numbers nor text for either; truths never get here."""
_MOST_PLANS = 64


class UsualTensor(msgspec.Struct, gc=False):
    """One input tensor with its data as JSON has it. A truth or a nested list among them makes the request an unusual one."""

    name: str
    shape: list[int]
    datatype: str
    data: list[int | float | str | None]
    parameters: None = None


class Wanted(msgspec.Struct):
    """One output that the client asks for."""

    name: str
    parameters: dict[str, Any] | None = None


class UsualRequest(msgspec.Struct):
    """The body of a request, decoded in one pass."""

    inputs: list[UsualTensor]
    id: str | None = None
    parameters: dict[str, Any] | None = None
    outputs: list[Wanted] | None = None


_decode = msgspec.json.Decoder(UsualRequest).decode


def usual(body: bytes) -> UsualRequest | None:
    """A request that may be a usual one; None for anything else, also for what is wrong."""
    try:
        return _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def read_usual(request: UsualRequest, served: Served) -> Read | None:
    """All columns by the plan of the variant's signature, which is made once; None if the request is not a usual one."""
    plan = _plans.get(served.variant.bundle)
    if plan is None:
        if len(_plans) >= _MOST_PLANS:
            _plans.clear()
        plan = _plans[served.variant.bundle] = _Plan(served.signature)
    return plan.read(request.inputs)


class _Plan:
    """What a usual request of one signature looks like. What can be compared is compared as whole lists."""

    def __init__(self, signature: Signature) -> None:
        fields = signature.inputs
        groups: dict[FieldType, list[int]] = {}
        for place, field in enumerate(fields):
            groups.setdefault(field.datatype, []).append(place)
        self._names = [f.name for f in fields]
        self._datatypes = [f.datatype for f in fields]
        self._groups = [(datatype, [fields[i].name for i in places], places) for datatype, places in groups.items()]
        self._size = len(fields)
        self._is_flat = all(f.width == 1 for f in fields) and "BOOL" not in groups

    def read(self, tensors: list[UsualTensor]) -> Read | None:
        if not self._is_flat or len(tensors) != self._size:
            return None
        if [t.name for t in tensors] != self._names:
            by_name = {t.name: t for t in tensors}
            if by_name.keys() != set(self._names):
                return None
            tensors = [by_name[name] for name in self._names]
        shape = tensors[0].shape
        alike = [t.shape for t in tensors].count(shape) == self._size
        if not alike or len(shape) != 1 or [t.datatype for t in tensors] != self._datatypes:
            return None
        rows = shape[0]
        data = [t.data for t in tensors]
        if rows < 1 or list(map(len, data)).count(rows) != self._size:
            return None
        columns: dict[str, Any] = {}
        blocks: list[tuple[list[str], Any]] = []
        good = True
        try:
            for datatype, names, places in self._groups:
                lists = [data[i] for i in places]
                values, recorded, complete = (
                    _texts(lists) if datatype == "BYTES" else _numbers(lists, datatype, rows=rows)
                )
                columns.update(zip(names, values, strict=True))
                # What is recorded is what the model saw, float32 rounded; lists only where a number is missing, which an array cannot say.
                blocks.append((names, recorded))
                good = good and complete
        except (ValueError, TypeError, OverflowError, error):
            return None
        return Read(columns, blocks, good)


_plans: dict[str, _Plan] = {}


def _numbers(lists: list[list[Any]], datatype: FieldType, *, rows: int) -> tuple[Any, Any, bool]:
    """Columns of numbers as rows of a matrix, what is recorded of them, and whether none is missing. Raises for anything unusual."""
    code = _CODES[datatype]
    try:
        if rows == 1:
            content = bytearray(_struct(code, len(lists)).pack(*[values[0] for values in lists]))
        else:
            packer = _struct(code, rows)
            content = bytearray(packer.size * len(lists))
            for place, values in enumerate(lists):
                packer.pack_into(content, place * packer.size, *values)
    except error:
        if datatype != "FP64":
            raise
        return _with_gaps(lists)
    matrix = np.frombuffer(content, dtype=code).reshape(len(lists), rows)
    return matrix, matrix, True


def _with_gaps(lists: list[list[Any]]) -> tuple[Any, Any, bool]:
    """Columns of which some have no number in some row. Raises TypeError for text among them."""
    kept: list[list[Any]] = []
    for values in lists:
        if not {*map(type, values)} <= {int, float, type(None)}:
            raise TypeError
        kept.append([None if value is None else float(value) for value in values])
    return np.array(kept, dtype=np.float64), kept, False


def _texts(lists: list[list[Any]]) -> tuple[Any, Any, bool]:
    """Columns of text. Joining is the cheapest way to find what is none."""
    try:
        for values in lists:
            "".join(values)
    except TypeError:
        if {type(value) for values in lists for value in values} != {str, type(None)}:
            raise
        return _objects(lists), lists, False
    return _objects(lists), lists, True


def _objects(lists: list[list[Any]]) -> list[Any]:
    columns = []
    for values in lists:
        column = np.empty(len(values), dtype=object)
        column[:] = values
        columns.append(column)
    return columns


@lru_cache(maxsize=256)
def _struct(code: str, count: int) -> Struct:
    return Struct(f"{count}{code}")
