"""Two alarms of one stroke, of different causes, ask for one training: the second sees what the first has asked for."""

from dataclasses import replace

import msgspec

import noria
from noria.domain import events as e
from noria.domain.alert import Alert, AlertKind
from noria.domain.ids import AlertId, EventId
from noria.domain.ledger import Draft
from tests.loop.small import BEGIN, open_life


def at_any_time(recipe: noria.Recipe) -> noria.Recipe:
    policy = msgspec.structs.replace(
        recipe.policy, cooldown_days=0.0, minimum_labels=1, growth=0.0, on=("decay", "input_drift")
    )
    return replace(recipe, policy=policy)


def test_two_alarms_of_one_stroke_ask_for_one_training() -> None:
    with open_life(change=at_any_time) as life:
        life.declare().live(range(BEGIN, BEGIN + 3))
        before = len(life.all(e.RetrainRequested))

        def opened(kind: AlertKind, name: str) -> Draft:
            alert = Alert(
                id=AlertId(name * 32),
                kind=kind,
                deployment="returns",
                number=1,
                opened_at=life.clock.now(),
                severity="page",
                summary="it hurts",
                group=name * 32,
            )
            event = e.AlertOpened(deployment="returns", alert=alert)
            return Draft(id=EventId(f"alert-{name}"), at=life.clock.now(), actor="noria", event=event)

        life.workspace.ledger.append([opened("decay", "a"), opened("input_drift", "b")])
        life.loop.turn()

        assert len(life.all(e.RetrainRequested)) == before + 1
        assert "under way" in life.all(e.RetrainSuppressed)[-1].reason
