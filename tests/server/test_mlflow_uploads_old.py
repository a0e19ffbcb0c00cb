"""Uploads in parts that nobody completes are given up after a week, and not a moment before."""

from __future__ import annotations

import json
from datetime import timedelta

from noria.app.workspace import Workspace
from noria.server.mlflow import multipart
from noria.server.mlflow.locations import HIDDEN
from noria.server.mlflow.routing import Context, Request
from noria.testing.clock import FakeClock


def begin(context: Context) -> str:
    body = json.dumps({"path": "big.bin", "num_parts": 2}).encode()
    headers = [(b"content-type", b"application/json"), (b"host", b"127.0.0.1")]
    return multipart.create(Request("POST", "/", headers=headers, body=body, args={"path": "a"}), context).upload_id


def put_part(context: Context, upload_id: str, content: bytes) -> None:
    request = Request("PUT", "/", body=content, args={"upload_id": upload_id, "number": "1"})
    multipart.put_part(request, context)


def test_an_upload_that_nobody_completes_is_given_up_after_a_week() -> None:
    clock = FakeClock()
    with Workspace.ephemeral(clock=clock) as workspace:
        context = Context(workspace.metadata, workspace.blobs, clock)
        forgotten = begin(context)
        put_part(context, forgotten, b"1")
        clock.advance(timedelta(days=6))
        young = begin(context)
        put_part(context, young, b"2")

        def there() -> set[str]:
            return {path.rpartition("/")[2] for path, _ in workspace.artifacts.children(HIDDEN)}

        assert there() == {forgotten, young}
        clock.advance(timedelta(days=1, seconds=1))
        newest = begin(context)

        assert there() == {young, newest}
        assert [file.size for file in workspace.artifacts.under(f"{HIDDEN}/{young}")][:1] == [1]
