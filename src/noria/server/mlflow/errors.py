"""Errors as MLflow's clients know them: {"error_code", "message"} and a status. The texts of refusals stand where they are raised.

Called by app for whatever a handler raises, and by the nouns' files to refuse.
"""

import logging

import msgspec

from noria import errors as e
from noria.domain.ids import fresh
from noria.server.mlflow.routing import JSON, Response

log = logging.getLogger("noria.server.mlflow")

STATUS = {
    "INTERNAL_ERROR": 500,
    "NOT_IMPLEMENTED": 501,
    "TEMPORARILY_UNAVAILABLE": 503,
    "RESOURCE_EXHAUSTED": 507,
    "ABORTED": 409,
    "RESOURCE_CONFLICT": 409,
    "ENDPOINT_NOT_FOUND": 404,
    "RESOURCE_DOES_NOT_EXIST": 404,
    "PERMISSION_DENIED": 403,
    "UNAUTHENTICATED": 401,
    "BAD_REQUEST": 400,
    "RESOURCE_ALREADY_EXISTS": 400,
    "INVALID_PARAMETER_VALUE": 400,
    "INVALID_STATE": 500,
}
CODES: tuple[tuple[type[e.NoriaError], str], ...] = (
    (e.NotFound, "RESOURCE_DOES_NOT_EXIST"),
    (e.AlreadyExists, "RESOURCE_ALREADY_EXISTS"),
    (e.StaleWrite, "ABORTED"),
    (e.Conflict, "RESOURCE_CONFLICT"),
    (e.InputInvalid, "INVALID_PARAMETER_VALUE"),
    (e.NotSignedIn, "UNAUTHENTICATED"),
    (e.AccessError, "PERMISSION_DENIED"),
    (e.DiskFull, "RESOURCE_EXHAUSTED"),
    (e.StoreUnavailable, "TEMPORARILY_UNAVAILABLE"),
    (e.Overloaded, "TEMPORARILY_UNAVAILABLE"),
    (e.ExtraMissing, "NOT_IMPLEMENTED"),
)
"""The first class that fits decides; everything else is INTERNAL_ERROR."""


class Refused(Exception):
    """A request that the protocol refuses, in its own words, which clients and their tests compare.

    code: one of STATUS. status: another HTTP status than the code's own, where MLflow's server gives one.
    """

    def __init__(self, message: str, code: str = "INVALID_PARAMETER_VALUE", *, status: int | None = None) -> None:
        self.message = message
        self.code = code
        self.status = status or STATUS[code]
        super().__init__(message)


def missing(*names: str) -> Refused:
    """The refusal of something that is not there, in MLflow's words for a resource.

    >>> missing("Run with id=7 not found").code
    'RESOURCE_DOES_NOT_EXIST'
    """
    return Refused(" ".join(names), "RESOURCE_DOES_NOT_EXIST")


def answer(status: int, code: str, message: str, *, retry: bool = False) -> Response:
    """An error as a response."""
    headers = [*JSON, (b"retry-after", b"1")] if retry else list(JSON)
    return Response(msgspec.json.encode({"error_code": code, "message": message}), status, headers)


def respond(error: Exception, where: str) -> Response:
    """The answer to whatever a handler raised. where: method and path, for the log. A traceback never leaves the server."""
    if isinstance(error, Refused):
        return answer(error.status, error.code, error.message)
    if isinstance(error, e.NoriaError):
        code = next((code for kind, code in CODES if isinstance(error, kind)), "INTERNAL_ERROR")
        status = 413 if isinstance(error, e.RequestTooLarge) else STATUS[code]
        if status == 500:
            log.error("answering %s failed: %s", where, error, exc_info=error)
        return answer(status, code, str(error), retry=status == 503)
    name = fresh()[:12]
    log.error("unexpected error %s at %s", name, where, exc_info=error)
    return answer(500, "INTERNAL_ERROR", f"An unexpected error happened; the server's log has it as {name}.")
