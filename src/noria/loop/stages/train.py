"""Train a challenger: gather what is labelled, choose window and candidate by a back-test in time, fit. Follows RetrainRequested.

The work is a pipeline of cached steps, so a crash repeats the unfinished step only. Everything is cut by two clocks: when a prediction was asked for
(`recipe.time`) and when its label was known (`recipe.known`); `known_only` refuses a row whose label was not known.
"""

from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime

import msgspec

from noria.data.snapshot import snapshot
from noria.domain import events as e
from noria.domain.dataset import DatasetVersion
from noria.domain.ids import Digest, RunId, derive
from noria.domain.ledger import Entry
from noria.domain.policy import Unsound, WindowEvidence
from noria.domain.run import Artifact, Metric, Run
from noria.errors import AlreadyExists, NoriaError, NotFound
from noria.loop.context import Context, Recipe
from noria.loop.firing import with_newest_data
from noria.loop.held import HELD_BACK, MODEL, estimator_codec
from noria.loop.stages.decide_facts import changed_before, taught_before
from noria.loop.stages.decide_sound import told, unsound_of
from noria.loop.training import Known, TrainingResult, labelled_rows, train_inputs, train_pipeline
from noria.packaging.environment import capture
from noria.pipeline.run import PipelineRun, run_pipeline
from noria.tracking.code_version import code_version
from noria.tracking.naming import human_name


def train(entry: Entry, context: Context) -> Sequence[e.AnyEvent]:
    """RetrainRequested -> RunFinished or RunFailed, with the DatasetVersion it learnt from."""
    event = entry.event
    assert isinstance(event, e.RetrainRequested)
    recipe = context.recipe(event.deployment)
    recipe = with_newest_data(recipe, entry, ledger=context.ledger, tables=context.tables)
    run_id = RunId(derive("run", entry.id))
    environment = context.blobs.put(msgspec.json.encode(capture(), order="deterministic"))
    try:
        unsound = unsound_of(context, recipe, now=event.data_until)
        known = circumstances(entry, recipe, context, unsound)
        dataset = collect(event, recipe, context, unsound)
        _begin(run_id, entry, recipe, dataset, environment, context)
        past = past_backtests(entry, recipe, context, since=known.changed_at)
        done = run_pipeline(
            train_pipeline(recipe),
            params={"until": event.data_until.isoformat()},
            inputs=train_inputs(recipe, dataset, context.tables, past, known=known),
            journal=context.journal,
            blobs=context.blobs,
            executor=context.executor,
            clock=context.clock,
            holder=context.project,
            run_id=run_id,
            environment=environment,
            codecs=[estimator_codec(context.flavors)],
            on_step=context.on_step,
        )
    except NoriaError as error:
        if error.retryable:
            raise
        return [_failed(error, run_id, recipe, context)]
    result = done["evaluate"]
    assert isinstance(result, TrainingResult)
    _record(run_id, result, done, context)
    created = _created(dataset)
    finished = e.RunFinished(
        deployment=recipe.deployment,
        model=recipe.model,
        run_id=run_id,
        datasets=(dataset.digest,),
        window=result.window,
        candidate=result.candidate,
        backtest=result.evidence,
        rows=result.rows,
        steps_run=done.ran,
        steps_cached=done.cached,
        metrics=result.metrics,
    )
    return [created, finished]


def past_backtests(
    entry: Entry, recipe: Recipe, context: Context, *, since: datetime | None
) -> list[tuple[WindowEvidence, ...]]:
    """What the back-tests before this request found, oldest first: each was made in its own time, on labels known then.

    since: when the world last changed; what was found before speaks for a world that is over.
    """
    found = []
    for earlier in context.ledger.read(limit=1_000_000, kinds=("RunFinished",)):
        event = earlier.event
        if (
            earlier.seq < entry.seq
            and isinstance(event, e.RunFinished)
            and event.deployment == recipe.deployment
            and (since is None or event.window.known_by > since)
        ):
            found.append(event.backtest)
    return found


def circumstances(entry: Entry, recipe: Recipe, context: Context, unsound: Sequence[Unsound]) -> Known:
    """What is known of the world and of the rows, as of the request."""
    left_out = told(unsound)
    return Known(
        changed_at=changed_before(context, recipe, entry),
        taught_until=taught_before(context, recipe, entry),
        left_out=f"left out, as nothing to learn from: {left_out}" if left_out else "",
    )


def collect(
    event: e.RetrainRequested, recipe: Recipe, context: Context, unsound: Sequence[Unsound] = ()
) -> DatasetVersion:
    """The labelled rows as of the request, kept as a version: the base table, and what was served, was sound and has been labelled since."""
    frame = labelled_rows(recipe, context.tables, context.predictions, known_by=event.data_until, unsound=unsound)
    source = f"base table and prediction log of {recipe.deployment!r}, labels known by {event.data_until.isoformat()}"
    return snapshot(
        context.tables,
        f"{recipe.deployment}-training",
        frame,
        schema=recipe.schema,
        expectations=recipe.expectations,
        at=event.data_until,
        source_name=f"{source}; without {told(unsound)}" if unsound else source,
        parents=(recipe.base,),
    )


def _begin(
    run_id: RunId, entry: Entry, recipe: Recipe, dataset: DatasetVersion, environment: Digest, context: Context
) -> None:
    """Create the run, unless an earlier try of this stage, or another loop beside this one, has."""
    if _begun(run_id, context):
        return
    run = Run(
        id=run_id,
        experiment=recipe.deployment,
        name=human_name(run_id),
        status="running",
        started_at=context.clock.now(),
        datasets=(dataset.digest,),
        seed=recipe.seed,
        code=code_version(),
        environment=environment,
        cause=entry.id,
    )
    with suppress(AlreadyExists):  # another loop was quicker, on a clock of its own
        context.runs.create(run)


def _begun(run_id: RunId, context: Context) -> bool:
    """Whether the run has been created."""
    try:
        context.runs.get(run_id)
    except NotFound:
        return False
    return True


def _record(run_id: RunId, result: TrainingResult, done: PipelineRun, context: Context) -> None:
    now = context.clock.now()
    run = context.runs.get(run_id)
    if run.status == "finished":
        return
    context.runs.log_params(run_id, {"candidate": result.candidate, "window": result.window.choice, **result.params})
    context.runs.log_metrics(
        run_id, [Metric(key=key, value=value, at=run.started_at) for key, value in sorted(result.metrics.items())]
    )
    context.runs.set_tags(run_id, {"candidate": result.candidate, "window": result.window.reason})
    outputs = {step.step: step.output for step in done.steps if step.output is not None}
    artifacts = [
        Artifact(path=path, digest=outputs[step], size=context.blobs.size(outputs[step]))
        for path, step in ((MODEL, "train"), (HELD_BACK, "backtest"))
    ]
    context.runs.add_artifacts(run_id, artifacts)
    context.runs.finish(run_id, status="finished", at=now)


def _failed(error: NoriaError, run_id: RunId, recipe: Recipe, context: Context) -> e.RunFailed:
    if _begun(run_id, context):
        context.runs.finish(run_id, status="failed", at=context.clock.now(), error=str(error))
    return e.RunFailed(deployment=recipe.deployment, model=recipe.model, run_id=run_id, error=str(error))


def _created(dataset: DatasetVersion) -> e.DatasetVersionCreated:
    report = dataset.expectations
    return e.DatasetVersionCreated(
        dataset=dataset.dataset,
        number=dataset.number,
        digest=dataset.digest,
        rows=dataset.rows,
        passed=report is None or report.passed,
        quarantined=report.quarantined if report else 0,
        parents=dataset.parents,
    )
