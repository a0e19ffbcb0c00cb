"""MLflow's scoring protocol: JSON in its four forms and CSV with a header row. Unknown columns and wrong types are refused, never coerced.

Source: MLflow 3 documentation, "Deploy MLflow model as a local inference server", and its /invocations, /ping, /health, /version. Called by app.
"""

import csv
import io
from collections.abc import Sequence
from typing import Any

import msgspec

from noria import __version__
from noria.domain.model import Field
from noria.domain.prediction import Scalar
from noria.errors import NoriaError, RequestInvalid
from noria.server.inference.answering import Answer, Question, Read
from noria.server.inference.codec import TEXT, Call, Desk, Headers, Reply
from noria.serving.columns import from_lists, to_lists
from noria.serving.live import Served

FORMS = ("dataframe_split", "dataframe_records", "instances", "inputs")
CODES = {
    400: "BAD_REQUEST",
    404: "RESOURCE_DOES_NOT_EXIST",
    413: "BAD_REQUEST",
    503: "TEMPORARILY_UNAVAILABLE",
    500: "INTERNAL_ERROR",
}
_TRUTHS = {"true": True, "false": False, "1": True, "0": False}

_decode = msgspec.json.Decoder(dict[str, Any]).decode
_encode = msgspec.json.Encoder().encode


class MlflowCodec:
    """See codec.Codec."""

    name = "mlflow"
    roots = ("invocations", "ping", "health", "version")

    def call(self, method: str, path: str) -> Call | None:
        """See Codec."""
        if path == "/invocations":
            return Call("predict", "invocations") if method == "POST" else None
        if method == "GET" and path in ("/ping", "/health", "/version"):
            return Call("tell", path[1:], is_open=path != "/version")
        return None

    def ask(self, call: Call, headers: Headers, body: bytes) -> Question:
        """See Codec."""
        return MlflowQuestion(body, content_type=headers.get("content-type") or "")

    def respond(self, call: Call, question: Question, answer: Answer) -> Reply:
        """See Codec."""
        return Reply(respond(answer))

    async def tell(self, call: Call, headers: Headers, body: bytes, desk: Desk) -> Reply:
        """See Codec. /ping and /health: 200 once everything wanted is loaded."""
        if call.verb == "version":
            return Reply(__version__.encode(), headers=TEXT)
        return Reply(b"\n", 200 if desk.board.ready() else 503)

    def refuse(self, call: Call | None, status: int, error: NoriaError) -> Reply:
        """See Codec."""
        return Reply(_encode({"error_code": CODES.get(status, "INTERNAL_ERROR"), "message": str(error)}), status)


CODEC = MlflowCodec()


class MlflowQuestion:
    """A parsed request (see answering.Question). Values: column -> list; or rows without names, which take the signature's order."""

    __slots__ = ("_from_text", "_named", "_unnamed", "keys")
    protocol = "mlflow"

    def __init__(self, body: bytes, *, content_type: str) -> None:
        """content_type: of the header; anything that is not CSV is read as JSON. Raises RequestInvalid."""
        self.keys: list[str] | None = None
        self._named: dict[str, list[Any]] = {}
        self._unnamed: list[list[Any]] | None = None
        self._from_text = content_type.partition(";")[0].strip().lower() in ("text/csv", "application/csv")
        if self._from_text:
            self._read_csv(body)
        else:
            self._read_json(body)

    def first(self, column: str) -> str | None:
        """See Question."""
        values = self._named.get(column)
        return str(values[0]) if values and values[0] is not None else None

    def columns(self, served: Served) -> Read:
        """See Question."""
        signature = served.signature
        named = self._named
        if self._unnamed is not None:
            named = _by_position(self._unnamed, signature.input_names())
        fields = {f.name: f for f in signature.inputs}
        flat: dict[str, Sequence[Scalar]] = {}
        for name, values in named.items():
            field = fields.get(name)
            if field is not None and self._from_text:
                values = [_typed(text, field, row) for row, text in enumerate(values)]
            if field is not None and field.width > 1:
                flat |= _spread(name, values, field.width)
            else:
                flat[name] = values
        columns = from_lists(flat, signature)
        present = [f for f in signature.inputs if f.name in columns]  # the check names what is missing
        lists = to_lists(columns, present)
        return Read(columns, [(list(lists), list(lists.values()))])

    def _read_json(self, body: bytes) -> None:
        try:
            document = _decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
            raise RequestInvalid(
                "the request is not a JSON object",
                cause=str(exc),
                remedy='send {"dataframe_split": {"columns": [...], "data": [...]}}',
            ) from exc
        given = [form for form in FORMS if form in document]
        if len(given) != 1:
            raise RequestInvalid(
                f"the request has {len(given)} of the forms {', '.join(FORMS)}",
                cause=f"its keys: {sorted(document)[:8]}",
                remedy="send exactly one",
            )
        if document.get("params"):
            raise RequestInvalid("the model takes no params", remedy="leave 'params' out")
        self.keys = _keys(document.get("keys"))
        content = document[given[0]]
        if given[0] == "dataframe_split":
            self._read_split(content)
        elif given[0] == "inputs" and isinstance(content, dict):
            self._named = {name: values if isinstance(values, list) else [values] for name, values in content.items()}
        else:
            self._read_rows(content, given[0])

    def _read_split(self, content: Any) -> None:
        if not isinstance(content, dict) or not isinstance(content.get("data"), list):
            raise RequestInvalid(
                "'dataframe_split' has no list 'data'", remedy='send {"columns": [...], "data": [[...], ...]}'
            )
        rows = _rows(content["data"], "dataframe_split.data")
        names = content.get("columns")
        if names is None:
            self._unnamed = rows
            return
        if (
            not isinstance(names, list)
            or not all(isinstance(name, str) for name in names)
            or len(set(names)) != len(names)
        ):
            raise RequestInvalid(
                "'dataframe_split.columns' is not a list of different names", remedy='send "columns": ["a", "b"]'
            )
        self._named = _by_position(rows, names)

    def _read_rows(self, content: Any, form: str) -> None:
        if not isinstance(content, list) or not content:
            raise RequestInvalid(f"{form!r} is not a list of rows", remedy=f'send {{"{form}": [{{"column": value}}]}}')
        if not all(isinstance(row, dict) for row in content):
            if form == "dataframe_records":
                raise RequestInvalid(
                    "'dataframe_records' holds rows that are not objects", remedy='send [{"column": value}, ...]'
                )
            self._unnamed = _rows(content, form)
            return
        names = content[0].keys()
        wrong = next((i for i, row in enumerate(content) if row.keys() != names), None)
        if wrong is not None:
            raise RequestInvalid(
                f"row {wrong} of {form!r} has other columns than row 0",
                remedy="send every column in every row, null for a missing value",
            )
        self._named = {name: [row[name] for row in content] for name in names}

    def _read_csv(self, body: bytes) -> None:
        try:
            lines = list(csv.reader(io.StringIO(body.decode("utf-8-sig")), strict=True))
        except (csv.Error, UnicodeDecodeError) as exc:
            raise RequestInvalid(
                "the request is not valid CSV", cause=str(exc), remedy="send UTF-8 with a header row"
            ) from exc
        lines = [line for line in lines if line]
        if len(lines) < 2:
            raise RequestInvalid(
                "the CSV has no rows",
                cause="the first line is the header",
                remedy="send a header row and at least one row",
            )
        if len(set(lines[0])) != len(lines[0]):
            raise RequestInvalid("the CSV's header names a column twice", remedy="send each column once")
        self._named = _by_position(lines[1:], lines[0])


