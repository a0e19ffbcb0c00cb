"""What is wrong with a deployment's answers, over HTTP: its errors, how it treats groups, why it changed. The figures are those of app/.

Called by app.py.
"""

from datetime import UTC, datetime
from typing import Annotated, Literal

from litestar import get
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, QueryParameter

from noria.app import analysis
from noria.app.anomalies import OddAnalysis, analyse_odd
from noria.app.causes import CauseAnalysis, Changed, analyse_causes
from noria.app.texts import TextAnalysis, analyse_texts
from noria.app.workspace import Workspace
from noria.monitoring.errors import Task

Since = Annotated[
    datetime | None, QueryParameter(description="Answers asked for from this moment on; default: 90 days.")
]
Until = Annotated[datetime | None, QueryParameter(description="Answers asked for before this moment; default: now.")]
Version = Annotated[int | None, QueryParameter(ge=1, description="Of this version; default: the champion.")]
Threshold = Annotated[float, QueryParameter(ge=0, le=1, description="Scores from here on are positive answers.")]
By = Literal["loss", "excess", "error", "over", "under"]


@get("/api/v1/deployments/{name:str}/errors", sync_to_thread=True, tags=["deployments"])
def read_errors(
    workspace: NamedDependency[Workspace],
    name: FromPath[str],
    since: Since = None,
    until: Until = None,
    version: Version = None,
    by: FromQuery[By] = "loss",
    task: FromQuery[Task | None] = None,
    threshold: Threshold = 0.5,
    ways: Annotated[int, QueryParameter(ge=1, le=2, description="Columns that a group is formed by, at most.")] = 2,
    limit: Annotated[int, QueryParameter(ge=1, le=50, description="How many groups are judged.")] = 8,
) -> analysis.ErrorAnalysis:
    """The errors of labelled answers: the groups that are surely worst, confusion, residuals, which columns tell them apart, and examples."""
    return analysis.analyse_errors(
        workspace,
        name,
        since=_aware(since),
        until=_aware(until),
        number=version,
        by=by,
        task=task,
        threshold=threshold,
        ways=ways,
        limit=limit,
    )


@get("/api/v1/deployments/{name:str}/groups", sync_to_thread=True, tags=["deployments"])
def read_groups(
    workspace: NamedDependency[Workspace],
    name: FromPath[str],
    by: Annotated[str, QueryParameter(max_length=200, description="An input, or several joined with '+'.")],
    since: Since = None,
    until: Until = None,
    version: Version = None,
    task: FromQuery[Task | None] = None,
    threshold: Threshold = 0.5,
    allowed: Annotated[float, QueryParameter(ge=0, le=1, description="Gap of a rate that is no matter.")] = 0.1,
) -> analysis.GroupAnalysis:
    """How the groups of an input are treated: rates with intervals, and the gaps between each group and all others."""
    return analysis.analyse_groups(
        workspace,
        name,
        by=by,
        since=_aware(since),
        until=_aware(until),
        number=version,
        task=task,
        threshold=threshold,
        allowed=allowed,
    )


@get("/api/v1/deployments/{name:str}/causes", sync_to_thread=True, tags=["deployments"])
def read_causes(
    workspace: NamedDependency[Workspace],
    name: FromPath[str],
    since: Annotated[datetime | None, QueryParameter(description="Now begins here; default: 14 days.")] = None,
    until: Until = None,
    against: Annotated[
        datetime | None,
        QueryParameter(description="Before begins here and ends where now begins; default: 4 times as long."),
    ] = None,
    version: Version = None,
    by: FromQuery[Changed] = "loss",
    task: FromQuery[Task | None] = None,
    threshold: Threshold = 0.5,
) -> CauseAnalysis:
    """Why the errors, or the answers, changed: because the inputs moved (which of them), or because the same inputs mean something else now."""
    return analyse_causes(
        workspace,
        name,
        since=_aware(since),
        until=_aware(until),
        against=_aware(against),
        number=version,
        by=by,
        task=task,
        threshold=threshold,
    )


@get("/api/v1/deployments/{name:str}/anomalies", sync_to_thread=True, tags=["deployments"])
def read_anomalies(
    workspace: NamedDependency[Workspace],
    name: FromPath[str],
    since: Annotated[datetime | None, QueryParameter(description="Predictions from here on; default: 7 days.")] = None,
    until: Until = None,
    against: Annotated[
        datetime | None,
        QueryParameter(description="What is ordinary is learnt from here to `since`; default: 8 times as long."),
    ] = None,
    version: Version = None,
    rate: Annotated[float, QueryParameter(gt=0, lt=1, description="Share of ordinary ones flagged by chance.")] = 0.001,
    limit: Annotated[int, QueryParameter(ge=1, le=500, description="How many are told with reasons.")] = 20,
) -> OddAnalysis:
    """Single predictions whose inputs hardly ever occurred together, at a stated rate of false flags, with what is odd about each."""
    return analyse_odd(
        workspace,
        name,
        since=_aware(since),
        until=_aware(until),
        against=_aware(against),
        number=version,
        rate=rate,
        limit=limit,
    )


@get("/api/v1/deployments/{name:str}/texts", sync_to_thread=True, tags=["deployments"])
def read_texts(
    workspace: NamedDependency[Workspace],
    name: FromPath[str],
    column: Annotated[
        str, QueryParameter(max_length=200, description="One input; default: embeddings and texts of several words.")
    ] = "",
    since: Annotated[datetime | None, QueryParameter(description="Now begins here; default: 7 days.")] = None,
    until: Until = None,
    against: Annotated[
        datetime | None,
        QueryParameter(description="Before begins here and ends where now begins; default: 5 times as long."),
    ] = None,
    version: Version = None,
) -> TextAnalysis:
    """Whether texts and embeddings changed more than they do by themselves, by a classifier that bets on which are newer; and in which words."""
    return analyse_texts(
        workspace,
        name,
        column=column,
        since=_aware(since),
        until=_aware(until),
        against=_aware(against),
        number=version,
    )


def _aware(moment: datetime | None) -> datetime | None:
    """A moment without a zone is meant in UTC."""
    return moment.replace(tzinfo=UTC) if moment is not None and moment.tzinfo is None else moment
