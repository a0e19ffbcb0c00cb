"""Results of steps as bytes and back, the same bytes for the same value, and never by pickle. Keeping them is the blobs port. Called by run.py."""

import importlib
import io
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec

from noria.errors import InputInvalid, StoreCorrupt

MAGIC = b"noria-value-1\n"
_TYPED: dict[str, type] = {t.__name__: t for t in (bytes, datetime, date, time, timedelta, Decimal, UUID)}


@dataclass(frozen=True, kw_only=True)
class Codec:
    """How one kind of value is written. encode must give the same bytes for equal values: their digest is what later steps are found by."""

    name: str
    accepts: Callable[[object], bool]
    encode: Callable[[Any], bytes]
    decode: Callable[[bytes], object]


class Codecs:
    """The codecs of a run: those of the caller first, then the built-in ones for plain values, times, msgspec Structs, numpy arrays, polars
    frames, and tuples, lists and dicts of all these.

    >>> Codecs().decode(Codecs().encode({"rows": 3, "at": (1, 2.5)}))
    {'rows': 3, 'at': (1, 2.5)}
    """

    def __init__(self, extra: Sequence[Codec] = ()) -> None:
        built_in = (_PLAIN, _ONE, _STRUCT, _FRAME, _ARRAY)
        nested = Codec(name="nested", accepts=_is_nested, encode=self._encode_nested, decode=self._decode_nested)
        self._codecs = (*extra, *built_in, nested)
        self._by_name = {c.name: c for c in reversed(self._codecs)}

    def encode(self, value: object) -> bytes:
        """The value as bytes that say which codec wrote them. Raises InputInvalid if no codec takes it."""
        codec = next((c for c in self._codecs if c.accepts(value)), None)
        if codec is None:
            raise InputInvalid(
                f"a {type(value).__module__}.{type(value).__qualname__} cannot be kept",
                cause="no codec takes it, and pickle is not used: loading it would run code",
                remedy="return a frame, an array, a msgspec Struct or plain values, or hand run_pipeline a Codec for it",
            )
        return b"".join((MAGIC, codec.name.encode(), b"\n", codec.encode(value)))

    def decode(self, content: bytes) -> object:
        """The value again. Raises InputInvalid if the codec that wrote it is not here, StoreCorrupt if the bytes are none of ours."""
        if not content.startswith(MAGIC):
            raise StoreCorrupt("stored bytes are no result of a step", cause=f"they begin with {content[:16]!r}")
        end = content.index(b"\n", len(MAGIC))
        name = content[len(MAGIC) : end].decode()
        codec = self._by_name.get(name)
        if codec is None:
            raise InputInvalid(
                f"a stored result was written by codec '{name}', which this run does not have",
                cause=f"it has {', '.join(self._by_name)}",
                remedy="hand the same codecs to run_pipeline as the run that made the result",
            )
        return codec.decode(content[end + 1 :])

    def _encode_nested(self, value: object) -> bytes:
        if isinstance(value, dict):
            kind, items = "dict", [part for pair in value.items() for part in pair]
        else:
            assert isinstance(value, tuple | list)
            kind, items = type(value).__name__, list(value)
        return msgspec.msgpack.encode((kind, [self.encode(item) for item in items]))

    def _decode_nested(self, content: bytes) -> object:
        kind, parts = msgspec.msgpack.decode(content, type=tuple[str, list[bytes]])
        items = [self.decode(part) for part in parts]
        if kind == "dict":
            return dict(zip(items[::2], items[1::2], strict=True))
        return tuple(items) if kind == "tuple" else items


def _is_plain(value: object) -> bool:
    """What MessagePack keeps exactly: None, bool, 64-bit int, float, str, and lists and str-keyed dicts of them (no tuples: they become lists)."""
    kind = type(value)
    if kind is int:
        return -(2**63) <= value < 2**64  # type: ignore[operator]  # mypy does not narrow by type()
    if kind in (str, float, bool) or value is None:
        return True
    if isinstance(value, list) and kind is list:
        return all(_is_plain(v) for v in value)
    return isinstance(value, dict) and kind is dict and all(type(k) is str and _is_plain(v) for k, v in value.items())


