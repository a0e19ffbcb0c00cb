"""Recording runs: what is logged is in the store, and a store that is away stops no training."""

import logging
import subprocess
import sys
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from threading import Event

import pytest

from noria.adapters.blobs import memory as memory_blobs
from noria.adapters.metadata import memory as memory_metadata
from noria.domain.ids import Digest, RunId
from noria.domain.run import Artifact, Metric, ParamValue, Run, RunStatus
from noria.errors import AlreadyExists, Conflict, InputInvalid, SourceUnreadable, StoreUnavailable
from noria.ports.runs import RunStore
from noria.testing.clock import FakeClock
from noria.tracking import recorder as recording
from noria.tracking.backlog import replay
from noria.tracking.naming import human_name
from noria.tracking.recorder import Recorder


class Cut:
    """A run store behind a connection that a test can cut: what is asked meanwhile is answered by StoreUnavailable."""

    def __init__(self, store: RunStore) -> None:
        self.store = store
        self.is_cut = False
        self.left: int | None = None  # answers until it is cut
        self.asked = Event()

    def _through(self) -> RunStore:
        self.asked.set()
        if self.left is not None:
            self.left -= 1
            self.is_cut = self.is_cut or self.left < 0
        if self.is_cut:
            raise StoreUnavailable("the store does not answer")
        return self.store

    def create(self, run: Run) -> Run:
        return self._through().create(run)

    def get(self, run_id: RunId) -> Run:
        return self._through().get(run_id)

    def find(
        self, *, experiment: str | None = None, status: RunStatus | None = None, limit: int = 100, offset: int = 0
    ) -> list[Run]:
        return self._through().find(experiment=experiment, status=status, limit=limit, offset=offset)

    def count(self, *, experiment: str | None = None, status: RunStatus | None = None) -> int:
        return self._through().count(experiment=experiment, status=status)

    def experiments(self) -> list[str]:
        return self._through().experiments()

    def log_params(self, run_id: RunId, params: Mapping[str, ParamValue]) -> None:
        self._through().log_params(run_id, params)

    def log_metrics(self, run_id: RunId, points: Sequence[Metric]) -> None:
        self._through().log_metrics(run_id, points)

    def history(self, run_id: RunId, key: str) -> list[Metric]:
        return self._through().history(run_id, key)

    def set_tags(self, run_id: RunId, tags: Mapping[str, str]) -> None:
        self._through().set_tags(run_id, tags)

    def add_artifacts(self, run_id: RunId, artifacts: Sequence[Artifact]) -> None:
        self._through().add_artifacts(run_id, artifacts)

    def finish(self, run_id: RunId, *, status: RunStatus, at, error: str = "") -> Run:
        return self._through().finish(run_id, status=status, at=at, error=error)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def blobs():
    return memory_blobs.open_store("")


@pytest.fixture
def runs() -> Cut:
    return Cut(memory_metadata.open_store("", project="flights").runs)


@pytest.fixture
def recorder(runs: Cut, blobs, clock: FakeClock, tmp_path: Path) -> Recorder:
    return Recorder(runs, blobs, clock=clock, journal_folder=tmp_path / "journal")


def kept(tmp_path: Path) -> list[str]:
    return sorted(path.suffix for path in (tmp_path / "journal").glob("*"))


def test_everything_logged_is_in_the_store_when_the_block_ends(
    recorder: Recorder, runs: Cut, blobs, clock: FakeClock, tmp_path: Path
) -> None:
    file = tmp_path / "report.txt"
    file.write_text("fine")
    with recorder.run("churn", params={"lr": 0.1}, seed=7, datasets=[Digest("blake3:" + "1" * 64)]) as run:
        run.log(auc=0.5, step=1)
        clock.advance(minutes=1)
        run.log({"val/auc": 0.75, "loss": float("nan")}, step=2)
        run.log(auc=0.625, step=2)
        run.param(depth=3)
        run.tag(owner="me", stage=1)
        run.artifact(file)
        run.artifact(b"abc", "raw/bytes")
        file.write_text("changed after it was attached")

    found = runs.get(run.id)
    assert (found.status, found.error, found.name, found.seed) == ("finished", "", human_name(run.id), 7)
    assert found.params == {"lr": 0.1, "depth": 3}
    assert found.metrics["auc"] == 0.625
    assert found.tags == {"owner": "me", "stage": "1"}
    assert found.finished_at == clock.now()
    assert [(point.step, point.at - found.started_at) for point in runs.history(run.id, "val/auc")] == [
        (2, timedelta(minutes=1))
    ]
    assert {artifact.path: blobs.get(artifact.digest) for artifact in found.artifacts} == {
        "report.txt": b"fine",
        "raw/bytes": b"abc",
    }
    assert run.is_complete
    assert kept(tmp_path) == []


