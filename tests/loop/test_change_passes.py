"""A world that was another one for a while is the one of before again, if the same champion is as good as before; not if another took over."""

from datetime import datetime

import pytest

from noria.domain import events as e
from noria.domain.alert import Alert, AlertKind, Severity
from noria.domain.ids import AlertId, EventId
from noria.domain.ledger import Draft
from noria.loop.stages.decide_facts import history
from tests.loop.small import BEGIN, Life, moment, open_life

NOW = BEGIN + 2


class Told:
    """A life in which alerts of decay are told as events, each on a day of its own."""

    def __init__(self, life: Life) -> None:
        self.life, self._count = life, 0

    def _append(self, event: e.AnyEvent) -> None:
        self._count += 1
        draft = Draft(id=EventId(f"told-{self._count}"), at=self.life.clock.now(), actor="noria", event=event)
        self.life.workspace.ledger.append([draft])

    def open(
        self, name: str, day: float | None, *, kind: AlertKind = "concept_drift", severity: Severity = "page"
    ) -> None:
        alert = Alert(
            id=AlertId(name),
            kind=kind,
            deployment="returns",
            number=1,
            opened_at=self.life.clock.now(),
            severity=severity,
            summary="it hurts",
            evidence={} if day is None else {"changed_at": moment(day).isoformat()},
        )
        self._append(e.AlertOpened(deployment="returns", alert=alert))

    def over(self, name: str) -> None:
        self._append(e.AlertResolved(deployment="returns", alert_id=AlertId(name), reason="as good as before"))

    def promote(self) -> None:
        event = e.RolloutPromoted(deployment="returns", model="returns", number=2, previous=1, generation=2)
        self._append(event)

    @property
    def changed_at(self) -> datetime | None:
        found = history(self.life.loop.context, self.life.recipe, now=self.life.clock.now())
        return found.changed_at


@pytest.fixture
def told() -> Told:  # type: ignore[misc]
    with open_life() as life:
        life.declare()
        yield Told(life)


def test_a_change_that_passed_is_forgotten(told: Told) -> None:
    told.open("a", 21)
    during = told.changed_at
    told.over("a")

    assert during == moment(21)
    assert told.changed_at is None


def test_what_was_known_before_it_is_known_again(told: Told) -> None:
    told.open("a", 3)
    told.promote()
    told.over("a")
    told.open("b", 21)
    told.over("b")

    assert told.changed_at == moment(3), "the new champion was made for that world"


def test_of_two_alerts_the_last_one_counts(told: Told) -> None:
    told.open("a", 20)
    told.open("b", 21, kind="decay")
    told.over("a")
    between = told.changed_at
    told.over("b")

    assert between == moment(21)
    assert told.changed_at is None


def test_information_is_no_change_and_its_end_ends_none(told: Told) -> None:
    told.open("a", 20)
    told.open("b", 21, severity="info")
    told.over("b")

    assert told.changed_at == moment(20)
