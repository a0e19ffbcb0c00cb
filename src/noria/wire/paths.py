"""Paths that somebody sent: relative, '/'-separated, of plain names. Called by whatever takes a path from outside: artifact ports, servers, clients.

A server decodes a URL once; what this sees is meant literally. But paths travel on, through proxies, other servers and other people's tools, and each
of them may decode or normalise again. So a path must stay harmless however often it is percent-decoded, and in Unicode's compatibility form.

Harmless is also what looks encoded by chance: a number after a percent sign, as MLflow names images ('loss%step%12%timestamp%1795'). Two decimal
digits without a leading zero are never a dot, a slash or a line's end; they may be a control character (%10-%19) or a byte that continues no text
(%80-%99), which lead nowhere.
"""

import codecs
import re
import unicodedata
from urllib.parse import unquote_to_bytes

from noria.errors import PathRefused

MAX_BYTES = 1024
MAX_PART_BYTES = 255
"""What file systems take for one name."""

_ENCODED = re.compile(r"%(?:u[0-9a-f]{4}|[0-9a-f]{2})", re.IGNORECASE)
_WIDE = re.compile(r"%u([0-9a-f]{4})", re.IGNORECASE)
_SCHEME = re.compile(r"[a-z]:|[a-z][a-z0-9+.-]*:$|file:", re.IGNORECASE)
_SLASHES = re.compile("[\\\\\u2044\u2215\u2216\u29f5\u29f8\u29f9\ufe68\uff0f\uff3c]")
"""Backslash, and characters that some program takes for a slash or a backslash."""
_PLAIN = re.compile(r"\w[\w.-]*(?:/\w[\w.-]*)*", re.ASCII)
"""What nearly every path is, and nothing can be wrong with."""
_NUMBERS = frozenset(map(chr, range(0x10, 0x1A)))
"""Control characters that two decimal digits may stand for."""
_UNSEEN = frozenset(("Cc", "Cs", "Zl", "Zp"))
_TURNING = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""They make a name look like another one."""


def checked_path(text: str) -> str:
    """The path as it came, if it stays where it belongs. Raises PathRefused.

    Refused: '..', '.', empty parts, absolute paths, drives and schemes, backslashes and their look-alikes, control characters, anything that turns
    into one of these when it is percent-decoded or normalised (NFKC), more than 1024 bytes, a name of more than 255.

    >>> checked_path("model/100% done.txt")
    'model/100% done.txt'
    >>> checked_path("model/%2e%2e/secret")
    Traceback (most recent call last):
    noria.errors.PathRefused: 'model/%2e%2e/secret' is no path of a file here
      cause:  it has a part '..' when it is decoded
      remedy: use a relative path of plain names, such as 'model/MLmodel'
    """
    if len(text) <= MAX_PART_BYTES and _PLAIN.fullmatch(text):
        return text
    if len(text) > MAX_BYTES:  # before any work that grows with it
        raise _refused(text, f"it is longer than {MAX_BYTES} bytes")
    cause = _fault(text)
    if cause:
        raise _refused(text, cause)
    form = text
    while _ENCODED.search(form):
        decoded = _decoded(form)
        if decoded is None:
            raise _refused(text, "its encoded bytes are no text")
        if decoded.count("/") != form.count("/"):
            raise _refused(text, "it has other folders when it is decoded")
        cause = _fault("".join("_" if letter in _NUMBERS else letter for letter in decoded))
        if cause:
            raise _refused(text, f"{cause} when it is decoded")
        form = decoded
    return text


def _fault(text: str) -> str:
    """What is wrong with a path as it stands; '' if nothing is."""
    odd = next((letter for letter in text if unicodedata.category(letter) in _UNSEEN or letter in _TURNING), None)
    if odd is not None:
        return f"it holds the character U+{ord(odd):04X}"
    if _SLASHES.search(text):
        return "it holds a backslash, or what may be read as a slash"
    if len(text.encode()) > MAX_BYTES:
        return f"it is longer than {MAX_BYTES} bytes"
    parts = text.split("/")
    if _SCHEME.match(parts[0]):
        return "it begins with a drive or a scheme"
    normal = unicodedata.normalize("NFKC", text)
    if normal.count("/") != len(parts) - 1 or "\\" in normal:
        return "it has other folders in Unicode's compatibility form"
    return next((cause for part in (*parts, *normal.split("/")) if (cause := _fault_of_part(part))), "")


def _fault_of_part(part: str) -> str:
    if not part:
        return "it has an empty part"
    seen = "".join(letter for letter in part if unicodedata.category(letter) != "Cf")
    if not seen.strip(" .\u00a0"):
        return f"it has a part '{part}'"
    if len(part.encode()) > MAX_PART_BYTES:
        return f"one of its names is longer than {MAX_PART_BYTES} bytes"
    return ""


def _decoded(text: str) -> str | None:
    """Percent-decoded once, as UTF-8, U+FFFD for a byte that continues nothing; None for bytes that are no text (overlong forms among them)."""
    narrow = _WIDE.sub(lambda match: chr(int(match[1], 16)), text)
    try:
        return unquote_to_bytes(narrow).decode(errors=_LONE)
    except UnicodeError:
        return None


def _stand_in(error: UnicodeError) -> tuple[str, int]:
    """U+FFFD for a byte that continues text where none began. Raises the error for every other one."""
    if isinstance(error, UnicodeDecodeError) and 0x80 <= error.object[error.start] < 0xC0:
        return "\ufffd", error.start + 1
    raise error


_LONE = "noria.lone"
codecs.register_error(_LONE, _stand_in)


def _refused(text: str, cause: str) -> PathRefused:
    shown = ascii(text[:80])[1:-1] if not text[:80].isprintable() else text[:80]
    return PathRefused(f"'{shown}' is no path of a file here", cause=cause)
