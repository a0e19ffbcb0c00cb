"""The tables port: immutable versions of datasets."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from noria.domain.arrow import ArrowTable
from noria.domain.dataset import DatasetVersion, ExpectationReport, Schema
from noria.domain.ids import Digest


class TableStore(Protocol):
    """Datasets as numbered, immutable versions, addressed by a digest over every row, every column and the schema.

    Writing the same content to the same dataset again gives the version that exists. A crash leaves a version whole or absent.
    """

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
        """Keep a table as the next version. since/until come from the schema's time column. Raises DiskFull, SchemaMismatch."""
        ...

    def read(self, digest: Digest, *, columns: Sequence[str] | None = None) -> ArrowTable:
        """The whole table, or some columns of it. Raises NotFound, StoreCorrupt."""
        ...

    def version(self, digest: Digest) -> DatasetVersion:
        """One version by its address. Raises NotFound."""
        ...

    def versions(self, dataset: str) -> list[DatasetVersion]:
        """All versions of a dataset, oldest first; empty if there is none."""
        ...

    def datasets(self) -> list[str]:
        """Names of all datasets, sorted."""
        ...
