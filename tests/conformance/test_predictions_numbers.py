"""What a record may bring beside plain lists, in both logs: numbers side by side in memory, a sampling rate, and redacted columns."""

from array import array

import polars as pl
import pytest

from noria.adapters.predictions import memory, parquet
from noria.testing.predictions_suite import a_record, kept


@pytest.fixture(params=["memory", "parquet"])
def log(request, tmp_path):
    return memory.open_store() if request.param == "memory" else parquet.open_store(str(tmp_path))


@pytest.fixture(params=["live", "closed"])
def stage(request):
    return request.param


def test_a_sampled_and_redacted_record_says_so_in_every_row(log, stage):
    records = [a_record(1), a_record(2, sampled=0.25, redacted=("hour", "carrier"))]
    kept(log, records, stage=stage)

    table = pl.DataFrame(log.scan("flights"))

    assert table["sampled"].to_list() == [1.0, 0.25]
    assert table["redacted"].to_list() == [None, '["hour", "carrier"]']
    assert [log.get(record.prediction_id(0)).record for record in records] == records


def test_numbers_side_by_side_in_memory_are_kept_as_lists_would_be(log, stage):
    numbers = {
        "distance": array("d", [0.1, -0.0, 1e300]),
        "single": array("f", [0.1, 2.0, -3.0]),
        "hour": array("q", [2**62, -1, 0]),
    }
    listed = {name: values.tolist() for name, values in numbers.items()}
    outputs = {"probability": [0.1] * 3}
    in_memory = a_record(1, rows=3, inputs={n: memoryview(v) for n, v in numbers.items()}, outputs=outputs)
    in_lists = a_record(2, rows=3, inputs=listed, outputs=outputs)
    kept(log, [in_memory, in_lists], stage=stage)

    found = [log.get(record.prediction_id(0)).record for record in (in_memory, in_lists)]

    assert found[0].inputs == found[1].inputs == listed
    assert str(found[0].inputs["distance"]) == str(listed["distance"])  # the sign of zero too
