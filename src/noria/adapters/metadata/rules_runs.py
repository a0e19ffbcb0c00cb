"""What every metadata adapter must decide alike about runs, experiments and the files of both. Pure.

Trained models are rules_trained.py, registered models and the feed rules_registry.py, times and bits rules.py. Called in the adapters' transactions.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from msgspec.structs import replace

from noria.adapters.metadata.rules import float_bits, micros
from noria.domain.change import Change, ChangeKind
from noria.domain.experiment import Experiment
from noria.domain.ids import ExperimentId
from noria.domain.run import Artifact, DatasetUse, Metric, ModelLink, ParamValue, Run, RunStatus
from noria.errors import AlreadyExists, Conflict, InputInvalid, NotFound
from noria.wire.metrics import MetricColumns
from noria.wire.nouns import fingerprint
from noria.wire.paths import checked_path

UNDER_WAY: frozenset[RunStatus] = frozenset(("scheduled", "running"))
_INT64 = 2**63


def plain(text: str, *, what: str) -> str:
    """A text that every database keeps. Raises InputInvalid for the zero character and lone surrogates."""
    if "\0" in text or not _encodes(text):
        raise InputInvalid(f"{what} holds a character that cannot be stored", cause=ascii(text[:80]))
    return text


def _encodes(text: str) -> bool:
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def checked_key(key: str, *, what: str) -> str:
    """The name of a metric, param or tag: anything but nothing. Raises InputInvalid."""
    if not key:
        raise InputInvalid(f"a {what} has no name", remedy="give it one")
    return plain(key, what=f"the name of a {what}")


def checked_tags(tags: Mapping[str, str | None]) -> Mapping[str, str | None]:
    """Tags that can be kept. Raises InputInvalid."""
    for key, value in tags.items():
        checked_key(key, what="tag")
        if value is not None:
            plain(value, what=f"tag '{key}'")
    return tags


def with_tags(tags: Mapping[str, str], changes: Mapping[str, str | None]) -> dict[str, str]:
    """Tags after some were set or, where the value is None, taken away. Raises InputInvalid."""
    merged: dict[str, str | None] = {**tags, **checked_tags(changes)}
    return {key: value for key, value in merged.items() if value is not None}


# Experiments


def artifact_root(experiment: Experiment, owner: str, *, models: bool = False) -> str:
    """Where the files of a run (owner: its id) or of a trained model of this experiment stand.

    >>> from datetime import datetime
    >>> day = datetime(2013, 3, 1, tzinfo=UTC)
    >>> artifact_root(Experiment(id=ExperimentId("7"), name="trees", created_at=day, updated_at=day), "9f2c")
    '7/9f2c/artifacts'
    """
    root = experiment.artifact_root.rstrip("/") or experiment.id
    return f"{root}/models/{owner}/artifacts" if models else f"{root}/{owner}/artifacts"


def is_foreign(root: str) -> bool:
    """Whether an artifact root is outside this store: a URI, or an absolute path."""
    return ":/" in root or root.startswith("/")


def new_experiment(
    experiment_id: ExperimentId, name: str, *, at: datetime, tags: Mapping[str, str] | None, artifact_root: str
) -> Experiment:
    """An experiment as it is kept. Whether name and id are free is the store's to know. Raises InputInvalid."""
    micros(at, what=f"experiment '{name}'")
    if artifact_root and not is_foreign(artifact_root):
        raise InputInvalid(
            f"experiment '{name}' cannot keep its files at '{artifact_root}'",
            cause="the server alone chooses where files stand in its own store",
            remedy="leave artifact_root empty, or give a URI such as 's3://bucket/folder'",
        )
    return Experiment(
        id=experiment_id,
        name=checked_experiment_name(name),
        created_at=at,
        updated_at=at,
        tags=with_tags({}, dict(tags or {})),
        artifact_root=plain(artifact_root, what="an artifact root"),
    )


def checked_experiment_name(name: str) -> str:
    """Any text with something to see in it. Raises InputInvalid."""
    if not name.strip():
        raise InputInvalid(f"{name!r} is no name of an experiment", remedy="give it a name such as 'churn'")
    return plain(name, what="an experiment's name")


def checked_experiment_id(experiment_id: str) -> int:
    """The number of an id that a caller chose: a decimal number from 0 on, written in the shortest way, below 2^63. Raises InputInvalid."""
    plausible = experiment_id.isascii() and experiment_id.isdigit() and len(experiment_id) <= 19
    if not plausible or str(int(experiment_id)) != experiment_id or int(experiment_id) >= _INT64:
        raise InputInvalid(
            f"'{experiment_id}' is no id of an experiment", cause="ids are numbers", remedy="leave it to the store"
        )
    return int(experiment_id)


