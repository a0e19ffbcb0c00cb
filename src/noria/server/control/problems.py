"""Errors as HTTP answers: one body for all of them, and never a traceback. Called by app.py."""

import logging
from typing import Any

from litestar import MediaType, Request, Response
from litestar.exceptions import HTTPException

from noria import errors as e
from noria.domain.ids import fresh
from noria.server.control.views import Problem

log = logging.getLogger("noria.server")

STATUS: tuple[tuple[type[e.NoriaError], int], ...] = (
    (e.NotFound, 404),
    (e.ModelUnknown, 404),
    (e.Conflict, 409),
    (e.GateNotPassed, 409),
    (e.RequestTooLarge, 413),
    (e.InputInvalid, 400),
    (e.NotSignedIn, 401),
    (e.AccessError, 403),
    (e.DiskFull, 507),
    (e.StoreUnavailable, 503),
    (e.Overloaded, 503),
    (e.ModelNotReady, 503),
    (e.ExtraMissing, 501),
)
"""The first class that fits decides; everything else is 500."""

WORDS: dict[int, tuple[type[e.NoriaError], str]] = {
    404: (e.NotFound, "see /api/v1/openapi.json for the paths that exist"),
    405: (e.RequestInvalid, "see /api/v1/openapi.json for the methods of this path"),
    413: (e.RequestTooLarge, "send the labels in several requests"),
}


def status_of(error: e.NoriaError) -> int:
    """The HTTP status of an error.

    >>> status_of(e.StaleWrite("x")), status_of(e.StoreCorrupt("x"))
    (409, 500)
    """
    return next((status for kind, status in STATUS if isinstance(error, kind)), 500)


def known(_: Request[Any, Any, Any], error: e.NoriaError) -> Response[Problem]:
    """Answer one of Noria's own errors."""
    status = status_of(error)
    if status == 500:
        log.error("%s", error.headline(), exc_info=error)
    body = Problem(
        code=error.code, problem=error.problem, cause=error.cause, remedy=error.remedy, retryable=error.retryable
    )
    headers = {"retry-after": "1"} if error.retryable and status == 503 else {}
    if status == 401:
        headers["www-authenticate"] = "Bearer"
    return Response(body, status_code=status, headers=headers, media_type=MediaType.JSON)


def refused(_: Request[Any, Any, Any], error: HTTPException) -> Response[Problem]:
    """Answer what the framework refused: an unknown path, a body that does not fit, a body that is too large."""
    kind, remedy = WORDS.get(error.status_code, (e.RequestInvalid, e.RequestInvalid.default_remedy))
    extra = error.extra if isinstance(error.extra, list) else []
    cause = "; ".join(
        f"{item['key']}: {item['message']}" if item.get("key") else str(item.get("message", "")) for item in extra
    )
    body = Problem(code=kind.code, problem=error.detail, cause=cause, remedy=remedy)
    return Response(body, status_code=error.status_code, media_type=MediaType.JSON)


def unexpected(request: Request[Any, Any, Any], error: Exception) -> Response[Problem]:
    """Answer what nobody foresaw: an id that the log knows, nothing else."""
    name = fresh()[:12]
    log.error("unexpected error %s at %s %s", name, request.method, request.url.path, exc_info=error)
    body = Problem(
        code=e.NoriaError.code,
        problem="the server failed to answer",
        cause=f"an unexpected error, in the server's log as {name}",
        remedy="repeat the request; if it fails again, report it with the lines of the log",
        id=name,
    )
    return Response(body, status_code=500, media_type=MediaType.JSON)
