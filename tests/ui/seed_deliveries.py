"""What rollouts and people left in the seeded store: objectives, looks at a rollout, words on answers, a version that waits for a person."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec

from noria.app.workspace import Workspace
from noria.domain import events as e
from noria.domain.deployment import Deployment, Judged, Rollout, Variant, Verdict
from noria.domain.ids import EventId, PredictionId
from noria.domain.interval import Interval
from noria.domain.ledger import Draft
from noria.domain.model import SemanticVersion
from noria.domain.prediction import Feedback, PredictionRecord
from noria.serving import looks


def judged(found: Interval, outcome: str, reason: str) -> tuple[Judged, ...]:
    """Quality as it was found; failed and slow requests within their limits."""

    def share(value: float, high: float) -> Interval:
        return Interval(value=value, low=0.0, high=high, n=6120, method="confidence sequence")

    return (
        Judged(measure="quality", outcome=outcome, reason=reason, value=found, limit=0.005),  # type: ignore[arg-type]
        Judged(
            measure="errors",
            outcome="kept",
            reason="4 of 6,120 requests failed, surely no more than the 1.0% allowed",
            value=share(0.0007, 0.0031),
            limit=0.01,
        ),
        Judged(
            measure="latency",
            outcome="open",
            reason="92 of 6,120 requests took more than 50 ms, 2.0% are allowed",
            value=share(0.015, 0.0223),
            limit=0.02,
        ),
    )


def looked(workspace: Workspace, deployment: Deployment, rollout: Rollout) -> None:
    """Two days of looks: an interval that closes around a small gain."""
    for hour in range(1, 49):
        half = 0.11 / math.sqrt(hour)
        value = -0.006 + 0.3 * half * math.sin(hour / 3)
        found = Interval(value=value, low=value - half, high=value + half, n=40 * hour, method="confidence sequence")
        verdict = Verdict(
            outcome="wait",
            reason=f"step 1 of 2 (20%): {hour / 2:g} of 24 hours",
            difference=found,
            champion_labels=32 * hour,
            challenger_labels=8 * hour,
            objectives=judged(found, "open", f"log loss differs by {value:+.4f}, 0.005 is allowed"),
        )
        looks.keep(workspace.blobs, deployment, rollout, verdict, at=rollout.started_at + timedelta(hours=hour / 2))


def shadowed(answered: PredictionRecord, variant: Variant, copied: list[float]) -> PredictionRecord:
    """What a version in the shadow said to a copy of a request that was answered."""
    return msgspec.structs.replace(
        answered,
        kind="shadow",
        variant=variant.name,
        number=variant.number,
        bundle=variant.bundle,
        inputs={},
        outputs={"probability": copied},  # type: ignore[dict-item]
        latency_us=answered.latency_us + 300,
        weight=1.0,
    )


def said(workspace: Workspace, name: str, predictions: Sequence[PredictionId], *, at: datetime) -> None:
    """Words of people on a few answers."""
    words = [
        Feedback(
            prediction_id=prediction,
            at=at + timedelta(hours=place),
            good=place % 3 != 0,
            comment="the gate was changed twice" if place % 3 == 0 else "",
            by=("desk", "")[place % 2],
        )
        for place, prediction in enumerate(predictions)
    ]
    workspace.predictions.add_feedback(name, words)


def wait(workspace: Workspace, name: str, model: str) -> None:
    """Register one more version, for which a person is asked."""
    former = workspace.models.versions(model)[-1]
    number = former.number + 1
    at = workspace.ledger.latest(limit=1)[0].at + timedelta(days=1)
    version = msgspec.structs.replace(
        former, number=number, version=SemanticVersion(major=number, minor=0, patch=0), created_at=at
    )
    workspace.models.register(version)
    registered = e.ModelVersionRegistered(
        deployment=name,
        model=model,
        number=number,
        version=str(version.version),
        version_reason=version.version_reason,
        run_id=version.run_id,  # type: ignore[arg-type]
        bundle=version.bundle,  # type: ignore[arg-type]
    )
    workspace.ledger.append([Draft(id=EventId("waits"), at=at, actor="noria", event=registered)])
