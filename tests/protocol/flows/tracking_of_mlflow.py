"""Experiments, runs, series, datasets and logged models by MLflow's own client. Run with a server's URL. Not collected by pytest."""

import math
import sys
import time
from functools import partial

import mlflow
from mlflow import MlflowClient
from mlflow.entities import (
    Dataset,
    DatasetInput,
    InputTag,
    LoggedModelInput,
    LoggedModelOutput,
    LoggedModelStatus,
    Metric,
    Param,
    RunTag,
    ViewType,
)
from mlflow.exceptions import MlflowException

client = MlflowClient(sys.argv[1], sys.argv[1])


def refused(text, call, *given, **named):
    said = "nothing"
    try:
        call(*given, **named)
    except MlflowException as error:
        said = str(error)
    assert text in said, (text, said)


def names(**asked):
    return [found.name for found in client.search_experiments(**asked)]


def found_runs(experiment, text, *order):
    return [run.info.run_id for run in client.search_runs([experiment], text, order_by=list(order))]


def found_models(experiment, **asked):
    return [found.model_id for found in client.search_logged_models([experiment], **asked)]


def experiments():
    assert names() == ["Default"]
    made = []
    for name, tags in (("a", {"key": "value"}), ("ab", {"key": "vaLue"}), ("Abc", None)):
        time.sleep(0.002)
        made.append(client.create_experiment(name, tags=tags))
    assert names(filter_string="attribute.name = 'a'") == ["a"]
    assert names(filter_string="attribute.name != 'a'") == ["Abc", "ab", "Default"]
    assert names(filter_string="name LIKE 'a%'") == ["ab", "a"]
    assert names(filter_string="tag.key != 'value'") == ["ab"]
    assert names(filter_string="tag.key ILIKE '%alu%'") == ["ab", "a"]
    assert names(order_by=["name DESC"]) == ["ab", "a", "Default", "Abc"]
    page = client.search_experiments(max_results=2)
    assert [found.name for found in page] == ["Abc", "ab"]
    assert names(page_token=page.token) == ["a", "Default"]
    client.delete_experiment(made[1])
    assert names(view_type=ViewType.DELETED_ONLY) == ["ab"]
    assert names(view_type=ViewType.ALL) == ["Abc", "ab", "a", "Default"]
    assert client.get_experiment(made[1]).lifecycle_stage == "deleted"
    client.restore_experiment(made[1])
    client.rename_experiment(made[1], "renamed")
    assert client.get_experiment_by_name("renamed").experiment_id == made[1]
    assert client.get_experiment_by_name("absent") is None
    client.set_experiment_tag(made[0], "several lines", "one\ntwo")
    assert client.get_experiment(made[0]).tags == {"key": "value", "several lines": "one\ntwo"}
    client.delete_experiment_tag(made[0], "several lines")
    refused("No tag with name", client.delete_experiment_tag, made[0], "several lines")
    refused("RESOURCE_ALREADY_EXISTS", client.create_experiment, "a")
    refused("No Experiment with id=999999 exists", client.get_experiment, "999999")


def runs():
    experiment = client.create_experiment("runs")
    tags = {"mlflow.user": "ada", "mlflow.source.type": "LOCAL", "mlflow.parentRunId": "7", "my": "tag"}
    made = client.create_run(experiment, start_time=456, run_name="my name", tags=tags)
    found = client.get_run(made.info.run_id)
    for run in (made, found):
        assert (run.info.user_id, run.info.start_time, run.info.run_name) == ("ada", 456, "my name")
        assert run.data.tags == {**tags, "mlflow.runName": "my name"}
    assert [run.info for run in client.search_runs([experiment])] == [found.info]
    assert client.create_run(experiment).info.user_id == "unknown"
    run_id = made.info.run_id
    client.update_run(run_id, name="other")
    client.set_terminated(run_id)
    assert (client.get_run(run_id).info.status, client.get_run(run_id).info.run_name) == ("FINISHED", "other")
    client.set_terminated(run_id, "KILLED", end_time=500)
    assert client.get_run(run_id).info.end_time == 500
    client.update_run(run_id, status="RUNNING")
    assert (client.get_run(run_id).info.status, client.get_run(run_id).info.end_time) == ("RUNNING", None)
    client.set_tag(run_id, "mlflow.runName", "by tag")
    assert client.get_run(run_id).info.run_name == "by tag"
    client.delete_run(run_id)
    refused(f"The run {run_id} must be in the 'active' state", client.log_metric, run_id, "a", 1)
    assert client.get_run(run_id).info.lifecycle_stage == "deleted"
    client.restore_run(run_id)
    refused("Run with id=absent not found", client.get_run, "absent")


