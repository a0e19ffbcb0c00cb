"""The law of ports/predictions as tests. Subclass `PredictionLogSuite` with a `log` fixture; faults of one medium have their own tests.

class TestMine(PredictionLogSuite):
    @pytest.fixture
    def log(self):
        return my_log()
"""

import struct
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import msgspec
import polars as pl
import pytest

from noria.domain.arrow import ArrowTable
from noria.domain.ids import Digest, PredictionId, RolloutId
from noria.domain.prediction import GroundTruth, PredictionRecord, Scalar
from noria.errors import InputInvalid, LabelInvalid, NotFound, StoreUnavailable
from noria.ports.predictions import PredictionLog

NOON = datetime(2013, 3, 1, 12, tzinfo=UTC)
WHICH = [
    "prediction_id",
    "request_id",
    "row",
    "key",
    "deployment",
    "variant",
    "model",
    "number",
    "generation",
    "rollout",
]
META = [*WHICH, "at", "latency_us", "protocol", "sampled", "redacted", "weight", "asked", "error"]
Stage = Literal["live", "closed", "compacted"]
STAGES: tuple[Stage, ...] = ("live", "closed", "compacted")


def a_record(number: int = 0, /, *, minutes: float = 0, **changes: Any) -> PredictionRecord:
    """A request of one row, `number` deciding its id and values."""
    fields: dict[str, Any] = {
        "request_id": f"r{number:032x}",
        "deployment": "flights",
        "variant": "champion",
        "model": "delay",
        "number": 1,
        "bundle": Digest("blake3:" + "0" * 64),
        "generation": 1,
        "at": NOON + timedelta(minutes=minutes),
        "latency_us": 150 + number,
        "protocol": "oip",
        "rows": 1,
        "inputs": {"distance": [number + 0.5], "hour": [number], "carrier": ["UA"]},
        "outputs": {"probability": [0.25]},
    }
    return PredictionRecord(**(fields | changes))


def a_label(
    record: PredictionRecord, value: float = 1.0, *, minutes: float = 60, row: int = 0, **changes: Any
) -> GroundTruth:
    """A label of one row of a record, known some minutes after noon."""
    return GroundTruth(
        prediction_id=record.prediction_id(row), value=value, at=NOON + timedelta(minutes=minutes), **changes
    )


def kept(
    log: PredictionLog, records: Sequence[PredictionRecord], *, stage: Stage = "compacted", name: str = "w"
) -> None:
    """Write one batch and leave it at a stage: its writer still live, closed, or what it wrote compacted."""
    writer = log.writer("flights", name=name)
    writer.write(records)
    if stage != "live":
        writer.close()
    if stage == "compacted":
        log.compact("flights")


def frame(table: ArrowTable) -> pl.DataFrame:
    """A table of the port, opened."""
    return pl.DataFrame(table)


def exactly(record: PredictionRecord) -> bytes:
    """A form in which two records are equal only if all their values are, bit for bit and type for type."""
    return msgspec.msgpack.encode(record)


def a_float(bits: int) -> float:
    """The float64 with these bits."""
    return float(struct.unpack(">d", bits.to_bytes(8, "big"))[0])


ODD: dict[str, list[Scalar]] = {
    "floats": [0.1, -0.0, float("inf"), -float("inf"), 5e-324, 1.7976931348623157e308, 16777217.0, float("nan")],
    "kinds of nan": [a_float(0x7FF8000000000123), a_float(0xFFF8000000000000), 1.0, None, 0.0, -0.0, 2.0, 3.0],
    "whole numbers": [0, -1, 2**53 + 1, 2**63 - 1, -(2**63), None, 7, 8],
    "large whole numbers": [2**63, 2**64 - 1, 1, None, 0, -1, 2, 3],
    "texts": ["", " ", "é", "\U0001f6a2", "a\nb", "\x00", None, "1.0"],
    "flags": [True, False, None, True, False, True, False, None],
    "nothing": [None] * 8,
    "mixed numbers": [1, 1.0, True, None, 0, 0.0, False, 2**53 + 1],
    "mixed": ["a", 1, 1.5, True, None, -0.0, "", False],
}


