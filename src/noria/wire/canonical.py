"""Canonical JSON (RFC 8785): the same noun always gives the same bytes, so that a digest over them means something.

Reading bytes back is nouns.py; chaining them is chain.py. Called by chain.py, and by whoever addresses a noun by its digest.
"""

import math
from collections.abc import Callable
from json.encoder import encode_basestring

import msgspec

from noria.errors import InputInvalid

LARGEST_INTEGER = 2**53 - 1
"""Above this, JSON readers in other languages round: RFC 8785 refers to I-JSON (RFC 7493, 2.2), and so refuses."""

_text: Callable[[str], str] = encode_basestring


def canonical(value: object) -> bytes:
    """Write a noun, or plain dicts, lists and scalars, in the canonical form of RFC 8785: sorted keys, no spaces, numbers as ECMAScript writes them.

    Datetimes become RFC 3339 text, as msgspec writes them. Raises InputInvalid, with the place, for what JSON cannot say: NaN, infinities, integers
    beyond 2**53 - 1, text with lone surrogates.
    Source: RFC 8785; checked against its appendix B and against a JavaScript engine (tests/wire/test_canonical.py).

    >>> canonical({"b": 1e21, "a": [1.0, "é\\n", None]})
    b'{"a":[1,"\\xc3\\xa9\\\\n",null],"b":1e+21}'
    """
    return canonical_text(value).encode()


def canonical_text(value: object) -> str:
    """The same as `canonical`, before UTF-8; surrogates are refused here already."""
    try:
        plain = msgspec.to_builtins(value, str_keys=True)
    except (TypeError, UnicodeEncodeError) as error:
        raise InputInvalid("a value has no canonical form", cause=str(error)) from error
    parts: list[str] = []
    try:
        _write(plain, parts)
        text = "".join(parts)
        text.encode()
    except ValueError as error:
        place, reason = _first_fault(plain, "$") or ("$", str(error))
        raise InputInvalid(
            f"the value at '{place}' has no canonical form",
            cause=reason,
            remedy="leave the field out, or write what happened as text",
        ) from error
    return text


def number(value: float) -> str:
    """One double as ECMAScript's Number::toString writes it: the shortest digits that read back the same, exponents from 1e+21 and 1e-7 on.

    Raises ValueError for NaN and infinities.

    >>> number(1.0), number(1e-6), number(1e-7), number(123456789012345680000.0)
    ('1', '0.000001', '1e-7', '123456789012345680000')
    """
    if not math.isfinite(value):
        raise ValueError(f"{value} is no number of JSON")
    if value == 0:
        return "0"  # -0 as well
    shortest = repr(value)
    if "e" not in shortest:  # Python's plain range, 1e-4 to 1e16, lies inside ECMAScript's
        return shortest.removesuffix(".0")
    return _spelled_out(shortest)


def _spelled_out(shortest: str) -> str:
    """Python's 'd.ddde±xx' in ECMAScript's spelling."""
    mantissa, _, exponent = shortest.partition("e")
    sign = "-" if mantissa.startswith("-") else ""
    whole, _, fraction = mantissa.lstrip("-").partition(".")
    digits = (whole + fraction).rstrip("0") or "0"
    point = int(exponent) + 1  # the decimal point stands after this many digits
    if len(digits) <= point <= 21:
        return sign + digits + "0" * (point - len(digits))
    if 0 < point <= 21:
        return f"{sign}{digits[:point]}.{digits[point:]}"
    if -6 < point <= 0:
        return f"{sign}0.{'0' * -point}{digits}"
    tail = f".{digits[1:]}" if len(digits) > 1 else ""
    return f"{sign}{digits[0]}{tail}e{'+' if point > 0 else '-'}{abs(point - 1)}"


def _write(value: object, parts: list[str]) -> None:
    match value:
        case None:
            parts.append("null")
        case bool():
            parts.append("true" if value else "false")
        case str():
            parts.append(_text(value))
        case int():
            if abs(value) > LARGEST_INTEGER:
                raise ValueError(f"{value} is beyond 2**53 - 1")
            parts.append(str(value))
        case float():
            parts.append(number(value))
        case dict():
            mark = "{"
            for key in _in_order(value):
                parts.append(f"{mark}{_text(key)}:")
                _write(value[key], parts)
                mark = ","
            parts.append("{}" if mark == "{" else "}")
        case list() | tuple():
            mark = "["
            for item in value:
                parts.append(mark)
                _write(item, parts)
                mark = ","
            parts.append("[]" if mark == "[" else "]")
        case _:
            raise ValueError(f"a {type(value).__name__} is no value of JSON")


def _in_order(value: dict[str, object]) -> list[str]:
    """Keys by their UTF-16 code units (RFC 8785, 3.2.3), which is their plain order as long as they are ASCII."""
    if all(map(str.isascii, value)):
        return sorted(value)
    return sorted(value, key=lambda key: key.encode("utf-16-be"))


def _first_fault(value: object, place: str) -> tuple[str, str] | None:
    """Where the first value stands that cannot be written, and why. Walked only after a failure."""
    match value:
        case dict():
            items = [(item, f"{place}.{key}") for key, item in value.items()]
            items += [(key, f"{place}, a key") for key in value]
        case list() | tuple():
            items = [(item, f"{place}[{index}]") for index, item in enumerate(value)]
        case _:
            try:
                alone: list[str] = []
                _write(value, alone)
                alone[0].encode()
            except ValueError as error:
                return place, str(error)
            return None
    return next((fault for item, where in items if (fault := _first_fault(item, where))), None)
