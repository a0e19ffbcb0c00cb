"""The blobs port: content by its digest, and a few published documents by name."""

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from noria.domain.ids import Digest


class BlobStore(Protocol):
    """Immutable content under its BLAKE3 digest, plus small documents under names that are replaced whole.

    put is atomic and idempotent: after a crash the content is either there and right or not there. Names are relative, '/'-separated,
    of [a-z0-9._-] parts; anything else is InputInvalid. Reads verify the digest and raise StoreCorrupt.
    """

    def put(self, content: bytes) -> Digest:
        """Keep the content; the same content twice costs nothing. Raises DiskFull."""
        ...

    def put_file(self, path: Path) -> Digest:
        """Keep a file's content, read in constant memory."""
        ...

    def get(self, digest: Digest) -> bytes:
        """The content. Raises NotFound, StoreCorrupt."""
        ...

    def export(self, digest: Digest, target: Path) -> None:
        """Write the content to a file that does not exist yet (a hard link where that is possible). Verified."""
        ...

    def has(self, digest: Digest) -> bool:
        """Whether the content is here."""
        ...

    def size(self, digest: Digest) -> int:
        """Bytes of the content. Raises NotFound."""
        ...

    def delete(self, digest: Digest) -> None:
        """Forget the content and free its space; deleting what is not there is no error."""
        ...

    def digests(self) -> Iterator[Digest]:
        """Every address held, in no order."""
        ...

    def publish(self, name: str, document: bytes) -> None:
        """Put a small document under a name, replacing the former one at once and whole."""
        ...

    def published(self, name: str) -> bytes | None:
        """The document under a name, or None."""
        ...
