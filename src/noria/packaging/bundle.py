"""Bundles: a model as files with digests, built once and opened by every worker. The manifest's own digest is the bundle's address.

Converting and judging the conversion are convert and parity; answering is serving/. Called by loop/stages, app/why and the worker.
"""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from blake3 import blake3

from noria.domain.bundle import Bundle, Environment, FileEntry, Parity
from noria.domain.ids import Digest, RunId, digest_of
from noria.domain.model import Signature
from noria.errors import AdapterUnknown, BundleCorrupt, BundleError, BundleRefused, NotFound, StoreCorrupt
from noria.packaging.attest import statement
from noria.packaging.convert import grown_by, raw_thresholds, to_onnx
from noria.packaging.parity import TOLERANCE, parity
from noria.packaging.signature import check, flat
from noria.packaging.trust import check_recorded, record
from noria.packaging.verify import check_file, check_paths, verify
from noria.ports.blobs import BlobStore
from noria.ports.flavor import Columns, Flavor, Predictor
from noria.wire.canonical import canonical

EXAMPLE, PROVENANCE = "example.json", "provenance.json"
EXAMPLE_ROWS = 3


@dataclass(frozen=True, kw_only=True)
class BuiltBundle:
    """A bundle in the store. digest: its address. note: in which form it answers, and why not in another."""

    digest: Digest
    bundle: Bundle
    note: str


@dataclass(frozen=True, kw_only=True)
class OpenBundle:
    """A bundle whose files were verified and whose model is loaded."""

    digest: Digest
    manifest: Bundle
    predictor: Predictor


def build(
    model: object,
    *,
    name: str,
    run_id: RunId,
    signature: Signature,
    sample: Columns,
    blobs: BlobStore,
    flavors: Mapping[str, Flavor],
    environment: Environment,
    created_at: datetime,
    profile: Digest | None = None,
    example: Columns | None = None,
) -> BuiltBundle:
    """Package a fitted model: as ONNX where it provably answers alike, else natively, with the reason in the manifest.

    sample: columns of real rows (some hundreds are enough) on which conversion is judged. flavors: by name; the first that can keep the model does so
    natively, and that native form is what the conversion is compared with. example: a few rows for `example.json` (default: the sample's first).
    created_at: the moment whose knowledge the model holds, not the clock's, so that building again gives the same bytes. Raises BundleRefused when no
    flavor keeps the model, RequestInvalid when the sample contradicts the signature.
    """
    sample = flat(sample, signature)
    check(sample, signature)
    with tempfile.TemporaryDirectory(prefix="noria-bundle-") as scratch:
        folder, flavor, judged = _best_form(model, signature, sample, flavors=flavors, scratch=Path(scratch))
        shown = sample if example is None else flat(example, signature)
        (folder / EXAMPLE).write_bytes(_example(shown, signature))
        files = [_entry(folder, path) for path in sorted(p for p in folder.rglob("*") if p.is_file())]
        text = statement(
            files, model=name, run_id=run_id, flavor=flavor.name, environment=environment, created_at=created_at
        )
        (folder / PROVENANCE).write_bytes(text)
        files.append(_entry(folder, folder / PROVENANCE))
        for entry in files:
            blobs.put_file(folder / entry.path)
    bundle = Bundle(
        model=name,
        run_id=run_id,
        flavor=flavor.name,
        code_free=flavor.code_free,
        signature=signature,
        files=tuple(files),
        environment=environment,
        created_at=created_at,
        parity=judged,
        profile=profile,
        example=EXAMPLE,
    )
    address = Digest(blobs.put(canonical(bundle)))
    if not flavor.code_free:
        record(address, bundle, blobs=blobs)
    return BuiltBundle(digest=address, bundle=bundle, note=_note(flavor.name, judged))


def open_bundle(digest: Digest, *, blobs: BlobStore, cache: Path, flavors: Mapping[str, Flavor]) -> OpenBundle:
    """Verify every file against its digest, lay the files out under `cache/<digest>` (hard links where possible) and load the model.

    Safe when several processes open the same bundle at once; a damaged cache is laid out again from the store.
    Raises NotFound, BundleCorrupt naming the file, AdapterUnknown for a flavor that is not installed here, BundleRefused for a bundle whose loading
    would run code and that was not built here, or that this project does not allow (`flavors` then refuses to give the flavor; ADR 25).
    """
    manifest = read_manifest(digest, blobs=blobs)
    flavor = _flavor_of(manifest, digest, flavors=flavors)
    if not flavor.code_free:
        check_recorded(digest, manifest, blobs=blobs)
    folder = cache / digest.rpartition(":")[2]
    if not _intact(folder, manifest):
        with _alone(cache):
            if not _intact(folder, manifest):  # another process may have laid it out meanwhile
                _lay_out(folder, manifest, blobs=blobs)
    return OpenBundle(digest=digest, manifest=manifest, predictor=flavor.load(folder, manifest.signature))


def _flavor_of(manifest: Bundle, digest: Digest, *, flavors: Mapping[str, Flavor]) -> Flavor:
    try:
        return flavors[manifest.flavor]
    except KeyError as exc:
        raise AdapterUnknown(
            f"no flavor {manifest.flavor!r} is installed",
            cause=f"bundle {digest} needs it",
            remedy="pip install 'noria[train]'",
        ) from exc


