"""What MLflow's protocol has for generative models, and Noria has not: answered clearly, so that no client takes it for a wrong address."""

import re

from noria.server.mlflow.errors import answer
from noria.server.mlflow.routing import Response

NOUNS = frozenset(
    (
        "assistant",
        "assessments",
        "datasets",
        "gateway",
        "gateway-proxy",
        "genai",
        "get-online-trace-details",
        "get-trace-artifact",
        "issues",
        "jobs",
        "label-schemas",
        "mcp",
        "prompt-optimization",
        "prompts",
        "review-queues",
        "scorer",
        "scorers",
        "traces",
        "ui-telemetry",
        "unified-traces",
        "workspaces",
    )
)
_PATHS = re.compile(
    r"/(?:api|ajax-api)/[23]\.0/mlflow/(?P<noun>[^/]+)(?:/.*)?|/v1/traces|/graphql|/(?:gateway|mcp)(?:/.*)?", re.DOTALL
)
_OTHERS = ("/mlflow/runs/create-promptlab-run",)


def refusal(method: str, path: str) -> Response | None:
    """The answer for an operation that MLflow has and Noria has not; None for a path that means nothing to either.

    >>> refusal("POST", "/api/3.0/mlflow/traces").status, refusal("GET", "/api/2.0/mlflow/nothing")
    (501, None)
    """
    match = _PATHS.fullmatch(path)
    if not path.endswith(_OTHERS) and (match is None or (match["noun"] is not None and match["noun"] not in NOUNS)):
        return None
    return answer(
        501,
        "NOT_IMPLEMENTED",
        f"{method} {path} is not supported by Noria: it has no traces, prompts, scorers, gateways or pages of MLflow. "
        "Experiments, runs, metrics, artifacts, logged models and the model registry are served.",
    )
