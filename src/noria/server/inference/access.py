"""Who may ask: API keys with names, kept as digests only, and which addresses may be served without one.

Keys come from a file (read again when it changes) or from the environment; none is ever logged or shown. Called by app and run.
"""

import ipaddress
import logging
import re
from collections.abc import Iterator, Mapping
from hashlib import sha256
from pathlib import Path
from time import monotonic
from typing import Protocol

from noria.errors import NotSignedIn, SettingInvalid

LOOK_AGAIN_S = 1.0
SHORTEST = 16
"""Characters a key in a file must have: a shorter one can be guessed."""
HASHED = re.compile(r"sha256:([0-9a-fA-F]{64})")

log = logging.getLogger(__name__)


def key_wanted() -> NotSignedIn:
    """What a request without a key that is known is told."""
    return NotSignedIn(
        "this worker asks for its API key", remedy="send Authorization: Bearer <key>, or X-API-Key: <key>"
    )


class Headers(Protocol):
    """A request's headers; names are lower case."""

    def get(self, name: str, default: str | None = None, /) -> str | None:
        """The value of a header, or the default."""
        ...


class Keys:
    """The keys that are let in, each with a name for the log. A digest is looked up, so the time tells nothing about a key.

    >>> keys = Keys({"ci": "a secret of the ci"})
    >>> keys.name_of({"x-api-key": "a secret of the ci"}), keys.name_of({"authorization": "Bearer wrong"}), bool(keys)
    ('ci', None, True)
    """

    def __init__(self, keys: Mapping[str, str] | None = None, *, file: Path | None = None) -> None:
        """keys: name -> key. file: more of them, a line each (see `read_file`). Raises SettingInvalid."""
        self._fixed = {_digest(key): name for name, key in (keys or {}).items() if key}
        self._file = file
        self._names = dict(self._fixed)
        self._stamp: tuple[int, int, int] | None = None
        self._look_at = 0.0
        if file is not None:
            self._names = {**self._fixed, **read_file(file)}
            self._stamp = _stamp(file)
            self._look_at = monotonic() + LOOK_AGAIN_S

    def __bool__(self) -> bool:
        return bool(self._names) or self._file is not None

    def name_of(self, headers: Headers) -> str | None:
        """The name of the key that a request brings, or None."""
        if self._file is not None and monotonic() >= self._look_at:
            self._read_again(self._file)
        given = headers.get("x-api-key")
        if given is None:
            scheme, _, given = (headers.get("authorization") or "").partition(" ")
            if scheme.lower() != "bearer":
                return None
        return self._names.get(_digest(given.strip()))

    def _read_again(self, file: Path) -> None:
        """Take a changed file; one that cannot be read leaves the keys as they were."""
        self._look_at = monotonic() + LOOK_AGAIN_S
        stamp = _stamp(file)
        if stamp is None or stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            self._names = {**self._fixed, **read_file(file)}
        except SettingInvalid as error:
            log.error("the API keys stay as they were: %s", error)
        else:
            log.warning("the API keys were read again: %s", ", ".join(sorted(set(self._names.values()))))


def read_file(file: Path) -> dict[bytes, str]:
    """Digest -> name of each line `name key` or `name sha256:<64 hex>`; empty lines and those that begin with # are left out.

    Raises SettingInvalid naming the line, never what stands in it.
    """
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as exc:
        raise SettingInvalid(
            f"the API keys in {file.name!r} cannot be read",
            cause=exc.strerror or "" if isinstance(exc, OSError) else "it is not UTF-8",
            remedy="write one line a key: name key",
        ) from exc
    found = dict(_entries(lines, file.name))
    if not found:
        raise SettingInvalid(f"{file.name!r} holds no API key", remedy="write one line a key: name key")
    return found


def _entries(lines: list[str], file: str) -> Iterator[tuple[bytes, str]]:
    for number, line in enumerate(lines, 1):
        parts = line.split()
        if not parts or parts[0].startswith("#"):
            continue
        hashed = HASHED.fullmatch(parts[-1])
        if len(parts) != 2 or (hashed is None and len(parts[1]) < SHORTEST):
            raise SettingInvalid(
                f"line {number} of {file!r} is no API key",
                cause=f"a line is a name, a space and a key of at least {SHORTEST} characters, or sha256:<64 hex>",
                remedy="make one with: python -c 'import secrets; print(secrets.token_urlsafe(32))'",
            )
        yield bytes.fromhex(hashed[1]) if hashed is not None else _digest(parts[1]), parts[0]


def keys_from(environment: Mapping[str, str], *, file: str = "") -> Keys:
    """NORIA_API_KEY (one key), NORIA_API_KEYS (`name=key`, several with commas between), and a file's. Raises SettingInvalid.

    >>> keys_from({"NORIA_API_KEYS": "ci=sesame-of-the-ci,web=sesame-of-the-web"}).name_of({"x-api-key": "sesame-of-the-web"})
    'web'
    """
    keys = {"NORIA_API_KEY": environment.get("NORIA_API_KEY", "")}
    for number, part in enumerate(filter(None, environment.get("NORIA_API_KEYS", "").split(",")), 1):
        name, equals, key = part.partition("=")
        if not (name.strip() and equals and key.strip()):
            raise SettingInvalid(
                f"part {number} of NORIA_API_KEYS is no key", remedy="write name=key, several with commas between"
            )
        keys[name.strip()] = key.strip()
    return Keys(keys, file=Path(file) if file else None)


def check_address(host: str, port: int, *, guarded: bool) -> None:
    """guarded: keys or client certificates are asked for. Raises SettingInvalid for an address beyond this machine that is not."""
    if not is_loopback(host) and not guarded:
        raise SettingInvalid(
            f"address {host!r} is reachable from other machines and no API key is set",
            cause="anybody could ask for predictions and write into the log",
            remedy="set NORIA_API_KEY or --api-key-file, or serve on 127.0.0.1",
        )
    if not 0 <= port <= 65535:
        raise SettingInvalid(f"port {port} is no port", remedy="use 0 (any free one) to 65535")


def is_loopback(host: str) -> bool:
    """Whether an address is this machine's own.

    >>> is_loopback("localhost"), is_loopback("::1"), is_loopback("0.0.0.0")
    (True, True, False)
    """
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _digest(key: str) -> bytes:
    return sha256(key.encode("utf-8", "surrogatepass")).digest()


def _stamp(file: Path) -> tuple[int, int, int] | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
