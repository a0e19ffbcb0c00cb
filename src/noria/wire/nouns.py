"""Bytes to nouns and back, by msgspec: MessagePack inside a store and between Noria's own processes, JSON for people and other programs.

MessagePack because JSON cannot say NaN, infinity or bytes. Canonical JSON is canonical.py. Called by adapters and servers.
"""

from collections.abc import Hashable
from functools import lru_cache
from typing import Any, TypeVar, cast

import msgspec

from noria.errors import InputInvalid, RequestInvalid, StoreCorrupt
from noria.wire.canonical import canonical

T = TypeVar("T")

_packer = msgspec.msgpack.Encoder()
_sorter = msgspec.msgpack.Encoder(order="deterministic")


def pack(value: object) -> bytes:
    """Write a noun as MessagePack, dicts in their own order. Raises InputInvalid for integers beyond 64 bits and text with lone surrogates.

    >>> unpack(pack({"auc": float("inf")}), dict[str, float], what="metrics")
    {'auc': inf}
    """
    return _encode(_packer, value)


def fingerprint(value: object) -> bytes:
    """Bytes that are the same for two nouns that say the same: the order of dicts does not count, 1, 1.0 and True differ, NaN is itself.

    >>> fingerprint({"a": 1, "b": 2}) == fingerprint({"b": 2, "a": 1}), fingerprint(1) == fingerprint(1.0)
    (True, False)
    """
    return _encode(_sorter, value)


def _encode(encoder: msgspec.msgpack.Encoder, value: object) -> bytes:
    try:
        return encoder.encode(value)
    except (OverflowError, RecursionError, TypeError, UnicodeEncodeError) as error:
        raise InputInvalid("a value cannot be stored", cause=str(error)) from error


def unpack(data: bytes, kind: type[T], *, what: str) -> T:
    """Read a noun that `pack` wrote. `what` names it for the reader. Raises StoreCorrupt, naming the field."""
    try:
        return cast(T, _unpacker(cast(Hashable, kind)).decode(data))
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise _corrupt(what, error) from error


def unpack_request(data: bytes, kind: type[T], *, what: str) -> T:
    """Read a noun that somebody sent. Raises RequestInvalid, naming the field."""
    try:
        return cast(T, _unpacker(cast(Hashable, kind)).decode(data))
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise RequestInvalid(f"{what} cannot be read", cause=str(error)) from error


def to_json(value: object) -> bytes:
    """Write a noun as canonical JSON (RFC 8785). Raises InputInvalid for NaN and infinities."""
    return canonical(value)


def from_json(data: bytes, kind: type[T], *, what: str) -> T:
    """Read a noun that stands stored as JSON. Raises StoreCorrupt, naming the field.

    >>> from noria.domain.run import Metric
    >>> from_json(b'{"key":"auc","value":"high","at":"2013-03-01T00:00:00Z"}', Metric, what="a metric")
    Traceback (most recent call last):
    noria.errors.StoreCorrupt: a metric cannot be read
      cause:  Expected `float`, got `str` - at `$.value`
      remedy: noria doctor
    """
    try:
        return cast(T, _reader(cast(Hashable, kind)).decode(data))
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise _corrupt(what, error) from error


def from_json_input(data: bytes, kind: type[T], *, what: str) -> T:
    """Read a noun that somebody handed in as JSON. Raises InputInvalid, naming the field."""
    try:
        return cast(T, _reader(cast(Hashable, kind)).decode(data))
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise InputInvalid(f"{what} cannot be read", cause=str(error)) from error


def _corrupt(what: str, error: Exception) -> StoreCorrupt:
    return StoreCorrupt(f"{what} cannot be read", cause=str(error))


@lru_cache(maxsize=256)
def _unpacker(kind: Any) -> msgspec.msgpack.Decoder[Any]:
    return msgspec.msgpack.Decoder(kind)


@lru_cache(maxsize=256)
def _reader(kind: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(kind)
