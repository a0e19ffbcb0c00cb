"""Noria's alerts in the real Alertmanager: grouped by cause, told to its own receivers, ended, and told again to one that has forgotten."""

from datetime import UTC, datetime, timedelta

from noria.adapters.notifiers.alertmanager import open_notifier
from noria.app.alerting_receivers import Pulse
from noria.domain.alert import Alert
from noria.testing.clock import FakeClock
from tests.app.alerting_world import World, an_alert
from tests.app.receiver import Receiver as Web
from tests.peers.alertmanager import Alertmanager, running
from tests.serving.worker_factory import eventually


def names(server: Alertmanager) -> set[str]:
    return {alert["labels"]["alert_id"] for alert in server.alerts() if "alert_id" in alert["labels"]}


def test_alertmanager_groups_tells_and_ends_noria_alerts_and_learns_them_again() -> None:
    now = datetime.now(UTC)  # Alertmanager goes by the machine's clock

    def an(name: str, **more: object) -> Alert:
        return an_alert(name, opened_at=now, evidence={"shift.Größe, m²": 0.3}, **more)

    world = World(clock=FakeClock(now))
    with Web() as web, running(web.url) as server:
        heart = open_notifier(server.url)
        receiver = world.at("alertmanager", server.url, severity="warn")
        courier = world.courier(receiver, pulse=Pulse(heart=heart, every_s=60), base_url="https://noria.example.org")
        world.open(an("a1"), an("a2", kind="decay", severity="page", group="a1"), an("a3", severity="info"))

        assert courier.round() == 2

        assert names(server) == {"a1", "a2"}
        eventually(lambda: any(len(m.body["alerts"]) == 2 for m in web.messages if m.body["groupLabels"].get("cause")))
        told = next(
            m.body for m in web.messages if m.body["groupLabels"] == {"cause": "a1"} and len(m.body["alerts"]) == 2
        )
        decay = next(a for a in told["alerts"] if a["labels"]["alertname"] == "NoriaDecay")
        assert decay["labels"] | {"severity": "critical", "deployment": "churn", "version": "3"} == decay["labels"]
        assert decay["annotations"]["next"] == "noria why a2"
        assert decay["generatorURL"] == "https://noria.example.org/deployments/churn"
        assert any(alert["labels"]["alertname"] == "NoriaWatchdog" for alert in server.alerts()), "the sign of life"

        world.over(an("a2"))
        assert courier.round() == 1
        eventually(lambda: any(a["status"] == "resolved" for m in web.messages for a in m.body["alerts"]))
        assert names(server) == {"a1"}

    with Web() as web, running(web.url) as server:
        anew = world.courier(world.at("alertmanager", server.url, severity="warn"))
        courier.release()
        assert anew.round() == 0, "nothing is new"
        assert names(server) == {"a1"}, "but what stands is told again to one that has forgotten"
        world.clock.advance(seconds=61)
        assert anew.round() == 0
        (known,) = server.alerts()
        assert datetime.fromisoformat(known["endsAt"]) >= now + timedelta(seconds=61 + 290)
