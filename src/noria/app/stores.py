"""Where a project's blobs are: the one store that workers open as well, without a database. Called by workspace.py and worker.py."""

from pathlib import Path
from typing import cast
from urllib.parse import quote, urlsplit, urlunsplit

from noria.app.plugins import load
from noria.ports.blobs import BlobStore

BESIDE = frozenset({"local"})
"""Adapters whose default location is a folder of the project's home."""


def open_blobs(adapter: str, location: str, *, home: Path, project: str) -> BlobStore:
    """Open the blobs. An object store's location is followed by the project's name, since many projects may share a bucket.

    Raises what the adapter raises: SettingInvalid, ExtraMissing, StoreUnavailable.
    """
    if adapter in BESIDE:
        place = location or str(home / "blobs")
    elif adapter == "object_store" and location:
        place = _below(location, project)
    else:
        place = location
    return cast(BlobStore, load("blobs", adapter).open_store(place))


def _below(location: str, project: str) -> str:
    """The location of a project's part of a bucket.

    >>> _below("s3://bucket/models?region=eu-1", "my project")
    's3://bucket/models/my%20project?region=eu-1'
    """
    parts = urlsplit(location)
    return urlunsplit(
        (parts.scheme, parts.netloc, f"{parts.path.rstrip('/')}/{quote(project, safe='')}", parts.query, "")
    )
