"""`noria gc` as a function: the trash of one project, and the blobs of all that share them. What may go is governance/retain."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import msgspec

from noria.app.workspace import Workspace
from noria.domain.ids import Digest
from noria.errors import InputInvalid
from noria.governance.retain import Emptied, Swept, empty_trash, sweep

SHORTEST_IDLE = timedelta(hours=1)
"""Content put more recently than this may belong to a run that has not told of it yet."""


class Collected(msgspec.Struct, frozen=True, kw_only=True):
    """What one collection did, or would do."""

    emptied: Emptied
    swept: Swept
    pretended: bool


def collect(
    workspace: Workspace, *, trash_days: float = 30.0, idle: timedelta = timedelta(days=1), pretend: bool = False
) -> Collected:
    """Empty the trash of what lies in it longer than `trash_days`, then drop content that nothing needs. Safe while writers run.

    idle: content that was put more recently stays in any case; at least an hour. pretend: only count; content that emptying the trash would set
    free is then not among the counted. Raises InputInvalid.
    """
    if idle < SHORTEST_IDLE or trash_days < 0:
        raise InputInvalid(
            f"content cannot be dropped {idle} after it was put, nor the trash emptied after {trash_days} days",
            cause="a writer may not have told yet what it put",
            remedy="noria gc --idle-hours 1 --trash-days 0",
        )
    emptied = empty_trash(
        runs=workspace.runs,
        index=workspace.index,
        experiments=workspace.experiments,
        trained=workspace.trained,
        before=workspace.clock.now() - timedelta(days=trash_days),
        pretend=pretend,
    )
    swept = sweep(
        workspace.blobs,
        roots=_of_all_projects(workspace),
        idle_since=datetime.now(UTC) - idle,
        pretend=pretend,
    )
    return Collected(emptied=emptied, swept=swept, pretended=pretend)


def _of_all_projects(workspace: Workspace) -> Iterator[bytes | Digest]:
    """Projects of one database share their blobs: what one of them needs, no other may drop."""
    yield from _roots(workspace)
    for project in workspace.metadata.projects():
        if project != workspace.project:
            settings = msgspec.structs.replace(workspace.settings, project=project)
            with Workspace(settings, workspace.home, clock=workspace.clock) as other:
                yield from _roots(other)


def _roots(workspace: Workspace) -> Iterator[bytes | Digest]:
    """Everything by which a project knows content."""
    yield from workspace.artifacts.digests()
    yield from workspace.journal.outputs()
    for row in workspace.ledger.stored():
        yield row.body
    for model in workspace.models.models():
        for version in workspace.models.versions(model):
            yield msgspec.json.encode([version.bundle, version.tags, version.params])
    for deployment in workspace.deployments.all():
        for generation in workspace.deployments.history(deployment.name):
            yield msgspec.json.encode([variant.bundle for variant in generation.variants])
    yield from _of_runs(workspace)


def _of_runs(workspace: Workspace) -> Iterator[bytes | Digest]:
    """The environment and whatever else of a run's own words is a digest, of runs in the trash too."""
    from noria.domain.query import Query

    query = Query(life="all", limit=1000)
    while True:
        page = workspace.index.search(query)
        for run in page.items:
            if run.environment:
                yield run.environment
            yield msgspec.json.encode([run.tags, run.params])
        if not page.next:
            return
        query = msgspec.structs.replace(query, after=page.next)
