"""Bodies as MLflow's protocol writes them: JSON as protobuf would read and write it. What a field means is the nouns' files' business.

Protobuf takes an int64 as number or text, a double as number or text ("NaN", "Infinity"), null for absent, and passes over fields that it does not
know: msgspec's lax mode does the same. It answers int64 as numbers and doubles that JSON cannot write as text. Called by the nouns' files.
"""

import json
import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Generic, TypeVar

import msgspec

from noria.server.mlflow.errors import Refused
from noria.server.mlflow.routing import Request

T = TypeVar("T")

Int64 = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
Identifier = str | int
"""Experiment ids were numbers once; clients may still send one."""
Number = float | str

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MILLISECOND = timedelta(milliseconds=1)
LAST_MS = (datetime.max.replace(tzinfo=UTC) - EPOCH) // MILLISECOND
DOCS = " See the API docs for more information about request parameters."
TOO_DEEP = "Invalid request: it is nested without end."

encode = msgspec.json.Encoder().encode


class Unmet(Exception):
    """A check that a value does not pass; text: what to say instead of the usual 'Invalid value ...'."""

    def __init__(self, text: str = "") -> None:
        self.text = text
        super().__init__(text)


Check = Callable[[Any], None]


def required(value: Any) -> None:
    """It is there and not the empty text."""
    if value is None or value == "":
        raise Unmet


def string(value: Any) -> None:
    """It is a text."""
    if not isinstance(value, str):
        raise Unmet


def intlike(value: Any) -> None:
    """It is an integer, or a text of one."""
    try:
        int(value)
    except (TypeError, ValueError):
        raise Unmet from None


def floatlike(value: Any) -> None:
    """It is a number, or a text of one."""
    try:
        float(value)
    except (TypeError, ValueError):
        raise Unmet from None


def boolean(value: Any) -> None:
    """It is true or false."""
    if not isinstance(value, bool):
        raise Unmet


def array(value: Any) -> None:
    """It is a list."""
    if not isinstance(value, list):
        raise Unmet


def strings(value: Any) -> None:
    """It is a list of texts."""
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise Unmet


TYPES = frozenset({string, intlike, floatlike, boolean, array, strings})


def at_most(limit: int, message: str = "") -> Check:
    """It is a number of at most `limit`."""

    def check(value: Any) -> None:
        if value is not None and int(value) > limit:
            raise Unmet(message)

    return check


