"""Deliveries and standings over HTTP, a person's word on a version, and the days of inputs."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import pytest
from litestar.testing import TestClient

from noria.app.deliveries import Delivery, deliveries
from noria.app.workspace import Workspace
from noria.domain import events as e
from noria.domain.deployment import Deployment
from noria.domain.gate import Gate, GateReport, GateResult
from noria.domain.ids import Digest, RunId
from noria.domain.interval import Interval
from noria.server.control.app import create_app
from noria.serving import looks
from noria.testing.models_suite import a_version
from tests.app.book import MODEL, NAME, NOW, ROLLOUT, SPLIT, Book, a_verdict

STANDING = f"/api/v1/deployments/{NAME}/standing"
APPROVE = f"/api/v1/models/{MODEL}/versions/2/approve"


@pytest.fixture
def book() -> Iterator[Book]:
    with Workspace.ephemeral("told") as workspace:
        yield Book(workspace)


@pytest.fixture
def client(book: Book) -> Iterator[TestClient]:
    with TestClient(create_app(book.workspace), base_url="http://127.0.0.1") as client:
        yield client


def test_the_page_gets_what_the_reader_tells(book: Book, client: TestClient) -> None:
    book.started()

    listed = client.get(f"/api/v1/deployments/{NAME}/deliveries")
    standing = client.get(STANDING).json()

    read = deliveries(book.workspace, NAME)
    assert msgspec.json.decode(listed.content, type=list[Delivery]) == read
    assert standing["running"]["headline"] == read[0].headline
    assert client.get("/api/v1/deployments/nobody/deliveries").status_code == 404


def test_one_story_has_its_curves_without_numbers_that_json_has_no_word_for(book: Book, client: TestClient) -> None:
    started = book.started()
    standing = Deployment(name=NAME, model=MODEL, generation=2, variants=SPLIT, updated_at=NOW, rollout=ROLLOUT)
    looks.keep(book.workspace.blobs, standing, ROLLOUT, a_verdict("wait", float("inf")), at=NOW.replace(hour=9))

    by_rollout = client.get(f"/api/v1/deliveries/{ROLLOUT.id}").json()

    assert by_rollout["curves"][0]["points"][0]["high"] is None
    assert client.get(f"/api/v1/deliveries/{started.id}").json() == by_rollout
    assert client.get("/api/v1/deliveries/nothing").status_code == 404


def test_events_lead_to_the_story_that_they_belong_to(book: Book, client: TestClient) -> None:
    book.started()
    stopped = book.tell(e.DeploymentStopped(deployment=NAME, number=1, generation=3, reason="fire"), actor="anna")

    told = {event["kind"]: event for event in client.get("/api/v1/events").json()["events"]}

    assert told["RolloutStarted"]["link"] == f"/deployments/{NAME}/deliveries/{ROLLOUT.id}"
    assert told["DeploymentStopped"]["link"] == f"/deployments/{NAME}/deliveries/{stopped.id}"
    assert told["DeploymentStopped"]["tone"] == "bad"
    assert told["RetrainRequested"]["link"] == f"/deployments/{NAME}"


def test_a_version_is_approved_once_with_a_name_and_a_reason(book: Book, client: TestClient) -> None:
    gate = Gate(name="good", kind="absolute", metric="auc", limit=0.6, better="higher")
    measured = Interval(value=0.7, low=0.65, high=0.75, n=900)
    report = GateReport(results=(GateResult(gate=gate, passed=True, measured=measured),), rows=900)
    book.workspace.models.register(a_version(1, model=MODEL))
    book.workspace.models.register(msgspec.structs.replace(a_version(2, model=MODEL), gates=report))
    registered = {"version": "2.0.0", "version_reason": "", "run_id": RunId("r"), "bundle": Digest("b")}
    book.tell(e.ModelVersionRegistered(deployment=NAME, model=MODEL, number=2, **registered))  # type: ignore[arg-type]
    waits = client.get(STANDING).json()["waiting"]

    without = client.post(APPROVE, json={"reason": " ", "by": "anna"})
    first = client.post(APPROVE, json={"reason": "looked at it", "by": "anna"})
    again = client.post(APPROVE, json={"reason": "me too", "by": "ben"})

    assert [each["number"] for each in waits] == [2]
    assert without.status_code == 409
    assert (first.status_code, first.json()["actor"]) == (200, "anna")
    assert again.json()["id"] == first.json()["id"]
    assert client.get(STANDING).json()["waiting"] == []


def test_inputs_of_what_is_not_deployed_are_not_found(client: TestClient) -> None:
    assert client.get("/api/v1/deployments/nobody/inputs").status_code == 404
