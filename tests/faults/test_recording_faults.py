"""What may befall a training that records through a server: the server away, kill -9 of either, two syncs at once, a full disk."""

import json
import os
import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from noria.adapters.metadata import remote
from noria.cli.main import main
from noria.domain.ids import RunId
from noria.domain.query import Query
from noria.domain.run import Run
from tests.faults.record_server import RecordServer

pytestmark = pytest.mark.faults

TRAINING = """
import os, sys
import noria

run_id, steps, kill_at = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
with noria.run("churn", resume=run_id) if os.environ.get("RESUME") else noria.run("churn", lr=0.1, name=run_id) as run:
    print(run.id, flush=True)
    run.note("a training")
    run.dataset("flights", digest="d1", context="training")
    for step in range(steps):
        run.log(loss=1 / (step + 1), auc=step / steps, step=step)
        print(step, flush=True)
        if os.environ.get("WAIT") and step == steps // 2:
            sys.stdin.readline()
        if step == kill_at:
            os.kill(os.getpid(), 9)
    run.artifact(b"weights", "model/weights.bin")
print("lost", run.lost, "complete", run.is_complete, flush=True)
"""


class Project:
    """A folder whose stores are a server's, and trainings in processes of their own."""

    def __init__(self, folder: Path, url: str, *, home: Path | None = None) -> None:
        self.folder, self.url = folder, url
        folder.mkdir(parents=True)
        stores = f'metadata = "remote"\nmetadata_location = "{url}"\nblobs = "remote"\nblobs_location = "{url}"\n'
        (folder / "noria.toml").write_text(f'project = "default"\n[stores]\n{stores}')
        self.home = home or folder / ".noria"

    def start(self, steps: int, *, kill_at: int = -1, resume: str = "", wait: bool = False) -> subprocess.Popen[str]:
        env = {**os.environ, "NORIA_HOME": str(self.home), "RESUME": resume, "WAIT": "1" if wait else ""}
        command = [sys.executable, "-c", TRAINING, resume or "run", str(steps), str(kill_at)]
        return subprocess.Popen(
            command,
            cwd=self.folder,
            env=env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def train(self, steps: int, *, kill_at: int = -1, resume: str = "") -> tuple[int, list[str], str]:
        """Exit code, what it printed, and its warnings."""
        process = self.start(steps, kill_at=kill_at, resume=resume)
        out, err = process.communicate(timeout=100)
        return process.returncode, out.split("\n"), err

    def sync(self) -> subprocess.Popen[str]:
        env = {**os.environ, "NORIA_HOME": str(self.home)}
        command = [sys.executable, "-m", "noria.cli.main", "sync", "--json"]
        return subprocess.Popen(
            command, cwd=self.folder, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def synced(self) -> dict:
        return json.loads(self.sync().communicate(timeout=100)[0])


def check(server: RecordServer, run_id: str, steps: int, *, status: str = "finished") -> None:
    """The run is in the server with every point, each once."""
    store = remote.open_store(server.url, project="default")
    try:
        run = store.runs.get(RunId(run_id))
        assert (run.status, run.experiment, run.params) == (status, "churn", {"lr": 0.1})
        assert [use.name for use in run.inputs] == ["flights"]
        assert run.tags["noria.note"] == "a training"
        for key in ("loss", "auc"):
            history = store.series.history(run.id, key)
            assert [point.step for point in history] == list(range(steps))
        assert history[-1].value == (steps - 1) / steps or status == "running"
        if status == "finished":
            assert [file.path for file in run.artifacts] == ["model/weights.bin"]
    finally:
        store.close()


@pytest.fixture
def server(tmp_path):
    server = RecordServer(tmp_path / "server" / ".noria")
    yield server
    server.stop()


def test_a_server_that_is_away_for_a_whole_training_gets_it_by_sync(tmp_path, server):
    project = Project(tmp_path / "client", server.url)

    code, printed, warnings = project.train(500)
    assert code == 0, warnings
    assert "complete False" in printed[-2]
    assert "goes on without its store" in warnings
    assert project.synced()["error"]["retryable"]

    server.start()
    done = project.synced()
    assert [(each["points"], each["has_ended"], each["refused"]) for each in done["runs"]] == [(1000, True, [])]
    check(server, printed[0], 500)
    assert project.synced() == {"runs": [], "waiting": []}


@pytest.mark.parametrize("kill_at", [0, 17, 1500, *(pytest.param(n, marks=pytest.mark.slow) for n in (1, 400))])
@pytest.mark.parametrize("is_up", [True, False], ids=["up", "away"])
def test_a_training_that_is_killed_loses_no_point(tmp_path, server, kill_at, is_up):
    project = Project(tmp_path / "client", server.url)
    if is_up:
        server.start()

    code, printed, _ = project.train(2000, kill_at=kill_at)
    assert code == -signal.SIGKILL
    if not is_up:
        server.start()
    done = project.synced()

    assert [each["has_ended"] for each in done["runs"]] == [False]
    check(server, printed[0], kill_at + 1, status="running")
    assert project.synced()["runs"] == []


def test_a_killed_training_is_resumed_and_its_journal_goes_first(tmp_path, server):
    project = Project(tmp_path / "client", server.url)
    server.start()
    _, printed, _ = project.train(100, kill_at=50)

    code, _, warnings = project.train(100, resume=printed[0])

    assert code == 0, warnings
    # What the killed process measured at steps 0 to 50 stands beside what the second one measured there.
    store = remote.open_store(server.url, project="default")
    run = store.runs.get(RunId(printed[0]))
    steps = [point.step for point in store.series.history(run.id, "loss")]
    store.close()
    assert run.status == "finished"
    assert steps == sorted([*range(100), *range(51)])


def test_a_server_that_dies_and_comes_back_during_a_training_misses_nothing(tmp_path, server):
    project = Project(tmp_path / "client", server.url)
    server.start()
    process = project.start(400, wait=True)
    while process.stdout.readline().strip() != "150":
        pass
    server.kill()
    while process.stdout.readline().strip() != "200":
        pass
    server.start()
    _, warnings = process.communicate("go on\n", timeout=100)

    assert process.returncode == 0, warnings
    project.synced()
    store = remote.open_store(server.url, project="default")
    (run_id,) = [run.id for run in store.index.search(Query(life="all")).items]
    store.close()
    check(server, run_id, 400)


def test_two_syncs_at_once_send_each_run_once(tmp_path, server):
    project = Project(tmp_path / "client", server.url)
    runs = [project.train(50)[1][0] for _ in range(3)]
    server.start()

    syncs = [project.sync() for _ in range(3)]
    answers = [json.loads(each.communicate(timeout=100)[0]) for each in syncs]

    sent = sorted(each["run_id"] for answer in answers for each in answer["runs"])
    assert sent == sorted(runs)
    for run_id in runs:
        check(server, run_id, 50)


def test_a_full_disk_of_the_client_stops_nothing_while_the_server_is_there(tmp_path, server, small_disk):
    project = Project(tmp_path / "client", server.url, home=small_disk / ".noria")
    _fill(small_disk)
    server.start()

    code, printed, warnings = project.train(300)

    assert code == 0, warnings
    assert printed[-2] == "lost 0 complete True"
    check(server, printed[0], 300)


def test_a_full_disk_and_no_server_stop_no_training_and_the_loss_is_told(tmp_path, server, small_disk):
    project = Project(tmp_path / "client", server.url, home=small_disk / ".noria")
    _fill(small_disk)

    code, printed, warnings = project.train(300)

    assert code == 0, warnings
    assert printed[-2].startswith("lost 30")
    assert "are lost" in warnings


def test_sync_says_what_was_refused(tmp_path, server, monkeypatch, capsys):
    project = Project(tmp_path / "client", server.url)
    _, printed, _ = project.train(10)
    server.start()
    store = remote.open_store(server.url, project="default")
    noon = datetime(2013, 3, 1, 12, tzinfo=UTC)
    store.runs.create(Run(id=RunId(printed[0]), experiment="other", name="x", status="running", started_at=noon))
    store.close()
    monkeypatch.chdir(project.folder)

    assert main(["sync"]) == 3
    said = capsys.readouterr().out
    assert "refused" in said
    assert printed[0] in said
    assert main(["sync"]) == 0
    assert "nothing waits" in capsys.readouterr().out


def test_sync_can_only_look(tmp_path, server, monkeypatch, capsys):
    project = Project(tmp_path / "client", server.url)
    _, printed, _ = project.train(10)
    monkeypatch.chdir(project.folder)

    assert main(["sync", "--dry-run", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"runs": [], "waiting": [printed[0]]}


def _fill(disk: Path) -> None:
    """Leave no room for a journal's segment."""
    if os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize > 4 << 20:
        pytest.skip("no small disk can be mounted here")
    with open(disk / "filler", "wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 4096)
        except OSError:
            pass
