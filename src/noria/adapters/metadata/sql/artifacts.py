"""Files by path in SQL: a row a file, folders are what the paths say. Called through ports.artifacts.ArtifactIndex, and by runs.py for a run's files.

What may stand where is rules_runs.py; which paths are any is wire/paths.
"""

from collections.abc import Iterator, Sequence

from msgspec.structs import replace

from noria.adapters.metadata import rules_runs as rules
from noria.adapters.metadata.sql.connection import Connection, Database, listed, portions
from noria.domain.ids import Digest
from noria.domain.run import Artifact
from noria.errors import NotFound
from noria.wire.paths import checked_path

PAGE = 1000
"""Rows read at once: no view of the store is held open between two pages, and no folder is read whole to skip it."""
_AFTER_SLASH = chr(ord("/") + 1)
_ROWS = "SELECT path, digest, size FROM artifacts WHERE project = ?"


def checked_files(artifacts: Sequence[Artifact], *, root: str = "") -> dict[str, Artifact]:
    """Files by their paths below a root, the last of each path. Raises InputInvalid."""
    start = f"{root}/" if root else ""
    found: dict[str, Artifact] = {}
    for artifact in artifacts:
        path = checked_path(start + artifact.path)
        found[path] = rules.checked_artifact(artifact if not root else replace(artifact, path=path))
    return found


def put_files(connection: Connection, project: int, files: dict[str, Artifact]) -> None:
    """Set files, by their checked paths. Raises InputInvalid if one would be a file and a folder at once."""
    above = {folder: path for path in files for folder in rules.folders_above(path)}
    for folder, path in above.items():
        if folder in files:
            raise rules.file_and_folder(path)
    for some in portions(list(above)):
        marks, values = listed(some)
        found = connection.execute(
            f"SELECT path FROM artifacts WHERE project = ? AND path IN ({marks})", (project, *values)
        ).fetchall()
        taken = {row[0] for row in found}
        for folder in some:
            if folder in taken:
                raise rules.file_and_folder(above[folder])
    for path in files:
        if connection.execute(
            "SELECT 1 FROM artifacts WHERE project = ? AND path >= ? AND path < ? LIMIT 1", (project, *_span(path))
        ).fetchone():
            raise rules.file_and_folder(path)
    connection.executemany(
        "INSERT INTO artifacts (project, path, digest, size) VALUES (?, ?, ?, ?)"
        " ON CONFLICT (project, path) DO UPDATE SET digest = excluded.digest, size = excluded.size",
        [(project, path, file.digest, file.size) for path, file in files.items()],
    )


def files_below(connection: Connection, project: int, root: str) -> dict[str, Artifact]:
    """The files below a folder of this store, by their paths in it; of a root outside there are none."""
    if rules.is_foreign(root):
        return {}
    rows = connection.execute(f"{_ROWS} AND path >= ? AND path < ? ORDER BY path", (project, *_span(root))).fetchall()
    start = len(root) + 1
    return {path[start:]: Artifact(path=path[start:], digest=digest, size=size) for path, digest, size in rows}


def files_at(connection: Connection, project: int, paths: Sequence[str]) -> dict[str, Artifact]:
    """What stands at some paths, as far as something does."""
    found: dict[str, Artifact] = {}
    for some in portions(paths):
        marks, values = listed(some)
        for row in connection.execute(f"{_ROWS} AND path IN ({marks})", (project, *values)).fetchall():
            found[row[0]] = _artifact(row)
    return found


def drop_files(connection: Connection, project: int, roots: Sequence[str]) -> None:
    """Forget what stands below some folders of this store."""
    spans = [(project, *_span(root)) for root in roots if not rules.is_foreign(root)]
    connection.executemany("DELETE FROM artifacts WHERE project = ? AND path >= ? AND path < ?", spans)


