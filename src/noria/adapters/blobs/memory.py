"""Blobs in this process's memory, for tests and sketches. Gone when the process ends. Files are adapters/blobs/local. Loaded by app/plugins."""

import os
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock

from noria.adapters.blobs.names import hexadecimal, parts_of
from noria.domain.ids import Digest, digest_of
from noria.errors import AlreadyExists, DiskFull, InputInvalid, NotFound, SourceUnreadable, StoreUnavailable

CHUNK = 1 << 20


def open_store(location: str = "") -> "MemoryBlobStore":
    """Give a new, empty store; location is not used.

    >>> store = open_store()
    >>> store.get(store.put(b"abc"))
    b'abc'
    """
    return MemoryBlobStore()


class MemoryBlobStore:
    """A dictionary by digest and one by name. Thread-safe."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._contents: dict[Digest, bytes] = {}
        self._put_at: dict[Digest, datetime] = {}
        self._documents: dict[tuple[str, ...], bytes] = {}

    def put(self, content: bytes) -> Digest:
        """See ports/blobs."""
        digest = digest_of(content)
        with self._lock:
            self._contents.setdefault(digest, bytes(content))
            self._put_at[digest] = datetime.now(UTC)
        return digest

    def put_chunks(self, chunks: Iterable[bytes]) -> tuple[Digest, int]:
        """See ports/blobs. Here the content does end up in memory."""
        content = b"".join(chunks)
        return self.put(content), len(content)

    def chunks(self, digest: Digest, *, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """See ports/blobs."""
        content = memoryview(self.get(digest))[max(start, 0) : end]
        return (bytes(content[place : place + CHUNK]) for place in range(0, len(content), CHUNK))

    def put_file(self, path: Path) -> Digest:
        """See ports/blobs. Here the content does end up in memory."""
        try:
            return self.put(path.read_bytes())
        except OSError as exc:
            raise SourceUnreadable(f"file {str(path)!r} cannot be read", cause=str(exc)) from exc

    def get(self, digest: Digest) -> bytes:
        """See ports/blobs."""
        hexadecimal(digest)
        with self._lock:
            content = self._contents.get(digest)
        if content is None:
            raise NotFound.of("content", digest)
        return content

    def export(self, digest: Digest, target: Path) -> None:
        """See ports/blobs. The file is read-only, as a link into a store would be."""
        content = self.get(digest)
        try:
            with open(target, "xb") as file:
                file.write(content)
            os.chmod(target, 0o444)
        except FileExistsError as exc:
            raise AlreadyExists(f"file {str(target)!r} exists", remedy="export to a new path") from exc
        except OSError as exc:
            target.unlink(missing_ok=True)
            kind = DiskFull if DiskFull.is_behind(exc) else StoreUnavailable
            raise kind(f"content cannot be written to {str(target)!r}", cause=str(exc)) from exc

    def has(self, digest: Digest) -> bool:
        """See ports/blobs."""
        hexadecimal(digest)
        with self._lock:
            return digest in self._contents

    def size(self, digest: Digest) -> int:
        """See ports/blobs."""
        return len(self.get(digest))

    def delete(self, digest: Digest, *, idle_since: datetime | None = None) -> bool:
        """See ports/blobs."""
        hexadecimal(digest)
        with self._lock:
            if digest not in self._contents or (idle_since is not None and self._put_at[digest] >= idle_since):
                return False
            del self._contents[digest], self._put_at[digest]
            return True

    def digests(self, *, idle_since: datetime | None = None) -> Iterator[Digest]:
        """See ports/blobs."""
        with self._lock:
            held = [d for d, at in self._put_at.items() if idle_since is None or at < idle_since]
        return iter(held)

    def clear(self) -> None:
        """Forget everything at once."""
        with self._lock:
            self._contents.clear()
            self._put_at.clear()
            self._documents.clear()

    def publish(self, name: str, document: bytes) -> None:
        """See ports/blobs."""
        parts = parts_of(name)
        with self._lock:
            for other in self._documents:
                if other != parts and (other[: len(parts)] == parts or parts[: len(other)] == other):
                    raise InputInvalid(
                        f"{name!r} and the document {'/'.join(other)!r} would be folder and file at once"
                    )
            self._documents[parts] = bytes(document)

    def published(self, name: str) -> bytes | None:
        """See ports/blobs."""
        parts = parts_of(name)
        with self._lock:
            return self._documents.get(parts)
