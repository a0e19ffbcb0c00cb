"""The two models that servers are compared on, fitted once, packaged as Noria does and pickled for the peers; and the bodies of the requests.

gbdt: LightGBM, 200 trees of 31 leaves, 30 numbers. pipeline: scaled numbers (24) and one-hot text (6), logistic regression. Called by serving.py.
"""

import io
import json
import subprocess
import warnings
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

FEATURES, TREES, LEAVES = 30, 200, 31
NUMBERS, TEXTS = 24, 6
MODELS = ("gbdt", "pipeline")
ROWS = (1, 100, 1000)
WHEN = datetime(2026, 1, 1, tzinfo=UTC)

FIT = """
import pickle, sys, warnings, numpy as np, pandas as pd, lightgbm
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
warnings.simplefilter("ignore")
folder, kind = sys.argv[1], sys.argv[2]
data = np.load(f"{folder}/{kind}.npz", allow_pickle=True)
frame = pd.DataFrame({name: data[name] for name in data["names"].tolist()})
texts = [n for n in frame.columns if n.startswith("c")]
if kind == "gbdt":
    model = lightgbm.LGBMClassifier(n_estimators=int(sys.argv[3]), num_leaves=int(sys.argv[4]), n_jobs=1, verbose=-1)
    model.fit(frame.to_numpy(), data["y"])
else:
    numbers = [n for n in frame.columns if n not in texts]
    before = ColumnTransformer([("n", StandardScaler(), numbers), ("t", OneHotEncoder(handle_unknown="ignore"), texts)])
    model = Pipeline([("before", before), ("model", LogisticRegression(max_iter=1000))]).fit(frame, data["y"])
pickle.dump(model, open(f"{folder}/{kind}.pickle", "wb"))
"""


def build(scratch: Path, peer_python: str) -> dict[str, Path]:
    """Everything that the servers need: the home, each model's graph, pickle and bodies, by name."""
    from noria.adapters.blobs import local

    warnings.simplefilter("ignore")
    home = scratch / "home"
    blobs = local.open_store(str(home / "blobs"))
    made = {"home": home, "scratch": scratch}
    for kind in MODELS:
        columns, y = data_of(kind)
        names = np.array(list(columns))
        np.savez(scratch / f"{kind}.npz", y=y, names=names, **columns)
        graph = scratch / f"{kind}.onnx"
        graph.write_bytes(_publish(kind, columns, y, blobs))
        made[f"{kind}.onnx"] = graph
        for rows in ROWS:
            made |= _bodies(scratch, kind, columns, rows)
        if peer_python:
            command = [peer_python, "-W", "ignore", "-c", FIT, str(scratch), kind, str(TREES), str(LEAVES)]
            subprocess.run(command, check=True)
            made[f"{kind}.pickle"] = scratch / f"{kind}.pickle"
    return made


def data_of(kind: str) -> tuple[dict[str, Any], Any]:
    """Training columns and labels, the same each time."""
    rng = np.random.default_rng(0)
    count = FEATURES if kind == "gbdt" else NUMBERS
    x = rng.normal(size=(8000, count))
    y = (x[:, :5].sum(axis=1) + rng.normal(size=8000) > 0).astype(int)
    columns: dict[str, Any] = {f"f{i}": x[:, i].copy() for i in range(count)}
    if kind == "pipeline":
        words = np.array([f"value-{i:02d}" for i in range(20)], object)
        columns |= {f"c{i}": words[rng.integers(0, 20, 8000)] for i in range(TEXTS)}
    return columns, y


def _fitted(kind: str, columns: dict[str, Any], y: Any) -> Any:
    if kind == "gbdt":
        from lightgbm import LGBMClassifier

        matrix = np.column_stack(list(columns.values()))
        return LGBMClassifier(n_estimators=TREES, num_leaves=LEAVES, n_jobs=1, verbose=-1).fit(matrix, y)
    import polars as pl
    from sklearn.compose import ColumnTransformer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    texts = [n for n in columns if n.startswith("c")]
    frame = pl.DataFrame({n: pl.Series(n, v.tolist()) if n in texts else v for n, v in columns.items()})
    before = ColumnTransformer(
        [
            ("n", StandardScaler(), [n for n in columns if n not in texts]),
            ("t", OneHotEncoder(handle_unknown="ignore", sparse_output=False), texts),
        ]
    )
    return Pipeline([("before", before), ("model", LogisticRegression(max_iter=1000))]).fit(frame, y)


