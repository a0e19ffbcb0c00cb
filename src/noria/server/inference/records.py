"""Noria's own plain form: POST /predict/<deployment> with an object, a list of objects, JSON Lines, CSV or Arrow; the answer in the same form.

Each answered row carries the id of its prediction, the version and the variant. Arrow is arrow, rows are records_question. Called by app and vertex.
"""

from collections.abc import Coroutine
from typing import Any, Literal, cast

import msgspec

from noria.domain.prediction import Scalar
from noria.errors import ModelUnknown, NoriaError, RequestInvalid
from noria.server.inference.answering import Answer, Question
from noria.server.inference.arrow import ask_table, require_polars, write_table
from noria.server.inference.codec import Call, Desk, HeaderList, Headers, Reply
from noria.server.inference.records_csv import read_csv, write_csv
from noria.server.inference.records_media import (
    CSV_TYPE,
    FILE_TYPE,
    JSON_TYPE,
    LINES_TYPE,
    OTHER_NAMES,
    PARQUET_TYPE,
    STREAM_TYPE,
    media_type,
    preferred,
    unsupported,
)
from noria.server.inference.records_question import Rows, RowsQuestion, from_json, from_rows, whole

Form = Literal["json", "lines", "csv", "stream", "file", "parquet"]
FORMS: dict[str, Form] = {
    JSON_TYPE: "json",
    LINES_TYPE: "lines",
    CSV_TYPE: "csv",
    STREAM_TYPE: "stream",
    FILE_TYPE: "file",
    PARQUET_TYPE: "parquet",
}
GIVEN = (JSON_TYPE, LINES_TYPE, CSV_TYPE, STREAM_TYPE, FILE_TYPE)
_REMEDY = 'send {"column": value, ...} or a list of such objects'

_encode = msgspec.json.Encoder().encode


class Wish(msgspec.Struct, frozen=True, gc=False):
    """How to answer. single: one object was sent, so one comes back."""

    form: str
    single: bool = False


class RecordsCodec:
    """See codec.Codec. /predict alone is for a worker with one deployment."""

    name = "records"
    roots = ("predict",)

    def call(self, method: str, path: str) -> Call | None:
        """See Codec."""
        if method != "POST":
            return None
        match path.split("/")[1:]:
            case ["predict"]:
                return Call("predict", "predict")
            case ["predict", model] if model:
                return Call("predict", "predict", model)
            case ["predict", model, "versions", version] if model and version:
                return Call("predict", "predict", model, version)
        return None

    def ask(self, call: Call, headers: Headers, body: bytes) -> Question | Coroutine[Any, Any, Question]:
        """See Codec."""
        return read(headers, body, protocol="records")

    def respond(self, call: Call, question: Question, answer: Answer) -> Reply | Coroutine[Any, Any, Reply]:
        """See Codec."""
        return write(question, answer)

    async def tell(self, call: Call, headers: Headers, body: bytes, desk: Desk) -> Reply:
        """See Codec. There is nothing to tell here."""
        raise ModelUnknown("nothing is answered here but predictions", remedy="POST a row")

    def refuse(self, call: Call | None, status: int, error: NoriaError) -> Reply:
        """See Codec."""
        return Reply(_encode({"error": str(error), "code": error.code}), status)


CODEC = RecordsCodec()


def form_of(headers: Headers, body: bytes) -> Form:
    """Which form a body has, by its content type; a type that says nothing about it is looked through. Raises MediaTypeUnsupported."""
    kind = media_type(headers.get("content-type"), only_charset=False)
    form = FORMS.get(OTHER_NAMES.get(kind, kind))
    if form is not None:
        return form
    if body.lstrip()[:1] in (b"{", b"[") and kind in ("", "application/x-www-form-urlencoded", "text/plain"):
        return "json"
    raise unsupported(kind, tuple(FORMS))


def read(headers: Headers, body: bytes, *, protocol: str) -> Question | Coroutine[Any, Any, Question]:
    """A body in any of the forms. Raises RequestInvalid, RequestTooLarge, MediaTypeUnsupported, AnswerNotAcceptable, ExtraMissing."""
    form = form_of(headers, body)
    own = next(kind for kind, known in FORMS.items() if known == form)
    wanted = preferred(headers.get("accept"), GIVEN, otherwise=own if own in GIVEN else JSON_TYPE)
    if wanted in (STREAM_TYPE, FILE_TYPE):
        require_polars()
    if form in ("stream", "file", "parquet"):
        return ask_table(body, form, protocol=protocol, note=Wish(wanted))
    single = False
    if form == "csv":
        rows = Rows(listed=read_csv(body), cells="maybe")
    elif form == "lines":
        rows = _objects([from_json(line, tokens=True) for line in body.splitlines() if line.strip()])
    else:
        document = from_json(body, tokens=True, remedy=_REMEDY)
        single = isinstance(document, dict)
        rows = _objects([document] if single else document)
    return RowsQuestion(rows, protocol=protocol, note=Wish(wanted, single))


def write(question: Question, answer: Answer) -> Reply | Coroutine[Any, Any, Reply]:
    """Every row with its outputs and where they come from. CSV and Arrow have only the id of the prediction beside them; the rest is in headers."""
    wish = cast(Wish, cast(RowsQuestion, question).note)
    told: HeaderList = (("content-type", wish.form),)
    if wish.form in (STREAM_TYPE, FILE_TYPE):
        return _table(answer, wish.form)
    if wish.form == CSV_TYPE:
        values: dict[str, list[Scalar]] = {**answer.values, "prediction_id": list(_ids(answer))}
        return Reply(write_csv(values, header=True), headers=told)
    rows = _rows(answer)
    if wish.form == LINES_TYPE:
        return Reply(b"".join(_encode(row) + b"\n" for row in rows), headers=told)
    return Reply(_encode(rows[0] if wish.single else rows), headers=told)


async def _table(answer: Answer, kind: str) -> Reply:
    columns: dict[str, Any] = {
        f.name: answer.outputs[f.name].tolist() if f.datatype == "BYTES" else answer.outputs[f.name]
        for f in answer.served.signature.outputs
    }
    columns["prediction_id"] = _ids(answer)
    content = await write_table(columns, "stream" if kind == STREAM_TYPE else "file")
    return Reply(content, headers=(("content-type", kind),))


def _rows(answer: Answer) -> list[dict[str, Any]]:
    variant = answer.served.variant
    version, name = str(variant.number), variant.name
    columns = whole(answer.values, answer.served.signature)
    names = list(columns)
    return [
        {**dict(zip(names, row, strict=True)), "noria": {"prediction_id": one, "version": version, "variant": name}}
        for one, row in zip(_ids(answer), zip(*columns.values(), strict=True), strict=True)
    ]


def _ids(answer: Answer) -> list[str]:
    return [f"{answer.request_id}.{row}" for row in range(answer.rows)]


def _objects(content: Any) -> Rows:
    rows = from_rows(content, "the body")
    if rows.listed is not None:
        raise RequestInvalid("the body holds rows that are not objects", remedy=_REMEDY)
    return rows
