"""The calls that a remote adapter makes and a server answers: read off the ports themselves, so that the two cannot drift apart.

Sending is adapters/metadata/remote, answering is server/control/store. Called by both.
"""

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import GenericAlias
from typing import Any, NamedTuple, get_args, get_origin, get_type_hints

import msgspec

from noria import errors
from noria.domain.ids import RunId
from noria.domain.run import Metric, ParamValue, RunBatch
from noria.errors import NoriaError, StoreUnavailable
from noria.wire.metrics import Columns, MetricColumns, columns_of
from noria.wire.nouns import pack, unpack, unpack_request

PROTOCOL = "2"
"""Rises when old clients and new servers could misunderstand each other. Sent as the header 'noria-store'."""
MEDIA_TYPE = "application/vnd.msgpack"
PROJECT_HEADER = "noria-project"
PROTOCOL_HEADER = "noria-store"


class Form(NamedTuple):
    """How a type crosses the wire that is not sent as it is. wire: the type that is; write: makes it; read: gives the noun back."""

    wire: Any
    write: Callable[[Any], Any]
    read: Callable[[Any], Any]


class _Batch(msgspec.Struct, frozen=True, array_like=True):
    """A RunBatch with its points as columns."""

    run_id: RunId
    metrics: Columns
    params: dict[str, ParamValue]
    tags: dict[str, str]


_POINTS = Form(Columns, columns_of, MetricColumns.read)
_FORMS: dict[Any, Form] = {
    Sequence[Metric]: _POINTS,
    list[Metric]: Form(Columns, columns_of, lambda columns: list(MetricColumns.read(columns))),
    RunBatch: Form(
        _Batch,
        lambda batch: _Batch(batch.run_id, columns_of(batch.metrics), batch.params, batch.tags),
        lambda sent: RunBatch(
            run_id=sent.run_id, metrics=MetricColumns.read(sent.metrics), params=sent.params, tags=sent.tags
        ),
    ),
}


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """One method of one port. arguments: a struct type with a field a parameter; result: what it gives; streams: a row at a time.

    given, taken: forms of those arguments and of the result that cross in another form than their own.
    """

    port: str
    verb: str
    arguments: Any
    result: Any
    streams: bool = False
    given: dict[str, Form] = {}
    taken: Form | None = None

    @property
    def name(self) -> str:
        """`port.verb`."""
        return f"{self.port}.{self.verb}"

    def ask(self, arguments: Mapping[str, object]) -> bytes:
        """A call's body. Raises InputInvalid for what cannot be sent."""
        if self.given:
            arguments = {
                name: self.given[name].write(value) if name in self.given else value
                for name, value in arguments.items()
            }
        return pack(arguments)

    def asked(self, body: bytes) -> dict[str, Any]:
        """The arguments of a body that somebody sent. Raises RequestInvalid."""
        sent = unpack_request(body, self.arguments, what=f"call '{self.name}'")
        found = {name: getattr(sent, name) for name in sent.__struct_fields__}
        return {name: self.given[name].read(value) if name in self.given else value for name, value in found.items()}

    def answer(self, result: object) -> bytes:
        """An answer's body."""
        return pack(result if self.taken is None else self.taken.write(result))

    def answered(self, body: bytes) -> Any:
        """The result that an answer's body holds. Raises StoreCorrupt."""
        kind = self.result if self.taken is None else self.taken.wire
        result = unpack(body, kind, what=f"the server's answer to '{self.name}'")
        return result if self.taken is None else self.taken.read(result)


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """An error on its way over HTTP, as JSON."""

    code: str
    problem: str
    cause: str = ""
    remedy: str = ""
    retryable: bool = False


def calls_of(ports: type) -> dict[str, Call]:
    """Every call of a group of ports, by 'port.verb'. ports: a Protocol whose properties give one port each (ports.metadata.Metadata).

    Its own methods are calls of the port `metadata`, but for `close`, which is each side's own business.
    """
    found: list[Call] = []
    for name, member in inspect.getmembers(ports, lambda item: isinstance(item, property)):
        port = get_type_hints(member.fget)["return"]
        found += [_call(name, verb, method) for verb, method in _methods(port)]
    found += [_call("metadata", verb, method) for verb, method in _methods(ports) if verb != "close"]
    return {call.name: call for call in found}


def _methods(port: type) -> list[tuple[str, Any]]:
    return [each for each in inspect.getmembers(port, inspect.isfunction) if not each[0].startswith("_")]


def _call(port: str, verb: str, method: Any) -> Call:
    signature = inspect.signature(method, eval_str=True)
    parameters = list(signature.parameters.values())[1:]
    given = {p.name: _FORMS[p.annotation] for p in parameters if p.annotation in _FORMS}
    fields = []
    for p in parameters:
        kind = given[p.name].wire if p.name in given else p.annotation
        fields.append((p.name, kind) if p.default is p.empty else (p.name, kind, p.default))
    result = signature.return_annotation
    streams = get_origin(result) is Iterator
    return Call(
        port=port,
        verb=verb,
        arguments=msgspec.defstruct(f"{port}_{verb}", fields, frozen=True, kw_only=True),
        result=GenericAlias(list, get_args(result)) if streams else result,
        streams=streams,
        given=given,
        taken=_FORMS.get(result),
    )


def refusal(error: NoriaError) -> Refusal:
    """What goes over the wire of an error.

    >>> raised(refusal(StoreUnavailable("away", remedy="wait"))).headline()
    'StoreUnavailable [noria-3001]: away'
    """
    return Refusal(
        code=error.code, problem=error.problem, cause=error.cause, remedy=error.remedy, retryable=error.retryable
    )


def raised(refused: Refusal) -> NoriaError:
    """The error that a refusal tells of, of the same class; an unknown code becomes the nearest class that says the same of a retry."""
    fallback = StoreUnavailable if refused.retryable else errors.StoreError
    kind = _by_code().get(refused.code, fallback)
    return kind(refused.problem, cause=refused.cause, remedy=refused.remedy)


def _by_code() -> dict[str, type[NoriaError]]:
    found: dict[str, type[NoriaError]] = {}
    waiting = [NoriaError]
    while waiting:
        kind = waiting.pop()
        found.setdefault(kind.code, kind)
        waiting += kind.__subclasses__()
    return found
