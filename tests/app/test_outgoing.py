"""Requests to given addresses go to the internet and nowhere else, as far as they were allowed and no longer than they may last."""

import os
import shutil
import socket
import subprocess
import sys
import threading
from ipaddress import ip_address
from pathlib import Path

import pytest

from noria.app.outgoing import Allowance, is_public, post
from noria.errors import SettingInvalid, StoreUnavailable
from tests.app.receiver import Receiver

OPEN = Allowance(http=True, private=True)
PRIVATE = [
    "127.0.0.1",
    "127.8.8.8",
    "0.0.0.0",
    "10.1.2.3",
    "172.16.0.1",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "192.0.2.1",
    "198.18.0.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "::1",
    "::",
    "fe80::1",
    "fc00::1",
    "fec0::1",
    "ff02::1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b:1::1",
    "2002:7f00:1::",
    "2001:0:7f00:1::",
    "2001:db8::1",
]


@pytest.mark.parametrize("address", PRIVATE)
def test_an_address_of_no_internet_is_known(address: str) -> None:
    assert not is_public(ip_address(address))


@pytest.mark.parametrize("address", ["9.9.9.9", "2620:fe::fe", "::ffff:9.9.9.9"])
def test_an_address_of_the_internet_is_known(address: str) -> None:
    assert is_public(ip_address(address))


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "localhost", "127.1", "2130706433", "0x7f000001", "017700000001", "[::1]", "[::ffff:127.0.0.1]"],
)
def test_no_way_of_writing_leads_into_this_machine(host: str) -> None:
    with Receiver() as receiver:
        port = receiver.url.split(":")[2].split("/")[0]

        with pytest.raises((SettingInvalid, StoreUnavailable)) as caught:
            post(f"http://{host}:{port}/hook", b"{}", {}, allowed=Allowance(http=True))

        assert receiver.messages == []
    assert "private network" in caught.value.problem or "cannot be resolved" in caught.value.problem


@pytest.mark.parametrize(
    "url",
    [
        "http://example.org/hook",
        "ftp://example.org/hook",
        "file:///etc/passwd",
        "example.org/hook",
        "https://",
        "https:///hook",
        "https://example.org:port/hook",
        "https://exa mple.org/hook",
        "https://example.org/\r\nX-Evil: 1",
        "https://ex\u00e4mple.org/",
        "",
    ],
)
def test_what_is_no_https_address_is_refused_before_anything_is_asked(url: str) -> None:
    with pytest.raises(SettingInvalid):
        post(url, b"{}", {}, allowed=Allowance())


def test_what_is_allowed_is_sent_with_path_query_and_credentials() -> None:
    with Receiver() as receiver:
        url = receiver.url.replace("http://", "http://ada:pa%20ss@")

        answer = post(url, b'{"a":1}', {"x-own": "1"}, allowed=OPEN)

        (message,) = receiver.messages
    assert (answer.status, answer.body, answer.is_taken) == (200, "hello", True)
    assert (message.path, message.content) == ("/hook?token=t0ken", b'{"a":1}')
    assert message.headers["x-own"] == "1"
    assert message.headers["authorization"] == "Basic YWRhOnBhIHNz"


def test_a_redirect_is_an_answer_and_is_not_followed() -> None:
    with Receiver() as target, Receiver(answer=lambda _: 307, extra={"location": target.url}) as receiver:
        answer = post(receiver.url, b"{}", {}, allowed=OPEN)

        assert (answer.status, answer.is_taken, target.messages) == (307, False, [])


def test_a_receiver_may_say_when_to_come_again() -> None:
    with Receiver(answer=lambda _: 503, extra={"retry-after": "120"}) as receiver:
        assert post(receiver.url, b"{}", {}, allowed=OPEN).retry_after_s == 120.0


def test_nobody_there_is_said_without_the_secret_part_of_the_address() -> None:
    with Receiver() as receiver:
        url = receiver.url

    with pytest.raises(StoreUnavailable) as caught:
        post(url, b"{}", {}, allowed=OPEN)

    assert "'127.0.0.1' does not answer" in str(caught.value)
    assert "t0ken" not in str(caught.value)


def test_an_answer_that_drips_is_cut_off() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        stop = threading.Event()

        def drip() -> None:
            peer, _ = server.accept()
            with peer:
                peer.sendall(b"HTTP/1.1 200 OK\r\n")
                while not stop.wait(0.05):
                    try:
                        peer.sendall(b"X")
                    except OSError:
                        return

        thread = threading.Thread(target=drip, daemon=True)
        thread.start()

        with pytest.raises(StoreUnavailable):
            post(f"http://127.0.0.1:{server.getsockname()[1]}/", b"{}", {}, allowed=OPEN, deadline_s=0.5)

        stop.set()
        thread.join(5)
        assert not thread.is_alive()


NAME = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
MAKE = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *NAME]
SECURE = """
import ssl, sys
from noria.app.outgoing import Allowance, post
from noria.errors import NoriaError
for host in ("localhost", "127.0.0.1"):
    try:
        print(host, post(f"https://{host}:{sys.argv[1]}/hook", b"{}", {}, allowed=Allowance(private=True)).status)
    except NoriaError as error:
        print(host, "CERTIFICATE" if "certificate" in error.cause.lower() else error)
"""


@pytest.mark.skipif(shutil.which("openssl") is None, reason="makes a certificate with openssl")
def test_the_certificate_must_be_the_hosts_own(tmp_path: Path) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    subprocess.run(
        [*MAKE, "-keyout", str(key), "-out", str(certificate)],
        check=True,
        capture_output=True,
    )
    with Receiver() as receiver:
        import ssl

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        receiver._server.socket = context.wrap_socket(receiver._server.socket, server_side=True)
        port = str(receiver._server.server_address[1])

        def said(trusted: Path | None) -> list[str]:
            environment = {**os.environ, **({"SSL_CERT_FILE": str(trusted)} if trusted else {})}
            program = [sys.executable, "-c", SECURE, port]
            done = subprocess.run(program, env=environment, capture_output=True, text=True, timeout=60, check=True)
            return done.stdout.splitlines()

        assert said(certificate) == ["localhost 200", "127.0.0.1 CERTIFICATE"]
        assert said(None) == ["localhost CERTIFICATE", "127.0.0.1 CERTIFICATE"]
