"""What the clock does with a running rollout, from records of a log to generations and events: each mode, each ending, after a crash as well.

No model is trained here: records are written as workers write them, the rest is real.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import numpy as np
import pytest

import noria
from noria.domain import events as e
from noria.domain.deployment import CanaryStep, Deployment, Objective, Stop, Variant
from noria.domain.ids import Digest, EventId
from noria.domain.prediction import Feedback, GroundTruth, PredictionRecord
from noria.loop.reactor import Reactor
from noria.loop.stages.rollout import judge
from noria.loop.stages.rollout_facts import evidence_of
from noria.loop.stages.rollout_outlook import outlook_of
from noria.serving import rollout as rolling
from noria.serving import trouble
from noria.testing.clock import FakeClock

START = datetime(2026, 1, 1, tzinfo=UTC)
NAME = "returns"
SPLIT = noria.CanaryPlan(weight=0.5, minimum_labels=200, maximum_days=3)


def a_variant(name: str, number: int, weight: float) -> Variant:
    digest = Digest("blake3:" + f"{number:064x}")
    return Variant(name=name, model=NAME, number=number, version=f"{number}.0.0", bundle=digest, weight=weight)


def a_recipe() -> noria.Recipe:
    return noria.Recipe(
        deployment=NAME,
        model=NAME,
        base=Digest("blake3:" + "0" * 64),
        schema=noria.Schema(columns=(noria.Column(name="price", dtype="float32"),), time_column="price"),
        features=("price",),
        candidates={},
        gates=(),
    )


@dataclass
class Tried:
    """A workspace in which version 2 is tried beside version 1."""

    workspace: noria.Workspace
    clock: FakeClock
    reactor: Reactor
    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(3))
    number: int = 0

    @property
    def now(self) -> Deployment:
        return self.workspace.deployments.get(NAME)

    @property
    def weights(self) -> dict[str, float]:
        return {v.name: v.weight for v in self.now.variants}

    def begin(self, plan: noria.CanaryPlan, **changes: Any) -> None:
        first = Deployment(
            name=NAME,
            model=NAME,
            generation=1,
            variants=(a_variant("champion", 1, 1.0),),
            updated_at=START,
            cause=EventId("first"),
        )
        self.workspace.deployments.put(msgspec.structs.replace(first, **changes))
        begun = rolling.begin(self.now, a_variant("challenger", 2, 0), plan, cause=EventId("c"), now=self.clock.now())
        self.workspace.deployments.put(begun)

    def ask(
        self, requests: int, *, worse: float = 0.0, latency_us: int = 900, **changes: Any
    ) -> list[PredictionRecord]:
        """Requests of one row, drawn as they stand now, an hour of them; each with its label at once. worse: how far off the challenger is."""
        records, labels, stands = [], [], self.now
        by_name = {v.name: v for v in stands.variants}
        for i in range(requests):
            ours = self.rng.random() < by_name["challenger"].weight
            variant = by_name["challenger" if ours else "champion"]
            p = float(1 / (1 + np.exp(-self.rng.normal(-1, 1))))
            happened = float(self.rng.random() < p)
            said = min(max(p + worse * ours * (1 if happened == 0 else -1), 0.001), 0.999)
            at = self.clock.now() + timedelta(hours=i / requests)
            records.append(self.a_record(variant, said, at, stands=stands, latency_us=latency_us, **changes))
            labels.append(GroundTruth(prediction_id=records[-1].prediction_id(0), value=happened, at=at))
        self.write(records)
        self.workspace.predictions.add_labels(NAME, labels)
        self.clock.advance(timedelta(hours=1))
        return records

    def a_record(
        self, variant: Variant, said: float, at: datetime, *, stands: Deployment | None = None, **changes: Any
    ) -> PredictionRecord:
        self.number += 1
        stands = stands or self.now
        fields: dict[str, Any] = {
            "request_id": f"r{self.number:032x}",
            "deployment": NAME,
            "variant": variant.name,
            "model": NAME,
            "number": variant.number,
            "bundle": variant.bundle,
            "generation": stands.generation,
            "at": at,
            "latency_us": 900,
            "protocol": "v2",
            "rows": 1,
            "inputs": {"price": [float(self.number)]},
            "outputs": {"probability": [said]},
            "rollout": stands.rollout.id if stands.rollout else None,
        }
        return PredictionRecord(**(fields | changes))

    def write(self, records: Sequence[PredictionRecord]) -> None:
        self.workspace.predictions.writer(NAME, name=f"w{self.number}").write(list(records))

    def told(self, kind: type) -> list[Any]:
        return [x.event for x in self.workspace.ledger.read(limit=1000) if isinstance(x.event, kind)]


@pytest.fixture
def tried() -> Any:
    clock = FakeClock(START)
    with noria.Workspace.ephemeral("tried", clock=clock) as workspace:
        context = noria.Loop(workspace, [a_recipe()], tell=False).context
        yield Tried(workspace, clock, Reactor(context, stages={}, ticks={"judge": judge}))


def test_a_canary_walks_its_steps_and_is_promoted_at_their_end(tried: Tried) -> None:
    steps = (CanaryStep(weight=0.1, requests=20), CanaryStep(weight=0.5, hours=2, labels=50))
    tried.begin(msgspec.structs.replace(SPLIT, steps=steps, tolerance=0.5, minimum_labels=100))

    tried.ask(60)
    tried.reactor.tick()
    assert tried.weights == {"champion": 0.9, "challenger": 0.1}
    tried.ask(300)
    tried.reactor.tick()
    tried.reactor.tick()

    assert tried.weights == {"champion": 0.5, "challenger": 0.5}
    (moved,) = tried.told(e.RolloutAdvanced)
    assert (moved.step, moved.reason) == (1, "step 2 of 2: version 2 gets 50%")
    tried.ask(600)
    tried.reactor.tick()
    assert tried.told(e.RolloutPromoted) == []
    tried.ask(400)
    tried.reactor.tick()
    (promoted,) = tried.told(e.RolloutPromoted)
    assert (promoted.number, promoted.previous) == (2, 1)
    assert promoted.generation == tried.now.generation == 4
    assert [(v.name, v.number, v.weight) for v in tried.now.variants] == [("champion", 2, 1.0)]


def test_a_worse_challenger_is_rolled_back_and_other_arms_and_routing_stay(tried: Tried) -> None:
    arms = (a_variant("champion", 1, 0.8), a_variant("green", 7, 0.2))
    tried.begin(SPLIT, variants=arms, sticky_by="input:price", fallback="3")
    assert tried.weights == {"champion": pytest.approx(0.3), "challenger": 0.5, "green": 0.2}

    tried.ask(900, worse=0.35)
    tried.reactor.tick()

    (event,) = tried.told(e.RolloutRolledBack)
    assert "surely worse" in event.verdict.reason
    assert [(v.name, v.number, v.weight) for v in tried.now.variants] == [("champion", 1, 0.8), ("green", 7, 0.2)]
    assert (tried.now.sticky_by, tried.now.fallback) == ("input:price", "3")


def test_an_ab_test_that_shows_nothing_ends_with_the_champion(tried: Tried) -> None:
    tried.begin(msgspec.structs.replace(SPLIT, mode="ab"))

    tried.ask(800)
    tried.reactor.tick()
    assert tried.told(e.RolloutRolledBack) == []
    tried.clock.advance(timedelta(days=3))
    tried.reactor.tick()

    (event,) = tried.told(e.RolloutRolledBack)
    assert "not shown to be better in 3.0 days, the champion stays" in event.verdict.reason


def test_a_shadow_is_judged_on_the_rows_that_both_answered_and_answers_nobody_meanwhile(tried: Tried) -> None:
    apart = Objective(measure="disagreement", limit=0.2)
    tried.begin(msgspec.structs.replace(SPLIT, mode="shadow", weight=1.0, objectives=(apart,), tolerance=0.05))
    assert tried.weights == {"champion": 1.0, "challenger": 1.0}
    challenger = tried.now.variant("challenger")
    assert challenger is not None
    assert challenger.shadow

    answers = shadowed(tried, challenger)
    tried.reactor.tick()

    (event,) = tried.told(e.RolloutPromoted)
    assert event.verdict.challenger_labels == len(answers)
    assert [each.measure for each in event.verdict.objectives] == ["quality", "errors", "disagreement"]
    assert [(v.number, v.weight, v.shadow) for v in tried.now.variants] == [(2, 1.0, False)]


def shadowed(tried: Tried, challenger: Variant) -> list[PredictionRecord]:
    """Answers of the champion, and what the shadow said to the same requests: nearly the same."""
    deployment = msgspec.structs.replace(tried.now, variants=(a_variant("champion", 1, 1.0),))
    records, labels = [], []
    for i in range(600):
        p = float(1 / (1 + np.exp(-tried.rng.normal(-1, 1))))
        champion = deployment.variants[0]
        answer = tried.a_record(champion, p, tried.clock.now() + timedelta(seconds=i))
        said = tried.a_record(challenger, p * 0.99, answer.at, request_id=answer.request_id, kind="shadow", inputs={})
        records += [answer, said]
        value = float(tried.rng.random() < p)
        labels.append(GroundTruth(prediction_id=answer.prediction_id(0), value=value, at=answer.at))
    tried.write(records)
    tried.workspace.predictions.add_labels(NAME, labels)
    tried.clock.advance(timedelta(hours=1))
    return [record for record in records if record.kind == "answer"]


def test_a_bandit_follows_the_evidence_and_leaves_the_champion_its_floor(tried: Tried) -> None:
    tried.begin(msgspec.structs.replace(SPLIT, mode="bandit", floor=0.25, minimum_labels=5000))

    tried.ask(700, worse=-0.12)
    tried.reactor.tick()

    (moved,) = tried.told(e.RolloutAdvanced)
    assert moved.reason.startswith("the split follows the evidence: version 2 gets")
    assert 0.5 < tried.weights["challenger"] <= 0.75
    before = tried.now
    tried.reactor.tick()
    assert tried.now == before


def test_requests_that_fail_take_a_challenger_out_before_any_label_comes(tried: Tried) -> None:
    tried.begin(SPLIT)
    challenger = tried.now.variant("challenger")
    assert challenger is not None
    lost = [
        tried.a_record(challenger, 0.5, tried.clock.now(), kind="failure", outputs={}, error="out of memory")
        for _ in range(8)
    ]

    tried.write(lost)
    tried.clock.advance(timedelta(seconds=1))
    tried.reactor.tick()

    (event,) = tried.told(e.RolloutRolledBack)
    assert event.verdict.reason.startswith("8 of 8 requests failed")
    assert event.verdict.objectives[0].measure == "errors"


def test_a_slow_challenger_is_rolled_back_and_requests_that_named_it_do_not_count(tried: Tried) -> None:
    slow = Objective(measure="latency", limit=0.05, threshold_ms=50)
    tried.begin(msgspec.structs.replace(SPLIT, objectives=(slow,), minimum_labels=5000))

    tried.ask(200, latency_us=90_000, asked=True)
    tried.reactor.tick()
    assert tried.told(e.RolloutRolledBack) == []
    challenger = tried.now.variant("challenger")
    assert challenger is not None
    tried.write([tried.a_record(challenger, 0.5, tried.clock.now(), latency_us=90_000) for _ in range(40)])
    tried.clock.advance(timedelta(minutes=1))
    tried.reactor.tick()

    (event,) = tried.told(e.RolloutRolledBack)
    assert event.verdict.reason.startswith("40 of 40 requests took more than 50 ms")


def test_a_business_metric_reaches_the_arm_that_answered(tried: Tried) -> None:
    revenue = Objective(measure="business", limit=0.0, name="revenue")
    tried.begin(msgspec.structs.replace(SPLIT, mode="ab", objectives=(revenue,)))

    records = tried.ask(900)
    words = [
        Feedback(
            prediction_id=record.prediction_id(0),
            at=record.at,
            value=float(tried.rng.exponential(2.0 if record.variant == "challenger" else 1.0)),
            metric="revenue",
            by="shop",
        )
        for record in records
    ]
    tried.workspace.predictions.add_feedback(NAME, words)
    tried.reactor.tick()

    (event,) = tried.told(e.RolloutPromoted)
    assert "'revenue' is worse by -" in event.verdict.reason
    assert event.verdict.objectives[0].name == "revenue"


@pytest.mark.parametrize("ending", ["step", "verdict"])
def test_a_generation_whose_event_was_lost_to_a_crash_is_told_once(tried: Tried, ending: str) -> None:
    steps = (CanaryStep(weight=0.1, requests=1), CanaryStep(weight=0.5, hours=2)) if ending == "step" else ()
    tried.begin(msgspec.structs.replace(SPLIT, steps=steps))
    tried.ask(200 if ending == "step" else 900, worse=0.0 if ending == "step" else 0.35)

    context = noria.Loop(tried.workspace, [a_recipe()], tell=False).context
    lost = judge(context)
    after = tried.now
    tried.reactor.tick()
    tried.reactor.tick()

    assert len(lost) == 1
    assert tried.now == after
    assert tried.told(type(lost[0].event)) == [lost[0].event]


def test_a_stopped_deployment_is_left_alone(tried: Tried) -> None:
    tried.begin(SPLIT)
    stop = Stop(at=START, actor="ada", reason="look", number=1)
    stopped = msgspec.structs.replace(tried.now, generation=3, stopped=stop, cause=EventId("stop"))
    tried.ask(900, worse=0.35)
    tried.workspace.deployments.put(stopped)

    tried.reactor.tick()

    assert tried.now == stopped
    assert tried.told(e.RolloutRolledBack) == []


def test_a_challenger_that_cannot_be_opened_is_rolled_back_and_says_why(tried: Tried) -> None:
    """Its bundle is not there; paired rows would have to be scored by it."""
    tried.begin(msgspec.structs.replace(SPLIT, paired=True))
    tried.ask(50)

    tried.reactor.tick()

    (event,) = tried.told(e.RolloutRolledBack)
    assert "version 2 cannot be opened" in event.verdict.reason


def test_what_a_rollout_can_show_is_told_by_how_labels_came(tried: Tried) -> None:
    tried.begin(SPLIT)
    for _ in range(10):
        tried.ask(100)
    context = noria.Loop(tried.workspace, [a_recipe()], tell=False).context

    told = outlook_of(context, tried.now, now=tried.clock.now())

    assert told is not None
    assert told.labels_per_day == pytest.approx(2400, rel=0.2)
    assert told.power == pytest.approx(0.8, abs=0.05)
    assert 0.005 < told.effect < 0.2
    assert told.days <= SPLIT.maximum_days


@pytest.mark.parametrize("passing", [True, False])
def test_a_challenger_that_a_worker_cannot_load_is_rolled_back_unless_that_may_pass(
    tried: Tried, passing: bool
) -> None:
    tried.begin(SPLIT)
    told = trouble.Trouble(
        generation=2,
        variant="challenger",
        number=2,
        bundle=Digest("blake3:2"),
        error="its model needs 40 GB",
        at=START,
        worker="w1",
        passing=passing,
    )
    trouble.tell(tried.workspace.blobs, NAME, generation=2, worker="w1", troubles=[told])

    tried.reactor.tick()

    reasons = [event.verdict.reason for event in tried.told(e.RolloutRolledBack)]
    assert reasons == ([] if passing else ["worker w1 cannot serve version 2: its model needs 40 GB"])


def test_answers_that_could_not_have_been_the_challengers_say_nothing_of_it(tried: Tried) -> None:
    """While no worker had it loaded, the champion answered all, on hard days as it happened."""
    tried.begin(msgspec.structs.replace(SPLIT, maximum_days=30))
    champion = tried.now.variants[0]
    hard = [tried.a_record(champion, 0.01, tried.clock.now() + timedelta(seconds=i), weight=1.0) for i in range(500)]
    tried.write(hard)
    labels = [GroundTruth(prediction_id=record.prediction_id(0), value=1.0, at=record.at) for record in hard]
    tried.workspace.predictions.add_labels(NAME, labels)
    tried.ask(900)

    evidence = evidence_of(
        noria.Loop(tried.workspace, [a_recipe()], tell=False).context,
        tried.now,
        tried.now.rollout,  # type: ignore[arg-type]
        now=tried.clock.now(),
    )

    assert evidence.quality.champion_rows + evidence.quality.challenger_rows == 900
    assert abs(evidence.quality.scores.mean()) < 0.2