def test_a_block_that_raises_makes_a_failed_run_and_raises(recorder: Recorder, runs: Cut) -> None:
    with pytest.raises(ZeroDivisionError), recorder.run("churn") as run:  # noqa: PT012 (the run ends as the block does)
        run.log(auc=0.5)
        _ = 1 / 0

    found = runs.get(run.id)
    assert (found.status, found.error, found.metrics) == ("failed", "ZeroDivisionError: division by zero", {"auc": 0.5})


def test_many_points_arrive_whole_and_in_order(recorder: Recorder, runs: Cut) -> None:
    with recorder.run("churn") as run:
        for step in range(12_000):
            run.log(loss=1 / (step + 1), step=step)

    assert [point.step for point in runs.history(run.id, "loss")] == list(range(12_000))


def test_points_can_be_seen_while_the_run_goes_on(recorder: Recorder, runs: Cut) -> None:
    with recorder.run("churn") as run:
        run.log(loss=1.0)
        run.flush()

        assert runs.get(run.id).metrics == {"loss": 1.0}
        assert runs.get(run.id).status == "running"


def test_the_thread_sends_without_being_asked(recorder: Recorder, runs: Cut) -> None:
    with recorder.run("churn") as run:
        runs.asked.clear()
        run.log(loss=1.0)

        assert runs.asked.wait(30)


@pytest.mark.parametrize("answers", range(8))
def test_a_store_that_goes_away_stops_nothing_and_gets_everything_later(
    recorder: Recorder, runs: Cut, blobs, tmp_path: Path, caplog: pytest.LogCaptureFixture, answers: int
) -> None:
    runs.left = answers
    with caplog.at_level(logging.WARNING), recorder.run("churn", run_id=RunId("a")) as run:
        for step in range(5):
            run.log(loss=float(step), step=step)
            run.tag(step=str(step))
            run.flush()
        run.artifact(b"abc", "x")

    if answers < 8 and not run.is_complete:
        assert kept(tmp_path) == [".backlog"]
        assert sum("goes on without its store" in message for message in caplog.messages) == 1, "said once"
        with pytest.raises(StoreUnavailable):
            replay(tmp_path / "journal", runs, blobs=blobs)
    runs.is_cut, runs.left = False, None
    replay(tmp_path / "journal", runs, blobs=blobs)
    assert replay(tmp_path / "journal", runs, blobs=blobs) == []

    found = runs.get(RunId("a"))
    assert (found.status, found.tags, [artifact.path for artifact in found.artifacts]) == (
        "finished",
        {"step": "4"},
        ["x"],
    )
    assert [point.value for point in runs.history(RunId("a"), "loss")] == [0.0, 1.0, 2.0, 3.0, 4.0]
    assert kept(tmp_path) == []


def test_a_store_that_comes_back_before_the_end_gets_everything_at_the_end(
    recorder: Recorder, runs: Cut, tmp_path: Path
) -> None:
    runs.is_cut = True
    with recorder.run("churn") as run:
        run.log(loss=1.0)
        run.param(depth=3)
        run.flush()
        assert kept(tmp_path) == [".backlog"]
        runs.is_cut = False

    found = runs.get(run.id)
    assert (found.status, found.metrics, found.params) == ("finished", {"loss": 1.0}, {"depth": 3})
    assert kept(tmp_path) == []


def test_the_next_run_that_reaches_the_store_brings_the_backlog_along(
    recorder: Recorder, runs: Cut, tmp_path: Path
) -> None:
    runs.is_cut = True
    with recorder.run("churn") as lost:
        lost.log(loss=1.0)
    runs.is_cut = False

    with recorder.run("churn"):
        pass

    assert runs.get(lost.id).metrics == {"loss": 1.0}
    assert kept(tmp_path) == []


def test_more_points_than_memory_may_hold_go_to_the_backlog(recorder: Recorder, runs: Cut, tmp_path: Path) -> None:
    count = recording.BUFFERED_POINTS + recording.BATCH_POINTS
    released, entered = Event(), Event()
    straight = runs.store.log_metrics

    class Slow(Cut):
        def log_metrics(self, run_id: RunId, points: Sequence[Metric]) -> None:
            entered.set()
            assert released.wait(60)
            straight(run_id, points)

    slow = Slow(runs.store)
    with Recorder(slow, memory_blobs.open_store(""), clock=FakeClock(), journal_folder=tmp_path / "journal").run(
        "churn"
    ) as run:
        run.log(loss=-1.0, step=-1)
        assert entered.wait(60)
        for step in range(count):
            run.log(loss=float(step), step=step)
        assert kept(tmp_path) == [".backlog"]
        released.set()

    assert len(runs.history(run.id, "loss")) == count + 1
    assert kept(tmp_path) == []


