"""The OpenAPI document says what is true of the answers: every field of one is always there. Called by app.py and openapi.py."""

from typing import Any

from litestar import Request
from litestar.openapi.plugins import JsonRenderPlugin

ASKED = frozenset({"LabelIn", "LabelsIn", "SessionIn"})
"""Bodies of requests, whose fields with a default may be left out."""


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
