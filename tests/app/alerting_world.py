"""A ledger with alerts in it, receivers that listen, and a courier that goes by a clock that stands still. Used by the tests of alerting."""

from dataclasses import dataclass, field
from datetime import UTC, datetime

from noria.adapters.metadata.memory import open_store
from noria.app.alerting import Courier
from noria.app.alerting_receivers import Pulse, Receiver, receivers
from noria.app.settings import Notify
from noria.app.settings import Receiver as Wish
from noria.domain import events as e
from noria.domain.alert import Alert, Notice
from noria.domain.ids import AlertId, EventId
from noria.domain.ledger import Draft, Entry
from noria.ports.metadata import Metadata
from noria.testing.clock import FakeClock

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def an_alert(name: str = "a1", **changes: object) -> Alert:
    fields: dict[str, object] = {
        "id": AlertId(name),
        "kind": "input_drift",
        "deployment": "churn",
        "number": 3,
        "opened_at": NOON,
        "severity": "warn",
        "summary": "the inputs drifted: 'age' by 30.0% (allowed 5.0%)",
        "evidence": {"log10_evidence": 6.0},
        "budget": "at most one false drift alarm in 10 years",
        "next_command": f"noria why {name}",
        "causes": ("age",),
        "group": name,
    }
    return Alert(**(fields | changes))  # type: ignore[arg-type]


@dataclass
class Ear:
    """A notifier of somebody else: keeps what it is told, and fails as it is bidden."""

    told: list[Notice] = field(default_factory=list)
    failure: Exception | None = None

    def notify(self, notice: Notice) -> None:
        if self.failure is not None:
            raise self.failure
        self.told.append(notice)

    @property
    def heard(self) -> list[str]:
        return [f"{notice.change} {notice.alert.id}" for notice in self.told]


@dataclass
class World:
    """Everything that a courier needs."""

    store: Metadata = field(default_factory=lambda: open_store("", project="p"))
    clock: FakeClock = field(default_factory=lambda: FakeClock(NOON))

    def ear(self, name: str = "ear", **wish: object) -> tuple[Ear, Receiver]:
        ear = Ear()
        return ear, Receiver(name=name, wish=Wish(adapter="ear", **wish), notifier=ear)  # type: ignore[arg-type]

    def at(self, adapter: str, location: str, **wish: object) -> Receiver:
        """A receiver by the settings, as a project names it."""
        wishes = {"far": Wish(adapter=adapter, location=location, **wish)}  # type: ignore[arg-type]
        return receivers(Notify(adapter="", receivers=wishes), home=None)[0]  # type: ignore[arg-type]

    def courier(self, *them: Receiver, pulse: Pulse | None = None, **more: object) -> Courier:
        return Courier(lambda: self.store, them, clock=self.clock, elapsed=self.elapsed, seed=1, pulse=pulse, **more)  # type: ignore[arg-type]

    def elapsed(self) -> float:
        return (self.clock.now() - NOON).total_seconds()

    def write(self, event: e.AnyEvent, name: str, *, actor: str = "noria") -> Entry:
        draft = Draft(id=EventId(name), at=self.clock.now(), actor=actor, event=event)
        return self.store.ledger.append([draft])[0]

    def open(self, *alerts: Alert) -> None:
        for alert in alerts:
            self.write(e.AlertOpened(deployment=alert.deployment, alert=alert), f"open-{alert.id}")

    def over(self, alert: Alert) -> None:
        event = e.AlertResolved(deployment=alert.deployment, alert_id=alert.id, reason="within its margins again")
        self.write(event, f"over-{alert.id}")
