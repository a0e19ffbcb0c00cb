"""Alerts by e-mail, over SMTP. Loaded by app/plugins; the port is ports/notifier.

The address says everything but the password, which is the receiver's secret: `smtp://USER@mail.example.org:587/?from=noria@example.org&to=a@x.org,b@x.org`.
`smtps` speaks TLS from the start. `smtp` goes over to TLS (STARTTLS), which only this machine's own server and `&tls=no` may leave out; a password
is never sent without it.
"""

import smtplib
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from email.message import EmailMessage
from email.utils import format_datetime
from urllib.parse import parse_qs, unquote

from noria.adapters.notifiers.sending import TIMEOUT_SECONDS, checked
from noria.adapters.notifiers.wording import headline, paragraph
from noria.domain.alert import Notice
from noria.errors import RequestInvalid, SettingInvalid, StoreUnavailable

UNSAID = ("joined",)
SCHEMES = ("smtp", "smtps")
HERE = frozenset({"localhost", "127.0.0.1", "::1"})
PORTS = {"smtp": 25, "smtps": 465}
SUBJECT = 200
REFUSES = 500
"""SMTP codes from here on are refusals; below it is: later."""


def open_notifier(location: str, *, secret: str = "") -> "EmailNotifier":
    """Give a notifier that mails. secret: the password of the user in the address. Raises SettingInvalid."""
    return EmailNotifier(_mailbox(location, secret))


@dataclass(frozen=True, kw_only=True, repr=False)
class Mailbox:
    """Where mail goes in, from whom, to whom."""

    host: str
    port: int
    is_tls: bool
    needs_tls: bool
    user: str
    password: str
    sender: str
    recipients: tuple[str, ...]


class EmailNotifier:
    """One message a notice, in one thread for a cause. A repetition has the same Message-ID, by which mailboxes drop it."""

    def __init__(
        self,
        box: Mailbox,
        *,
        timeout_s: float = TIMEOUT_SECONDS,
        trust: Callable[[], ssl.SSLContext] = ssl.create_default_context,
    ) -> None:
        self.box = box
        self._timeout_s = timeout_s
        self._trust = trust

    def notify(self, notice: Notice) -> None:
        """See ports/notifier."""
        if notice.change in UNSAID:
            return
        box = self.box
        try:
            with self._connected() as server:
                server.send_message(mail(notice, box), from_addr=box.sender, to_addrs=box.recipients)
        except smtplib.SMTPNotSupportedError as exc:
            raise self._wrong("it offers no TLS, or no way to sign in") from exc
        except smtplib.SMTPAuthenticationError as exc:
            raise self._wrong(f"it refuses the user or the password ({exc.smtp_code})") from exc
        except smtplib.SMTPRecipientsRefused as exc:
            code, said = next(iter(exc.recipients.values()), (550, b""))
            raise self._refused(code, f"no recipient is taken ({code} {_text(said)})", is_address=True) from exc
        except smtplib.SMTPResponseException as exc:
            raise self._refused(exc.smtp_code, f"it answers {exc.smtp_code} {_text(exc.smtp_error)}") from exc
        except (OSError, smtplib.SMTPException) as exc:
            raise self._away(f"{type(exc).__name__}: {exc}") from exc

    def _connected(self) -> smtplib.SMTP:
        """A server that is ready to take mail, signed in where there is a password."""
        box = self.box
        name = socket.gethostname() or "localhost"
        server: smtplib.SMTP
        if box.is_tls:
            server = smtplib.SMTP_SSL(box.host, box.port, name, timeout=self._timeout_s, context=self._trust())
        else:
            server = smtplib.SMTP(box.host, box.port, name, timeout=self._timeout_s)
        try:
            server.ehlo_or_helo_if_needed()
            if not box.is_tls and (box.needs_tls or server.has_extn("starttls")):
                server.starttls(context=self._trust())
            if box.user and box.password:
                server.login(box.user, box.password)
        except BaseException:
            server.close()
            raise
        return server

    def _refused(self, code: int, cause: str, *, is_address: bool = False) -> Exception:
        if code < REFUSES:
            return self._away(cause)
        if is_address:
            return self._wrong(cause)
        return RequestInvalid(
            f"the mail server {self.box.host!r} refuses the message",
            cause=cause,
            remedy="correct the receiver's address in noria.toml, [notify], then: noria alerts test",
        )

    def _wrong(self, cause: str) -> SettingInvalid:
        return SettingInvalid(
            f"the mail server {self.box.host!r} cannot be used",
            cause=cause,
            remedy="correct the receiver's location and secret in noria.toml, [notify], then: noria alerts test",
        )

    def _away(self, cause: str) -> StoreUnavailable:
        return StoreUnavailable(
            f"the mail server {self.box.host!r} does not take alerts now",
            cause=cause,
            remedy="nothing is lost: it is tried again until it is taken; see noria alerts receivers",
        )


def mail(notice: Notice, box: Mailbox) -> EmailMessage:
    """The message with its headers."""
    domain = box.sender.rpartition("@")[2]
    message = EmailMessage()
    message["Subject"] = " ".join(headline(notice, limit=SUBJECT).split())
    message["From"] = box.sender
    message["To"] = ", ".join(box.recipients)
    message["Date"] = format_datetime(_whole(notice.at))
    message["Message-ID"] = f"<{notice.id}@{domain}>"
    message["References"] = f"<{notice.alert.cause}@{domain}>"
    message["Auto-Submitted"] = "auto-generated"
    message["X-Noria-Alert"] = notice.alert.id
    if notice.alert.severity == "page" and not notice.alert.is_over:
        message["Importance"] = "high"
    message.set_content(paragraph(notice) + "\n")
    return message


def _mailbox(location: str, secret: str) -> Mailbox:
    url = checked(location, what="mail server", schemes=SCHEMES)
    said = {name: values[-1] for name, values in parse_qs(url.query).items()}
    recipients = tuple(each.strip() for each in said.get("to", "").split(",") if each.strip())
    sender = said.get("from", "")
    host = url.hostname or ""
    tls = said.get("tls", "no" if host in HERE else "yes")
    unknown = sorted(said.keys() - {"from", "to", "tls"})
    password = secret or unquote(url.password or "")
    reason = ""
    if unknown:
        reason = f"it does not know {', '.join(map(repr, unknown))}"
    elif not recipients or not all(_is_address(each) for each in (sender, *recipients)):
        reason = "it needs from=ADDRESS and to=ADDRESS,ADDRESS"
    elif tls not in ("yes", "no"):
        reason = "tls is 'yes' or 'no'"
    elif tls == "no" and password and url.scheme == "smtp" and host not in HERE:
        reason = "a password is not sent without TLS"
    if reason:
        raise SettingInvalid(
            "the address of the mail server cannot be used",
            cause=reason,
            remedy="in noria.toml: location = 'smtps://USER@mail.example.org/?from=noria@example.org&to=oncall@example.org'",
        )
    return Mailbox(
        host=host,
        port=url.port or PORTS[url.scheme],
        is_tls=url.scheme == "smtps",
        needs_tls=tls == "yes",
        user=unquote(url.username or ""),
        password=password,
        sender=sender,
        recipients=recipients,
    )


def _is_address(text: str) -> bool:
    name, at, domain = text.partition("@")
    return bool(name and at and domain) and "@" not in domain and not any(c in text for c in "<>,;\r\n ")


def _whole(at: datetime) -> datetime:
    return at.replace(microsecond=0)


def _text(said: bytes | str) -> str:
    return (said.decode("utf-8", "replace") if isinstance(said, bytes) else said)[:200]