def read_manifest(digest: Digest, *, blobs: BlobStore) -> Bundle:
    """The manifest of a bundle, verified. Raises NotFound, BundleCorrupt."""
    try:
        content = blobs.get(digest)
    except StoreCorrupt as exc:
        raise BundleCorrupt(
            f"the manifest of bundle {digest} was changed after it was written", cause=exc.problem
        ) from exc
    if digest_of(content) != digest:
        raise BundleCorrupt(
            f"the manifest of bundle {digest} was changed after it was written", cause="its bytes have another digest"
        )
    try:
        manifest = msgspec.json.decode(content, type=Bundle)
    except msgspec.DecodeError as exc:
        raise BundleError(
            f"{digest} is no bundle that this Noria can read", cause=str(exc), remedy="pip install --upgrade noria"
        ) from exc
    check_paths(manifest)
    return manifest


def _best_form(
    model: object, signature: Signature, sample: Columns, *, flavors: Mapping[str, Flavor], scratch: Path
) -> tuple[Path, Flavor, Parity | None]:
    """Folder with the model's files, the flavor that keeps them, and what the comparison with ONNX said (None: the model is ONNX already)."""
    kept, native_folder = _kept_by(model, signature, flavors=flavors, scratch=scratch)
    native = flavors[kept].load(native_folder, signature)
    if kept == "onnx" or "onnx" not in flavors:
        return native_folder, flavors[kept], None
    converted_folder = scratch / "onnx"
    converted_folder.mkdir()
    try:
        grown = grown_by(model)
        flavors["onnx"].save(to_onnx(model, signature, grown=grown), signature, converted_folder)
        converted = flavors["onnx"].load(converted_folder, signature)
    except BundleError as error:
        reason = f"{error.problem}: {error.cause}" if error.cause else error.problem
        return native_folder, flavors[kept], _unconverted(reason)
    thresholds = raw_thresholds(model, signature, grown=grown)
    judged = parity(native.predict, converted.predict, sample, signature=signature, thresholds=thresholds)
    if judged.passed:
        return converted_folder, flavors["onnx"], judged
    return native_folder, flavors[kept], judged


def _kept_by(model: object, signature: Signature, *, flavors: Mapping[str, Flavor], scratch: Path) -> tuple[str, Path]:
    """The first flavor that keeps the model, and the folder with its files. A flavor that would have to carry code is the last resort."""
    reasons: list[str] = []
    for name in flavors:
        try:
            flavor = flavors[name]
            if not flavor.accepts(model):
                continue
            folder = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=scratch))
            flavor.save(model, signature, folder)
        except BundleRefused as error:
            reasons.append(f"{name}: {error.problem}")
            continue
        return name, folder
    raise BundleRefused(
        f"no flavor keeps a {type(model).__name__}",
        cause="; ".join(reasons) or f"flavors here: {', '.join(flavors) or 'none'}",
        remedy="export the model to ONNX and package that, or let models carry code: allow_code = true under [packaging] in noria.toml",
    )


def _unconverted(reason: str) -> Parity:
    """No comparison could be made."""
    return Parity(passed=False, rows=0, max_difference=0.0, label_flips=0, tolerance=TOLERANCE, reason=reason)


def _note(flavor: str, judged: Parity | None) -> str:
    if judged is None:
        return f"kept as {flavor}"
    if judged.passed:
        return f"converted to ONNX; largest difference {judged.max_difference:.2g} over {judged.rows} rows"
    return f"kept as {flavor}: {judged.reason}"


def _example(columns: Columns, signature: Signature) -> bytes:
    """A request that the Open Inference Protocol takes as it is."""
    tensors: list[dict[str, Any]] = []
    for field in signature.inputs:
        values = np.asarray(columns[field.name])[:EXAMPLE_ROWS]
        tensors.append(
            {
                "name": field.name,
                "shape": list(values.shape),
                "datatype": field.datatype,
                "data": values.ravel().tolist(),
            }
        )
    return msgspec.json.encode({"inputs": tensors})  # NaN is written as null


def _entry(folder: Path, path: Path) -> FileEntry:
    """Describe one file, read in constant memory."""
    address, standard = blake3(), sha256()
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            address.update(block)
            standard.update(block)
    name = path.relative_to(folder).as_posix()
    return FileEntry(
        path=name, digest=Digest("blake3:" + address.hexdigest()), sha256=standard.hexdigest(), size=path.stat().st_size
    )


def _intact(folder: Path, manifest: Bundle) -> bool:
    """Whether the cache holds exactly the bundle. Read in full at each opening: it costs milliseconds and a worker opens seldom."""
    try:
        verify(folder, manifest)
    except BundleCorrupt:
        return False
    return True


@contextmanager
def _alone(cache: Path) -> Iterator[None]:
    """One at a time among all threads and processes that lay bundles out under this cache; nobody replaces what another is loading."""
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / ".lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _lay_out(folder: Path, manifest: Bundle, *, blobs: BlobStore) -> None:
    """Export all files beside the cache, verify them, then move them into place as one."""
    fresh = Path(tempfile.mkdtemp(prefix=".opening-", dir=folder.parent))
    try:
        for entry in manifest.files:
            target = fresh / entry.path
            target.parent.mkdir(parents=True, exist_ok=True)
            _export(entry, target, manifest=manifest, blobs=blobs)
        if folder.exists():
            shutil.rmtree(folder)
        os.rename(fresh, folder)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def _export(entry: FileEntry, target: Path, *, manifest: Bundle, blobs: BlobStore) -> None:
    problem = f"file {entry.path!r} of the bundle for model {manifest.model!r} differs from its recorded digest"
    try:
        blobs.export(entry.digest, target)
    except StoreCorrupt as exc:
        raise BundleCorrupt(problem, cause=exc.problem) from exc
    except NotFound as exc:
        raise BundleCorrupt(
            f"file {entry.path!r} of the bundle for model {manifest.model!r} is missing from the store",
            cause=exc.problem,
        ) from exc
    check_file(target, entry, model=manifest.model)
