"""Every kind of table says the same: dicts, polars, Arrow, CSV and Parquet; and every kind of column is seen for what it is."""

import json
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from uuid import UUID

import numpy as np
import polars as pl
import pytest

from noria.errors import EmptyTable, InputInvalid, SourceUnreadable
from noria.monitor import compare
from noria.monitor.table import open_table


class Streamed:
    """A table of somebody who only speaks Arrow."""

    def __init__(self, frame: pl.DataFrame) -> None:
        self._frame = frame

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return self._frame.__arrow_c_stream__(requested_schema)


class Broken:
    """A table that breaks when it is opened."""

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        raise ValueError("the stream is torn")


def a_frame(rows: int, *, seed: int, shift: float = 0.0) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    return pl.DataFrame(
        {
            "price": rng.gamma(2.0, 10.0, rows) + shift,
            "count": rng.integers(0, 9, rows),
            "channel": rng.choice(["web", "store", "app"], rows),
            "member": rng.random(rows) < 0.3,
        }
    ).with_columns(pl.when(pl.col("count") > 7).then(None).otherwise(pl.col("price")).alias("price"))


def test_all_kinds_of_tables_give_the_same_result(tmp_path: Path) -> None:
    then, now = a_frame(2000, seed=1), a_frame(800, seed=2, shift=8.0)
    then.write_parquet(tmp_path / "then.parquet")
    now.write_csv(tmp_path / "now.csv")
    expected = compare(then, now)

    others = {
        "lazy": compare(then.lazy(), now.lazy()),
        "arrow": compare(Streamed(then), Streamed(now)),
        "files": compare(tmp_path / "then.parquet", str(tmp_path / "now.csv")),
        "arrays": compare({n: then[n].to_numpy() for n in then.columns}, {n: now[n].to_numpy() for n in now.columns}),
        "lists": compare(then.to_dict(as_series=False), now.to_dict(as_series=False)),
        "series": compare(then.to_dict(), now.to_dict()),
    }

    assert expected.headline == "Alarm: price moved (1 of 4 inputs)"
    assert {name: found == expected for name, found in others.items()} == dict.fromkeys(others, True)


@pytest.mark.parametrize(
    ("values", "kind", "seen"),
    [
        ([1, None, 2.5], "number", [1.0, None, 2.5]),
        ([True, False, None], "number", [1.0, 0.0, None]),
        ([Decimal("1.5"), None, 2], "number", [1.5, None, 2.0]),
        (np.array([1, 2], dtype=np.int8), "number", [1.0, 2.0]),
        (np.array([1, 2], dtype="m8[h]"), "number", [3600.0, 7200.0]),
        (["a", None, float("nan")], "text", ["a", None, None]),
        (np.array(["a", "b"]), "text", ["a", "b"]),
        (["a", 1], "text", ["a", "1"]),
        ([UUID(int=1), None], "text", ["00000000-0000-0000-0000-000000000001", None]),
        ([None, None], "empty", None),
        ([float("nan")] * 2, "empty", None),
        ([[1], [2]], "other", None),
        ([b"a", b"b"], "other", None),
        ([datetime(2026, 1, 1, 2, tzinfo=UTC), None], "time", None),
        ([date(2026, 1, 1)], "time", None),
        (pl.Series([timedelta(hours=1), None]), "number", [3600.0, None]),
        (pl.Series(["a", None], dtype=pl.Categorical), "text", ["a", None]),
    ],
    ids=str,
)
def test_a_column_is_seen_for_what_it_holds(values: object, kind: str, seen: list[object] | None) -> None:
    column = open_table({"x": values}, "reference").columns["x"]

    assert column.kind == kind
    if seen is not None:
        assert [None if v != v else v for v in column.values.tolist()] == seen


def test_times_with_a_zone_are_the_same_moment() -> None:
    east = pl.Series([datetime(2026, 1, 1, 2)]).dt.replace_time_zone("Asia/Tokyo")

    column = open_table({"at": east}, "reference").columns["at"]

    assert column.values[0] == np.datetime64("2025-12-31T17:00:00")


