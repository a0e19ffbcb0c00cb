"""The registry's whole life by MLflow's own client. Run with a server's URL. Not collected by pytest: it runs in the clients' environment."""

import sys

import mlflow
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

client = MlflowClient(sys.argv[1], sys.argv[1])


def refused(text, call, *given, **named):
    said = "nothing"
    try:
        call(*given, **named)
    except MlflowException as error:
        said = str(error)
    assert text in said, (text, said)


def versions(where="", order_by=None):
    return [version.version for version in client.search_model_versions(where, order_by=order_by)]


made = client.create_registered_model("churn", {"team": "blue", "number": 12345}, "who leaves")
assert made.tags == {"team": "blue", "number": "12345"}
assert made.description == "who leaves"
assert client.get_registered_model("churn").latest_versions == []
refused(
    "RESOURCE_ALREADY_EXISTS: Registered Model (name=churn) already exists.", client.create_registered_model, "churn"
)
refused("Registered Model with name=x not found", client.get_registered_model, "x")

first = client.create_model_version("churn", "runs:/r1/model", "r1", {"k": "v"}, description="one")
assert (first.version, first.tags, first.current_stage, first.status) == ("1", {"k": "v"}, "None", "READY")
assert [model.latest_versions for model in client.search_registered_models()] == [
    [client.get_model_version("churn", 1)]
]
client.create_model_version("churn", "runs:/r1/other", "r1")
client.create_model_version("churn", "s3://bucket/model", "r2")
assert versions() == ["3", "2", "1"]
assert client.search_model_versions("source_path = 'runs:/r1/model'") == [client.get_model_version("churn", "1")]
assert versions("run_id = 'r1'") == ["2", "1"]
assert versions("run_id IN ('r2', 'r3')") == ["3"]
assert versions("tags.k = 'v'") == ["1"]
assert versions("version_number >= 2", ["version_number ASC"]) == ["2", "3"]
refused(
    "INVALID_PARAMETER_VALUE: Parameter 'version' must be an integer, got 'abc'",
    client.get_model_version,
    "churn",
    "abc",
)

client.transition_model_version_stage("churn", 1, "Production")
client.transition_model_version_stage("churn", 2, "staging")
assert {v.current_stage: v.version for v in client.get_latest_versions("churn")} == {
    "Production": "1",
    "Staging": "2",
    "None": "3",
}
client.transition_model_version_stage("churn", 2, "Production", archive_existing_versions=True)
assert client.get_model_version("churn", 1).current_stage == "Archived"
assert client.get_model_version("churn", 1).tags == {"k": "v"}

client.set_registered_model_alias("churn", "champion", "1")
assert client.get_registered_model("churn").aliases == {"champion": "1"}
assert client.get_model_version_by_alias("churn", "champion") == client.get_model_version("churn", "1")
refused("reserved", client.set_registered_model_alias, "churn", "latest", "1")
copied = client.copy_model_version("models:/churn@champion", "copy")
assert (copied.source, copied.run_id, copied.tags, copied.description) == ("models:/churn/1", "r1", {"k": "v"}, "one")
assert client.get_model_version_download_uri("copy", "1") == "runs:/r1/model"

client.delete_model_version("churn", "1")
assert client.get_registered_model("churn").aliases == {}
client.delete_model_version("churn", "3")
assert client.create_model_version("churn", "runs:/r/m").version == "4"
client.set_model_version_tag("churn", "2", "empty", "")
assert client.get_model_version("churn", "2").tags == {"empty": ""}
client.delete_model_version_tag("churn", "2", "empty")
assert client.get_model_version("churn", "2").tags == {}
client.update_model_version("churn", "2", "two")
assert client.get_model_version("churn", "2").description == "two"

client.rename_registered_model("churn", "leavers")
refused("Registered Model with name=churn not found", client.get_registered_model, "churn")
assert versions("name = 'leavers'", ["version_number DESC"]) == ["4", "2"]
client.delete_registered_model("leavers")
assert [model.name for model in client.search_registered_models()] == ["copy"]

for number in range(29):
    client.create_registered_model(f"S{number:03}")
names, token = [], None
while True:
    page = client.search_registered_models("name ILIKE 's%'", max_results=8, page_token=token)
    names += [model.name for model in page]
    token = page.token
    if not token:
        break
assert names == [f"S{number:03}" for number in range(29)]
print("ok", mlflow.__version__)
