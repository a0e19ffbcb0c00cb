"""The OpenAPI document says what is true of the answers: every field of one is always there. Called by app.py and openapi.py."""

from typing import Any

from litestar import MediaType, Request, Response, Router, route
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.params import FromPath

from noria.errors import NotFound
from noria.server.control.views import Problem

ASKED = frozenset({"LabelIn", "LabelsIn", "SessionIn", "WordIn", "FeedbackIn", "FeedbacksIn"})
"""Bodies of requests, whose fields with a default may be left out."""
NO_PATH = NotFound("the API has no such path", remedy="see /api/v1/openapi.json for the paths that exist")


def complete(document: dict[str, Any]) -> dict[str, Any]:
    """Mark every field of every answer as required: defaults are for those who make a noun, not for those who read one.

    >>> schema = {"properties": {"a": {}, "b": {}}, "required": ["a"]}
    >>> complete({"components": {"schemas": {"Run": schema}}})["components"]["schemas"]["Run"]["required"]
    ['a', 'b']
    """
    schemas = document.get("components", {}).get("schemas", {})
    whole = {
        name: {**schema, "required": sorted(schema["properties"])}
        if "properties" in schema and name not in ASKED
        else schema
        for name, schema in schemas.items()
    }
    return {**document, "components": {**document.get("components", {}), "schemas": whole}}


class CompleteJson(JsonRenderPlugin):
    """Serves the completed document."""

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:
        """The document as JSON."""
        return super().render(request, complete(openapi_schema))


def router() -> Router:
    """Where the document is served. The framework's page for paths that do not exist becomes an error like all others."""
    return Router("/api/v1", route_handlers=[], include_in_schema=False, after_request=_as_problem)


def _as_problem(response: Response[Any]) -> Response[Any]:
    if response.status_code != 404:
        return response
    body = Problem(code=NO_PATH.code, problem=NO_PATH.problem, remedy=NO_PATH.remedy)
    return Response(body, status_code=404, media_type=MediaType.JSON)


@route(
    "/api/{path:path}",
    http_method=["GET", "POST", "PUT", "PATCH", "DELETE"],
    include_in_schema=False,
    sync_to_thread=False,
)
def no_such_path(path: FromPath[str]) -> None:
    """Whatever no other route of the API takes."""
    raise NO_PATH
