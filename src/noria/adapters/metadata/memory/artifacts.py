"""Files by path in memory: a tree over the blobs, as a sorted list of paths. Paths are checked by wire/paths. Made by MemoryMetadata."""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator, Sequence
from threading import RLock

from noria.adapters.metadata import rules_runs as rules
from noria.domain.ids import Digest
from noria.domain.run import Artifact
from noria.errors import NotFound
from noria.wire.paths import checked_path

_AFTER_SLASH = chr(ord("/") + 1)


class MemoryArtifacts:
    """ports.artifacts.ArtifactIndex."""

    def __init__(self, lock: RLock) -> None:
        self._lock = lock
        self.clear()

    def clear(self) -> None:
        """Back to the beginning."""
        self._files: dict[str, Artifact] = {}
        self._paths: list[str] = []

    def put(self, artifacts: Sequence[Artifact]) -> None:
        fresh = {checked_path(artifact.path): rules.checked_artifact(artifact) for artifact in artifacts}
        with self._lock:
            above = {folder: path for path in fresh for folder in rules.folders_above(path)}
            for files in (fresh, self._files):
                for folder, path in above.items():
                    if folder in files:
                        raise rules.file_and_folder(path)
            for path in fresh:
                if self._is_folder(path):
                    raise rules.file_and_folder(path)
            for path, artifact in fresh.items():
                if path not in self._files:
                    insort(self._paths, path)
                self._files[path] = artifact

    def get(self, path: str) -> Artifact:
        checked_path(path)
        with self._lock:
            if path not in self._files:
                raise NotFound.of("artifact", path)
            return self._files[path]

    def at(self, path: str) -> Artifact | None:
        """The file at a path that was checked, or None."""
        return self._files.get(path)

    def under(self, folder: str, *, limit: int | None = None, after: str = "") -> list[Artifact]:
        with self._lock:
            first, end = self._range(folder)
            first = max(first, bisect_right(self._paths, after))
            chosen = self._paths[first:end] if limit is None else self._paths[first : min(end, first + max(limit, 0))]
            return [self._files[path] for path in chosen]

    def children(self, folder: str) -> list[tuple[str, Artifact | None]]:
        with self._lock:
            place, end = self._range(folder)
            start = len(folder) + 1 if folder else 0
            found: list[tuple[str, Artifact | None]] = []
            while place < end:
                path = self._paths[place]
                slash = path.find("/", start)
                if slash < 0:
                    found.append((path, self._files[path]))
                    place += 1
                else:
                    found.append((path[:slash], None))
                    place = bisect_left(self._paths, path[:slash] + _AFTER_SLASH, lo=place)
            # 'a-b' stands before 'a/b' among paths, yet 'a' before 'a-b' among names.
            return sorted(found, key=lambda item: item[0])

    def delete(self, path: str) -> int:
        checked_path(path)
        with self._lock:
            first, end = self._range(path)
            gone = self._paths[first:end]
            del self._paths[first:end]
            if path in self._files:
                del self._paths[bisect_left(self._paths, path)]
                gone.append(path)
            for each in gone:
                del self._files[each]
            return len(gone)

    def digests(self) -> Iterator[Digest]:
        with self._lock:
            needed = {artifact.digest for artifact in self._files.values()}
        return iter(needed)

    def _is_folder(self, path: str) -> bool:
        first, end = self._range(path)
        return first < end

    def _range(self, folder: str) -> tuple[int, int]:
        """Where the paths below a folder begin and end."""
        if not folder:
            return 0, len(self._paths)
        checked_path(folder)
        return bisect_left(self._paths, folder + "/"), bisect_left(self._paths, folder + _AFTER_SLASH)
