"""Tables in a folder: one Parquet file per content, one manifest per version. The digest is wire/tables. Loaded by name (app/plugins).

    <location>/content/<64 hex>.parquet          the rows, named by their digest; shared by all versions that hold them
    <location>/datasets/<dataset>/<number>.json  a version, created once; what has no manifest does not exist

Plain Parquet is the decision of ADR 14.
"""

import io
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from threading import Lock

import msgspec
import polars as pl

from noria.adapters.tables import files
from noria.adapters.tables.names import require_dataset_name
from noria.domain.arrow import ArrowTable
from noria.domain.dataset import DatasetVersion, ExpectationReport, Schema
from noria.domain.ids import Digest
from noria.errors import NotFound, StoreCorrupt
from noria.wire.tables import column_digests, open_table, require_schema, table_digest, time_range

ROWS_PER_GROUP = 1 << 17


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """A version as it is written down. columns: the digest of each, so that reading some of them verifies exactly those."""

    version: DatasetVersion
    columns: dict[str, Digest]
    format: str = "noria-dataset-1"


class ParquetTables:
    """Fills ports.tables.TableStore. Safe for several threads and processes; every read is checked against the digests of its columns."""

    def __init__(self, location: Path) -> None:
        self._content, self._datasets = location / "content", location / "datasets"
        self._lock = Lock()
        self._known: dict[Path, Manifest] = {}
        for folder in (self._content, self._datasets):
            files.make_folder(folder)
        for folder in (self._content, *self._datasets.iterdir()):
            files.sweep(folder)

    def write(
        self,
        dataset: str,
        table: ArrowTable,
        *,
        schema: Schema,
        at: datetime,
        source: str = "",
        parents: Sequence[Digest] = (),
        expectations: ExpectationReport | None = None,
    ) -> DatasetVersion:
        """Keep a table as the next version, or find the version that holds it. Content first, manifest last: a crash leaves no half version."""
        require_dataset_name(dataset)
        frame = open_table(table)
        require_schema(frame, schema)
        frame = frame.select(schema.names())
        columns = column_digests(frame)
        digest = table_digest(schema, frame.height, columns)
        size = self._keep(digest, frame, schema, columns)
        since, until = time_range(frame, schema)
        folder = self._datasets / dataset
        files.make_folder(folder)
        while True:
            # Looked at once: a writer of the same rows is either among these, or takes the number that follows from them.
            versions = self.versions(dataset)
            if found := next((v for v in versions if v.digest == digest), None):
                return found
            number = len(versions) + 1
            version = DatasetVersion(
                dataset=dataset,
                number=number,
                digest=digest,
                schema=schema,
                rows=frame.height,
                bytes_stored=size,
                created_at=at,
                source=source,
                parents=tuple(parents),
                expectations=expectations,
                since=since,
                until=until,
            )
            document = msgspec.json.format(msgspec.json.encode(Manifest(version=version, columns=columns)))
            if files.create(folder / f"{number:06d}.json", document):
                return version

    def read(self, digest: Digest, *, columns: Sequence[str] | None = None) -> pl.DataFrame:
        """The whole table, or some columns of it, verified."""
        manifest = self._manifest(digest)
        names = list(manifest.version.schema.names() if columns is None else columns)
        absent = [name for name in names if name not in manifest.columns]
        if absent:
            raise NotFound.of("column", absent[0], list(manifest.columns))
        frame = self._open(digest, names)
        self._verify(manifest, frame)
        return frame

    def version(self, digest: Digest) -> DatasetVersion:
        """One version by its address; the first, if several datasets hold the same content."""
        return self._manifest(digest).version

    def versions(self, dataset: str) -> list[DatasetVersion]:
        """All versions of a dataset, oldest first."""
        return [m.version for m in self._manifests(dataset)]

    def datasets(self) -> list[str]:
        """Names of all datasets, sorted."""
        return sorted(p.name for p in self._datasets.iterdir() if p.is_dir() and any(p.glob("*.json")))

    def _keep(self, digest: Digest, frame: pl.DataFrame, schema: Schema, columns: dict[str, Digest]) -> int:
        """Make sure that the content is here and right (a damaged file is written anew); gives its size in bytes."""
        path = self._path(digest)
        if path.exists() and self._is_intact(digest, schema, frame.height, columns):
            return path.stat().st_size
        packed = io.BytesIO()
        frame.write_parquet(packed, compression="zstd", row_group_size=ROWS_PER_GROUP)
        files.replace(path, packed.getbuffer())  # two writers of one digest write the same rows: either may stay
        return path.stat().st_size

    def _is_intact(self, digest: Digest, schema: Schema, rows: int, columns: dict[str, Digest]) -> bool:
        try:
            held = self._open(digest, list(schema.names()))
        except StoreCorrupt:
            return False
        return held.height == rows and column_digests(held) == columns

    def _open(self, digest: Digest, names: list[str]) -> pl.DataFrame:
        path = self._path(digest)
        try:
            return pl.read_parquet(path, columns=names).select(names)
        except (pl.exceptions.PolarsError, OSError) as error:
            raise StoreCorrupt(
                f"the rows of dataset version {digest[:19]}... cannot be read",
                cause=f"'{path}': {(str(error).splitlines() or [''])[0]}",
                remedy="restore the file from a backup, or take the snapshot of its source again: it gets the same digest",
            ) from error

    def _verify(self, manifest: Manifest, frame: pl.DataFrame) -> None:
        version = manifest.version
        found = column_digests(frame)
        wrong = [name for name in frame.columns if found[name] != manifest.columns[name]]
        if wrong or table_digest(version.schema, version.rows, manifest.columns) != version.digest:
            raise StoreCorrupt(
                f"version {version.number} of dataset '{version.dataset}' is not what was written",
                cause=f"columns {', '.join(wrong)} differ from their digests" if wrong else "its manifest was changed",
                remedy="restore it from a backup, or take the snapshot of its source again: it gets the same digest",
            )

    def _path(self, digest: Digest) -> Path:
        return self._content / f"{digest.removeprefix('blake3:')}.parquet"

    def _manifest(self, digest: Digest) -> Manifest:
        with self._lock:
            held = [m for m in self._known.values() if m.version.digest == digest]
        if not held:
            held = [m for d in self.datasets() for m in self._manifests(d) if m.version.digest == digest]
        if not held:
            raise NotFound.of("dataset version", digest, remedy="noria status")
        return min(held, key=lambda m: (m.version.created_at, m.version.dataset))

    def _manifests(self, dataset: str) -> list[Manifest]:
        """Every manifest of a dataset, by number. They never change, so each is read once."""
        require_dataset_name(dataset)
        paths = sorted((self._datasets / dataset).glob("*.json"))
        with self._lock:
            for path in paths:
                if path not in self._known:
                    self._known[path] = _read_manifest(path)
            return [self._known[path] for path in paths]


def _read_manifest(path: Path) -> Manifest:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Manifest)
    except (msgspec.MsgspecError, OSError) as error:
        raise StoreCorrupt(
            f"the manifest '{path}' cannot be read", cause=str(error), remedy="restore the file from a backup"
        ) from error


def open_store(location: str) -> ParquetTables:
    """Open (and if need be make) the folder. Raises StoreUnavailable, DiskFull."""
    return ParquetTables(Path(location))