def name_taken(name: str, holder: ExperimentId) -> AlreadyExists:
    """What to say when an experiment that is not in the trash has this name."""
    return AlreadyExists(
        f"experiment '{name}' exists, with id '{holder}'", remedy="choose another name, or use that one"
    )


def experiment_id_taken(experiment_id: ExperimentId) -> AlreadyExists:
    """What to say when an id is, or was, another experiment's."""
    return AlreadyExists(
        f"experiment id '{experiment_id}' was given before",
        cause="ids are never used twice",
        remedy="leave it to the store",
    )


def missing_experiment(experiment_id: str) -> NotFound:
    """What to say when there is no such experiment."""
    return NotFound.of("experiment", experiment_id)


def active_experiment(experiment: Experiment) -> Experiment:
    """An experiment that may be written to. Raises Conflict for one in the trash."""
    if experiment.trashed_at is not None:
        raise Conflict(
            f"experiment '{experiment.name}' ({experiment.id}) is in the trash",
            cause=f"since {experiment.trashed_at.isoformat()}",
            remedy="take it out first",
        )
    return experiment


def renamed_experiment(experiment: Experiment, name: str, *, at: datetime) -> Experiment:
    """An experiment under another name. Raises Conflict, InputInvalid."""
    micros(at, what="a change")
    return replace(active_experiment(experiment), name=checked_experiment_name(name), updated_at=at)


def tagged_experiment(experiment: Experiment, tags: Mapping[str, str | None], *, at: datetime) -> Experiment:
    """An experiment with tags set or taken away. Raises Conflict, InputInvalid."""
    micros(at, what="a change")
    changed = with_tags(active_experiment(experiment).tags, tags)
    return replace(experiment, tags=changed, updated_at=at)


def trashed_experiment(experiment: Experiment, *, at: datetime | None) -> Experiment | None:
    """An experiment put into the trash or, at None, taken out of it. None: it is there already."""
    if at is None:
        return None if experiment.trashed_at is None else replace(experiment, trashed_at=None)
    micros(at, what="a change")
    return None if experiment.trashed_at is not None else replace(experiment, trashed_at=at, updated_at=at)


def not_in_trash(noun: str, name: str) -> Conflict:
    """What to say when something is to be forgotten that is not in the trash."""
    return Conflict(f"{noun} '{name}' is not in the trash", remedy="put it there first: forgetting cannot be undone")


def experiment_change(kind: ChangeKind, experiment: Experiment, *, at: datetime | None = None) -> Change:
    """What the feed is told of an experiment; the feed gives the number."""
    return Change(seq=0, at=at or datetime.now(UTC), kind=kind, subject=experiment.id, detail={"name": experiment.name})


# Runs


def point_key(point: Metric) -> tuple[int, int, int]:
    """What makes a point of a series: step, time and the bits of the value; also the order of the series. Raises InputInvalid."""
    if not -_INT64 <= point.step < _INT64:
        raise InputInvalid(f"metric '{point.key}' has step {point.step}, beyond 64 bits")
    return point.step, micros(point.at, what=f"metric '{point.key}'"), float_bits(point.value)


def checked_points(points: Sequence[Metric]) -> MetricColumns:
    """Points whose keys, steps, times and subjects can be kept, as columns. Raises InputInvalid."""
    columns = MetricColumns.of(points)
    for key in columns.names:
        checked_key(key, what="metric")
    for subject in set(columns.subjects.values()):
        plain(subject.dataset, what="a dataset's name")
        plain(subject.dataset_digest, what=f"the digest of dataset '{subject.dataset}'")
    return columns


