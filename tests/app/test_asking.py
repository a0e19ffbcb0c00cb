"""A person asks for a training: once, with a reason, and not beside another challenger."""

from collections.abc import Iterator

import pytest
from litestar.testing import TestClient

import noria
from noria.app.asking import retrain
from noria.app.deploying import deploy
from noria.app.deploying_acts import resume, stop
from noria.domain import events as e
from noria.domain.ids import EventId, digest_of
from noria.domain.ledger import Draft
from noria.errors import Conflict, InputInvalid, NotFound
from noria.server.control.app import create_app
from tests.app.deploying_world import MODEL, a_project

NAME = "churn"


def tell(workspace: noria.Workspace, event: e.AnyEvent, name: str) -> None:
    workspace.ledger.append([Draft(id=EventId(name), at=workspace.clock.now(), actor="noria", event=event)])


@pytest.fixture
def workspace() -> Iterator[noria.Workspace]:
    """A deployment that was declared, and that answers."""
    with a_project() as workspace:
        declared = e.DeploymentDeclared(deployment=NAME, model=MODEL, declaration=digest_of(b""))
        tell(workspace, declared, "declared")
        deploy(workspace, NAME, model=MODEL, version="3", at_once=True, actor="ada", reason="first")
        yield workspace


def test_a_person_asks_and_the_reason_stands_in_the_ledger(workspace: noria.Workspace) -> None:
    entry = retrain(workspace, NAME, reason=" a new price list ", actor="ada")

    assert isinstance(entry.event, e.RetrainRequested)
    assert (entry.actor, entry.cause) == ("ada", "declared")
    assert (entry.event.trigger, entry.event.model) == ("hand", MODEL)
    assert entry.event.reason == "asked for by hand: a new price list"


def test_nobody_asks_twice_nor_for_what_is_stopped(workspace: noria.Workspace) -> None:
    stop(workspace, NAME, reason="it lies", actor="ada")
    with pytest.raises(Conflict) as stopped:
        retrain(workspace, NAME, reason="now", actor="ada")
    assert "the deployment is stopped" in str(stopped.value)

    resume(workspace, NAME, reason="it does not", actor="ada")
    retrain(workspace, NAME, reason="now", actor="ada")
    with pytest.raises(Conflict) as busy:
        retrain(workspace, NAME, reason="again", actor="bob")
    assert "already under way" in str(busy.value)

    over = e.RunFailed(deployment=NAME, model=MODEL, run_id="r", error="no rows")  # type: ignore[arg-type]
    tell(workspace, over, "over")
    assert retrain(workspace, NAME, reason="again", actor="bob").actor == "bob"


def test_what_is_not_declared_and_what_has_no_reason_is_refused(workspace: noria.Workspace) -> None:
    with pytest.raises(NotFound, match="chrun") as missing:
        retrain(workspace, "chrun", reason="now", actor="ada")
    assert NAME in str(missing.value)
    for reason in ("", "  ", "x" * 3000):
        with pytest.raises(InputInvalid):
            retrain(workspace, NAME, reason=reason, actor="ada")


def test_over_http(workspace: noria.Workspace) -> None:
    with TestClient(create_app(workspace), base_url="http://127.0.0.1") as client:
        asked = client.post(f"/api/v1/deployments/{NAME}/retrain", json={"reason": "prices", "by": "ada"})
        again = client.post(f"/api/v1/deployments/{NAME}/retrain", json={"reason": "prices"})
        nobody = client.post("/api/v1/deployments/nobody/retrain", json={"reason": "prices"})

    assert (asked.status_code, again.status_code, nobody.status_code) == (202, 409, 404)
    assert workspace.ledger.get(asked.json()["id"]).actor == "ada"
    assert "under way" in again.json()["cause"]
