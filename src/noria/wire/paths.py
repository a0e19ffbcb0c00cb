"""Paths that somebody sent: relative, '/'-separated, of plain names. Called by the artifact ports and by servers."""

from noria.errors import PathRefused


def checked_path(text: str) -> str:
    """The path, if it stays where it belongs. Raises PathRefused.

    >>> checked_path("model/MLmodel")
    'model/MLmodel'
    """
    parts = text.split("/")
    if any(part in ("", ".", "..") for part in parts) or "\\" in text or not text.isprintable():
        raise PathRefused(f"{text!r} is no path of a file here")
    return text
