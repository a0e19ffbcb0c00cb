"""Triggers over HTTP: which a deployment has, when they are due, what came of them; and the call that fires one. Called by app.py."""

from functools import partial
from typing import Any

from anyio.to_thread import run_sync
from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from noria.app.triggers import Called, TriggerStory, call, stories
from noria.app.workspace import Workspace
from noria.server.control.deployments import find


@get("/api/v1/deployments/{name:str}/triggers", sync_to_thread=True, tags=["deployments"])
def list_triggers(workspace: NamedDependency[Workspace], name: FromPath[str]) -> list[TriggerStory]:
    """What besides alarms may ask for a training of this deployment: when each is due next, when it fired last, and what came of that."""
    found = stories(workspace, name)
    if not found:
        find(workspace, name)
    return found


@post("/api/v1/deployments/{name:str}/triggers/{trigger:str}", tags=["deployments"], status_code=202)
async def call_trigger(
    workspace: NamedDependency[Workspace], request: Request[Any, Any, Any], name: FromPath[str], trigger: FromPath[str]
) -> Called:
    """Fire a webhook trigger. Signed as Standard Webhooks has it (webhook-id, webhook-timestamp, webhook-signature) instead of the server's key.

    A call that is sent again under its id fires once. What is decided stands in the ledger, and in the list of triggers.
    """
    body = await request.body()
    headers = {key.lower(): value for key, value in request.headers.items()}
    return await run_sync(partial(call, workspace, name, trigger, body=body, headers=headers))