def series():
    run_id = client.create_run(client.create_experiment("series")).info.run_id
    client.log_metric(run_id, "loss", 123.456, timestamp=789, step=2)
    client.log_metric(run_id, "loss", 123.456, timestamp=789, step=2)
    for key, value in (("nan", math.nan), ("up", math.inf), ("down", -math.inf)):
        client.log_metric(run_id, key, value)
    client.log_batch(
        run_id,
        metrics=[Metric("many", step / 7, 1000 + step, step) for step in range(900)],
        params=[Param("depth", "3"), Param("empty", "")],
        tags=[RunTag("team", "blue")],
    )
    run = client.get_run(run_id)
    assert run.data.metrics["loss"] == 123.456
    assert math.isnan(run.data.metrics["nan"])
    assert run.data.metrics["up"] >= 1.7976931348623157e308
    assert run.data.metrics["down"] <= -1.7976931348623157e308
    assert run.data.params == {"depth": "3", "empty": ""}
    assert run.data.tags["team"] == "blue"
    history = client.get_metric_history(run_id, "loss")
    assert [(point.value, point.timestamp, point.step) for point in history] == [(123.456, 789, 2)]
    assert [point.value for point in client.get_metric_history(run_id, "many")] == [step / 7 for step in range(900)]
    assert client.get_metric_history(run_id, "absent") == []
    client.log_param(run_id, "depth", "3")
    refused("was already logged with value='3'", client.log_param, run_id, "depth", "4")
    refused("Params were already logged", client.log_batch, run_id, params=[Param("depth", "4"), Param("new", "1")])
    assert "new" not in client.get_run(run_id).data.params
    client.delete_tag(run_id, "team")
    refused("No tag with name: team", client.delete_tag, run_id, "team")


def searches():
    experiment = client.create_experiment("searches")
    ids = sorted(client.create_run(experiment, start_time=1).info.run_id for _ in range(10))
    found, token = [], None
    while True:
        page = client.search_runs([experiment], max_results=4, page_token=token)
        found += [run.info.run_id for run in page]
        token = page.token
        if not token:
            break
    assert found == ids
    client.log_metric(ids[3], "m", 5)
    client.log_metric(ids[4], "m", 7)
    client.log_param(ids[4], "p", "x")
    asked = partial(found_runs, experiment)
    assert asked("metrics.m > 1", "metrics.m DESC") == [ids[4], ids[3]]
    assert asked("params.p = 'x' and attributes.status = 'RUNNING'") == [ids[4]]
    assert asked(f"run_id IN ('{ids[1]}')") == [ids[1]]
    assert asked(f"artifact_uri = '{client.get_run(ids[0]).info.artifact_uri}'") == [ids[0]]
    refused(
        "Invalid value 123456789 for parameter 'max_results'", client.search_runs, [experiment], max_results=123456789
    )
    refused("Invalid entity type 'foo'", client.search_runs, [experiment], "foo.bar = 1")


def lineage():
    experiment = client.create_experiment("lineage")
    run_id = client.create_run(experiment).info.run_id
    used = DatasetInput(
        Dataset(name="rows", digest="d1", source_type="local", source="{}"),
        [InputTag("mlflow.data.context", "training")],
    )
    client.log_inputs(run_id, [used])
    model = client.create_logged_model(
        experiment, name="trees", source_run_id="elsewhere", params={"a": "b"}, model_type="T"
    )
    assert (model.source_run_id, model.params, model.model_type, model.status) == (
        "elsewhere",
        {"a": "b"},
        "T",
        LoggedModelStatus.PENDING,
    )
    client.log_metric(
        run_id, "auc", 0.5, timestamp=5, step=1, dataset_name="rows", dataset_digest="d1", model_id=model.model_id
    )
    assert client.get_logged_model(model.model_id).metrics == [
        Metric("auc", 0.5, 5, 1, model_id=model.model_id, dataset_name="rows", dataset_digest="d1", run_id=run_id)
    ]
    client.log_outputs(run_id, [LoggedModelOutput(model.model_id, 3)])
    client.log_inputs(run_id, models=[LoggedModelInput(model.model_id)])
    run = client.get_run(run_id)
    assert run.outputs.model_outputs == [LoggedModelOutput(model.model_id, 3)]
    assert run.inputs.model_inputs[0].model_id == model.model_id
    assert run.inputs.dataset_inputs[0].dataset.name == "rows"
    assert [found.info.run_id for found in client.search_runs([experiment], "dataset.name = 'rows'")] == [run_id]
    assert client.finalize_logged_model(model.model_id, LoggedModelStatus.READY).status == LoggedModelStatus.READY
    client.set_logged_model_tags(model.model_id, {"x": "y"})
    client.delete_logged_model_tag(model.model_id, "x")
    refused("No tag with key", client.delete_logged_model_tag, model.model_id, "x")
    other = client.create_logged_model(experiment)
    on = partial(found_models, experiment)
    assert sorted(on()) == sorted([model.model_id, other.model_id])
    assert on(datasets=[{"dataset_name": "rows", "dataset_digest": "d1"}]) == [model.model_id]
    assert on(filter_string="metrics.auc > 0.4", datasets=[{"dataset_name": "other"}]) == []
    assert on(order_by=[{"field_name": "metrics.auc"}]) == [model.model_id, other.model_id]
    client.delete_logged_model(model.model_id)
    refused("not found", client.get_logged_model, model.model_id)
    refused("NOT_IMPLEMENTED", client.search_traces, locations=[experiment])


for part in (experiments, runs, series, searches, lineage):
    part()
print("ok", mlflow.__version__)
