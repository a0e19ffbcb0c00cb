"""A year of a deployment written through the ports, so that the pages have something to show. Used by their tests.

The figures are made up; the chain of causes, the bundle and the answers are real: the model is a small ONNX graph that answers again bit for bit.
"""

from __future__ import annotations

import json
import math
import random
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import msgspec
import numpy as np
import onnx
import polars as pl
from onnx import TensorProto, helper, numpy_helper

from noria.app.workspace import Workspace
from noria.domain import events as e
from noria.domain.alert import Alert, Silencer
from noria.domain.bundle import Environment
from noria.domain.dataset import Column, DatasetVersion, Expectation, ExpectationReport, ExpectationResult, Schema
from noria.domain.deployment import (
    CanaryPlan,
    CanaryStep,
    Deployment,
    Objective,
    Outlook,
    Rollout,
    Variant,
    Verdict,
)
from noria.domain.gate import Gate, GateReport, GateResult
from noria.domain.ids import AlertId, Digest, EventId, PredictionId, RolloutId, RunId, derive, digest_of
from noria.domain.interval import Interval
from noria.domain.ledger import Draft, Entry
from noria.domain.model import AliasMove, Field, ModelVersion, SemanticVersion, Signature
from noria.domain.policy import Bound, TrainingWindow
from noria.domain.prediction import GroundTruth, PredictionRecord
from noria.domain.run import Artifact, CodeVersion, Metric, Run
from noria.packaging.bundle import build
from tests.ui import seed_deliveries, seed_watch

NAME = "flight-delay"
MODEL = "delay"
START = datetime(2013, 3, 1, 6, tzinfo=UTC)
SIGNATURE = Signature(
    inputs=(
        Field(name="hour", datatype="INT64"),
        Field(name="distance", datatype="FP32"),
        Field(name="wind", datatype="FP32", nullable=True),
        Field(name="recent_delay", datatype="FP32"),
    ),
    outputs=(Field(name="probability", datatype="FP32"),),
)
MONTHS = [f"2013-{month:02}" for month in range(3, 13)]
CANARY = RolloutId(derive("rollout", "5"))
"""The rollout that runs."""
PREDICTION = PredictionId("r" + derive("request", "0") + ".0")
"""One that is sure to be there."""


@dataclass
class Story:
    """What has been written so far, and the tools to write more."""

    workspace: Workspace
    dice: random.Random = field(default_factory=lambda: random.Random(7))
    versions: dict[int, ModelVersion] = field(default_factory=dict)
    deployment: Deployment | None = None

    def tell(self, at: datetime, event: e.AnyEvent, *, cause: Entry | None = None) -> Entry:
        name = EventId(derive("seed", str(self.workspace.ledger.head().seq)))
        draft = Draft(id=name, at=at, actor="noria", event=event, cause=cause.id if cause else None)
        return self.workspace.ledger.append([draft])[0]

    def put(self, variants: tuple[Variant, ...], at: datetime, cause: Entry, rollout: Rollout | None = None) -> None:
        generation = self.deployment.generation + 1 if self.deployment else 1
        self.deployment = self.workspace.deployments.put(
            Deployment(
                name=NAME,
                model=MODEL,
                generation=generation,
                variants=variants,
                updated_at=at,
                rollout=rollout,
                cause=cause.id,
            )
        )

    def variant(self, number: int, role: str = "champion", weight: float = 1.0) -> Variant:
        version = self.versions[number]
        return Variant(
            name=role,  # type: ignore[arg-type]
            model=MODEL,
            number=number,
            version=str(version.version),
            bundle=version.bundle,
            weight=weight,
        )


