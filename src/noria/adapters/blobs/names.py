"""Which names and digests a blob store accepts: refused before any of them becomes a path. Pure. Called by every store of this folder."""

import re

from noria.domain.ids import Digest
from noria.errors import InputInvalid

LONGEST_PART = 200
LONGEST_NAME = 1000

_PART = re.compile(r"[a-z0-9._-]+", re.ASCII)
_DIGEST = re.compile(r"blake3:[0-9a-f]{64}", re.ASCII)


def parts_of(name: str) -> tuple[str, ...]:
    """Split a document's name into its parts. Raises InputInvalid for anything that is not a plain relative name.

    >>> parts_of("serving/churn.json")
    ('serving', 'churn.json')
    """
    parts = tuple(name.split("/"))
    for part in parts:
        if not _PART.fullmatch(part) or not part.strip(".") or len(part) > LONGEST_PART or len(name) > LONGEST_NAME:
            raise InputInvalid(
                f"{name[:80]!r} cannot name a document",
                cause=f"the part {part[:80]!r} is empty, dots only, too long or has other characters than a-z 0-9 . _ -",
                remedy="use relative names of such parts with '/' between them, like 'serving/churn.json'",
            )
    return parts


def hexadecimal(digest: Digest) -> str:
    """The 64 hexadecimal characters of an address. Raises InputInvalid if it is not one.

    >>> hexadecimal(Digest("blake3:" + "0" * 64))[:4]
    '0000'
    """
    if not _DIGEST.fullmatch(digest):
        raise InputInvalid(
            f"{digest[:80]!r} is not an address of content",
            cause="an address is 'blake3:' and 64 hexadecimal characters in lower case",
            remedy="copy the digest as the store gave it",
        )
    return digest.removeprefix("blake3:")
