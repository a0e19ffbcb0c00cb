"""A server that keeps nothing can be emptied by a call, so that each test of a suite begins with nothing. Called by app.py.

The call exists only where the whole project is in memory (`noria up --ephemeral`); elsewhere its path is unknown.
"""

from litestar import post
from litestar.di import NamedDependency

from noria.app.workspace import Workspace


@post("/api/v1/reset", status_code=204, sync_to_thread=True, include_in_schema=False)
def reset(workspace: NamedDependency[Workspace]) -> None:
    """Forget everything. What is asked after the answer finds an empty project; what was under way is forgotten with the rest."""
    workspace.reset()
