"""What people say of answers, over HTTP: on one prediction, on many, and all that was said. Keeping it is the prediction log's. Called by app.py."""

from datetime import UTC, datetime
from typing import Annotated

from litestar import get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter

from noria.app.workspace import Workspace
from noria.domain.ids import PredictionId
from noria.domain.prediction import Feedback, FeedbackReceipt
from noria.server.control.deployments import find
from noria.server.control.predictions_views import FeedbacksIn, FeedbackView, WordIn


@post("/api/v1/predictions/{prediction_id:str}/feedback", sync_to_thread=True, tags=["predictions"], status_code=200)
def add_word(
    workspace: NamedDependency[Workspace], prediction_id: FromPath[str], data: JSONBody[WordIn]
) -> FeedbackReceipt:
    """Say something of one prediction. Of one person's words on it (`by`) the newest count; all are kept, apart from the labels."""
    logged = workspace.predictions.get(PredictionId(prediction_id))
    word = _feedback(prediction_id, data, workspace.clock.now())
    return workspace.predictions.add_feedback(logged.record.deployment, [word])


@post(
    "/api/v1/deployments/{name:str}/feedback",
    sync_to_thread=True,
    tags=["predictions"],
    status_code=200,
    description="Take a batch of feedback in. What is said of unknown predictions is kept too, and told.",
)
def add_feedback(
    workspace: NamedDependency[Workspace], name: FromPath[str], data: JSONBody[FeedbacksIn]
) -> FeedbackReceipt:
    """Take a batch of feedback in. (Said above again: the framework wraps the second handler of a path, and loses what stands here.)"""
    find(workspace, name)
    now = workspace.clock.now()
    words = [_feedback(word.prediction_id, word, now) for word in data.feedback]
    return workspace.predictions.add_feedback(name, words)


@get("/api/v1/deployments/{name:str}/feedback", sync_to_thread=True, tags=["predictions"])
def list_feedback(
    workspace: NamedDependency[Workspace],
    name: FromPath[str],
    limit: Annotated[int, QueryParameter(ge=1, le=1000)] = 50,
) -> FeedbackView:
    """What people said, newest first."""
    find(workspace, name)
    words = workspace.predictions.feedback(name)
    return FeedbackView(
        deployment=name,
        total=len(words),
        good=sum(word.good is True for word in words),
        bad=sum(word.good is False for word in words),
        feedback=words[: -limit - 1 : -1],
    )


def _feedback(prediction_id: str, word: WordIn, now: datetime) -> Feedback:
    return Feedback(
        prediction_id=PredictionId(prediction_id),
        at=word.at or now.astimezone(UTC),
        good=word.good,
        value=word.value,
        comment=word.comment,
        by=word.by,
        metric=word.metric,
    )
