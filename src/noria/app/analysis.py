"""Read a deployment's labelled answers out of the log as arrays, and ask monitoring/ about their errors. Composition only, no statistics.

What is wrong is monitoring/errors and its neighbours. Called by `noria errors` and server/control/analysis.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from noria.app.workspace import Workspace
from noria.domain.fairness import FairnessReport
from noria.domain.model import Field, ModelVersion
from noria.errors import EmptySample, ExtraMissing, InputInvalid, NotFound
from noria.monitoring.errors import CLASSES, Answers, ErrorReport, Task, answers_of, error_report
from noria.monitoring.fairness import group_fairness
from noria.stats.checks import Ints
from noria.stats.fairness import ALLOWED

if TYPE_CHECKING:
    import polars as pl

MOST_ROWS = 200_000
"""More rows than this are thinned evenly: an analysis is to take seconds."""

DAYS = 90.0
"""How far back an analysis looks if nobody says."""


class Span(msgspec.Struct, frozen=True, kw_only=True):
    """Which answers were looked at. answers: all of this version in this time; labelled: those with an outcome; used: those that were analysed.

    redacted: inputs that the log does not hold as they were sent, and that nothing is said about.
    """

    deployment: str
    model: str
    number: int
    since: datetime
    until: datetime
    answers: int
    labelled: int
    used: int
    output: str
    redacted: tuple[str, ...] = ()


class GroupAnalysis(msgspec.Struct, frozen=True, kw_only=True):
    """How one version of a deployment treats the groups of a column."""

    span: Span
    report: FairnessReport


class ErrorAnalysis(msgspec.Struct, frozen=True, kw_only=True):
    """The errors of one version of a deployment."""

    span: Span
    report: ErrorReport


@dataclass(frozen=True, eq=False, kw_only=True)
class Logged:
    """Rows of the log as arrays, each of shape (n,): inputs by name, what was said, what happened (NaN where unknown), and the day of each row.

    said: shape (n,) or (n, classes). embeddings: inputs with several values a row, shape (n, width). kind: the output's datatype.
    """

    span: Span
    columns: dict[str, np.ndarray[Any, Any]]
    embeddings: dict[str, np.ndarray[Any, Any]]
    said: np.ndarray[Any, Any]
    happened: np.ndarray[Any, np.dtype[np.float64]]
    ids: list[str]
    times: list[datetime]
    days: Ints
    kind: str = ""

    def only(self, kept: np.ndarray[Any, Any]) -> "Logged":
        """The rows where `kept` (booleans, shape (n,)) holds."""
        where = np.flatnonzero(kept)
        return Logged(
            span=self.span,
            columns={name: values[where] for name, values in self.columns.items()},
            embeddings={name: values[where] for name, values in self.embeddings.items()},
            said=self.said[where],
            happened=self.happened[where],
            ids=[self.ids[i] for i in where],
            times=[self.times[i] for i in where],
            days=self.days[where],
            kind=self.kind,
        )


def analyse_errors(
    workspace: Workspace,
    deployment: str,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    number: int | None = None,
    by: str = "loss",
    task: Task | None = None,
    threshold: float = 0.5,
    ways: int = 2,
    limit: int = 8,
    seed: int = 0,
) -> ErrorAnalysis:
    """The errors of a deployment's labelled answers: confusion, residuals, worst groups, what tells them, examples.

    since, until: when they were asked for; default the newest 90 days. number: of the version; default the champion. by: what groups are compared by
    (monitoring/errors.MEASURES). Raises NotFound, EmptySample without labels, InputInvalid, ExtraMissing.
    """
    rows = read(workspace, deployment, since=since, until=until, number=number, labelled=True)
    answers = answers_in(rows, task=task, threshold=threshold)
    report = error_report(
        answers,
        rows.columns,
        ids=rows.ids,
        blocks=rows.days,
        times=rows.times,
        by=by,
        ways=ways,
        limit=limit,
        seed=seed,
    )
    return ErrorAnalysis(span=rows.span, report=report)


def _task(rows: Logged) -> Task | None:
    """What the output's name and type say of the task; None where only the values can tell."""
    if rows.span.output == "probability":
        return "binary"
    whole = bool((rows.happened == np.round(rows.happened)).all())
    if rows.kind in ("INT64", "BOOL") and whole and np.unique(rows.happened).size <= CLASSES:
        return "multiclass"
    return None


