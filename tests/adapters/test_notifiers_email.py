"""E-mail, to a server that speaks real SMTP: what is sent, by whom, over which line, and what its refusals mean."""

import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from noria.adapters.notifiers.email import EmailNotifier, open_notifier
from noria.domain.alert import Silencer
from noria.errors import RequestInvalid, SettingInvalid, StoreUnavailable
from tests.adapters.smtp_server import MailServer
from tests.adapters.test_notifiers_delivery import NOON, a_notice, an_alert

NAME = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
MAKE = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", *NAME]


@pytest.fixture
def mail() -> Iterator[MailServer]:
    with MailServer() as server:
        yield server


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    if shutil.which("openssl") is None:
        pytest.skip("makes a certificate with openssl")
    folder = tmp_path_factory.mktemp("tls")
    made = folder / "cert.pem", folder / "key.pem"
    subprocess.run([*MAKE, "-out", str(made[0]), "-keyout", str(made[1])], check=True, capture_output=True)
    return made


def address(mail: MailServer, more: str = "", *, host: str = "localhost", user: str = "") -> str:
    return f"smtp://{user}{host}:{mail.port}/?from=noria@example.org&to=oncall@example.org,team@example.org{more}"


def test_a_mail_says_what_is_wrong_how_sure_that_is_and_what_to_do(mail: MailServer) -> None:
    silencer = Silencer(setting="false_page_days", now=365.0, needed=3650.0)
    notice = a_notice(
        alert=an_alert(silencers=(silencer,), budget="one in ten years"), link="https://noria.example.org"
    )

    open_notifier(address(mail)).notify(notice)

    (taken,) = mail.taken
    text = taken.message.get_content()
    assert (taken.sender, taken.recipients) == ("noria@example.org", ["oncall@example.org", "team@example.org"])
    assert taken.message["Subject"] == "page: flights/3: log loss rose from 0.50 to 0.61 – tell somebody"
    assert taken.message["Importance"] == "high"
    assert taken.message["Auto-Submitted"] == "auto-generated"
    for part in ("loss: 0.61", "one in ten years", "false_page_days 3650 instead of 365", "noria alerts ack a"):
        assert part in text
    assert text.rstrip().endswith("https://noria.example.org")


def test_a_repetition_has_the_same_id_a_cause_is_one_thread_and_what_joins_it_is_not_mailed(mail: MailServer) -> None:
    notifier = open_notifier(address(mail))
    over = an_alert("b", group="a", state="resolved", resolved_at=NOON)
    for notice in (
        a_notice(),
        a_notice(),
        a_notice("n2", change="joined"),
        a_notice("n3", change="resolved", alert=over, by="ann", reason="repaired"),
    ):
        notifier.notify(notice)

    messages = [taken.message for taken in mail.taken]
    assert [m["Message-ID"] for m in messages] == ["<n@example.org>", "<n@example.org>", "<n3@example.org>"]
    assert {m["References"] for m in messages} == {"<a@example.org>"}
    assert messages[2]["Subject"].startswith("[resolved] page: flights/3")
    assert "resolved by ann: repaired" in messages[2].get_content()


def test_a_summary_cannot_write_headers(mail: MailServer) -> None:
    open_notifier(address(mail)).notify(
        a_notice(alert=an_alert(summary="drift\r\nBcc: everybody@example.org\n.\nQUIT"))
    )

    (taken,) = mail.taken
    assert taken.message["Bcc"] is None
    assert taken.recipients == ["oncall@example.org", "team@example.org"]
    assert "\nQUIT" in taken.message.get_content().replace("\r", "")


def test_a_password_goes_over_tls_only(certificate: tuple[Path, Path]) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)

    def trusting() -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(certificate[0]))

    with MailServer(tls=context, password="s3cret") as mail:
        box = open_notifier(address(mail, "&tls=yes", user="noria@"), secret="s3cret").box
        EmailNotifier(box, trust=trusting).notify(a_notice())
        with pytest.raises(StoreUnavailable) as untrusted:
            EmailNotifier(box).notify(a_notice())
        wrong = open_notifier(address(mail, "&tls=yes", user="noria@"), secret="wr0ng").box
        with pytest.raises(SettingInvalid) as refused:
            EmailNotifier(wrong, trust=trusting).notify(a_notice())

    assert [(taken.is_tls, taken.user) for taken in mail.taken] == [(True, "noria")]
    assert "CERTIFICATE" in untrusted.value.cause.upper()
    assert "wr0ng" not in str(refused.value)
    with MailServer() as plain, pytest.raises(SettingInvalid):
        open_notifier(address(plain, "&tls=yes")).notify(a_notice())
    with pytest.raises(SettingInvalid) as bare:
        open_notifier("smtp://noria@mail.example.org/?from=a@b.org&to=c@d.org&tls=no", secret="s3cret")
    assert "s3cret" not in str(bare.value)


@pytest.mark.parametrize(
    ("word", "answer", "error"),
    [
        ("MAIL", "451 later", StoreUnavailable),
        ("MAIL", "550 not you", RequestInvalid),
        ("RCPT", "450 full", StoreUnavailable),
        ("RCPT", "550 nobody of that name", SettingInvalid),
        ("DATA", "452 no room", StoreUnavailable),
        ("DATA", "554 spam", RequestInvalid),
        ("EHLO", "421 closing", StoreUnavailable),
    ],
)
def test_a_refusal_says_whether_it_is_tried_again(
    mail: MailServer, word: str, answer: str, error: type[Exception]
) -> None:
    mail.answers[word] = answer
    if word == "EHLO":
        mail.answers["HELO"] = answer

    with pytest.raises(error) as raised:
        open_notifier(address(mail)).notify(a_notice())

    assert answer[:3] in str(raised.value)
    assert mail.taken == []


def test_a_server_that_is_away_is_away() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        box = open_notifier(f"smtp://localhost:{port}/?from=a@b.org&to=c@d.org").box
        with pytest.raises(StoreUnavailable):
            EmailNotifier(box, timeout_s=0.2).notify(a_notice())
    with pytest.raises(StoreUnavailable):
        EmailNotifier(box, timeout_s=2).notify(a_notice())


@pytest.mark.parametrize(
    "location",
    [
        "",
        "mail.example.org",
        "http://mail.example.org/?from=a@b.org&to=c@d.org",
        "smtp://mail.example.org/",
        "smtp://mail.example.org/?from=a@b.org",
        "smtp://mail.example.org/?to=a@b.org",
        "smtp://mail.example.org/?from=a&to=c@d.org",
        "smtp://mail.example.org/?from=a@b.org&to=c@d.org,nobody",
        "smtp://mail.example.org/?from=a@b.org&to=c@d.org&cc=e@f.org",
        "smtp://mail.example.org/?from=a@b.org&to=c@d.org&tls=perhaps",
        "smtp://mail.example.org:port/?from=a@b.org&to=c@d.org",
    ],
)
def test_what_is_no_mailbox_is_refused_when_it_is_set(location: str) -> None:
    with pytest.raises(SettingInvalid):
        open_notifier(location)
