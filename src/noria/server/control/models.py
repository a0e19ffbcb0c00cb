"""Models over HTTP: the list, one model, one version with its lineage and gates. Registering is registry/. Called by app.py."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated

import msgspec
from litestar import get
from litestar.di import NamedDependency
from litestar.params import FromPath, QueryParameter

from noria.app.standing import Standing, standing
from noria.app.workspace import Workspace
from noria.domain.bundle import Bundle
from noria.domain.deployment import Deployment
from noria.domain.ids import Digest
from noria.domain.model import ModelVersion
from noria.errors import NotFound, StoreCorrupt
from noria.ports.blobs import BlobStore
from noria.registry.lineage import causes
from noria.registry.stable import latest_stable, rollouts_of
from noria.server.control import reading, telling
from noria.server.control.runs import row as run_row
from noria.server.control.views import (
    BundleView,
    ModelRow,
    ModelView,
    Place,
    RunRow,
    StableView,
    VersionPage,
    VersionRow,
)


@get("/api/v1/models", sync_to_thread=True, tags=["models"])
def list_models(workspace: NamedDependency[Workspace]) -> list[ModelRow]:
    """Every registered model with its newest version."""
    rows = []
    for name in workspace.models.models():
        versions, model = workspace.models.versions(name), workspace.catalog.get(name)
        rows.append(
            ModelRow(
                name=name,
                versions=len(versions),
                champion=workspace.models.alias(name, "champion"),
                newest=next(iter(_rows(workspace, versions[-1:])), None),
                description=model.description,
                tags=model.tags,
            )
        )
    return rows


@get("/api/v1/models/{name:str}", sync_to_thread=True, tags=["models"])
def read_model(workspace: NamedDependency[Workspace], name: FromPath[str]) -> ModelView:
    """One model: its versions, newest first, and its aliases with their history."""
    model = workspace.catalog.get(name)
    return ModelView(
        name=name,
        versions=_rows(workspace, workspace.models.versions(name)[::-1]),
        aliases=workspace.models.aliases(name),
        alias_history=workspace.models.alias_history(name)[::-1],
        created_at=model.created_at,
        updated_at=model.updated_at,
        description=model.description,
        tags=model.tags,
        stable=_stable(workspace, name),
    )


@get("/api/v1/models/{name:str}/aliases/{alias:str}", sync_to_thread=True, tags=["models"])
def read_alias(
    workspace: NamedDependency[Workspace],
    name: FromPath[str],
    alias: FromPath[str],
    on: Annotated[datetime | None, QueryParameter(description="As it was at this moment; without it, now.")] = None,
) -> Standing:
    """Which version an alias pointed to, who put it there, when, why and on which evidence."""
    if on is not None and on.tzinfo is None:
        on = on.replace(tzinfo=UTC)
    return standing(workspace, name, alias, on=on or workspace.clock.now())


@get("/api/v1/models/{name:str}/versions/{number:int}", sync_to_thread=True, tags=["models"])
def read_version(workspace: NamedDependency[Workspace], name: FromPath[str], number: FromPath[int]) -> VersionPage:
    """One version: where it came from, what it proved, where it answers."""
    version = workspace.models.get(name, number)
    return VersionPage(
        model=version.model,
        number=version.number,
        version=str(version.version),
        version_reason=version.version_reason,
        created_at=version.created_at,
        flavor=version.flavor,
        description=version.description,
        inputs=list(version.signature.inputs) if version.signature else [],
        outputs=list(version.signature.outputs) if version.signature else [],
        metrics=reading.finite_all(version.metrics),
        params=version.params,
        tags=version.tags,
        aliases=_names(workspace.models.aliases(name), version),
        gates=version.gates,
        run=_run(workspace, version),
        datasets=[reading.dataset(workspace.tables, digest) for digest in version.datasets],
        bundle=bundle(workspace.blobs, version.bundle) if version.bundle else None,
        bundle_digest=version.bundle,
        source=version.source,
        user=version.user,
        places=_places(workspace.deployments.all(), version),
        alias_history=[m for m in workspace.models.alias_history(name)[::-1] if number in (m.number, m.previous)],
        causes=[telling.view(entry) for entry in causes(workspace.ledger, version.cause)] if version.cause else [],
    )


def bundle(blobs: BlobStore, digest: Digest) -> BundleView | None:
    """What the bundle's manifest says, or None when it is not in the store."""
    try:
        manifest = msgspec.json.decode(blobs.get(digest), type=Bundle)
    except NotFound:
        return None
    except msgspec.MsgspecError as exc:
        raise StoreCorrupt(f"the bundle {digest[:19]} cannot be read", cause=str(exc)) from exc
    return view(digest, manifest)


def view(digest: Digest, manifest: Bundle) -> BundleView:
    """A manifest as the pages show it."""
    return BundleView(
        digest=digest,
        flavor=manifest.flavor,
        code_free=manifest.code_free,
        files=len(manifest.files),
        size=sum(file.size for file in manifest.files),
        parity=manifest.parity,
        environment=manifest.environment,
        profile=manifest.profile,
    )


def _stable(workspace: Workspace, name: str) -> StableView:
    found = latest_stable(workspace.models, name, rollouts=rollouts_of(workspace.deployments, name))
    return StableView(
        number=found.version.number if found.version else None,
        version=str(found.version.version) if found.version else "",
        why=found.why,
        passed_over=list(found.passed_over),
    )


def _names(aliases: Mapping[str, int], version: ModelVersion) -> list[str]:
    return [alias for alias, number in aliases.items() if number == version.number]


def _places(deployments: Sequence[Deployment], version: ModelVersion) -> list[Place]:
    return [
        Place(deployment=deployment.name, role=variant.name, weight=variant.weight)
        for deployment in deployments
        for variant in deployment.variants
        if (variant.model, variant.number) == (version.model, version.number)
    ]


def _run(workspace: Workspace, version: ModelVersion) -> RunRow | None:
    if version.run_id is None:
        return None
    try:
        run = workspace.runs.get(version.run_id)
    except NotFound:
        return None
    return run_row(run, reading.dataset_names(workspace.tables, run.datasets), version=version.ref)


def _rows(workspace: Workspace, versions: Sequence[ModelVersion]) -> list[VersionRow]:
    """Versions of one model as a list shows them, in their order."""
    if not versions:
        return []
    aliases, deployments = workspace.models.aliases(versions[0].model), workspace.deployments.all()
    return [_row(version, aliases, deployments) for version in versions]


def _row(version: ModelVersion, aliases: Mapping[str, int], deployments: Sequence[Deployment]) -> VersionRow:
    results = version.gates.results if version.gates else ()
    return VersionRow(
        model=version.model,
        number=version.number,
        version=str(version.version),
        version_reason=version.version_reason,
        created_at=version.created_at,
        run_id=version.run_id,
        flavor=version.flavor,
        packaged=version.bundle is not None,
        gates_passed=sum(result.passed for result in results),
        gates_total=len(results),
        metrics=reading.finite_all(version.metrics),
        aliases=_names(aliases, version),
        deployed=[place.deployment for place in _places(deployments, version)],
    )
