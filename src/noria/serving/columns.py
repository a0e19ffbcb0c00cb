"""The one column form: lists, as requests and records carry them, to arrays, as models take them, and back. No coercion beyond the datatype.

Checking against a signature is packaging/signature; reading protocols is server/inference. Called by predict, batch and the codecs.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from noria.domain.model import Field, FieldType, Signature
from noria.domain.prediction import Scalar
from noria.errors import RequestInvalid
from noria.ports.flavor import Columns

DTYPES: dict[FieldType, Any] = {
    "BOOL": np.bool_,
    "INT64": np.int64,
    "FP32": np.float32,
    "FP64": np.float64,
    "BYTES": object,
}
_TYPES: dict[FieldType, tuple[type, ...]] = {
    "BOOL": (bool,),
    "INT64": (int,),
    "FP32": (float, int),
    "FP64": (float, int),
    "BYTES": (str,),
}
_FEW = 3
_USUAL: dict[FieldType, frozenset[type]] = {
    "BOOL": frozenset({bool}),
    "INT64": frozenset({int}),
    "FP32": frozenset({float, int, type(None)}),
    "FP64": frozenset({float, int, type(None)}),
    "BYTES": frozenset({str, type(None)}),
}
"""Types of values that a column takes as they are, and None where it may be missing."""


def from_lists(values: Mapping[str, Sequence[Scalar]], signature: Signature) -> Columns:
    """Arrays of the signature's types out of lists with one value a row; None is a missing value (NaN among numbers).

    A column of width w > 1 comes as w lists `name.0` ... `name.w-1`, which is how records keep it. Columns that the signature does not know stay as
    object arrays, for the check to name. Raises RequestInvalid for values of another type.

    >>> from noria.domain.model import Field, Signature
    >>> s = Signature(inputs=(Field(name="age", datatype="FP64", nullable=True),), outputs=())
    >>> from_lists({"age": [31, None]}, s)["age"]
    array([31., nan])
    """
    columns: dict[str, Any] = {}
    left = dict(values)
    for field in signature.inputs:
        if field.width == 1:
            if field.name in left:
                columns[field.name] = array_of(left.pop(field.name), field)
        elif f"{field.name}.0" in left:
            parts = [array_of(left.pop(f"{field.name}.{i}", ()), field) for i in range(field.width)]
            if len({len(part) for part in parts}) != 1:
                raise RequestInvalid(
                    f"column {field.name!r} has parts of unequal length", remedy=f"send {field.width} values a row"
                )
            columns[field.name] = np.column_stack(parts)
    columns |= {name: np.array(list(rest), dtype=object) for name, rest in left.items()}
    return columns


def to_lists(columns: Columns, fields: Sequence[Field]) -> dict[str, list[Scalar]]:
    """Lists with one value a row, exactly: a float32 becomes the double of the same value. NaN in a nullable input becomes None."""
    lists: dict[str, list[Scalar]] = {}
    for field in fields:
        values = columns[field.name]
        if field.width == 1:
            lists[field.name] = _listed(values, field)
        else:
            for i in range(field.width):
                lists[f"{field.name}.{i}"] = _listed(values[:, i], field)
    return lists


def array_of(values: Sequence[Scalar], field: Field) -> Any:
    """One list as an array of the field's type. Raises RequestInvalid naming the column and the row."""
    allowed = _TYPES[field.datatype]
    # Many are asked at once, and one by one only where one stands out: a third of the time a value.
    usual = len(values) > _FEW and _USUAL[field.datatype].issuperset(map(type, values))
    for row, value in enumerate(() if usual else values):
        wrong = not isinstance(value, allowed) or (isinstance(value, bool) and field.datatype != "BOOL")
        if wrong and (value is not None or field.datatype in ("BOOL", "INT64")):
            raise RequestInvalid(
                f"column {field.name!r} holds {repr(value)[:100]} in row {row}",
                cause=f"the model takes {field.datatype} there" + ("" if field.nullable else ", and no missing value"),
                remedy=f"send {field.name!r} as {field.datatype}",
            )
    try:
        return typed(values, field)
    except OverflowError as exc:
        raise RequestInvalid(
            f"column {field.name!r} holds a number beyond 64 bits", remedy=f"send {field.name!r} as {field.datatype}"
        ) from exc


def typed(values: Any, field: Field) -> Any:
    """Values as an array of the field's type. Raises RequestInvalid for a number that FP32 does not hold, OverflowError beyond 64 bits."""
    if field.datatype != "FP32":
        return np.asarray(values, dtype=DTYPES[field.datatype])
    try:
        with np.errstate(over="raise"):
            return np.asarray(values, dtype=np.float32)
    except FloatingPointError as exc:
        raise RequestInvalid(
            f"column {field.name!r} holds a number beyond 3.4e38",
            cause="the model takes FP32 there",
            remedy=f"send values of {field.name!r} that FP32 holds",
        ) from exc


def _listed(values: Any, field: Field) -> list[Scalar]:
    plain: list[Scalar] = values.tolist()
    if field.nullable and field.datatype in ("FP32", "FP64") and np.isnan(values).any():
        return [None if value != value else value for value in plain]  # noqa: PLR0124
    return plain
