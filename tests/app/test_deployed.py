"""How a deployment stands: its policy's limits as of now, who waits for a person, what is stopped; and what of it needs somebody."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

import noria
from noria.app.approving import approve_version
from noria.app.deployed import deployed, waiting
from noria.app.deploying_record import put_in_force
from noria.app.settings import Notify, Receiver, Settings
from noria.app.status import status
from noria.domain import events as e
from noria.domain.declaration import Declaration
from noria.domain.deployment import Stop
from noria.domain.gate import Gate, GateReport, GateResult
from noria.domain.ids import AlertId, Digest, RunId
from noria.domain.interval import Interval
from noria.domain.policy import Bound, Policy
from noria.errors import NotFound
from noria.serving.trouble import Trouble, tell
from noria.testing.clock import FakeClock
from noria.testing.models_suite import a_version
from tests.app.book import MODEL, NAME, NOW, Book

LIMITS = (
    Bound(name="cooldown_days", limit=21, found=30, kept=True),
    Bound(name="budget_per_year", limit=2, found=1, kept=True),
)


@pytest.fixture
def book() -> Book:
    return Book(noria.Workspace.ephemeral("stands", clock=FakeClock(NOW + timedelta(days=40))))


def asked(book: Book, *, days: float) -> None:
    event = e.RetrainRequested(
        deployment=NAME, model=MODEL, reason="it decayed", trigger="decay", data_until=NOW, bounds=LIMITS
    )
    book.tell(event, hours=24 * days)


def registered(book: Book, number: int = 2) -> None:
    book.workspace.models.register(a_version(1, model=MODEL))
    gate = Gate(name="good", kind="absolute", metric="auc", limit=0.6, better="higher")
    measured = Interval(value=0.7, low=0.65, high=0.75, n=900)
    report = GateReport(results=(GateResult(gate=gate, passed=True, measured=measured),), rows=900)
    book.workspace.models.register(msgspec.structs.replace(a_version(number, model=MODEL), gates=report))
    book.tell(
        e.ModelVersionRegistered(
            deployment=NAME,
            model=MODEL,
            number=number,
            version="2.0.0",
            version_reason="the data changed",
            run_id=RunId("run"),
            bundle=Digest("b"),
        )
    )


def test_the_policy_is_told_as_of_now_not_as_of_its_last_decision(book: Book) -> None:
    asked(book, days=0)
    asked(book, days=30)

    policy = deployed(book.workspace, NAME).policy

    assert (policy.spent, policy.budget) == (2, 2)
    assert policy.cooling_until == NOW + timedelta(days=51)
    assert policy.free_at == NOW + timedelta(days=365)
    assert (policy.retrained, policy.trigger) == (True, "decay")


def test_a_cool_down_that_is_over_is_none(book: Book) -> None:
    asked(book, days=0)

    assert deployed(book.workspace, NAME).policy.cooling_until is None


def test_a_replayed_year_is_looked_at_from_its_own_end() -> None:
    book = Book(noria.Workspace.ephemeral("replayed", clock=FakeClock(datetime(2040, 1, 1, tzinfo=UTC))))
    asked(book, days=3)

    policy = deployed(book.workspace, NAME).policy

    assert policy.as_of == NOW + timedelta(days=3)
    assert policy.spent == 1


def test_without_a_decision_nothing_is_made_up(book: Book) -> None:
    policy = deployed(book.workspace, NAME).policy

    assert (policy.at, policy.budget, policy.cooling_until) == (None, None, None)
    with pytest.raises(NotFound):
        deployed(book.workspace, "nobody")


def test_a_version_waits_until_a_person_has_spoken(book: Book) -> None:
    registered(book)

    (one,) = waiting(book.workspace)
    assert (one.model, one.number, one.deployment) == (MODEL, 2, NAME)
    (need,) = status(book.workspace).needs_you
    assert (need.deployment, need.severity) == (NAME, "warn")
    assert need.command.startswith(f"noria models {MODEL}/2 --approve")
    approve_version(book.workspace, MODEL, 2, actor="anna", reason="looked at it")

    assert waiting(book.workspace) == []
    assert status(book.workspace).needs_you == ()


def test_a_version_that_was_deleted_waits_for_nobody(book: Book) -> None:
    registered(book)
    book.workspace.models.delete(MODEL, 2, at=NOW)

    assert waiting(book.workspace) == []


def test_a_stopped_deployment_needs_somebody_with_the_reason_and_the_way_out(book: Book) -> None:
    standing = book.workspace.deployments.get(NAME)
    stop = Stop(at=NOW, actor="anna", reason="fire", number=None)
    book.workspace.deployments.put(msgspec.structs.replace(standing, generation=2, variants=(), stopped=stop))

    now = status(book.workspace)

    (need,) = now.needs_you
    assert (need.severity, need.command) == ("page", f"noria resume {NAME}")
    assert need.summary == "churn is stopped by anna, nobody answers: fire"
    deploy = next(s for s in now.stations if s.name == "deploy")
    assert (deploy.state, deploy.headline) == ("bad", "nobody answers")


def test_a_receiver_that_refused_needs_somebody_while_it_stands_in_the_settings() -> None:
    settings = Settings(project="p", notify=Notify(receivers={"ops": Receiver(adapter="webhook", location="http://x")}))
    book = Book(noria.Workspace.ephemeral("p", clock=FakeClock(NOW)))
    refused = {"deployment": NAME, "alert_id": AlertId("a"), "notice": "n", "error": "410 gone"}
    for receiver in ("ops", "gone", "ops"):
        book.tell(e.AlertUndelivered(receiver=receiver, **refused))  # type: ignore[arg-type]

    assert status(book.workspace).needs_you == ()
    book.workspace.settings = settings
    (need,) = status(book.workspace).needs_you
    book.tell(e.LeaderElected(holder="h", token=1, reason="first"), hours=24 * 8)
    later = status(book.workspace).needs_you

    assert (need.command, "410 gone" in need.summary) == ("noria alerts test ops", True)
    assert later == ()


def test_what_workers_cannot_serve_needs_somebody_while_that_generation_stands(book: Book) -> None:
    standing = book.workspace.deployments.get(NAME)
    trouble = Trouble(
        generation=1,
        variant="champion",
        number=1,
        bundle=Digest("b"),
        error="its file is gone\nand more",
        at=NOW,
        worker="w1",
    )
    for worker in ("w1", "w2"):
        told = msgspec.structs.replace(trouble, worker=worker)
        tell(book.workspace.blobs, NAME, generation=1, worker=worker, troubles=[told])

    now = deployed(book.workspace, NAME)
    (need,) = status(book.workspace).needs_you
    book.workspace.deployments.put(msgspec.structs.replace(standing, generation=2))

    assert [each.worker for each in now.troubles] == ["w1", "w2"]
    assert need.severity == "page"
    assert need.summary == "workers cannot serve champion (version 1) of churn: its file is gone"
    assert status(book.workspace).needs_you == ()


def test_a_declared_policy_counts_before_what_decisions_told(book: Book) -> None:
    asked(book, days=30)
    declared = Declaration(model=MODEL, policy=Policy(cooldown_days=5, budget_per_year=12))
    put_in_force(book.workspace, NAME, declared, before=None, actor="anna")

    policy = deployed(book.workspace, NAME).policy

    assert (policy.budget, policy.cooling_until) == (12, None)
    assert policy.declared == declared.policy