class PredictionLogSuite:
    """What every prediction log does."""

    @pytest.fixture(params=STAGES)
    def stage(self, request: pytest.FixtureRequest) -> Stage:
        """Each law holds wherever the rows are."""
        return request.param  # type: ignore[no-any-return]

    def test_a_row_has_the_promised_columns(self, log: PredictionLog, stage: Stage) -> None:
        kept(log, [a_record(3, rollout=RolloutId("ro"), keys=["k"], variant="challenger", generation=4)], stage=stage)

        table = frame(log.scan("flights"))

        assert table.columns == [*META, "in.distance", "in.hour", "in.carrier", "out.probability"]
        name = f"r{3:032x}"
        identity = (f"{name}.0", name, 0, "k", "flights", "challenger", "delay", 1, 4, "ro")
        assert table.rows() == [(*identity, NOON, 153, "oip", 1.0, None, None, False, "", 3.5, 3, "UA", 0.25)]
        assert table.schema["in.hour"] == pl.Int64
        assert table.schema["at"] == pl.Datetime("us", "UTC")

    def test_an_empty_log_has_the_columns_too(self, log: PredictionLog) -> None:
        assert frame(log.scan("flights")).columns == META
        assert frame(log.joined("flights", known_by=NOON)).columns == [*META, "label", "label_at"]
        assert log.deployments() == []
        assert log.compact("flights") == 0

    def test_an_empty_span_keeps_the_columns_of_the_deployment(self, log: PredictionLog, stage: Stage) -> None:
        kept(log, [a_record()], stage=stage)

        table = frame(log.joined("flights", known_by=NOON, since=NOON + timedelta(days=9)))

        assert table.height == 0
        assert {"in.distance", "out.probability", "label"} <= set(table.columns)

    def test_rows_come_in_the_order_of_time_request_and_row(self, log: PredictionLog, stage: Stage) -> None:
        batch = [
            a_record(n, minutes=m, rows=2, inputs={"x": [1.0, 2.0]}, outputs={"y": [0.0, 1.0]})
            for n, m in [(5, 1), (4, 1), (9, 0), (1, 2)]
        ]
        kept(log, batch[:2], stage=stage)
        kept(log, batch[2:], stage=stage, name="other")

        table = frame(log.scan("flights"))

        assert table.select("request_id", "row").rows() == [(f"r{n:032x}", row) for n in (9, 4, 5, 1) for row in (0, 1)]

    def test_a_span_begins_with_since_and_ends_before_until(self, log: PredictionLog, stage: Stage) -> None:
        kept(log, [a_record(n, minutes=n) for n in range(10)], stage=stage)

        def hours(since: int | None, until: int | None) -> list[int]:
            span = [None if m is None else NOON + timedelta(minutes=m) for m in (since, until)]
            return frame(log.scan("flights", since=span[0], until=span[1]))["in.hour"].to_list()

        assert hours(3, 6) == [3, 4, 5]
        assert hours(None, 2) == [0, 1]
        assert hours(8, None) == [8, 9]
        assert hours(5, 5) == []
        assert hours(None, None) == list(range(10))

    @pytest.mark.parametrize("name", ODD)
    def test_a_record_comes_back_bit_for_bit(self, log: PredictionLog, stage: Stage, name: str) -> None:
        whole = a_record(
            1,
            rows=8,
            inputs={"x": ODD[name], "plain": [float(n) for n in range(8)]},
            outputs={"y": ODD[name]},
            keys=list("abcdefgh"),
        )
        single = [a_record(2 + n, inputs={"x": [value]}, outputs={"y": [value]}) for n, value in enumerate(ODD[name])]
        kept(log, [whole, *single], stage=stage)

        assert exactly(log.get(whole.prediction_id(7)).record) == exactly(whole)
        for record in single:
            found = log.get(record.prediction_id(0))
            assert exactly(found.record) == exactly(record)
            assert (found.row, found.state, found.label) == (0, "waiting", None)

    def test_requests_with_other_columns_stand_side_by_side(self, log: PredictionLog, stage: Stage) -> None:
        records = [
            a_record(1, inputs={"x": [1]}),
            a_record(2, inputs={"x": [1.5], "z": [None]}, number=2, rollout=RolloutId("ro")),
            a_record(3, inputs={"z": ["text"], "x": [None]}, number=2),
            a_record(4, inputs={"x": ["text"]}, outputs={}, number=3),
            a_record(5, inputs={}, outputs={"y": [1]}),
        ]
        for place, record in enumerate(records):
            kept(log, [record], stage=stage, name=f"w{place}")

        for record in records:
            assert exactly(log.get(record.prediction_id(0)).record) == exactly(record)
        assert frame(log.scan("flights")).height == 5

    @pytest.mark.parametrize(
        "wrong",
        [
            "",
            "r",
            ".",
            "r.0",
            f"r{1:032x}",
            f"r{1:032x}.1",
            f"r{1:032x}.00",
            f"r{1:032x}.-1",
            f"r{1:032x}.x",
            f"r{2:032x}.0",
        ],
    )
    def test_another_id_is_not_found(self, log: PredictionLog, stage: Stage, wrong: str) -> None:
        kept(log, [a_record(1)], stage=stage)

        with pytest.raises(NotFound):
            log.get(PredictionId(wrong))

    @pytest.mark.parametrize("way", ["same batch", "next batch", "other writer", "after compaction"])
    def test_a_request_counts_once_as_it_was_first_written(self, log: PredictionLog, stage: Stage, way: str) -> None:
        first = a_record(1)
        again = a_record(1, minutes=600, inputs={"distance": [99.0]}, variant="challenger")
        writer = log.writer("flights", name="a")
        other = log.writer("flights", name="b") if way == "other writer" else writer
        if way == "same batch":
            writer.write([first, again, a_record(2)])
        else:
            writer.write([first])
            if way == "after compaction":
                writer.close()
                log.compact("flights")
                other = log.writer("flights", name="a")
            other.write([again, a_record(2)])
        if stage != "live":
            other.close()
            writer.close()
        if stage == "compacted":
            log.compact("flights")

        assert frame(log.scan("flights"))["prediction_id"].to_list() == [
            first.prediction_id(0),
            a_record(2).prediction_id(0),
        ]
        assert frame(log.scan("flights", since=NOON + timedelta(minutes=300))).height == 0
        assert exactly(log.get(first.prediction_id(0)).record) == exactly(first)

    @pytest.mark.parametrize(
        "bad",
        [
            a_record(1, deployment="other"),
            a_record(1, rows=2),
            a_record(1, keys=["a", "b"]),
            a_record(1, inputs={"x": [1, 2]}),
            a_record(1, inputs={"x": [b"bytes"]}),
            a_record(1, inputs={"x": [[1.0]]}),
            a_record(1, inputs={"x": [2**64]}),
            a_record(1, inputs={"x": ["\ud800"]}),
            a_record(1, at=datetime(2013, 3, 1)),
        ],
        ids=["deployment", "rows", "keys", "length", "bytes", "list", "too large", "no text", "no zone"],
    )
    def test_a_record_that_cannot_be_kept_is_refused_with_its_batch(
        self, log: PredictionLog, bad: PredictionRecord
    ) -> None:
        writer = log.writer("flights", name="w")

        with pytest.raises(InputInvalid):
            writer.write([a_record(0), bad])

        writer.write([a_record(5)])
        assert frame(log.scan("flights"))["in.hour"].to_list() == [5]

    @pytest.mark.parametrize("name", ["", ".", "..", "../x", "a/b", "a b", ".hidden", "é", "a\x00", "x" * 101])
    def test_an_odd_name_is_refused(self, log: PredictionLog, name: str) -> None:
        for ask in (
            lambda: log.writer(name, name="w"),
            lambda: log.writer("flights", name=name),
            lambda: log.scan(name),
            lambda: log.add_labels(name, []),
        ):
            with pytest.raises(InputInvalid):
                ask()

    def test_a_closed_writer_writes_no_more(self, log: PredictionLog) -> None:
        writer = log.writer("flights", name="w")
        writer.write([])
        writer.close()
        writer.close()

        with pytest.raises(StoreUnavailable):
            writer.write([a_record(1)])
        assert log.deployments() == []

    def test_compacting_changes_no_answer(self, log: PredictionLog) -> None:
        for day in range(12):
            kept(log, [a_record(day * 50 + n, minutes=1440 * day + n) for n in range(50)], stage="closed")
        before = frame(log.scan("flights"))

        log.compact("flights")

        assert frame(log.scan("flights")).equals(before)
        assert log.compact("flights") == 0
        for day in range(12, 40):
            kept(log, [a_record(day * 50 + n, minutes=1440 * day + n) for n in range(50)])
        assert frame(log.scan("flights"))["in.hour"].to_list() == list(range(2000))
        assert log.get(a_record(777).prediction_id(0)).record.inputs["hour"] == [777]

    def test_deployments_are_kept_apart(self, log: PredictionLog) -> None:
        kept(log, [a_record(1)])
        writer = log.writer("trains", name="w")
        writer.write([a_record(2, deployment="trains")])
        log.add_labels("boats", [a_label(a_record(3))])

        assert log.deployments() == ["flights", "trains"]
        assert frame(log.scan("trains"))["in.hour"].to_list() == [2]
        assert log.add_labels("trains", [a_label(a_record(1))]).unknown == (a_record(1).prediction_id(0),)

    def test_readers_beside_writers_and_a_compactor_see_whole_batches(self, log: PredictionLog) -> None:
        files, batches, size, workers = 5, 5, 4, 3

        def write(worker: int) -> None:
            for file in range(files):
                writer = log.writer("flights", name=f"w{worker}")
                for batch in range(batches):
                    first = ((worker * files + file) * batches + batch) * size
                    writer.write([a_record(first + n, minutes=first + n) for n in range(size)])
                writer.close()

        with ThreadPoolExecutor(workers + 1) as pool:
            writing = [pool.submit(write, worker) for worker in range(workers)]
            seen = [0]
            while not all(future.done() for future in writing):
                log.compact("flights")
                seen.append(frame(log.scan("flights")).height)
            for future in writing:
                future.result()

        assert seen == sorted(seen)
        assert all(count % size == 0 for count in seen)
        assert frame(log.scan("flights"))["in.hour"].to_list() == list(range(workers * files * batches * size))

    def test_a_label_is_shown_from_the_moment_it_was_known(self, log: PredictionLog, stage: Stage) -> None:
        record = a_record(1)
        kept(log, [record, a_record(2)], stage=stage)

        assert log.add_labels("flights", [a_label(record, minutes=60)]).accepted == 1

        assert labels(log, known_after=59) == [None, None]
        assert labels(log, known_after=60) == [1.0, None]
        found = log.get(record.prediction_id(0))
        assert (found.label, found.label_at, found.state) == (1.0, NOON + timedelta(minutes=60), "labelled")
        assert frame(log.joined("flights", known_by=NOON + timedelta(days=1)))["label_at"].to_list() == [
            NOON + timedelta(minutes=60),
            None,
        ]

    def test_every_row_of_a_request_has_its_own_label(self, log: PredictionLog, stage: Stage) -> None:
        record = a_record(1, rows=3, inputs={"x": [1.0, 2.0, 3.0]}, outputs={"y": [0.0, 0.0, 0.0]})
        kept(log, [record], stage=stage)

        receipt = log.add_labels(
            "flights", [a_label(record, 0.5, row=2), a_label(record, row=0), a_label(record, row=3)]
        )

        assert (receipt.accepted, receipt.unknown) == (2, (record.prediction_id(3),))
        assert labels(log) == [1.0, None, 0.5]

    def test_a_repeated_label_is_counted_and_kept_once(self, log: PredictionLog, stage: Stage) -> None:
        kept(log, [a_record(1)], stage=stage)
        label = a_label(a_record(1))

        assert log.add_labels("flights", [label, label]).duplicates == 1
        assert (
            log.add_labels(
                "flights", [label, a_label(a_record(1), minutes=90), a_label(a_record(1), corrects=True)]
            ).duplicates
            == 3
        )
        assert labels(log, known_after=60) == [1.0]
        assert log.labels_aside("flights") == []

    def test_a_contradicting_label_is_kept_aside_and_the_first_counts(self, log: PredictionLog, stage: Stage) -> None:
        kept(log, [a_record(1)], stage=stage)
        contradicting = a_label(a_record(1), 0.0, minutes=10)
        log.add_labels("flights", [a_label(a_record(1), minutes=60)])

        for _ in range(2):
            receipt = log.add_labels("flights", [contradicting])
            assert (receipt.contradictions, receipt.accepted) == ((a_record(1).prediction_id(0),), 0)

        assert labels(log, known_after=30) == [None], (
            "a contradiction is never shown, not even before the first was known"
        )
        assert labels(log) == [1.0]
        assert log.labels_aside("flights") == [contradicting]
        assert log.labels_aside("flights", since=contradicting.at) == [contradicting]
        assert log.labels_aside("flights", since=contradicting.at + timedelta(microseconds=1)) == []
        assert log.get(a_record(1).prediction_id(0)).state == "contradicted"

    def test_a_correction_counts_from_when_it_was_known(self, log: PredictionLog, stage: Stage) -> None:
        record = a_record(1)
        kept(log, [record], stage=stage)
        log.add_labels("flights", [a_label(record, 1.0, minutes=60), a_label(record, 0.0, minutes=61)])

        receipt = log.add_labels("flights", [a_label(record, 0.0, minutes=120, corrects=True)])

        assert receipt.corrected == 1
        assert [labels(log, known_after=m) for m in (59, 60, 119, 120)] == [[None], [1.0], [1.0], [0.0]]
        assert log.add_labels("flights", [a_label(record, 1.0, minutes=60)]).duplicates == 1, (
            "the first label, sent again, undoes no correction"
        )
        assert log.get(record.prediction_id(0)).state == "labelled"
        log.add_labels("flights", [a_label(record, 1.0, minutes=180, corrects=True)])
        assert labels(log) == [1.0]

    def test_an_unknown_label_waits_for_its_prediction(self, log: PredictionLog, stage: Stage) -> None:
        early = a_label(a_record(1))

        receipt = log.add_labels("flights", [early])

        assert (receipt.accepted, receipt.unknown) == (0, (early.prediction_id,))
        assert log.add_labels("flights", [early]).unknown == (early.prediction_id,)
        assert log.labels_aside("flights") == log.labels_aside("flights", since=early.at) == [early]
        assert log.labels_aside("flights", since=early.at + timedelta(microseconds=1)) == []
        kept(log, [a_record(1)], stage=stage)
        assert labels(log) == [1.0]
        assert log.labels_aside("flights") == []
        assert log.add_labels("flights", [early]).duplicates == 1

    @pytest.mark.parametrize(
        "spoil",
        [
            lambda label: msgspec.structs.replace(label, value=float("nan")),
            lambda label: msgspec.structs.replace(label, value=float("-inf")),
            lambda label: msgspec.structs.replace(label, at=label.at.replace(tzinfo=None)),
        ],
        ids=["nan", "infinite", "no zone"],
    )
    def test_a_label_without_a_usable_value_is_refused_with_its_batch(
        self, log: PredictionLog, spoil: Callable[[GroundTruth], GroundTruth]
    ) -> None:
        kept(log, [a_record(1), a_record(2)])

        with pytest.raises(LabelInvalid):
            log.add_labels("flights", [a_label(a_record(1)), spoil(a_label(a_record(2)))])

        assert labels(log) == [None, None]
        assert log.add_labels("flights", [a_label(a_record(1))]).accepted == 1

    def test_many_labels_from_many_threads_all_count_once(self, log: PredictionLog) -> None:
        records = [a_record(n, minutes=n) for n in range(400)]
        kept(log, records)

        with ThreadPoolExecutor(4) as pool:
            receipts = list(
                pool.map(lambda part: log.add_labels("flights", [a_label(r) for r in records[part % 4 :: 4]]), range(8))
            )

        assert sum(receipt.accepted for receipt in receipts) == 400
        assert sum(receipt.duplicates for receipt in receipts) == 400
        assert labels(log) == [1.0] * 400

    def test_only_the_named_columns_come_in_their_order(self, log: PredictionLog, stage: Stage) -> None:
        kept(log, [a_record(n, minutes=-n) for n in range(5)], stage=stage)
        named = ["out.probability", "at", "nobody has this", "prediction_id"]

        whole = frame(log.scan("flights"))
        some = frame(log.scan("flights", columns=named))
        labelled = frame(log.joined("flights", known_by=NOON, columns=["label", *named]))

        there = [name for name in named if name in whole.columns]
        assert some.equals(whole.select(there))
        assert labelled.columns == ["label", *there]
        assert labelled.drop("label").equals(whole.select(there))

    def test_joined_keeps_the_order_and_the_columns_of_scan(self, log: PredictionLog, stage: Stage) -> None:
        records = [a_record(n, minutes=-n) for n in range(30)]
        kept(log, records, stage=stage)
        log.add_labels("flights", [a_label(record, float(n)) for n, record in enumerate(records) if n % 3])

        joined = frame(log.joined("flights", known_by=NOON + timedelta(days=1)))

        assert joined.drop("label", "label_at").equals(frame(log.scan("flights")))
        assert joined["label"].to_list() == [float(n) if n % 3 else None for n in reversed(range(30))]
        assert joined.schema["label"] == pl.Float64


def labels(log: PredictionLog, *, known_after: float = 10_000) -> list[float | None]:
    """The column of labels, as known so many minutes after noon."""
    return frame(log.joined("flights", known_by=NOON + timedelta(minutes=known_after)))["label"].to_list()
