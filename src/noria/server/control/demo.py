"""The documents that the demo publishes while it runs and at its end, as the pages show them. Making them is demo/. Called by the views."""

import math
from datetime import datetime
from typing import Any, TypeVar

import msgspec

from noria.errors import StoreCorrupt
from noria.ports.blobs import BlobStore
from noria.server.control.views import ArmFigures, Comparison, MonthFigures, ProgressView

RESULT = "demo/result.json"
PROGRESS = "demo/progress.json"
T = TypeVar("T")


class _Progress(msgspec.Struct, frozen=True, kw_only=True):
    step: str = "replay"
    simulated_until: datetime | None = None
    months: list[Any] = []


class _Result(msgspec.Struct, frozen=True, kw_only=True):
    year: dict[str, Any] = {}
    months: list[Any] = []
    retrainings: Any = None
    refusals: Any = None
    rollbacks: Any = None
    promotions: Any = None
    alerts: Any = None
    timings: dict[str, Any] = {}
    deployment: str = ""
    example_prediction: str = ""


def comparison(blobs: BlobStore, deployment: str, deployments: list[str]) -> Comparison | None:
    """The demo's result, when it is about this deployment: the one it names, or the only one there is."""
    document = _read(blobs, RESULT, _Result)
    if document is None or (document.deployment or (deployments[0] if len(deployments) == 1 else "")) != deployment:
        return None
    counts = {
        name: _count(getattr(document, name))
        for name in ("retrainings", "promotions", "refusals", "rollbacks", "alerts")
    }
    return Comparison(
        year=_arms(document.year),
        months=_months(document.months),
        counts={name: count for name, count in counts.items() if count is not None},
        retrainings={arm: n for arm, n in document.retrainings.items() if isinstance(n, int)}
        if isinstance(document.retrainings, dict)
        else {},
        timings={name: float(value) for name, value in document.timings.items() if isinstance(value, int | float)},
        example_prediction=document.example_prediction,
    )


def progress(blobs: BlobStore) -> ProgressView | None:
    """How far a running demo has come; None when none has run, or when the last one has ended."""
    document = _read(blobs, PROGRESS, _Progress)
    if document is None or blobs.published(RESULT) is not None:
        return None
    return ProgressView(step=document.step, simulated_until=document.simulated_until, months=_months(document.months))


def _read(blobs: BlobStore, name: str, kind: type[T]) -> T | None:
    content = blobs.published(name)
    if content is None:
        return None
    try:
        return msgspec.json.decode(content, type=kind)
    except msgspec.MsgspecError as exc:
        raise StoreCorrupt(f"the document {name!r} cannot be read", cause=str(exc), remedy="noria demo") from exc


def _months(rows: list[Any]) -> list[MonthFigures]:
    return [
        MonthFigures(month=str(row["month"]), arms=_arms(row))
        for row in rows
        if isinstance(row, dict) and "month" in row
    ]


def _arms(row: dict[str, Any]) -> dict[str, ArmFigures]:
    return {name: _figures(value) for name, value in row.items() if isinstance(value, dict)}


def _figures(value: dict[str, Any]) -> ArmFigures:
    number = {key: float(v) for key, v in value.items() if isinstance(v, int | float) and math.isfinite(v)}
    return ArmFigures(
        log_loss=number.get("log_loss"),
        auc=number.get("auc"),
        calibration_error=number.get("calibration_error"),
        n=int(number.get("n", 0)),
    )


def _count(value: Any) -> int | None:
    if isinstance(value, dict):
        return _count(value.get("noria"))
    if isinstance(value, list):
        return len(value)
    return value if isinstance(value, int) else None
