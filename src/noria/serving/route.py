"""Which variant answers: a pure function of a key and the variants' weights. The same key keeps its variant; no state, no randomness.

Called by server/inference for every request. Judging the variants is verdict.
"""

from collections.abc import Sequence

from blake3 import blake3

from noria.domain.deployment import Variant

STEPS = 1 << 53


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
