"""A process killed with SIGKILL inside a step: run again, the pipeline goes on at that step, and ends with the same results."""

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.faults
STEPS = ("load", "clean", "fit", "report")
PROGRAM = '''
"""Four steps, each of which writes its name to a file; the one named on the command line kills the process before it returns."""
import os, signal, sys
from datetime import UTC, datetime
from pathlib import Path

from noria.adapters.blobs.local import open_store as open_blobs
from noria.adapters.executors.inline import open_executor
from noria.adapters.metadata.sqlite import open_store as open_metadata
from noria.domain.ids import digest_of
from noria.pipeline.declare import pipeline, step
from noria.pipeline.run import run_pipeline

folder, victim, holder, hours = Path(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4])


def ran(name):
    with open(os.environ["RAN"], "a") as file:
        file.write(name + "\\n")
    if os.environ["VICTIM"] == name:
        os.kill(os.getpid(), signal.SIGKILL)


@step
def load(rows):
    ran("load")
    return list(range(rows))

@step
def clean(load):
    ran("clean")
    return [x for x in load if x % 3]

@step
def fit(clean):
    ran("fit")
    return sum(clean) / len(clean)

@step
def report(fit, clean):
    ran("report")
    return {"mean": fit, "rows": len(clean)}


class Time:
    def now(self):
        return datetime(2013, 1, 1, hours, tzinfo=UTC)


os.environ["RAN"], os.environ["VICTIM"] = str(folder / "ran"), victim
metadata = open_metadata(str(folder / "meta.db"), project="p")
run = run_pipeline(
    pipeline("killed", load, clean, fit, report),
    params={"rows": 10}, journal=metadata.journal, blobs=open_blobs(str(folder / "blobs")),
    executor=open_executor(workers=1), clock=Time(), holder=holder, environment=digest_of(b"e"),
)
metadata.close()
print([s.state for s in run.steps], run["report"])
'''


def start(
    folder: Path, *, victim: str = "nobody", holder: str = "worker", hours: int = 0
) -> subprocess.CompletedProcess[str]:
    program = folder / "killed_program.py"
    program.write_text(PROGRAM)
    arguments = [sys.executable, str(program), str(folder), victim, holder, str(hours)]
    return subprocess.run(arguments, capture_output=True, text=True, check=False)


def ran(folder: Path) -> list[str]:
    return (folder / "ran").read_text().split()


@pytest.mark.parametrize("victim", STEPS)
def test_after_a_kill_the_same_worker_goes_on_at_the_unfinished_step(tmp_path: Path, victim: str) -> None:
    position = STEPS.index(victim)

    killed = start(tmp_path, victim=victim)
    again = start(tmp_path)

    assert killed.returncode == -9, killed.stderr
    assert again.returncode == 0, again.stderr
    assert ran(tmp_path) == [*STEPS[: position + 1], *STEPS[position:]]
    states = ["cached"] * position + ["done"] * (4 - position)
    assert again.stdout.strip() == f"{states} {{'mean': 4.5, 'rows': 6}}"
    assert start(tmp_path).stdout.strip() == f"{['cached'] * 4} {{'mean': 4.5, 'rows': 6}}"


def test_another_worker_waits_for_the_lease_and_then_takes_over(tmp_path: Path) -> None:
    start(tmp_path, victim="fit")

    too_early = start(tmp_path, holder="another")
    later = start(tmp_path, holder="another", hours=1)

    assert "Conflict" in too_early.stderr
    assert "held by 'worker'" in too_early.stderr
    assert later.returncode == 0, later.stderr
    assert ran(tmp_path) == ["load", "clean", "fit", "fit", "report"]
