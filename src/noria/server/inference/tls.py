"""Certificates of the inference port: what Granian is told, checked before it starts, so that a mistake is a sentence and not a panic.

Called by run and run_server.
"""

import ssl
from pathlib import Path
from typing import Any

import msgspec

from noria.errors import SettingInvalid


class Certificates(msgspec.Struct, frozen=True, kw_only=True):
    """cert, key: PEM files; '' for plain HTTP. client_ca: PEM file of who signs clients' certificates; '' asks clients for none."""

    cert: str = ""
    key: str = ""
    client_ca: str = ""

    def __bool__(self) -> bool:
        return bool(self.cert)


def check(certificates: Certificates) -> None:
    """Raises SettingInvalid naming the file that is missing, unreadable or does not fit."""
    if bool(certificates.cert) != bool(certificates.key):
        missing = "--tls-key" if certificates.cert else "--tls-cert"
        raise SettingInvalid(
            "TLS needs a certificate and its key", cause=f"{missing} is missing", remedy=f"add {missing}"
        )
    if certificates.client_ca and not certificates.cert:
        raise SettingInvalid("clients' certificates are asked for over TLS only", remedy="add --tls-cert and --tls-key")
    if not certificates.cert:
        return
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        # A key that wants a password would ask for it on the terminal; an empty one makes it an error.
        context.load_cert_chain(certificates.cert, certificates.key, password="")
    except (OSError, ValueError) as exc:
        raise SettingInvalid(
            f"the certificate {certificates.cert!r} with the key {certificates.key!r} cannot be used",
            cause=str(exc),
            remedy="both are PEM files; the certificate first holds the server's own, then those that signed it; the key has no password",
        ) from exc
    if certificates.client_ca:
        try:
            context.load_verify_locations(certificates.client_ca)
        except OSError as exc:
            raise SettingInvalid(
                f"the authority {certificates.client_ca!r} cannot be used", cause=str(exc), remedy="it is a PEM file"
            ) from exc


def of_server(certificates: Certificates) -> dict[str, Any]:
    """The arguments of Granian's server. TLS 1.2 is the oldest that is spoken."""
    if not certificates:
        return {}
    from granian.constants import SSLProtocols

    told: dict[str, Any] = {
        "ssl_cert": Path(certificates.cert),
        "ssl_key": Path(certificates.key),
        "ssl_protocol_min": SSLProtocols.tls12,
    }
    if certificates.client_ca:
        told |= {"ssl_ca": Path(certificates.client_ca), "ssl_client_verify": True}
    return told


def of_probe(certificates: Certificates) -> ssl.SSLContext | None:
    """How the worker asks itself whether it answers: over TLS, but without judging its own certificate."""
    if not certificates:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
