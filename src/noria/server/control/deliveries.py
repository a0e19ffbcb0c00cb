"""What was done to deployments over HTTP, how each stands, and a person's word on a version. Folding is app/. Called by app.py."""

from typing import Annotated

import msgspec
from litestar import get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter

from noria.app.approving import approve_version
from noria.app.deliveries import Delivery, DeliveryStory, deliveries, delivery
from noria.app.deployed import DeploymentStanding, deployed
from noria.app.workspace import Workspace
from noria.server.control import telling
from noria.server.control.deployments import find
from noria.server.control.views import EventView


class ApprovalIn(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A person's word. by: who says it, 'rest' if it is not said."""

    reason: str
    by: str = ""


@get("/api/v1/deployments/{name:str}/standing", sync_to_thread=True, tags=["deployments"])
def read_standing(workspace: NamedDependency[Workspace], name: FromPath[str]) -> DeploymentStanding:
    """How a deployment stands: what is being tried, what its policy still allows, what waits for a person."""
    find(workspace, name)
    return deployed(workspace, name)


@get("/api/v1/deployments/{name:str}/deliveries", sync_to_thread=True, tags=["deployments"])
def list_deliveries(
    workspace: NamedDependency[Workspace],
    name: FromPath[str],
    limit: Annotated[int, QueryParameter(ge=1, le=500)] = 50,
) -> list[Delivery]:
    """Every rollout and every act of a person on a deployment, newest first, each as one story."""
    find(workspace, name)
    return deliveries(workspace, name, limit=limit)


@get("/api/v1/deliveries/{delivery_id:str}", sync_to_thread=True, tags=["deployments"])
def read_delivery(workspace: NamedDependency[Workspace], delivery_id: FromPath[str]) -> DeliveryStory:
    """One of them, by the id of its rollout or of one of its events: how the evidence grew, what led to it, what followed."""
    return delivery(workspace, delivery_id)


@post("/api/v1/models/{name:str}/versions/{number:int}/approve", sync_to_thread=True, tags=["models"], status_code=200)
def approve(
    workspace: NamedDependency[Workspace], name: FromPath[str], number: FromPath[int], data: JSONBody[ApprovalIn]
) -> EventView:
    """Let a version that waits for a person meet traffic; the loop rolls it out on its next stroke. Approved before, that approval is given."""
    entry = approve_version(workspace, name, number, actor=data.by.strip() or "rest", reason=data.reason)
    return telling.view(entry)
