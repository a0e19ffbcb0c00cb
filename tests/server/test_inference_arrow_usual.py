"""Arrow streams that a worker reads and writes itself: what polars writes, what polars reads, and nothing that is not whole.

arrow_usual, arrow_written; what all codecs have in common is tests/property/test_codecs_agree.py.
"""

import io
import random

import numpy as np
import polars as pl
import pytest

from noria.errors import NoriaError
from noria.server.inference.arrow import ArrowQuestion, ask_table
from noria.server.inference.arrow_reader import Order, fulfil
from noria.server.inference.arrow_usual import MOST_READ_BYTES, read_stream
from noria.server.inference.arrow_written import write_stream
from tests.server.inference_rig import PLAIN, Rig

FRAME = pl.DataFrame(
    {
        "f8": [0.1, None, float("nan"), -0.0, 1e300],
        "f4": pl.Series([0.5, None, 2.0, float("inf"), 3.0], dtype=pl.Float32),
        "i8": pl.Series([-(2**63), 2**63 - 1, 0, 1, 2]),
        "u8": pl.Series([0, 2**64 - 1, 1, 2, 3], dtype=pl.UInt64),
        "i1": pl.Series([-128, 127, 0, 1, 2], dtype=pl.Int8),
        "u2": pl.Series([0, 65535, 1, 2, 3], dtype=pl.UInt16),
        "b": [True, False, True, True, False],
        "short": ["", "a", "twelve bytes", None, "ä€𝄞"],
        "long": ["x" * 13, None, "y" * 5000, "ü" * 40, "\0 inside, and more"],
    }
)
OLDEST, NEWEST = pl.CompatLevel.oldest(), pl.CompatLevel.newest()


def stream(frame, level=NEWEST, **how):
    out = io.BytesIO()
    frame.write_ipc_stream(out, compat_level=level, **how)
    return out.getvalue()


def the_long_way(body):
    """Columns as the other process reads them, or None where it refuses them."""
    try:
        columns = fulfil(Order("stream", body)).columns
    except NoriaError:
        return None
    return {c.name: np.frombuffer(c.values, c.dtype) if c.dtype else c.values for c in columns}


def bits(table):
    return {
        name: values if isinstance(values, list) else (values.dtype, values.tobytes()) for name, values in table.items()
    }


@pytest.mark.parametrize("level", [OLDEST, NEWEST], ids=["oldest", "newest"])
@pytest.mark.parametrize("rows", [1, 2, 5])
def test_a_stream_says_here_what_it_says_to_the_library(level, rows):
    body = stream(FRAME.head(rows), level)

    table = read_stream(body)

    assert table is not None
    for name, values in table.items():
        mine, wanted = values, FRAME[name].head(rows).to_list()
        listed = mine if isinstance(mine, list) else mine.tolist()
        assert [None if v != v else v for v in listed] == [None if v != v else v for v in wanted], name
    assert bits(table).keys() == bits(the_long_way(body)).keys()
    assert bits(table) == bits(the_long_way(body))


