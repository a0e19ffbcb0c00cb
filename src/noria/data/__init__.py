"""A source becomes an immutable DatasetVersion: read, conform, validate, quarantine, split, join, diff. Keeping it is adapters/tables/."""

from importlib.util import find_spec

from noria.errors import ExtraMissing

for _name in ("polars", "numpy"):
    if find_spec(_name) is None:
        raise ExtraMissing(
            f"working with tables needs '{_name}'", cause="it is not installed", remedy="pip install 'noria[data]'"
        )
