"""Tables in this process, gone when it ends. For tests and notebooks; files are parquet.py. Loaded by name (app/plugins)."""

from collections.abc import Sequence
from datetime import datetime
from threading import Lock

import polars as pl

from noria.adapters.tables.names import require_dataset_name
from noria.domain.arrow import ArrowTable
from noria.domain.dataset import DatasetVersion, ExpectationReport, Schema
from noria.domain.ids import Digest
from noria.errors import NotFound
from noria.wire.tables import content_digest, open_table, require_schema, time_range


class MemoryTables:
    """Fills ports.tables.TableStore. Thread-safe; a table handed out may be changed by nobody (polars frames are immutable)."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._frames: dict[Digest, pl.DataFrame] = {}
        self._versions: dict[str, list[DatasetVersion]] = {}

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
        """Keep a table as the next version, or find the version that holds it."""
        require_dataset_name(dataset)
        frame = open_table(table)
        require_schema(frame, schema)
        frame = frame.select(schema.names())
        digest = content_digest(frame, schema)
        since, until = time_range(frame, schema)
        with self._lock:
            versions = self._versions.setdefault(dataset, [])
            for known in versions:
                if known.digest == digest:
                    return known
            self._frames.setdefault(digest, frame)
            version = DatasetVersion(
                dataset=dataset,
                number=len(versions) + 1,
                digest=digest,
                schema=schema,
                rows=frame.height,
                bytes_stored=int(frame.estimated_size()),
                created_at=at,
                source=source,
                parents=tuple(parents),
                expectations=expectations,
                since=since,
                until=until,
            )
            versions.append(version)
            return version

    def read(self, digest: Digest, *, columns: Sequence[str] | None = None) -> pl.DataFrame:
        """The whole table, or some columns of it."""
        with self._lock:
            frame = self._frames.get(digest)
        if frame is None:
            raise NotFound.of("dataset version", digest)
        if columns is None:
            return frame
        absent = [name for name in columns if name not in frame.columns]
        if absent:
            raise NotFound.of("column", absent[0], frame.columns)
        return frame.select(columns)

    def version(self, digest: Digest) -> DatasetVersion:
        """One version by its address; the first, if several datasets hold the same content."""
        with self._lock:
            found = [v for versions in self._versions.values() for v in versions if v.digest == digest]
        if not found:
            raise NotFound.of("dataset version", digest)
        return min(found, key=lambda v: (v.created_at, v.dataset))

    def versions(self, dataset: str) -> list[DatasetVersion]:
        """All versions of a dataset, oldest first."""
        with self._lock:
            return list(self._versions.get(dataset, ()))

    def datasets(self) -> list[str]:
        """Names of all datasets, sorted."""
        with self._lock:
            return sorted(name for name, versions in self._versions.items() if versions)


def open_store(location: str) -> MemoryTables:
    """A new, empty store; the location is not used."""
    del location
    return MemoryTables()
