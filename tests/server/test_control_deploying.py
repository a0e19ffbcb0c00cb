"""Declaring and acting over HTTP: the same as by command and by file, and refused when anything moved since the plan."""

from collections.abc import Iterator

import msgspec
import pytest
from litestar.testing import TestClient

from noria.app.deploying import plan
from noria.app.workspace import Workspace
from noria.domain.declaration import Declaration, DeclaredVariant
from noria.server.control.app import create_app
from tests.app.deploying_world import MODEL, a_project, answering

BASE = "http://127.0.0.1"


@pytest.fixture(scope="module")
def workspace() -> Iterator[Workspace]:
    with a_project() as workspace:
        yield workspace


@pytest.fixture(scope="module")
def client(workspace: Workspace) -> Iterator[TestClient]:
    with TestClient(create_app(workspace), base_url=BASE) as client:
        yield client


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """A deployment of its own for each test."""
    return request.node.name.replace("_", "-")


def declared(name: str, version: str, **more: object) -> dict[str, object]:
    return {
        "deployments": {
            name: {"model": MODEL, "variants": [{"name": "champion", "version": version}], "alias": name, **more}
        }
    }


def test_the_same_declaration_is_the_same_from_everywhere(client: TestClient, workspace: Workspace, name: str) -> None:
    answer = client.post("/api/v1/apply", json=declared(name, "3", fallback="2") | {"reason": "first", "by": "ada"})
    assert answer.status_code == 200, answer.text

    variant = DeclaredVariant(name="champion", version="3")
    from_python = {name: Declaration(model=MODEL, variants=(variant,), fallback="2", alias=name)}
    assert plan(workspace, from_python).is_empty
    listed = msgspec.convert(client.get("/api/v1/declarations").json(), dict[str, Declaration])
    assert listed[name] == from_python[name]


def test_a_plan_that_is_no_longer_true_is_refused(client: TestClient, name: str) -> None:
    client.post("/api/v1/apply", json=declared(name, "3"))
    planned = client.post("/api/v1/plan", json=declared(name, "5")).json()
    assert [d["field"] for d in planned["differences"]] == ["champion"]
    client.post(f"/api/v1/deployments/{name}/deploy", json={"model": MODEL, "version": "4"})

    refused = client.post("/api/v1/apply", json=declared(name, "5") | {"plan": planned})
    assert refused.status_code == 409
    assert "since the plan" in refused.json()["problem"]


def test_acts_follow_one_another(client: TestClient, workspace: Workspace, name: str) -> None:
    def act(verb: str, **body: object) -> dict[str, object]:
        answer = client.post(f"/api/v1/deployments/{name}/{verb}", json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    client.post("/api/v1/apply", json=declared(name, "3"))
    act("deploy", model=MODEL, version="5", canary={"weight": 0.1})
    assert answering(workspace, name) == {"champion": (3, 0.9), "challenger": (5, 0.1)}
    act("override", outcome="promote", reason="sure", by="ada")
    act("rollback", reason="complaints")
    assert answering(workspace, name) == {"champion": (3, 1.0)}
    assert act("stop", reason="harm", fallback="none")["variants"] == []
    act("resume")
    assert answering(workspace, name) == {"champion": (3, 1.0)}


@pytest.mark.parametrize(
    ("path", "body", "status", "said"),
    [
        ("plan", declared("prod", "3", canary={"wieght": 0.1}), 400, "did you mean 'weight'"),
        ("plan", declared("prod", "99"), 404, "99"),
        ("deployments/nobody/rollback", {"reason": "why"}, 404, "nobody"),
        ("deployments/prod/stop", {"reason": " "}, 400, "why"),
        ("deployments/prod/override", {"outcome": "promote", "reason": "why"}, 409, "rollout"),
    ],
)
def test_what_cannot_be_done_says_why(
    client: TestClient, path: str, body: dict[str, object], status: int, said: str
) -> None:
    client.post("/api/v1/apply", json=declared("prod", "3"))
    answer = client.post(f"/api/v1/{path}", json=body)
    assert answer.status_code == status, answer.text
    assert said in answer.text