def analyse_groups(
    workspace: Workspace,
    deployment: str,
    *,
    by: str,
    since: datetime | None = None,
    until: datetime | None = None,
    number: int | None = None,
    task: Task | None = None,
    threshold: float = 0.5,
    allowed: float = ALLOWED,
) -> GroupAnalysis:
    """Rates of the groups of an input (or of the crossings of several, 'sex+age') and their gaps to all others.

    All answers count, labelled or not, where a rate needs no outcome. Arguments and errors as in `analyse_errors`; NotFound also for a column.
    """
    rows = read(workspace, deployment, since=since, until=until, number=number)
    known = np.isfinite(rows.happened)
    kind = task or (_task(rows) if not known.any() else None)
    kind = kind or answers_in(rows.only(known), threshold=threshold).task
    filled = replace(rows, happened=np.where(known, rows.happened, 0.0))
    report = group_fairness(
        answers_in(filled, task=kind, threshold=threshold),
        rows.columns,
        by=by,
        known=known,
        blocks=rows.days,
        allowed=allowed,
    )
    return GroupAnalysis(span=rows.span, report=report)


def answers_in(rows: Logged, *, task: Task | None = None, threshold: float = 0.5) -> Answers:
    """The labelled rows as answers of a task. Raises EmptySample when there are none."""
    if not rows.ids:
        raise EmptySample(
            f"no answer of {rows.span.model}/{rows.span.number} between {rows.span.since:%Y-%m-%d} and {rows.span.until:%Y-%m-%d} has a label",
            cause=f"{rows.span.answers} answers were given in this time",
            remedy="wait for labels, or say --since",
        )
    if not rows.span.output:
        raise InputInvalid(
            f"the answers of {rows.span.model}/{rows.span.number} are no numbers, and labels are",
            remedy="let the model answer the number of the class, or its probabilities, as well",
        )
    wide = rows.said.ndim == 2
    return answers_of(
        rows.happened,
        rows.said if not wide else rows.happened,
        task=task or _task(rows),
        threshold=threshold,
        probabilities=rows.said if wide else None,
    )


def read(
    workspace: Workspace,
    deployment: str,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    number: int | None = None,
    labelled: bool = False,
    days: float = DAYS,
    most: int = MOST_ROWS,
) -> Logged:
    """The log of one version as arrays, thinned evenly to `most` rows. labelled: only rows with a label. Raises NotFound, ExtraMissing."""
    try:
        import polars as pl
    except ModuleNotFoundError as exc:
        raise ExtraMissing("reading the prediction log needs polars", remedy="pip install 'noria[data]'") from exc
    version = _version(workspace, deployment, number)
    now = workspace.clock.now()
    until = until or _end(workspace, deployment, now)
    since = since or until - timedelta(days=days)
    if since >= until:
        raise InputInvalid(f"{since.isoformat()} is not before {until.isoformat()}", remedy="say --since and --until")
    frame = pl.DataFrame(
        workspace.predictions.joined(deployment, known_by=now, since=since, until=until, columns=_wanted(version))
    )
    frame = frame.filter(pl.col("number") == version.number) if frame.height else frame
    given = frame.height
    have = frame.filter(pl.col("label").is_not_null()) if given else frame
    output = _output(version, frame)
    kept = have if labelled else frame
    if kept.height and output:
        kept = kept.filter(_usable(kept, output))
    if kept.height > most:
        kept = kept[np.linspace(0, kept.height - 1, most).astype(np.int64)]
    redacted = _redacted(kept)
    span = Span(
        deployment=deployment,
        model=version.model,
        number=version.number,
        since=since,
        until=until,
        answers=given,
        labelled=have.height,
        used=kept.height,
        output=output.name if output else "",
        redacted=tuple(sorted(redacted)),
    )
    inputs = version.signature.inputs if version.signature else ()
    return _arrays(kept, span, inputs=inputs, output=output, redacted=redacted)


def _end(workspace: Workspace, deployment: str, now: datetime) -> datetime:
    """Now; or, if nothing was answered for as long as an analysis looks back, just after the last answer."""
    import polars as pl

    for since in (now - timedelta(days=DAYS), None):
        frame = pl.DataFrame(workspace.predictions.scan(deployment, since=since, columns=["at"]))
        if frame.height:
            return now if since else frame["at"].to_list()[-1] + timedelta(microseconds=1)
    return now