def _publish(kind: str, columns: dict[str, Any], y: Any, blobs: Any) -> bytes:
    """Package as Noria does, and publish with a challenger, so that routing is really done. Gives the graph."""
    from noria.app.worker import Flavors
    from noria.domain.deployment import Deployment, Variant
    from noria.domain.ids import RunId
    from noria.packaging.bundle import build as build_bundle
    from noria.packaging.environment import capture
    from noria.packaging.signature import infer_signature
    from noria.serving import desired

    sample = {name: values[:500].copy() for name, values in columns.items()}
    built = build_bundle(
        _fitted(kind, columns, y),
        name=kind,
        run_id=RunId("bench"),
        signature=infer_signature(sample, {"probability": np.zeros(1, np.float32)}),
        sample=sample,
        blobs=blobs,
        flavors=Flavors(),
        environment=capture(),
        created_at=WHEN,
    )
    assert built.bundle.flavor == "onnx", built.note
    alone = Variant(name="champion", model=kind, number=1, version="1.0.0", bundle=built.digest, weight=1.0)
    single = Deployment(name=f"{kind}-alone", model=kind, generation=1, variants=(alone,), updated_at=WHEN)
    desired.publish(blobs, single)
    variants = tuple(
        Variant(name=name, model=kind, number=n, version=f"{n}.0.0", bundle=built.digest, weight=weight)
        for n, (name, weight) in enumerate([("champion", 0.8), ("challenger", 0.2)], 1)
    )
    desired.publish(blobs, Deployment(name=kind, model=kind, generation=1, variants=variants, updated_at=WHEN))
    graph: bytes = blobs.get(next(f.digest for f in built.bundle.files if f.path == "model.onnx"))
    return graph


def _bodies(scratch: Path, kind: str, columns: dict[str, Any], rows: int) -> dict[str, Path]:
    """The same rows in the form of each protocol; names end in the protocol."""
    import polars as pl

    def tensors(shape: list[int], **more: Any) -> list[dict[str, Any]]:
        return [
            {"name": n, "shape": shape, "datatype": "BYTES" if v.dtype == object else "FP64", **more}
            for n, v in part.items()
        ]

    part = {name: values[:rows] for name, values in columns.items()}
    lists = {name: values.tolist() for name, values in part.items()}
    table = [list(row) for row in zip(*lists.values(), strict=True)]
    records = [dict(zip(lists, row, strict=True)) for row in table]
    v2 = [{**tensor, "data": lists[tensor["name"]]} for tensor in tensors([rows])]
    frames = [
        {
            **tensor,
            "data": lists[tensor["name"]],
            "parameters": {"content_type": "str" if tensor["datatype"] == "BYTES" else "np"},
        }
        for tensor in tensors([rows, 1])
    ]
    stream = io.BytesIO()
    pl.DataFrame(lists).write_ipc_stream(stream)
    contents = {
        "v2": _json({"inputs": v2}),
        "v2-binary": b"",
        "v1": _json({"instances": records}),
        "invocations": _json({"dataframe_split": {"columns": list(lists), "data": table}}),
        "records": _json(records),
        "arrow": stream.getvalue(),
        "mlserver": _json(
            {"parameters": {"content_type": "pd"}, "inputs": frames, "outputs": [{"name": "predict_proba"}]}
        ),
    }
    found = {}
    for name, content in contents.items():
        path = found[f"{kind}.{rows}.{name}"] = scratch / f"{kind}-{rows}-{name}.body"
        if name == "v2-binary":
            parts = [_binary(values) for values in part.values()]
            heads = [
                {**t, "parameters": {"binary_data_size": len(b)}} for t, b in zip(tensors([rows]), parts, strict=True)
            ]
            head = _json({"inputs": heads})
            path.with_suffix(".head").write_text(str(len(head)))
            content = b"".join([head, *parts])
        path.write_bytes(content)
    return found


def _json(content: Any) -> bytes:
    return json.dumps(content, separators=(",", ":")).encode()


def _binary(values: Any) -> bytes:
    if values.dtype != object:
        return bytes(values.astype("<f8").tobytes())
    texts = [text.encode() for text in values.tolist()]
    return b"".join(len(text).to_bytes(4, "little") + text for text in texts)
