"""Noria's plain records at /predict: objects, lists, JSON Lines, CSV and Arrow in, the same form out, with ids, version and variant."""

import io
import json

import polars as pl
import pytest

from tests.server.inference_rig import PLAIN, SEVERAL, WIDE, Rig
from tests.serving.worker_factory import a_home, a_worker, flights, logged

ROW = {"distance": 1.5, "delay": None, "speed": 2.5, "hour": 3, "late": True, "carrier": "AA", "note": None}
STREAM, FILE = "application/vnd.apache.arrow.stream", "application/vnd.apache.arrow.file"


@pytest.fixture(scope="module")
def rig():
    rig = Rig({"late": PLAIN, "several": SEVERAL, "wide": WIDE})
    yield rig
    rig.close()


def ask(rig, body, path="late", **headers):
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    sent = body if isinstance(body, bytes) else json.dumps(body).encode()
    return rig.ask("POST", f"/predict/{path}", sent, named)


def arrow(frame, form=STREAM, **how):
    out = io.BytesIO()
    if form == STREAM:
        frame.write_ipc_stream(out, **how)
    else:
        frame.write_ipc(out, **how)
    return out.getvalue()


def frame_of(content, form):
    return pl.read_ipc_stream(io.BytesIO(content)) if form == STREAM else pl.read_ipc(io.BytesIO(content))


def table(rows=3, **more):
    return pl.DataFrame(
        [{**ROW, "hour": i} for i in range(rows)], schema_overrides={"delay": pl.Float64, "note": pl.String}, **more
    )


def test_an_object_is_answered_with_an_object(rig):
    status, headers, content = ask(rig, ROW, content_type="application/json")

    answer = json.loads(content)
    assert status == 200
    assert answer["noria"] == {
        "prediction_id": f"{headers['noria-request-id']}.0",
        "version": "1",
        "variant": "champion",
    }
    assert (headers["noria-model-version"], headers["noria-variant"]) == ("1", "champion")
    assert answer.keys() == {"probability", "noria"}


def test_a_list_is_answered_with_a_list(rig):
    status, headers, content = ask(rig, [ROW, ROW], path="several/versions/2")

    answer = json.loads(content)
    assert status == 200
    assert [row["noria"]["prediction_id"] for row in answer] == [f"{headers['noria-request-id']}.{i}" for i in range(2)]
    assert answer[0]["noria"]["variant"] == "challenger"
    assert answer[0].keys() == {"probability", "hour", "word", "raw_bytes", "late", "noria"}


def test_lines_are_answered_with_lines(rig):
    body = b"\n".join(json.dumps(ROW).encode() for _ in range(3))

    _, headers, content = ask(rig, body, content_type="application/x-ndjson")

    assert headers["content-type"] == "application/jsonlines"
    assert [list(json.loads(line)) for line in content.splitlines()] == [["probability", "noria"]] * 3


def test_csv_is_answered_with_csv(rig):
    body = table().write_csv().encode()

    _, headers, content = ask(rig, body, content_type="text/csv")

    assert headers["content-type"] == "text/csv"
    assert content.decode().splitlines()[0] == "probability,prediction_id"
    assert len(content.splitlines()) == 4


@pytest.mark.parametrize("form", [STREAM, FILE])
@pytest.mark.parametrize(
    "how", [{}, {"compression": "zstd"}, {"compression": "lz4"}, {"compat_level": pl.CompatLevel.oldest()}]
)
def test_arrow_is_answered_with_arrow(rig, form, how):
    status, headers, content = ask(rig, arrow(table(), form, **how), path="several", content_type=form)

    assert (status, headers["content-type"]) == (200, form), content
    answer = frame_of(content, form)
    assert answer.columns == ["probability", "hour", "word", "raw_bytes", "late", "prediction_id"]
    assert answer["hour"].to_list() == [0, 1, 2]
    assert answer["late"].dtype == pl.Boolean
    assert rig.record(headers["noria-request-id"]).inputs["delay"] == [None] * 3


def test_accept_chooses_another_form(rig):
    for accept, form in (
        ("application/json", "application/json"),
        (FILE, FILE),
        ("text/csv", "text/csv"),
        ("*/*", STREAM),
    ):
        assert ask(rig, arrow(table()), content_type=STREAM, accept=accept)[1]["content-type"] == form
    assert ask(rig, ROW, accept="text/html")[0] == 406
    assert ask(rig, ROW, accept=STREAM)[1]["content-type"] == STREAM


def test_parquet_is_read_and_answered_as_json(rig):
    out = io.BytesIO()
    table().write_parquet(out)

    status, headers, content = ask(rig, out.getvalue(), content_type="application/vnd.apache.parquet")

    assert (status, headers["content-type"]) == (200, "application/json")
    assert len(json.loads(content)) == 3


def test_columns_of_other_widths_and_categories_fit_where_nothing_is_lost(rig):
    plain = frame_of(ask(rig, arrow(table()), path="several", content_type=STREAM)[2], STREAM)
    narrow = table().with_columns(
        pl.col("hour").cast(pl.UInt8), pl.col("carrier").cast(pl.Categorical), pl.col("distance").cast(pl.Float32)
    )
    answer = frame_of(ask(rig, arrow(narrow), path="several", content_type=STREAM)[2], STREAM)

    assert answer.drop("prediction_id").equals(plain.drop("prediction_id"))
    whole = table().with_columns(pl.lit(2).alias("distance"))
    assert ask(rig, arrow(whole), content_type=STREAM)[0] == 200


