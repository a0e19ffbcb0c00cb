"""HTTP requests to addresses that somebody else has given: never to this machine's own network unless that is allowed, never further than asked.

The host is resolved once, every address is checked, and the connection goes to a checked address: a name that answers differently the second time
changes nothing. Redirects are not followed, proxies not asked, answers not read beyond their first bytes. Called by webhooks.py.
"""

import base64
import contextlib
import http.client
import ipaddress
import socket
import ssl
from collections.abc import Iterator, Mapping, Sequence
from threading import Event, Timer
from urllib.parse import SplitResult, unquote, urlsplit

import msgspec

from noria.errors import SettingInvalid, StoreUnavailable

DEADLINE_S = 10.0
"""For the whole exchange: a receiver that drips its answer is cut off."""
READ_BYTES = 2048
Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_INSIDE = (
    ipaddress.ip_network("64:ff9b::/96"),
    ipaddress.ip_network("64:ff9b:1::/48"),
    ipaddress.ip_network("2002::/16"),
    ipaddress.ip_network("2001::/32"),
)
"""IPv6 networks whose addresses lead to an IPv4 address that they carry inside (NAT64, 6to4, Teredo): not looked into, refused."""


class Allowance(msgspec.Struct, frozen=True, kw_only=True):
    """What is allowed beyond https to public addresses."""

    http: bool = False
    private: bool = False


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What a receiver said: status, the beginning of its body, and how many seconds it asks to wait before the next try."""

    status: int
    body: str
    retry_after_s: float | None = None

    @property
    def is_taken(self) -> bool:
        """Whether the message was taken."""
        return 200 <= self.status < 300


def post(
    url: str, body: bytes, headers: Mapping[str, str], *, allowed: Allowance, deadline_s: float = DEADLINE_S
) -> Answer:
    """Send one request. Raises SettingInvalid for an address that may not be asked, StoreUnavailable when there is no answer.

    Errors name the host, never the rest of the URL, which may hold a secret.
    """
    target = checked_url(url, allowed=allowed)
    host, port = str(target.hostname), target.port or (443 if target.scheme == "https" else 80)
    kind = _Secure if target.scheme == "https" else _Plain
    connection = kind(host, port, addresses=_resolve(host, port, allowed=allowed), timeout=deadline_s)
    try:
        with _cut_after(connection, deadline_s):
            path = (target.path or "/") + (f"?{target.query}" if target.query else "")
            connection.request("POST", path, body=body, headers={**headers, **_authorization(target)})
            response = connection.getresponse()
            text = response.read(READ_BYTES).decode("utf-8", "replace")
        return Answer(
            status=response.status, body=text, retry_after_s=_seconds(response.headers.get("retry-after", ""))
        )
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise StoreUnavailable(
            f"'{host}' does not answer", cause=f"{type(error).__name__}: {error}", remedy="it is tried again later"
        ) from error
    finally:
        connection.close()


def checked_url(url: str, *, allowed: Allowance) -> SplitResult:
    """A URL that may be asked, as far as can be seen without resolving its host. Raises SettingInvalid."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        raise SettingInvalid("the address is no URL", cause=str(error), remedy="use https://host/path") from error
    if not url.isascii() or not url.isprintable() or " " in url or not parts.hostname:
        raise SettingInvalid("the address is no URL", remedy="use https://host/path")
    if parts.scheme != "https" and not (parts.scheme == "http" and allowed.http):
        raise SettingInvalid(
            f"messages to '{parts.hostname}' would not be sent by https",
            cause=f"its address begins with '{parts.scheme}:'",
            remedy="use https://; for http set allow_http = true in noria.toml, [webhooks]",
        )
    return parts


def is_public(address: Address) -> bool:
    """Whether an address is one of the internet: not private, loopback, link-local, multicast, reserved, nor one that hides such a one.

    >>> is_public(ipaddress.ip_address("10.0.0.1")), is_public(ipaddress.ip_address("::ffff:127.0.0.1"))
    (False, False)
    >>> is_public(ipaddress.ip_address("9.9.9.9"))
    True
    """
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return is_public(address.ipv4_mapped)
        if any(address in network for network in _INSIDE) or address.is_site_local:
            return False
    return address.is_global and not (address.is_multicast or address.is_reserved or address.is_unspecified)


def _resolve(host: str, port: int, *, allowed: Allowance) -> list[str]:
    """The addresses of the host; all of them were checked."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise StoreUnavailable(
            f"'{host}' cannot be resolved", cause=str(error), remedy="correct the address, or wait until it is known"
        ) from error
    addresses = [str(entry[4][0]) for entry in found]
    hidden = [address for address in addresses if not _may_be_asked(address, allowed=allowed)]
    if hidden:
        raise SettingInvalid(
            f"'{host}' leads into a private network",
            cause=f"its address {hidden[0]} is not one of the internet",
            remedy="use a public address; for others set allow_private = true in noria.toml, [webhooks]",
        )
    return list(dict.fromkeys(addresses))


def _may_be_asked(text: str, *, allowed: Allowance) -> bool:
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return False
    return allowed.private or is_public(address)


_TRUST = ssl.create_default_context()


class _Plain(http.client.HTTPConnection):
    """To addresses that were checked, whatever the host's name leads to by now."""

    def __init__(self, host: str, port: int, *, addresses: Sequence[str], timeout: float) -> None:
        super().__init__(host, port, timeout=timeout)
        self._addresses = addresses

    def connect(self) -> None:
        """Open the socket to the first address that answers."""
        for address in self._addresses[:-1]:
            with contextlib.suppress(OSError):
                self.sock = socket.create_connection((address, self.port), self.timeout)
                return
        self.sock = socket.create_connection((self._addresses[-1], self.port), self.timeout)


class _Secure(_Plain):
    """The same by TLS; the certificate must be the host's."""

    default_port = 443

    def connect(self) -> None:
        """Open the socket and shake hands."""
        super().connect()
        # The handshake comes after the assignment, so that the deadline can cut it short as well.
        secured = _TRUST.wrap_socket(self.sock, server_hostname=self.host, do_handshake_on_connect=False)
        self.sock = secured
        secured.do_handshake()


@contextlib.contextmanager
def _cut_after(connection: http.client.HTTPConnection, deadline_s: float) -> Iterator[None]:
    """Shut the socket when the time is over, wherever the exchange stands. Each read's own timeout would begin anew with every byte.

    Raises TimeoutError: half an answer, cut off, would look like a short one.
    """
    over = Event()

    def cut() -> None:
        over.set()
        if connection.sock is not None:
            with contextlib.suppress(OSError):
                connection.sock.shutdown(socket.SHUT_RDWR)

    timer = Timer(deadline_s, cut)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
    if over.is_set():
        raise TimeoutError(f"no whole answer within {deadline_s:g} s")


def _authorization(target: SplitResult) -> dict[str, str]:
    if not target.username:
        return {}
    credentials = f"{unquote(target.username)}:{unquote(target.password or '')}"
    return {"Authorization": "Basic " + base64.b64encode(credentials.encode()).decode()}


def _seconds(said: str) -> float | None:
    """Retry-After, where it is a number of seconds."""
    return float(said) if said.isascii() and said.isdecimal() and len(said) < 8 else None
