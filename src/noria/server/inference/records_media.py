"""Content types and Accept headers: which form a body has, and which form the answer shall have. Called by the codecs that know several forms."""

from collections.abc import Mapping, Sequence

from noria.errors import AnswerNotAcceptable, MediaTypeUnsupported

JSON_TYPE = "application/json"
CSV_TYPE = "text/csv"
LINES_TYPE = "application/jsonlines"
STREAM_TYPE = "application/vnd.apache.arrow.stream"
FILE_TYPE = "application/vnd.apache.arrow.file"
PARQUET_TYPE = "application/vnd.apache.parquet"
OTHER_NAMES: Mapping[str, str] = {
    "application/csv": CSV_TYPE,
    "application/x-jsonlines": LINES_TYPE,
    "application/jsonl": LINES_TYPE,
    "application/x-ndjson": LINES_TYPE,
    "application/x-parquet": PARQUET_TYPE,
}


def media_type(header: str | None, *, only_charset: bool = True) -> str:
    """The type of a body, '' if nothing was said. only_charset: any other parameter is refused, as MLflow's server does.

    Raises MediaTypeUnsupported for a charset that is not UTF-8.

    >>> media_type("Text/CSV; charset=UTF-8")
    'text/csv'
    """
    if header is None or header == JSON_TYPE:
        return header or ""
    kind, _, rest = header.partition(";")
    for parameter in filter(None, map(str.strip, rest.split(";"))):
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "charset":
            if value.strip().strip('"').lower() not in ("utf-8", "utf8"):
                raise MediaTypeUnsupported(f"charset {value[:40]!r} is not read", cause="bodies are UTF-8")
        elif only_charset:
            raise MediaTypeUnsupported(
                f"content type parameter {name[:40]!r} is not known", remedy="leave it out; charset=utf-8 may be said"
            )
    return kind.strip().lower()


def unsupported(kind: str, known: Sequence[str]) -> MediaTypeUnsupported:
    """The error for a body of this type."""
    return MediaTypeUnsupported(
        f"content type {kind[:80]!r} is not read here",
        cause=f"read here: {', '.join(known)}",
        remedy=f"send {known[0]}",
    )


def preferred(accept: str | None, offered: Sequence[str], *, otherwise: str) -> str:
    """What an Accept header wants most of what is offered; `otherwise` if it does not care. Raises AnswerNotAcceptable.

    >>> preferred("text/csv;q=0.5, application/x-ndjson", [JSON_TYPE, CSV_TYPE, LINES_TYPE], otherwise=JSON_TYPE)
    'application/jsonlines'
    """
    if accept is None or not accept.strip() or accept == "*/*":
        return otherwise
    best, found = 0.0, ""
    for part in accept.split(","):
        kind, _, rest = part.partition(";")
        kind = kind.strip().lower()
        weight = _weight(rest)
        chosen = OTHER_NAMES.get(kind, kind)
        if kind in ("*/*", "*"):
            chosen = otherwise
        elif kind.endswith("/*"):
            chosen = next((o for o in (otherwise, *offered) if o.startswith(kind[:-1])), "")
        if weight > best and chosen in offered:
            best, found = weight, chosen
    if not found:
        raise AnswerNotAcceptable(
            f"an answer as {accept[:80]!r} cannot be given", cause=f"given here: {', '.join(offered)}"
        )
    return found


def _weight(parameters: str) -> float:
    for parameter in parameters.split(";"):
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "q":
            try:
                return max(0.0, min(1.0, float(value)))
            except ValueError:
                return 0.0
    return 1.0
