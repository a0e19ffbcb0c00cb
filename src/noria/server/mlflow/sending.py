"""A file as an answer: all of it, a stretch of it, or that it has not changed; no browser shows it here. Called by artifacts."""

import re
from mimetypes import guess_type
from posixpath import basename
from urllib.parse import quote

from noria.server.mlflow.places import Place
from noria.server.mlflow.routing import Headers, Request, Response

TEXTUAL = frozenset(
    {
        *("txt", "log", "err", "cfg", "conf", "cnf", "cf", "ini", "properties", "prop", "hocon", "toml", "yaml", "yml"),
        *("xml", "json", "js", "py", "py3", "csv", "tsv", "md", "rst", "MLmodel", "mlproject", "MLproject"),
    }
)
"""Extensions, and names without one, that are sent as plain text."""
TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")


def send(request: Request, place: Place, path: str) -> Response:
    """A file of a place. Raises Refused if there is none."""
    file = place.file(path)
    tag = f'"{file.tag}"'
    headers: Headers = [
        (b"content-type", media_type(path).encode()),
        (b"content-disposition", disposition(basename(path)).encode()),
        (b"x-content-type-options", b"nosniff"),
        (b"accept-ranges", b"bytes"),
        (b"etag", tag.encode()),
        (b"cache-control", b"no-cache"),
    ]
    if tag in (request.header("if-none-match") or ""):
        return Response(b"", 304, headers)
    start, end = 0, file.size
    status = 200
    if asked := request.header("range"):
        condition = request.header("if-range")
        if condition is None or condition == tag:
            stretch = stretch_of(asked, file.size)
            if stretch is not None:
                start, end = stretch
                status = 206 if start < end else 416
                shown = f"{start}-{end - 1}" if start < end else "*"
                headers.append((b"content-range", f"bytes {shown}/{file.size}".encode()))
    headers.append((b"content-length", str(end - start).encode()))
    return Response(place.read(path, start=start, end=end) if start < end else b"", status, headers)


def stretch_of(header: str, size: int) -> tuple[int, int] | None:
    """The bytes from (inclusive) to (exclusive) that a Range header asks for; None to send everything; an empty stretch if there are none such.

    >>> stretch_of("bytes=0-9", 100), stretch_of("bytes=90-", 100), stretch_of("bytes=-5", 100), stretch_of("bytes=0-1,5-6", 100)
    ((0, 10), (90, 100), (95, 100), None)
    >>> stretch_of("bytes=100-", 100)
    (0, 0)
    """
    match = RANGE.fullmatch(header.strip())
    if match is None or match.group(0) == "bytes=-":
        return None
    first, last = match.groups()
    if not first:
        return (max(size - int(last), 0), size) if int(last) and size else (0, 0)
    start = int(first)
    if last and int(last) < start:
        return None
    end = min(int(last) + 1, size) if last else size
    return (start, end) if start < size else (0, 0)


def media_type(path: str) -> str:
    """The content type that a name stands for; what a client asks for plays no part.

    >>> media_type("a/MLmodel"), media_type("x.png"), media_type("model.pkl")
    ('text/plain', 'image/png', 'application/octet-stream')
    """
    name = basename(path)
    stem, dot, extension = name.rpartition(".")
    if (extension if dot and stem else name) in TEXTUAL:
        return "text/plain"
    return guess_type(name)[0] or "application/octet-stream"


def disposition(name: str) -> str:
    """The header that makes a browser save a file and never show it on this server's address.

    >>> disposition("a.txt")
    'attachment; filename=a.txt'
    >>> disposition('my "é".txt')
    "attachment; filename*=UTF-8''my%20%22%C3%A9%22.txt"
    """
    if TOKEN.fullmatch(name):
        return f"attachment; filename={name}"
    if name.isascii() and '"' not in name and "\\" not in name and name.isprintable():
        return f'attachment; filename="{name}"'
    return f"attachment; filename*=UTF-8''{quote(name, safe='')}"
