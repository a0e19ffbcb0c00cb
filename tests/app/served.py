"""A deployment with answers in its log and labels that have arrived, without a loop around it. Called by the tests of the analysis."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from noria.app.workspace import Workspace
from noria.domain.deployment import Deployment, Variant
from noria.domain.ids import Digest, PredictionId, digest_of
from noria.domain.model import Field, ModelVersion, SemanticVersion, Signature
from noria.domain.prediction import Column, GroundTruth, PredictionRecord

NAME = "returns"
BEGIN = datetime(2026, 3, 1, tzinfo=UTC)
BUNDLE = Digest(digest_of(b"served"))


def serve(
    workspace: Workspace,
    columns: Mapping[str, Sequence[object]],
    outputs: Mapping[str, Sequence[object]],
    *,
    labels: Sequence[float | None],
    days: Sequence[int],
    signature: Signature | None = None,
    bundle: Digest = BUNDLE,
    redacted: tuple[str, ...] = (),
) -> None:
    """Answer `NAME` with these rows, one request a day; a label is known a day later."""
    declare(workspace, signature or _signature(columns, outputs), bundle=bundle)
    writer = workspace.predictions.writer(NAME, name="test")
    truths = []
    at = np.asarray(days)
    for day in sorted(set(at.tolist())):
        rows = np.flatnonzero(at == day)
        moment = BEGIN + timedelta(days=int(day), hours=12)
        record = PredictionRecord(
            request_id=f"r{int(day):032x}",
            deployment=NAME,
            variant="champion",
            model=NAME,
            number=1,
            bundle=bundle,
            generation=1,
            at=moment,
            latency_us=100,
            protocol="v2",
            rows=int(rows.size),
            inputs=_recorded(columns, rows.tolist()),
            outputs=_recorded(outputs, rows.tolist()),
            redacted=redacted,
        )
        writer.write([record])
        for place, i in enumerate(rows):
            value = labels[int(i)]
            if value is not None:
                truths.append(
                    GroundTruth(
                        prediction_id=PredictionId(record.prediction_id(place)),
                        value=float(value),
                        at=moment + timedelta(days=1),
                    )
                )
    writer.close()
    workspace.predictions.add_labels(NAME, truths)


def _recorded(columns: Mapping[str, Sequence[object]], rows: list[int]) -> dict[str, Column]:
    """Columns as a worker records them: several values a row are columns of their own."""
    kept: dict[str, Any] = {}
    for name, values in columns.items():
        own = [values[i] for i in rows]
        if own and isinstance(own[0], list):
            kept |= {f"{name}.{i}": [row[i] for row in own] for i in range(len(own[0]))}  # type: ignore[index]
        else:
            kept[name] = own
    return kept


def declare(workspace: Workspace, signature: Signature, *, bundle: Digest = BUNDLE) -> None:
    """One version that answers under `NAME`."""
    workspace.models.register(
        ModelVersion(
            model=NAME,
            number=1,
            version=SemanticVersion(major=1, minor=0, patch=0),
            version_reason="the first",
            run_id=None,
            bundle=bundle,
            flavor="onnx",
            signature=signature,
            created_at=BEGIN,
        )
    )
    champion = Variant(name="champion", model=NAME, number=1, version="1.0.0", bundle=bundle, weight=1.0)
    workspace.deployments.put(Deployment(name=NAME, model=NAME, generation=1, variants=(champion,), updated_at=BEGIN))


def _signature(columns: Mapping[str, Sequence[object]], outputs: Mapping[str, Sequence[object]]) -> Signature:
    def field(name: str, values: Sequence[object]) -> Field:
        first = next((v for v in values if v is not None), 0.0)
        if isinstance(first, list):
            return Field(name=name, datatype="FP64", width=len(first))
        if isinstance(first, str):
            return Field(name=name, datatype="BYTES")
        return Field(name=name, datatype="INT64" if isinstance(first, int) else "FP64")

    return Signature(
        inputs=tuple(field(n, v) for n, v in columns.items()), outputs=tuple(field(n, v) for n, v in outputs.items())
    )


def orders(
    *, rows: int = 1600, days: int = 20, blind: float = 0.25, seed: int = 0
) -> tuple[dict[str, list[object]], dict[str, list[object]], list[float | None], list[int]]:
    """Orders that come back or not. The model says `blind` too little for those over the web; one in fifty has no label."""
    rng = np.random.default_rng(seed)
    shop = rng.choice(["north", "south", "web"], rows, p=[0.5, 0.3, 0.2])
    price = rng.gamma(2.0, 30.0, rows)
    truth = 1 / (1 + np.exp(-rng.normal(-1, 1, rows)))
    happened = (rng.random(rows) < truth).astype(float)
    said = np.clip(truth - blind * (shop == "web"), 0.01, 0.99)
    gone = rng.random(rows) < 0.02
    columns: dict[str, list[object]] = {"shop": shop.tolist(), "price": price.tolist()}
    labels = [None if lost else float(v) for v, lost in zip(happened, gone, strict=True)]
    return columns, {"probability": said.tolist()}, labels, (np.arange(rows) * days // rows).tolist()
