"""People and the loop act on one deployment: what people begin the loop judges, what they stop it leaves alone."""

import pytest

import noria
from noria.app.deploying import deploy, plan
from noria.app.deploying_acts import overrule, resume, stop
from noria.domain import events as e
from tests.loop.small import BEGIN, DEPLOYMENT, Life, open_life

CANARY = noria.CanaryPlan(weight=0.5, minimum_labels=60, maximum_days=3, paired=True)
FIRST = BEGIN + 2


def two_versions(life: Life) -> None:
    """The second was tried by the loop, and taken out by a person."""
    life.declare().live(range(FIRST, FIRST + 2))
    life.request()
    overrule(life.workspace, DEPLOYMENT, "roll_back", reason="not this week", actor="ada")
    life.loop.turn()


@pytest.mark.slow
def test_what_a_person_tries_is_judged_by_the_loop_and_what_is_stopped_is_left_alone() -> None:
    with open_life() as life:
        two_versions(life)
        assert life.workspace.models.alias(DEPLOYMENT, "champion") == 1
        assert [r.outcome for r in life.workspace.deployments.rollouts(DEPLOYMENT)] == ["rolled_back"]

        planned = deploy(
            life.workspace, DEPLOYMENT, model=DEPLOYMENT, version="2", changes={"canary": CANARY}, actor="ada"
        )
        assert "is found with a chance of" in planned.differences[0].consequence
        life.live(range(FIRST + 2, FIRST + 6))

        begun = life.all(e.RolloutStarted)[-1].rollout
        assert begun.outlook is not None
        assert life.workspace.deployments.rollouts(DEPLOYMENT)[-1].outcome == "promoted"
        assert life.workspace.models.alias(DEPLOYMENT, "champion") == 2
        assert life.all(e.RolloutPromoted)[-1].rollout_id == begun.id
        assert life.kinds().count("AliasMoved") == 2

        stop(life.workspace, DEPLOYMENT, reason="wrong refunds", actor="ada")
        assert life.workspace.deployments.get(DEPLOYMENT).variants[0].number == 1
        before = life.kinds()
        life.live(range(FIRST + 6, FIRST + 7))
        life.request(number=2)
        stands = life.workspace.deployments.get(DEPLOYMENT)
        assert stands.stopped is not None
        assert "RolloutStarted" not in life.kinds()[len(before) :]

        resume(life.workspace, DEPLOYMENT, actor="ada")
        assert life.workspace.deployments.get(DEPLOYMENT).variants[0].number == 2
        assert plan(life.workspace, {DEPLOYMENT: noria.Declaration(model=DEPLOYMENT, canary=CANARY)}).notes == ()
