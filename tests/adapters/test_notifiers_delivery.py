"""Notifiers against a real file and a real HTTP server."""

import base64
import hmac
import json
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import msgspec
import pytest

from noria.adapters.notifiers import log, webhook
from noria.domain.alert import Alert, Notice
from noria.domain.ids import AlertId
from noria.errors import RequestInvalid, SettingInvalid, StoreUnavailable

NOON = datetime(2013, 3, 1, 12, tzinfo=UTC)


def an_alert(name: str = "a", **changes: object) -> Alert:
    fields = {
        "id": AlertId(name),
        "kind": "decay",
        "deployment": "flights",
        "number": 3,
        "opened_at": NOON,
        "severity": "page",
        "summary": "log loss rose from 0.50 to 0.61 – tell somebody",
        "evidence": {"loss": 0.61},
        "next_command": "noria status flights",
    }
    return Alert(**(fields | changes))


def a_notice(name: str = "n", **changes: object) -> Notice:
    return Notice(**({"id": name, "change": "opened", "at": NOON, "alert": an_alert()} | changes))


OVER = a_notice("n-over", change="resolved", alert=an_alert(state="resolved", resolved_at=NOON))


def lines(path: Path) -> list[Notice]:
    return [msgspec.json.decode(line, type=Notice) for line in path.read_bytes().splitlines()]


def test_a_notice_is_one_line_however_often_it_is_repeated(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "alerts.jsonl"
    for notice in (a_notice(), a_notice(), OVER, OVER, a_notice("a-longer-id"), a_notice()):
        log.open_notifier(str(path)).notify(notice)
        log.open_notifier(str(path)).notify(notice)

    assert lines(path) == [a_notice(), OVER, a_notice("a-longer-id")]


def test_two_notifiers_know_of_each_other(tmp_path: Path) -> None:
    path = tmp_path / "alerts.jsonl"
    held = [log.open_notifier(str(path)) for _ in range(4)]

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda n: held[n % 4].notify(a_notice(str(n // 4))), range(80)))

    assert sorted(notice.id for notice in lines(path)) == sorted(str(n) for n in range(20))


def test_a_torn_line_and_a_line_of_somebody_else_do_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "alerts.jsonl"
    path.write_bytes(b'{"note": "mine"}\n{"id": "half')

    log.open_notifier(str(path)).notify(a_notice())

    assert path.read_bytes().splitlines()[:2] == [b'{"note": "mine"}', b'{"id": "half']
    assert json.loads(path.read_bytes().splitlines()[2])["id"] == "n"
    notifier = log.open_notifier(str(path))
    notifier.notify(a_notice())
    assert len(path.read_bytes().splitlines()) == 3
    path.unlink()
    notifier.notify(a_notice())
    assert lines(path) == [a_notice()], "a rotated file begins anew"


def test_a_file_that_cannot_be_written_is_a_receiver_that_is_away(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")

    with pytest.raises(StoreUnavailable):
        log.open_notifier(str(tmp_path / "file" / "alerts.jsonl")).notify(a_notice())
    with pytest.raises(SettingInvalid):
        log.open_notifier("")


class Receiver(ThreadingHTTPServer):
    """Keeps what it is sent, and answers with a status that the test chooses."""

    status = 204

    def __init__(self) -> None:
        self.received: list[tuple[str, dict[str, str], bytes]] = []
        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.received.append((self.path, dict(self.headers), body))
        self.send_response(self.server.status)
        self.send_header("Content-Length", "0")
        self.send_header("Location", "/elsewhere")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_a_notice_is_posted_with_its_id_as_the_key(receiver: Receiver) -> None:
    notifier = webhook.open_notifier(receiver.url + "/hooks/x?token=s")

    notifier.notify(a_notice())
    notifier.notify(OVER)

    (path, headers, body), (_, resolved_headers, resolved_body) = receiver.received
    assert path == "/hooks/x?token=s"
    assert headers["Content-Type"] == "application/json"
    assert (headers["Idempotency-Key"], resolved_headers["Idempotency-Key"]) == ("n", "n-over")
    assert "Authorization" not in headers
    assert msgspec.json.decode(msgspec.json.encode(json.loads(body)["notice"]), type=Notice) == a_notice()
    assert (
        json.loads(body)["text"]
        == "flights/3: log loss rose from 0.50 to 0.61 – tell somebody (next: noria status flights)"
    )
    assert json.loads(resolved_body)["text"].startswith("resolved: flights/3: ")


def test_with_a_secret_a_message_is_signed_over_id_time_and_body(receiver: Receiver) -> None:
    webhook.open_notifier(receiver.url, secret="whsec_" + base64.b64encode(b"k" * 24).decode()).notify(a_notice())
    webhook.open_notifier(receiver.url, secret="any text").notify(a_notice())

    for (_, headers, body), key in zip(receiver.received, (b"k" * 24, b"any text"), strict=True):
        moment = headers["webhook-timestamp"]
        digest = hmac.new(key, f"n.{moment}.".encode() + body, sha256).digest()
        assert int(moment) == int(NOON.timestamp())
        assert headers["webhook-signature"] == "v1," + base64.b64encode(digest).decode()
    with pytest.raises(SettingInvalid):
        webhook.open_notifier(receiver.url, secret="whsec_no base64")


def test_credentials_in_the_address_become_basic_authentication(receiver: Receiver) -> None:
    webhook.open_notifier(receiver.url.replace("//", "//me:p%40ss@")).notify(a_notice())

    path, headers, _ = receiver.received[0]
    assert path == "/"
    assert headers["Authorization"] == "Basic bWU6cEBzcw=="


@pytest.mark.parametrize(
    ("status", "error"),
    [
        *[(status, None) for status in (200, 202)],
        *[(status, SettingInvalid) for status in (301, 401, 403, 404)],
        *[(status, RequestInvalid) for status in (400, 413, 422)],
        *[(status, StoreUnavailable) for status in (408, 429, 500, 503)],
    ],
)
def test_the_answer_decides_whether_it_is_tried_again(
    receiver: Receiver, status: int, error: type[Exception] | None
) -> None:
    receiver.status = status
    notifier = webhook.open_notifier(receiver.url + "/secret")

    if error is None:
        notifier.notify(a_notice())
    else:
        with pytest.raises(error) as raised:
            notifier.notify(a_notice())
        assert str(status) in str(raised.value)
        assert "secret" not in str(raised.value)
    assert len(receiver.received) == 1, "redirects are not followed, and nothing is repeated on its own"


def test_a_receiver_that_is_gone_or_silent_is_away() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        url = f"http://127.0.0.1:{port}/secret"
        with pytest.raises(StoreUnavailable) as raised:
            webhook.WebhookNotifier(url, timeout_s=0.2).notify(a_notice())
        assert "secret" not in str(raised.value)

    with pytest.raises(StoreUnavailable):
        webhook.open_notifier(f"http://127.0.0.1:{port}").notify(a_notice())


@pytest.mark.parametrize(
    "address",
    [
        "",
        "alerts",
        "ftp://host/x",
        "http://",
        "https:///x",
        "http://host:port/",
        "http://ho st/",
        "http://host/é",
        "file:///etc",
    ],
)
def test_what_is_no_address_is_refused_when_it_is_set(address: str) -> None:
    with pytest.raises(SettingInvalid):
        webhook.open_notifier(address)