def seed(workspace: Workspace) -> None:
    """Fill an empty workspace."""
    story = Story(workspace)
    begun = story.tell(START, e.ProjectCreated(project=workspace.project, noria_version="0.1.0"))
    data = _datasets(story, begun)
    declared = story.tell(START, e.DeploymentDeclared(deployment=NAME, model=MODEL, declaration=digest_of(b"d")))
    _trials(story, data[0])
    _first_version(story, declared, data[0])
    _second_version(story, data[1])
    _refused(story, data[1])
    _rolled_back(story, data[1])
    _running_canary(story, data[1])
    _predictions(story)
    _published(workspace)


def _datasets(story: Story, cause: Entry) -> list[DatasetVersion]:
    schema = Schema(
        columns=(
            Column(name="at", dtype="datetime"),
            Column(name="wind", dtype="float64"),
            Column(name="late", dtype="bool"),
        ),
        time_column="at",
    )
    found = []
    for number, days in enumerate((59, 153)):
        rows = 400 * (number + 1)
        since = datetime(2013, 1, 1, tzinfo=UTC)
        frame = pl.DataFrame(
            {
                "at": [since + timedelta(days=days * i / rows) for i in range(rows)],
                "wind": [float(i % 37) for i in range(rows)],
                "late": [i % 5 == 0 for i in range(rows)],
            }
        )
        checks = (
            ExpectationResult(
                expectation=Expectation(rule="not_null", column="late"), passed=True, failed=0, rows=rows
            ),
            ExpectationResult(
                expectation=Expectation(rule="between", column="wind", maximum=35, severity="quarantine"),
                passed=number == 0,
                failed=number * 21,
                rows=rows,
            ),
        )
        at = START + timedelta(days=120 * number)
        version = story.workspace.tables.write(
            "flights",
            frame,
            schema=schema,
            at=at,
            source="prediction log, with outcomes",
            expectations=ExpectationReport(results=checks, rows=rows, quarantined=21 * number),
        )
        found.append(version)
        event = e.DatasetVersionCreated(
            dataset="flights", number=number + 1, digest=version.digest, rows=rows, passed=True, quarantined=21 * number
        )
        story.tell(at, event, cause=cause)
    return found


def _environment() -> Environment:
    packages = {
        "lightgbm": "4.6.0",
        "numpy": "2.1.3",
        "onnxruntime": "1.20.1",
        "polars": "1.30.0",
        "scikit-learn": "1.6.1",
    }
    return Environment(python="3.11.9", platform="linux-x86_64", packages=packages)


def _run(
    story: Story,
    name: str,
    at: datetime,
    *,
    data: DatasetVersion,
    loss: float,
    params: dict[str, str | int | float | bool | None],
    cause: Entry | None = None,
    status: str = "finished",
) -> Run:
    runs, blobs = story.workspace.runs, story.workspace.blobs
    run = Run(
        id=RunId(derive("run", name)),
        experiment=NAME,
        name=name,
        status="running",
        started_at=at,
        params=params,
        tags={"window": str(params.get("window", "all"))},
        datasets=(data.digest,),
        seed=13,
        code=CodeVersion(digest=digest_of(b"sources"), commit="4f2a9c1d7e3b5a6088c2", dirty=False),
        environment=blobs.put(_json(_environment())),
        cause=cause.id if cause else None,
    )
    runs.create(run)
    if status == "running":
        return run
    if status == "failed":
        problem = "ValueError: the column 'wind' has only missing values"
        return runs.finish(run.id, status="failed", at=at + timedelta(seconds=4), error=problem)
    auc = 0.5 + (0.56 - loss) * 2.4
    points = [
        Metric(
            key="validation_loss",
            value=loss + 0.12 * math.exp(-step / 14) + 0.004 * story.dice.random(),
            step=step,
            at=at,
        )
        for step in range(80)
    ]
    if name == "challenger-2":
        points += _long_series(at)
    last = {"log_loss": loss, "auc": round(auc, 4), "calibration_error": round(0.01 + (loss - 0.48) / 4, 4)}
    runs.log_metrics(run.id, points + [Metric(key=key, value=value, at=at) for key, value in last.items()])
    report = b"<h1>Report</h1>"
    runs.add_artifacts(run.id, [Artifact(path="report.html", digest=blobs.put(report), size=len(report))])
    return runs.finish(run.id, status="finished", at=at + timedelta(seconds=41 + 30 * story.dice.random()))


