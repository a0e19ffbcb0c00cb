"""Bodies that nobody meant: every protocol answers them with a 4xx in its own form, never with a 5xx, a traceback or nothing.

`corpus/` holds bodies that are wrong everywhere: what fuzzing found, and what others' servers fell over. A find is added as a file, and stays.
"""

import copy
import io
import json
import math
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from noria.server.inference.protocols import codecs
from tests.server.inference_rig import ONE, PLAIN, TEXT, VECTOR, WIDE, Rig

CORPUS = sorted((Path(__file__).parent / "corpus").iterdir())
KINDS = {
    ".json": "application/json",
    ".csv": "text/csv",
    ".jsonl": "application/jsonlines",
    ".arrows": "application/vnd.apache.arrow.stream",
    ".arrow": "application/vnd.apache.arrow.file",
    ".parquet": "application/vnd.apache.parquet",
}
SAGEMAKER = {"x-amzn-sagemaker-custom-attributes": "a"}
TARGETS: dict[str, tuple[str, dict[str, str], set[str]]] = {
    "v2": ("/v2/models/late/infer", {}, {"error"}),
    "v1 predict": ("/v1/models/late:predict", {}, {"error"}),
    "v1 classify": ("/v1/models/late:classify", {}, {"error"}),
    "v1 regress": ("/v1/models/late:regress", {}, {"error"}),
    "mlflow": ("/invocations", {}, {"error_code", "message"}),
    "sagemaker": ("/invocations", SAGEMAKER, {"error_code", "message"}),
    "vertex": ("/vertex", {}, {"error"}),
    "records": ("/predict/late", {}, {"error", "code"}),
}
ROW = {"distance": 1.5, "delay": None, "speed": 2.5, "hour": 3, "late": True, "carrier": "AA", "note": "x"}
BODIES: list[Any] = [
    {"instances": [ROW, ROW]},
    {"instances": [list(ROW.values())]},
    {"inputs": {name: [value] for name, value in ROW.items()}},
    {"dataframe_split": {"columns": list(ROW), "data": [list(ROW.values())], "index": [0]}},
    {"dataframe_records": [ROW], "params": {}},
    {"examples": [{k: v for k, v in ROW.items() if k != "hour"}], "context": {"hour": 3}},
    {"specversion": "1.0", "id": "1", "source": "s", "type": "t", "data": {"instances": [ROW]}},
    {"instances": [{"data": {"features": {"values": list(ROW.values())}}}]},
    [ROW],
    ROW,
    {"inputs": [{"name": "x", "shape": [1], "datatype": "FP64", "data": [1.0]}], "parameters": {"keys": ["a"]}},
    {"x": {"b64": "Zm9v"}},
    {"instances": [[1, 2, 3, 4]], "keys": ["a"], "signature_name": "serving_default"},
]


@pytest.fixture(scope="module")
def rig():
    deployments = {"late": PLAIN, "wide": WIDE, "one": ONE, "vector": VECTOR, "text": TEXT}
    rig = Rig({"late": PLAIN}, codecs=codecs({"AIP_PREDICT_ROUTE": "/vertex", "AIP_HEALTH_ROUTE": "/vertex-health"}))
    others = Rig(deployments, codecs=codecs({"AIP_PREDICT_ROUTE": "/vertex", "AIP_HEALTH_ROUTE": "/vertex-health"}))
    yield rig, others
    rig.close()
    others.close()


def check(status: int, headers: dict[str, str], content: bytes, form: set[str]) -> None:
    """A refusal is a 4xx in the protocol's form."""
    assert 400 <= status < 500, (status, content[:300])
    refusal = json.loads(content)
    assert refusal.keys() == form
    said = refusal.get("message") or refusal["error"]
    assert said
    assert "Traceback" not in said
    assert ".py" not in said
    assert len(said) < 2000
    assert headers["content-type"] == "application/json"


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("path", CORPUS, ids=lambda path: path.name)
def test_every_body_of_the_corpus_is_refused_by_every_protocol(rig, target, path):
    route, more, form = TARGETS[target]
    body = path.read_bytes()

    for kind in {KINDS[path.suffix], "application/json"}:
        check(*rig[0].ask("POST", route, body, {"content-type": kind, **more}), form)


scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from(
        [0, -1, 2**63, 2**64, 10**400, math.nan, math.inf, -0.0, 1e308, "", "é", "\x00", "NaN", {"b64": "Zm9v"}]
    ),
    st.floats(),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=5),
)
anything = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*ROW, "x", "data", "b64"]), inner, max_size=3)
    ),
    max_leaves=6,
)