def _version(workspace: Workspace, deployment: str, number: int | None) -> ModelVersion:
    try:
        standing = workspace.deployments.get(deployment)
    except NotFound:
        names = [other.name for other in workspace.deployments.all()]
        raise NotFound.of("deployment", deployment, names, remedy="noria status") from None
    champion = standing.variant("champion") or (standing.variants[0] if standing.variants else None)
    if number is None and champion is None:
        raise NotFound(f"nothing answers as {deployment!r}", remedy="noria status")
    return workspace.models.get(standing.model, number if number is not None else champion.number if champion else 0)


def _output(version: ModelVersion, frame: "pl.DataFrame") -> Field | None:
    """The output that is compared with labels: probabilities first, then any number."""
    fields = version.signature.outputs if version.signature else ()
    there = [f for f in fields if _parts("out", f)[0] in frame.columns and f.datatype != "BYTES"]
    named = [f for f in there if f.name in ("probability", "probabilities")]
    floats = [f for f in there if f.datatype in ("FP32", "FP64")]
    return next(iter([*named, *floats, *there]), None)


def _wanted(version: ModelVersion) -> list[str] | None:
    """The log's columns that an analysis needs; all where nobody knows what the version takes and gives."""
    if version.signature is None:
        return None
    own = [part for f in version.signature.inputs for part in _parts("in", f)]
    own += [part for f in version.signature.outputs for part in _parts("out", f)]
    return ["prediction_id", "number", "at", "redacted", "label", *own]


def _parts(side: str, field: Field) -> list[str]:
    """The log's columns of an input ('in') or output ('out'): one, or one for each value of a wide one."""
    if field.width == 1:
        return [f"{side}.{field.name}"]
    return [f"{side}.{field.name}.{i}" for i in range(field.width)]


def _usable(frame: "pl.DataFrame", output: Field) -> "pl.Expr":
    """Rows whose answer and label, if there is one, are finite numbers."""
    import polars as pl

    usable = pl.col("label").is_null() | pl.col("label").is_finite()
    for name in _parts("out", output):
        usable = usable & pl.col(name).is_not_null()
        if frame.schema[name].is_float():
            usable = usable & pl.col(name).is_finite()
    return usable


def _redacted(frame: "pl.DataFrame") -> set[str]:
    if "redacted" not in frame.columns:
        return set()
    return {name for text in frame["redacted"].unique().to_list() if text is not None for name in json.loads(text)}


def _arrays(
    frame: "pl.DataFrame", span: Span, *, inputs: Sequence[Field], output: Field | None, redacted: set[str]
) -> Logged:
    import polars as pl

    columns: dict[str, np.ndarray[Any, Any]] = {}
    embeddings: dict[str, np.ndarray[Any, Any]] = {}
    wide = {part: field for field in inputs if field.width > 1 for part in _parts("in", field)}
    for field in dict.fromkeys(wide.values()):
        parts = [part for part in _parts("in", field) if part in frame.columns]
        if len(parts) == field.width and redacted.isdisjoint({field.name, *(p.removeprefix("in.") for p in parts)}):
            embeddings[field.name] = frame.select(pl.col(parts).cast(pl.Float64)).to_numpy()
    for name in frame.columns:
        if name.startswith("in.") and name not in wide and name.removeprefix("in.") not in redacted:
            columns[name.removeprefix("in.")] = frame[name].to_numpy()
    said: np.ndarray[Any, Any] = np.full(frame.height, np.nan)
    if output is not None and frame.height:
        several = frame.select(pl.col(_parts("out", output)).cast(pl.Float64)).to_numpy()
        said = several if output.width > 1 else several[:, 0]
    moments: Sequence[datetime] = frame["at"].to_list() if frame.height else []
    return Logged(
        span=span,
        columns=columns,
        embeddings=embeddings,
        said=said,
        happened=frame["label"].cast(pl.Float64).fill_null(float("nan")).to_numpy() if frame.height else np.empty(0),
        ids=frame["prediction_id"].to_list() if frame.height else [],
        times=list(moments),
        days=np.array([int(m.timestamp() // 86400) for m in moments], dtype=np.int64),
        kind=output.datatype if output is not None else "",
    )
