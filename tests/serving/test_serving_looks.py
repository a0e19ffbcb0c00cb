"""Kept looks: each one that says something new, few of an old rollout, and nothing that turns time back."""

from datetime import UTC, datetime, timedelta
from math import inf

import msgspec
import pytest

from noria.adapters.blobs.memory import open_store
from noria.domain.deployment import CanaryPlan, Deployment, Judged, Rollout, Variant, Verdict
from noria.domain.ids import Digest, EventId, RolloutId
from noria.domain.interval import Interval
from noria.errors import StoreCorrupt
from noria.serving import looks

BEGUN = datetime(2026, 3, 1, tzinfo=UTC)
ROLLOUT = Rollout(
    id=RolloutId("a1"), challenger=2, champion=1, plan=CanaryPlan(), started_at=BEGUN, cause=EventId("e1")
)


def a_variant(name: str, number: int, weight: float) -> Variant:
    return Variant(name=name, model="m", number=number, version="1.0.0", bundle=Digest("blake3:0"), weight=weight)


STANDING = Deployment(
    name="d",
    model="m",
    generation=2,
    variants=(a_variant("champion", 1, 0.8), a_variant("challenger", 2, 0.2)),
    updated_at=BEGUN,
    rollout=ROLLOUT,
)


def a_verdict(outcome: str = "wait", *, high: float = 0.1) -> Verdict:
    found = Interval(value=0.0, low=-high, high=high, n=10)
    return Verdict(
        outcome=outcome,  # type: ignore[arg-type]
        reason="so far",
        difference=found,
        champion_labels=8,
        challenger_labels=2,
        objectives=(Judged(measure="quality", outcome="open", reason="so far", value=found, limit=0.005),),
    )


def test_a_week_of_minutes_is_some_four_hundred_looks() -> None:
    blobs = open_store("")

    for minute in range(1, 7 * 1440 + 1):
        looks.keep(blobs, STANDING, ROLLOUT, a_verdict(), at=BEGUN + timedelta(minutes=minute))

    kept = looks.kept(blobs, ROLLOUT.id)
    assert 200 < len(kept) < 500
    assert [look.at for look in kept] == sorted({look.at for look in kept})
    assert kept[0].at == BEGUN + timedelta(minutes=1)
    assert (kept[-1].share, kept[-1].objectives[0].limit) == (0.2, 0.005)


def test_the_look_that_decides_is_kept_however_soon_it_follows() -> None:
    blobs = open_store("")
    late = BEGUN + timedelta(days=6)
    looks.keep(blobs, STANDING, ROLLOUT, a_verdict(), at=late)

    again = looks.keep(blobs, STANDING, ROLLOUT, a_verdict(), at=late + timedelta(minutes=1))
    decided = looks.keep(blobs, STANDING, ROLLOUT, a_verdict("promote"), at=late + timedelta(minutes=2))

    assert (again, decided) == (False, True)
    assert looks.kept(blobs, ROLLOUT.id)[-1].outcome == "promote"


def test_a_look_that_is_repeated_after_a_crash_changes_nothing() -> None:
    blobs = open_store("")
    looks.keep(blobs, STANDING, ROLLOUT, a_verdict(), at=BEGUN + timedelta(hours=2))
    before = looks.kept(blobs, ROLLOUT.id)

    looks.keep(blobs, STANDING, ROLLOUT, a_verdict("promote"), at=BEGUN + timedelta(hours=2))
    looks.keep(blobs, STANDING, ROLLOUT, a_verdict("promote"), at=BEGUN + timedelta(hours=1))

    assert looks.kept(blobs, ROLLOUT.id) == before


def test_an_interval_without_an_end_is_kept_as_it_is() -> None:
    blobs = open_store("")

    looks.keep(blobs, STANDING, ROLLOUT, a_verdict(high=inf), at=BEGUN + timedelta(hours=1))

    (look,) = looks.kept(blobs, ROLLOUT.id)
    assert look.difference is not None and look.difference.high == inf


def test_what_is_no_look_is_said_to_be_none() -> None:
    blobs = open_store("")
    blobs.publish("rollouts/a1.msgpack", msgspec.msgpack.encode("else"))

    with pytest.raises(StoreCorrupt, match="a1"):
        looks.kept(blobs, ROLLOUT.id)
    assert looks.kept(blobs, RolloutId("b2")) == ()
