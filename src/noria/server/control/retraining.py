"""Asking for a training over HTTP. Doing it is app/asking, training is the loop's."""

import msgspec
from litestar import post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from noria.app.workspace import Workspace
from noria.domain.policy import Bound

ACTOR = "rest"


class RetrainIn(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Why a challenger is asked for. by: who asks, 'rest' if it is not said."""

    reason: str
    by: str = ""


class RetrainOut(msgspec.Struct, frozen=True, kw_only=True):
    """The request as it stands in the ledger: what follows from it is told by `/api/v1/why/{id}`."""

    id: str
    deployment: str
    reason: str
    bounds: tuple[Bound, ...] = ()


@post("/api/v1/deployments/{name:str}/retrain", sync_to_thread=True, tags=["deployments"], status_code=202)
def ask_for_training(
    workspace: NamedDependency[Workspace], name: FromPath[str], data: JSONBody[RetrainIn]
) -> RetrainOut:
    """Ask for a challenger; the loop trains it on its next stroke. 409 with the reason while something else is under way, or it is stopped."""
    from noria.app.asking import retrain  # it knows the wheel, which a server that only shows pages need not load

    entry = retrain(workspace, name, reason=data.reason, actor=data.by or ACTOR)
    return RetrainOut(
        id=entry.id,
        deployment=name,
        reason=getattr(entry.event, "reason", ""),
        bounds=getattr(entry.event, "bounds", ()),
    )
