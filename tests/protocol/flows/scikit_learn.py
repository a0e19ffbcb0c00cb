"""A data scientist's day by MLflow's own client: autolog, log, register, load by alias, predict, search, delete, restore. Run with a server's URL."""

import os
import sys

os.environ["MLFLOW_TRACKING_URI"] = sys.argv[1]
import mlflow
from mlflow import MlflowClient
from sklearn.datasets import make_classification
from sklearn.linear_model import LogisticRegression

X, y = make_classification(200, 5, random_state=0)
client = MlflowClient()
experiment = mlflow.set_experiment("day")

mlflow.sklearn.autolog(log_models=False)
with mlflow.start_run(run_name="auto") as auto:
    model = LogisticRegression(C=0.5).fit(X, y)
logged = client.get_run(auto.info.run_id)
assert logged.info.status == "FINISHED"
assert logged.data.params["C"] == "0.5"
assert 0.5 < logged.data.metrics["training_accuracy_score"] <= 1
assert len(logged.inputs.dataset_inputs) == 1
assert "estimator.html" in [file.path for file in client.list_artifacts(auto.info.run_id)]
mlflow.sklearn.autolog(disable=True)

with mlflow.start_run(run_name="by hand") as run:
    mlflow.log_param("depth", 3)
    mlflow.log_metrics({"loss": 0.5, "bad": float("nan"), "wide": float("inf")})
    for step in range(10):
        mlflow.log_metric("loss", 1 / (step + 1), step=step)
    mlflow.log_text("hello", "notes/hello.txt")
    mlflow.log_dict({"a": 1}, "notes/a.json")
    info = mlflow.sklearn.log_model(
        model, name="model", registered_model_name="churn", serialization_format="cloudpickle", pip_requirements=[]
    )
    with mlflow.start_run(run_name="child", nested=True) as child:
        mlflow.log_metric("loss", 7)
run_id = run.info.run_id
assert mlflow.artifacts.load_text(f"runs:/{run_id}/notes/hello.txt") == "hello"
assert sorted(os.listdir(mlflow.artifacts.download_artifacts(run_id=run_id, artifact_path="notes"))) == [
    "a.json",
    "hello.txt",
]
assert [point.value for point in client.get_metric_history(run_id, "loss")][-1] == 0.1
assert client.get_run(child.info.run_id).data.tags["mlflow.parentRunId"] == run_id

client.set_registered_model_alias("churn", "champion", 1)
expected = list(model.predict(X[:9]))
for uri in (
    "models:/churn@champion",
    "models:/churn/1",
    "models:/churn/latest",
    info.model_uri,
    f"runs:/{run_id}/model",
):
    assert list(mlflow.pyfunc.load_model(uri).predict(X[:9])) == expected, uri
again = mlflow.register_model(info.model_uri, "churn")
assert again.version == "2"
trained = mlflow.get_logged_model(info.model_id)
assert trained.status == "READY"
assert '"churn"' in trained.tags["mlflow.modelVersions"]
assert [found.model_id for found in mlflow.search_logged_models(output_format="list")] == [info.model_id]

found = mlflow.search_runs(filter_string="metrics.loss < 1 AND params.depth = '3'", order_by=["metrics.loss ASC"])
assert list(found.run_id) == [run_id]
assert len(mlflow.search_runs()) == 3
client.delete_run(run_id)
assert run_id not in list(mlflow.search_runs().run_id)
client.restore_run(run_id)
assert len(mlflow.search_runs()) == 3
client.delete_experiment(experiment.experiment_id)
assert client.get_experiment(experiment.experiment_id).lifecycle_stage == "deleted"
client.restore_experiment(experiment.experiment_id)
client.delete_registered_model("churn")
print("ok", mlflow.__version__)
