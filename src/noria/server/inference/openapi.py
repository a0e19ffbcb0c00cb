"""GET /openapi.json: what this worker answers, written from the signatures of what is live. Called by app.

Only paths, bodies and answers that a program can generate requests from; binary forms are named and not described.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from noria import __version__
from noria.domain.model import Field, Signature
from noria.errors import ModelUnknown, NoriaError
from noria.server.inference.answering import Answer, Question
from noria.server.inference.codec import Call, Desk, Headers, Reply
from noria.server.inference.records_media import CSV_TYPE, FILE_TYPE, JSON_TYPE, LINES_TYPE, PARQUET_TYPE, STREAM_TYPE

Document = dict[str, Any]
_TYPES = {"BOOL": "boolean", "INT64": "integer", "FP32": "number", "FP64": "number", "BYTES": "string"}

_encode = msgspec.json.Encoder().encode


class OpenapiCodec:
    """See codec.Codec."""

    name = "openapi"
    roots = ("openapi.json",)

    def call(self, method: str, path: str) -> Call | None:
        """See Codec."""
        return Call("tell", "openapi") if method == "GET" and path == "/openapi.json" else None

    def ask(self, call: Call, headers: Headers, body: bytes) -> Question:
        """See Codec. Nothing is predicted here."""
        raise ModelUnknown("nothing is predicted here", remedy="GET /openapi.json")

    def respond(self, call: Call, question: Question, answer: Answer) -> Reply:
        """See Codec. Nothing is predicted here."""
        raise ModelUnknown("nothing is predicted here", remedy="GET /openapi.json")

    async def tell(self, call: Call, headers: Headers, body: bytes, desk: Desk) -> Reply:
        """See Codec."""
        return Reply(_encode(document({one.deployment: one.variants[0].signature for one in desk.board.all()})))

    def refuse(self, call: Call | None, status: int, error: NoriaError) -> Reply:
        """See Codec."""
        return Reply(_encode({"error": str(error)}), status)


CODEC = OpenapiCodec()


def document(signatures: Mapping[str, Signature]) -> Document:
    """The document for deployments with these signatures.

    >>> sorted(document({}))
    ['components', 'info', 'openapi', 'paths', 'security']
    """
    paths: dict[str, Document] = {
        "/v2/health/live": _get("Whether the process answers", {200}),
        "/v2/health/ready": _get("Whether everything wanted is loaded", {200, 503}),
        "/v2": _get("What the server is", {200}),
        "/v1/models": _get("Names of the models", {200}),
        "/ping": _get("Whether everything wanted is loaded", {200, 503}, kind=None),
        "/health": _get("Whether everything wanted is loaded", {200, 503}, kind=None),
        "/version": _get("Noria's version", {200}, kind="text/plain"),
        "/metrics": _get("Prometheus metrics", {200}, kind="text/plain"),
        "/noria/status": _get("Which generation answers, and how the record keeping stands", {200}),
        "/openapi.json": _get("This document", {200}),
    }
    for name, signature in signatures.items():
        paths.update(_of_model(name, signature, alone=len(signatures) == 1))
    return {
        "openapi": "3.1.0",
        "info": {"title": "Noria worker", "version": __version__, "description": "Predictions, in several protocols."},
        "paths": paths,
        "security": [{}, {"key": []}],
        "components": {"securitySchemes": {"key": {"type": "http", "scheme": "bearer"}}},
    }


def _of_model(name: str, signature: Signature, *, alone: bool) -> dict[str, Document]:
    row = _row(signature)
    rows = {"type": "array", "minItems": 1, "items": row}
    columns = {f.name: {"type": "array", "minItems": 1, "items": _value(f)} for f in signature.inputs}
    by_column = _object(columns)
    v1 = {"oneOf": [_object({"instances": rows}), _object({"inputs": by_column})]}
    examples = _object({"examples": rows})
    split = _object(
        {
            "dataframe_split": _object(
                {
                    "columns": _exactly([{"const": name} for name in signature.input_names()]),
                    "data": {"type": "array", "minItems": 1, "items": _listed(signature)},
                }
            )
        }
    )
    scoring = {
        "oneOf": [
            split,
            _object({"dataframe_records": rows}),
            _object({"instances": rows}),
            _object({"inputs": by_column}),
        ]
    }
    paths = {
        f"/v2/models/{name}": _get("What the model takes and gives", {200}),
        f"/v2/models/{name}/ready": _get("Whether the model is loaded", {200}),
        f"/v2/models/{name}/infer": _post("Open Inference Protocol V2", {JSON_TYPE: _tensors(signature)}),
        f"/v1/models/{name}": _get("Whether the model is ready, and its versions", {200}),
        f"/v1/models/{name}/metadata": _get("The model's signature", {200}),
        f"/v1/models/{name}:predict": _post("KServe V1 and TensorFlow Serving", {JSON_TYPE: v1}),
        f"/v1/models/{name}:classify": _post("TensorFlow Serving: classes", {JSON_TYPE: examples}),
        f"/v1/models/{name}:regress": _post("TensorFlow Serving: values", {JSON_TYPE: examples}),
        f"/predict/{name}": _post(
            "Plain records",
            {JSON_TYPE: {"oneOf": [row, rows]}} | _binary(LINES_TYPE, CSV_TYPE, STREAM_TYPE, FILE_TYPE, PARQUET_TYPE),
        ),
    }
    if alone:
        paths["/invocations"] = _post("MLflow scoring", {JSON_TYPE: scoring} | _binary(CSV_TYPE, PARQUET_TYPE))
    return paths


def _tensors(signature: Signature) -> Document:
    """A V2 request of one row: `data` is checked by the server against `shape`."""
    tensors = [
        _object(
            {
                "name": {"const": f.name},
                "datatype": {"const": f.datatype},
                "shape": {"const": [1] if f.width == 1 else [1, f.width]},
                "data": {"type": "array", "minItems": f.width, "maxItems": f.width, "items": _scalar(f)},
            }
        )
        for f in signature.inputs
    ]
    return _object({"inputs": _exactly(tensors)})


def _row(signature: Signature) -> Document:
    return _object({f.name: _value(f) for f in signature.inputs})


def _listed(signature: Signature) -> Document:
    return _exactly([_value(f) for f in signature.inputs])


def _exactly(items: list[Document]) -> Document:
    return {"type": "array", "prefixItems": items, "minItems": len(items), "maxItems": len(items)}


def _value(field: Field) -> Document:
    if field.width == 1:
        return _scalar(field)
    return {"type": "array", "minItems": field.width, "maxItems": field.width, "items": _scalar(field)}


def _scalar(field: Field) -> Document:
    kind: Document = {"type": _TYPES[field.datatype]}
    if field.datatype == "INT64":
        kind |= {"minimum": -(2**63), "maximum": 2**63 - 1}
    if field.nullable:
        kind["type"] = [kind["type"], "null"]
    return kind


def _object(properties: Document) -> Document:
    return {"type": "object", "properties": properties, "required": list(properties)}


def _get(text: str, statuses: set[int], *, kind: str | None = JSON_TYPE) -> Document:
    content: Document = {} if kind is None else {"content": {kind: {}}}
    return {"get": {"summary": text, "responses": {str(s): {"description": text, **content} for s in sorted(statuses)}}}


def _post(text: str, content: Document) -> Document:
    refused = {
        str(status): {"description": words, "content": {JSON_TYPE: {"schema": {"type": "object"}}}}
        for status, words in (
            (400, "the request does not follow the protocol or the signature"),
            (401, "no key, or another one"),
            (404, "no such model or version"),
            (406, "an answer in that form cannot be given"),
            (413, "the body is too large"),
            (415, "a body of that type is not read"),
            (501, "what is needed for it is not installed"),
            (503, "not ready, or too much to do"),
        )
    }
    body = {"required": True, "content": content if JSON_TYPE not in content else _schemas(content)}
    return {
        "post": {"summary": text, "requestBody": body, "responses": {"200": {"description": "The answer"}, **refused}}
    }


def _schemas(content: Document) -> Document:
    return {kind: ({"schema": schema} if schema else {}) for kind, schema in content.items()}


def _binary(*kinds: str) -> Document:
    return {kind: {} for kind in kinds}