def _long_series(at: datetime) -> list[Metric]:
    """More points than a chart has stretches, noisy, with two peaks."""
    dice = random.Random(11)
    values = [0.4 + 1.8 * math.exp(-step / 1500) + dice.gauss(0, 0.04) for step in range(20_000)]
    values[7000], values[15_000] = 2.6, math.inf
    return [
        Metric(key="training_loss", value=value, step=step, at=at + timedelta(milliseconds=2 * step))
        for step, value in enumerate(values)
    ]


NAMES = ("brisk-owl", "calm-heron", "swift-otter", "quiet-lynx", "bold-crane", "pale-fox", "keen-hare", "warm-seal")


def _trials(story: Story, data: DatasetVersion) -> None:
    for place, name in enumerate(NAMES):
        params: dict[str, str | int | float | bool | None] = {
            "candidate": "boosting" if place % 2 else "logistic",
            "learning_rate": 0.02 * (place + 1),
            "leaves": 15 + 8 * place,
            "window": ("recent", "all", "weighted")[place % 3],
        }
        at = START - timedelta(hours=9 - place)
        status = "failed" if place == 5 else "finished"
        _run(story, f"{name}-{place + 1}", at, data=data, loss=0.531 - 0.004 * place, params=params, status=status)
    _run(
        story,
        "late-wren-9",
        START - timedelta(minutes=20),
        data=data,
        loss=0.5,
        params={"candidate": "boosting"},
        status="running",
    )


def _graph(slope: float) -> bytes:
    """probability = sigmoid(a weighted sum of the inputs): a real model, small."""
    weights = np.array([[0.05], [-0.0004], [0.03], [slope]], dtype=np.float32)
    kinds = {"INT64": TensorProto.INT64, "FP32": TensorProto.FLOAT}
    inputs = [helper.make_tensor_value_info(f.name, kinds[f.datatype], [None, 1]) for f in SIGNATURE.inputs]
    output = helper.make_tensor_value_info("probability", TensorProto.FLOAT, [None, 1])
    nodes = [
        helper.make_node("Cast", ["hour"], ["hour_f"], to=TensorProto.FLOAT),
        helper.make_node("Concat", ["hour_f", "distance", "wind", "recent_delay"], ["x"], axis=1),
        helper.make_node("MatMul", ["x", "w"], ["z"]),
        helper.make_node("Add", ["z", "b"], ["logit"]),
        helper.make_node("Sigmoid", ["logit"], ["probability"]),
    ]
    start = [numpy_helper.from_array(weights, "w"), numpy_helper.from_array(np.array([-2.2], dtype=np.float32), "b")]
    graph = helper.make_graph(nodes, "delay", inputs, [output], initializer=start)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def _columns(rows: int, dice: random.Random) -> dict[str, list[float | int]]:
    return {
        "hour": [dice.randrange(5, 24) for _ in range(rows)],
        "distance": [float(np.float32(dice.uniform(90, 2500))) for _ in range(rows)],
        "wind": [float(np.float32(dice.uniform(0, 30))) for _ in range(rows)],
        "recent_delay": [float(np.float32(dice.uniform(-10, 60))) for _ in range(rows)],
    }


def _arrays(columns: dict[str, list[float | int]]) -> dict[str, np.ndarray]:
    return {
        f.name: np.array(columns[f.name], dtype=np.int64 if f.datatype == "INT64" else np.float32)
        for f in SIGNATURE.inputs
    }


