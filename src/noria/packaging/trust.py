"""Whether a bundle that carries code was built here: the store keeps a record of each, beside its content (ADR 9, ADR 25).

A digest proves that bytes are unchanged, not who made them; so a bundle that arrived some other way is not loaded, even where models may carry code.
Whether they may is the project's setting, enforced where flavors are handed out (app/flavors). Called by bundle.
"""

import msgspec

from noria.domain.bundle import Bundle
from noria.domain.ids import Digest
from noria.errors import BundleRefused
from noria.ports.blobs import BlobStore
from noria.wire.canonical import canonical


class Recorded(msgspec.Struct, frozen=True, kw_only=True):
    """What the store notes of a bundle that carries code: its address, and each file with its digest."""

    bundle: Digest
    model: str
    flavor: str
    files: dict[str, Digest]


def record(digest: Digest, manifest: Bundle, *, blobs: BlobStore) -> None:
    """Note that this store built the bundle."""
    blobs.publish(_name(digest), canonical(_noted(digest, manifest)))


def check_recorded(digest: Digest, manifest: Bundle, *, blobs: BlobStore) -> None:
    """Refuse a bundle that this store did not build. Raises BundleRefused."""
    document = blobs.published(_name(digest))
    if document is None or document != canonical(_noted(digest, manifest)):
        raise BundleRefused(
            f"the bundle for model {manifest.model!r} carries code and was not built by this store",
            cause=f"flavor {manifest.flavor!r} runs code from its files when it is loaded, and the store has no record of {digest}",
            remedy="package the model here from its own source, or export it to ONNX and package that",
        )


def _noted(digest: Digest, manifest: Bundle) -> Recorded:
    files = {entry.path: entry.digest for entry in manifest.files}
    return Recorded(bundle=digest, model=manifest.model, flavor=manifest.flavor, files=files)


def _name(digest: Digest) -> str:
    return f"carries-code/{digest.rpartition(':')[2]}.json"
