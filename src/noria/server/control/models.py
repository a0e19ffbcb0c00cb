"""Models over HTTP: the list, one model, one version with its lineage and gates. Registering is registry/. Called by app.py."""

import msgspec
from litestar import get
from litestar.di import NamedDependency
from litestar.params import FromPath

from noria.app.workspace import Workspace
from noria.domain.bundle import Bundle
from noria.domain.ids import Digest
from noria.domain.model import ModelVersion
from noria.errors import NotFound, StoreCorrupt
from noria.ports.blobs import BlobStore
from noria.ports.models import ModelStore
from noria.registry.lineage import causes
from noria.server.control import reading, telling
from noria.server.control.runs import row as run_row
from noria.server.control.views import BundleView, ModelRow, ModelView, Place, RunRow, VersionPage, VersionRow


@get("/api/v1/models", sync_to_thread=True, tags=["models"])
def list_models(workspace: NamedDependency[Workspace]) -> list[ModelRow]:
    """Every registered model with its newest version."""
    rows = []
    for name in workspace.models.models():
        versions = workspace.models.versions(name)
        newest = _row(workspace, versions[-1])
        rows.append(
            ModelRow(
                name=name, versions=len(versions), champion=workspace.models.alias(name, "champion"), newest=newest
            )
        )
    return rows


@get("/api/v1/models/{name:str}", sync_to_thread=True, tags=["models"])
def read_model(workspace: NamedDependency[Workspace], name: FromPath[str]) -> ModelView:
    """One model: its versions, newest first, and its aliases with their history."""
    versions = workspace.models.versions(name)
    if not versions:
        raise NotFound.of("model", name, workspace.models.models())
    return ModelView(
        name=name,
        versions=[_row(workspace, version) for version in reversed(versions)],
        aliases=aliases(workspace.models, name),
        alias_history=workspace.models.alias_history(name)[::-1],
    )


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
        inputs=list(version.signature.inputs),
        outputs=list(version.signature.outputs),
        metrics=reading.finite_all(version.metrics),
        params=version.params,
        tags=version.tags,
        aliases=_aliases_of(workspace.models, version),
        gates=version.gates,
        run=_run(workspace, version),
        datasets=[reading.dataset(workspace.tables, digest) for digest in version.datasets],
        bundle=bundle(workspace.blobs, version.bundle),
        bundle_digest=version.bundle,
        places=_places(workspace, version),
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


def aliases(models: ModelStore, name: str) -> dict[str, int]:
    """Alias -> number, of those that point somewhere now."""
    known = {move.alias for move in models.alias_history(name)}
    now = {alias: models.alias(name, alias) for alias in sorted(known)}
    return {alias: number for alias, number in now.items() if number is not None}


def _aliases_of(models: ModelStore, version: ModelVersion) -> list[str]:
    return [alias for alias, number in aliases(models, version.model).items() if number == version.number]


def _places(workspace: Workspace, version: ModelVersion) -> list[Place]:
    return [
        Place(deployment=deployment.name, role=variant.name, weight=variant.weight)
        for deployment in workspace.deployments.all()
        for variant in deployment.variants
        if (variant.model, variant.number) == (version.model, version.number)
    ]


def _run(workspace: Workspace, version: ModelVersion) -> RunRow | None:
    try:
        run = workspace.runs.get(version.run_id)
    except NotFound:
        return None
    return run_row(run, reading.dataset_names(workspace.tables, run.datasets), version=version.ref)


def _row(workspace: Workspace, version: ModelVersion) -> VersionRow:
    results = version.gates.results if version.gates else ()
    return VersionRow(
        model=version.model,
        number=version.number,
        version=str(version.version),
        version_reason=version.version_reason,
        created_at=version.created_at,
        run_id=version.run_id,
        flavor=version.flavor,
        gates_passed=sum(result.passed for result in results),
        gates_total=len(results),
        metrics=reading.finite_all(version.metrics),
        aliases=_aliases_of(workspace.models, version),
        deployed=[place.deployment for place in _places(workspace, version)],
    )
