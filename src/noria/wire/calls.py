"""The calls that a remote adapter makes and a server answers: read off the ports themselves, so that the two cannot drift apart.

Sending is adapters/metadata/remote, answering is server/control/store. Called by both.
"""

import inspect
from collections.abc import Iterator
from types import GenericAlias
from typing import Any, get_args, get_origin, get_type_hints

import msgspec

from noria import errors
from noria.errors import NoriaError, StoreUnavailable

PROTOCOL = "1"
"""Rises when old clients and new servers could misunderstand each other. Sent as the header 'noria-store'."""
MEDIA_TYPE = "application/vnd.msgpack"
PROJECT_HEADER = "noria-project"
PROTOCOL_HEADER = "noria-store"


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """One method of one port. arguments: a struct type with a field a parameter; result: what it gives; streams: a row at a time."""

    port: str
    verb: str
    arguments: Any
    result: Any
    streams: bool = False


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """An error on its way over HTTP, as JSON."""

    code: str
    problem: str
    cause: str = ""
    remedy: str = ""
    retryable: bool = False


def calls_of(ports: type) -> dict[str, Call]:
    """Every call of a group of ports, by 'port.verb'. ports: a Protocol whose properties give one port each (ports.metadata.Metadata)."""
    found: dict[str, Call] = {}
    for name, member in inspect.getmembers(ports, lambda item: isinstance(item, property)):
        port = get_type_hints(member.fget)["return"]
        for verb, method in inspect.getmembers(port, inspect.isfunction):
            if not verb.startswith("_"):
                found[f"{name}.{verb}"] = _call(name, verb, method)
    return found


def _call(port: str, verb: str, method: Any) -> Call:
    signature = inspect.signature(method, eval_str=True)
    fields = [
        (p.name, p.annotation) if p.default is p.empty else (p.name, p.annotation, p.default)
        for p in list(signature.parameters.values())[1:]
    ]
    result = signature.return_annotation
    streams = get_origin(result) is Iterator
    return Call(
        port=port,
        verb=verb,
        arguments=msgspec.defstruct(f"{port}_{verb}", fields, frozen=True, kw_only=True),
        result=GenericAlias(list, get_args(result)) if streams else result,
        streams=streams,
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
