"""noria.run: what a run says of itself, runs within runs, and going on with one."""

import getpass
import os

import pytest

import noria
from noria.domain.ids import RunId
from noria.errors import AlreadyExists, Conflict, SettingInvalid


@pytest.fixture
def workspace():
    with noria.Workspace.ephemeral("sketch") as workspace:
        yield workspace


def test_a_run_says_who_ran_it_where_and_what_it_is_about(workspace):
    with noria.run("churn", workspace=workspace, tags={"team": "a"}, note="a first try", lr=0.1) as run:
        run.log(auc=0.5)

    found = workspace.runs.get(run.id)
    assert found.user == getpass.getuser()
    assert found.tags["noria.pid"] == str(os.getpid())
    assert {"noria.host", "noria.program", "noria.python", "noria.system"} <= found.tags.keys()
    assert (found.tags["team"], found.tags["noria.note"], found.params) == ("a", "a first try", {"lr": 0.1})
    assert found.code is not None
    assert found.status == "finished"


def test_a_run_within_a_run_knows_its_parent(workspace):
    with (
        noria.run("churn", workspace=workspace) as outer,
        noria.run("churn", workspace=workspace, parent=outer) as inner,
        noria.run("churn", workspace=workspace, parent=str(inner.id)) as innermost,
    ):
        pass

    assert workspace.runs.get(inner.id).parent == outer.id
    assert workspace.runs.get(innermost.id).parent == inner.id
    assert [found.id for found in noria.runs(f"tags.noria.parent = '{outer.id}'", workspace=workspace)] == [inner.id]


def test_a_run_goes_on_under_its_own_name(workspace):
    with noria.run("churn", workspace=workspace, name="mine", lr=0.1) as run:
        run.log(auc=0.5, step=1)

    with noria.run(workspace=workspace, resume=run.id, note="once more", depth=3) as again:
        again.log(auc=0.75, step=2)
        with pytest.raises(Conflict):
            again.param(lr=0.2)

    found = workspace.runs.get(RunId(run.id))
    assert (found.name, found.experiment, found.status) == ("mine", "churn", "finished")
    assert (found.params, found.tags["noria.note"]) == ({"lr": 0.1, "depth": 3}, "once more")
    assert [point.value for point in workspace.series.history(run.id, "auc")] == [0.5, 0.75]


def test_without_its_server_a_run_is_recorded_and_sent_when_the_server_is_there(tmp_path, monkeypatch):
    (tmp_path / "noria.toml").write_text('[stores]\nmetadata = "remote"\nmetadata_location = "http://127.0.0.1:9"\n')
    monkeypatch.chdir(tmp_path)

    with noria.run("churn", lr=0.1) as run:
        run.log(auc=0.5)
        run.artifact(b"abc", "x")

    assert not run.is_complete
    assert [path.name for path in (tmp_path / ".noria" / "journal").iterdir()] == [run.id]


def test_a_wrong_address_is_told_at_once(tmp_path, monkeypatch):
    (tmp_path / "noria.toml").write_text('[stores]\nmetadata = "remote"\nmetadata_location = "not an address"\n')
    monkeypatch.chdir(tmp_path)

    with pytest.raises(SettingInvalid), noria.run("churn"):
        pytest.fail("the block must not begin")


def test_an_id_is_one_runs(workspace):
    from noria.tracking.recorder import Recorder

    recorder = Recorder(
        workspace.runs, workspace.blobs, clock=workspace.clock, journal_folder=workspace.home / "journal"
    )
    with recorder.run("churn", run_id=RunId("a")):
        pass

    with pytest.raises(AlreadyExists), recorder.run("other", run_id=RunId("a")):
        pytest.fail("the block must not begin")
