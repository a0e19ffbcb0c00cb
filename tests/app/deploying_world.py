"""A project with a few versions of one model, of which nothing was trained: for tests of declaring and of what people do to deployments."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import noria
from noria.domain.gate import Gate, GateReport, GateResult
from noria.domain.ids import Digest, digest_of
from noria.domain.interval import Interval
from noria.domain.model import AliasMove, ModelVersion, SemanticVersion
from noria.testing.clock import FakeClock

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
MODEL = "churn"
GATE = Gate(name="good enough", kind="absolute", metric="auc", limit=0.6, better="higher")


def register(
    workspace: noria.Workspace, number: int, *, passed: bool = True, packaged: bool = True, model: str = MODEL
) -> ModelVersion:
    """Version NUMBER.0.0 of the model, with one gate."""
    auc = 0.7 if passed else 0.5
    measured = Interval(value=auc, low=auc - 0.02, high=auc + 0.02, n=1000)
    result = GateResult(gate=GATE, passed=passed, measured=measured, evidence=f"auc {auc}")
    return workspace.models.register(
        ModelVersion(
            model=model,
            number=number,
            version=SemanticVersion(major=number, minor=0, patch=0),
            version_reason="MAJOR: data",
            run_id=None,
            bundle=Digest(digest_of(str(number).encode())) if packaged else None,
            flavor="onnx",
            signature=None,
            created_at=NOON,
            gates=GateReport(results=(result,), rows=1000),
        )
    )


@contextmanager
def a_project(versions: int = 8, **changes: Any) -> Iterator[noria.Workspace]:
    """A workspace in memory with versions 1 to n; the clock stands until it is advanced."""
    with noria.Workspace.ephemeral("deploying", clock=FakeClock(NOON), **changes) as workspace:
        for number in range(1, versions + 1):
            register(workspace, number)
        yield workspace


def point(workspace: noria.Workspace, alias: str, number: int) -> None:
    """An alias, moved by somebody else."""
    workspace.models.move_alias(
        AliasMove(
            model=MODEL,
            alias=alias,
            number=number,
            previous=None,
            at=workspace.clock.now(),
            actor="ada",
            reason="because",
        )
    )


def kinds(workspace: noria.Workspace) -> list[str]:
    """Kinds of the events, in order."""
    return [type(entry.event).__name__ for entry in workspace.ledger.read(limit=10_000)]


def later(workspace: noria.Workspace, hours: float = 1.0) -> None:
    """Time passes."""
    assert isinstance(workspace.clock, FakeClock)
    workspace.clock.advance(timedelta(hours=hours))


def answering(workspace: noria.Workspace, name: str = "prod") -> dict[str, tuple[int, float]]:
    """Variant -> (version, weight) as published for the workers."""
    from noria.serving import desired

    state = desired.read(workspace.blobs, name)
    return {v.name: (v.number, v.weight) for v in state.variants} if state else {}
