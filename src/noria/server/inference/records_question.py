"""Rows, however a protocol wrote them, as the columns of a signature: objects, lists by position, whole columns, text cells.

Nothing is coerced beyond the datatype. The envelopes around rows are mlflow, sagemaker, v1, vertex and records; Arrow is arrow.
"""

import binascii
import json
from base64 import b64decode
from collections.abc import Callable, Iterable, Sequence
from math import isnan
from typing import Any

import msgspec

from noria.domain.model import Field, Signature
from noria.domain.prediction import Scalar
from noria.errors import RequestInvalid
from noria.server.inference.answering import Read
from noria.server.inference.records_csv import cell, is_header
from noria.serving.columns import from_lists, to_lists
from noria.serving.live import Served

_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode


class Rows(msgspec.Struct, frozen=True, gc=False):
    """What was sent: `named` columns, or `listed` rows by position.

    cells: values are text out of a CSV, whose first line is a header (always: 'header'; if the signature's names stand there: 'maybe').
    """

    named: dict[str, list[Any]] = {}
    listed: Sequence[Any] | None = None
    cells: str = ""


class RowsQuestion:
    """A request of rows (see answering.Question). note: what the codec wants to remember until it answers."""

    __slots__ = ("_fits", "keys", "note", "protocol", "rows")

    def __init__(
        self,
        rows: Rows,
        *,
        protocol: str,
        keys: list[str] | None = None,
        note: Any = None,
        fits: Callable[[Signature], object] | None = None,
    ) -> None:
        """protocol: for the record. fits: refuses models that cannot be asked so, before they are asked."""
        self.rows, self.protocol, self.keys, self.note, self._fits = rows, protocol, keys, note, fits

    def first(self, column: str) -> str | None:
        """See Question. Rows by position have no names yet."""
        rows = self.rows
        if rows.cells and rows.listed and column in rows.listed[0] and len(rows.listed) > 1:
            place = rows.listed[0].index(column)
            return str(rows.listed[1][place]) if place < len(rows.listed[1]) else None
        values = rows.named.get(column)
        return str(values[0]) if values and values[0] is not None else None

    def columns(self, served: Served) -> Read:
        """See Question."""
        signature = served.signature
        if self._fits is not None:
            self._fits(signature)
        named = self._named(signature)
        fields = {f.name: f for f in signature.inputs}
        flat: dict[str, Sequence[Scalar]] = {}
        for name, values in named.items():
            field = fields.get(name)
            if field is None:
                flat[name] = values
            elif field.width > 1:
                flat |= _spread(values, field, cells=bool(self.rows.cells))
            else:
                flat[name] = _plain(values, field)
        columns = from_lists(flat, signature)
        present = [f for f in signature.inputs if f.name in columns]  # the check names what is missing
        lists = to_lists(columns, present)
        return Read(columns, [(list(lists), list(lists.values()))])

    def _named(self, signature: Signature) -> dict[str, list[Any]]:
        rows = self.rows
        if rows.listed is None:
            if rows.named.keys() == {"b64"} and "b64" not in signature.input_names():  # values of the only input
                return _by_position([{"b64": value} for value in rows.named["b64"]], signature)
            return rows.named
        if not rows.cells:
            return _by_position(rows.listed, signature)
        lines: Sequence[list[str]] = rows.listed
        if rows.cells == "header" or is_header(lines[0], signature.input_names()):
            names = lines[0]
            if len(set(names)) != len(names):
                raise RequestInvalid("the CSV's header names a column twice", remedy="send each column once")
            if len(lines) < 2:
                raise RequestInvalid("the CSV has no rows", cause="the first line is the header")
            named: dict[str, list[Any]] = _transposed(lines[1:], names)
        else:
            named = _by_position(lines, signature)
        fields = {f.name: f for f in signature.inputs}
        return {
            name: values
            if name not in fields or fields[name].width > 1
            else [cell(text, fields[name], row) for row, text in enumerate(values)]
            for name, values in named.items()
        }


def from_json(body: bytes, *, tokens: bool = False, remedy: str = "") -> Any:
    """A JSON document. tokens: NaN, Infinity and -Infinity are numbers, as Python's and TensorFlow's writers put them. Raises RequestInvalid."""
    try:
        return _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        if tokens and (b"NaN" in body or b"Infinity" in body):
            try:
                document = json.loads(body.decode())
                _encode(document)  # text that is no text (half a surrogate) is found here
                return document
            except (ValueError, RecursionError, msgspec.MsgspecError):
                pass  # the strict reader said what is wrong
        raise RequestInvalid("the request is not valid JSON", cause=str(exc), remedy=remedy) from exc


def from_rows(content: Any, where: str) -> Rows:
    """A list of objects, of lists, or of bare values. Raises RequestInvalid."""
    if not isinstance(content, list) or not content:
        raise RequestInvalid(f"{where} is not a list of rows", remedy='send [{"column": value}, ...]')
    if not all(isinstance(row, dict) for row in content):
        mixed = next((i for i, row in enumerate(content) if isinstance(row, dict)), None)
        if mixed is not None and set(content[mixed]) != {"b64"}:
            raise RequestInvalid(
                f"row {mixed} of {where} is an object and others are not", remedy="send all rows alike"
            )
        return Rows(listed=content)
    names = content[0].keys()
    wrong = next((i for i, row in enumerate(content) if row.keys() != names), None)
    if wrong is not None:
        raise RequestInvalid(
            f"row {wrong} of {where} has other columns than row 0",
            remedy="send every column in every row, null for a missing value",
        )
    return Rows(named={name: [row[name] for row in content] for name in names})


