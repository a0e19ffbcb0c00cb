"""Who may ask. On loopback everybody on this machine; elsewhere whoever holds the key: as bearer, as password, or as a browser's cookie.
Called by app.py and front.py.

Two things are refused even on loopback: a foreign Host (a name that was made to point here) and a change asked for by another site's page.
"""

import base64
import hmac
import re
import time
from hashlib import sha256
from http.cookies import CookieError, SimpleCookie
from typing import Any, cast
from urllib.parse import urlsplit

from litestar import Request, Response, get, post
from litestar.datastructures import Cookie, Headers
from litestar.di import NamedDependency
from litestar.enums import ScopeType
from litestar.middleware import ASGIMiddleware
from litestar.params import JSONBody
from litestar.types import ASGIApp, HTTPScope, Receive, Scope, Send

from noria.errors import AccessRefused, NotSignedIn, SettingInvalid
from noria.server.control.views import Session, SessionIn

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
COOKIE = "noria_session"
HOURS = 12
SHORTEST_KEY = 16
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
OPEN = frozenset({"/api/v1/session", "/api/v1/health"})
GUARDED = ("/api/", "/ajax-api/", "/get-artifact", "/model-versions/get-artifact", "/metrics")
"""Where the data is. What lies elsewhere are the pages, which hold none."""
SIGNED = re.compile(r"/api/v1/deployments/[^/]+/triggers/[^/]+")
"""POSTs that carry a signature of their own, which their route checks."""


class Keyring:
    """The server's key, if it has one, and the sessions signed with it. Stateless: a session is an expiry and its signature."""

    def __init__(self, key: str | None) -> None:
        if key is not None and len(key) < SHORTEST_KEY:
            raise SettingInvalid(
                f"the API key has {len(key)} characters",
                cause=f"a key that guards a server needs at least {SHORTEST_KEY}",
                remedy="export NORIA_API_KEY=$(python -c 'import secrets; print(secrets.token_urlsafe(24))')",
            )
        self.key = key

    def fits(self, given: str) -> bool:
        """Whether this is the key, compared in constant time."""
        return self.key is not None and hmac.compare_digest(given.encode(), self.key.encode())

    def session(self, until: int) -> str:
        """A signed session that ends at a Unix time."""
        signature = hmac.new((self.key or "").encode(), f"session {until}".encode(), sha256).hexdigest()
        return f"{until}.{signature}"

    def admits(self, headers: Headers) -> bool:
        """Whether a request with these headers may read and write."""
        if self.key is None:
            return True
        shown = headers.get("authorization", "")
        if shown[:7].lower() == "bearer ":
            return self.fits(shown[7:].strip())
        if shown[:6].lower() == "basic ":
            return self.fits(_password(shown[6:].strip()))
        return self._valid(_cookie(headers.get("cookie", "")))

    def _valid(self, session: str) -> bool:
        until = session.partition(".")[0]
        if self.key is None or not until.isdecimal() or len(until) > 12:
            return False
        return hmac.compare_digest(session.encode(), self.session(int(until)).encode()) and int(until) > time.time()


class Gatekeeper(ASGIMiddleware):
    """Stands before every route."""

    scopes = (ScopeType.HTTP,)

    def __init__(self, keyring: Keyring, *, loopback: bool) -> None:
        self.keyring = keyring
        self.loopback = loopback

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        """Refuse, or let through. Raises NotSignedIn, AccessRefused."""
        self.check(scope)
        await next_app(scope, receive, send)

    def check(self, scope: Scope) -> None:
        """Raises NotSignedIn, AccessRefused for a request that may not be answered."""
        headers = Headers.from_scope(scope)
        host = headers.get("host", "")
        if self.loopback and _name(host) not in LOOPBACK:
            raise AccessRefused(
                f"this server does not answer to the name {host!r}", cause="it listens on this machine only"
            )
        method = cast(HTTPScope, scope)["method"]
        if method not in SAFE:
            _same_site(headers, host)
        path = scope["path"]
        if path in OPEN or (method == "POST" and SIGNED.fullmatch(path)):
            return
        if path.startswith(GUARDED) and not self.keyring.admits(headers):
            raise NotSignedIn("this server asks for its key", cause="the request carries no valid key")


def _name(host: str) -> str:
    """The name in a Host header, without the port; '' for what is none."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _same_site(headers: Headers, host: str) -> None:
    origin = headers.get("origin", "")
    foreign = origin and origin.partition("://")[2] != host
    if foreign or headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        raise AccessRefused(
            "a change was asked for by a page of another site", cause=f"its origin is {origin or 'unknown'!r}"
        )


def _password(credentials: str) -> str:
    """The password in the credentials of Basic authentication, for clients that know no other; the name does not matter."""
    try:
        return base64.b64decode(credentials, validate=True).decode().partition(":")[2]
    except ValueError:
        return ""


def _cookie(header: str) -> str:
    try:
        morsel = SimpleCookie(header).get(COOKIE)
    except CookieError:
        return ""
    return morsel.value if morsel else ""


@get("/api/v1/session", sync_to_thread=False, tags=["access"])
def read_session(request: Request[Any, Any, Any], keyring: NamedDependency[Keyring]) -> Session:
    """Whether the server asks for a key, and whether this browser has given it."""
    return Session(required=keyring.key is not None, signed_in=keyring.admits(request.headers))


@post("/api/v1/session", sync_to_thread=False, tags=["access"], status_code=200)
def sign_in(
    data: JSONBody[SessionIn], request: Request[Any, Any, Any], keyring: NamedDependency[Keyring]
) -> Response[Session]:
    """Give the server's key once; the browser then keeps a cookie that its scripts cannot read, for 12 hours."""
    if keyring.key is not None and not keyring.fits(data.key):
        raise NotSignedIn(
            "this is not the server's key", remedy="look it up where the server was started: NORIA_API_KEY"
        )
    cookie = Cookie(
        key=COOKIE,
        value=keyring.session(int(time.time()) + HOURS * 3600),
        max_age=HOURS * 3600,
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
    )
    return Response(Session(required=keyring.key is not None, signed_in=True), cookies=[cookie] if keyring.key else [])
