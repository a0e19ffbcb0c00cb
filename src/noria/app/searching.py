"""`noria.runs(...)`: find runs of the current project by what they are and what came out of them. The language is wire/query."""

from noria.app.workspace import Workspace
from noria.domain.run import Run
from noria.tracking.search import search


def runs(where: str = "", *, order: str = "", limit: int | None = 100, workspace: Workspace | None = None) -> list[Run]:
    """Find runs: `noria.runs("metrics.auc > 0.8 and not tags.team = 'x'", order="metrics.auc desc")`. Newest first if no order is given.

    limit: how many at most, None for all. The runs come without their artifacts. Raises QueryInvalid.

    >>> with Workspace.ephemeral("sketch") as workspace:
    ...     runs("params.depth >= 6", workspace=workspace)
    []
    """
    if workspace is not None:
        return list(search(workspace.index, where, order=order, limit=limit))
    with Workspace.open() as own:
        return list(search(own.index, where, order=order, limit=limit))