def _is_nested(value: object) -> bool:
    return type(value) in (dict, list, tuple)


def _encode_one(value: object) -> bytes:
    return msgspec.msgpack.encode((type(value).__name__, value))


def _decode_one(content: bytes) -> object:
    name, raw = msgspec.msgpack.decode(content, type=tuple[str, msgspec.Raw])
    return msgspec.msgpack.decode(raw, type=_TYPED[name])


def _encode_struct(value: object) -> bytes:
    kind = type(value)
    if "<" in kind.__qualname__:
        raise InputInvalid(
            f"{kind.__qualname__} is defined inside a function",
            remedy="define it at the top of a module, where it can be found again",
        )
    try:
        return msgspec.msgpack.encode((kind.__module__, kind.__qualname__, value), order="deterministic")
    except TypeError as error:
        raise InputInvalid(
            f"a {kind.__qualname__} cannot be kept",
            cause=str(error),
            remedy="return its frames and arrays beside it, in a dict or a tuple, or hand run_pipeline a Codec for it",
        ) from error


def _decode_struct(content: bytes) -> object:
    module, name, raw = msgspec.msgpack.decode(content, type=tuple[str, str, msgspec.Raw])
    found: Any = importlib.import_module(module)
    for part in name.split("."):
        found = getattr(found, part, None)
    if not (isinstance(found, type) and issubclass(found, msgspec.Struct)):
        raise StoreCorrupt(
            f"'{module}.{name}' is no Struct any more", remedy="run the step that made it again (it changed)"
        )
    try:
        return msgspec.msgpack.decode(raw, type=found)
    except msgspec.ValidationError as error:
        raise StoreCorrupt(f"a stored {name} does not fit its type any more", cause=str(error)) from error


def _is_of(module: str, kind: str) -> Callable[[object], bool]:
    """Ask a library only if it is loaded: if it is not, no value can be of its types."""

    def accepts(value: object) -> bool:
        loaded = sys.modules.get(module)
        return loaded is not None and type(value) is getattr(loaded, kind)

    return accepts


def _encode_frame(frame: Any) -> bytes:
    import polars as pl

    odd = [name for name, kind in frame.schema.items() if kind == pl.Object]
    if odd or not frame.width:
        raise InputInvalid(
            "a frame cannot be kept",
            cause=f"columns {', '.join(odd)} hold Python objects" if odd else "it has no columns",
            remedy="return a frame of plain columns",
        )
    # Parquet, because it does not store what lies under a null: equal frames give equal bytes however they were made.
    packed = io.BytesIO()
    frame.rechunk().write_parquet(packed, compression="lz4", row_group_size=1 << 17)
    return packed.getvalue()


def _decode_frame(content: bytes) -> object:
    import polars as pl

    return pl.read_parquet(io.BytesIO(content))


def _encode_array(array: Any) -> bytes:
    import numpy as np

    packed = io.BytesIO()
    try:
        np.lib.format.write_array(packed, np.ascontiguousarray(array) if array.ndim else array, allow_pickle=False)
    except ValueError as error:
        raise InputInvalid(
            f"an array of {array.dtype} cannot be kept",
            cause=str(error),
            remedy="use an array of numbers or of fixed-width text",
        ) from error
    return packed.getvalue()


def _decode_array(content: bytes) -> object:
    import numpy as np

    return np.lib.format.read_array(io.BytesIO(content), allow_pickle=False)


_PLAIN = Codec(name="plain", accepts=_is_plain, encode=msgspec.msgpack.encode, decode=msgspec.msgpack.decode)
_ONE = Codec(name="one", accepts=lambda v: type(v) in _TYPED.values(), encode=_encode_one, decode=_decode_one)
_STRUCT = Codec(
    name="struct", accepts=lambda v: isinstance(v, msgspec.Struct), encode=_encode_struct, decode=_decode_struct
)
_FRAME = Codec(name="polars", accepts=_is_of("polars", "DataFrame"), encode=_encode_frame, decode=_decode_frame)
_ARRAY = Codec(name="numpy", accepts=_is_of("numpy", "ndarray"), encode=_encode_array, decode=_decode_array)
