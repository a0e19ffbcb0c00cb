"""Vertex AI's custom containers: one path for predictions and one for health, whatever the environment says they are.

Source: Vertex AI, "Custom container requirements for prediction". It adds deployedModelId to answers itself. rawPredict sends any body to the same
path: one that is no {"instances": ...} is read and answered as records are. Called by app.
"""

from collections.abc import Coroutine, Mapping
from typing import Any, cast

import msgspec

from noria.errors import NoriaError, RequestInvalid, SettingInvalid
from noria.server.inference import records
from noria.server.inference.answering import Answer, Question
from noria.server.inference.codec import Call, Desk, Headers, Reply
from noria.server.inference.records_question import RowsQuestion, by_row, from_json, from_rows

PREDICT_ROUTE, HEALTH_ROUTE = "AIP_PREDICT_ROUTE", "AIP_HEALTH_ROUTE"

_encode = msgspec.json.Encoder().encode


class VertexCodec:
    """See codec.Codec. Without routes it has no paths."""

    name = "vertex"

    def __init__(self, predict_route: str = "", health_route: str = "") -> None:
        """Raises SettingInvalid for a route that is no path."""
        for name, route in ((PREDICT_ROUTE, predict_route), (HEALTH_ROUTE, health_route)):
            if route and not route.startswith("/"):
                raise SettingInvalid(
                    f"{name} is {route!r}", cause="a route begins with /", remedy=f"set {name}=/{route}"
                )
        self._calls = {
            ("POST", predict_route): Call("predict", "predict"),
            ("GET", health_route): Call("tell", "health", is_open=True),
        }
        self._calls.pop(("POST", ""), None)
        self._calls.pop(("GET", ""), None)
        self.roots = tuple(dict.fromkeys(path[1:].partition("/")[0] for _, path in self._calls))

    def call(self, method: str, path: str) -> Call | None:
        """See Codec."""
        return self._calls.get((method, path))

    def ask(self, call: Call, headers: Headers, body: bytes) -> Question | Coroutine[Any, Any, Question]:
        """See Codec."""
        if records.form_of(headers, body) != "json":
            return records.read(headers, body, protocol="vertex")
        document = from_json(body, tokens=True, remedy='send {"instances": [...]}')
        if not isinstance(document, dict) or "instances" not in document:
            return records.read(headers, body, protocol="vertex")
        if document.get("parameters"):
            raise RequestInvalid("the model takes no parameters", remedy="leave 'parameters' out")
        return RowsQuestion(from_rows(document["instances"], "'instances'"), protocol="vertex")

    def respond(self, call: Call, question: Question, answer: Answer) -> Reply | Coroutine[Any, Any, Reply]:
        """See Codec."""
        if cast(RowsQuestion, question).note is not None:
            return records.write(question, answer)
        return Reply(_encode({"predictions": by_row(answer.values, answer.served.signature)}))

    async def tell(self, call: Call, headers: Headers, body: bytes, desk: Desk) -> Reply:
        """See Codec. Healthy once everything wanted is loaded."""
        ready = desk.board.ready()
        return Reply(_encode({"status": "healthy" if ready else "loading"}), 200 if ready else 503)

    def refuse(self, call: Call | None, status: int, error: NoriaError) -> Reply:
        """See Codec."""
        return Reply(_encode({"error": str(error)}), status)


def from_environment(environment: Mapping[str, str]) -> VertexCodec:
    """The codec that a container's variables ask for.

    >>> from_environment({"AIP_PREDICT_ROUTE": "/predict", "AIP_HEALTH_ROUTE": "/health"}).roots
    ('predict', 'health')
    """
    return VertexCodec(environment.get(PREDICT_ROUTE, ""), environment.get(HEALTH_ROUTE, ""))
