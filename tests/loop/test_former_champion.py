"""A world that comes back is answered by the version that knows it: let in as a challenger, by the wheel, and nothing is trained."""

from dataclasses import replace

import msgspec

import noria
from noria.domain import events as e
from noria.domain.alert import Alert
from noria.domain.ids import AlertId, EventId
from noria.domain.ledger import Draft
from noria.governance.audit import verify
from noria.loop.champion import answering_since, champion_since
from tests.loop.small import BEGIN, World, moment, open_life

NOW = BEGIN + 2
TURNS, BACK = 22, 31


def by_hand(recipe: noria.Recipe) -> noria.Recipe:
    """Nothing is trained unless a person, or the test, asks."""
    return replace(recipe, policy=msgspec.structs.replace(recipe.policy, on=(), recent_days=3, backtest_days=3))


def test_a_former_champion_is_tried_again_when_its_world_is_back() -> None:
    with open_life(world=World(turns=TURNS, turns_back=BACK), change=by_hand) as life:
        life.declare().live(range(NOW, 28))
        life.request()
        life.live(range(28, BACK + 3))
        assert [x.number for x in life.all(e.RolloutPromoted)] == [1, 2]
        promoted = life.all(e.RolloutPromoted)[-1]
        champion = life.workspace.deployments.get("returns")
        since = champion_since(life.workspace.ledger, champion, 2)
        rollout = next(r for r in life.workspace.deployments.rollouts("returns") if r.id == promoted.rollout_id)
        answered = answering_since(life.workspace.ledger, life.workspace.deployments, champion, 2)
        assert answered == rollout.started_at < since, "what it answered as challenger counts"
        asked = len(life.all(e.RetrainRequested))
        alert = Alert(
            id=AlertId("a" * 32),
            kind="decay",
            deployment="returns",
            number=2,
            opened_at=life.clock.now(),
            severity="page",
            summary="the model has decayed",
            evidence={"changed_at": moment(BACK).isoformat(), "recent_excess_loss": 0.5},
        )
        opened = e.AlertOpened(deployment="returns", alert=alert)
        life.workspace.ledger.append([Draft(id=EventId("alert"), at=life.clock.now(), actor="noria", event=opened)])

        life.loop.turn()
        life.loop.turn()

        approved = life.all(e.ModelVersionApproved)[-1]
        assert (approved.number, approved.by) == (1, "noria")
        assert approved.reason.startswith("the world that version 1 knows is back: on ")
        assert life.all(e.RolloutStarted)[-1].rollout.challenger == 1
        assert len(life.all(e.RetrainRequested)) == asked
        assert len([x for x in life.all(e.ModelVersionApproved) if x.number == 1]) == 2
        assert verify(life.workspace.ledger, project="small").whole
