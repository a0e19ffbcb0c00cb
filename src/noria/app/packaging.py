"""Bundles by the name of a version: shown, written out for others, made of what MLflow's clients logged. Called by `noria package`.

How a folder becomes a bundle and back is packaging/mlmodel_*; where a version's files are is app/version_files.
"""

import re
import tempfile
from dataclasses import dataclass
from pathlib import Path

from noria.app.version_files import fetch, place_of
from noria.app.workspace import Workspace
from noria.domain.bundle import Bundle
from noria.domain.events import ModelVersionPackaged
from noria.domain.ids import Digest, EventId, RunId, derive
from noria.domain.ledger import Draft
from noria.domain.model import ModelVersion, Packaged
from noria.errors import NotFound, SettingInvalid
from noria.packaging.bundle import open_bundle, read_manifest
from noria.packaging.mlmodel_in import TakenIn, take_in
from noria.packaging.mlmodel_out import write
from noria.registry.packaged import bundle_of
from noria.registry.register import register_external

SCHEME = "models:/"
_DIGEST = re.compile(r"blake3:[0-9a-f]{64}")


@dataclass(frozen=True, kw_only=True)
class Done:
    """A version and its bundle. notes: in which form it answers, what was left out, and why."""

    version: ModelVersion
    digest: Digest
    manifest: Bundle
    notes: tuple[str, ...]


def version_named(workspace: Workspace, text: str) -> ModelVersion:
    """The version that `models:/NAME/3`, `NAME/3`, `NAME@champion` or `NAME/latest` means. Raises NotFound, SettingInvalid."""
    said = text.removeprefix(SCHEME).strip("/")
    name, at, alias = said.partition("@")
    if at:
        number = workspace.models.alias(name, alias)
        if number is None:
            workspace.catalog.get(name)
            raise NotFound.of(f"alias of model '{name}'", alias, [*workspace.models.aliases(name)])
        return workspace.models.get(name, number)
    name, _, number_said = said.partition("/")
    if number_said == "latest":
        versions = workspace.models.versions(name)
        if not versions:
            raise NotFound.of("version of model", name, workspace.models.models(), remedy="noria models")
        return versions[-1]
    if not name or not number_said.isdecimal():
        raise SettingInvalid(
            f"{text!r} names no version",
            cause="a version is a number or has an alias",
            remedy=f"write {SCHEME}{name or 'NAME'}/1 or {SCHEME}{name or 'NAME'}@champion",
        )
    return workspace.models.get(name, int(number_said))


def bundle_named(workspace: Workspace, text: str) -> tuple[Digest, Bundle]:
    """The bundle that a version has, or that stands under an address (`blake3:…`). Raises NotFound, Conflict for a version without one."""
    digest = Digest(text) if _DIGEST.fullmatch(text) else bundle_of(version_named(workspace, text))
    return digest, read_manifest(digest, blobs=workspace.blobs)


def export(workspace: Workspace, text: str, folder: Path) -> tuple[Digest, Bundle]:
    """Write a bundle into a new folder that is an MLflow model as well. Raises AlreadyExists, BundleCorrupt, and as bundle_named."""
    digest, manifest = bundle_named(workspace, text)
    write(digest, manifest, blobs=workspace.blobs, folder=folder)
    return digest, manifest


def package_version(workspace: Workspace, version: ModelVersion, *, actor: str) -> Done:
    """Build the bundle of a version that was registered from outside, from its files in this store, and say so in the ledger.

    Asked again it gives the bundle that the version has. Raises NotFound for files that are not here, BundleRefused, SourceUnreadable.
    """
    if version.bundle is not None:
        manifest = read_manifest(version.bundle, blobs=workspace.blobs)
        if version.source:
            _tell(workspace, version, manifest, actor=actor)
        notes = ("it was packaged before",)
        return Done(version=version, digest=version.bundle, manifest=manifest, notes=notes)
    with tempfile.TemporaryDirectory(prefix="noria-package-") as scratch:
        folder = Path(scratch) / "model"
        fetch(workspace, place_of(workspace, version), folder)
        taken = _taken(workspace, folder, name=version.model, run_id=version.run_id, recorded=True)
    return _said(workspace, version, taken, actor=actor)


def add_folder(workspace: Workspace, name: str, folder: Path, *, actor: str) -> Done:
    """Register a folder (an MLflow model, or a bundle that was exported) as the next version of a model, packaged.

    Nothing is registered if it cannot be packaged. Raises BundleRefused, BundleCorrupt, SourceUnreadable, InputInvalid for the name.
    """
    taken = _taken(workspace, folder, name=name, run_id=None, recorded=False)
    version = register_external(
        workspace.models,
        model=name,
        run=None,
        trained=None,
        source=folder.resolve().as_uri(),
        at=workspace.clock.now(),
        user=actor,
        flavor=taken.form,
    )
    return _said(workspace, version, taken, actor=actor)


def _taken(workspace: Workspace, folder: Path, *, name: str, run_id: RunId | None, recorded: bool) -> TakenIn:
    """Built, opened again, and asked for its own example: what cannot answer is not recorded."""
    taken = take_in(
        folder, name=name, blobs=workspace.blobs, flavors=workspace.flavors, run_id=run_id, recorded=recorded
    )
    open_bundle(taken.digest, blobs=workspace.blobs, cache=workspace.home / "cache", flavors=workspace.flavors)
    return taken


def _said(workspace: Workspace, version: ModelVersion, taken: TakenIn, *, actor: str) -> Done:
    """The bundle recorded on the version, then in the ledger; a crash in between is made good by asking again."""
    packaged = Packaged(bundle=taken.digest, flavor=taken.bundle.flavor, signature=taken.bundle.signature)
    now = workspace.clock.now()
    changed = workspace.models.amend(version.model, version.number, at=now, packaged=packaged)
    _tell(workspace, changed, taken.bundle, actor=actor)
    return Done(version=changed, digest=taken.digest, manifest=taken.bundle, notes=taken.notes)


def _tell(workspace: Workspace, version: ModelVersion, manifest: Bundle, *, actor: str) -> None:
    """The event, once for a version: its id and what it says come from version and bundle alone."""
    digest = bundle_of(version)
    parity = manifest.parity
    event = ModelVersionPackaged(
        model=version.model,
        number=version.number,
        bundle=digest,
        flavor=manifest.flavor,
        source=version.source,
        parity=parity.max_difference if parity and parity.passed else None,
        note=parity.reason if parity else "",
    )
    event_id = EventId(derive("packaged", version.model, str(version.number), digest))
    workspace.ledger.append([Draft(id=event_id, at=workspace.clock.now(), actor=actor, event=event)])
