"""Serve the built pages: own files with the right caching, for every other address the one page. Loaded by name by server/control.

A page may run only the scripts and styles that came with it: the policy names this server and one nonce per answer, which the style elements
of the component library carry.
"""

import gzip
import mimetypes
import secrets
from functools import lru_cache
from pathlib import Path
from typing import Any

import msgspec
from litestar import Request, Response, get
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

STATIC = Path(__file__).resolve().parent / "static"
NONCE = b"__NORIA_NONCE__"
"""Stands in the built index.html (web/vite.config.ts) where each answer's nonce goes."""
TEXTUAL = frozenset({"text/html", "text/css", "text/javascript", "image/svg+xml", "text/markdown", "application/json"})
FOREVER = "public, max-age=31536000, immutable"
MISSING = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Noria: the pages are not built</title></head>
<body><main><h1>The pages are not built</h1>
<p>The server runs, and its REST API answers under <code>/api/v1</code>.
To see the pages, build them once in a checkout of Noria, then load this address again:</p>
<pre>make web</pre>
<p>or, without make: <code>python hatch_build.py ui</code></p>
</main></body></html>
"""


class File(msgspec.Struct, frozen=True, kw_only=True):
    """A built file: its bytes, and the same compressed where that is worth it."""

    content: bytes
    packed: bytes | None
    media: str


def router(folder: Path = STATIC) -> HTTPRouteHandler:
    """The handler of every address that no other route takes."""

    @get(["/", "/{path:path}"], include_in_schema=False, sync_to_thread=False, packed=True)
    def pages(request: Request[Any, Any, Any], path: FromPath[str] = "") -> Response[bytes]:
        """A built file, or the page that finds its own way."""
        name = path.strip("/")
        file = _file(folder, name) if name else None
        if file is None or name == "index.html":
            return (
                index(folder)
                if not _is_asset(name)
                else Response(b"no such file\n", status_code=404, media_type="text/plain")
            )
        headers = {
            "cache-control": FOREVER if name.startswith("assets/") else "no-cache",
            "content-security-policy": policy(""),
        }
        packs = file.packed is not None and "gzip" in request.headers.get("accept-encoding", "")
        if file.packed is not None:
            headers["vary"] = "accept-encoding"
        if packs:
            headers["content-encoding"] = "gzip"
        return Response(file.packed if packs and file.packed else file.content, media_type=file.media, headers=headers)

    return pages


def index(folder: Path) -> Response[bytes]:
    """The one page, with its own nonce; or how to build it."""
    file = _file(folder, "index.html")
    nonce = secrets.token_urlsafe(16)
    content = file.content.replace(NONCE, nonce.encode()) if file else MISSING.encode()
    headers = {"cache-control": "no-store", "content-security-policy": policy(nonce)}
    return Response(content, status_code=200 if file else 503, media_type="text/html", headers=headers)


def policy(nonce: str) -> str:
    """The content security policy: this server only; no inline script at all, inline style elements with the nonce only.

    >>> "unsafe-inline" in policy("abc"), "'nonce-abc'" in policy("abc")
    (False, True)
    """
    style = f"style-src 'self' 'nonce-{nonce}'" if nonce else "style-src 'self'"
    own = "default-src 'none'; script-src 'self'; img-src 'self'; font-src 'self'; connect-src 'self'; manifest-src 'self'"
    return f"{own}; {style}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; object-src 'none'"


def _is_asset(name: str) -> bool:
    """Whether an address asks for a file and not for a page."""
    return name.startswith("assets/")


def _file(folder: Path, name: str) -> File | None:
    path = folder / name
    try:
        stamp = path.stat()
    except (OSError, ValueError):
        return None
    if not path.is_file() or not path.resolve().is_relative_to(folder.resolve()):
        return None
    return _loaded(path, stamp.st_mtime_ns, stamp.st_size)


@lru_cache(maxsize=256)
def _loaded(path: Path, _changed: int, _size: int) -> File:
    """Read a file once; a rebuilt one has another time and is read again."""
    content = path.read_bytes()
    media = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    media = "text/javascript" if path.suffix == ".js" else media
    packed = gzip.compress(content, 9) if media in TEXTUAL and len(content) > 1024 else None
    return File(content=content, packed=packed if packed and len(packed) < len(content) else None, media=media)
