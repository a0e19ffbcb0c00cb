"""The REST API's document: the committed one is the one that the server gives."""

from __future__ import annotations

from pathlib import Path

import msgspec
from litestar.testing import TestClient

from noria.app.workspace import Workspace
from noria.server.control.app import create_app
from noria.server.control.openapi import document, text

COMMITTED = Path(__file__).resolve().parents[2] / "web" / "openapi.json"


def test_the_committed_document_is_what_the_code_says() -> None:
    assert COMMITTED.read_text(encoding="utf-8") == text(), (
        "remedy: python -m noria.server.control.openapi > web/openapi.json && make api"
    )


def test_the_server_gives_the_same_document() -> None:
    with TestClient(create_app(Workspace.ephemeral("p")), base_url="http://127.0.0.1") as client:
        served = client.get("/api/v1/openapi.json")

    assert served.status_code == 200
    assert msgspec.json.encode(served.json(), order="sorted") == msgspec.json.encode(document(), order="sorted")


def test_every_operation_says_what_it_does() -> None:
    operations = [operation for path in document()["paths"].values() for operation in path.values()]

    assert document()["openapi"].startswith("3.1")
    assert all(operation["description"] for operation in operations)
    assert all(operation["tags"] for operation in operations)