def _gates(loss: float, *, passed: bool = True, champion: float | None = None) -> GateReport:
    def result(
        name: str,
        kind: str,
        metric: str,
        limit: float,
        at: tuple[float, float, float],
        ok: bool,
        better: str,
        evidence: str,
        **more: object,
    ) -> GateResult:
        value, low, high = at
        return GateResult(
            gate=Gate(
                name=name,
                kind=kind,
                metric=metric,
                limit=limit,
                better=better,
                slice_by="carrier" if kind == "worst_slice" else None,
            ),  # type: ignore[arg-type]
            passed=ok,
            measured=Interval(value=value, low=low, high=high, n=4200, method="bootstrap over days"),
            evidence=evidence,
            **more,  # type: ignore[arg-type]
        )

    gap = 0.021 if not passed else -0.006
    results = [
        result(
            "good-enough",
            "absolute",
            "log_loss",
            0.56,
            (loss, loss - 0.011, loss + 0.012),
            True,
            "lower",
            "log loss stays below 0.56",
        ),
        result("ranks-well", "absolute", "auc", 0.62, (0.691, 0.672, 0.709), True, "higher", "AUC stays above 0.62"),
        result(
            "keeps-its-word",
            "calibration",
            "calibration_error",
            0.05,
            (0.019, 0.012, 0.027),
            True,
            "lower",
            "said and happened agree",
        ),
        result("fast-enough", "latency", "p99_ms", 20.0, (3.4, 3.1, 4.2), True, "lower", "p99 of 2,000 requests"),
    ]
    if champion is None:
        words = "no champion yet; log loss is 0.5213"
        own = (loss, loss - 0.011, loss + 0.012)
        results.append(result("beats-champion", "against_champion", "log_loss", 0.005, own, True, "lower", words))
    if champion is not None:
        before = Interval(value=champion, low=champion - 0.01, high=champion + 0.011, n=4200)
        words = "not worse than the champion" if passed else "log loss rises by 0.021, the interval reaches 0.033"
        results.append(
            result(
                "beats-champion",
                "against_champion",
                "log_loss",
                0.005,
                (gap, gap - 0.009, gap + 0.0085 if passed else 0.033),
                passed,
                "lower",
                words,
                champion=before,
            )
        )
        results.append(
            result(
                "no-carrier-left-behind",
                "worst_slice",
                "log_loss",
                0.03,
                (0.012, -0.004, 0.026),
                True,
                "lower",
                "worst carrier: EV",
                slice_value="EV",
            )
        )
    return GateReport(results=tuple(results), rows=4200, since="2013-05-01T00:00:00Z", until="2013-05-15T00:00:00Z")


def _trained(
    story: Story, number: int, at: datetime, *, cause: Entry, data: DatasetVersion, loss: float, report: GateReport
) -> tuple[Entry, Run, Digest]:
    """Run, bundle and gates of one challenger; gives the gates' event."""
    params: dict[str, str | int | float | bool | None] = {
        "candidate": "boosting",
        "learning_rate": 0.05,
        "leaves": 31,
        "window": "weighted",
        "half_life_days": 90.0,
    }
    run = _run(story, f"challenger-{number}", at, data=data, loss=loss, params=params, cause=cause)
    window = TrainingWindow(
        choice="weighted",
        since=at - timedelta(days=120),
        until=at,
        known_by=at,
        half_life_days=90.0,
        reason="best in the back-test",
    )
    finished = story.tell(
        at + timedelta(minutes=1),
        e.RunFinished(
            deployment=NAME,
            model=MODEL,
            run_id=run.id,
            datasets=(data.digest,),
            window=window,
            candidate="boosting",
            steps_run=3,
            steps_cached=1,
            metrics={"log_loss": loss, "auc": 0.69},
        ),
        cause=cause,
    )
    sample = _arrays(_columns(20, random.Random(number)))
    built = build(
        _graph(0.02 + 0.004 * number),
        name=MODEL,
        run_id=run.id,
        signature=SIGNATURE,
        sample=sample,
        blobs=story.workspace.blobs,
        flavors=story.workspace.flavors,
        environment=_environment(),
        created_at=at,
        profile=story.workspace.blobs.put(msgspec.json.encode(seed_watch.reference(at))),
    )
    packaged = story.tell(
        at + timedelta(minutes=2),
        e.BundleBuilt(
            deployment=NAME,
            model=MODEL,
            run_id=run.id,
            bundle=built.digest,
            flavor="onnx",
            converted=True,
            parity=2.1e-8,
            note=built.note,
        ),
        cause=finished,
    )
    kind = e.GatesPassed if report.passed else e.GatesFailed
    gated = kind(deployment=NAME, model=MODEL, run_id=run.id, bundle=built.digest, report=report)
    return story.tell(at + timedelta(minutes=3), gated, cause=packaged), run, built.digest