def new_run(run: Run, experiment: Experiment) -> Run:
    """A run as it is kept: without metrics and artifacts, which live in places of their own, and with what the store fills.

    experiment: the one that the run names by id or by name. Raises InputInvalid, Conflict.
    """
    if not run.id:
        raise InputInvalid("a run has no id", remedy="use noria.domain.ids.fresh()")
    plain(run.id, what="the id of a run")
    plain(run.name, what=f"the name of run '{run.id}'")
    plain(run.user, what=f"the user of run '{run.id}'")
    plain(run.error, what=f"the error of run '{run.id}'")
    micros(run.started_at, what=f"run '{run.id}'")
    if run.finished_at is not None:
        micros(run.finished_at, what=f"the end of run '{run.id}'")
    if run.trashed_at is not None:
        raise InputInvalid(f"run '{run.id}' cannot begin in the trash", remedy="create it, then put it there")
    root = artifact_root(active_experiment(experiment), run.id)
    if not is_foreign(root):
        checked_path(root)
    if run.artifact_root not in ("", root):
        raise InputInvalid(
            f"run '{run.id}' cannot keep its files at '{run.artifact_root}'",
            cause=f"the store keeps them at '{root}'",
            remedy="leave artifact_root empty",
        )
    return replace(
        run,
        experiment=experiment.name,
        experiment_id=experiment.id,
        artifact_root=root,
        metrics={},
        artifacts=(),
        params=checked_params(run.params),
        tags=with_tags({}, dict(run.tags)),
        inputs=linked_datasets((), run.inputs),
        models_in=linked_models((), run.models_in),
        models_out=linked_models((), run.models_out),
    )


def first_points(run: Run) -> list[Metric]:
    """The metrics that a run was created with, as the first points of their series."""
    return [Metric(key=key, value=value, at=run.started_at) for key, value in run.metrics.items()]


def no_experiment(run: Run) -> InputInvalid:
    """What to say when a run names no experiment."""
    return InputInvalid(f"run '{run.id}' belongs to no experiment", remedy="name one")


def same_run(made: Run, run: Run) -> None:
    """A repeated `create` must bring what the first one brought. made: the run as it was created. Raises AlreadyExists."""
    if fingerprint(run) != fingerprint(made):
        raise began_otherwise(run.id)


def began_otherwise(run_id: str) -> AlreadyExists:
    """What to say when a run's id is another one's."""
    return AlreadyExists(f"run '{run_id}' exists, and it began differently", remedy="give the new run an id of its own")


def active_run(run: Run) -> Run:
    """A run that may be written to. Raises Conflict for one in the trash."""
    if run.trashed_at is not None:
        raise Conflict(
            f"run '{run.id}' is in the trash", cause=f"since {run.trashed_at.isoformat()}", remedy="take it out first"
        )
    return run


def checked_params(params: Mapping[str, ParamValue]) -> dict[str, ParamValue]:
    """Params that can be kept. Raises InputInvalid."""
    for key, value in params.items():
        checked_key(key, what="param")
        if isinstance(value, str):
            plain(value, what=f"param '{key}'")
    return dict(params)


def with_params(run: Run, params: Mapping[str, ParamValue]) -> Run:
    """A run with more params. Raises AlreadyExists if one has another value already (1, 1.0 and True are three values)."""
    for key, value in params.items():
        if key in run.params and fingerprint(run.params[key]) != fingerprint(value):
            raise AlreadyExists(
                f"param '{key}' of run '{run.id}' is {run.params[key]!r} and cannot become {value!r}",
                cause="a param says what a run was started with",
                remedy="start another run, or log a tag",
            )
    return replace(run, params={**run.params, **checked_params(params)})


def linked_datasets(held: Sequence[DatasetUse], more: Sequence[DatasetUse]) -> tuple[DatasetUse, ...]:
    """Datasets of a run, one a name and digest. What is held stays as it was; tags that it lacks are added. Raises InputInvalid."""
    found = {(use.name, use.digest): use for use in held}
    for use in more:
        if not use.name:
            raise InputInvalid("a dataset has no name", remedy="give it one")
        plain(use.name, what="a dataset's name")
        plain(use.digest, what=f"the digest of dataset '{use.name}'")
        before = found.get((use.name, use.digest))
        tags = with_tags(dict(use.tags), dict(before.tags) if before else {})
        found[use.name, use.digest] = replace(before or use, tags=tags)
    return tuple(found.values())


def linked_models(held: Sequence[ModelLink], more: Sequence[ModelLink]) -> tuple[ModelLink, ...]:
    """Models of a run, one an id; what is held stays as it was. Raises InputInvalid."""
    found = {link.model_id: link for link in held}
    for link in more:
        if not link.model_id or not -_INT64 <= link.step < _INT64:
            raise InputInvalid(f"model '{link.model_id}' cannot be linked at step {link.step}")
        plain(link.model_id, what="the id of a trained model")
        found.setdefault(link.model_id, link)
    return tuple(found.values())


def linked(
    run: Run, *, inputs: Sequence[DatasetUse], models_in: Sequence[ModelLink], models_out: Sequence[ModelLink]
) -> Run:
    """A run with more inputs and outputs; the same again changes nothing. Raises InputInvalid."""
    return replace(
        run,
        inputs=linked_datasets(run.inputs, inputs),
        models_in=linked_models(run.models_in, models_in),
        models_out=linked_models(run.models_out, models_out),
    )


