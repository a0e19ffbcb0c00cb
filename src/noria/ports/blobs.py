"""The blobs port: content by its digest, and a few published documents by name."""

from collections.abc import Iterable, Iterator
from datetime import datetime
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

    def put_chunks(self, chunks: Iterable[bytes]) -> tuple[Digest, int]:
        """Keep what comes in pieces, in constant memory; gives its address and size. An error of the iterator leaves nothing behind."""
        ...

    def chunks(self, digest: Digest, *, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """The content from byte `start` up to before `end`, in pieces of at most 1 MiB. A read of all of it is verified at its last piece.

        Raises NotFound before the first piece.
        """
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

    def delete(self, digest: Digest, *, idle_since: datetime | None = None) -> bool:
        """Forget the content and free its space; gives whether it was there. Deleting what is not there is no error.

        idle_since: leave it if anybody put this content (again) after that moment; writers may run meanwhile.
        """
        ...

    def digests(self, *, idle_since: datetime | None = None) -> Iterator[Digest]:
        """Every address held, in no order; of those put before a moment only, if one is given."""
        ...

    def publish(self, name: str, document: bytes) -> None:
        """Put a small document under a name, replacing the former one at once and whole."""
        ...

    def published(self, name: str) -> bytes | None:
        """The document under a name, or None."""
        ...