def _registered(
    story: Story, number: int, at: datetime, *, cause: Entry, data: DatasetVersion, loss: float, champion: float | None
) -> Entry:
    report = _gates(loss, champion=champion)
    gated, run, bundle = _trained(story, number, at, cause=cause, data=data, loss=loss, report=report)
    semantic = SemanticVersion(major=number, minor=0, patch=0)
    reason = "first version" if number == 1 else "the training data changed"
    registered = story.tell(
        at + timedelta(minutes=4),
        e.ModelVersionRegistered(
            deployment=NAME,
            model=MODEL,
            number=number,
            version=str(semantic),
            version_reason=reason,
            run_id=run.id,
            bundle=bundle,
        ),
        cause=gated,
    )
    story.versions[number] = story.workspace.models.register(
        ModelVersion(
            model=MODEL,
            number=number,
            version=semantic,
            version_reason=reason,
            run_id=run.id,
            bundle=bundle,
            flavor="onnx",
            signature=SIGNATURE,
            created_at=at,
            datasets=(data.digest,),
            gates=report,
            metrics={"log_loss": loss, "auc": 0.691, "calibration_error": 0.019},
            params=run.params,
            description="Will a flight arrive more than 15 minutes late?",
            cause=registered.id,
        )
    )
    approved = e.ModelVersionApproved(
        deployment=NAME, model=MODEL, number=number, by="policy", reason="all gates passed"
    )
    return story.tell(at + timedelta(minutes=5), approved, cause=registered)


def _champion(
    story: Story, number: int, previous: int | None, at: datetime, *, cause: Entry, rollout: Rollout | None = None
) -> None:
    promoted = story.tell(
        at,
        e.RolloutPromoted(
            deployment=NAME,
            model=MODEL,
            number=number,
            previous=previous,
            generation=(story.deployment.generation if story.deployment else 0) + 1,
            rollout_id=rollout.id if rollout else None,
            verdict=rollout.verdict if rollout else None,
        ),
        cause=cause,
    )
    story.put((story.variant(number),), at, promoted, rollout)
    reason = "first version" if previous is None else "won its canary"
    moved = story.tell(
        at, e.AliasMoved(model=MODEL, alias="champion", number=number, previous=previous, reason=reason), cause=promoted
    )
    story.workspace.models.move_alias(
        AliasMove(
            model=MODEL,
            alias="champion",
            number=number,
            previous=previous,
            at=at,
            actor="noria",
            reason=reason,
            cause=moved.id,
        )
    )


def _first_version(story: Story, declared: Entry, data: DatasetVersion) -> None:
    asked = story.tell(
        START,
        e.RetrainRequested(deployment=NAME, model=MODEL, reason="declared", trigger="declared", data_until=START),
        cause=declared,
    )
    approved = _registered(story, 1, START + timedelta(hours=1), cause=asked, data=data, loss=0.5213, champion=None)
    _champion(story, 1, None, START + timedelta(hours=2), cause=approved)


