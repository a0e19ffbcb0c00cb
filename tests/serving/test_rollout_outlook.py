"""What a rollout can show is told before, and turns out so; a bandit's split; what a rollout does to a deployment."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from msgspec.structs import replace

from noria.domain.deployment import CanaryPlan, CanaryStep, Deployment, Objective, Rollout, Variant, Verdict
from noria.domain.ids import Digest, EventId, RolloutId
from noria.errors import Conflict, InputInvalid
from noria.serving import rollout as rolling
from noria.serving.bandit import follow
from noria.serving.evidence import Evidence, Sample
from noria.serving.outlook import Pace, outlook
from noria.serving.verdict import judge_rollout
from noria.stats.arms import difference_scores

START = datetime(2026, 1, 1, tzinfo=UTC)
PACE = Pace(labels_per_day=1000, requests_per_day=1000, spread=0.5)
AB = CanaryPlan(mode="ab", weight=0.5)
ENDED = Verdict(outcome="promote", reason="won")


def a_rollout(plan: CanaryPlan, number: str = "r") -> Rollout:
    return Rollout(id=RolloutId(number), challenger=2, champion=1, plan=plan, started_at=START, cause=EventId("c"))


def a_variant(name: str, number: int, weight: float) -> Variant:
    return Variant(name=name, model="m", number=number, version=f"{number}.0.0", bundle=Digest("b"), weight=weight)


def a_deployment(*variants: Variant) -> Deployment:
    given = variants or (a_variant("champion", 1, 1.0),)
    return Deployment(name="d", model="m", generation=4, variants=given, updated_at=START, sticky_by="input:user")


def test_the_power_that_was_told_is_the_share_that_is_found() -> None:
    told = outlook(AB, PACE, effect=0.0)
    asked = outlook(AB, PACE)
    rng = np.random.default_rng(3)
    found = 0
    for _ in range(60):
        ours = rng.random(7000) < 0.5
        lost = rng.exponential(0.5, 7000) - asked.effect * ours
        scores = difference_scores(lost, ours, chance=np.full(7000, 0.5), units=np.arange(7000))
        for n in range(1000, 7001, 500):
            sample = Sample(scores=scores[:n], champion_rows=n // 2, challenger_rows=n // 2)
            outcome = judge_rollout(a_rollout(AB), Evidence(quality=sample), now=START + timedelta(days=1)).outcome
            if outcome != "wait":
                found += outcome == "promote"
                break

    assert told.power <= AB.error_rate
    assert asked.power == pytest.approx(0.8, abs=0.02)
    assert found / 60 == pytest.approx(asked.power, abs=0.16)


def test_more_labels_pairs_and_time_show_smaller_effects() -> None:
    plan = CanaryPlan(tolerance=0.01)
    usual = outlook(plan, PACE).effect

    assert outlook(plan, Pace(labels_per_day=4000, requests_per_day=4000, spread=0.5)).effect < usual
    assert outlook(replace(plan, maximum_days=28.0), PACE).effect < usual
    paired = Pace(labels_per_day=1000, requests_per_day=1000, spread=0.5, pair_spread=0.1)
    assert outlook(replace(plan, paired=True), paired).effect < usual / 2
    late = outlook(plan, replace_delay(30.0))
    assert (late.effect, late.days) == (
        pytest.approx(usual, rel=0.1),
        pytest.approx(outlook(plan, PACE).days + 30, rel=0.1),
    )
    assert late.delay_days == 30.0, "labels that come late show as much, later"


def replace_delay(days: float) -> Pace:
    return Pace(labels_per_day=1000, requests_per_day=1000, spread=0.5, delay_days=days)


@pytest.mark.parametrize(
    ("plan", "pace", "words"),
    [
        (CanaryPlan(), Pace(labels_per_day=0, requests_per_day=10, spread=0.5), "no label arrives"),
        (CanaryPlan(minimum_labels=0, steps=(CanaryStep(weight=0.5, hours=36),)), PACE, "does not wait for labels"),
        (replace(AB, objectives=(Objective(measure="business", limit=0, name="x"),)), PACE, "nothing is known yet"),
    ],
)
def test_what_cannot_be_told_says_why(plan: CanaryPlan, pace: Pace, words: str) -> None:
    told = outlook(plan, pace)

    assert (told.power, told.effect) == (0.0, 0.0)
    assert words in told.note


def test_a_bandits_split_is_the_same_for_the_same_evidence_and_within_its_bounds() -> None:
    plan = CanaryPlan(mode="bandit", floor=0.3)
    many = Sample(champion_rows=500, challenger_rows=500)
    better = Evidence(quality=many, arms=((0.5, 0.01), (0.4, 0.01)))
    worse = Evidence(quality=many, arms=((0.4, 0.01), (0.5, 0.01)))
    equal = Evidence(quality=many, arms=((0.5, 0.01), (0.5, 0.01)))

    assert follow(a_rollout(plan), better, share=0.2) == follow(a_rollout(plan), better, share=0.2) == 0.7
    assert follow(a_rollout(plan), worse, share=0.2) == 0.05
    assert follow(a_rollout(plan), equal, share=0.5) is None, "a move of less than five hundredths is none"
    assert follow(a_rollout(plan), Evidence(arms=better.arms), share=0.2) is None, "too few labels"


def test_a_rollout_begins_moves_and_ends_beside_other_arms() -> None:
    arms = (a_variant("champion", 1, 0.7), a_variant("green", 9, 0.3))
    plan = CanaryPlan(steps=(CanaryStep(weight=0.1), CanaryStep(weight=0.4)))

    begun = rolling.begin(a_deployment(*arms), a_variant("x", 2, 0), plan, cause=EventId("c"), now=START)
    moved = rolling.advance(begun, share=0.4, now=START)
    won = rolling.end(moved, ENDED, now=START)
    lost = rolling.end(moved, replace(ENDED, outcome="roll_back"), now=START)

    shares = [[(v.name, v.number, v.weight) for v in d.variants] for d in (begun, moved, won, lost)]
    assert shares == [
        [("champion", 1, 0.6), ("challenger", 2, 0.1), ("green", 9, 0.3)],
        [("champion", 1, 0.3), ("challenger", 2, 0.4), ("green", 9, 0.3)],
        [("champion", 2, 0.7), ("green", 9, 0.3)],
        [("champion", 1, 0.7), ("green", 9, 0.3)],
    ]
    assert [d.generation for d in (begun, moved, won)] == [5, 6, 7]
    assert len({d.cause for d in (begun, moved, won)}) == 3
    assert won.sticky_by == "input:user"


def test_a_shadow_takes_no_share() -> None:
    plan = CanaryPlan(mode="shadow", weight=0.5)

    begun = rolling.begin(a_deployment(), a_variant("x", 2, 0), plan, cause=EventId("c"), now=START)
    won = rolling.end(begun, ENDED, now=START)

    assert [(v.weight, v.shadow) for v in begun.variants] == [(1.0, False), (0.5, True)]
    assert [(v.number, v.weight, v.shadow) for v in won.variants] == [(2, 1.0, False)]


def test_what_cannot_begin_or_end_is_refused() -> None:
    begun = rolling.begin(a_deployment(), a_variant("x", 2, 0), CanaryPlan(), cause=EventId("c"), now=START)

    with pytest.raises(Conflict, match="is being rolled out"):
        rolling.begin(begun, a_variant("x", 3, 0), CanaryPlan(), cause=EventId("d"), now=START)
    with pytest.raises(Conflict, match="no rollout runs"):
        rolling.end(a_deployment(), ENDED, now=START)
    lone = a_deployment(a_variant("b", 1, 1.0))
    with pytest.raises(Conflict, match="has no champion"):
        rolling.begin(lone, a_variant("x", 2, 0), CanaryPlan(), cause=EventId("c"), now=START)
    with pytest.raises(InputInvalid):
        rolling.begin(a_deployment(), a_variant("x", 2, 0), CanaryPlan(weight=2), cause=EventId("c"), now=START)
