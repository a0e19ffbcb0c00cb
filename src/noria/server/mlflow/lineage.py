"""What runs read and brought forth: datasets and models of a run, and the datasets of whole experiments. Called by app through ROUTES."""

import msgspec

from noria.domain.ids import ExperimentId, RunId, TrainedModelId
from noria.domain.query import Comparison, Field, Query
from noria.domain.run import DatasetUse, ModelLink
from noria.server.mlflow import checks
from noria.server.mlflow.errors import Refused
from noria.server.mlflow.routing import Context, Request, Route
from noria.server.mlflow.runs import run_writable
from noria.server.mlflow.shapes import CONTEXT, DatasetInput, KeyValue, ModelInput, ModelOutput, mapping
from noria.server.mlflow.wire import Form, Identifier, array, required, string

EXPERIMENTS_LIMIT = 20
SUMMARIES_LIMIT = 1000
PAGE = 1000


class LogInputs(msgspec.Struct):
    """What runs/log-inputs takes."""

    run_id: str | None = None
    datasets: list[DatasetInput] | None = None
    models: list[ModelInput] | None = None


class LogOutputs(msgspec.Struct):
    """What runs/outputs takes."""

    run_id: str | None = None
    models: list[ModelOutput] | None = None


class SearchDatasets(msgspec.Struct):
    """What experiments/search-datasets takes."""

    experiment_ids: list[Identifier] | None = None


class DatasetSummary(msgspec.Struct, frozen=True, omit_defaults=True):
    """A dataset that some run of an experiment read."""

    experiment_id: str
    name: str
    digest: str
    context: str = ""


class DatasetsAnswer(msgspec.Struct, omit_defaults=True):
    """All of them, each once."""

    dataset_summaries: list[DatasetSummary] = []


INPUTS = Form(LogInputs, run_id=(required, string), datasets=(array,), models=(array,))
OUTPUTS = Form(LogOutputs, run_id=(required, string), models=(required, array))
DATASETS = Form(SearchDatasets)


def log_inputs(request: Request, context: Context) -> None:
    """Say what a run read."""
    form = INPUTS.read(request)
    run_id = RunId(checks.run_id(form.run_id or ""))
    uses = [_use(item) for item in form.datasets or []]
    models = [ModelLink(model_id=TrainedModelId(item.model_id)) for item in form.models or []]
    with run_writable(context, run_id):
        context.metadata.runs.link(run_id, inputs=uses, models_in=models)


def _use(item: DatasetInput) -> DatasetUse:
    """A dataset as a noun. Raises Refused for what the protocol does not allow."""
    dataset = item.dataset
    if dataset is None:
        raise Refused("Dataset input must have a dataset associated with it.")
    for what, limit in checks.DATASET_LIMITS.items():
        checks.within(getattr(dataset, what) or "", limit, what)
    for tag in item.tags:
        _check_tag(tag)
    return DatasetUse(
        name=dataset.name or "",
        digest=dataset.digest or "",
        source_type=dataset.source_type or "",
        source=dataset.source or "",
        schema=dataset.schema or "",
        profile=dataset.profile or "",
        tags=mapping(item.tags),
    )


def _check_tag(tag: KeyValue) -> None:
    checks.within(tag.key, checks.INPUT_TAG_KEY_LIMIT, "key")
    checks.within(tag.value, checks.INPUT_TAG_VALUE_LIMIT, "value")


def log_outputs(request: Request, context: Context) -> None:
    """Say what a run brought forth."""
    form = OUTPUTS.read(request)
    run_id = RunId(form.run_id or "")
    models = [ModelLink(model_id=TrainedModelId(item.model_id), step=item.step) for item in form.models or []]
    with run_writable(context, run_id):
        context.metadata.runs.link(run_id, models_out=models)


def search_datasets(request: Request, context: Context) -> DatasetsAnswer:
    """The datasets that runs of some experiments read, each once per context."""
    experiments = [ExperimentId(str(one)) for one in DATASETS.read(request).experiment_ids or []]
    if not experiments:
        raise Refused("SearchDatasets request must specify at least one experiment_id.")
    if len(experiments) > EXPERIMENTS_LIMIT:
        raise Refused(
            f"SearchDatasets request cannot specify more than {EXPERIMENTS_LIMIT} experiment_ids. "
            f"Received {len(experiments)} experiment_ids."
        )
    some = Comparison(field=Field(scope="dataset", key="name"), operator="is not null")
    found: dict[DatasetSummary, None] = {}
    query = Query(where=some, experiments=tuple(experiments), life="all", limit=PAGE)
    while True:
        page = context.metadata.index.search(query)
        for run in page.items:
            for use in run.inputs:
                found[DatasetSummary(run.experiment_id, use.name, use.digest, use.tags.get(CONTEXT, ""))] = None
        if not page.next or len(found) >= SUMMARIES_LIMIT:
            return DatasetsAnswer(list(found)[:SUMMARIES_LIMIT])
        query = msgspec.structs.replace(query, after=page.next)


ROUTES = [
    Route("POST", "/mlflow/runs/log-inputs", log_inputs),
    Route("POST", "/mlflow/runs/outputs", log_outputs),
    Route("POST", "/mlflow/experiments/search-datasets", search_datasets),
    # MLflow's own server lacks the slash here, and its clients send it so.
    Route("POST", "/api/2.0mlflow/experiments/search-datasets", search_datasets, versions=()),
    Route("POST", "/ajax-api/2.0mlflow/experiments/search-datasets", search_datasets, versions=()),
]
