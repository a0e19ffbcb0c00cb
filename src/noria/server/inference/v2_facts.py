"""What a worker tells about itself and its models in the Open Inference Protocol V2, as plain data: REST makes JSON of it, gRPC messages.

Source: kserve/open-inference-protocol; Triton, extension_model_repository.md, extension_statistics.md. Called by v2 and grpc/service.
"""

from typing import Any

from noria import __version__
from noria.domain.model import Field
from noria.server.inference.metrics import Metrics, Tally
from noria.serving.live import Board, Served

EXTENSIONS = [
    "binary_tensor_data",
    "classification",
    "model_repository",
    "model_repository(unload_dependents)",
    "statistics",
]
"""Those of Triton's extensions that are answered here; the others are refused by name (ABSENT)."""

_UNTIMED = ("queue", "compute_input", "compute_infer", "compute_output", "cache_hit", "cache_miss")


def server() -> dict[str, Any]:
    """Name, version, extensions."""
    return {"name": "noria", "version": __version__, "extensions": EXTENSIONS}


def model(board: Board, name: str, version: str | None) -> dict[str, Any]:
    """What a model takes and gives. Raises ModelUnknown, ModelNotReady."""
    live = board.get(name)
    served = live.variants[0] if version is None else live.numbered(version)
    return {
        "name": live.deployment,
        "versions": [str(s.variant.number) for s in live.variants],
        "platform": _platform(served),
        "inputs": [_tensor(field) for field in served.signature.inputs],
        "outputs": [_tensor(field) for field in served.signature.outputs],
    }


def index(board: Board, *, ready: bool = False) -> list[dict[str, str]]:
    """Every version that answers, and, unless only those are asked for, what could be loaded. State: READY, LOADING, UNAVAILABLE."""
    rows: list[dict[str, str]] = []
    answering = {live.deployment: live for live in board.all()}
    for name, live in answering.items():
        error = board.error(name)
        reason = "" if error is None else f"its newest generation cannot be loaded: {error.headline()}"
        rows += [
            {"name": name, "version": str(s.variant.number), "state": "READY", "reason": reason} for s in live.variants
        ]
    if not ready:
        for name in board.names():
            if name not in answering:
                error = board.error(name)
                state, reason = ("LOADING", "") if error is None else ("UNAVAILABLE", error.headline())
                if stopped := board.stopped(name):
                    state, reason = "UNAVAILABLE", f"stopped by {stopped}"
                rows.append({"name": name, "state": state, "reason": reason})
        rows += [{"name": name, "state": "UNAVAILABLE", "reason": "unloaded"} for name in board.unloaded()]
    return sorted(rows, key=lambda row: (row["name"], row.get("version", "")))


def statistics(board: Board, metrics: Metrics, name: str = "", version: str | None = None) -> list[dict[str, Any]]:
    """What each version was asked, in every protocol and by all processes: of one version, of a deployment, or of all ('').

    What a worker does not time apart (queue, compute_*) was collected 0 times; a refused request has no version and counts with the champion.
    Raises ModelUnknown, ModelNotReady.
    """
    found = [board.get(name)] if name else board.all()
    answered, refused = metrics.tallies()
    stats = []
    for live in found:
        for served in live.variants if version is None else (live.numbered(version),):
            number = served.variant.number
            tally = answered.get((live.deployment, number), Tally())
            fails = refused.get(live.deployment, 0) if served is live.variants[0] else 0
            durations = {kind: _duration(0) for kind in _UNTIMED}
            durations |= {"success": _duration(tally.requests, tally.seconds), "fail": _duration(fails)}
            stats.append(
                {
                    "name": live.deployment,
                    "version": str(number),
                    "last_inference": int(tally.last * 1000),
                    "inference_count": tally.rows,
                    "execution_count": tally.requests,
                    "inference_stats": durations,
                    "batch_stats": [],
                }
            )
    return stats


def absent(extension: str) -> str:
    """Why a request of an extension is refused.

    >>> absent("trace")
    "this server has no extension 'trace'"
    """
    return f"this server has no extension {extension!r}"


def _duration(count: int, seconds: float = 0.0) -> dict[str, int]:
    return {"count": count, "ns": int(seconds * 1e9)}


def _platform(served: Served) -> str:
    return "onnxruntime_onnx" if served.flavor == "onnx" else served.flavor


def _tensor(field: Field) -> dict[str, Any]:
    return {"name": field.name, "datatype": field.datatype, "shape": [-1] if field.width == 1 else [-1, field.width]}
