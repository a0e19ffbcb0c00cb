"""A model in the shadow beside its champion: the report of app/shadow. Called by app.py."""

from datetime import datetime
from typing import Annotated

from litestar import get
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, QueryParameter

from noria.app.shadow import ShadowReport, shadow_of
from noria.app.workspace import Workspace


@get("/api/v1/deployments/{name:str}/shadow", sync_to_thread=True, tags=["deployments"])
def read_shadow(
    workspace: NamedDependency[Workspace],
    name: FromPath[str],
    variant: FromQuery[str] = "",
    days: Annotated[float, QueryParameter(gt=0, le=400)] = 7.0,
    until: FromQuery[datetime | None] = None,
) -> ShadowReport:
    """What a model in the shadow would have answered, beside what callers got: agreement, mean difference, bins, the groups where the two differ
    most, latency, failures, and quality where labels are. variant: which one, where several are in the shadow.
    """
    return shadow_of(workspace, name, variant=variant, days=days, until=until)