def finished(run: Run, *, status: RunStatus, at: datetime, error: str) -> Run:
    """A run that has ended. Ending it the same way again changes nothing, not even the time. Raises Conflict, InputInvalid."""
    if status in UNDER_WAY:
        raise InputInvalid(f"a run cannot end as '{status}'", remedy="use 'finished', 'failed' or 'killed'")
    micros(at, what=f"the end of run '{run.id}'")
    plain(error, what=f"the error of run '{run.id}'")
    if active_run(run).status in UNDER_WAY:
        return replace(run, status=status, finished_at=at, error=error)
    if (run.status, run.error) != (status, error):
        raise Conflict(
            f"run '{run.id}' has {run.status} already and cannot end as '{status}'",
            cause=run.error,
            remedy="resume it first, or correct how it ended",
        )
    return run


def amended(run: Run, *, name: str | None, status: RunStatus | None, finished_at: datetime | None) -> Run:
    """A run renamed, resumed, or with another end. Raises Conflict, InputInvalid."""
    changed = active_run(run)
    if name is not None:
        changed = replace(changed, name=plain(name, what=f"the name of run '{run.id}'"))
    if status in UNDER_WAY:
        if finished_at is not None:
            raise InputInvalid(f"run '{run.id}' cannot be '{status}' and have an end", remedy="leave finished_at out")
        return replace(changed, status=status, finished_at=None, error="")
    if status is not None:
        changed = replace(changed, status=status, error=run.error if status == run.status else "")
    if finished_at is not None:
        micros(finished_at, what=f"the end of run '{run.id}'")
        changed = replace(changed, finished_at=finished_at)
    return changed


def has_ended_anew(before: Run, after: Run) -> bool:
    """Whether a change is an end that the feed is told of: the run ended, or ended otherwise than was said."""
    return after.status not in UNDER_WAY and (before.status, before.error) != (after.status, after.error)


def trashed_run(run: Run, *, at: datetime | None) -> Run | None:
    """A run put into the trash or, at None, taken out of it. None: it is there already."""
    if at is not None:
        micros(at, what="a change")
        return None if run.trashed_at is not None else replace(run, trashed_at=at)
    return None if run.trashed_at is None else replace(run, trashed_at=None)


def missing_run(run_id: str) -> NotFound:
    """What to say when there is no such run."""
    return NotFound.of("run", run_id, remedy="noria runs")


def run_change(kind: ChangeKind, run: Run, *, at: datetime | None = None) -> Change:
    """What the feed is told of a run; the feed gives the number."""
    return Change(
        seq=0,
        at=at or datetime.now(UTC),
        kind=kind,
        subject=run.id,
        detail={"experiment_id": run.experiment_id, "name": run.name, "status": run.status},
    )


# Files


def files_of_run(run: Run) -> str:
    """The folder of a run's files in this store. Raises Conflict if they are kept outside."""
    if is_foreign(run.artifact_root):
        raise Conflict(
            f"run '{run.id}' keeps its files outside this store, at '{run.artifact_root}'",
            remedy="upload them there, or use an experiment whose files are kept here",
        )
    return run.artifact_root


def added_artifacts(run_id: str, held: Mapping[str, Artifact], artifacts: Sequence[Artifact]) -> list[Artifact]:
    """Which of a run's artifacts are new. held: what stands at their paths now. Raises AlreadyExists if a path holds other content."""
    found = dict(held)
    for artifact in artifacts:
        if found.setdefault(artifact.path, artifact) != artifact:
            raise AlreadyExists(
                f"run '{run_id}' has another artifact at '{artifact.path}'", remedy="choose another path"
            )
    return [artifact for path, artifact in found.items() if path not in held]


def folders_above(path: str) -> list[str]:
    """Every folder that a path stands in, the outermost first.

    >>> folders_above("a/b/c")
    ['a', 'a/b']
    """
    parts = path.split("/")
    return ["/".join(parts[:length]) for length in range(1, len(parts))]


def checked_artifact(artifact: Artifact) -> Artifact:
    """A file's entry whose size can be. Its path is wire/paths' business. Raises InputInvalid."""
    if not 0 <= artifact.size < _INT64:
        raise InputInvalid(f"artifact '{artifact.path}' has size {artifact.size}")
    return artifact


def file_and_folder(path: str) -> InputInvalid:
    """What to say when a path would be a file and a folder at once."""
    return InputInvalid(f"'{path}' cannot be a file and a folder at once", remedy="choose another path")
