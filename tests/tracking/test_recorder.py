"""Recording runs: what is logged is in the store, and a store that is away stops no training."""

import logging
import os
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from threading import Event

import pytest

from noria.adapters.blobs import memory as memory_blobs
from noria.adapters.metadata import memory as memory_metadata
from noria.domain.ids import Digest, RunId, TrainedModelId
from noria.domain.run import Run, RunBatch
from noria.errors import (
    AlreadyExists,
    Conflict,
    InputInvalid,
    NotFound,
    PathRefused,
    SourceUnreadable,
    StoreUnavailable,
)
from noria.testing.clock import FakeClock
from noria.tracking import active_run
from noria.tracking.journal import Journal, name_of
from noria.tracking.naming import human_name
from noria.tracking.recorder import Recorder
from noria.tracking.sync import sync

THEN = datetime(2013, 3, 1, tzinfo=UTC)


class Cut:
    """A store behind a connection that a test can cut: what is asked meanwhile is answered by StoreUnavailable."""

    def __init__(self, store) -> None:
        self.store = store
        self.is_cut = False
        self.left: int | None = None  # answers until it is cut
        self.asked = Event()

    def __getattr__(self, name: str):
        def through(*arguments, **named):
            self.asked.set()
            if self.left is not None:
                self.left -= 1
                self.is_cut = self.is_cut or self.left < 0
            if self.is_cut:
                raise StoreUnavailable("the store does not answer")
            return getattr(self.store, name)(*arguments, **named)

        return through


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def blobs():
    return memory_blobs.open_store("")


@pytest.fixture
def metadata():
    return memory_metadata.open_store("", project="flights")


@pytest.fixture
def series(metadata):
    return metadata.series


@pytest.fixture
def runs(metadata) -> Cut:
    return Cut(metadata.runs)


@pytest.fixture
def recorder(runs: Cut, blobs, clock: FakeClock, tmp_path: Path) -> Recorder:
    return Recorder(runs, blobs, clock=clock, journal_folder=tmp_path / "journal")


def kept(tmp_path: Path) -> list[str]:
    """What is left in the journal folder, by name."""
    return sorted(path.name for path in (tmp_path / "journal").glob("*"))


