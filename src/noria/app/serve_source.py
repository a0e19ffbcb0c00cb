"""What `noria serve` was asked to serve, found: a model's version or alias, a bundle's digest, a folder, or an object store. Called by serve.py.

    models:/flights@champion    the version an alias points to; it is followed when it moves
    models:/flights/3           one version
    blake3:<64 hex>             a bundle of this project
    DIR                         a bundle that was written out to a folder (bundle.json and its files)
    s3://bucket/prefix/project/blake3:<64 hex>    a bundle in an object store (also gs:, az:)
    s3://bucket/prefix/project  every deployment that is published there
    (nothing)                   every deployment of this project

A version or an alias asks the project's database; everything else needs none.
"""

import re
from collections.abc import Callable
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

import msgspec

from noria.app.settings import Settings
from noria.app.stores import open_blobs
from noria.domain.bundle import Bundle
from noria.domain.deployment import Variant
from noria.domain.ids import Digest
from noria.domain.model import ModelVersion
from noria.errors import BundleRefused, InputInvalid, NotFound, SourceUnreadable
from noria.packaging.bundle import read_manifest
from noria.packaging.pyfunc import MANIFEST
from noria.ports.blobs import BlobStore
from noria.ports.models import ModelStore

MODEL = re.compile(r"models:/(?P<name>[^@]+?)(?:@(?P<alias>[^@/]+)|/(?P<number>[0-9]+))")
DIGEST = re.compile(r"blake3:[0-9a-f]{64}")
SCHEMES = ("s3", "s3a", "gs", "az", "abfs", "abfss")
FORMS = (
    "models:/NAME@ALIAS, models:/NAME/NUMBER, blake3:DIGEST, a folder, or s3://BUCKET/PREFIX/PROJECT[/blake3:DIGEST]"
)


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where a worker finds bundles: the options of that name."""

    blobs: str
    location: str
    project: str


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """What is served. name: of the deployment. variant: what answers; None: whatever is published at the place, and `bundle` is None then.

    follows: whether an alias is followed when it moves.
    """

    said: str
    place: Place
    name: str = ""
    variant: Variant | None = None
    bundle: Bundle | None = None
    follows: bool = False


def find(said: str, *, settings: Settings, home: Path, models: Callable[[], ModelStore], scratch: Path) -> Source:
    """models: opens the project's models, called only for a name. scratch: an empty folder, where a folder's bundle is put as blobs.

    Raises InputInvalid for a text of another form, NotFound, BundleRefused for a version without a bundle, BundleCorrupt, SourceUnreadable.
    """
    stores = settings.stores
    own = Place(blobs=stores.blobs, location=stores.blobs_location, project=settings.project)
    named = MODEL.fullmatch(said)
    if not said:
        return Source(said="every deployment of this project", place=own)
    if named is not None:
        version = _version(models(), named["name"], alias=named["alias"], number=named["number"])
        return _of_version(said, version, place=own, home=home, follows=named["alias"] is not None)
    if DIGEST.fullmatch(said):
        return _of_digest(said, Digest(said), place=own, home=home)
    if urlsplit(said).scheme in SCHEMES:
        return _of_object_store(said, home=home)
    if said.startswith("models:"):
        raise InputInvalid(f"{said!r} names no version", cause=f"known forms: {FORMS}", remedy=f"{said}@champion")
    folder = Path(said).expanduser()
    if folder.is_dir():
        return _of_folder(said, folder, scratch=scratch, home=home)
    raise InputInvalid(
        f"{said!r} is nothing that can be served",
        cause=f"there is no folder of that name, and known forms are: {FORMS}",
        remedy="noria models",
    )


def again(source: Source, models: ModelStore) -> Source:
    """The source of an alias as it stands now. Raises NotFound, BundleRefused, StoreError."""
    named = MODEL.fullmatch(source.said)
    if named is None or not source.follows:
        return source
    version = _version(models, named["name"], alias=named["alias"], number=None)
    if source.variant is not None and version.number == source.variant.number:
        return source
    return msgspec.structs.replace(source, variant=_variant(version))


def _version(models: ModelStore, name: str, *, alias: str | None, number: str | None) -> ModelVersion:
    if alias is None:
        return models.get(name, int(number or 0))
    pointed = models.alias(name, alias)
    if pointed is None:
        known = models.models()
        if name not in known:
            raise NotFound.of("model", name, known, remedy="noria models")
        raise NotFound.of(
            f"alias of model {name!r}", alias, sorted(models.aliases(name)), remedy=f"noria models {name}"
        )
    return models.get(name, pointed)


def _variant(version: ModelVersion) -> Variant:
    if version.bundle is None:
        raise BundleRefused(
            f"version {version.ref} was registered from outside and is not packaged",
            cause="a worker serves bundles",
            remedy=f"noria package build {version.ref}",
        )
    return Variant(
        name="champion",
        model=version.model,
        number=version.number,
        version=str(version.version),
        bundle=version.bundle,
        weight=1.0,
    )


def _of_version(said: str, version: ModelVersion, *, place: Place, home: Path, follows: bool) -> Source:
    variant = _variant(version)
    manifest = read_manifest(variant.bundle, blobs=_open(place, home))
    return Source(said=said, place=place, name=version.model, variant=variant, bundle=manifest, follows=follows)


def _of_digest(said: str, digest: Digest, *, place: Place, home: Path) -> Source:
    """A bundle alone has no number: it is served as version 1 of the model that it names."""
    manifest = read_manifest(digest, blobs=_open(place, home))
    variant = Variant(name="champion", model=manifest.model, number=1, version="1.0.0", bundle=digest, weight=1.0)
    return Source(said=said, place=place, name=manifest.model, variant=variant, bundle=manifest)


def _of_object_store(said: str, *, home: Path) -> Source:
    parts = urlsplit(said)
    *folders, last = [part for part in parts.path.split("/") if part] or [""]
    digest = DIGEST.fullmatch(unquote(last))
    if digest is None:
        folders = [*folders, last]
    if not folders or not folders[-1]:
        raise InputInvalid(
            f"{said!r} names no project",
            cause="a bucket's keys begin with a project's name",
            remedy=f"use one of: {FORMS}",
        )
    *above, project = folders
    location = urlunsplit((parts.scheme, parts.netloc, "/" + "/".join(above), parts.query, ""))
    place = Place(blobs="object_store", location=location, project=unquote(project))
    if digest is None:
        return Source(said=said, place=place)
    return _of_digest(said, Digest(digest[0]), place=place, home=home)


def _of_folder(said: str, folder: Path, *, scratch: Path, home: Path) -> Source:
    """Its files become blobs in the scratch folder, where they are verified like any bundle's; the folder may change or go afterwards."""
    path = folder / MANIFEST
    if not path.is_file():
        raise SourceUnreadable(
            f"the folder {said!r} holds no bundle",
            cause=f"there is no {MANIFEST} in it",
            remedy="write one with: noria package export, or name a version: models:/NAME@champion",
        )
    place = Place(blobs="local", location=str(scratch / "blobs"), project="")
    blobs = _open(place, home)
    digest = blobs.put_file(path)
    for entry in read_manifest(digest, blobs=blobs).files:
        if (folder / entry.path).is_file():
            blobs.put_file(folder / entry.path)
    return _of_digest(said, digest, place=place, home=home)


def _open(place: Place, home: Path) -> BlobStore:
    return open_blobs(place.blobs, place.location, home=home, project=place.project)
