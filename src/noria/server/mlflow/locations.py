"""Where files are, as clients name it (`mlflow-artifacts:/1/<run>/artifacts`) and as the store does (`1/<run>/artifacts`). No I/O.

Only what is in this store is ever opened by the server; every other location is a text that clients may make sense of.
"""

import re
from urllib.parse import unquote, urlsplit

from noria.errors import PathRefused
from noria.server.mlflow.errors import Refused
from noria.wire.paths import checked_path

SCHEME = "mlflow-artifacts"
ANCHOR = "/mlflow-artifacts/artifacts"
HIDDEN = ".uploads"
"""Below this name lie the parts of uploads that are not complete; no client can name a file there."""
OUTSIDE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:|/")


def is_stored(root: str) -> bool:
    """Whether an artifact root is in this store, and no URI or path outside.

    >>> is_stored("1/7/artifacts"), is_stored("s3://bucket/7/artifacts"), is_stored("/mnt/x")
    (True, False, False)
    """
    return OUTSIDE.match(root) is None


def uri_of(root: str) -> str:
    """An artifact root as clients know it.

    >>> uri_of("1/7/artifacts"), uri_of("s3://bucket/7/artifacts")
    ('mlflow-artifacts:/1/7/artifacts', 's3://bucket/7/artifacts')
    """
    return f"{SCHEME}:/{root}" if is_stored(root) else root


def stored_path(uri: str) -> str | None:
    """The path in this store that a URI names, unchecked; None for a URI that leads elsewhere.

    >>> stored_path("mlflow-artifacts:/1/7/artifacts/model"), stored_path("http://h:5/api/2.0/mlflow-artifacts/artifacts/1/x"), stored_path("s3://b/c")
    ('1/7/artifacts/model', '1/x', None)
    """
    try:
        parts = urlsplit(uri)
    except ValueError:
        return None
    if parts.scheme == SCHEME:
        path = parts.path
    elif parts.scheme in ("http", "https") and ANCHOR in parts.path:
        path = parts.path.partition(ANCHOR)[2]
    else:
        return None
    return unquote(path).strip("/")


def checked(path: str) -> str:
    """A client's path, decoded already, if it stays where it belongs. Raises Refused in MLflow's words."""
    try:
        clean = checked_path(path)
    except PathRefused:
        raise Refused("Invalid path") from None
    # U+FFFD stands for bytes that are no text: two files would have one name.
    if clean.split("/", 1)[0] == HIDDEN or "\ufffd" in clean:
        raise Refused("Invalid path")
    return clean
