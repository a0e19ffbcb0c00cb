"""Quality in windows over HTTP: realised, estimated, and what is said where nothing can be measured."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import msgspec
import numpy as np
import pytest
from litestar.testing import TestClient

from noria.app.workspace import Workspace
from noria.domain.deployment import Deployment, Variant
from noria.domain.model import Field, Signature
from noria.domain.prediction import Feedback, GroundTruth
from noria.server.control.app import create_app
from noria.testing.models_suite import a_version
from noria.testing.predictions_suite import a_record

BEGIN = datetime.now(UTC) - timedelta(days=30)
SIGNATURE = Signature(inputs=(), outputs=(Field(name="probability", datatype="FP32"),))


@pytest.fixture(scope="module")
def client() -> Iterator[TestClient]:
    """A month of answers of which all but the newest five days have labels; and a deployment that was never asked."""
    with Workspace.ephemeral("air") as workspace:
        version = msgspec.structs.replace(a_version(1, model="delay"), signature=SIGNATURE)
        workspace.models.register(version)
        variant = Variant(name="champion", model="delay", number=1, version="1.0.0", bundle=version.bundle, weight=1.0)
        for name in ("flights", "boats"):
            workspace.deployments.put(
                Deployment(name=name, model="delay", generation=1, updated_at=BEGIN, variants=(variant,))
            )
        dice = np.random.default_rng(0)
        writer = workspace.predictions.writer("flights", name="w")
        truths = []
        for day in range(30):
            score = dice.uniform(0.05, 0.7, 60)
            record = msgspec.structs.replace(
                a_record(day),
                at=BEGIN + timedelta(days=day),
                rows=60,
                inputs={"x": [1.0] * 60},
                outputs={"probability": score.tolist()},
            )
            writer.write([record])
            known = record.at + timedelta(hours=20)
            values = (dice.random(60) < score).astype(float)
            truths += [
                GroundTruth(prediction_id=record.prediction_id(r), value=values[r], at=known)
                for r in range(60)
                if day < 25
            ]
        writer.close()
        workspace.predictions.add_labels("flights", truths)
        workspace.predictions.add_feedback(
            "flights", [Feedback(prediction_id=truths[0].prediction_id, at=BEGIN, good=False)]
        )
        with TestClient(create_app(workspace), base_url="http://127.0.0.1") as client:
            yield client


def test_windows_are_realised_and_the_newest_estimated(client: TestClient) -> None:
    page = client.get("/api/v1/deployments/flights/quality/windows", params={"count": 6}).json()
    windows = page["history"]["windows"]

    assert (page["number"], page["output"], page["good"], page["bad"]) == (1, "probability", 0, 1)
    assert page["history"]["task"] == "binary"
    assert [w["source"] for w in windows] == ["realised"] * 5 + ["estimated"]
    assert windows[-1]["realised"] == {}
    estimate = windows[-1]["estimate"]
    assert "no concept drift" in estimate["assumption"]
    assert estimate["metrics"]["log_loss"]["low"] < windows[3]["realised"]["log_loss"]["value"] < 1.0
    record = {r["metric"]: r for r in page["history"]["record"]}
    assert record["auc"]["windows"] == 5
    assert page["history"]["arrival"]["labelled"] == 25 * 60


def test_what_cannot_be_measured_says_why(client: TestClient) -> None:
    many = client.get("/api/v1/deployments/boats/quality/windows").json()

    assert many["history"] is None
    assert "answered nothing" in many["note"]
    assert client.get("/api/v1/deployments/cars/quality/windows").status_code == 404
    assert client.get("/api/v1/deployments/flights/quality/windows", params={"count": 0}).status_code == 400


def test_several_classes_are_scored_and_labels_that_are_none_left_out() -> None:
    signature = Signature(inputs=(), outputs=(Field(name="shares", datatype="FP32", width=3),))
    with Workspace.ephemeral("air") as workspace:
        version = msgspec.structs.replace(a_version(1, model="delay"), signature=signature)
        workspace.models.register(version)
        variant = Variant(name="champion", model="delay", number=1, version="1.0.0", bundle=version.bundle, weight=1.0)
        workspace.deployments.put(
            Deployment(name="flights", model="delay", generation=1, updated_at=BEGIN, variants=(variant,))
        )
        dice = np.random.default_rng(1)
        share = dice.dirichlet([1.0, 1.0, 1.0], 400)
        writer = workspace.predictions.writer("flights", name="w")
        for day in range(20):
            rows = share[day * 20 : day * 20 + 20]
            outputs = {f"shares.{place}": rows[:, place].tolist() for place in range(3)}
            record = a_record(day, rows=20, inputs={"x": [1.0] * 20}, outputs=outputs)
            writer.write([msgspec.structs.replace(record, at=BEGIN + timedelta(days=day))])
        writer.close()
        values = [float(dice.choice(3, p=each)) for each in share[:-1]] + [7.0]
        ids = [a_record(row // 20).prediction_id(row % 20) for row in range(400)]
        known = BEGIN + timedelta(days=21)
        truths = [GroundTruth(prediction_id=name, value=v, at=known) for name, v in zip(ids, values, strict=True)]
        workspace.predictions.add_labels("flights", truths)
        with TestClient(create_app(workspace), base_url="http://127.0.0.1") as client:
            page = client.get("/api/v1/deployments/flights/quality/windows", params={"count": 2}).json()

    assert (page["output"], page["history"]["task"]) == ("shares", "multiclass")
    assert page["note"] == "1 labels are no class (0 to 2) and are not scored"
    assert 0.4 < page["history"]["windows"][0]["realised"]["accuracy"]["value"] < 0.9


def test_quantities_are_estimated_from_inputs() -> None:
    signature = Signature(inputs=(), outputs=(Field(name="minutes", datatype="FP64"),))
    with Workspace.ephemeral("air") as workspace:
        version = msgspec.structs.replace(a_version(1, model="delay"), signature=signature)
        workspace.models.register(version)
        variant = Variant(name="champion", model="delay", number=1, version="1.0.0", bundle=version.bundle, weight=1.0)
        workspace.deployments.put(
            Deployment(name="flights", model="delay", generation=1, updated_at=BEGIN, variants=(variant,))
        )
        dice = np.random.default_rng(2)
        writer = workspace.predictions.writer("flights", name="w")
        truths = []
        for day in range(20):
            x, shop = dice.normal(size=40), dice.choice(["a", "b"], 40)
            inputs = {"x": x.tolist(), "shop": shop.tolist(), "note": [None] * 40}
            record = a_record(day, rows=40, inputs=inputs, outputs={"minutes": (20 + 5 * x).tolist()})
            record = msgspec.structs.replace(record, at=BEGIN + timedelta(days=day))
            writer.write([record])
            errors = dice.normal(size=40) * np.where(shop == "a", 1.0, 4.0)
            known = record.at + timedelta(hours=5)
            truths += [
                GroundTruth(prediction_id=record.prediction_id(row), value=20 + 5 * x[row] + errors[row], at=known)
                for row in range(40 if day < 15 else 0)
            ]
        writer.close()
        workspace.predictions.add_labels("flights", truths)
        with TestClient(create_app(workspace), base_url="http://127.0.0.1") as client:
            page = client.get("/api/v1/deployments/flights/quality/windows", params={"count": 4}).json()

    newest = page["history"]["windows"][-1]
    assert page["history"]["task"] == "regression"
    assert (newest["source"], newest["estimate"]["method"]) == ("estimated", "direct loss estimation")
    assert newest["estimate"]["metrics"]["mae"]["low"] < 2.0 < newest["estimate"]["metrics"]["mae"]["high"]
