"""The verdict on a rollout: harm is stopped early, doubt waits, each mode ends as it says, and how often equal challengers are thrown out."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from msgspec.structs import replace

from noria.domain.deployment import CanaryPlan, CanaryStep, Judged, Objective, Outlook, Rollout, Verdict
from noria.domain.ids import EventId, RolloutId
from noria.errors import InputInvalid
from noria.serving.evidence import Beside, Evidence, Sample, Tally
from noria.serving.objectives import objectives_of
from noria.serving.verdict import judge_rollout
from noria.stats.arms import difference_scores

START = datetime(2026, 1, 1, tzinfo=UTC)
PLAN = CanaryPlan()
LATENCY = Objective(measure="latency", limit=0.05, threshold_ms=50)
REVENUE = Objective(measure="business", limit=0.5, name="revenue")


def losses(rng: np.random.Generator, n: int, *, worse: float = 0.0) -> np.ndarray:
    return rng.exponential(0.4, n) + worse


def arms(rng: np.random.Generator, n: int, *, worse: float = 0.0, share: float = 0.2) -> Sample:
    """n labelled answers of both arms, as a draw sends them."""
    ours = rng.random(n) < share
    lost = losses(rng, n) + worse * ours
    scores = difference_scores(lost, ours, chance=np.where(ours, share, 1 - share), units=np.arange(n))
    return Sample(scores=scores, champion_rows=int((~ours).sum()), challenger_rows=int(ours.sum()))


def pairs(scores: np.ndarray) -> Sample:
    return Sample(scores=scores, paired=True, champion_rows=scores.size, challenger_rows=scores.size)


def a_rollout(plan: CanaryPlan, **more: object) -> Rollout:
    fields = {"id": RolloutId("r"), "challenger": 2, "champion": 1, "started_at": START, "cause": EventId("c")}
    return Rollout(plan=plan, **(fields | more))  # type: ignore[arg-type]


def a_verdict(
    quality: Sample | None = None, *, days: float = 2.0, plan: CanaryPlan = PLAN, step: int = 0, **more: object
) -> Verdict:
    evidence = Evidence(quality=quality or Sample(), **more)  # type: ignore[arg-type]
    return judge_rollout(a_rollout(plan, step=step), evidence, now=START + timedelta(days=days))


def said_of(verdict: Verdict, measure: str) -> Judged:
    return next(each for each in verdict.objectives if each.measure == measure)


def test_few_labels_wait_and_at_the_end_the_champion_stays() -> None:
    rng = np.random.default_rng(1)
    few = arms(rng, 500)

    early, late = a_verdict(few), a_verdict(few, days=7)

    assert (a_verdict().outcome, early.outcome, late.outcome) == ("wait", "wait", "roll_back")
    assert f"{few.challenger_rows} of 500 labels" in early.reason
    assert "nothing was shown" in late.reason
    assert early.looks == 1


def test_what_is_overwhelming_is_believed_before_all_labels_have_come() -> None:
    rng = np.random.default_rng(11)

    def outcome(mean: float, rows: int, days: float = 1.0) -> tuple[str, str]:
        found = a_verdict(pairs(rng.normal(mean, 0.3, rows)), days=days)
        return found.outcome, found.reason

    assert outcome(-0.3, 150)[0] == "promote"
    assert "far better" in outcome(-0.3, 150)[1]
    assert outcome(0.3, 150)[0] == "roll_back"
    assert outcome(-0.3, 120)[0] == "wait"
    assert outcome(-0.04, 150) == ("wait", "150 of 500 labels have arrived")
    assert outcome(-0.04, 150, days=7)[0] == "roll_back"  # by then nothing was shown, whatever the estimate


def test_where_labels_come_late_its_days_begin_when_they_can_be_there() -> None:
    told = Outlook(effect=0.0, power=0.0, labels=0, days=17.0, labels_per_day=100.0, delay_days=10.0)
    rollout = replace(a_rollout(PLAN), outlook=told)

    def outcome(days: float) -> str:
        return judge_rollout(rollout, Evidence(), now=START + timedelta(days=days)).outcome

    assert [outcome(days) for days in (7.0, 16.9, 17.0)] == ["wait", "wait", "roll_back"]


def test_a_clearly_worse_challenger_is_rolled_back_before_the_end() -> None:
    found = a_verdict(arms(np.random.default_rng(2), 5000, worse=0.15))

    assert found.outcome == "roll_back"
    assert "surely worse" in found.reason
    assert found.difference is not None
    assert found.difference.low > PLAN.tolerance
    assert (found.objectives[0].measure, found.objectives[0].outcome) == ("quality", "broken")


def test_a_clearly_better_challenger_is_promoted_before_the_end() -> None:
    found = a_verdict(arms(np.random.default_rng(3), 5000, worse=-0.15))

    assert found.outcome == "promote"
    assert "surely not worse" in found.reason


def test_doubt_waits_and_at_the_end_the_estimate_decides_and_says_so() -> None:
    doubtful = arms(np.random.default_rng(4), 5000)
    even = replace_scores(doubtful, doubtful.scores - doubtful.scores.mean())

    assert a_verdict(even).outcome == "wait"
    late = a_verdict(even, days=7)
    beyond = a_verdict(replace_scores(even, even.scores + 0.02), days=7)

    assert late.outcome == "promote"
    assert "by estimate, not beyond doubt" in late.reason
    assert beyond.outcome == "roll_back"
    assert "undecided" in beyond.reason


def replace_scores(sample: Sample, scores: np.ndarray) -> Sample:
    return Sample(scores=scores, champion_rows=sample.champion_rows, challenger_rows=sample.challenger_rows)


def test_rows_that_both_versions_answered_decide_far_sooner() -> None:
    rng = np.random.default_rng(6)

    apart = a_verdict(arms(rng, 3000, worse=-0.01))
    paired = a_verdict(pairs(rng.normal(-0.01, 0.08, 3000)))

    assert (apart.outcome, paired.outcome) == ("wait", "promote")


def test_failing_requests_roll_back_unless_the_champion_fails_as_well() -> None:
    alone = Beside(challenger=Tally(hits=20, rows=300), champion=Tally(rows=1200))
    both = Beside(challenger=Tally(hits=7, rows=107), champion=Tally(hits=28, rows=428))

    assert a_verdict(failures=alone).outcome == "roll_back"
    assert "20 of 300 requests failed" in a_verdict(failures=alone).reason
    assert a_verdict(failures=both).outcome == "wait"


def test_a_challenger_that_answers_nothing_is_out_after_a_handful_of_requests() -> None:
    crash = [Beside(challenger=Tally(hits=n, rows=n), champion=Tally(rows=100)) for n in range(1, 11)]

    outcomes = [a_verdict(failures=found, days=0.001).outcome for found in crash]

    assert outcomes[0] == "wait"
    assert outcomes.index("roll_back") < 6


def test_declared_objectives_must_be_shown_and_what_is_only_watched_must_not_be_broken() -> None:
    rng = np.random.default_rng(8)
    plan = CanaryPlan(objectives=(LATENCY,))
    good = arms(rng, 8000, worse=-0.15)
    few, many = (Beside(challenger=Tally(hits=n // 100, rows=n), champion=Tally(rows=n)) for n in (20, 2000))
    slow = Beside(challenger=Tally(hits=200, rows=2000), champion=Tally(hits=10, rows=2000))

    waiting = a_verdict(good, plan=plan, slow={50: few})
    assert waiting.outcome == "wait"
    assert waiting.objectives[0].measure == "latency"
    assert a_verdict(good, plan=plan, slow={50: many}).outcome == "promote"
    assert a_verdict(good, plan=plan, slow={50: slow}).outcome == "roll_back"
    assert said_of(a_verdict(good), "errors").outcome == "open"


def test_disagreement_is_judged_on_rows_that_both_answered() -> None:
    rng = np.random.default_rng(9)
    plan = CanaryPlan(objectives=(Objective(measure="disagreement", limit=0.05),), mode="shadow", weight=1.0)
    alike, apart = np.abs(rng.normal(0, 0.02, 1000)), np.abs(rng.normal(0, 0.2, 1000))
    good = pairs(rng.normal(-0.01, 0.08, 3000))

    assert a_verdict(good, plan=plan, disagreement=alike).outcome == "promote"
    found = a_verdict(good, plan=plan, disagreement=apart)
    assert found.outcome == "roll_back"
    assert "the answers differ by" in found.reason


def test_an_ab_test_promotes_only_what_is_surely_better_and_ends_with_the_champion() -> None:
    plan = CanaryPlan(mode="ab", weight=0.5)
    equal = arms(np.random.default_rng(10), 6000, share=0.5)
    better = arms(np.random.default_rng(11), 6000, share=0.5, worse=-0.1)

    assert a_verdict(equal, plan=plan).outcome == "wait"
    late = a_verdict(equal, plan=plan, days=7)
    assert late.outcome == "roll_back"
    assert "not shown to be better in 7.0 days" in late.reason
    assert a_verdict(better, plan=plan).outcome == "promote"


def test_an_ab_test_of_a_business_metric_needs_no_labels() -> None:
    plan = CanaryPlan(mode="ab", weight=0.5, objectives=(REVENUE,))
    more = arms(np.random.default_rng(12), 6000, share=0.5, worse=-0.1)
    less = arms(np.random.default_rng(13), 6000, share=0.5, worse=0.1)

    assert a_verdict(plan=plan, business={"revenue": more}).outcome == "promote"
    assert a_verdict(plan=plan, business={"revenue": less}).outcome == "roll_back"
    assert "values of 'revenue'" in a_verdict(plan=plan).reason


def test_a_schedule_is_walked_to_its_end_however_sure_the_evidence_is() -> None:
    steps = (CanaryStep(weight=0.05, hours=1), CanaryStep(weight=0.5, hours=24))
    plan = CanaryPlan(steps=steps)
    good, bad = (arms(np.random.default_rng(14), 8000, worse=w) for w in (-0.15, 0.15))

    assert a_verdict(good, plan=plan, step=0).outcome == "wait"
    assert "step 1 of 2 (5%) is done" in a_verdict(good, plan=plan, step=0).reason
    assert a_verdict(good, plan=plan, step=1, days=2).outcome == "promote"
    assert a_verdict(bad, plan=plan, step=0).outcome == "roll_back"
    late = a_verdict(good, plan=plan, step=0, days=7)
    assert "the schedule was not completed" in late.reason


def test_a_plan_without_labels_promotes_by_its_schedule_and_its_objectives() -> None:
    steps = (CanaryStep(weight=0.1, requests=100), CanaryStep(weight=0.5, requests=500))
    plan = CanaryPlan(steps=steps, minimum_labels=0)

    assert a_verdict(plan=plan, step=1, step_requests=499).outcome == "wait"
    done = a_verdict(plan=plan, step=1, step_requests=500)
    assert (done.outcome, done.reason) == ("promote", "the schedule is completed, and nothing was broken")


def test_a_clock_that_was_set_back_makes_a_step_longer_and_never_shorter() -> None:
    plan = CanaryPlan(steps=(CanaryStep(weight=0.5, hours=1),), minimum_labels=0)

    assert a_verdict(plan=plan, days=-3).outcome == "wait"
    assert "0 of 1 hours" in a_verdict(plan=plan, days=-3).reason


def test_failures_and_quality_are_always_judged_and_by_the_plans_own_words_if_it_has_some() -> None:
    own = CanaryPlan(objectives=(Objective(measure="errors", limit=0.2), REVENUE))

    assert [o.measure for o in objectives_of(PLAN)] == ["errors", "quality"]
    assert [(o.measure, o.limit) for o in objectives_of(own)] == [
        ("errors", 0.2),
        ("quality", 0.005),
        ("business", 0.5),
    ]


def test_looks_at_equal_arms_are_wrong_no_more_often_than_the_plan_allows() -> None:
    rng = np.random.default_rng(5)
    plan = CanaryPlan(tolerance=0.0, maximum_days=100.0)
    wrong = {"roll_back": 0, "promote": 0}
    for _ in range(200):
        whole = arms(rng, 10_000)
        for day in range(3, 11):
            n = 1000 * day
            seen = Sample(scores=whole.scores[:n], champion_rows=n * 8 // 10, challenger_rows=n * 2 // 10)
            found = a_verdict(seen, days=day, plan=plan).outcome
            if found != "wait":
                wrong[found] += 1
                break

    assert wrong["roll_back"] / 200 <= plan.error_rate
    assert wrong["promote"] / 200 <= plan.error_rate


@pytest.mark.parametrize(
    "changes",
    [
        {"error_rate": 0.0},
        {"minimum_labels": -1},
        {"weight": 1.0},
        {"minimum_labels": 0},
        {"mode": "ab", "steps": (CanaryStep(weight=0.5),)},
        {"objectives": (Objective(measure="latency", limit=0.05),)},
        {"objectives": (Objective(measure="business", limit=0.5),)},
        {"objectives": (Objective(measure="errors", limit=2.0),)},
        {"mode": "shadow", "objectives": (REVENUE,)},
    ],
)
def test_a_plan_that_cannot_be_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(InputInvalid):
        a_verdict(plan=replace(PLAN, **changes))