def test_tables_that_cannot_be_read_are_refused(tmp_path: Path) -> None:
    torn = tmp_path / "torn.parquet"
    a_frame(100, seed=1).write_parquet(torn)
    torn.write_bytes(torn.read_bytes()[:-20])
    (tmp_path / "empty.csv").write_text("a,b\n", encoding="utf-8")

    for source, error in (
        (torn, SourceUnreadable),
        (tmp_path / "absent.csv", SourceUnreadable),
        (tmp_path / "empty.csv", EmptyTable),
        (Broken(), SourceUnreadable),
        ([1, 2], InputInvalid),
        ({1: [1], "1": [2]}, InputInvalid),
    ):
        with pytest.raises(error) as caught:
            open_table(source, "reference")
        assert caught.value.remedy


def test_importing_it_loads_neither_frames_nor_models() -> None:
    code = (
        "import json, sys, noria.monitor as m; m.compare({'x': [1, 2] * 50}, {'x': [1, 2] * 20}).html();"
        "heavy = ('polars', 'pandas', 'pyarrow', 'scipy', 'sklearn', 'sqlalchemy', 'litestar', 'rich');"
        "print(json.dumps([n for n in heavy if n in sys.modules]))"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert json.loads(done.stdout) == []


def test_it_hangs_on_the_face_of_the_package() -> None:
    code = "import noria; print(noria.monitor.compare.__name__)"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout == "compare\n"


PANDAS = """
import json, sys
sys.path.append(sys.argv[1])
import numpy as np, pandas as pd
from noria.monitor import compare
from noria.monitor.table import open_table

at = pd.to_datetime(["2026-01-01T01:00:00+01:00", None], utc=False)
frame = pd.DataFrame({
    "int": pd.array([1, None], dtype="Int64"), "bool": pd.array([True, None], dtype="boolean"), "float": [0.5, np.nan],
    "object": ["a", None], "string": pd.array(["a", None], dtype="string"), "category": pd.Categorical(["a", None]),
    "numbers": pd.Categorical([3, 4]), "at": at, "naive": pd.to_datetime(["2026-01-01", None]),
    "delta": pd.to_timedelta([1, None], unit="h"), "list": [[1], [2]], "mixed": [1, "a"], "gone": [None, None],
})
seen = {c.name: (c.kind, None if c.kind in ("other", "empty") else [str(v) for v in c.values.tolist()]) for c in open_table(frame, "x")}
rng = np.random.default_rng(0)
plain = {"price": rng.gamma(2, 10, 900), "channel": rng.choice(["web", "store"], 900).astype(object)}
now = {"price": rng.gamma(2, 10, 600) + 9, "channel": rng.choice(["web", "store"], 600).astype(object)}
same = compare(pd.DataFrame(plain), pd.DataFrame(now)) == compare(plain, now)
try:
    open_table(pd.DataFrame([[1, 2]], columns=["a", "a"]), "reference")
except Exception as error:
    twice = type(error).__name__
print(json.dumps({"seen": seen, "same": same, "twice": twice, "polars": "polars" in sys.modules}))
"""


def test_pandas_frames_are_read_without_polars_whatever_their_types() -> None:
    (site,) = (Path(__file__).resolve().parents[2] / ".make" / "peers").glob("lib/python*/site-packages")

    done = subprocess.run([sys.executable, "-c", PANDAS, str(site)], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["same"] and not found["polars"] and found["twice"] == "InputInvalid"
    assert found["seen"] == {
        "int": ["number", ["1.0", "nan"]],
        "bool": ["number", ["1.0", "nan"]],
        "float": ["number", ["0.5", "nan"]],
        "object": ["text", ["a", "None"]],
        "string": ["text", ["a", "None"]],
        "category": ["text", ["a", "None"]],
        "numbers": ["number", ["3.0", "4.0"]],
        "at": ["time", ["2026-01-01 00:00:00", "None"]],
        "naive": ["time", ["2026-01-01 00:00:00", "None"]],
        "delta": ["number", ["3600.0", "nan"]],
        "list": ["other", None],
        "mixed": ["text", ["1", "a"]],
        "gone": ["empty", None],
    }
