"""What a model takes and gives: inferred from real columns, and checked before every answer. Strict: nothing is coerced here.

Decoding a request into columns is server/inference; converting a model is convert. Called by loop/stages, bundle and the worker.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from math import isnan, prod
from typing import Any

import msgspec
import numpy as np

from noria.domain.model import Field, FieldType, Signature
from noria.errors import EmptyTable, RequestInvalid, SchemaMismatch
from noria.ports.flavor import Columns

MOST_CATEGORIES = 1000
"""A text column with more different values than this is open: its values are not kept in the signature."""

_KINDS: dict[FieldType, str] = {"BOOL": "b", "INT64": "iu", "FP32": "f", "FP64": "f", "BYTES": "OUT"}
_WORDS: dict[FieldType, str] = {
    "BOOL": "true or false",
    "INT64": "whole numbers",
    "FP32": "numbers",
    "FP64": "numbers",
    "BYTES": "text",
}


def infer_signature(columns: Columns, outputs: Columns) -> Signature:
    """Describe a model by a sample of what it takes and what it gave.

    columns, outputs: name -> array of shape (rows,), (rows, width) or (rows, *dims), rows >= 1. A column is nullable when the sample holds a missing
    value in it; the range of an input's numbers is kept as it was seen.
    Whole numbers with gaps arrive as float64 and stay FP64. Raises EmptyTable, SchemaMismatch for a type that no protocol carries.

    >>> import numpy as np
    >>> s = infer_signature({"age": np.array([31.0, np.nan]), "city": np.array(["Rome", "Oslo"], object)}, {"probability": np.array([0.1, 0.9])})
    >>> [(f.name, f.datatype, f.nullable, f.categories) for f in s.inputs]
    [('age', 'FP64', True, None), ('city', 'BYTES', False, ('Oslo', 'Rome'))]
    """
    if not columns or not outputs:
        raise EmptyTable(
            "a signature needs at least one input and one output column", remedy="pass the training columns"
        )
    inputs = tuple(_field(name, np.asarray(values), closed=True) for name, values in columns.items())
    return Signature(
        inputs=inputs, outputs=tuple(_field(name, np.asarray(values), closed=False) for name, values in outputs.items())
    )


def flat(columns: Columns, signature: Signature) -> Columns:
    """Columns whose rows have dims, as (rows, width), which is how they travel; all others as they are.

    >>> import numpy as np
    >>> picture = np.zeros((5, 3, 2, 2))
    >>> flat({"picture": picture}, infer_signature({"picture": picture}, {"p": np.zeros(5)}))["picture"].shape
    (5, 12)
    """
    deep = {field.name: field.width for field in signature.inputs if field.dims}
    return {
        name: np.asarray(values).reshape(-1, deep[name]) if name in deep else values for name, values in columns.items()
    }


def check(columns: Columns, signature: Signature) -> int:
    """Refuse columns that do not follow the signature; give the number of text values that training never saw (they are answered, and counted).

    Raises RequestInvalid naming the column: missing, surplus, of another type or shape, or a missing value where none is allowed.

    >>> import numpy as np
    >>> s = infer_signature({"city": np.array(["Rome", "Oslo"], object)}, {"p": np.array([0.1, 0.9])})
    >>> check({"city": np.array(["Paris", "Rome"], object)}, s)
    1
    """
    return checker(signature)(columns)


def checker(signature: Signature) -> Callable[[Columns], int]:
    """`check` for one signature, prepared once: what a worker calls for every request."""
    columns_of = {field.name: _column_check(field) for field in signature.inputs}
    expected = columns_of.keys()
    plain = [f.name for f in signature.inputs if f.width == 1 and f.datatype in ("FP32", "FP64") and not f.nullable]
    others = [(name, check_column) for name, check_column in columns_of.items() if name not in plain]
    first = signature.inputs[0].name

    def checked(columns: Columns) -> int:
        if columns.keys() != expected:
            raise _wrong_names(columns, signature)
        rows = len(columns[first])
        if rows < 1:
            raise RequestInvalid("the request has no rows", remedy="send at least one row")
        unseen = 0
        for name in plain:
            values = columns[name]
            if values.dtype.kind != "f" or values.ndim != 1 or len(values) != rows:
                columns_of[name](values)
                raise _unequal(name, len(values), rows)
            if isnan(
                values[values.argmin()]
            ):  # argmin finds the first NaN; the cheapest test there is for one row, and it cannot overflow
                columns_of[name](values)
        for name, check_column in others:
            values = columns[name]
            unseen += check_column(values)
            if len(values) != rows:
                raise _unequal(name, len(values), rows)
        return unseen

    return checked


def unseen_counter(signature: Signature) -> Callable[[Columns], int]:
    """Only the last part of `check`: count text values that training never saw, in columns that are known to follow the signature."""
    known = [(f.name, frozenset([None, *f.categories])) for f in signature.inputs if f.categories is not None]

    def unseen(columns: Columns) -> int:
        count = 0
        for name, seen in known:
            values = columns[name].ravel().tolist()
            if not seen.issuperset(values):  # asked at once: nearly always the answer is none
                count += sum(value not in seen for value in values)
        return count

    return unseen


def _unequal(name: str, rows: int, others: int) -> RequestInvalid:
    return RequestInvalid(
        f"column {name!r} has {rows} rows and the others have {others}", remedy="send every column with one value a row"
    )


def _field(name: str, values: Any, *, closed: bool) -> Field:
    """One column's field. closed: keep the text values and the range that were seen."""
    if values.ndim == 0 or 0 in values.shape:
        raise EmptyTable(
            f"column {name!r} has shape {values.shape}",
            cause="a signature needs (rows,), (rows, width) or (rows, *dims), rows >= 1",
        )
    width = prod(int(n) for n in values.shape[1:])
    dims = tuple(int(n) for n in values.shape[1:]) if values.ndim > 2 else ()
    kind = values.dtype.kind
    if kind == "b":
        return Field(name=name, datatype="BOOL", width=width, dims=dims)
    if kind in "iuf":
        datatype: FieldType = "INT64" if kind in "iu" else "FP32" if values.dtype.itemsize <= 4 else "FP64"
        nullable = kind == "f" and bool(np.isnan(values).any())
        low, high = _range(values) if closed else (None, None)
        return Field(name=name, datatype=datatype, width=width, nullable=nullable, minimum=low, maximum=high, dims=dims)
    if kind in "OUT":
        return msgspec.structs.replace(_text_field(name, values, width, closed=closed), dims=dims)
    raise SchemaMismatch(
        f"column {name!r} has type {values.dtype}",
        cause="a model's columns are booleans, numbers or text",
        remedy="convert it before training",
    )


