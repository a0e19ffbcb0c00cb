"""SageMaker's side of /invocations: CSV without a header row, JSON and JSON Lines in its common formats, answers as Accept asks.

Source: Amazon SageMaker Developer Guide, "Common data formats for inference" and "InvokeEndpoint". Which requests these are is invocations.
"""

from collections.abc import Coroutine
from typing import Any, cast

import msgspec

from noria.errors import RequestInvalid
from noria.server.inference.answering import Answer, Question
from noria.server.inference.arrow import ask_table
from noria.server.inference.codec import HeaderList, Headers, Reply
from noria.server.inference.mlflow import FORMS, read_forms
from noria.server.inference.records_csv import read_csv, write_csv
from noria.server.inference.records_media import (
    CSV_TYPE,
    JSON_TYPE,
    LINES_TYPE,
    OTHER_NAMES,
    PARQUET_TYPE,
    media_type,
    preferred,
    unsupported,
)
from noria.server.inference.records_question import Rows, RowsQuestion, by_row, from_json, from_rows, whole

PREFIX = "x-amzn-sagemaker-"
ATTRIBUTES = f"{PREFIX}custom-attributes"
TARGET_MODEL, TARGET_VARIANT = f"{PREFIX}target-model", f"{PREFIX}target-variant"
HEADERS = (ATTRIBUTES, TARGET_MODEL, TARGET_VARIANT, f"{PREFIX}inference-id", f"{PREFIX}target-container-hostname")
"""Who sends one of these speaks SageMaker's dialect."""
GIVEN = (JSON_TYPE, CSV_TYPE, LINES_TYPE)
MOST_ATTRIBUTES = 1024

_encode = msgspec.json.Encoder().encode


class Wish(msgspec.Struct, frozen=True, gc=False):
    """What the headers say of the answer."""

    form: str
    attributes: str | None


def is_asked(headers: Headers) -> bool:
    """Whether a request says that it comes through SageMaker."""
    return any(headers.get(name) is not None for name in HEADERS)


def ask(body: bytes, headers: Headers) -> Question | Coroutine[Any, Any, Question]:
    """Read a body. Raises RequestInvalid, MediaTypeUnsupported, AnswerNotAcceptable, ExtraMissing."""
    kind = media_type(headers.get("content-type"), only_charset=False)
    kind = OTHER_NAMES.get(kind, kind)
    attributes = headers.get(ATTRIBUTES)
    if attributes is not None and not (
        len(attributes) <= MOST_ATTRIBUTES and attributes.isascii() and attributes.isprintable()
    ):
        raise RequestInvalid(f"header {ATTRIBUTES} is not {MOST_ATTRIBUTES} visible ASCII characters at the most")
    wish = Wish(preferred(headers.get("accept"), GIVEN, otherwise=JSON_TYPE), attributes)
    if kind == PARQUET_TYPE:
        return ask_table(body, "parquet", protocol="sagemaker", note=wish)
    if kind == CSV_TYPE:
        rows, keys = Rows(listed=read_csv(body), cells="maybe"), None
    elif kind == LINES_TYPE:
        rows, keys = (
            from_rows([_features(from_json(line)) for line in body.splitlines() if line.strip()], "the body"),
            None,
        )
    elif kind in ("", JSON_TYPE):
        rows, keys = _document(from_json(body, tokens=True))
    else:
        raise unsupported(kind, (*GIVEN, PARQUET_TYPE))
    return RowsQuestion(rows, protocol="sagemaker", keys=keys, note=wish)


def respond(question: Question, answer: Answer) -> Reply:
    """Predictions as JSON, an object a line, or CSV without a header; custom attributes go back as they came."""
    wish = cast(Wish, cast(RowsQuestion, question).note)
    signature = answer.served.signature
    if wish.form == CSV_TYPE:
        content = write_csv(answer.values, header=False)
    elif wish.form == LINES_TYPE:
        columns = whole(answer.values, signature)
        content = b"".join(
            _encode(dict(zip(columns, row, strict=True))) + b"\n" for row in zip(*columns.values(), strict=True)
        )
    else:
        content = _encode({"predictions": by_row(answer.values, signature)})
    told: HeaderList = () if wish.attributes is None else ((ATTRIBUTES, wish.attributes),)
    return Reply(content, headers=(("content-type", wish.form), *told))


def _document(document: Any) -> tuple[Rows, list[str] | None]:
    """Bare rows, one row of features, or an object with `instances` or one of MLflow's other forms."""
    if isinstance(document, list):
        return from_rows([_features(row) for row in document], "the body"), None
    if not isinstance(document, dict):
        raise RequestInvalid("the request is neither a JSON object nor a list", remedy='send {"instances": [...]}')
    if isinstance(document.get("instances"), list):
        document = {**document, "instances": [_features(row) for row in document["instances"]]}
    elif not any(form in document for form in FORMS):
        return from_rows([_features(document)], "the body"), None
    return read_forms(document)


def _features(row: Any) -> Any:
    """`{"features": [...]}` and `{"data": {"features": {"values": [...]}}}` are rows by position; anything else is a row as it stands."""
    if isinstance(row, dict) and len(row) <= 2:
        data = row.get("data", row)
        inner = (
            data.get("features")
            if isinstance(data, dict) and set(row) <= {"data", "features", "configuration"}
            else None
        )
        if isinstance(inner, list):
            return inner
        if isinstance(inner, dict) and isinstance(inner.get("values"), list):
            return inner["values"]
    return row
