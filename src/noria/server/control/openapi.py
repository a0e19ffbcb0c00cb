"""Write the OpenAPI document of the control plane: `python -m noria.server.control.openapi > web/openapi.json`. Called by make and a test."""

import sys
from typing import Any

import msgspec

from noria.app.workspace import Workspace
from noria.server.control.app import create_app
from noria.server.control.schema import complete


def document() -> dict[str, Any]:
    """The document as plain values. No store is opened for it."""
    schema: dict[str, Any] = create_app(Workspace.ephemeral("openapi")).openapi_schema.to_schema()
    return complete(schema)


def text() -> str:
    """The document as it is committed: sorted keys, indented, with a newline at the end."""
    return msgspec.json.format(msgspec.json.encode(document(), order="sorted"), indent=1).decode() + "\n"


if __name__ == "__main__":
    sys.stdout.write(text())
