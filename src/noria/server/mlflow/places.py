"""A tree of files that something owns: in this store, or in the folder that whoever started the server chose for them. Nothing else is opened.

Paths are below the tree's root and checked (locations). Called by artifacts.
"""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from posixpath import basename
from typing import BinaryIO, Protocol
from urllib.parse import unquote, urlsplit

import msgspec

from noria.domain.run import Artifact, Run
from noria.domain.trained import TrainedModel
from noria.errors import NotFound, StoreUnavailable
from noria.server.mlflow.errors import Refused, missing
from noria.server.mlflow.locations import SCHEME, checked, is_stored, stored_path
from noria.server.mlflow.routing import Context

PIECE = 1 << 20


class File(msgspec.Struct, frozen=True):
    """A file that is there. tag: changes when its content does."""

    size: int
    tag: str


class Place(Protocol):
    """One tree of files."""

    def children(self, folder: str) -> list[tuple[str, int | None]]:
        """Names in a folder with their sizes, None for a folder; empty for what is no folder."""
        ...

    def file(self, path: str) -> File:
        """What is known of a file. Raises Refused if there is none."""
        ...

    def read(self, path: str, *, start: int, end: int) -> Iterator[bytes]:
        """A stretch of a file, in pieces. Raises Refused before the first one."""
        ...

    def put(self, path: str, chunks: Iterator[bytes]) -> None:
        """Keep a file, replacing what stood there; all of it or nothing."""
        ...


def place_of(owner: Run | TrainedModel, context: Context) -> Place:
    """Where the files of a run or a trained model are. Raises Refused if that is a location that this server does not open."""
    return place_at(owner.artifact_root, context)


def place_at(root: str, context: Context) -> Place:
    """The tree at an artifact root. Raises Refused."""
    if is_stored(root):
        return Stored(context, root)
    if root.startswith(f"{SCHEME}:/") and not urlsplit(root).netloc:  # an experiment's own place in this store
        return Stored(context, checked(stored_path(root) or ""))
    chosen = _folder(context.default_root)
    folder = _folder(root)
    if chosen is not None and folder is not None and _is_inside(folder, chosen):
        return Local(folder, chosen)
    raise Refused(
        f"The files are at {root!r}, outside of this server, which opens no foreign location. "
        "A client that can reach the location lists and reads them itself.",
        "NOT_IMPLEMENTED",
    )


class Stored:
    """A tree in this store: paths in `artifacts`, content in `blobs`."""

    def __init__(self, context: Context, root: str) -> None:
        self._context = context
        self._root = root

    def children(self, folder: str) -> list[tuple[str, int | None]]:
        """See Place."""
        found = self._context.metadata.artifacts.children(self._path(folder))
        return [(basename(path), file.size if file else None) for path, file in found]

    def file(self, path: str) -> File:
        """See Place."""
        found = self._find(path)
        return File(found.size, found.digest.partition(":")[2])

    def read(self, path: str, *, start: int, end: int) -> Iterator[bytes]:
        """See Place. A read of all of it is verified."""
        found = self._find(path)
        if (start, end) == (0, found.size):
            return self._context.blobs.chunks(found.digest)
        return self._context.blobs.chunks(found.digest, start=start, end=end)

    def put(self, path: str, chunks: Iterator[bytes]) -> None:
        """See Place."""
        digest, size = self._context.blobs.put_chunks(chunks)
        self._context.metadata.artifacts.put([Artifact(path=self._path(path), digest=digest, size=size)])

    def _find(self, path: str) -> Artifact:
        try:
            return self._context.metadata.artifacts.get(self._path(path))
        except NotFound:
            raise missing(f"No such file or directory: '{self._path(path)}'") from None

    def _path(self, path: str) -> str:
        return f"{self._root}/{path}" if self._root and path else self._root or path


class Local:
    """A tree below the folder that was named when the server was started; links that lead out of it are not followed."""

    def __init__(self, folder: Path, chosen: Path) -> None:
        self._folder = folder
        self._chosen = chosen

    def children(self, folder: str) -> list[tuple[str, int | None]]:
        """See Place."""
        here = self._path(folder)
        if not here.is_dir():
            return []
        return [(each.name, None if each.is_dir() else each.stat().st_size) for each in sorted(here.iterdir())]

    def file(self, path: str) -> File:
        """See Place."""
        with self._open(path) as file:
            known = os.fstat(file.fileno())
        return File(known.st_size, f"{known.st_mtime_ns:x}-{known.st_size:x}")

    def read(self, path: str, *, start: int, end: int) -> Iterator[bytes]:
        """See Place."""
        return _pieces(self._open(path), start, end)

    def put(self, path: str, chunks: Iterator[bytes]) -> None:
        """See Place."""
        target = self._path(path)
        written = ""
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=target.parent, delete=False) as file:
                written = file.name
                for chunk in chunks:
                    file.write(chunk)
            os.replace(written, target)
        except BaseException as error:
            with contextlib.suppress(OSError):
                os.unlink(written)
            if isinstance(error, OSError) and not isinstance(error, ConnectionError):
                raise StoreUnavailable(f"'{path}' cannot be kept", cause=str(error)) from error
            raise

    def _open(self, path: str) -> BinaryIO:
        target = self._path(path)
        if not target.is_file():
            raise missing(f"No such file or directory: '{path}'")
        return open(target, "rb")

    def _path(self, path: str) -> Path:
        target = self._folder / path if path else self._folder
        if not _is_inside(target, self._chosen):
            raise Refused("Invalid path")
        return target


def _pieces(file: BinaryIO, start: int, end: int) -> Iterator[bytes]:
    with file:
        position = file.seek(start)
        while position < end and (piece := file.read(min(PIECE, end - position))):
            position += len(piece)
            yield piece


def _folder(root: str) -> Path | None:
    """The folder that a root names on this machine, or None."""
    if root.startswith("file:"):
        root = unquote(urlsplit(root).path)
    return Path(root) if root.startswith("/") else None


def _is_inside(path: Path, folder: Path) -> bool:
    """Whether a path leads into a folder, once every link on the way was followed."""
    return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder))
