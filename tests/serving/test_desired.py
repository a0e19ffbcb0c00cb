"""The published document: what a worker shall serve, and never an older state over a newer one."""

from datetime import UTC, datetime

import pytest

from noria.adapters.blobs import memory
from noria.domain.deployment import CanaryPlan, Rollout
from noria.domain.ids import Digest, EventId, RolloutId
from noria.errors import StoreCorrupt
from noria.serving import desired
from tests.serving.worker_factory import deployment, variant

ONE = variant(Digest("blake3:1"))
TWO = variant(Digest("blake3:2"), name="challenger", number=2, weight=0.2)


def rollout(outcome="running"):
    return Rollout(
        id=RolloutId("ro-1"),
        challenger=2,
        champion=1,
        plan=CanaryPlan(),
        started_at=datetime(2026, 1, 1, tzinfo=UTC),
        cause=EventId("e"),
        outcome=outcome,
    )


def test_what_is_published_is_read_back():
    blobs = memory.open_store("")

    state = desired.publish(blobs, deployment(TWO, ONE, rollout=rollout()))

    assert desired.read(blobs, "late") == state
    assert [v.name for v in state.variants] == ["champion", "challenger"]
    assert state.rollout == "ro-1"
    assert desired.names(blobs) == ["late"]


def test_an_older_generation_is_not_published_over_a_newer_one():
    blobs = memory.open_store("")
    desired.publish(blobs, deployment(ONE, generation=2))

    desired.publish(blobs, deployment(TWO, generation=1))

    found = desired.read(blobs, "late")
    assert found is not None
    assert found.generation == 2


def test_a_rollout_that_ended_is_not_named():
    assert desired.state_of(deployment(ONE, rollout=rollout("promoted"))).rollout is None


def test_several_deployments_are_listed():
    blobs = memory.open_store("")

    for name in ("b", "a", "b"):
        desired.publish(blobs, deployment(ONE, name=name))

    assert desired.names(blobs) == ["a", "b"]


def test_nothing_published_is_nothing():
    blobs = memory.open_store("")

    assert desired.read(blobs, "late") is None
    assert desired.names(blobs) == []


def test_a_document_that_cannot_be_read_is_corrupt():
    blobs = memory.open_store("")
    blobs.publish("serving/late.json", b"{")
    blobs.publish("serving/index.json", b"{")

    with pytest.raises(StoreCorrupt):
        desired.read(blobs, "late")
    with pytest.raises(StoreCorrupt):
        desired.names(blobs)
