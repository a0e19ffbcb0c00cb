"""`noria gc`: what goes, what stays, and that writers beside it lose nothing."""

import os
import threading
from datetime import UTC, datetime, timedelta

import pytest

from noria.app.collecting import collect
from noria.app.settings import Settings
from noria.app.workspace import Workspace
from noria.domain.ids import Digest, RunId, digest_of
from noria.domain.pipeline import StepTask
from noria.domain.query import Query
from noria.domain.run import Artifact, Run
from noria.errors import InputInvalid, NotFound
from noria.testing.clock import FakeClock

NOON = datetime(2013, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def workspace(tmp_path):
    with Workspace(Settings(project="sketch"), tmp_path / "home", clock=FakeClock(NOON)) as workspace:
        yield workspace


def a_run(workspace, run_id, *, files=()):
    workspace.runs.create(Run(id=RunId(run_id), experiment="trees", name=run_id, status="running", started_at=NOON))
    for path, content in files:
        digest = workspace.blobs.put(content)
        workspace.runs.add_artifacts(RunId(run_id), [Artifact(path=path, digest=digest, size=len(content))])


def grow_old(workspace):
    """Every file of the store was put two days ago."""
    then = (datetime.now(UTC) - timedelta(days=2)).timestamp()
    for file in (workspace.home / "blobs" / "objects").rglob("*"):
        if file.is_file():
            os.utime(file, (then, then))


def test_a_run_in_the_trash_gives_its_space_back_when_its_time_has_come(workspace):
    a_run(workspace, "kept", files=[("model.bin", b"kept" * 100)])
    a_run(workspace, "gone", files=[("model.bin", b"gone" * 100), ("same.bin", b"kept" * 100)])
    workspace.runs.trash([RunId("gone")], at=NOON)
    grow_old(workspace)

    early = collect(workspace, trash_days=30)
    workspace.clock.advance(timedelta(days=31))
    done = collect(workspace, trash_days=30)

    assert (early.emptied.runs, early.swept.dropped) == (0, 0)
    assert (done.emptied.runs, done.swept.dropped, done.swept.bytes) == (1, 1, 400)
    assert not workspace.blobs.has(digest_of(b"gone" * 100))
    assert workspace.blobs.has(digest_of(b"kept" * 100))
    with pytest.raises(NotFound):
        workspace.runs.get(RunId("gone"))


def test_an_experiment_takes_its_runs_along(workspace):
    a_run(workspace, "a", files=[("x", b"1")])
    a_run(workspace, "b")
    workspace.experiments.trash(workspace.experiments.named("trees").id, at=NOON)
    grow_old(workspace)
    workspace.clock.advance(timedelta(days=1))

    pretended = collect(workspace, trash_days=0.5, pretend=True)
    done = collect(workspace, trash_days=0.5)

    assert (pretended.emptied.experiments, pretended.emptied.runs) == (1, 2)
    assert (done.emptied.experiments, done.emptied.runs, done.swept.dropped) == (1, 2, 1)
    assert workspace.experiments.named("trees") is None
    assert workspace.index.count(Query(life="all")) == 0


def test_pretending_changes_nothing(workspace):
    workspace.blobs.put(b"nobody needs this")
    grow_old(workspace)

    assert collect(workspace, pretend=True).swept.dropped == 1
    assert workspace.blobs.has(digest_of(b"nobody needs this"))
    assert collect(workspace).swept.dropped == 1


def test_what_anything_names_stays(workspace):
    part = workspace.blobs.put(b"part of an output")
    output = workspace.blobs.put(b'{"parts":["' + part.encode() + b'"]}')
    journal = workspace.journal
    leased = journal.lease(StepTask(step="s", cache_key=Digest("k"), key_parts={}), holder="h", now=NOON, seconds=60)
    journal.commit(leased, output=output, seconds=1)
    environment = workspace.blobs.put(b"packages")
    workspace.runs.create(
        Run(id=RunId("r"), experiment="e", name="r", status="running", started_at=NOON, environment=environment)
    )
    grow_old(workspace)

    assert collect(workspace).swept.dropped == 0
    assert all(workspace.blobs.has(digest) for digest in (part, output, environment))


def test_what_was_put_lately_stays_though_nothing_names_it_yet(workspace):
    workspace.blobs.put(b"a run will name this in a moment")

    assert collect(workspace, idle=timedelta(hours=1)).swept.dropped == 0


def test_projects_that_share_a_home_keep_each_others_content(workspace):
    other = Workspace(Settings(project="other"), workspace.home, clock=workspace.clock)
    with other:
        a_run(other, "theirs", files=[("m", b"theirs")])
    workspace.runs.create(Run(id=RunId("r"), experiment="e", name="r", status="running", started_at=NOON))
    grow_old(workspace)

    assert collect(workspace).swept.dropped == 0
    assert workspace.blobs.has(digest_of(b"theirs"))


def test_an_idle_time_that_could_hurt_writers_is_refused(workspace):
    with pytest.raises(InputInvalid):
        collect(workspace, idle=timedelta(minutes=1))


def test_collecting_again_and_again_beside_writers_loses_nothing(workspace):
    """Writers put content that is old and unnamed already, then name it: whatever was named is there in the end."""
    contents = [f"content {number}".encode() for number in range(60)]
    for content in contents:
        workspace.blobs.put(content)
    grow_old(workspace)
    a_run(workspace, "r")
    done = threading.Event()
    failures = []

    def write():
        try:
            for number, content in enumerate(contents):
                artifact = Artifact(path=f"f{number}", digest=workspace.blobs.put(content), size=len(content))
                workspace.runs.add_artifacts(RunId("r"), [artifact])
        except Exception as error:  # noqa: BLE001 - told at the end
            failures.append(error)
        finally:
            done.set()

    writer = threading.Thread(target=write)
    writer.start()
    while not done.is_set():
        collect(workspace)
    writer.join()

    assert failures == []
    run = workspace.runs.get(RunId("r"))
    assert len(run.artifacts) == 60
    assert all(workspace.blobs.get(artifact.digest) == contents[int(artifact.path[1:])] for artifact in run.artifacts)
