"""What every table store must do. Subclass TableStoreSuite in a test module and give it a `store` fixture; the adapters do the same.

>>> class TestMyTables(TableStoreSuite):
...     @pytest.fixture
...     def store(self): ...
"""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from noria.domain.dataset import Column, ExpectationReport, Schema
from noria.domain.ids import Digest
from noria.errors import InputInvalid, NotFound, SchemaMismatch
from noria.ports.tables import TableStore

AT = datetime(2013, 3, 1, tzinfo=UTC)
SCHEMA = Schema(
    columns=(
        Column(name="id", dtype="int64"),
        Column(name="when", dtype="datetime"),
        Column(name="day", dtype="date"),
        Column(name="name", dtype="string", nullable=True),
        Column(name="ok", dtype="bool", nullable=True),
        Column(name="x", dtype="float64", nullable=True),
        Column(name="y", dtype="float32", nullable=True),
    ),
    time_column="when",
    key=("id",),
)


def a_table(rows: int = 5, *, first: int = 0) -> pl.DataFrame:
    """A small table of every data type, with nulls, NaN, a negative zero, and texts that are not ASCII."""
    texts = ["", "ä", None, "flight", "航班"]
    numbers = [0.0, -0.0, float("nan"), None, float("inf")]
    ids = range(first, first + rows)
    return pl.DataFrame(
        {
            "id": list(ids),
            "when": [AT + timedelta(hours=i, microseconds=i) for i in ids],
            "day": [(AT + timedelta(days=i)).date() for i in ids],
            "name": [texts[i % 5] for i in ids],
            "ok": [(True, False, None)[i % 3] for i in ids],
            "x": [numbers[i % 5] for i in ids],
            "y": [numbers[i % 5] for i in ids],
        },
        schema={
            "id": pl.Int64,
            "when": pl.Datetime("us", "UTC"),
            "day": pl.Date,
            "name": pl.String,
            "ok": pl.Boolean,
            "x": pl.Float64,
            "y": pl.Float32,
        },
    )


