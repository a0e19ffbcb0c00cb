"""The same rows through every protocol: the same answers to the bit, and the same inputs in the log.

Texts are never empty here: CSV cannot tell an empty text from none.
"""

import base64
import csv
import io
import json
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from noria.server.inference.protocols import codecs
from tests.server.inference_rig import INPUTS, SEVERAL, Rig

NAMES = [f.name for f in INPUTS]
KINDS = {f.name: f.datatype for f in INPUTS}
SCHEMA = {"FP64": pl.Float64, "FP32": pl.Float32, "INT64": pl.Int64, "BOOL": pl.Boolean, "BYTES": pl.String}
STREAM, FILE = "application/vnd.apache.arrow.stream", "application/vnd.apache.arrow.file"
EVENT = {"specversion": "1.0", "id": "1", "source": "/s", "type": "t"}
JSON = {"content-type": "application/json"}

numbers = st.floats(-8e307, 8e307)
"""Any two can be added: JSON has no infinity, so an answer that left the numbers would not look the same everywhere."""
texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)
rows = st.fixed_dictionaries(
    {
        "distance": numbers,
        "delay": st.none() | numbers,
        "speed": st.floats(allow_nan=False, allow_infinity=False, width=32),
        "hour": st.integers(-(2**63), 2**63 - 1),
        "late": st.booleans(),
        "carrier": texts | st.sampled_from(["AA", "UA"]),
        "note": st.none() | texts,
    }
)
tables = st.lists(rows, min_size=1, max_size=4)


@pytest.fixture(scope="module")
def rig():
    rig = Rig({"m": SEVERAL}, codecs=codecs({"AIP_PREDICT_ROUTE": "/vertex", "AIP_HEALTH_ROUTE": "/vertex-health"}))
    yield rig
    rig.close()


Sent = tuple[str, bytes, dict[str, str]]
"""Path, body, headers."""


def dumped(document: Any) -> bytes:
    return json.dumps(document).encode()


def columns(table: list[dict[str, Any]]) -> dict[str, list[Any]]:
    return {name: [row[name] for row in table] for name in NAMES}


def lists(table: list[dict[str, Any]]) -> list[list[Any]]:
    return [[row[name] for name in NAMES] for row in table]


def as_csv(table: list[dict[str, Any]], *, header: bool) -> bytes:
    out = io.StringIO()
    writer = csv.writer(out)
    if header:
        writer.writerow(NAMES)
    writer.writerows(["" if v is None else repr(v) if isinstance(v, float) else v for v in row] for row in lists(table))
    return out.getvalue().encode()


def frame(table: list[dict[str, Any]], form: str, **how: Any) -> bytes:
    built = pl.DataFrame(columns(table), schema={name: SCHEMA[KINDS[name]] for name in NAMES})
    out = io.BytesIO()
    {STREAM: built.write_ipc_stream, FILE: built.write_ipc, "parquet": built.write_parquet}[form](out, **how)
    return out.getvalue()


def v2(table: list[dict[str, Any]]) -> bytes:
    tensors = [
        {"name": name, "datatype": KINDS[name], "shape": [len(table)], "data": values}
        for name, values in columns(table).items()
    ]
    return dumped({"inputs": tensors})


