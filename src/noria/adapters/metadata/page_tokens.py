"""Where a page ended: the sort keys of its last thing, as an opaque text for URLs. Made and read by matching.py and sql/search.

A token carries a digest of its query, so that it cannot be used with another one. It is no secret and is trusted in nothing but its place.
"""

import math
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as NotBase64

import msgspec
from blake3 import blake3

from noria.domain.query import Query
from noria.errors import QueryInvalid
from noria.wire.nouns import fingerprint
from noria.wire.query_fields import FieldType, Kind, fault, type_of

Rank = tuple[int, float | int | str | None]
"""A thing's place by one field: 0 and its value; 1 and None for NaN (a param that is no number: 1 and its text); 2 and None without a value."""


class Place(msgspec.Struct, frozen=True, array_like=True):
    """Where a thing stands in an order. newest: the moment by which ties are broken, in microseconds. id: what breaks the last ones."""

    ranks: tuple[Rank, ...]
    newest: int
    id: tuple[str | int, ...]


class _Token(msgspec.Struct, frozen=True, array_like=True):
    query: bytes
    place: Place


IDS: dict[Kind, tuple[type, ...]] = {
    "runs": (str,),
    "experiments": (int,),
    "trained": (str,),
    "versions": (str, int),
    "models": (str,),
}
"""What an id is made of."""
_DECODER = msgspec.msgpack.Decoder(_Token)


def written(place: Place, query: Query, kind: Kind) -> str:
    """The token of the page that ends here."""
    return urlsafe_b64encode(msgspec.msgpack.encode(_Token(_digest(query, kind), place))).rstrip(b"=").decode()


def read(query: Query, kind: Kind) -> Place:
    """The place after which the query's page begins. Raises QueryInvalid for what is no token, or another query's."""
    try:
        token = _DECODER.decode(urlsafe_b64decode(query.after + "=" * (-len(query.after) % 4)))
    except (NotBase64, ValueError, UnicodeError, msgspec.MsgspecError) as error:
        raise _refused("it was not made by this server", token=query.after) from error
    if token.query != _digest(query, kind):
        raise _refused("it belongs to a query with another filter, order or scope", token=query.after)
    place = token.place
    types = [type_of(order.field, kind) for order in query.order]
    ranked = len(types) == len(place.ranks) and all(map(_fits, place.ranks, types))
    if not ranked or tuple(map(type, place.id)) != IDS[kind] or not all(map(_is_kept, (place.newest, *place.id))):
        raise _refused("it does not fit the order", token=query.after)
    return place


def _refused(cause: str, *, token: str) -> QueryInvalid:
    return fault(
        "the page token cannot be used",
        reason="page",
        token=token,
        cause=cause,
        remedy="ask for the first page again, without a token",
    )


def _digest(query: Query, kind: Kind) -> bytes:
    asked = (kind, query.where, query.order, query.experiments, query.life)
    return blake3(fingerprint(asked)).digest(12)


def _fits(rank: Rank, kind_of_value: FieldType) -> bool:
    stage, value = rank
    if stage == 2 or (stage == 1 and kind_of_value != "param"):
        return value is None
    textual = stage == 1 or kind_of_value == "text"
    return stage in (0, 1) and isinstance(value, str if textual else int | float) and _is_kept(value)


def _is_kept(value: str | int | float) -> bool:
    """Whether a store could hold a value: no zero character, 64 bits, no NaN where numbers are sorted."""
    if isinstance(value, str):
        return "\0" not in value
    return not math.isnan(value) and (isinstance(value, float) or -(2**63) <= value < 2**63)
