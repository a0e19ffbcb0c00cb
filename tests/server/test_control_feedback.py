"""Feedback and outcomes by key over HTTP, and `noria feedback`, on a small project of their own."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from litestar.testing import TestClient

from noria.app.workspace import Workspace
from noria.cli.main import main
from noria.domain.deployment import Deployment
from noria.server.control.app import create_app
from noria.testing.predictions_suite import NOON, a_record

BASE = "http://127.0.0.1"
PREDICTION = a_record(1).prediction_id(0)


def fill(workspace: Workspace) -> None:
    workspace.deployments.put(Deployment(name="flights", model="delay", generation=1, updated_at=NOON, variants=()))
    writer = workspace.predictions.writer("flights", name="w")
    writer.write([a_record(1, keys=["UA 1"]), a_record(2, minutes=20, keys=["UA 1"])])
    writer.close()


@pytest.fixture
def client() -> Iterator[TestClient]:
    with Workspace.ephemeral("air") as workspace:
        fill(workspace)
        with TestClient(create_app(workspace), base_url=BASE) as client:
            yield client


def noria_(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    capsys.readouterr()
    code = main(arguments)
    return code, *capsys.readouterr()


def test_a_word_on_one_prediction_is_kept_apart_from_labels(client: TestClient) -> None:
    path = f"/api/v1/predictions/{PREDICTION}/feedback"

    first = client.post(path, json={"good": False, "by": "ann", "comment": "late"})
    second = client.post(path, json={"good": True, "by": "ann", "value": 0.0})
    all_ = client.get("/api/v1/deployments/flights/feedback").json()

    assert (first.status_code, first.json()["accepted"], second.json()["replaced"]) == (200, 1, 1)
    assert (all_["total"], all_["good"], all_["bad"]) == (1, 1, 0)
    assert all_["feedback"][0]["value"] == 0.0
    aside = client.get("/api/v1/deployments/flights/labels/aside").json()
    assert (aside["aside"], aside["waiting"]) == ([], [])


def test_many_words_come_newest_first_and_unknown_ones_are_told(client: TestClient) -> None:
    words = [
        {
            "prediction_id": PREDICTION,
            "good": n % 2 == 0,
            "by": f"p{n}",
            "at": (NOON + timedelta(minutes=n)).isoformat(),
        }
        for n in range(5)
    ]

    receipt = client.post(
        "/api/v1/deployments/flights/feedback",
        json={"feedback": [*words, {"prediction_id": "r00.0", "comment": "?", "at": NOON.isoformat()}]},
    ).json()
    newest = client.get("/api/v1/deployments/flights/feedback", params={"limit": 2}).json()

    assert (receipt["accepted"], receipt["unknown"]) == (6, ["r00.0"])
    assert (newest["total"], newest["good"], newest["bad"]) == (6, 3, 2)
    assert [word["by"] for word in newest["feedback"]] == ["p4", "p3"]


@pytest.mark.parametrize(
    ("path", "body", "status", "code"),
    [
        ("predictions/r00.0/feedback", {"good": True}, 404, "noria-2001"),
        (f"predictions/{PREDICTION}/feedback", {}, 400, "noria-1007"),
        ("deployments/boats/feedback", {"feedback": []}, 404, "noria-2001"),
        ("deployments/flights/labels", {"labels": [{"value": 1.0}]}, 400, "noria-1007"),
        ("deployments/flights/labels", {"labels": [{"value": 1.0, "key": "UA 1"}]}, 400, "noria-1007"),
        (
            "deployments/flights/labels",
            {"labels": [{"value": 1.0, "key": "U", "about": "2013-03-01T12:00:00"}]},
            400,
            "noria-1007",
        ),
        ("deployments/flights/labels", {"labels": [{"value": 1.0, "key": "U", "match": "some"}]}, 400, "noria-1005"),
    ],
)
def test_what_cannot_be_used_is_refused(client: TestClient, path: str, body: object, status: int, code: str) -> None:
    answer = client.post(f"/api/v1/{path}", json=body)

    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.json()["remedy"]


def test_outcomes_by_key_and_by_prediction_come_in_one_batch(client: TestClient) -> None:
    about = (NOON + timedelta(minutes=30)).isoformat()
    labels = [
        {"prediction_id": PREDICTION, "value": 0.0},
        {"key": "UA 1", "about": about, "value": 1.0},
        {"key": "DL 7", "about": about, "value": 1.0, "match": "nearest"},
    ]

    told = client.post("/api/v1/deployments/flights/labels", json={"labels": labels}).json()
    aside = client.get("/api/v1/deployments/flights/labels/aside").json()

    assert (told["accepted"], told["waiting"]) == (2, ["DL 7"])
    assert [label["key"] for label in aside["waiting"]] == ["DL 7"]


def test_the_command_says_and_shows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with contextlib.chdir(tmp_path):
        main(["init", "--project", "air"])
        with Workspace.open() as workspace:
            fill(workspace)
        nothing = noria_(capsys, "feedback", PREDICTION)[1]
        words = ["--bad", "--value", "1", "--comment", "it was late", "--by", "ann"]
        code, said, _ = noria_(capsys, "feedback", PREDICTION, *words)
        again = json.loads(noria_(capsys, "feedback", PREDICTION, "--good", "--by", "ann", "--json")[1])
        _, shown, _ = noria_(capsys, "feedback", PREDICTION)
        as_json = json.loads(noria_(capsys, "feedback", PREDICTION, "--json")[1])
        unknown, _, problem = noria_(capsys, "feedback", "r00.0", "--good")

    assert "nobody has said anything" in nothing
    assert code == 0
    assert f"feedback on {PREDICTION} of deployment 'flights' kept" in said
    assert (again["accepted"], again["replaced"]) == (1, 1)
    assert "ann" in shown
    assert "good" in shown
    assert as_json["label"] is None
    assert [word["good"] for word in as_json["feedback"]] == [True]
    assert unknown == 1
    assert "no prediction 'r00.0'" in problem
