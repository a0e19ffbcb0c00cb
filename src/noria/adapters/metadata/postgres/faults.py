"""What PostgreSQL's errors mean: no room, no connection, no right, a value that it cannot keep. Called by writer.py, database.py and open.py.

By SQLSTATE where the server gave one; while connecting, libpq gives only words.
"""

from typing import Any

import psycopg

from noria.adapters.metadata.postgres.location import Location
from noria.errors import DiskFull, InputInvalid, NoriaError, SettingInvalid, StoreCorrupt, StoreError, StoreUnavailable

_AGAIN = {"40001", "40P01"}
"""Serialization failure, deadlock: the same work can succeed at once."""
_ENDED = {"57P01", "57P02", "57P03", "57P05", "25P03", "25P04"}
"""The server ended the connection, or does not take any yet."""
_SETTINGS = {
    "28": ("does not let this user in", "correct user and password in the store's URL, or PGPASSWORD"),
    "3D": ("does not exist", "createdb it, or correct the name in the store's URL"),
}
_WORDS = (
    (("password authentication failed", "no password supplied", "no pg_hba.conf entry", "authentication failed"), "28"),
    (("does not exist",), "3D"),
    (("too many", "remaining connection slots"), "53300"),
    (("read-only", "standby"), "25006"),
)


def can_repeat(error: BaseException) -> bool:
    """Whether the whole transaction may simply be run again."""
    return isinstance(error, psycopg.Error) and error.sqlstate in _AGAIN


def is_lost(error: BaseException, connection: psycopg.Connection[Any] | None) -> bool:
    """Whether the connection is of no more use: broken, ended by the server, or led to one that only reads."""
    if not isinstance(error, psycopg.Error):
        return False
    return error.sqlstate in _ENDED or error.sqlstate == "25006" or connection is None or connection.broken


def translate(error: BaseException, location: Location) -> BaseException:
    """Say what an error means for the store. What is not the database's stays as it is."""
    if isinstance(error, NoriaError):
        return error
    if isinstance(error, OverflowError | UnicodeEncodeError):
        known: NoriaError = InputInvalid("a value cannot be stored", cause=str(error))
    elif isinstance(error, psycopg.Error):
        known = _known(error, location)
    else:
        return error
    known.__cause__ = error
    return known


def _known(error: psycopg.Error, location: Location) -> NoriaError:
    store, said = f"store '{location.shown}'", location.hide(str(error).strip())
    state = error.sqlstate or _state_by_words(error, said)
    kind = state[:2]
    if state == "53100":
        return DiskFull(
            f"no room left for {store}",
            cause=said,
            remedy="free some space on the database's server, then repeat the command",
        )
    if kind in _SETTINGS:
        problem, remedy = _SETTINGS[kind]
        return SettingInvalid(f"{store} {problem}", cause=said, remedy=remedy)
    if state == "42501":
        return SettingInvalid(
            f"the user of {store} lacks a right",
            cause=said,
            remedy="let the user own the database: ALTER DATABASE ... OWNER TO ...",
        )
    if kind in {"22", "54"} or (isinstance(error, psycopg.DataError) and not state):
        return InputInvalid("a value cannot be stored or looked up in PostgreSQL", cause=said)
    if kind == "XX":
        return StoreCorrupt(f"{store} is damaged", cause=said, remedy="restore it from a backup")
    return _unavailable(error, state, store, said)


def _unavailable(error: psycopg.Error, state: str, store: str, said: str) -> NoriaError:
    if state == "53300":
        remedy = "raise max_connections of the database, or run fewer servers"
        return StoreUnavailable(f"{store} has no connection left", cause=said, remedy=remedy)
    if state == "25006":
        remedy = "give the address of the primary, or all hosts: postgresql://HOST1,HOST2/..."
        return StoreUnavailable(f"{store} only reads", cause=said, remedy=remedy)
    if state == "55P03":
        remedy = "look into pg_stat_activity and pg_locks for who holds it (a hanging server, a backup during an upgrade?), then repeat the command"
        return StoreUnavailable(f"{store} is held by another", cause=said, remedy=remedy)
    if isinstance(error, psycopg.OperationalError) or state[:2] in {"08", "40", "53", "55", "57", "58"}:
        return StoreUnavailable(
            f"{store} does not answer",
            cause=said,
            remedy="start the database, or correct the store's URL; then repeat the command",
        )
    return StoreError(f"{store} cannot do this", cause=f"{type(error).__name__}: {said}")


def _state_by_words(error: psycopg.Error, said: str) -> str:
    """The SQLSTATE that a refused connection would have had. In another language than English it stays 'does not answer'."""
    if not isinstance(error, psycopg.OperationalError):
        return ""
    low = said.lower()
    return next((state for words, state in _WORDS if any(word in low for word in words)), "")
