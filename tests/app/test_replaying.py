"""A policy over recorded history: the same policy does what was done, another one says where it would have differed, and nothing is written."""

from collections.abc import Iterator
from datetime import timedelta

import msgspec
import pytest

import noria
from noria.app.replaying import PolicyReplay, replay_policy
from noria.app.replaying_fit import replay_fit
from noria.domain import events as e
from noria.domain.policy import Policy
from noria.errors import InputInvalid, NotFound
from noria.testing.clock import FakeClock
from tests.app.recorded import NAME, a_record, day, the_end
from tests.loop.small import BEGIN, POLICY, Life, World, moment, open_life

NOW = BEGIN + 2
EAGER = msgspec.structs.replace(POLICY, growth=0.05, cooldown_days=1)


@pytest.fixture(scope="module")
def life() -> Iterator[Life]:
    """A world that turns: an alarm, a challenger that comes too early and is refused, one that is promoted."""
    with open_life(world=World(turns=28)) as life:
        yield life.declare().live(range(NOW, 43))


def replayed(life: Life, policy: Policy, **changes: object) -> PolicyReplay:
    return replay_policy(life.workspace, "returns", policy, recipe=life.recipe, **changes)  # type: ignore[arg-type]


@pytest.mark.slow
def test_the_same_policy_does_what_was_done(life: Life) -> None:
    found = replayed(life, POLICY)

    assert [(x.at, x.trigger) for x in found.asked] == [(x.at, x.trigger) for x in found.done]
    assert len(found.done) >= 3
    assert found.parts_at is None
    assert all(x.both for x in (*found.asked, *found.done))
    assert [x.outcome for x in found.asked] == [f"{x.outcome}, as recorded" for x in found.done]
    assert found.notes == ()


@pytest.mark.slow
def test_a_spent_budget_is_refused_with_its_reason(life: Life) -> None:
    found = replayed(life, msgspec.structs.replace(POLICY, budget_per_year=1))

    assert [x.trigger for x in found.asked] == ["declared"]
    assert any("the budget of 1 retrainings" in x.reason for x in found.refused)
    assert found.parts_at == found.done[1].at
    assert [x.both for x in found.done] == [True] + [False] * (len(found.done) - 1)


@pytest.mark.slow
def test_what_is_not_on_record_is_assumed_and_said(life: Life) -> None:
    found = replayed(life, EAGER)

    extra = [x for x in found.asked if not x.both]
    assert len(found.asked) > len(found.done)
    assert {x.trigger for x in extra} == {"growth"}
    assumed = [x for x in extra if x.outcome == "promoted, as is assumed"]
    assert assumed
    assert all(x.outcome.endswith("as recorded") for x in extra if x not in assumed), (
        "asked at the same time, for another reason"
    )
    assert found.notes[0].startswith(f"{len(assumed)} retrainings are not on record")


@pytest.mark.slow
def test_a_part_of_the_record_begins_where_the_record_stands(life: Life) -> None:
    request = [x for x in life.workspace.ledger.read() if isinstance(x.event, e.RetrainRequested)][1]

    found = replayed(life, POLICY, since=request.at, until=request.at + timedelta(days=2))

    assert [(x.at, x.trigger) for x in found.asked] == [(request.at, "decay")]
    assert found.parts_at is None


def test_a_stop_switch_that_was_pulled_holds_in_the_replay_too() -> None:
    lax = Policy(minimum_labels=0, cooldown_days=1, growth=0)
    stop = e.DeploymentStopped(deployment=NAME, number=1, generation=2, reason="a recall")
    with noria.Workspace.ephemeral("recorded", clock=FakeClock(day(60))) as workspace:
        a_record(workspace, on_day_39=stop)
        the_end(workspace)
        found = replay_policy(workspace, NAME, lax)

    assert [x.at for x in found.asked] == [day(0)]
    assert "stopped" in found.refused[0].reason


def test_an_alert_stands_as_long_as_nothing_else_answers() -> None:
    """On record it was over on day 60; a version that was promoted in the replay ends it earlier."""
    with noria.Workspace.ephemeral("recorded", clock=FakeClock(day(60))) as workspace:
        a_record(workspace)
        the_end(workspace)
        found = replay_policy(workspace, NAME, Policy(minimum_labels=0, cooldown_days=5, growth=0))

    assert [x.at for x in found.asked] == [day(0), day(40)]
    assert found.asked[1].outcome == "promoted, as is assumed"
    assert "after 7.0 days" in found.notes[0]


@pytest.mark.slow
def test_nothing_of_the_project_is_written(life: Life) -> None:
    before = life.workspace.ledger.head()

    replayed(life, EAGER)

    assert life.workspace.ledger.head() == before


@pytest.mark.slow
def test_without_a_recipe_the_ledger_is_enough(life: Life) -> None:
    assert replay_policy(life.workspace, "returns", POLICY).parts_at is None


@pytest.mark.slow
def test_a_deployment_that_was_never_declared_is_told_with_those_that_were(life: Life) -> None:
    with pytest.raises(NotFound, match="no deployment in the ledger 'return'") as raised:
        replay_policy(life.workspace, "return", POLICY)
    assert "'returns'" in raised.value.cause


@pytest.mark.slow
def test_a_stretch_without_a_record_is_refused(life: Life) -> None:
    with pytest.raises(InputInvalid, match="nothing is recorded between"):
        replayed(life, POLICY, until=moment(1))


@pytest.mark.slow
def test_the_same_policy_lived_again_gives_the_same_decisions_and_answers(life: Life) -> None:
    found = replay_fit(life.workspace, life.recipe, POLICY, since=moment(NOW), until=moment(43))

    requests = [x for x in life.all(e.RetrainRequested) if x.trigger != "declared"]
    assert found.retrainings == len(requests)
    assert [x.at for x in found.steps if x.kind == "RetrainRequested"][1:] != []
    assert found.total.relived == pytest.approx(found.total.served, abs=0.01)
    assert found.left_out == 0