def _range(values: Any) -> tuple[float | None, float | None]:
    """Smallest and largest finite number seen, or nothing if there is none."""
    finite = values[np.isfinite(values)]
    return (float(finite.min()), float(finite.max())) if finite.size else (None, None)


def _text_field(name: str, values: Any, width: int, *, closed: bool) -> Field:
    seen = set(values.ravel().tolist())
    missing = None in seen
    seen.discard(None)
    foreign = next((v for v in seen if not isinstance(v, str)), None)
    if foreign is not None:
        raise SchemaMismatch(
            f"column {name!r} mixes text with {type(foreign).__name__} ({foreign!r})",
            remedy="make the column text, or numbers with NaN",
        )
    categories = tuple(sorted(seen)) if closed and len(seen) <= MOST_CATEGORIES else None
    return Field(name=name, datatype="BYTES", width=width, nullable=missing, categories=categories)


def _column_check(field: Field) -> Callable[[Any], int]:
    """The check of one column; returns the number of unseen text values."""
    kinds, shaped = _KINDS[field.datatype], (1 if field.width == 1 else 2)
    known = frozenset(field.categories) if field.categories is not None else None
    floating, text, refuses_missing = field.datatype in ("FP32", "FP64"), field.datatype == "BYTES", not field.nullable

    def check_column(values: Any) -> int:
        if values.dtype.kind not in kinds:
            raise RequestInvalid(
                f"column {field.name!r} has type {values.dtype}",
                cause=f"the model takes {_WORDS[field.datatype]} there ({field.datatype})",
                remedy=f"send column {field.name!r} as {field.datatype}",
            )
        if values.ndim != shaped or (shaped == 2 and values.shape[1] != field.width):
            raise _wrong_shape(field, values.shape)
        if floating:
            flat = values if shaped == 1 else values.ravel()
            if refuses_missing and np.isnan(flat).any():
                raise _missing_value(field, int(np.isnan(flat).argmax()) // field.width)
            return 0
        return _check_text(field, values.ravel().tolist(), known) if text else 0

    return check_column


def _check_text(field: Field, values: list[Any], known: frozenset[str] | None) -> int:
    if None in values and not field.nullable:
        raise _missing_value(field, values.index(None) // field.width)
    with suppress(TypeError):  # an object that has no hash is no text: said below
        if known is not None and known.issuperset(values):
            return 0
    for row, value in enumerate(values):
        if value is not None and not isinstance(value, str):
            raise RequestInvalid(
                f"column {field.name!r} holds {repr(value)[:100]} in row {row // field.width}",
                cause="the model takes text there (BYTES)",
                remedy="send text",
            )
    return 0 if known is None else sum(v is not None and v not in known for v in values)


def _missing_value(field: Field, row: int) -> RequestInvalid:
    return RequestInvalid(
        f"column {field.name!r} has no value in row {row}",
        cause="training saw no missing value there, so the model has no answer for one",
        remedy=f"send a value for {field.name!r}, or train with missing values in it",
    )


def _wrong_shape(field: Field, shape: tuple[int, ...]) -> RequestInvalid:
    wanted = "(rows,)" if field.width == 1 else f"(rows, {field.width})"
    return RequestInvalid(
        f"column {field.name!r} has shape {shape}",
        cause=f"the model takes {wanted} there",
        remedy="send one value a row",
    )


def _wrong_names(columns: Mapping[str, object], signature: Signature) -> RequestInvalid:
    """Names what helps the caller along and no more: who may not read the model's metadata shall not get it from an error."""
    missing = [n for n in signature.input_names() if n not in columns]
    surplus = [n for n in columns if n not in signature.input_names()]
    parts = []
    if missing:
        parts.append(f"{_first_of(missing)} missing")
    if surplus:
        parts.append(f"{_first_of(surplus)} unknown to the model")
    return RequestInvalid(
        "; ".join(parts),
        cause=f"the model takes {len(signature.inputs)} columns, every one of them and no other",
        remedy="ask for the model's metadata: it names them",
    )


def _first_of(names: list[str]) -> str:
    shown = repr(names[0][:100])
    return f"column {shown} is" if len(names) == 1 else f"column {shown} and {len(names) - 1} more are"