def from_columns(content: dict[str, Any]) -> Rows:
    """Column name -> values, or one bare value."""
    return Rows(named={name: values if isinstance(values, list) else [values] for name, values in content.items()})


def transposed(rows: Any, names: Any, where: str) -> Rows:
    """Rows as lists under names that were sent with them. Raises RequestInvalid."""
    if not isinstance(rows, list):
        raise RequestInvalid(f"{where} has no list 'data'", remedy='send {"columns": [...], "data": [[...], ...]}')
    if names is None:
        return Rows(listed=rows)
    if not isinstance(names, list) or not all(isinstance(n, str) for n in names) or len(set(names)) != len(names):
        raise RequestInvalid(
            f"{where}'s 'columns' is not a list of different names", remedy='send "columns": ["a", "b"]'
        )
    wrong = next((i for i, row in enumerate(rows) if not isinstance(row, list)), None)
    if wrong is not None:
        raise RequestInvalid(f"row {wrong} of {where} is not a list", remedy="send every row as a list of values")
    return Rows(named=_transposed(rows, names))


def keys_of(keys: Any) -> list[str] | None:
    """Business keys, one a row. Raises RequestInvalid."""
    if keys is None or (isinstance(keys, list) and all(isinstance(key, str) for key in keys)):
        return keys
    raise RequestInvalid("'keys' is not a list of texts", remedy='send "keys": ["a", "b"]')


def by_row(values: dict[str, list[Scalar]], signature: Signature) -> list[Any]:
    """An answer a row: bare for one output, else an object; an output of several values is a list."""
    columns = whole(values, signature)
    if len(columns) == 1:
        return next(iter(columns.values()))
    names = list(columns)
    return [dict(zip(names, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def whole(values: dict[str, list[Scalar]], signature: Signature) -> dict[str, list[Any]]:
    """Outputs by name, those of several values as a list a row (answers keep each position apart, as `name.0`)."""
    if all(f.width == 1 for f in signature.outputs):
        return dict(values)
    columns: dict[str, list[Any]] = {}
    for field in signature.outputs:
        if field.width == 1:
            columns[field.name] = values[field.name]
        else:
            parts = [values[f"{field.name}.{i}"] for i in range(field.width)]
            columns[field.name] = [list(row) for row in zip(*parts, strict=True)]
    return columns


def _by_position(rows: Sequence[Any], signature: Signature) -> dict[str, list[Any]]:
    """Rows without names in the signature's order: a value a column, or all values of all columns flat in one row."""
    fields = signature.inputs
    listed = [row if isinstance(row, list) else [row] for row in rows]
    if not listed:
        raise RequestInvalid("the request has no rows", remedy="send at least one row")
    size, total = len(listed[0]), sum(f.width for f in fields)
    wrong = next((i for i, row in enumerate(listed) if len(row) != size), None)
    if wrong is not None or size not in (len(fields), total):
        place = wrong or 0
        raise RequestInvalid(
            f"row {place} has {len(listed[place])} values for {len(fields)} columns", remedy="send one value a column"
        )
    if size == len(fields):
        return {field.name: [row[i] for row in listed] for i, field in enumerate(fields)}
    named: dict[str, list[Any]] = {}
    start = 0
    for field in fields:
        end = start + field.width
        named[field.name] = [row[start] if field.width == 1 else row[start:end] for row in listed]
        start = end
    return named


def _transposed(rows: Sequence[list[Any]], names: Sequence[str]) -> dict[str, list[Any]]:
    wrong = next((i for i, row in enumerate(rows) if len(row) != len(names)), None)
    if wrong is not None:
        raise RequestInvalid(
            f"row {wrong} has {len(rows[wrong])} values for {len(names)} columns", remedy="send one value a column"
        )
    return {name: [row[i] for row in rows] for i, name in enumerate(names)}


def _spread(values: Sequence[Any], field: Field, *, cells: bool) -> dict[str, Sequence[Scalar]]:
    """A column of several values a row as one list a position."""
    for row, value in enumerate(values):
        if not isinstance(value, list) or len(value) != field.width:
            raise RequestInvalid(
                f"column {field.name!r} holds {_short(value)} in row {row}",
                cause=f"the model takes {field.width} values a row there",
            )
    if cells:
        values = [[cell(text, field, row) for text in value] for row, value in enumerate(values)]
    return {f"{field.name}.{i}": [value[i] for value in values] for i in range(field.width)}


def _plain(values: Sequence[Any], field: Field) -> Sequence[Scalar]:
    """A column of one value a row: `[v]` is `v`, bytes in base64 are their text, and NaN is a missing text."""
    if any(isinstance(value, list) for value in values):
        if not all(isinstance(value, list) and len(value) == 1 for value in values):
            raise RequestInvalid(f"column {field.name!r} holds lists", cause="the model takes one value a row there")
        values = [value[0] for value in values]
    if field.datatype == "BYTES" and any(isinstance(value, (dict, float)) for value in values):
        return list(_texts(values, field))
    return values


def _texts(values: Sequence[Any], field: Field) -> Iterable[Any]:
    for row, value in enumerate(values):
        if isinstance(value, dict) and set(value) == {"b64"} and isinstance(value["b64"], str):
            try:
                yield b64decode(value["b64"], validate=True).decode()
            except (binascii.Error, ValueError) as exc:
                raise RequestInvalid(
                    f"column {field.name!r} holds b64 that is no text in row {row}", cause=str(exc)
                ) from exc
        else:
            yield None if isinstance(value, float) and isnan(value) else value


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:80]}..."
