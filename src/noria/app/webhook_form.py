"""How Noria itself words a message to a webhook, and how it is signed (Standard Webhooks). Other forms are the faces' own.
Called by webhooks.py, and by triggers.py for messages that others send here.

Source: github.com/standard-webhooks/standard-webhooks, spec/standard-webhooks.md: headers, what is signed, the prefix of secrets.
"""

import base64
import binascii
import hmac
from datetime import UTC, datetime
from hashlib import sha256

import msgspec

from noria.domain.change import Change, ChangeKind
from noria.ports.metadata import Metadata

PREFIX = "whsec_"


def body(change: Change, metadata: Metadata) -> bytes | None:
    """`{"type", "timestamp", "data": {"seq", "subject", ...}}`: what the feed says, and nothing else."""
    return _message(change)


def example(kind: ChangeKind, at: datetime) -> bytes:
    """The message of a test."""
    return _message(Change(seq=0, at=at, kind=kind, subject="example", detail={"test": "true"}))


def headers(content: bytes, secret: str, *, delivery: str, at: datetime) -> dict[str, str]:
    """Id, time and, if there is a secret, the signature over id, time and body: HMAC-SHA256 as `v1,<base64>`.

    A secret that begins with `whsec_` is base64, any other is taken as its UTF-8 bytes.

    >>> found = headers(b"{}", "s", delivery="7", at=datetime(2026, 1, 1, tzinfo=UTC))
    >>> found["webhook-id"], found["webhook-timestamp"], found["webhook-signature"][:3]
    ('7', '1767225600', 'v1,')
    """
    seconds = str(int(at.timestamp()))
    found = {"content-type": "application/json", "webhook-id": delivery, "webhook-timestamp": seconds}
    if secret:
        found["webhook-signature"] = _signature(content, secret, delivery=delivery, seconds=seconds)
    return found


def is_signed(content: bytes, secret: str, *, delivery: str, seconds: str, signature: str) -> bool:
    """Whether one of the signatures (separated by spaces) is that of this message, compared in constant time. False without id or secret.

    >>> sent = headers(b"{}", "s", delivery="7", at=datetime(2026, 1, 1, tzinfo=UTC))
    >>> is_signed(b"{}", "s", delivery="7", seconds=sent["webhook-timestamp"], signature=sent["webhook-signature"])
    True
    """
    if not delivery or not secret:
        return False
    expected = _signature(content, secret, delivery=delivery, seconds=seconds).encode()
    return any(hmac.compare_digest(each.encode(), expected) for each in signature.split(" "))


def _signature(content: bytes, secret: str, *, delivery: str, seconds: str) -> str:
    digest = hmac.new(_key(secret), f"{delivery}.{seconds}.".encode() + content, sha256).digest()
    return f"v1,{base64.b64encode(digest).decode()}"


def _message(change: Change) -> bytes:
    data = {"seq": change.seq, "subject": change.subject, **change.detail}
    return msgspec.json.encode({"type": change.kind, "timestamp": change.at.astimezone(UTC).isoformat(), "data": data})


def _key(secret: str) -> bytes:
    if secret.startswith(PREFIX):
        try:
            return base64.b64decode(secret[len(PREFIX) :], validate=True)
        except (binascii.Error, ValueError):
            return secret.encode()
    return secret.encode()
