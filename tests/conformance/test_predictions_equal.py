"""The log in files against the log in memory, on sequences of operations that nobody thought of: they must not be told apart."""

import tempfile
from datetime import timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from noria.adapters.predictions import memory, parquet
from noria.domain.ids import PredictionId
from noria.domain.prediction import GroundTruth, PredictionRecord, Scalar
from noria.errors import NotFound
from noria.ports.predictions import PredictionLog, PredictionWriter
from noria.testing.predictions_suite import NOON, a_record, exactly, frame

REQUESTS = st.integers(0, 12)
MINUTES = st.integers(-3, 3).map(lambda n: 1000 * n)
NUMBERS: st.SearchStrategy[Scalar] = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**63), 2**64 - 1), st.integers(-2, 2), st.floats(allow_nan=True, width=64)
)
TEXTS: st.SearchStrategy[Scalar] = st.one_of(st.none(), st.text(st.characters(exclude_categories=["Cs"]), max_size=5))
COLUMNS = {"a": NUMBERS, "b": NUMBERS, "t": TEXTS}


@st.composite
def records(draw: st.DrawFn) -> PredictionRecord:
    rows = draw(st.integers(1, 3))

    def side(names: list[str]) -> dict[str, list[Scalar]]:
        return {name: draw(st.lists(COLUMNS[name], min_size=rows, max_size=rows)) for name in names}

    chosen = st.lists(st.sampled_from(sorted(COLUMNS)), unique=True)
    return a_record(
        draw(REQUESTS),
        minutes=draw(MINUTES),
        rows=rows,
        inputs=side(draw(chosen)),
        outputs=side(draw(chosen)),
        variant=draw(st.sampled_from(["champion", "challenger"])),
        keys=draw(st.none() | st.lists(st.text("ab", max_size=2), min_size=rows, max_size=rows)),
    )


@st.composite
def truths(draw: st.DrawFn) -> GroundTruth:
    name = PredictionId(f"r{draw(REQUESTS):032x}.{draw(st.integers(0, 2))}")
    at = NOON + timedelta(minutes=draw(MINUTES))
    return GroundTruth(
        prediction_id=name, value=draw(st.sampled_from([0.0, 1.0, 0.5])), at=at, corrects=draw(st.booleans())
    )


OPERATIONS = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.sampled_from("xyz"), st.lists(records(), min_size=1, max_size=4)),
        st.tuples(st.just("close"), st.sampled_from("xyz"), st.none()),
        st.tuples(st.just("compact"), st.none(), st.none()),
        st.tuples(st.just("reopen"), st.none(), st.none()),
        st.tuples(st.just("label"), st.none(), st.lists(truths(), max_size=6)),
    ),
    max_size=14,
)


class Both:
    """Does everything twice."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self.files: PredictionLog = parquet.open_store(folder)
        self.plain: PredictionLog = memory.open_store("")
        self.writers: dict[str, tuple[PredictionWriter, PredictionWriter]] = {}

    def do(self, operation: str, name: str | None, content: Any) -> None:
        if operation == "write":
            if name not in self.writers:
                self.writers[name] = tuple(log.writer("flights", name=name) for log in (self.files, self.plain))
            for writer in self.writers[name]:
                writer.write(content)
        elif operation == "close" and name in self.writers:
            for writer in self.writers.pop(name):
                writer.close()
        elif operation == "compact":
            self.files.compact("flights")
        elif operation == "reopen":
            self.files = parquet.open_store(self.folder)
        elif operation == "label":
            assert self.files.add_labels("flights", content) == self.plain.add_labels("flights", content)

    def check(self) -> None:
        for span in ({}, {"since": NOON}, {"until": NOON}, {"since": NOON, "until": NOON + timedelta(minutes=1500)}):
            for minutes in (-9000, 0, 1000, 9000):
                known_by = NOON + timedelta(minutes=minutes)
                ours, theirs = (
                    frame(log.joined("flights", known_by=known_by, **span)) for log in (self.files, self.plain)
                )
                shared = [name for name in theirs.columns if name in ours.columns]
                assert all(theirs[name].null_count() == theirs.height for name in theirs.columns if name not in shared)
                # In files a column is as wide as the span's values need, in memory as the deployment's.
                assert (
                    ours.select(shared)
                    .cast({name: theirs.schema[name] for name in shared})
                    .equals(theirs.select(shared))
                )
        key = lambda truth: (truth.prediction_id, truth.at, truth.value, truth.corrects)  # noqa: E731
        assert sorted(self.files.labels_aside("flights"), key=key) == sorted(
            self.plain.labels_aside("flights"), key=key
        )
        assert self.files.deployments() == self.plain.deployments()
        for number in range(13):
            for row in range(3):
                assert self.found(self.files, number, row) == self.found(self.plain, number, row)

    @staticmethod
    def found(log: PredictionLog, number: int, row: int) -> Any:
        try:
            found = log.get(PredictionId(f"r{number:032x}.{row}"))
        except NotFound:
            return None
        return exactly(found.record), found.row, found.label, found.label_at, found.state


@settings(max_examples=25, deadline=None, derandomize=True)
@given(OPERATIONS)
def test_files_and_memory_answer_alike(operations: list[tuple[str, str | None, Any]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        both = Both(folder)
        for operation in operations:
            both.do(*operation)
        both.check()
        for name in list(both.writers):
            both.do("close", name, None)
        both.do("compact", None, None)
        both.check()