def _alert(
    story: Story, at: datetime, number: int, summary: str, *, kind: str = "decay", severity: str = "warn"
) -> Entry:
    alert = Alert(
        id=AlertId(derive("alert", summary)),
        kind=kind,  # type: ignore[arg-type]
        deployment=NAME,
        number=number,
        opened_at=at,
        severity=severity,  # type: ignore[arg-type]
        summary=summary,
        evidence={
            "log10_evidence": 3.42,
            "log10_threshold": 2.86,
            "rows": 1840.0,
            "shift.recent_delay": 0.061,
            "margin.recent_delay": 0.022,
            "psi.recent_delay": 0.244,
            "shift.wind": 0.031,
            "margin.wind": 0.018,
        },
        budget="at most one false page in 365 days",
        next_command="noria status",
        silencers=(Silencer(setting="monitors.smallest", now=0.01, needed=0.061, what="a shift of 6.1 % allowed"),),
    )
    return story.tell(at, e.AlertOpened(deployment=NAME, alert=alert))


def _started(story: Story, challenger: int, champion: int, at: datetime, cause: Entry) -> Rollout:
    steps = (CanaryStep(weight=0.2, hours=24, labels=300), CanaryStep(weight=0.5, hours=24, labels=500))
    rollout = Rollout(
        id=RolloutId(derive("rollout", str(challenger))),
        challenger=challenger,
        champion=champion,
        plan=CanaryPlan(steps=steps, objectives=(Objective(measure="latency", limit=0.02, threshold_ms=50),)),
        started_at=at,
        cause=cause.id,
        outlook=Outlook(effect=0.01, power=0.83, labels=2400, days=3.2, labels_per_day=750),
    )
    variants = (story.variant(champion, weight=0.8), story.variant(challenger, "challenger", 0.2))
    generation = (story.deployment.generation if story.deployment else 0) + 1
    begun = story.tell(
        at, e.RolloutStarted(deployment=NAME, rollout=rollout, variants=variants, generation=generation), cause=cause
    )
    story.put(variants, at, begun, rollout)
    return rollout


def _ended(
    rollout: Rollout, at: datetime, outcome: str, reason: str, difference: tuple[float, float, float]
) -> Rollout:
    value, low, high = difference
    found = Interval(value=value, low=low, high=high, n=2380, method="confidence sequence")
    verdict = Verdict(
        outcome="promote" if outcome == "promoted" else "roll_back",
        reason=reason,
        difference=found,
        champion_labels=1904,
        challenger_labels=476,
        looks=6,
        objectives=seed_deliveries.judged(found, "kept" if outcome == "promoted" else "broken", reason),
    )
    return Rollout(
        id=rollout.id,
        challenger=rollout.challenger,
        champion=rollout.champion,
        plan=rollout.plan,
        started_at=rollout.started_at,
        cause=rollout.cause,
        ended_at=at,
        outcome=outcome,  # type: ignore[arg-type]
        verdict=verdict,
    )


def _asked(story: Story, at: datetime, reason: str, cause: Entry) -> Entry:
    bounds = (
        Bound(name="cooldown_days", limit=21, found=37.4, kept=True),
        Bound(name="budget_per_year", limit=8, found=3, kept=True),
        Bound(name="minimum_labels", limit=3000, found=41200, kept=True),
    )
    event = e.RetrainRequested(
        deployment=NAME, model=MODEL, reason=reason, trigger="decay", data_until=at, bounds=bounds
    )
    return story.tell(at, event, cause=cause)