@pytest.mark.parametrize("kind", [pl.List(pl.Float32), pl.Array(pl.Float32, 3)])
def test_columns_of_several_values_come_and_go(rig, kind):
    frame = pl.DataFrame({"x": [[1.0, 2.0, 3.0]], "n": [10]}, schema_overrides={"x": kind})

    status, _, content = ask(rig, arrow(frame), path="wide", content_type=STREAM)

    assert status == 200, content
    assert [list(v) for v in frame_of(content, STREAM)["probabilities"].to_list()] == [[11.0, 12.0, 13.0]]


@pytest.mark.parametrize("path", ["/predict/late", "/v1/models/late:predict", "/invocations"])
def test_a_number_that_the_columns_type_does_not_hold_is_refused(rig, path):
    row = {**ROW, "speed": 1e39}
    body = row if path.startswith("/predict") else {"instances": [row]}

    status, _, content = rig.ask("POST", path, json.dumps(body).encode(), {"noria-deployment": "late"})

    assert status == 400
    assert b"'speed' holds a number beyond 3.4e38" in content


BAD_TABLES = {
    "numbers beyond the type": table().with_columns(pl.lit(1e39).alias("speed")),
    "a gap in whole numbers": table().with_columns(pl.lit(None, dtype=pl.Int64).alias("hour")),
    "fractions for whole numbers": table().with_columns(pl.lit(1.5).alias("hour")),
    "numbers beyond 63 bits": table().with_columns(pl.lit(2**63, dtype=pl.UInt64).alias("hour")),
    "text for numbers": table().with_columns(pl.lit("x").alias("distance")),
    "numbers for text": table().with_columns(pl.lit(1).alias("carrier")),
    "numbers for truth": table().with_columns(pl.lit(1).alias("late")),
    "lists for numbers": table().with_columns(pl.lit([1.0]).alias("distance")),
    "days": table().with_columns(pl.lit("2026-01-01").str.to_date().alias("distance")),
    "a column missing": table().drop("hour"),
    "a column too many": table().with_columns(pl.lit(1).alias("more")),
    "no rows": table().head(0),
    "no columns": pl.DataFrame(),
}


@pytest.mark.parametrize("case", BAD_TABLES)
def test_a_table_that_does_not_fit_is_a_400(rig, case):
    status, _, content = ask(rig, arrow(BAD_TABLES[case]), content_type=STREAM)

    assert status == 400, content
    assert json.loads(content).keys() == {"error", "code"}


BAD = {
    "not json": (b"{", "application/json", 400),
    "nothing": (b"", "application/json", 400),
    "a value": (b"1", "application/json", 400),
    "lists": (b"[[1]]", "application/json", 400),
    "mixed": (b'[{"a": 1}, 2]', "application/json", 400),
    "no lines": (b"\n\n", "application/jsonlines", 400),
    "a broken line": (b'{"a": 1}\n{', "application/jsonlines", 400),
    "another type": (b"<a/>", "application/xml", 415),
    "another charset": (b"{}", "application/json; charset=utf-16", 415),
    "no arrow": (b"ARROW1\0\0", STREAM, 400),
    "no arrow file": (b"x" * 100, FILE, 400),
    "no parquet": (b"PAR1", "application/vnd.apache.parquet", 400),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_body_is_a_4xx(rig, case):
    body, kind, wanted = BAD[case]

    status, _, content = ask(rig, body, content_type=kind)

    assert status == wanted
    assert json.loads(content).keys() == {"error", "code"}


def test_a_table_that_unpacks_to_more_than_is_allowed_is_413(rig):
    zeros = pl.DataFrame({"distance": pl.zeros(40_000_000, eager=True)})

    for body, kind in ((arrow(zeros, compression="zstd"), STREAM), (arrow(zeros, FILE, compression="zstd"), FILE)):
        assert len(body) < 16 << 20
        status = ask(rig, body, content_type=kind)[0]
        assert status in (400, 413)
    out = io.BytesIO()
    zeros.write_parquet(out)
    assert ask(rig, out.getvalue(), content_type="application/vnd.apache.parquet")[0] == 413


def test_a_worker_reads_tables_without_importing_what_reads_them(tmp_path):
    home, _, _ = a_home(tmp_path)
    rows = flights(3)

    with a_worker(home) as worker:
        plain = worker.json("POST", "/predict/late", rows.fill_nan(None).to_dicts())
        status, headers, content = worker.ask("POST", "/predict/late", arrow(rows), {"Content-Type": STREAM})
        modules = set(worker.json("GET", "/noria/status?modules=1")[1]["modules"])
        assert worker.flush()

    assert plain[0] == status == 200
    assert not modules & {"polars", "pyarrow", "pandas"}
    answer = frame_of(content, STREAM)
    assert answer["probability"].to_list() == [row["probability"] for row in plain[1]]
    kept = logged(home).filter(request_id=headers["noria-request-id"])
    assert kept["protocol"].to_list() == ["records"] * 3
    assert kept["prediction_id"].to_list() == answer["prediction_id"].to_list()
