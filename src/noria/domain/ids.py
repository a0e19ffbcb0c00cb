"""Identifiers and digests as types. Pure. Making random ids is the caller's business; deriving them from a cause is done here."""

import secrets
from typing import NewType

from blake3 import blake3

ProjectName = NewType("ProjectName", str)
RunId = NewType("RunId", str)
EventId = NewType("EventId", str)
AlertId = NewType("AlertId", str)
RolloutId = NewType("RolloutId", str)
PredictionId = NewType("PredictionId", str)
ExperimentId = NewType("ExperimentId", str)
TrainedModelId = NewType("TrainedModelId", str)
WebhookId = NewType("WebhookId", str)
Digest = NewType("Digest", str)
"""`blake3:` and 64 hexadecimal characters: the address of content (ADR 6)."""


def digest_of(content: bytes) -> Digest:
    """Address bytes by their BLAKE3 digest.

    >>> digest_of(b"")[:20]
    'blake3:af1349b9f5f9a'
    """
    return Digest("blake3:" + blake3(content).hexdigest())


def derive(*parts: str) -> str:
    """Give the same 32-character id for the same parts, so that an effect repeated after a crash meets itself.

    The parts are joined with a separator that cannot occur in them by accident (0x1f, the unit separator).

    >>> derive("a", "bc") == derive("a", "bc"), derive("a", "bc") == derive("ab", "c")
    (True, False)
    """
    return blake3("\x1f".join(parts).encode()).hexdigest()[:32]


def fresh() -> str:
    """Give a new random 32-character id, for things that no event caused."""
    return secrets.token_hex(16)