def _second_version(story: Story, data: DatasetVersion) -> None:
    at = datetime(2013, 5, 18, 6, tzinfo=UTC)
    summary = "v1 keeps its word less well: log loss 0.548 where 0.521 was expected"
    opened = _alert(story, at, 1, summary, severity="page")
    waited = e.RetrainSuppressed(
        deployment=NAME, model=MODEL, reason="cool-down: 3 of 21 days have passed", trigger="decay"
    )
    story.tell(at, waited, cause=opened)
    at += timedelta(days=18)
    approved = _registered(
        story,
        2,
        at,
        cause=_asked(story, at, "log loss has been above its bound for 18 days", opened),
        data=data,
        loss=0.5047,
        champion=0.5213,
    )
    rollout = _ended(
        _started(story, 2, 1, at + timedelta(hours=1), approved),
        at + timedelta(days=4),
        "promoted",
        "better: the whole interval lies below 0",
        (-0.0164, -0.0271, -0.0057),
    )
    _champion(story, 2, 1, at + timedelta(days=4), cause=approved, rollout=rollout)
    over = e.AlertResolved(
        deployment=NAME, alert_id=AlertId(derive("alert", summary)), reason="v2 keeps its word again"
    )
    story.tell(at + timedelta(days=5), over, cause=opened)


def _refused(story: Story, data: DatasetVersion) -> None:
    at = datetime(2013, 8, 6, 6, tzinfo=UTC)
    opened = _alert(story, at, 2, "recent_delay has moved away from what v2 learnt", kind="input_drift")
    report = _gates(0.5261, passed=False, champion=0.5047)
    _trained(
        story, 3, at, cause=_asked(story, at, "the inputs have drifted", opened), data=data, loss=0.5261, report=report
    )
    over = e.AlertResolved(
        deployment=NAME,
        alert_id=AlertId(derive("alert", "recent_delay has moved away from what v2 learnt")),
        reason="the inputs are back",
    )
    story.tell(at + timedelta(days=9), over, cause=opened)


def _rolled_back(story: Story, data: DatasetVersion) -> None:
    at = datetime(2013, 9, 12, 6, tzinfo=UTC)
    asked = _asked(story, at, "the evidence was looked at by schedule", story.workspace.ledger.latest(limit=1)[0])
    approved = _registered(story, 4, at, cause=asked, data=data, loss=0.4989, champion=0.5047)
    rollout = _ended(
        _started(story, 4, 2, at + timedelta(hours=1), approved),
        at + timedelta(days=3),
        "rolled_back",
        "worse: the whole interval lies above the tolerance of 0.005",
        (0.0193, 0.0088, 0.0301),
    )
    assert rollout.verdict is not None
    generation = (story.deployment.generation if story.deployment else 0) + 1
    back = e.RolloutRolledBack(
        deployment=NAME,
        model=MODEL,
        number=4,
        champion=2,
        generation=generation,
        rollout_id=rollout.id,
        verdict=rollout.verdict,
    )
    story.put(
        (story.variant(2),), at + timedelta(days=3), story.tell(at + timedelta(days=3), back, cause=approved), rollout
    )


def _running_canary(story: Story, data: DatasetVersion) -> None:
    at = datetime(2013, 11, 27, 6, tzinfo=UTC)
    opened = _alert(story, at, 2, "recent_delay moved: PSI 0.24, evidence 10^3.4 against chance")
    asked = _asked(story, at, "the inputs have drifted, and 41,200 labels have arrived since", opened)
    approved = _registered(story, 5, at, cause=asked, data=data, loss=0.4921, champion=0.5047)
    rollout = _started(story, 5, 2, at + timedelta(hours=1), approved)
    assert story.deployment is not None
    seed_deliveries.looked(story.workspace, story.deployment, rollout)
    seed_watch.watched(story.workspace, NAME, since=datetime(2013, 6, 1, tzinfo=UTC), until=at + timedelta(hours=2))