class SqlArtifacts:
    """ports.artifacts.ArtifactIndex."""

    def __init__(self, database: Database, project: int) -> None:
        self._database = database
        self._project = project

    def put(self, artifacts: Sequence[Artifact]) -> None:
        files = checked_files(artifacts)
        if files:
            self._database.write(lambda connection: put_files(connection, self._project, files))

    def get(self, path: str) -> Artifact:
        checked_path(path)
        row = self._database.read(
            lambda connection: connection.execute(f"{_ROWS} AND path = ?", (self._project, path)).fetchone()
        )
        if row is None:
            raise NotFound.of("artifact", path)
        return _artifact(row)

    def under(self, folder: str, *, limit: int | None = None, after: str = "") -> list[Artifact]:
        span = _checked_span(folder)
        most = "" if limit is None else " LIMIT ?"
        values = (self._project, after, *span, *(() if limit is None else (max(limit, 0),)))
        rows = self._database.read(
            lambda connection: connection.execute(
                f"{_ROWS} AND path > ?{_within(span)} ORDER BY path{most}", values
            ).fetchall()
        )
        return [_artifact(row) for row in rows]

    def children(self, folder: str) -> list[tuple[str, Artifact | None]]:
        span = _checked_span(folder)
        start = len(folder) + 1 if folder else 0
        found = self._database.read(lambda connection: list(self._children(connection, span, start)))
        # 'a-b' stands before 'a/b' among paths, yet 'a' before 'a-b' among names.
        return sorted(found, key=lambda item: item[0])

    def delete(self, path: str) -> int:
        checked_path(path)

        def work(connection: Connection) -> int:
            return (
                connection.execute(
                    "DELETE FROM artifacts WHERE project = ? AND path = ?", (self._project, path)
                ).rowcount
                + connection.execute(
                    "DELETE FROM artifacts WHERE project = ? AND path >= ? AND path < ?", (self._project, *_span(path))
                ).rowcount
            )

        return self._database.write(work)

    def digests(self) -> Iterator[Digest]:
        after = ""
        while rows := self._page(after):
            yield from (Digest(row[1]) for row in rows)
            after = rows[-1][0]

    def _page(self, after: str) -> list[tuple[str, str]]:
        rows: list[tuple[str, str]] = self._database.read(
            lambda connection: connection.execute(
                "SELECT path, digest FROM artifacts WHERE project = ? AND path > ? ORDER BY path LIMIT ?",
                (self._project, after, PAGE),
            ).fetchall()
        )
        return rows

    def _children(
        self, connection: Connection, span: tuple[str, ...], start: int
    ) -> Iterator[tuple[str, Artifact | None]]:
        """What stands directly in a folder: files as they come, and each folder once; the rest of a large one is jumped over."""
        at = span[0] if span else ""
        while True:
            rows = connection.execute(
                f"{_ROWS} AND path >= ?{_within(span)} ORDER BY path LIMIT ?", (self._project, at, *span, PAGE)
            ).fetchall()
            folder = ""
            for row in rows:
                if folder and row[0] < folder + _AFTER_SLASH:
                    continue
                slash = row[0].find("/", start)
                folder = "" if slash < 0 else row[0][:slash]
                yield (folder, None) if folder else (row[0], _artifact(row))
            if len(rows) < PAGE:
                return
            # No path holds a control character: nothing stands between a path and this.
            at = folder + _AFTER_SLASH if folder else rows[-1][0] + "\x01"


def _span(folder: str) -> tuple[str, str]:
    """What paths below a folder begin with, and what the first path after them is."""
    return f"{folder}/", f"{folder}{_AFTER_SLASH}"


def _checked_span(folder: str) -> tuple[str, ...]:
    return _span(checked_path(folder)) if folder else ()


def _within(span: tuple[str, ...]) -> str:
    return " AND path >= ? AND path < ?" if span else ""


def _artifact(row: tuple[str, str, int]) -> Artifact:
    path, digest, size = row
    return Artifact(path=path, digest=Digest(digest), size=size)