def respond(answer: Answer) -> bytes:
    """`{"predictions": [...]}`: a value a row for one output, an object a row for several."""
    if len(answer.values) == 1:
        return _encode({"predictions": next(iter(answer.values.values()))})
    names = list(answer.values)
    return _encode(
        {"predictions": [dict(zip(names, row, strict=True)) for row in zip(*answer.values.values(), strict=True)]}
    )


def _keys(keys: Any) -> list[str] | None:
    if keys is None or (isinstance(keys, list) and all(isinstance(key, str) for key in keys)):
        return keys
    raise RequestInvalid("'keys' is not a list of texts", remedy='send "keys": ["a", "b"]')


def _rows(rows: list[Any], where: str) -> list[list[Any]]:
    """Rows as lists; a list of bare values is one column."""
    if rows and all(not isinstance(row, (list, dict)) for row in rows):
        return [[row] for row in rows]
    wrong = next((i for i, row in enumerate(rows) if not isinstance(row, list)), None)
    if wrong is not None:
        raise RequestInvalid(f"row {wrong} of {where!r} is not a list", remedy="send every row as a list of values")
    return rows


def _by_position(rows: Sequence[list[Any]], names: Sequence[str]) -> dict[str, list[Any]]:
    wrong = next((i for i, row in enumerate(rows) if len(row) != len(names)), None)
    if wrong is not None:
        raise RequestInvalid(
            f"row {wrong} has {len(rows[wrong])} values for {len(names)} columns", remedy=f"send: {', '.join(names)}"
        )
    return {name: [row[i] for row in rows] for i, name in enumerate(names)}


def _spread(name: str, values: Sequence[Any], width: int) -> dict[str, Sequence[Scalar]]:
    """A column of several values a row as one list a position."""
    for row, value in enumerate(values):
        if not isinstance(value, list) or len(value) != width:
            raise RequestInvalid(
                f"column {name!r} holds {value!r} in row {row}", cause=f"the model takes {width} values a row there"
            )
    return {f"{name}.{i}": [value[i] for value in values] for i in range(width)}


def _typed(text: str, field: Field, row: int) -> Scalar:
    """A CSV cell as the column's type; an empty cell is a missing value (and empty text where text may not be missing)."""
    if text == "" and (field.nullable or field.datatype != "BYTES"):
        return None
    try:
        if field.datatype == "BYTES":
            return text
        if field.datatype == "BOOL":
            return _TRUTHS[text.strip().lower()]
        return int(text) if field.datatype == "INT64" else float(text)
    except (ValueError, KeyError) as exc:
        raise RequestInvalid(
            f"column {field.name!r} holds {text!r} in row {row}", cause=f"the model takes {field.datatype} there"
        ) from exc
