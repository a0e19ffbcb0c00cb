"""CloudEvents around KServe V1 bodies: in the headers (binary mode) or around the body (structured mode), and the answer in the same mode.

Source: CloudEvents 1.0, HTTP protocol binding and JSON format; attributes of answers as KServe's server gives them. Called by v1.
"""

import binascii
from base64 import b64decode
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec

from noria.errors import MediaTypeUnsupported, RequestInvalid
from noria.server.inference.codec import JSON, HeaderList, Headers, Reply
from noria.server.inference.records_media import media_type
from noria.server.inference.records_question import from_json

STRUCTURED = "application/cloudevents+json"
REQUIRED = ("id", "source", "specversion", "type")
RESPONSE = "io.kserve.inference.response"

_encode = msgspec.json.Encoder().encode
Mode = Literal["", "binary", "structured"]


def unwrap(headers: Headers, body: bytes) -> tuple[Any, Mode]:
    """The document that a request carries, and in which mode of CloudEvents it came ('' for none). Raises RequestInvalid, MediaTypeUnsupported."""
    kind = media_type(headers.get("content-type"), only_charset=False)
    if kind == "application/cloudevents-batch+json":
        raise MediaTypeUnsupported("batches of CloudEvents are not read", remedy="send one event a request")
    if headers.get("ce-specversion") is not None or headers.get("ce-id") is not None:
        attributes = {name: headers.get(f"ce-{name}") for name in REQUIRED}
        _check({name: value for name, value in attributes.items() if value is not None})
        return from_json(body, tokens=True), "binary"
    document = from_json(body, tokens=True, remedy='send {"instances": [...]}')
    if kind != STRUCTURED and not (
        isinstance(document, dict) and all(name in document for name in (*REQUIRED, "data"))
    ):
        return document, ""
    if not isinstance(document, dict):
        raise RequestInvalid("the CloudEvent is not a JSON object", remedy="send its attributes and data as an object")
    _check(document)
    if "data_base64" in document:
        try:
            return from_json(b64decode(str(document["data_base64"]), validate=True), tokens=True), "structured"
        except (binascii.Error, ValueError) as exc:
            raise RequestInvalid("the CloudEvent's data_base64 is no base64", cause=str(exc)) from exc
    data = document.get("data")
    return (from_json(data.encode(), tokens=True) if isinstance(data, str) else data), "structured"


def wrap(document: dict[str, Any], mode: Mode, *, model: str, request_id: str) -> Reply:
    """The answer, in the mode of the request."""
    if not mode:
        return Reply(_encode(document))
    event = {
        "specversion": "1.0",
        "id": request_id,
        "source": f"io.kserve.inference.{model}",
        "type": RESPONSE,
        "time": datetime.now(UTC).isoformat().replace("+00:00", "Z"),
    }
    if mode == "binary":
        told: HeaderList = tuple((f"ce-{name}", value) for name, value in event.items())
        return Reply(_encode(document), headers=JSON + told)
    content = _encode({**event, "datacontenttype": "application/json", "data": document})
    return Reply(content, headers=(("content-type", STRUCTURED),))


def _check(attributes: dict[str, Any]) -> None:
    missing = [name for name in REQUIRED if not isinstance(attributes.get(name), str) or not attributes[name]]
    if missing:
        raise RequestInvalid(
            f"the CloudEvent has no {missing[0]!r}", remedy=f"send the attributes {', '.join(REQUIRED)} as texts"
        )
    if attributes["specversion"] not in ("1.0", "0.3"):
        raise RequestInvalid(
            f"the CloudEvent is of version {attributes['specversion'][:20]!r}", cause="read here: 1.0, 0.3"
        )
