"""The artifacts port: which file stands under which path, and what its content is."""

from collections.abc import Iterator, Sequence
from typing import Protocol

from noria.domain.ids import Digest
from noria.domain.run import Artifact


class ArtifactIndex(Protocol):
    """A tree of paths over the blobs. Paths are relative, '/'-separated, checked by wire/paths: no '..', no empty part, no control characters.

    A run's files stand below its artifact_root, a trained model's below its own. Thread-safe, durable when answered.
    """

    def put(self, artifacts: Sequence[Artifact]) -> None:
        """Set files, replacing what stood there. Raises InputInvalid if a path would be file and folder at once; all or none."""
        ...

    def get(self, path: str) -> Artifact:
        """The file at a path. Raises NotFound."""
        ...

    def under(self, folder: str, *, limit: int | None = None, after: str = "") -> list[Artifact]:
        """Every file below a folder ('' is the root), at any depth, by path; those after the path `after`."""
        ...

    def children(self, folder: str) -> list[tuple[str, Artifact | None]]:
        """What stands directly in a folder, by name: (path, the file, or None for a folder). Empty for what is no folder."""
        ...

    def delete(self, path: str) -> int:
        """Forget a file, or a folder with all below it; gives how many files that were."""
        ...

    def digests(self) -> Iterator[Digest]:
        """Every content that some path needs, in no order, perhaps repeated."""
        ...