class Form(Generic[T]):
    """How one operation's request is read: its fields as a msgspec struct, and the checks of each field in the order in which they are made.

    A body that fits the struct is decoded once and only the checks that are no checks of type are made; one that does not is taken apart to find
    the first field to blame. Raises Refused in MLflow's words.
    """

    def __init__(self, kind: type[T], **checks: tuple[Check, ...]) -> None:
        self._kind = kind
        self._checks = checks
        self._beyond_types = [(name, check) for name, those in checks.items() for check in those if check not in TYPES]
        self._decoder = msgspec.json.Decoder(kind, strict=False)
        self._fields = {field.encode_name: field for field in msgspec.structs.fields(kind)}  # type: ignore[arg-type]
        self._lists = frozenset(name for name, field in self._fields.items() if _is_list(field.type))

    def read(self, request: Request) -> T:
        """The request, from its body, or from its query if it is a GET that has one."""
        if request.method == "GET" and request.query_string:
            raw = self._from_query(request)
            try:
                message = msgspec.convert(raw, self._kind, strict=False)
            except msgspec.ValidationError as error:
                raise self._blame(raw, error) from None
        else:
            check_content_type(request)
            try:
                message = self._decoder.decode(request.body)
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                message = self._second_look(request.body, error)
            except RecursionError:
                raise Refused(TOO_DEEP) from None
        for name, check in self._beyond_types:
            value = getattr(message, name)
            if value is None and check is not required:
                continue
            if value is None and name == "run_id":
                value = getattr(message, "run_uuid", None)
            try:
                check(value)
            except Unmet as unmet:
                raise _refusal(name, value, check=check, text=unmet.text) from None
        return message

    def _from_query(self, request: Request) -> dict[str, Any]:
        raw: dict[str, Any] = {}
        for name, values in request.query.items():
            field = self._fields.get(name)
            if field is None:
                continue
            raw[name] = values if name in self._lists else values[0]
            if _is_bool(field.type) and values[0].lower() not in ("true", "false"):
                raise Refused(f"Invalid boolean value: {values[0]}, must be 'true' or 'false'.")
        return raw

    def _second_look(self, body: bytes, error: Exception) -> T:
        """What did not fit at once: no JSON at all counts as nothing sent, a JSON text may hold JSON (old clients encode twice)."""
        try:
            raw = json.loads(body)  # unlike msgspec it takes a bare NaN, and so does MLflow's server
            if isinstance(raw, str):
                raw = json.loads(raw)
        except ValueError:
            raw = {}
        except RecursionError:
            raise Refused(TOO_DEEP) from None
        if not isinstance(raw, dict):
            raw = {}
        try:
            return msgspec.convert(raw, self._kind, strict=False)
        except msgspec.ValidationError:
            raise self._blame(raw, error) from None

    def _blame(self, raw: dict[str, Any], error: Exception) -> Refused:
        """The refusal for a request that does not fit: the first check that fails, made on the values as they came."""
        for name, those in self._checks.items():
            if name not in raw and required not in those:
                continue
            value = raw.get(name)
            if name == "run_id" and value is None:
                value = raw.get("run_uuid")
            for check in those:
                try:
                    check(value)
                except Unmet as unmet:
                    return _refusal(name, value, check=check, text=unmet.text)
        return Refused(f"Invalid request: {error}.{DOCS}")


def _refusal(name: str, value: Any, *, check: Check, text: str) -> Refused:
    if text:
        return Refused(text + DOCS)
    if check is required:
        return Refused(f"Missing value for required parameter '{name}'.{DOCS}")
    return Refused(invalid(name, value, f" Hint: Value was of type '{type(value).__name__}'.") + DOCS)


def invalid(path: str, value: Any, why: str = "") -> str:
    """MLflow's sentence for a value that will not do.

    >>> invalid("step", "foo")
    'Invalid value "foo" for parameter \\'step\\' supplied.'
    """
    shown = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return f"Invalid value {shown} for parameter '{path}' supplied{': ' + why if why else '.'}"


def check_content_type(request: Request) -> None:
    """A body must say that it is JSON. Raises Refused."""
    if request.method not in ("POST", "PUT"):
        return
    given = request.header("content-type")
    if given == "application/json":
        return
    if given is None:
        raise Refused("Bad Request. Content-Type header is missing.")
    if given.split(";")[0] != "application/json":
        raise Refused("Bad Request. Content-Type must be one of ['application/json'].")


def number(value: float) -> Number:
    """A double as the protocol writes it.

    >>> number(1.5), number(float("nan")), number(float("-inf"))
    (1.5, 'NaN', '-Infinity')
    """
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def to_ms(moment: datetime) -> int:
    """Milliseconds since 1970.

    >>> to_ms(datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC))
    1000
    """
    return (moment - EPOCH) // MILLISECOND


def from_ms(milliseconds: int, path: str = "timestamp") -> datetime:
    """The moment so many milliseconds after 1970. Raises Refused beyond the year 9999."""
    try:
        return EPOCH + timedelta(milliseconds=milliseconds)
    except OverflowError:
        raise Refused(invalid(path, milliseconds, "beyond the calendar's end.")) from None


def microseconds(milliseconds: int, path: str = "timestamp") -> int:
    """A time as the store counts it. Raises Refused beyond the year 9999."""
    if milliseconds > LAST_MS:
        raise Refused(invalid(path, milliseconds, "beyond the calendar's end."))
    return milliseconds * 1000


def _is_list(kind: Any) -> bool:
    return "list" in str(kind)


def _is_bool(kind: Any) -> bool:
    return "bool" in str(kind)