def _predictions(story: Story) -> None:
    """Some requests in each month, answered by the real graph, with outcomes for most."""
    from noria.packaging.bundle import open_bundle

    assert story.deployment is not None
    workspace, dice = story.workspace, random.Random(3)
    import tempfile
    from pathlib import Path

    with tempfile.TemporaryDirectory() as folder:
        opened = {
            n: open_bundle(v.bundle, blobs=workspace.blobs, cache=Path(folder), flavors=workspace.flavors)
            for n, v in story.versions.items()
        }
        records, truths = [], []
        history = workspace.deployments.history(NAME)
        for number in range(240):
            at = START + timedelta(days=1 + number * 1.15, minutes=number * 7 % 600)
            state = [d for d in history if d.updated_at <= at][-1]
            variant = state.variants[0] if number % 5 or len(state.variants) == 1 else state.variants[1]
            inputs = _columns(3, dice)
            answers = opened[variant.number].predictor.predict(_arrays(inputs))["probability"].ravel().tolist()
            name = "r" + derive("request", str(number))
            running = state.rollout is not None and state.rollout.outcome == "running"
            records.append(
                PredictionRecord(
                    request_id=name,
                    deployment=NAME,
                    variant=variant.name,
                    model=MODEL,
                    number=variant.number,
                    bundle=variant.bundle,
                    generation=state.generation,
                    at=at,
                    latency_us=900 + dice.randrange(900),
                    protocol="open-inference",
                    rows=3,
                    inputs=inputs,  # type: ignore[arg-type]
                    outputs={"probability": answers},
                    rollout=state.rollout.id if running and state.rollout else None,
                )
            )
            if number < 225:
                truths += [
                    GroundTruth(
                        prediction_id=PredictionId(f"{name}.{row}"),
                        value=float(dice.random() < p),
                        at=at + timedelta(hours=6),
                    )
                    for row, p in enumerate(answers)
                ]
            if number >= 130 and variant.name == "champion":
                copied = opened[4].predictor.predict(_arrays(inputs))["probability"].ravel().tolist()
                records.append(seed_deliveries.shadowed(records[-1], story.variant(4, "shadow"), copied))
    writer = workspace.predictions.writer(NAME, name="seed")
    writer.write(records)
    writer.close()
    workspace.predictions.add_labels(NAME, truths)
    seed_deliveries.said(
        workspace,
        NAME,
        [record.prediction_id(0) for record in records[-6:] if record.kind == "answer"],
        at=records[-1].at,
    )


def _published(workspace: Workspace) -> None:
    """The demo's result: four arms over ten months."""
    season = (0.0, 0.01, 0.018, 0.034, 0.04, 0.022, -0.012, -0.008, -0.004, 0.03)
    shift = {
        "frozen": (0.0, 0.0022),
        "blind_recent": (0.003, 0.0002),
        "blind_all": (0.001, -0.0002),
        "noria": (0.0, -0.0006),
    }
    dice = random.Random(11)

    def figures(arm: str, month: int) -> dict[str, float]:
        start, slope = shift[arm]
        loss = 0.492 + season[month] + start + slope * month + 0.004 * (dice.random() - 0.5)
        error = max(0.006, 0.012 + (loss - 0.49) / 5)
        return {
            "log_loss": round(loss, 4),
            "auc": round(0.74 - (loss - 0.48) * 1.6, 4),
            "calibration_error": round(error, 4),
            "n": 27000 + month,
        }

    months = [{"month": name, **{arm: figures(arm, place) for arm in shift}} for place, name in enumerate(MONTHS)]
    keys = ("log_loss", "auc", "calibration_error")
    year = {arm: {**{k: round(sum(m[arm][k] for m in months) / 10, 4) for k in keys}, "n": 270045} for arm in shift}  # type: ignore[index]
    document = {
        "year": year,
        "months": months,
        "retrainings": {"frozen": 0, "blind_recent": 9, "blind_all": 9, "noria": 4},
        "refusals": 1,
        "rollbacks": 1,
        "alerts": 3,
        "timings": {"replay": 201.5},
        "example_prediction": PREDICTION,
    }
    workspace.blobs.publish("demo/result.json", json.dumps(document).encode())


def _json(value: object) -> bytes:
    from noria.wire.canonical import canonical

    return canonical(value)
