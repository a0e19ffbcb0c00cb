"""The secret behind the digests of redacted columns: one a project, made when it is first needed, never in a record or a setting file.

Called by worker.py and endpoint.py; what it is used for is serving/recording.
"""

import contextlib
import os
import secrets
from pathlib import Path

from noria.errors import SettingInvalid
from noria.serving.recording import SALT_BYTES

FILE, VARIABLE = "redaction.salt", "NORIA_REDACTION_SALT"


def redaction_salt(home: Path) -> bytes:
    """32 bytes: of NORIA_REDACTION_SALT (64 hexadecimal digits), else of `redaction.salt` in the home, readable by its owner only.

    Processes that need it first at the same time agree on one. Workers on machines of their own need the variable, or their digests differ.
    Raises SettingInvalid.
    """
    given = os.environ.get(VARIABLE)
    if given:
        return _parsed(given, VARIABLE)
    path = home / FILE
    if not path.exists():
        home.mkdir(parents=True, exist_ok=True)
        fresh = home / f".{FILE}-{secrets.token_hex(8)}"
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_hex(SALT_BYTES))
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(fresh, path)
        fresh.unlink()
    return _parsed(path.read_text(), str(path))


def _parsed(text: str, where: str) -> bytes:
    try:
        salt = bytes.fromhex(text.strip())
    except ValueError:
        salt = b""
    if len(salt) != SALT_BYTES:
        raise SettingInvalid(f"{where} holds no salt", remedy=f"give {2 * SALT_BYTES} hexadecimal digits")
    return salt
