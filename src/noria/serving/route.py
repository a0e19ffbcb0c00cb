"""Which variant answers: a pure function of a key and the variants' weights. The same key keeps its variant; no state, no randomness.

Called by server/inference for every request. Judging the variants is verdict.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Literal

from blake3 import blake3

from noria.domain.deployment import Variant

STEPS = 1 << 53
Held = Literal["request", "key", "header", "input"]
"""What keeps a caller with its variant: nothing, the first row's business key, a header, or the first row's value of an input."""


def position(key: str, *, salt: str = "") -> float:
    """Where a key stands in [0, 1): uniform over keys, independent between salts (one salt a rollout, so that no user is always the first to try).

    >>> position("user-1", salt="r1") == position("user-1", salt="r1"), position("user-1", salt="r1") == position("user-1", salt="r2")
    (True, False)
    """
    return (int.from_bytes(blake3(f"{salt}\x1f{key}".encode()).digest(8), "big") >> 11) / STEPS


def pick(variants: Sequence[Variant], place: float) -> int:
    """Index of the variant at a place in [0, 1). Challengers lie at the low end, so raising a weight keeps everybody who had the challenger.

    Of places spread evenly each challenger gets exactly its weight and the champion the rest; weights need not sum to 1 to the last bit.
    Without a champion the last variant takes the rest. Raises IndexError for no variants at all.

    >>> from noria.domain.ids import Digest
    >>> def variant(name, weight):
    ...     return Variant(name=name, model="m", number=1, version="1.0.0", bundle=Digest(""), weight=weight)
    >>> two = [variant("champion", 0.8), variant("challenger", 0.2)]
    >>> [pick(two, place) for place in (0.0, 0.19, 0.2, 0.99)]
    [1, 1, 0, 0]
    """
    if not variants:
        raise IndexError("no variant to pick from")
    champion = next((i for i, variant in enumerate(variants) if variant.name == "champion"), len(variants) - 1)
    edge = 0.0
    for index, variant in enumerate(variants):
        if index != champion:
            edge += variant.weight
            if place < edge:
                return index
    return champion


@lru_cache(maxsize=256)
def sticky_of(sticky_by: str) -> tuple[Held, str]:
    """What `sticky_by` of a deployment says, and of which header (in small letters) or input.

    `key`, and an input's name without `input:`, are how deployments of before said it.

    >>> [sticky_of(text) for text in ("request", "header:X-User", "input:origin", "key", "origin")]
    [('request', ''), ('header', 'x-user'), ('input', 'origin'), ('key', ''), ('input', 'origin')]
    """
    if sticky_by == "request":
        return "request", ""
    if sticky_by == "key":
        return "key", ""
    if sticky_by.startswith("header:"):
        return "header", sticky_by.removeprefix("header:").lower()
    return "input", sticky_by.removeprefix("input:")


def chances(variants: Sequence[Variant], *, loaded: Sequence[str]) -> dict[str, float]:
    """The chance with which a request is given to each of these variants that are loaded; the champion has what the others leave.

    >>> from noria.domain.ids import Digest
    >>> three = [
    ...     Variant(name=n, model="m", number=1, version="1.0.0", bundle=Digest(""), weight=w)
    ...     for n, w in (("champion", 0.5), ("b", 0.25), ("c", 0.25))
    ... ]
    >>> chances(three, loaded=["champion", "b"])
    {'champion': 0.75, 'b': 0.25}
    """
    rest = next((v.name for v in variants if v.name == "champion"), variants[-1].name if variants else "")
    found = {v.name: v.weight for v in variants if v.name in loaded and v.name != rest}
    return {rest: max(0.0, 1.0 - sum(found.values())), **found}
