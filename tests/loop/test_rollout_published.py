"""A process that dies between a rollout's last generation and its document: the next stroke tells the workers, and the ledger once."""

from datetime import UTC, datetime

import noria
from noria.domain import events as e
from noria.domain.deployment import CanaryPlan, Deployment, Rollout, Variant, Verdict
from noria.domain.ids import Digest, EventId, RolloutId
from noria.serving import desired, rollout
from noria.testing.clock import FakeClock

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def a_variant(name: str, number: int) -> Variant:
    return Variant(name=name, model="m", number=number, version="1.0.0", bundle=Digest("blake3:1"), weight=0.5)


def test_a_verdict_whose_document_was_lost_reaches_the_workers() -> None:
    under_way = Rollout(
        id=RolloutId("r"), challenger=2, champion=1, plan=CanaryPlan(), started_at=NOW, cause=EventId("c")
    )
    standing = Deployment(
        name="d",
        model="m",
        generation=1,
        variants=(a_variant("champion", 1), a_variant("challenger", 2)),
        updated_at=NOW,
        rollout=under_way,
        cause=EventId("c"),
    )
    with noria.Workspace.ephemeral("p", clock=FakeClock(NOW)) as workspace:
        workspace.deployments.put(standing)
        desired.publish(workspace.blobs, standing)
        over = rollout.end(standing, Verdict(outcome="roll_back", reason="it is worse"), now=NOW)
        workspace.deployments.put(over)  # and here the process dies

        for _ in range(2):
            noria.Loop(workspace, []).tick()

        published = desired.read(workspace.blobs, "d")
        kinds = [type(entry.event) for entry in workspace.ledger.read()]
    assert published is not None
    assert published.generation == over.generation
    assert kinds.count(e.RolloutRolledBack) == 1
