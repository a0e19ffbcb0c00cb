"""The REST API over a seeded store: what each noun answers, how errors look, what is totalled."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from litestar.testing import TestClient

import noria
from noria import errors
from noria.app.settings import Settings, Stores
from noria.app.workspace import Workspace
from noria.domain.ids import RunId, derive
from noria.domain.run import Metric, Run
from noria.ports.index import RunIndex
from noria.server.control.app import create_app
from noria.server.control.problems import status_of
from tests.ui.seed import MODEL, NAME, PREDICTION, seed

BASE = "http://127.0.0.1"
RUN = derive("run", "challenger-2")


def a_workspace(home: Path) -> Workspace:
    return Workspace(
        Settings(project="flights", stores=Stores(metadata="memory", blobs="memory", tables="memory")), home
    )


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    with a_workspace(tmp_path_factory.mktemp("home")) as workspace:
        seed(workspace)
        with TestClient(create_app(workspace), base_url=BASE) as client:
            yield client


def test_status_tells_all_six_stations_in_the_order_of_the_loop(client: TestClient) -> None:
    status = client.get("/api/v1/status").json()

    assert [s["name"] for s in status["stations"]] == ["data", "train", "gate", "deploy", "monitor", "retrain"]
    assert status["turns"] == 1
    assert [need["severity"] for need in status["needs_you"]] == ["warn"]
    assert status["deployments"] == [NAME]


def test_pages_of_runs_partition_the_whole(client: TestClient) -> None:
    pages = [
        client.get("/api/v1/runs", params={"limit": 5, "offset": at, "order": "metric"}).json() for at in (0, 5, 10)
    ]

    names = [run["name"] for page in pages for run in page["runs"]]

    assert {page["total"] for page in pages} == {14} == {len(set(names))}
    assert [run["name"] for page in pages for run in page["runs"] if run["best"]] == names[:1] == ["challenger-5"]
    assert pages[0]["primary"] == "log_loss"
    assert pages[0]["better"] == "lower"


def test_runs_are_searched_by_param_and_filtered_by_status(client: TestClient) -> None:
    logistic = client.get("/api/v1/runs", params={"search": "candidate=logistic"}).json()
    failed = client.get("/api/v1/runs", params={"status": "failed"}).json()

    assert logistic["total"] == 4
    assert all(run["params"]["candidate"] == "logistic" for run in logistic["runs"])
    assert [run["name"] for run in failed["runs"]] == ["pale-fox-6"]


def test_runs_are_filtered_and_sorted_by_the_one_grammar(client: TestClient) -> None:
    where = "params.candidate = 'logistic' or not (metrics.log_loss > 0 and status = 'finished')"
    found = client.get("/api/v1/runs", params={"where": where, "order": "metrics.log_loss desc, name"}).json()
    every = client.get("/api/v1/runs", params={"limit": 100}).json()["runs"]

    kept = [
        run
        for run in every
        if run["params"].get("candidate") == "logistic"
        or "log_loss" not in run["metrics"]
        or run["status"] != "finished"
    ]
    assert found["total"] == len(kept) > 4
    assert {run["name"] for run in found["runs"]} == {run["name"] for run in kept}
    losses = [run["metrics"]["log_loss"] for run in found["runs"] if "log_loss" in run["metrics"]]
    assert losses == sorted(losses, reverse=True)


def test_the_list_of_an_empty_store_is_empty(tmp_path: Path) -> None:
    with a_workspace(tmp_path) as workspace, TestClient(create_app(workspace), base_url=BASE) as client:
        answers = [client.get("/api/v1/runs", params={"order": order}) for order in ("newest", "metric", "name")]

    assert [(answer.status_code, answer.json()["total"], answer.json()["primary"]) for answer in answers] == [
        (200, 0, "")
    ] * 3


def test_a_run_names_its_data_its_series_and_its_causes(client: TestClient) -> None:
    run = client.get(f"/api/v1/runs/{RUN}").json()

    assert run["series"] == ["training_loss", "validation_loss"]
    assert [data["number"] for data in run["datasets"]] == [2]
    assert run["environment"]["packages"]["numpy"] == "2.1.3"
    assert run["versions"] == [f"{MODEL}/2"]
    assert [event["kind"] for event in run["causes"]] == ["AlertOpened", "RetrainRequested"]


def test_a_series_is_whole_when_it_is_short(client: TestClient) -> None:
    series = client.get(f"/api/v1/runs/{RUN}/metrics/validation_loss").json()

    assert [point["step"] for point in series["points"]] == list(range(80))
    assert {(point["low"], point["high"]) for point in series["points"]} == {(None, None)}
    assert series["raw"] == 80


def test_a_version_shows_gates_bundle_place_and_lineage(client: TestClient) -> None:
    version = client.get(f"/api/v1/models/{MODEL}/versions/2").json()

    assert version["run"]["name"] == "challenger-2"
    assert version["places"] == [{"deployment": NAME, "role": "champion", "weight": 0.8}]
    assert all(result["passed"] for result in version["gates"]["results"])
    assert version["bundle"]["code_free"] is True
    assert version["aliases"] == ["champion"]


def test_a_deployment_tells_its_rollouts_alerts_and_the_year(client: TestClient) -> None:
    deployment = client.get(f"/api/v1/deployments/{NAME}").json()

    assert [rollout["outcome"] for rollout in deployment["rollouts"]] == ["running", "rolled_back", "promoted"]
    assert [alert["state"] for alert in deployment["alerts"]] == ["open", "resolved", "resolved"]
    assert set(deployment["comparison"]["year"]) == {"frozen", "blind_recent", "blind_all", "noria"}
    assert deployment["comparison"]["counts"] == {"retrainings": 4, "refusals": 1, "rollbacks": 1, "alerts": 3}
    assert [generation["generation"] for generation in deployment["generations"]] == [6, 5, 4, 3, 2, 1]


def test_realised_quality_counts_every_prediction_once(client: TestClient) -> None:
    quality = client.get(f"/api/v1/deployments/{NAME}/quality").json()

    assert quality["output"] == "probability"
    assert sum(month["predictions"] for month in quality["months"]) == 720
    assert sum(month["labelled"] for month in quality["months"]) == 675
    assert all(sum(month["by_version"].values()) == month["predictions"] for month in quality["months"])
    unlabelled = [month for month in quality["months"] if month["labelled"] == 0]
    assert [month["log_loss"] for month in unlabelled] == [None]


def test_the_newest_predictions_come_first(client: TestClient) -> None:
    rows = client.get(f"/api/v1/deployments/{NAME}/predictions", params={"limit": 20}).json()["predictions"]

    times = [row["at"] for row in rows]
    assert len(rows) == 20
    assert times == sorted(times, reverse=True)


def test_why_walks_back_and_computes_again(client: TestClient) -> None:
    why = client.get(f"/api/v1/why/{PREDICTION}").json()

    assert why["recomputed"] == {"equal": True, "outputs": why["outputs"], "problem": ""}
    assert (why["model"], why["number"], why["generation"]["generation"]) == (MODEL, 1, 1)
    assert why["run"]["name"] == "challenger-1"
    assert [event["seq"] for event in why["events"]] == sorted(event["seq"] for event in why["events"])


def test_events_are_read_on_from_where_a_reader_stands(client: TestClient) -> None:
    first = client.get("/api/v1/events", params={"limit": 10}).json()
    second = client.get("/api/v1/events", params={"after": first["events"][-1]["seq"], "limit": 1000}).json()

    assert [event["seq"] for event in first["events"] + second["events"]] == list(range(1, first["head"] + 1))
    assert client.get("/api/v1/events", params={"newest": True, "limit": 1}).json()["events"][0]["seq"] == first["head"]


def test_the_ledger_verifies(client: TestClient) -> None:
    audit = client.get("/api/v1/audit/verify").json()

    assert audit["intact"] is True
    assert audit["breaks"] == []
    assert audit["rows"] == client.get("/api/v1/events").json()["head"]


def test_a_running_demo_shows_how_far_it_has_come(tmp_path: Path) -> None:
    figures = {"log_loss": 0.5, "auc": 0.7, "calibration_error": 0.01, "n": 9}
    months = [{"month": "2013-03", "noria": figures, "frozen": {**figures, "auc": float("nan")}}]
    document = {"step": "replay", "simulated_until": "2013-04-01T00:00:00Z", "months": months}
    with a_workspace(tmp_path) as workspace, TestClient(create_app(workspace), base_url=BASE) as client:
        before = client.get("/api/v1/status").json()["progress"]
        workspace.blobs.publish("demo/progress.json", msgspec.json.encode(document))
        during = client.get("/api/v1/status").json()["progress"]
        workspace.blobs.publish("demo/result.json", b"{}")
        after = client.get("/api/v1/status").json()["progress"]

    assert (before, after) == (None, None)
    assert (during["step"], during["simulated_until"]) == ("replay", "2013-04-01T00:00:00Z")
    assert during["months"][0]["arms"]["noria"] == figures
    assert during["months"][0]["arms"]["frozen"]["auc"] is None


def test_a_demo_document_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    with a_workspace(tmp_path) as workspace, TestClient(create_app(workspace), base_url=BASE) as client:
        workspace.blobs.publish("demo/progress.json", b"{")
        answer = client.get("/api/v1/status")

    assert (answer.status_code, answer.json()["code"]) == (500, "noria-3003")


def test_labels_are_taken_repeated_contradicted_and_unknown(tmp_path: Path) -> None:
    with a_workspace(tmp_path) as workspace:
        seed(workspace)
        with TestClient(create_app(workspace), base_url=BASE) as client:
            last = client.get(f"/api/v1/deployments/{NAME}/predictions", params={"limit": 1}).json()["predictions"][0][
                "prediction_id"
            ]
            labels = [{"prediction_id": last, "value": 1.0}, {"prediction_id": "r00.0", "value": 0.0}]
            path = f"/api/v1/deployments/{NAME}/labels"
            first = client.post(path, json={"labels": labels})
            again = client.post(path, json={"labels": labels[:1]}).json()
            other = client.post(path, json={"labels": [{"prediction_id": last, "value": 0.0}]}).json()

    assert first.status_code == 200
    assert (first.json()["accepted"], first.json()["unknown"]) == (1, ["r00.0"])
    assert (again["accepted"], again["duplicates"]) == (0, 1)
    assert other["contradictions"] == [last]


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/api/v1/runs/none", 404, "noria-2001"),
        ("/api/v1/models/none", 404, "noria-2001"),
        ("/api/v1/models/delay/versions/99", 404, "noria-2001"),
        ("/api/v1/deployments/flight-dely", 404, "noria-2001"),
        ("/api/v1/why/r00.0", 404, "noria-2001"),
        ("/api/v1/nothing", 404, "noria-2001"),
        ("/api/v9/nothing/at/all", 404, "noria-2001"),
        ("/api/v1/runs?limit=0", 400, "noria-1005"),
        ("/api/v1/runs?order=worst", 400, "noria-1011"),
        ("/api/v1/runs?where=metrics.auc%20%3E%20high", 400, "noria-1011"),
        ("/api/v1/events?after=x", 400, "noria-1005"),
    ],
)
def test_an_error_has_problem_and_remedy(client: TestClient, path: str, status: int, code: str) -> None:
    answer = client.get(path)

    assert answer.status_code == status
    assert answer.json()["code"] == code
    assert answer.json()["problem"]
    assert answer.json()["remedy"]


def test_an_unknown_deployment_offers_the_nearest_name(client: TestClient) -> None:
    assert "'flight-delay'" in client.get("/api/v1/deployments/flight-dely").json()["cause"]


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b'{"labels": 3}',
        b'{"labels": [{"prediction_id": "r0.0"}]}',
        b'{"labels": [{"prediction_id": "r0.0", "value": "x"}]}',
    ],
)
def test_a_body_that_does_not_fit_is_refused(client: TestClient, body: bytes) -> None:
    answer = client.post(
        f"/api/v1/deployments/{NAME}/labels", content=body, headers={"content-type": "application/json"}
    )

    assert answer.status_code == 400
    assert answer.json()["problem"]


def test_a_label_needs_a_zone(client: TestClient) -> None:
    label = {"prediction_id": PREDICTION, "value": 1.0, "at": "2013-03-01T00:00:00"}

    answer = client.post(f"/api/v1/deployments/{NAME}/labels", json={"labels": [label]})

    assert (answer.status_code, answer.json()["code"]) == (400, "noria-1007")


def test_a_body_beyond_the_limit_is_refused(client: TestClient) -> None:
    answer = client.post(f"/api/v1/deployments/{NAME}/labels", content=b" " * (17 * 1024 * 1024))

    assert (answer.status_code, answer.json()["code"]) == (413, "noria-1006")


class Broken(Workspace):
    """A workspace whose index fails as nobody foresaw."""

    @property
    def index(self) -> RunIndex:
        raise RuntimeError("the password is hunter2")


def test_an_unexpected_error_shows_an_id_and_nothing_else(tmp_path: Path) -> None:
    workspace = Broken(Settings(stores=Stores(metadata="memory", blobs="memory", tables="memory")), tmp_path)
    with TestClient(create_app(workspace), base_url=BASE, raise_server_exceptions=False) as client:
        answer = client.get("/api/v1/runs")

    assert answer.status_code == 500
    assert len(answer.json()["id"]) == 12
    assert "hunter2" not in answer.text
    assert "Traceback" not in answer.text


class Away(Workspace):
    """A workspace whose store does not answer."""

    @property
    def index(self) -> RunIndex:
        raise errors.StoreUnavailable("the store does not answer")


def test_a_store_that_is_away_asks_to_come_again(tmp_path: Path) -> None:
    workspace = Away(Settings(stores=Stores(metadata="memory", blobs="memory", tables="memory")), tmp_path)
    with TestClient(create_app(workspace), base_url=BASE) as client:
        answer = client.get("/api/v1/runs")

    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "1"
    assert answer.json()["retryable"] is True


def every_error(kind: type[errors.NoriaError]) -> Iterator[type[errors.NoriaError]]:
    yield kind
    for child in kind.__subclasses__():
        yield from every_error(child)


def test_every_error_has_an_http_status() -> None:
    found = {kind: status_of(kind("x")) for kind in every_error(errors.NoriaError)}

    assert all(400 <= status < 600 for status in found.values())
    assert all(
        status < 500
        for kind, status in found.items()
        if issubclass(kind, errors.InputInvalid | errors.Conflict | errors.AccessError)
    )


def test_health_answers_without_a_store(tmp_path: Path) -> None:
    with TestClient(create_app(a_workspace(tmp_path / "absent")), base_url=BASE) as client:
        assert client.get("/api/v1/health").json()["status"] == "ok"
    assert not (tmp_path / "absent").exists()


def test_the_best_run_is_starred_among_those_with_a_finite_number(tmp_path: Path) -> None:
    values = {"none": None, "low": 0.5, "nan": float("nan"), "high": 0.9, "endless": float("inf")}
    with a_workspace(tmp_path) as workspace:
        for name, value in values.items():
            at = datetime(2026, 1, 1, tzinfo=UTC)
            metrics = {} if value is None else {"auc": value, "loss": value}
            workspace.runs.create(
                Run(id=RunId(name), experiment="e", name=name, status="running", started_at=at, metrics=metrics)
            )
        with TestClient(create_app(workspace), base_url=BASE) as client:
            by_auc = client.get("/api/v1/runs", params={"order": "metric", "metric": "auc"}).json()
            by_loss = client.get("/api/v1/runs", params={"order": "metric", "metric": "loss"}).json()

    assert [run["name"] for run in by_auc["runs"]] == ["endless", "high", "low", "nan", "none"]
    assert [run["name"] for run in by_loss["runs"]] == ["low", "high", "endless", "nan", "none"]
    assert [[run["name"] for run in page["runs"] if run["best"]] for page in (by_auc, by_loss)] == [["high"], ["low"]]


def test_a_long_series_keeps_its_extremes(tmp_path: Path) -> None:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    values = [float((step * 7919) % 1009) if step % 11 else float("nan") for step in range(1000)]
    with a_workspace(tmp_path) as workspace:
        workspace.runs.create(Run(id=RunId("r"), experiment="e", name="r", status="running", started_at=at))
        workspace.runs.log_metrics(
            RunId("r"), [Metric(key="k", value=value, step=step, at=at) for step, value in enumerate(values)]
        )
        with TestClient(create_app(workspace), base_url=BASE) as client:
            answer = client.get("/api/v1/runs/r/metrics/k", params={"limit": 20}).json()

    points = answer["points"]
    numbers = [value for value in values if value == value]
    assert answer["raw"] == 1000
    assert len(points) <= 20
    assert (min(p["low"] for p in points), max(p["high"] for p in points)) == (min(numbers), max(numbers))
    assert (points[-1]["step"], points[-1]["value"]) == (999, values[-1])
    assert [point["step"] for point in points] == sorted(point["step"] for point in points)


def test_a_run_lists_the_runs_within_it_once_whoever_named_it_their_parent(tmp_path: Path) -> None:
    workspace = a_workspace(tmp_path)
    with noria.run("sweep", workspace=workspace) as outer:
        with noria.run("sweep", workspace=workspace, parent=outer) as own:
            pass
        with noria.run("sweep", workspace=workspace, tags={"mlflow.parentRunId": outer.id}) as foreign:
            pass
        with noria.run("sweep", workspace=workspace, parent=outer, tags={"mlflow.parentRunId": outer.id}) as both:
            pass
        with noria.run("sweep", workspace=workspace, tags={"mlflow.parentRunId": own.id}):
            pass

    with workspace, TestClient(create_app(workspace), base_url=BASE) as client:
        page = client.get(f"/api/v1/runs/{outer.id}").json()

    assert {child["id"] for child in page["children"]} == {own.id, foreign.id, both.id}
    assert page["children_total"] == 3