@pytest.mark.parametrize(
    "frame",
    [
        FRAME.with_columns(i8=pl.when(pl.col("b")).then("i8")),
        FRAME.with_columns(b=pl.when(pl.col("i1") > 0).then("b")),
        FRAME.with_columns(day=pl.lit("2026-01-02").str.to_date()),
        FRAME.with_columns(kind=pl.Series(["a", "b", "a", "b", "a"], dtype=pl.Categorical)),
        FRAME.with_columns(lists=pl.Series([[1, 2]] * 5)),
        FRAME.clear(),
        FRAME.select([]),
        pl.concat([FRAME, FRAME], rechunk=False),
        pl.DataFrame({"x": np.zeros(MOST_READ_BYTES // 8)}),
    ],
    ids=[
        "gap in whole numbers",
        "gap in truths",
        "date",
        "dictionary",
        "lists",
        "no rows",
        "no columns",
        "two batches",
        "large",
    ],
)
def test_what_is_not_usual_goes_the_long_way(frame):
    assert read_stream(stream(frame)) is None


def test_a_packed_stream_goes_the_long_way():
    assert read_stream(stream(FRAME, compression="lz4")) is None


def test_bytes_that_were_changed_or_cut_are_read_as_the_library_reads_them_or_not_at_all():
    """Whatever is flipped: no error, nothing from beyond the bytes, and where both understand it, the same values."""
    seed = random.randrange(2**32)
    draw, read, same = random.Random(seed), 0, 0
    whole = [stream(FRAME, level) for level in (OLDEST, NEWEST)]
    for turn in range(1500):
        body = bytearray(whole[turn % 2])
        for _ in range(draw.choice((1, 1, 2, 8))):
            place = draw.randrange(len(body))
            body[place] = draw.choice((0, 1, 0x7F, 0x80, 0xFF, draw.randrange(256)))
        changed = bytes(body[: draw.randrange(len(body))] if turn % 5 == 0 else body)

        table = read_stream(changed)

        if table is not None:
            read += 1
            assert len({len(values) for values in table.values()}) == 1, seed
            if turn % 3 == 0 and (other := the_long_way(changed)) is not None and other.keys() == table.keys():
                same += bits(table) == bits(other)
    assert read > 50, seed
    assert same > 10, seed


def test_texts_that_point_to_the_same_bytes_are_no_bomb():
    """Every view of a column may point to one long text: as many times its length would fill the memory."""
    text = "z" * 100_000
    body = bytearray(stream(pl.DataFrame({"t": [text, "q" * 13]})))
    view = body.index((13).to_bytes(4, "little") + b"qqqq")
    assert read_stream(bytes(body)) == {"t": [text, "q" * 13]}
    body[view : view + 16] = body[view - 16 : view]

    assert read_stream(bytes(body)) is None


def test_what_is_written_here_is_what_the_library_would_have_written():
    columns = {
        "p": np.array([0.25, -0.0, np.nan], np.float32),
        "d": np.array([1e-300, 2.0, np.inf]),
        "i": np.array([-(2**63), 0, 2**63 - 1]),
        "b": np.array([True, False, True]),
        "text, with ümlauts": ["", "ä€𝄞", "x" * 100],
    }

    body = write_stream(columns)

    frame = pl.read_ipc_stream(io.BytesIO(body))
    assert frame.schema == pl.DataFrame(columns).schema
    assert frame.equals(pl.DataFrame(columns))
    assert bits(read_stream(body)) == bits(columns)


@pytest.mark.parametrize("rows", [1, 7, 8, 9, 64, 65, 1000])
def test_every_number_of_rows_can_be_written(rows):
    columns = {"b": np.arange(rows) % 3 == 0, "p": np.arange(rows) / 7, "id": [f"r.{i}" for i in range(rows)]}

    frame = pl.read_ipc_stream(io.BytesIO(write_stream(columns)))

    assert frame.equals(pl.DataFrame(columns))


@pytest.mark.parametrize(
    "values",
    [["a", None], [1, 2], ["\ud800"], np.zeros((2, 3)), np.zeros(2, np.int32), np.array(["a", "b"], object), []],
    ids=["gap", "numbers", "no text", "matrix", "type", "objects", "nothing"],
)
def test_columns_of_another_kind_are_left_to_the_library(values):
    assert write_stream({"p": np.zeros(len(values)), "x": values}) is None


def test_a_usual_stream_needs_no_other_process_and_is_recorded_like_any():
    rig = Rig({"m": PLAIN})
    frame = pl.DataFrame(
        {
            "distance": [1.5, 2.0],
            "delay": [None, 3.0],
            "speed": pl.Series([0.5, 0.25], dtype=pl.Float32),
            "hour": [3, 4],
            "late": [True, False],
            "carrier": ["AA", "UA"],
            "note": [None, "n"],
        }
    )
    try:
        kind = "application/vnd.apache.arrow.stream"
        status, headers, content = rig.ask("POST", "/predict/m", stream(frame), {"content-type": kind})
        record = rig.record(headers["noria-request-id"])
        plain = {name: list(values) for name, values in record.inputs.items()}
    finally:
        rig.close()

    assert status == 200, content
    assert isinstance(ask_table(stream(frame), "stream", protocol="records"), ArrowQuestion)
    assert plain == frame.to_dict(as_series=False)
    answered = pl.read_ipc_stream(io.BytesIO(content))
    assert answered["prediction_id"].to_list() == [f"{record.request_id}.{row}" for row in range(2)]
    assert answered["probability"].to_list() == list(record.outputs["probability"])
