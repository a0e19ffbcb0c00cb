"""Every notifier keeps the law of its port, against receivers that really listen."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from noria.adapters.notifiers import alertmanager, email, log, opgenie, pagerduty, slack, victorops, webhook
from noria.ports.notifier import Notifier
from noria.testing.notifier_suite import NotifierSuite
from tests.adapters.smtp_server import MailServer
from tests.app.receiver import Receiver

HTTP = {
    "webhook": webhook,
    "slack": slack,
    "pagerduty": pagerduty,
    "opgenie": opgenie,
    "victorops": victorops,
    "alertmanager": alertmanager,
}
MAIL = "smtp://localhost:{port}/?from=noria@example.org&to=oncall@example.org"


def nowhere() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.mark.parametrize("name", HTTP)
class TestOverHttp(NotifierSuite):
    @pytest.fixture
    def notifier(self, name: str) -> Iterator[Notifier]:
        with Receiver() as receiver:
            yield HTTP[name].open_notifier(receiver.url, secret="s3cret")

    @pytest.fixture
    def away(self, name: str) -> Notifier:
        return HTTP[name].open_notifier(f"http://127.0.0.1:{nowhere()}", secret="s3cret")


class TestLog(NotifierSuite):
    @pytest.fixture
    def notifier(self, tmp_path: Path) -> Notifier:
        return log.open_notifier(str(tmp_path / "alerts.jsonl"))

    @pytest.fixture
    def away(self, tmp_path: Path) -> Notifier:
        (tmp_path / "file").write_text("no folder")
        return log.open_notifier(str(tmp_path / "file" / "alerts.jsonl"))


class TestEmail(NotifierSuite):
    @pytest.fixture
    def notifier(self) -> Iterator[Notifier]:
        with MailServer() as server:
            yield email.open_notifier(MAIL.format(port=server.port))

    @pytest.fixture
    def away(self) -> Notifier:
        return email.open_notifier(MAIL.format(port=nowhere()))
