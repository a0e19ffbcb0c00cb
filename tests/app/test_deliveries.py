"""Deliveries: each rollout and each act of a person is one story, with who, why, the evidence, and what was told before."""

from datetime import timedelta

import msgspec
import pytest

import noria
from noria.app.deliveries import deliveries, delivery
from noria.domain import events as e
from noria.domain.deployment import Deployment
from noria.errors import NotFound
from noria.serving import looks
from tests.app.book import MODEL, NAME, NOW, ROLLOUT, SPLIT, Book, a_variant, a_verdict


@pytest.fixture
def book() -> Book:
    return Book(noria.Workspace.ephemeral("told"))


def test_a_rollout_is_one_story_from_what_asked_for_it_to_its_verdict(book: Book) -> None:
    started = book.started()
    moved = (a_variant("champion", 1, 0.5), a_variant("challenger", 2, 0.5))
    book.tell(
        e.RolloutAdvanced(
            deployment=NAME, rollout_id=ROLLOUT.id, step=1, variants=moved, generation=3, reason="step 1 of 2 is done"
        ),
        cause=started,
        hours=24,
    )
    book.tell(
        e.RolloutPromoted(
            deployment=NAME,
            model=MODEL,
            number=2,
            previous=1,
            generation=4,
            rollout_id=ROLLOUT.id,
            verdict=a_verdict(),
        ),
        cause=started,
        hours=60,
    )

    (told,) = deliveries(book.workspace, NAME)

    assert (told.id, told.outcome, told.tone) == ("r1", "promoted", "ok")
    assert told.headline == "version 2 became champion after 1 (canary)"
    assert (told.asked, told.trigger, told.approved_by) == ("it decayed", "decay", "anna")
    assert told.bounds[0].kept
    assert [(move.share, move.step) for move in told.moves] == [(0.1, 0), (0.5, 1)]
    assert told.moves[1].reason == "step 1 of 2 is done"
    assert told.objectives[0].outcome == "kept"
    assert told.expected.startswith("about 2,400 labels in 3.1 days, 80% sure")
    assert told.took == "600 labels of the challenger, 1,800 of the champion, 2.5 days"


def test_the_same_story_is_found_by_the_rollout_and_by_each_of_its_events(book: Book) -> None:
    started = book.started()

    by_rollout = delivery(book.workspace, ROLLOUT.id)
    by_event = delivery(book.workspace, started.id)

    assert by_rollout == by_event
    assert [x.kind for x in by_rollout.led] == ["RetrainRequested", "ModelVersionApproved"]
    assert by_rollout.followed[0].kind == "RolloutStarted"
    with pytest.raises(NotFound, match="nothing"):
        delivery(book.workspace, "nothing")


def test_a_running_rollout_tells_what_its_newest_look_saw_and_how_the_evidence_grew(book: Book) -> None:
    book.started()
    standing = Deployment(name=NAME, model=MODEL, generation=2, variants=SPLIT, updated_at=NOW, rollout=ROLLOUT)
    for hours, high in ((10, float("inf")), (20, 0.03), (30, 0.01)):
        looks.keep(book.workspace.blobs, standing, ROLLOUT, a_verdict("wait", high), at=NOW + timedelta(hours=hours))

    story = delivery(book.workspace, "r1")

    assert (story.delivery.outcome, story.delivery.reason) == ("running", "surely not worse")
    assert story.delivery.took.endswith("1.2 days so far")
    (curve,) = story.curves
    assert (curve.measure, curve.limit) == ("quality", 0.005)
    assert [point.high for point in curve.points] == [None, 0.03, 0.01]


def test_a_verdict_of_one_difference_is_told_as_quality(book: Book) -> None:
    started = book.started()
    old = msgspec.structs.replace(a_verdict("roll_back", high=0.03), objectives=())
    book.tell(
        e.RolloutRolledBack(
            deployment=NAME, model=MODEL, number=2, champion=1, generation=3, rollout_id=ROLLOUT.id, verdict=old
        ),
        cause=started,
        hours=9,
    )

    (told,) = deliveries(book.workspace, NAME)

    assert told.headline == "version 2 was rolled back, 1 answers (canary)"
    assert [(x.measure, x.outcome, x.limit) for x in told.objectives] == [("quality", "open", 0.005)]


def test_what_a_person_did_is_told_with_who_and_why(book: Book) -> None:
    back = e.DeploymentRolledBack(deployment=NAME, model=MODEL, number=1, previous=2, generation=5, reason="hurts")
    stopped = e.DeploymentStopped(deployment=NAME, number=None, generation=6, reason="fire")
    resumed = e.DeploymentResumed(deployment=NAME, number=1, generation=7, reason="")
    for hours, event in enumerate((back, stopped, resumed)):
        book.tell(event, actor="anna", hours=hours)

    told = deliveries(book.workspace, NAME)

    assert [(x.kind, x.actor, x.reason) for x in told] == [
        ("resumed", "anna", ""),
        ("stopped", "anna", "fire"),
        ("rolled_back", "anna", "hurts"),
    ]
    assert told[1].headline == "stopped: nobody answers, and the loop leaves it alone"
    assert told[2].headline == "version 2 was taken back by hand, 1 answers alone"


def test_an_act_that_begins_a_rollout_is_its_first_page(book: Book) -> None:
    changed = book.tell(
        e.DeploymentChanged(
            deployment=NAME, model=MODEL, variants=SPLIT, generation=2, differences=("2 is tried",), reason="try it"
        ),
        actor="anna",
    )
    book.tell(
        e.RolloutStarted(deployment=NAME, rollout=ROLLOUT, variants=SPLIT, generation=2), cause=changed, actor="anna"
    )

    (told,) = deliveries(book.workspace, NAME)

    assert (told.id, told.kind, told.outcome) == ("r1", "rollout", "running")
    assert (told.asked, told.trigger, told.approved_by) == ("try it", "hand", "anna")
    assert delivery(book.workspace, changed.id).delivery == told
