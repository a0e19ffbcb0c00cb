"""POST /invocations, where MLflow's and SageMaker's callers meet, and the questions for health beside it. Bodies are mlflow and sagemaker.

Source: mlflow 3.17.2, pyfunc/scoring_server; Amazon SageMaker Developer Guide, "Custom inference code with hosting services". Called by app.
"""

from collections.abc import Coroutine
from typing import Any, Literal

from noria import __version__
from noria.errors import NoriaError
from noria.server.inference import mlflow, sagemaker
from noria.server.inference.answering import Answer, Question
from noria.server.inference.codec import TEXT, Call, Desk, Headers, Reply

_PREDICT = Call(
    "predict",
    "invocations",
    model_headers=("noria-deployment", sagemaker.TARGET_MODEL),
    variant_headers=("noria-variant", sagemaker.TARGET_VARIANT),
)


class InvocationsCodec:
    """See codec.Codec. dialect: whose rules hold for a request without any of SageMaker's headers."""

    roots = ("invocations", "ping", "health", "version")

    def __init__(self, dialect: Literal["mlflow", "sagemaker"] = "mlflow") -> None:
        self.name = dialect

    def call(self, method: str, path: str) -> Call | None:
        """See Codec."""
        if path == "/invocations":
            return _PREDICT if method == "POST" else None
        if method == "GET" and path in ("/ping", "/health", "/version"):
            return Call("tell", path[1:], is_open=path != "/version")
        return None

    def ask(self, call: Call, headers: Headers, body: bytes) -> Question | Coroutine[Any, Any, Question]:
        """See Codec."""
        if self.name == "sagemaker" or sagemaker.is_asked(headers):
            return sagemaker.ask(body, headers)
        return mlflow.ask(body, headers.get("content-type"))

    def respond(self, call: Call, question: Question, answer: Answer) -> Reply:
        """See Codec."""
        return sagemaker.respond(question, answer) if question.protocol == "sagemaker" else mlflow.respond(answer)

    async def tell(self, call: Call, headers: Headers, body: bytes, desk: Desk) -> Reply:
        """See Codec. /ping and /health: 200 once everything wanted is loaded."""
        if call.verb == "version":
            return Reply(__version__.encode(), headers=TEXT)
        return Reply(b"\n", 200 if desk.board.ready() else 503)

    def refuse(self, call: Call | None, status: int, error: NoriaError) -> Reply:
        """See Codec."""
        return mlflow.refuse(status, error)


CODEC = InvocationsCodec()
