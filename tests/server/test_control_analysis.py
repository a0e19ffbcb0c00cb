"""The analysis over HTTP: the same figures as the command, and refusals that say what to do."""

from collections.abc import Iterator

import pytest
from litestar.testing import TestClient

from noria.app.analysis import analyse_errors
from noria.app.workspace import Workspace
from noria.server.control.app import create_app
from noria.testing.clock import FakeClock
from tests.app.served import BEGIN, NAME, orders, serve

BASE = "http://127.0.0.1"
PATH = f"/api/v1/deployments/{NAME}"


@pytest.fixture(scope="module")
def workspace() -> Iterator[Workspace]:
    clock = FakeClock(BEGIN)
    with Workspace.ephemeral("shop", clock=clock) as workspace:
        columns, outputs, labels, days = orders()
        serve(workspace, columns, outputs, labels=labels, days=days)
        clock.advance(30 * 86400)
        yield workspace


@pytest.fixture(scope="module")
def client(workspace: Workspace) -> Iterator[TestClient]:
    with TestClient(create_app(workspace), base_url=BASE) as client:
        yield client


def test_errors_are_those_of_the_command(client: TestClient, workspace: Workspace) -> None:
    read = client.get(f"{PATH}/errors", params={"by": "under"}).json()

    found = analyse_errors(workspace, NAME, by="under")
    assert found.report.slices is not None
    assert read["report"]["slices"]["slices"][0]["rows"] == found.report.slices.slices[0].rows
    assert read["report"]["slices"]["slices"][0]["conditions"] == [
        {"column": "shop", "above": None, "upto": None, "value": "web", "state": "is"}
    ]


def test_groups_are_compared(client: TestClient) -> None:
    read = client.get(f"{PATH}/groups", params={"by": "shop", "since": "2026-03-02T00:00:00"}).json()

    assert read["report"]["gaps"][0]["beyond"]
    assert read["span"]["since"].startswith("2026-03-02")


def test_a_change_is_split(client: TestClient) -> None:
    read = client.get(
        f"{PATH}/causes", params={"since": "2026-03-13T00:00:00Z", "against": "2026-03-01T00:00:00Z"}
    ).json()

    told = read["diagnosis"]
    assert told["measure"] == "loss"
    assert told["change"]["value"] == pytest.approx(told["inputs"]["value"] + told["meaning"]["value"])
    assert {c["feature"] for c in told["causes"]} == {"shop", "price"}


def test_odd_predictions_are_counted_against_chance(client: TestClient) -> None:
    asked = {"since": "2026-03-13T00:00:00Z", "against": "2026-03-01T00:00:00Z", "rate": 0.05}
    read = client.get(f"{PATH}/anomalies", params=asked).json()

    assert read["report"]["rows"] == 640
    assert read["report"]["flagged"] <= 70  # 32 by chance
    assert len(read["report"]["oddities"]) <= 20


@pytest.mark.parametrize(
    ("path", "status", "said"),
    [
        ("/api/v1/deployments/nobody/errors", 404, "no deployment 'nobody'"),
        (f"{PATH}/errors?by=anger", 400, ""),
        (f"{PATH}/groups?by=shoe", 404, "no column 'shoe'"),
        (f"{PATH}/groups", 400, ""),
        (f"{PATH}/anomalies?since=2026-03-03T00:00:00Z", 400, "too few to know what is ordinary"),
        (f"{PATH}/causes?since=2026-03-20T00:00:00Z", 400, "four days"),
        (f"{PATH}/errors?until=2026-02-01T00:00:00Z", 400, "has a label"),
    ],
)
def test_refusals_say_what_is_wrong(client: TestClient, path: str, status: int, said: str) -> None:
    answer = client.get(path)

    assert answer.status_code == status, answer.text
    assert said in answer.text
