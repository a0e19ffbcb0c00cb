"""Control planes that are killed one after the other while their clocks jump: one leads at a time, soon another, and each due time fires once."""

import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

import noria
from noria.adapters.metadata.sqlite import open_store
from noria.domain import events as e
from noria.ports.ledger import Ledger
from tests.cli.test_up import answer, free_ports, start
from tests.faults.lead import EPOCH, reactor

pytestmark = [pytest.mark.faults, pytest.mark.timeout(300)]
ROOT = Path(__file__).resolve().parents[2]
DEADLINE_S = 90.0
"""Only a test that failed waits for so long."""


def until(ledger: Ledger, kind: str, wanted: Any) -> Any:
    """The newest event of a kind, as soon as it is wanted."""
    again, end = threading.Event(), time.monotonic() + DEADLINE_S
    while time.monotonic() < end:
        newest = ledger.latest(limit=1, kinds=(kind,))
        if newest and wanted(newest[0]):
            return newest[0]
        again.wait(0.02)
    raise AssertionError(f"no such {kind} within {DEADLINE_S:g} s")


class Planes(ExitStack):
    """Processes by name over one store."""

    def __init__(self, store: Path, *, lease_s: float) -> None:
        super().__init__()
        self._store, self._lease_s, self._began = store, lease_s, time.time()
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self._looking: set[str] = set()

    def begin(self) -> None:
        number = len(self.processes)
        program = [sys.executable, "-m", "tests.faults.lead", str(self._store), f"plane{number}"]
        process = subprocess.Popen(
            [*program, str(self._lease_s), str(number), str(self._began)], cwd=ROOT, stdout=subprocess.PIPE
        )
        self.processes[f"plane{number}"] = process
        self.callback(process.communicate)
        self.callback(process.kill)

    def wait_for(self, name: str) -> None:
        """Until a process has looked at the lease for the first time."""
        stdout = self.processes[name].stdout
        assert stdout is not None
        if name not in self._looking:
            assert stdout.readline() == b"looking\n"
            self._looking.add(name)


@pytest.mark.parametrize(
    ("kills", "lease_s"), [(1, 0.4), pytest.param(8, 1.0, marks=[pytest.mark.slow, pytest.mark.timeout(900)])]
)
def test_leaders_that_are_killed_are_replaced_and_nothing_fires_twice_or_never(
    tmp_path: Path, kills: int, lease_s: float
) -> None:
    store = tmp_path / "meta.db"
    metadata = open_store(str(store), project="p")
    reactor(metadata.ledger, Far(EPOCH - timedelta(days=1))).tick()  # the rule is declared before any of their clocks
    gaps = []
    with Planes(store, lease_s=lease_s) as planes:
        planes.begin()
        planes.begin()
        elected = until(metadata.ledger, "LeaderElected", lambda _: True)
        for _ in range(kills):
            standby = [n for n, p in planes.processes.items() if p.poll() is None and n != elected.event.holder]
            waiting_for = elected.event.token + 1
            until(metadata.ledger, "TriggerFired", lambda entry, after=elected.seq: entry.seq > after)
            assert standby
            for name in standby:
                planes.wait_for(name)
            os.kill(planes.processes[elected.event.holder].pid, signal.SIGKILL)
            killed_at = datetime.now(UTC)
            planes.begin()
            elected = until(metadata.ledger, "LeaderElected", lambda x, token=waiting_for: x.event.token >= token)
            gaps.append((elected.recorded_at - killed_at).total_seconds())
        until(metadata.ledger, "TriggerFired", lambda entry: entry.seq > elected.seq)

    print(f"failover in lease times: {[round(gap / lease_s, 2) for gap in gaps]}")
    leaders = [x.event for x in metadata.ledger.read(limit=100_000, kinds=("LeaderElected",))]
    fired = [x.event.firing.due for x in metadata.ledger.read(limit=100_000, kinds=("TriggerFired",))]
    reactor(metadata.ledger, Far(max(fired) + timedelta(hours=1))).tick()
    fired = [x.event.firing.due for x in metadata.ledger.read(limit=100_000, kinds=("TriggerFired",))]
    metadata.close()

    assert all(later.token > earlier.token for earlier, later in pairwise(leaders))
    assert len(fired) == len(set(fired)), "twice"
    assert {b - a for a, b in pairwise(sorted(fired))} == {timedelta(minutes=20)}, "never"


class Far:
    """A clock that stands."""

    def __init__(self, at: datetime) -> None:
        self._at = at

    def now(self) -> datetime:
        return self._at


PIPELINE = """
import noria

recipe = noria.Recipe(
    deployment="churn", model="churn", base="blake3:0", schema=noria.Schema(columns=()), features=(), candidates={}, gates=()
)
"""


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_of_two_noria_up_on_one_project_one_leads_and_the_other_takes_over(tmp_path: Path) -> None:
    first, second = free_ports(2)
    toml = 'project = "small"\nrecipe = "pipeline.py:recipe"\ntick_s = 3600\nlease_s = 1.0\n'
    (tmp_path / "noria.toml").write_text(toml, encoding="utf-8")
    (tmp_path / "pipeline.py").write_text(PIPELINE, encoding="utf-8")
    with ExitStack() as stack:
        ups = {}
        for port in (first, second):
            up = start(tmp_path, "--no-worker", "--port", str(port))
            stack.callback(up.communicate)
            stack.callback(up.kill)
            answer(f"http://127.0.0.1:{port}/health", up, seconds=3 * DEADLINE_S)
            ups[up.pid] = up
        workspace = stack.enter_context(noria.Workspace.open(tmp_path))
        leader = until(workspace.ledger, "LeaderElected", lambda _: True)
        pid = int(leader.event.holder.split(":")[1])
        ups.pop(pid).kill()
        taken = until(workspace.ledger, "LeaderElected", lambda x: x.event.token > leader.event.token)
        (other,) = ups.values()
        assert int(taken.event.holder.split(":")[1]) == other.pid
        other.send_signal(signal.SIGTERM)
        other.wait(30)
        lease = workspace.leases.find("loop")

    assert lease is not None
    assert lease.is_free, "who leaves in order gives the lease back"
    assert isinstance(taken.event, e.LeaderElected)
    assert "no sign of life" in taken.event.reason
