"""The form in which whole tables cross a port: anything that can stream itself as Arrow (polars, pyarrow, pandas, DuckDB all can)."""

from typing import Protocol


class ArrowTable(Protocol):
    """An object with the Arrow PyCapsule interface; `polars.DataFrame(table)` opens it without a copy."""

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """Export the table as an Arrow C stream capsule."""
        ...