def places(document: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where something could be changed."""
    found = [at]
    if isinstance(document, dict):
        for key, value in document.items():
            found += places(value, (*at, key))
    elif isinstance(document, list):
        for i, value in enumerate(document):
            found += places(value, (*at, i))
    return found


def changed(document: Any, at: tuple[Any, ...], how: str, value: Any) -> Any:
    if not at:
        return value
    document = copy.deepcopy(document)
    inner = document
    for step in at[:-1]:
        inner = inner[step]
    last = at[-1]
    if how == "remove":
        del inner[last]
    elif how == "add" and isinstance(inner, dict):
        inner[f"{last}."] = value
    elif how == "add":
        inner.insert(last, value)
    else:
        inner[last] = value
    return document


@st.composite
def documents(draw: Any) -> bytes:
    """A body that was good in some protocol, changed in up to three places."""
    document = draw(st.sampled_from(BODIES))
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.sampled_from(places(document)))
        document = changed(document, at, draw(st.sampled_from(["remove", "add", "replace"])), draw(anything))
    return json.dumps(document).encode()


headers = st.fixed_dictionaries(
    {},
    optional={
        "content-type": st.sampled_from(
            [*KINDS.values(), "", ";", "application/json; charset=utf-8; a=b", "text/plain", "é"]
        ),
        "accept": st.sampled_from(
            ["*/*", "text/csv", ";q=x", "text/*;q=2", ",,", "application/vnd.apache.arrow.stream", "a/b"]
        ),
        "noria-variant": st.sampled_from(["champion", "challenger", "nobody"]),
        "inference-header-content-length": st.sampled_from(["0", "7", "-1", "x", "99999999999999999999"]),
        "ce-specversion": st.sampled_from(["1.0", "", "2"]),
        "ce-id": st.just("1"),
        "x-amzn-sagemaker-custom-attributes": st.sampled_from(["a", "é", "a\r\nb: c", "x" * 2000]),
        "content-encoding": st.sampled_from(["gzip", "deflate", "identity", "br", ""]),
    },
)


def answer_is_in_order(answer: tuple[int, dict[str, str], bytes], form: set[str]) -> None:
    status, told, content = answer
    if status != 200:
        check(status, told, content, form)
    for value in told.values():
        assert "\r" not in value
        assert "\n" not in value


@pytest.mark.parametrize("target", TARGETS)
@given(data=st.data())
@settings(max_examples=120, deadline=None)
def test_no_change_of_a_document_breaks_a_protocol(rig, target, data):
    route, more, form = TARGETS[target]
    which = data.draw(st.sampled_from(["late", "late", "wide", "one", "vector", "text"]))
    sent = {"noria-deployment": which, **more, **data.draw(headers)}

    answer_is_in_order(rig[1].ask("POST", route.replace("late", which), data.draw(documents()), sent), form)


def packed(kind: str) -> bytes:
    table = pl.DataFrame([ROW, ROW], schema_overrides={"delay": pl.Float64})
    out = io.BytesIO()
    if kind == ".csv":
        return table.write_csv().encode()
    if kind == ".jsonl":
        return table.write_ndjson().encode()
    {".arrows": table.write_ipc_stream, ".arrow": table.write_ipc, ".parquet": table.write_parquet}[kind](out)
    return out.getvalue()


PACKED = {kind: packed(kind) for kind in (".csv", ".jsonl", ".arrows", ".arrow", ".parquet")}


@pytest.mark.parametrize("kind", PACKED)
@given(data=st.data())
@settings(max_examples=150, deadline=None)
def test_no_change_of_bytes_breaks_a_reader(rig, kind, data):
    body = bytearray(PACKED[kind])
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(body) - 1))
        new = data.draw(
            st.one_of(st.binary(max_size=4), st.sampled_from([b"\xff\xff\xff\x7f", b"\x00" * 8, b"\xff" * 8]))
        )
        body[at : at + data.draw(st.integers(0, 8))] = new
        if not body:
            return
    route, _, form = TARGETS["records"]

    answer_is_in_order(rig[0].ask("POST", route, bytes(body), {"content-type": KINDS[kind]}), form)


def test_a_table_that_ends_its_reader_ends_nothing_else(rig):
    route, _, form = TARGETS["records"]
    killer = (Path(__file__).parent / "corpus" / "ends-polars-by-a-terabyte.parquet").read_bytes()

    for _ in range(2):
        check(*rig[0].ask("POST", route, killer, {"content-type": KINDS[".parquet"]}), form)
        status, _, content = rig[0].ask("POST", route, PACKED[".parquet"], {"content-type": KINDS[".parquet"]})
        assert status == 200, content
