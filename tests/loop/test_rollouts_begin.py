"""An approved version meets traffic: the first at once, later ones beside the champion, one at a time, once however often it is repeated."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import msgspec
import pytest

import noria
from noria.domain import events as e
from noria.domain.deployment import Stop
from noria.domain.ids import Digest, EventId
from noria.domain.ledger import Draft, Entry
from noria.domain.prediction import GroundTruth, PredictionRecord
from noria.loop.context import Context
from noria.loop.stages.register import approve_again
from noria.loop.stages.rollout import roll_out
from noria.testing.clock import FakeClock
from noria.testing.models_suite import a_version
from tests.loop.test_rollouts import NAME, START, a_recipe


@pytest.fixture
def context() -> Any:
    with noria.Workspace.ephemeral("begins", clock=FakeClock(START)) as workspace:
        yield noria.Loop(workspace, [a_recipe()], tell=False).context


def approved(context: Context, number: int) -> Entry:
    """A version, and the word that lets it meet traffic."""
    context.models.register(a_version(number, model=NAME))
    event = e.ModelVersionApproved(deployment=NAME, model=NAME, number=number, by="gates", reason="passed")
    draft = Draft(id=EventId(f"approve-{number}"), at=context.clock.now(), actor="noria", event=event)
    return context.ledger.append([draft])[0]


def numbers(context: Context) -> list[tuple[str, int]]:
    return [(v.name, v.number) for v in context.deployments.get(NAME).variants]


def test_the_first_version_answers_at_once_and_the_next_is_tried_beside_it(context: Context) -> None:
    (first,) = roll_out(approved(context, 1), context)
    (second,) = roll_out(approved(context, 2), context)

    assert isinstance(first, e.RolloutPromoted)
    assert (first.number, first.previous) == (1, None)
    assert isinstance(second, e.RolloutStarted)
    assert numbers(context) == [("champion", 1), ("challenger", 2)]
    assert second.rollout == context.deployments.get(NAME).rollout
    assert second.rollout.outlook is not None
    assert "no label arrives" in second.rollout.outlook.note


def test_what_is_approved_while_another_is_tried_takes_its_place_and_both_are_told(context: Context) -> None:
    for number in (1, 2):
        roll_out(approved(context, number), context)

    entry = approved(context, 3)
    events = roll_out(entry, context)

    assert [type(event) for event in events] == [e.RolloutRolledBack, e.RolloutStarted]
    assert isinstance(events[0], e.RolloutRolledBack)
    assert (events[0].number, events[0].champion) == (2, 1)
    assert "version 3 was approved meanwhile" in events[0].verdict.reason
    assert numbers(context) == [("champion", 1), ("challenger", 3)]
    assert [r.outcome for r in context.deployments.rollouts(NAME)] == ["rolled_back", "running"]
    assert roll_out(entry, context) == events, "a stage that is repeated meets its own work"
    assert context.deployments.get(NAME).generation == 4


def test_a_crash_between_the_two_generations_loses_neither_event(context: Context) -> None:
    for number in (1, 2):
        roll_out(approved(context, number), context)
    entry = approved(context, 3)
    whole = roll_out(entry, context)
    standing = context.deployments.get(NAME)
    with noria.Workspace.ephemeral("crashed", clock=FakeClock(START)) as other:
        again = noria.Loop(other, [a_recipe()], tell=False).context
        for number in (1, 2, 3):
            again.models.register(a_version(number, model=NAME))
        for past in context.deployments.history(NAME)[:3]:  # the second trial is over, the third was not written
            again.deployments.put(past)

        assert roll_out(entry, again) == whole
        assert again.deployments.get(NAME) == standing


def test_a_stopped_deployment_gets_no_challenger(context: Context) -> None:
    roll_out(approved(context, 1), context)
    standing = context.deployments.get(NAME)
    stop = Stop(at=START, actor="ada", reason="look", number=1)
    context.deployments.put(msgspec.structs.replace(standing, generation=2, stopped=stop, cause=EventId("stop")))

    assert roll_out(approved(context, 2), context) == []
    assert numbers(context) == [("champion", 1)]


def told(context: Context, event: e.AnyEvent, name: str) -> Entry:
    return context.ledger.append([Draft(id=EventId(name), at=context.clock.now(), actor="ada", event=event)])[0]


def test_what_was_approved_while_it_was_stopped_is_tried_when_it_goes_on_and_nothing_older(context: Context) -> None:
    for number in (1, 2):
        roll_out(approved(context, number), context)
    told(context, e.DeploymentStopped(deployment=NAME, number=1, generation=3, reason="look"), "stop")
    resumed = e.DeploymentResumed(deployment=NAME, number=1, generation=4, reason="go on")
    assert approve_again(told(context, resumed, "resume-1"), context) == [], "what stood before the stop is over"

    for number in (3, 4):
        approved(context, number)
    goes_on = told(context, resumed, "resume-2")
    (again,) = approve_again(goes_on, context)

    assert isinstance(again, e.ModelVersionApproved)
    assert (again.number, again.by) == (4, "gates")
    assert "waited while the deployment was stopped" in again.reason

    roll_out(context.ledger.get(EventId("approve-4")), context)
    assert approve_again(goes_on, context) == [], "it was tried meanwhile"


def test_a_bundle_that_is_away_makes_no_outlook_and_holds_nothing_up(context: Context) -> None:
    """Rows that both versions would be scored on need their bundles."""
    with noria.Workspace.ephemeral("paired", clock=FakeClock(START)) as workspace:
        recipe = replace(a_recipe(), canary=noria.CanaryPlan(paired=True))
        paired = noria.Loop(workspace, [recipe], tell=False).context
        roll_out(approved(paired, 1), paired)
        write_one(paired)

        (started,) = roll_out(approved(paired, 2), paired)

    assert isinstance(started, e.RolloutStarted)
    assert started.rollout.outlook is not None
    assert "not known before it starts" in started.rollout.outlook.note


def write_one(context: Context) -> None:
    at = START - timedelta(hours=2)
    record = PredictionRecord(
        request_id="r" + "0" * 31 + "1",
        deployment=NAME,
        variant="champion",
        model=NAME,
        number=1,
        bundle=Digest("blake3:1"),
        generation=1,
        at=at,
        latency_us=900,
        protocol="v2",
        rows=1,
        inputs={"price": [1.0]},
        outputs={"probability": [0.5]},
    )
    context.predictions.writer(NAME, name="w").write([record])
    context.predictions.add_labels(NAME, [GroundTruth(prediction_id=record.prediction_id(0), value=1.0, at=at)])