def test_everything_logged_is_in_the_store_when_the_block_ends(
    recorder: Recorder, runs: Cut, series, blobs, clock: FakeClock, tmp_path: Path
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
    assert [(point.step, point.at - found.started_at) for point in series.history(run.id, "val/auc")] == [
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


def test_many_points_arrive_whole_and_in_order(recorder: Recorder, runs: Cut, series) -> None:
    with recorder.run("churn") as run:
        for step in range(12_000):
            run.log(loss=1 / (step + 1), step=step)

    assert [point.step for point in series.history(run.id, "loss")] == list(range(12_000))


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


@pytest.mark.parametrize("answers", range(9))
def test_a_store_that_goes_away_stops_nothing_and_gets_everything_later(
    recorder: Recorder, runs: Cut, series, blobs, tmp_path: Path, caplog: pytest.LogCaptureFixture, answers: int
) -> None:
    runs.left = answers
    with caplog.at_level(logging.WARNING), recorder.run("churn", run_id=RunId("a")) as run:
        for step in range(5):
            run.log(loss=float(step), step=step)
            run.tag(step=str(step))
            run.flush()
        run.artifact(b"abc", "x")

    if not run.is_complete:
        assert kept(tmp_path) == ["a"]
        assert sum("goes on without its store" in message for message in caplog.messages) == 1, "said once"
        with pytest.raises(StoreUnavailable):
            sync(tmp_path / "journal", runs, blobs=blobs)
    runs.is_cut, runs.left = False, None
    sync(tmp_path / "journal", runs, blobs=blobs)
    assert sync(tmp_path / "journal", runs, blobs=blobs) == []

    found = runs.get(RunId("a"))
    assert (found.status, found.tags, [artifact.path for artifact in found.artifacts]) == (
        "finished",
        {"step": "4"},
        ["x"],
    )
    assert [point.value for point in series.history(RunId("a"), "loss")] == [0.0, 1.0, 2.0, 3.0, 4.0]
    assert kept(tmp_path) == []


def test_a_store_that_comes_back_before_the_end_gets_everything_at_the_end(
    recorder: Recorder, runs: Cut, tmp_path: Path
) -> None:
    runs.is_cut = True
    with recorder.run("churn") as run:
        run.log(loss=1.0)
        run.param(depth=3)
        run.flush()
        assert kept(tmp_path) == [run.id]
        runs.is_cut = False

    found = runs.get(run.id)
    assert (found.status, found.metrics, found.params) == ("finished", {"loss": 1.0}, {"depth": 3})
    assert kept(tmp_path) == []


def test_the_next_run_that_reaches_the_store_brings_the_journal_along(
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


def test_a_slow_store_holds_up_no_training_and_fills_no_memory(
    runs: Cut, series, clock: FakeClock, tmp_path: Path
) -> None:
    count = 3 * active_run.BATCH_POINTS
    released, entered = Event(), Event()

    class Slow(Cut):
        def log(self, batch: RunBatch) -> None:
            entered.set()
            assert released.wait(60)
            self.store.log(batch)

    recorder = Recorder(Slow(runs.store), memory_blobs.open_store(""), clock=clock, journal_folder=tmp_path / "journal")
    with recorder.run("churn") as run:
        run.log(loss=-1.0, step=-1)
        assert entered.wait(60)
        for step in range(count):
            run.log(loss=float(step), step=step)
        assert len(list((tmp_path / "journal" / run.id).glob("*.segment"))) > 2
        released.set()

    assert len(series.history(run.id, "loss")) == count + 1
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
    recorder: Recorder, runs: Cut, series, blobs, tmp_path: Path
) -> None:
    runs.is_cut = True
    with recorder.run("churn", run_id=RunId("a")) as run:
        run.log(loss=1.0)
    runs.is_cut = False
    other = Recorder(runs, blobs, clock=FakeClock(), journal_folder=tmp_path / "elsewhere")
    with other.run("trains", run_id=RunId("a")) as taken:
        taken.log(loss=2.0)

    (done,) = sync(tmp_path / "journal", runs, blobs=blobs)

    assert (done.run_id, done.put_aside) == ("a", True)
    assert [point.value for point in series.history(RunId("a"), "loss")] == [2.0]
    assert kept(tmp_path) == ["a.refused"]
    assert sync(tmp_path / "journal", runs, blobs=blobs) == []


def test_a_run_whose_id_was_taken_while_it_went_on_is_put_aside_whole(
    recorder: Recorder, runs: Cut, series, blobs, tmp_path: Path
) -> None:
    runs.is_cut = True
    with recorder.run("churn", run_id=RunId("a")) as run:
        run.log(loss=1.0)
        runs.store.create(Run(id=RunId("a"), experiment="trains", name="", status="running", started_at=THEN))
        runs.is_cut = False

    assert not run.is_complete
    assert runs.get(RunId("a")).metrics == {}
    (done,) = sync(tmp_path / "journal", runs, blobs=blobs)
    assert (done.put_aside, done.points) == (True, 1)


@pytest.mark.parametrize("name", ["../out", "a/b", "", "ü" * 200])
def test_a_run_of_any_id_has_its_journal_inside_the_folder(tmp_path: Path, name: str) -> None:
    assert (tmp_path / name_of(RunId(name))).parent == tmp_path


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
        (lambda run: run.artifact(b"abc", "../out"), PathRefused),
        (lambda run: run.log({"": 1.0}), InputInvalid),
        (lambda run: run.log({"a\0": 1.0}), InputInvalid),
        (lambda run: run.log(auc=10**400), InputInvalid),
        (lambda run: run.log(auc=1.0, step=2**63), InputInvalid),
        (lambda run: run.log(auc=1.0, at=datetime(2013, 3, 1)), InputInvalid),
        (lambda run: run.tag(a="\ud800"), InputInvalid),
        (lambda run: run.param(a="b\0"), InputInvalid),
        (lambda run: run.figure(object(), "a.png"), InputInvalid),
        (lambda run: run.dataset("", digest="d"), InputInvalid),
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


def test_a_run_says_what_it_is_about_what_it_read_and_what_it_made(recorder: Recorder, runs: Cut, blobs) -> None:
    class Drawn:
        def savefig(self, fname: BytesIO, *, format: str) -> None:
            fname.write(f"drawn as {format}".encode())

    with recorder.run("churn", user="me") as run:
        run.note("a first try")
        run.note("a second thought")
        run.dataset("flights", digest="d1", source="s3://x", context="training")
        run.dataset("flights", digest="d1", context="other", tags={"split": "a"})
        run.model(TrainedModelId("m-1"), step=3)
        run.model(TrainedModelId("m-0"), is_input=True)
        run.figure(Drawn(), "plots/roc.svg")
        run.figure(Drawn(), "roc")

    found = runs.get(run.id)
    assert (found.tags, found.user) == ({"noria.note": "a second thought"}, "me")
    (use,) = found.inputs
    assert (use.name, use.digest, use.source, use.tags) == (
        "flights",
        "d1",
        "s3://x",
        {"context": "training", "split": "a"},
    )
    assert [(link.model_id, link.step) for link in found.models_out] == [("m-1", 3)]
    assert [link.model_id for link in found.models_in] == ["m-0"]
    assert {artifact.path: blobs.get(artifact.digest) for artifact in found.artifacts} == {
        "plots/roc.svg": b"drawn as svg",
        "roc.png": b"drawn as png",
    }


def test_a_run_is_part_of_another(recorder: Recorder, runs: Cut) -> None:
    with recorder.run("churn") as outer, recorder.run("churn", parent=outer.id) as inner:
        inner.log(loss=1.0)

    assert runs.get(inner.id).parent == outer.id


def test_a_run_that_ended_goes_on(recorder: Recorder, runs: Cut, series, tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), recorder.run("churn", run_id=RunId("a"), params={"lr": 0.1}) as run:  # noqa: PT012
        run.log(loss=1.0, step=1)
        _ = 1 / 0

    with recorder.resume(RunId("a")) as again:
        assert runs.get(RunId("a")).status == "running"
        assert again.name == run.name
        again.log(loss=0.5, step=2)
        with pytest.raises(Conflict):
            again.param(lr=0.2)

    found = runs.get(RunId("a"))
    assert (found.status, found.error) == ("finished", "")
    assert [point.value for point in series.history(RunId("a"), "loss")] == [1.0, 0.5]
    assert kept(tmp_path) == []


def test_what_does_not_exist_or_is_in_the_trash_is_not_resumed(recorder: Recorder, runs: Cut) -> None:
    with pytest.raises(NotFound), recorder.resume(RunId("nobody")):
        pytest.fail("the block must not begin")
    with recorder.run("churn", run_id=RunId("a")):
        pass
    runs.trash([RunId("a")], at=THEN)
    with pytest.raises(Conflict), recorder.resume(RunId("a")):
        pytest.fail("the block must not begin")


def test_a_run_whose_journal_waits_is_resumed_behind_it(recorder: Recorder, runs: Cut, series, tmp_path: Path) -> None:
    runs.is_cut = True
    with recorder.run("churn", run_id=RunId("a")) as run:
        run.log(loss=1.0, step=1)
    with recorder.resume(RunId("a")) as run:
        run.log(loss=0.5, step=2)
    runs.is_cut = False
    with recorder.resume(RunId("a")) as run:
        assert [point.value for point in series.history(RunId("a"), "loss")] == [1.0, 0.5]
        run.log(loss=0.25, step=3)

    assert runs.get(RunId("a")).status == "finished"
    assert [point.value for point in series.history(RunId("a"), "loss")] == [1.0, 0.5, 0.25]
    assert kept(tmp_path) == []


def test_two_processes_of_one_run_have_journals_of_their_own(
    recorder: Recorder, runs: Cut, series, tmp_path: Path
) -> None:
    with recorder.run("churn", run_id=RunId("a")) as first, recorder.resume(RunId("a")) as second:
        runs.is_cut = True
        first.log(loss=1.0)
        second.log(auc=0.5)
        assert kept(tmp_path) == ["a", "a.1"]
        runs.is_cut = False

    assert runs.get(RunId("a")).metrics == {"loss": 1.0, "auc": 0.5}
    assert kept(tmp_path) == []


def test_what_stands_before_a_damage_is_sent_and_the_rest_is_kept(
    recorder: Recorder, runs: Cut, series, blobs, tmp_path: Path
) -> None:
    runs.is_cut = True
    with recorder.run("churn", run_id=RunId("a")) as run:
        for step in range(10):
            run.log(loss=float(step), step=step)
    runs.is_cut = False
    (segment,) = (tmp_path / "journal" / "a").glob("*.segment")
    content = bytearray(segment.read_bytes())
    content[-100] ^= 0xFF
    segment.write_bytes(content)

    (done,) = sync(tmp_path / "journal", runs, blobs=blobs)

    assert (done.damaged, done.has_ended, done.put_aside) == (1, False, False)
    assert 0 < done.points < 10
    assert [point.step for point in series.history(RunId("a"), "loss")] == list(range(done.points))
    assert [path.suffix for path in (tmp_path / "journal" / "a").iterdir()] == [".damaged"]
    assert sync(tmp_path / "journal", runs, blobs=blobs) == []


def test_words_of_another_version_are_kept_and_the_others_sent(
    recorder: Recorder, runs: Cut, blobs, tmp_path: Path
) -> None:
    runs.is_cut = True
    with recorder.run("churn", run_id=RunId("a")):
        pass
    runs.is_cut = False
    journal = Journal(tmp_path / "journal", RunId("a"))
    journal.append(b"\x92\x63\xa3new")
    journal.release(remove=False)

    (done,) = sync(tmp_path / "journal", runs, blobs=blobs)

    assert (done.damaged, done.has_ended) == (1, True)
    assert runs.get(RunId("a")).status == "finished"


def test_a_forked_process_is_told_to_record_for_itself(recorder: Recorder, runs: Cut) -> None:
    with recorder.run("churn") as run:
        run.log(loss=1.0)
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                run.log(loss=2.0)
                os.write(writing, b"logged")
            except Conflict:
                os.write(writing, b"told")
            os._exit(0)
        os.waitpid(child, 0)
        assert os.read(reading, 10) == b"told"
        os.close(reading)
        os.close(writing)

    assert runs.get(run.id).metrics == {"loss": 1.0}


def test_a_param_that_is_refused_takes_nothing_else_with_it(
    recorder: Recorder, runs: Cut, caplog: pytest.LogCaptureFixture
) -> None:
    runs.left = 1
    with recorder.run("churn") as run:
        runs.store.log(RunBatch(run_id=run.id, params={"depth": 4}))
        run.param(depth=3, rate=0.5)
        run.tag(a="b")
        run.log(loss=1.0)
        runs.left, runs.is_cut = None, False

    found = runs.get(run.id)
    assert (found.params, found.tags, found.metrics) == ({"depth": 4, "rate": 0.5}, {"a": "b"}, {"loss": 1.0})
    assert caplog.text.count("refused") == 1


def test_without_a_file_records_wait_in_memory(
    recorder: Recorder, runs: Cut, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "journal").write_text("a file where the folder should be")
    runs.is_cut = True
    with recorder.run("churn") as run:
        run.log(loss=1.0)
        runs.is_cut = False

    assert runs.get(run.id).metrics == {"loss": 1.0}
    assert (run.is_complete, run.lost) == (True, 0)
    assert "cannot be kept in a file" in caplog.text


def test_what_neither_file_nor_store_can_take_is_counted_and_told(
    recorder: Recorder, runs: Cut, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "journal").write_text("a file where the folder should be")
    runs.is_cut = True
    with recorder.run("churn") as run:
        for _ in range(3):
            run.tag(a="x" * (active_run.MOST_LOOSE_BYTES // 2))

    assert run.lost == 5, "the beginning, three tags of which one found no room, and the end"
    assert "5 records are lost" in caplog.text