class TableStoreSuite:
    """The laws of ports.tables.TableStore."""

    @pytest.fixture
    def store(self) -> TableStore:
        """An empty store; to be given by the subclass."""
        raise NotImplementedError

    def test_a_table_is_read_back_exactly(self, store: TableStore) -> None:
        table = a_table()

        version = store.write("flights", table, schema=SCHEMA, at=AT)

        back = pl.DataFrame(store.read(version.digest))
        assert back.schema == table.schema
        assert back.equals(table, null_equal=True)
        assert str(back["x"].to_list()) == str(table["x"].to_list())  # NaN and -0.0 as they were

    def test_some_columns_come_in_the_order_asked_for(self, store: TableStore) -> None:
        version = store.write("flights", a_table(), schema=SCHEMA, at=AT)

        assert pl.DataFrame(store.read(version.digest, columns=["x", "id"])).columns == ["x", "id"]

    def test_a_version_says_what_it_is(self, store: TableStore) -> None:
        report = ExpectationReport(results=(), rows=5, quarantined=2)
        parent = Digest("blake3:" + "0" * 64)

        version = store.write(
            "flights", a_table(), schema=SCHEMA, at=AT, source="a file", parents=[parent], expectations=report
        )

        assert (version.dataset, version.number, version.rows) == ("flights", 1, 5)
        assert (version.schema, version.created_at, version.source) == (SCHEMA, AT, "a file")
        assert (version.parents, version.expectations) == ((parent,), report)
        assert (version.since, version.until) == (AT, AT + timedelta(hours=4, microseconds=4))
        assert version.bytes_stored > 0
        assert store.version(version.digest) == version

    def test_the_same_content_is_the_same_version(self, store: TableStore) -> None:
        first = store.write("flights", a_table(), schema=SCHEMA, at=AT)
        in_pieces = pl.concat([a_table(2), a_table(3, first=2)], rechunk=False)

        again = store.write("flights", in_pieces, schema=SCHEMA, at=AT + timedelta(days=1))

        assert again == first
        assert store.versions("flights") == [first]

    def test_every_cell_and_the_schema_are_in_the_digest(self, store: TableStore) -> None:
        table = a_table()
        open_schema = Schema(columns=SCHEMA.columns, time_column="when")
        changed = [table.with_columns(pl.lit(9, dtype=pl.Int64).alias("id")), table.reverse(), table.head(4)]
        changed += [
            table.with_columns(pl.col(c).shift(1).fill_null(strategy="backward")) for c in ("name", "ok", "x", "y")
        ]

        digests = {store.write("a", t, schema=SCHEMA, at=AT).digest for t in (table, *changed)}
        digests.add(store.write("a", table, schema=open_schema, at=AT).digest)

        assert len(digests) == len(changed) + 2

    def test_versions_are_numbered_from_one_without_gaps(self, store: TableStore) -> None:
        written = [store.write("flights", a_table(n), schema=SCHEMA, at=AT) for n in (1, 2, 3)]

        assert [v.number for v in store.versions("flights")] == [1, 2, 3]
        assert store.versions("flights") == written

    def test_datasets_are_apart_and_listed_by_name(self, store: TableStore) -> None:
        one = store.write("weather", a_table(), schema=SCHEMA, at=AT)
        two = store.write("flights", a_table(), schema=SCHEMA, at=AT + timedelta(days=1))

        assert store.datasets() == ["flights", "weather"]
        assert one.digest == two.digest
        assert (one.number, two.number) == (1, 1)
        assert store.version(one.digest) == one  # the first to hold this content

    def test_an_empty_table_is_a_table(self, store: TableStore) -> None:
        version = store.write("flights", a_table(0), schema=SCHEMA, at=AT)

        assert (version.rows, version.since) == (0, None)
        assert pl.DataFrame(store.read(version.digest)).schema == a_table(0).schema

    def test_what_is_not_there_is_not_found(self, store: TableStore) -> None:
        version = store.write("flights", a_table(), schema=SCHEMA, at=AT)
        absent = Digest("blake3:" + "1" * 64)

        with pytest.raises(NotFound):
            store.read(absent)
        with pytest.raises(NotFound):
            store.version(absent)
        with pytest.raises(NotFound):
            store.read(version.digest, columns=["nme"])
        assert store.versions("weather") == []

    @pytest.mark.parametrize(
        "table",
        [
            a_table().drop("x"),
            a_table().with_columns(z=1),
            a_table().with_columns(pl.col("id").cast(pl.Int32)),
            a_table().with_columns(pl.lit(None, dtype=pl.Int64).alias("id")),
        ],
        ids=["missing", "surplus", "retyped", "null"],
    )
    def test_a_table_that_breaks_its_schema_is_refused(self, store: TableStore, table: pl.DataFrame) -> None:
        with pytest.raises(SchemaMismatch):
            store.write("flights", table, schema=SCHEMA, at=AT)

        assert store.datasets() == []

    @pytest.mark.parametrize("name", ["", "../x", "a/b", ".hidden", "A", "a..b", "a.", "x" * 101])
    def test_a_name_cannot_lead_out_of_the_store(self, store: TableStore, name: str) -> None:
        with pytest.raises(InputInvalid):
            store.write(name, a_table(), schema=SCHEMA, at=AT)

    def test_writers_at_once_lose_nothing(self, store: TableStore) -> None:
        sizes = [n for n in range(1, 9) for _ in range(2)]

        with ThreadPoolExecutor(4) as pool:
            versions = list(pool.map(lambda n: store.write("flights", a_table(n), schema=SCHEMA, at=AT), sizes))

        assert [v.number for v in store.versions("flights")] == list(range(1, 9))
        assert {v.digest for v in versions} == {v.digest for v in store.versions("flights")}
        assert all(pl.DataFrame(store.read(v.digest)).height == v.rows for v in versions)