def test_what_the_store_refuses_is_said_and_the_rest_is_kept(
    recorder: Recorder, runs: Cut, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING), recorder.run("churn") as run:
        runs.log_params(run.id, {"depth": 4})
        run.param(depth=3)
        run.log(loss=1.0)

    assert "refused" in caplog.text
    found = runs.get(run.id)
    assert (found.params, found.metrics, found.status) == ({"depth": 4}, {"loss": 1.0}, "finished")


def test_an_id_that_is_taken_is_refused_before_the_block_begins(recorder: Recorder) -> None:
    with recorder.run("churn", run_id=RunId("a"), params={"x": 1}):
        pass

    with pytest.raises(AlreadyExists), recorder.run("churn", run_id=RunId("a"), params={"x": 2}):
        pytest.fail("the block must not begin")


def test_nothing_is_added_to_another_run_that_took_the_id_meanwhile(
    recorder: Recorder, runs: Cut, blobs, tmp_path: Path
) -> None:
    runs.is_cut = True
    with recorder.run("churn", run_id=RunId("a")) as run:
        run.log(loss=1.0)
    runs.is_cut = False
    other = Recorder(runs, blobs, clock=FakeClock(), journal_folder=tmp_path / "elsewhere")
    with other.run("trains", run_id=RunId("a")) as taken:
        taken.log(loss=2.0)

    assert replay(tmp_path / "journal", runs, blobs=blobs) == []

    assert [point.value for point in runs.history(RunId("a"), "loss")] == [2.0]
    assert kept(tmp_path) == [".refused"]


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        (lambda run: run.log(auc="high"), InputInvalid),
        (lambda run: run.log(auc=None), InputInvalid),
        (lambda run: run.param(x=object()), InputInvalid),
        (lambda run: run.param(x=2**70), InputInvalid),
        (lambda run: run.param(lr=0.2), Conflict),
        (lambda run: run.param(lr="0.1"), Conflict),
        (lambda run: run.artifact(b"abc"), InputInvalid),
        (lambda run: run.artifact(Path("/no/such/file")), SourceUnreadable),
    ],
)
def test_a_wrong_call_is_told_where_it_is_made_and_harms_nothing(
    recorder: Recorder, runs: Cut, wrong, error: type[Exception]
) -> None:
    with recorder.run("churn", params={"lr": 0.1}) as run:
        with pytest.raises(error):
            wrong(run)
        run.param(lr=0.1)

    assert runs.get(run.id).params == {"lr": 0.1}
    assert runs.get(run.id).status == "finished"


def test_a_run_that_is_over_takes_nothing_more(recorder: Recorder) -> None:
    with recorder.run("churn") as run:
        pass

    for late in (
        lambda: run.log(x=1.0),
        lambda: run.param(x=1),
        lambda: run.tag(x="1"),
        lambda: run.artifact(b"x", "x"),
    ):
        with pytest.raises(Conflict):
            late()


KILLED = """
import os, sys
from pathlib import Path
from noria.adapters.blobs import memory
from noria.domain.ids import RunId
from noria.errors import StoreUnavailable
from noria.testing.clock import FakeClock
from noria.tracking.recorder import Recorder

class Away:
    def __getattr__(self, name):
        def away(*arguments, **named):
            raise StoreUnavailable("the store does not answer")
        return away

with Recorder(Away(), memory.open_store(""), clock=FakeClock(), journal_folder=Path(sys.argv[1])).run("churn", run_id=RunId("a")) as run:
    for step in range(100):
        run.log(loss=float(step), step=step)
        run.flush()
    os.kill(os.getpid(), 9)
"""


def test_a_killed_training_leaves_a_backlog_that_can_be_sent_torn_end_or_not(runs: Cut, blobs, tmp_path: Path) -> None:
    folder = tmp_path / "journal"
    done = subprocess.run([sys.executable, "-c", KILLED, str(folder)], check=False, capture_output=True, text=True)
    assert done.returncode == -9, done.stderr
    with open(folder / "a.backlog", "ab") as file:
        file.write(b"\x40\x00\x00\x00half of a frame")

    assert replay(folder, runs, blobs=blobs) == [RunId("a")]

    assert len(runs.history(RunId("a"), "loss")) == 100
    assert runs.get(RunId("a")).status == "running", "nobody knows how it ended"
