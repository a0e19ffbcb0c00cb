"""MLflow's scoring protocol: JSON in its four forms, CSV with a header row, Parquet; what it answers. Its paths are invocations.

Source: mlflow 3.17.2, pyfunc/scoring_server. Unlike there, columns that the model does not know and wrong types are refused, never coerced.
"""

from collections.abc import Coroutine
from typing import Any

import msgspec

from noria.errors import NoriaError, RequestInvalid
from noria.server.inference.answering import Answer, Question
from noria.server.inference.arrow import ask_table
from noria.server.inference.codec import Reply
from noria.server.inference.records_csv import read_csv
from noria.server.inference.records_media import CSV_TYPE, JSON_TYPE, PARQUET_TYPE, media_type, unsupported
from noria.server.inference.records_question import (
    Rows,
    RowsQuestion,
    by_row,
    from_columns,
    from_json,
    from_rows,
    keys_of,
    transposed,
)

FORMS = ("dataframe_split", "dataframe_records", "instances", "inputs")
TYPES = (JSON_TYPE, CSV_TYPE, PARQUET_TYPE)
CODES = {404: "RESOURCE_DOES_NOT_EXIST", 500: "INTERNAL_ERROR", 501: "NOT_IMPLEMENTED", 503: "TEMPORARILY_UNAVAILABLE"}
_REMEDY = 'send {"dataframe_split": {"columns": [...], "data": [...]}}'

_encode = msgspec.json.Encoder().encode


def ask(body: bytes, content_type: str | None) -> Question | Coroutine[Any, Any, Question]:
    """Read a body. Raises RequestInvalid, MediaTypeUnsupported, ExtraMissing."""
    kind = media_type(content_type)
    if kind == CSV_TYPE:
        return RowsQuestion(Rows(listed=read_csv(body), cells="header"), protocol="mlflow")
    if kind == PARQUET_TYPE:
        return ask_table(body, "parquet", protocol="mlflow")
    if kind not in ("", JSON_TYPE):
        raise unsupported(kind, TYPES)
    document = from_json(body, tokens=True, remedy=_REMEDY)
    if not isinstance(document, dict):
        raise RequestInvalid("the request is not a JSON object", remedy=_REMEDY)
    rows, keys = read_forms(document)
    return RowsQuestion(rows, protocol="mlflow", keys=keys)


def read_forms(document: dict[str, Any]) -> tuple[Rows, list[str] | None]:
    """The rows of a document in one of the four forms, and business keys (`keys`, Noria's own). Raises RequestInvalid."""
    given = [form for form in FORMS if form in document]
    if len(given) != 1:
        raise RequestInvalid(
            f"the request has {len(given)} of the forms {', '.join(FORMS)}",
            cause=f"its keys: {[name[:40] for name in sorted(document)[:8]]}",
            remedy="send exactly one",
        )
    if document.get("params"):
        raise RequestInvalid("the model takes no params", remedy="leave 'params' out")
    form, keys = given[0], keys_of(document.get("keys"))
    content = document[form]
    if form == "dataframe_split":
        if not isinstance(content, dict):
            raise RequestInvalid("'dataframe_split' is not an object", remedy=_REMEDY)
        return transposed(content.get("data"), content.get("columns"), "'dataframe_split'"), keys
    if form == "inputs" and isinstance(content, dict):
        return from_columns(content), keys
    rows = from_rows(content, f"'{form}'")
    if form == "dataframe_records" and rows.listed is not None:
        raise RequestInvalid(
            "'dataframe_records' holds rows that are not objects", remedy='send [{"column": value}, ...]'
        )
    return rows, keys


def respond(answer: Answer) -> Reply:
    """`{"predictions": [...]}`: a value a row for one output, an object a row for several."""
    return Reply(_encode({"predictions": by_row(answer.values, answer.served.signature)}))


def refuse(status: int, error: NoriaError) -> Reply:
    """`{"error_code": ..., "message": ...}`."""
    code = CODES.get(status, "BAD_REQUEST" if status < 500 else "INTERNAL_ERROR")
    return Reply(_encode({"error_code": code, "message": str(error)}), status)
