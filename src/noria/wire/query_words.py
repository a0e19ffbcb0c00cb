"""The words of a query's text: names, quoted texts, numbers, signs, each with its place. What they mean is query.py.

A walk from left to right over one regular expression for unquoted words and a scan for quoted ones; linear in the text.
"""

import re
from typing import Literal

import msgspec

from noria.wire.query_fields import fault

WordKind = Literal["name", "quoted", "number", "sign", "end"]
MAX_TEXT = 4_000_000

_PLAIN = re.compile(
    r"""(?P<space>\s+)
    |(?P<number>[+-]?(?:(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?|inf(?:inity)?|nan)(?![\w.]))
    |(?P<name>[\w$@#][\w.$@#:/-]*)
    |(?P<sign><=|>=|!=|<>|==|[=<>(),.;])""",
    re.VERBOSE | re.IGNORECASE | re.ASCII,
)
_LETTERS = re.compile(r"[\w$@#][\w.$@#:/-]*")
_QUOTES = "'\"`"


class Word(msgspec.Struct, frozen=True):
    """One word. text: as written; value: without its quotes; place: index of its first character; glued: no space before it."""

    kind: WordKind
    text: str
    value: str
    place: int
    glued: bool = False


def words_of(text: str) -> list[Word]:
    """Cut a text into words, the last one being the end. Raises QueryInvalid for a quote that is never closed and for characters without meaning.

    >>> [word.value for word in words_of("metrics.auc >= .5 and tags.'my team' = \\"it's\\"")]
    ['metrics.auc', '>=', '.5', 'and', 'tags.', 'my team', '=', "it's", '']
    """
    if len(text) > MAX_TEXT:
        raise fault("the query's text is too long", reason="size", cause=f"at most {MAX_TEXT:,} characters")
    found: list[Word] = []
    place, spaced = 0, True
    while place < len(text):
        if text[place] in _QUOTES:
            end, value = _quoted(text, place)
            found.append(Word("quoted", text[place:end], value, place, not spaced))
        else:
            matched = _PLAIN.match(text, place) or _LETTERS.match(text, place)
            if matched is None:
                raise fault(
                    f"nothing can be read at character {place + 1} of the query",
                    reason="syntax",
                    token=text[place],
                    cause=f"it is {text[place]!r}",
                    remedy="put names and texts with such characters into quotes",
                )
            end, group = matched.end(), matched.lastgroup or "name"
            if group == "space":
                place, spaced = end, True
                continue
            kind: WordKind = "number" if group == "number" else "sign" if group == "sign" else "name"
            if kind == "name" and (longer := _LETTERS.match(text, place)):
                end = longer.end()  # letters of every script
            found.append(Word(kind, text[place:end], text[place:end], place, not spaced))
        place, spaced = end, False
    found.append(Word("end", "", "", len(text)))
    return found


def _quoted(text: str, start: int) -> tuple[int, str]:
    """Where a quoted text ends, and what it says. A doubled quote is one quote; so is one after a backslash, outside of backticks, if another follows
    that can close the text (so that 'C:\\' is what it looks like)."""
    quote = text[start]
    pieces: list[str] = []
    since = place = start + 1
    fallback: tuple[int, int, int] | None = None
    while (at := text.find(quote, place)) >= 0:
        if text[at + 1 : at + 2] == quote:
            pieces.append(text[since : at + 1])
            since = place = at + 2
        elif quote != "`" and text[at - 1] == "\\" and at - 1 >= since:
            fallback = (at, since, len(pieces))
            pieces.append(text[since : at - 1] + quote)
            since = place = at + 1
        else:
            return at + 1, "".join(pieces) + text[since:at]
    if fallback is not None:
        at, since, kept = fallback
        return at + 1, "".join(pieces[:kept]) + text[since:at]
    raise fault(
        f"the quote at character {start + 1} of the query is never closed",
        reason="syntax",
        token=text[start:],
        cause=text[start : start + 40],
        remedy=f"close it with {quote}",
    )
