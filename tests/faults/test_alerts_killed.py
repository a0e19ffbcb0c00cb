"""kill -9 anywhere between a look and a receiver's answer: no alert is lost, and none comes under two ids."""

import subprocess
import sys
import threading
from dataclasses import replace
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path

import msgspec
import pytest

import noria
from noria.adapters.metadata.sqlite import open_store
from noria.domain import events as e
from noria.domain.alert import Notice
from noria.domain.ids import EventId
from noria.domain.ledger import Draft
from tests.app.alerting_world import an_alert
from tests.app.receiver import Message, Receiver
from tests.loop.small import BEGIN, World, open_life

pytestmark = pytest.mark.faults
ROOT = Path(__file__).resolve().parents[2]
TURNED = World(turns=24)


class Tellers:
    """One process at a time that tells. Killed upon some messages, when the receiver has them and the answer is not noted, and started again."""

    def __init__(self, store: Path, url: str, *, last: str, killed_at: tuple[int, ...]) -> None:
        self._last, self._killed_at = last, killed_at
        self._program = [sys.executable, str(Path(__file__).with_name("tell.py")), str(store), url]
        self._seen = 0
        self.last = threading.Event()
        self.process = subprocess.Popen(self._program)

    def answer(self, message: Message) -> int:
        self._seen += 1
        if self._seen in self._killed_at:
            self.stop()
            self.process = subprocess.Popen(self._program)
        if message.body["notice"]["alert"]["id"] == self._last:
            self.last.set()
        return 200

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()


@pytest.mark.parametrize(("alerts", "killed_at"), [(3, (2,)), pytest.param(40, (1, 7, 20, 33), marks=pytest.mark.slow)])
def test_a_notice_that_was_told_but_not_noted_comes_again_under_its_id_and_none_is_lost(
    tmp_path: Path, alerts: int, killed_at: tuple[int, ...]
) -> None:
    path = tmp_path / "meta.db"
    store = open_store(str(path), project="p")
    tellers: list[Tellers] = []

    def answer(message: Message) -> int:
        return tellers[0].answer(message)

    with Receiver(answer=answer) as receiver:
        for number in range(alerts):
            alert = an_alert(f"a{number:02}", causes=(f"x{number}",))
            event = e.AlertOpened(deployment="churn", alert=alert)
            draft = Draft(id=EventId(alert.id), at=datetime.now(UTC), actor="noria", event=event)
            store.ledger.append([draft])
        tellers.append(Tellers(path, receiver.url, last=f"a{alerts - 1:02}", killed_at=killed_at))
        assert tellers[0].last.wait(60)
        tellers[0].stop()
    store.close()

    came = [message.headers["idempotency-key"] for message in receiver.messages]
    assert [key for key, _ in groupby(came)] == [f"a{number:02}" for number in range(alerts)]
    assert len(came) >= alerts + len(killed_at)


def quiet(recipe: noria.Recipe) -> noria.Recipe:
    """The same, without retrainings: this is about alarms."""
    return replace(recipe, policy=msgspec.structs.replace(recipe.policy, on=()))


def first_alarm(home: Path) -> int:
    """The day on which this world's loop opens its first alert; each day is lived up to the stroke that would see it."""
    with open_life(home, world=TURNED, change=quiet) as life:
        life.declare()
        for day in range(BEGIN + 2, BEGIN + 40):
            life.live(range(day, day + 1))
            if life.all(e.AlertOpened):
                return day
    raise AssertionError("this world raises no alarm")


@pytest.mark.slow
def test_a_look_that_died_before_its_alert_is_taken_again_and_the_alert_is_told_once(tmp_path: Path) -> None:
    day = first_alarm(tmp_path / "before" / ".noria")
    home = tmp_path / "here"
    home.mkdir()
    (home / "noria.toml").write_text("project = 'small'\n", encoding="utf-8")
    with open_life(home / ".noria", world=TURNED, change=quiet) as life:
        life.declare().live(range(BEGIN + 2, day))
        life.live_without_a_look(day)

    def look(*more: str) -> int:
        program = [sys.executable, "-m", "tests.faults.look", str(home), str(day + 1), *more]
        return subprocess.run(program, cwd=ROOT, check=False, timeout=120).returncode

    assert [look(), look()] == [-9, -9]
    with noria.Workspace.open(home) as workspace:
        assert workspace.ledger.latest(kinds=("AlertOpened",)) == [], "it died before"
    assert [look("on"), look("on")] == [0, 0]

    with noria.Workspace.open(home) as workspace:
        opened = [entry.id for entry in workspace.ledger.read(kinds=("AlertOpened",))]
    lines = (home / ".noria" / "alerts.jsonl").read_bytes().splitlines()
    told = [msgspec.json.decode(line, type=Notice) for line in lines]
    assert opened
    assert [n.id for n in told if n.change in ("opened", "joined", "raised")] == opened
