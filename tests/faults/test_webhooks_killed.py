"""kill -9 between a delivery and its note: the message comes again with the same id; none is lost, and none overtakes another."""

import subprocess
import sys
import threading
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path

import pytest

from noria.adapters.metadata.sqlite import open_store
from noria.domain.change import Webhook
from noria.domain.ids import RunId, WebhookId
from noria.domain.run import Run
from tests.app.receiver import Message, Receiver

pytestmark = pytest.mark.faults
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
RUNS = 40
KILLED_AT = (1, 7, 20, 33)
"""Messages upon which the deliverer dies: after the receiver has them, before the answer can be noted."""


class Deliverers:
    """One process at a time that delivers; killed upon some messages and started again."""

    def __init__(self, store: Path) -> None:
        self._store = store
        self._seen = 0
        self._lock = threading.Lock()
        self.last = threading.Event()
        self.process = self._start()

    def answer(self, message: Message) -> int:
        with self._lock:
            self._seen += 1
            if self._seen in KILLED_AT:
                self.process.kill()
                self.process.wait()
                self.process = self._start()
            if message.subject == f"r{RUNS - 1:02}":
                self.last.set()
        return 200

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()

    def _start(self) -> subprocess.Popen[bytes]:
        program = [sys.executable, str(Path(__file__).with_name("deliver.py")), str(self._store)]
        return subprocess.Popen(program, stdout=subprocess.DEVNULL)


def test_a_message_that_was_delivered_but_not_noted_comes_again_and_none_is_lost(tmp_path: Path) -> None:
    path = tmp_path / "meta.db"
    store = open_store(str(path), project="p")
    deliverers: list[Deliverers] = []

    def answer(message: Message) -> int:
        return deliverers[0].answer(message)

    with Receiver(answer=answer) as receiver:
        hook = Webhook(id=WebhookId("w1"), name="w1", url=receiver.url, created_at=NOON, updated_at=NOON)
        store.feed.put_webhook(hook)
        for number in range(RUNS):
            name = f"r{number:02}"
            store.runs.create(Run(id=RunId(name), experiment="e", name=name, status="running", started_at=NOON))
        deliverers.append(Deliverers(path))
        assert deliverers[0].last.wait(120)
        deliverers[0].stop()
    store.close()

    came = [(message.headers["webhook-id"], message.body["data"]["seq"]) for message in receiver.messages]
    once = [pair for pair, _ in groupby(came)]
    assert [seq for _, seq in once] == list(range(1, RUNS + 2)), "in order, none lost, none twice but in a row"
    assert len(came) - len(once) >= len(KILLED_AT)
    assert len({identity for identity, _ in came}) == RUNS + 1