SENDERS: dict[str, Callable[[list[dict[str, Any]]], Sent]] = {
    "v2": lambda t: ("/v2/models/m/infer", v2(t), JSON),
    "v1 objects": lambda t: ("/v1/models/m:predict", dumped({"instances": t}), JSON),
    "v1 lists": lambda t: ("/v1/models/m:predict", dumped({"instances": lists(t)}), JSON),
    "v1 columns": lambda t: ("/v1/models/m:predict", dumped({"inputs": columns(t)}), JSON),
    "v1 event": lambda t: (
        "/v1/models/m:predict",
        dumped({**EVENT, "data": {"instances": t}}),
        {"content-type": "application/cloudevents+json"},
    ),
    "v1 NaN": lambda t: (
        "/v1/models/m:predict",
        dumped({"instances": [{**row, "delay": math.nan if row["delay"] is None else row["delay"]} for row in t]}),
        JSON,
    ),
    "mlflow split": lambda t: ("/invocations", dumped({"dataframe_split": {"columns": NAMES, "data": lists(t)}}), JSON),
    "mlflow records": lambda t: ("/invocations", dumped({"dataframe_records": t}), JSON),
    "mlflow instances": lambda t: ("/invocations", dumped({"instances": lists(t)}), JSON),
    "mlflow inputs": lambda t: ("/invocations", dumped({"inputs": columns(t)}), JSON),
    "mlflow csv": lambda t: ("/invocations", as_csv(t, header=True), {"content-type": "text/csv"}),
    "mlflow parquet": lambda t: (
        "/invocations",
        frame(t, "parquet"),
        {"content-type": "application/vnd.apache.parquet"},
    ),
    "sagemaker csv": lambda t: (
        "/invocations",
        as_csv(t, header=False),
        {"content-type": "text/csv", "x-amzn-sagemaker-custom-attributes": "a"},
    ),
    "sagemaker lines": lambda t: (
        "/invocations",
        b"\n".join(dumped({"features": row}) for row in lists(t)),
        {"content-type": "application/jsonlines", "x-amzn-sagemaker-custom-attributes": "a"},
    ),
    "vertex": lambda t: ("/vertex", dumped({"instances": t}), JSON),
    "records": lambda t: ("/predict/m", dumped(t), JSON),
    "records lines": lambda t: ("/predict/m", b"\n".join(map(dumped, t)), {"content-type": "application/jsonlines"}),
    "records csv": lambda t: (
        "/predict/m",
        as_csv(t, header=True),
        {"content-type": "text/csv", "accept": "application/json"},
    ),
    "arrow stream": lambda t: ("/predict/m", frame(t, STREAM), {"content-type": STREAM}),
    "arrow file": lambda t: ("/predict/m", frame(t, FILE, compression="lz4"), {"content-type": FILE}),
}


def answered(path: str, headers: dict[str, str], content: bytes) -> list[dict[str, Any]]:
    """Rows of outputs, out of each protocol's form."""
    kind = headers["content-type"]
    if kind in (STREAM, FILE):
        read = pl.read_ipc_stream if kind == STREAM else pl.read_ipc
        return read(io.BytesIO(content)).drop("prediction_id").to_dicts()
    if kind == "application/jsonlines":
        found = [json.loads(line) for line in content.splitlines()]
    else:
        found = json.loads(content)
    if path.startswith("/v2"):
        tensors = {tensor["name"]: tensor["data"] for tensor in found["outputs"]}
        return [dict(zip(tensors, row, strict=True)) for row in zip(*tensors.values(), strict=True)]
    found = found.get("data", found) if isinstance(found, dict) else found
    if isinstance(found, dict) and "outputs" in found:
        by_name = found["outputs"]
        found = [dict(zip(by_name, row, strict=True)) for row in zip(*by_name.values(), strict=True)]
    plain = found["predictions"] if isinstance(found, dict) else found
    return [{name: unpacked(value) for name, value in row.items() if name != "noria"} for row in plain]


def unpacked(value: Any) -> Any:
    return base64.b64decode(value["b64"]).decode() if isinstance(value, dict) else value


def bits(rows: list[dict[str, Any]]) -> list[Any]:
    """Values that are equal only if every bit is."""
    return [[bit(value) for value in row.values()] for row in rows]


def bit(value: Any) -> Any:
    if isinstance(value, list):
        return [bit(one) for one in value]
    return np.float64(value).tobytes() if isinstance(value, float) else (type(value), value)


@given(table=tables)
@settings(max_examples=60, deadline=None)
def test_every_protocol_gives_the_same_answers_and_the_same_record(rig, table):
    given_back, kept = {}, {}
    for name, sender in SENDERS.items():
        path, body, headers = sender(table)
        status, told, content = rig.ask("POST", path, body, headers)
        assert status == 200, (name, content)
        given_back[name] = bits(answered(path, told, content))
        kept[name] = rig.record(told["noria-request-id"])

    first = next(iter(SENDERS))
    for name in SENDERS:
        assert given_back[name] == given_back[first], name
        assert bits([kept[name].inputs]) == bits([kept[first].inputs]), name
        assert bits([kept[name].outputs]) == bits([kept[first].outputs]), name


def test_each_record_names_its_protocol(rig):
    table = [{"distance": 1.0, "delay": None, "speed": 1.0, "hour": 1, "late": False, "carrier": "AA", "note": None}]
    named = {}
    for name, sender in SENDERS.items():
        named[name] = rig.record(rig.ask("POST", *sender(table))[1]["noria-request-id"]).protocol

    assert set(named.values()) == {"v2", "v1", "mlflow", "sagemaker", "vertex", "records"}
    assert all(name.startswith((protocol, "arrow")) for name, protocol in named.items())
