"""Models over REST: versions from outside, models without versions, the latest stable version, an alias on a day."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from litestar.testing import TestClient

from noria.app.settings import Settings, Stores
from noria.app.workspace import Workspace
from noria.registry.promote import move_by_hand
from noria.registry.register import register_external
from noria.server.control.app import create_app
from noria.testing.clock import FakeClock

NOON = datetime(2013, 7, 1, 12, tzinfo=UTC)


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    stores = Stores(metadata="memory", blobs="memory", tables="memory")
    with Workspace(Settings(project="p", stores=stores), tmp_path, clock=FakeClock(NOON)) as workspace:
        workspace.catalog.create("empty", at=NOON, description="nothing yet", tags={"team": "risk"})
        for _ in range(2):
            register_external(
                workspace.models, model="churn", run=None, trained=None, source="s3://b/m", at=NOON, user="ada"
            )
        yield workspace


@pytest.fixture
def client(workspace: Workspace) -> Iterator[TestClient]:
    with TestClient(create_app(workspace), base_url="http://127.0.0.1") as client:
        yield client


def moved(workspace: Workspace, number: int, *, days: int) -> None:
    move_by_hand(
        workspace.models,
        workspace.ledger,
        model="churn",
        alias="champion",
        number=number,
        at=NOON + timedelta(days=days),
        actor="ada",
        reason=f"number {number}",
    )


def test_the_list_has_models_without_versions_and_says_what_is_not_packaged(client: TestClient) -> None:
    churn, empty = client.get("/api/v1/models").json()

    assert (churn["name"], churn["versions"], churn["newest"]["number"]) == ("churn", 2, 2)
    assert (churn["newest"]["packaged"], churn["newest"]["run_id"]) == (False, None)
    assert (empty["name"], empty["versions"], empty["newest"]) == ("empty", 0, None)
    assert (empty["description"], empty["tags"]) == ("nothing yet", {"team": "risk"})
    assert client.get("/api/v1/models/empty").json()["versions"] == []
    assert client.get("/api/v1/models/unheard").status_code == 404


def test_a_version_from_outside_has_a_page_without_bundle_run_and_columns(client: TestClient) -> None:
    page = client.get("/api/v1/models/churn/versions/1").json()

    assert (page["bundle"], page["bundle_digest"], page["run"]) == (None, None, None)
    assert (page["inputs"], page["outputs"], page["source"], page["user"]) == ([], [], "s3://b/m", "ada")


def test_the_latest_stable_version_is_told_with_its_reason(client: TestClient, workspace: Workspace) -> None:
    none = client.get("/api/v1/models/churn").json()["stable"]
    moved(workspace, 1, days=0)
    one = client.get("/api/v1/models/churn").json()["stable"]

    assert (none["number"], none["why"]) == (None, "no version of model 'churn' is stable")
    assert (one["number"], one["why"]) == (1, "it became champion on 2013-07-01: number 1")
    assert [over["number"] for over in one["passed_over"]] == [2]


def test_an_alias_is_asked_for_by_moment_and_tells_who_and_why(client: TestClient, workspace: Workspace) -> None:
    moved(workspace, 1, days=0)
    moved(workspace, 2, days=5)
    path = "/api/v1/models/churn/aliases/champion"

    then = client.get(path, params={"on": "2013-07-03T00:00:00Z"}).json()
    later = client.get(path, params={"on": "2013-07-10T00:00:00"}).json()
    before = client.get(path, params={"on": "2013-01-01T00:00:00Z"})
    now = client.get(path).json()

    assert (then["number"], then["actor"], then["reason"]) == (1, "ada", "number 1")
    assert (then["until"], later["until"]) == ("2013-07-06T12:00:00Z", None)
    assert (later["number"], later["previous"], now["number"]) == (2, 1, 1)
    assert [event["kind"] for event in later["events"]] == ["AliasMoved"]
    assert before.status_code == 404
    assert "it was first set on 2013-07-01" in before.text
    assert client.get("/api/v1/models/churn/aliases/other").status_code == 404
