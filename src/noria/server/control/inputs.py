"""What a deployment's inputs were, over HTTP: day by day beside what its champion learnt from, what is wrong first. Folding is app/inputs."""

from typing import Annotated

from litestar import get
from litestar.di import NamedDependency
from litestar.params import FromPath, QueryParameter

from noria.app.inputs import InputsReport, inputs_of
from noria.app.workspace import Workspace
from noria.server.control.deployments import find


@get("/api/v1/deployments/{name:str}/inputs", sync_to_thread=True, tags=["deployments"])
def read_inputs(
    workspace: NamedDependency[Workspace],
    name: FromPath[str],
    days: Annotated[int, QueryParameter(ge=1, le=366)] = 14,
) -> InputsReport:
    """The newest days of every input of the champion: quantiles, means, shares that are missing, out of range or unseen; and what is wrong."""
    find(workspace, name)
    return inputs_of(workspace, name, days=days)
