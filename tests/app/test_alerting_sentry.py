"""The dead man's switch: the loop's silence becomes an alert, and with it the sign of life stops that somebody outside waits for."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from noria.app.alerting_receivers import Pulse, pulse, receivers, revealed
from noria.app.alerting_run import Alerting
from noria.app.alerting_sentry import BUSY, Sentry
from noria.app.doctor import examine
from noria.app.settings import Heartbeat, Notify, Settings, Stores
from noria.app.settings import Receiver as Wish
from noria.app.workspace import Workspace
from noria.domain import events as e
from noria.domain.alert import DriftReport
from noria.domain.deployment import Deployment, Variant
from noria.domain.ids import digest_of
from noria.domain.ledger import Cursor
from noria.domain.look import Look, QualityState
from noria.errors import AdapterUnknown, SettingInvalid, StoreUnavailable
from noria.monitoring.alert_book import Book
from tests.app.alerting_world import NOON, World, an_alert
from tests.app.receiver import Receiver as Web
from tests.serving.worker_factory import eventually

TICK_S = 60.0


def a_look(deployment: str, at: datetime) -> Look:
    side = DriftReport(deployment=deployment, number=1, at=at, rows=0, alarm=False, evidence=0, threshold=1)
    quality = QualityState(evidence=0, threshold=1, alarm=False, rows=0, bias=0)
    return Look(deployment=deployment, number=1, at=at, inputs=side, prediction=side, windows=0, quality=quality)


@dataclass
class Watched(World):
    """A world whose deployments are looked at, until they are not."""

    looks: list[Look] = field(default_factory=list)

    def deploy(self, *names: str) -> None:
        for name in names:
            bundle = digest_of(name.encode())
            champion = Variant(name="champion", model=name, number=1, version="1.0.0", bundle=bundle, weight=1.0)
            self.store.deployments.put(
                Deployment(name=name, model=name, generation=1, variants=(champion,), updated_at=NOON)
            )

    def sentry(self) -> Sentry:
        return Sentry(lambda: self.store, lambda: self.looks, clock=self.clock, tick_s=TICK_S)


@pytest.fixture
def world() -> Watched:
    world = Watched()
    world.deploy("a", "b")
    return world


def test_three_strokes_without_a_look_are_an_alert_for_all_in_one_group_and_only_once(world: Watched) -> None:
    world.looks = [a_look("a", NOON), a_look("b", NOON)]
    sentry = world.sentry()
    world.clock.advance(seconds=3 * TICK_S)
    assert sentry.is_lively()
    assert sentry.round() == []

    world.clock.advance(seconds=1)
    opened = sentry.round()
    again = [*sentry.round(), *world.sentry().round()]

    assert [(alert.deployment, alert.kind, alert.severity) for alert in opened] == [
        ("a", "no_look", "page"),
        ("b", "no_look", "page"),
    ]
    assert len({alert.group for alert in opened}) == 1
    assert again == []
    assert not sentry.is_lively()
    assert len(Book.of(world.store.ledger.read()).standing()) == 2

    world.looks = [a_look("a", world.clock.now()), a_look("b", world.clock.now())]
    assert sentry.is_lively()


def test_one_deployment_that_the_loop_forgot_is_found(world: Watched) -> None:
    sentry = world.sentry()
    world.clock.advance(hours=1)
    world.looks = [a_look("a", world.clock.now()), a_look("b", NOON)]

    assert [alert.deployment for alert in sentry.round()] == ["b"]


def test_looks_before_this_process_are_no_silence_of_the_loop_that_begins_with_it(world: Watched) -> None:
    world.looks = [a_look("a", NOON - timedelta(days=400))]
    sentry = world.sentry()
    world.clock.advance(minutes=2)
    assert sentry.round() == []
    world.clock.advance(minutes=2)
    assert [alert.deployment for alert in sentry.round()] == ["a"]


def test_a_training_under_way_is_no_silence_for_some_hours(world: Watched) -> None:
    world.looks = [a_look("a", NOON), a_look("b", NOON)]
    sentry = world.sentry()
    asked = e.RetrainRequested(deployment="a", model="a", reason="", trigger="hand", data_until=NOON)
    world.write(asked, "e1")
    world.clock.advance(hours=1)
    assert sentry.is_lively(), "the wheel has an entry before it that takes long"
    world.clock.advance(BUSY)
    assert not sentry.is_lively()

    world.looks = [a_look("a", world.clock.now()), a_look("b", world.clock.now())]
    world.store.ledger.append([], advance=Cursor(name="wheel", seq=world.store.ledger.head().seq))
    world.write(e.ProjectCreated(project="p", noria_version="1"), "e2")
    world.clock.advance(hours=1)
    assert not sentry.is_lively(), "it has nothing to do that takes long and does not look"


@dataclass
class Beats:
    """A heart of somebody else."""

    at: list[datetime] = field(default_factory=list)
    failure: Exception | None = None

    def beat(self, *, at: datetime, every_s: float) -> None:
        if self.failure is not None:
            raise self.failure
        self.at.append(at)


def test_the_sign_of_life_comes_on_time_while_the_loop_looks_and_stops_with_it(world: Watched) -> None:
    world.looks = [a_look("a", NOON)]
    heart = Beats()
    courier = world.courier(pulse=Pulse(heart=heart, every_s=60), lively=world.sentry().is_lively)
    for _ in range(20):
        courier.round()
        world.clock.advance(seconds=30)

    assert heart.at == [NOON + timedelta(seconds=60 * n) for n in range(4)]

    world.looks = [a_look("a", world.clock.now())]
    heart.failure = StoreUnavailable("nobody is there")
    assert courier.beat() is False
    heart.failure = None
    assert courier.beat() is True, "one that failed is due at once"


def test_the_server_tells_and_beats_by_its_settings_and_stops(tmp_path: Path) -> None:
    memory = Stores(metadata="memory", blobs="memory", tables="memory", predictions="memory")
    with Web() as web:
        notify = Notify(
            receivers={"team": Wish(adapter="webhook", location=web.url)},
            heartbeat=Heartbeat(location=web.url, every_s=3600),
        )
        with Workspace(Settings(stores=memory, notify=notify), tmp_path) as workspace:
            world = World(store=workspace.metadata)
            alerting = Alerting(workspace)
            alerting.start()
            world.open(an_alert())
            alerting.courier.wake()
            eventually(lambda: len(web.messages) >= 2)
            eventually(lambda: [health.waiting for health in alerting.courier.health()] == [0, 0])
            alerting.stop()

    assert sorted(message.content == b"" for message in web.messages) == [False, True]
    assert (tmp_path / "alerts.jsonl").read_bytes().count(b"\n") == 1


def test_the_doctor_names_who_has_not_heard_and_who_cannot(tmp_path: Path) -> None:
    def found(notify: Notify) -> tuple[str, str]:
        stores = Stores(metadata="memory", blobs="memory", tables="memory", predictions="memory")
        with Workspace(Settings(stores=stores, notify=notify), tmp_path) as workspace:
            World(store=workspace.metadata).open(an_alert())
            finding = next(each for each in examine(workspace) if each.what == "alert receivers")
            return finding.level, finding.found

    assert found(Notify(adapter="")) == ("ok", "none")
    assert found(Notify()) == ("warn", "default has not taken 1 notices, the first of 2026-03-01 12:00")
    level, said = found(Notify(receivers={"a": Wish(adapter="slack", location="env:NORIA_NO_SUCH_VARIABLE")}))
    assert level == "bad"
    assert "NORIA_NO_SUCH_VARIABLE" in said


def test_secrets_come_from_the_environment_or_a_file_and_are_never_shown(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("f1le\n", encoding="utf-8")

    assert revealed("env:PAGER", "x", environment={"PAGER": "3nv"}) == "3nv"
    assert revealed(f"file:{tmp_path / 'key'}", "x") == "f1le"
    assert revealed("https://example.org", "x") == "https://example.org"
    for missing in ("env:NORIA_NO_SUCH_VARIABLE", f"file:{tmp_path / 'nothing'}"):
        with pytest.raises(SettingInvalid):
            revealed(missing, "x")
    wish = Wish(adapter="pagerduty", location="https://example.org/t0ken", secret="s3cret")
    heartbeat = Heartbeat(location="https://example.org/t0ken", secret="s3cret")
    shown = repr(Settings(notify=Notify(location="https://x/t0ken", receivers={"a": wish}, heartbeat=heartbeat)))
    assert "t0ken" not in shown + repr(wish) + repr(heartbeat)
    assert "s3cret" not in shown + repr(wish) + repr(heartbeat)


@pytest.mark.parametrize(
    ("notify", "error"),
    [
        (Notify(receivers={"default": Wish(adapter="log", location="x")}), SettingInvalid),
        (Notify(receivers={"a": Wish(adapter="pigeon")}), AdapterUnknown),
        (Notify(receivers={"a": Wish(adapter="slack")}), SettingInvalid),
        (Notify(receivers={"a": Wish(adapter="log", location="x", repeat_minutes=-1)}), SettingInvalid),
        (Notify(receivers={"a": Wish(adapter="pagerduty")}), SettingInvalid),
    ],
)
def test_settings_that_cannot_be_are_refused_at_the_start(notify: Notify, error: type[Exception]) -> None:
    with pytest.raises(error):
        receivers(notify, home=Path("/tmp"))


@pytest.mark.parametrize(
    "heartbeat",
    [Heartbeat(), Heartbeat(adapter="log", location="x"), Heartbeat(location="https://example.org", every_s=0)],
)
def test_a_pulse_that_cannot_be_is_refused_at_the_start(heartbeat: Heartbeat) -> None:
    with pytest.raises(SettingInvalid):
        pulse(heartbeat)
