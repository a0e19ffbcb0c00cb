"""A process killed with SIGKILL while it takes in tables, at whatever moment: every version that is there is whole."""

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from noria.adapters.tables.parquet import open_store
from noria.testing.tables_suite import a_table

pytestmark = pytest.mark.faults
PROGRAM = """
import sys
from noria.adapters.tables.parquet import open_store
from noria.testing.tables_suite import AT, SCHEMA, a_table
store = open_store(sys.argv[1])
for n in range(1, 100_000):
    store.write('flights', a_table(n), schema=SCHEMA, at=AT)
    print(n, flush=True)
"""


@pytest.mark.parametrize("seed", range(4))
def test_after_a_kill_every_answered_version_is_whole(tmp_path: Path, seed: int) -> None:
    child = subprocess.Popen([sys.executable, "-c", PROGRAM, tmp_path], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    for _ in range(10):
        child.stdout.readline()
    end = time.monotonic() + random.Random(seed).random() * 0.05
    while time.monotonic() < end:
        pass  # a moment that no line of the child is aligned with
    child.send_signal(signal.SIGKILL)
    answered = 10 + len(child.stdout.read().split())
    child.wait()
    child.stdout.close()

    store = open_store(str(tmp_path))

    versions = store.versions("flights")
    assert len(versions) in (answered, answered + 1)  # the last may be stored without its answer having been read
    assert [v.number for v in versions] == list(range(1, len(versions) + 1))
    for version in versions:
        assert store.read(version.digest).equals(a_table(version.number), null_equal=True)
    assert not list(tmp_path.rglob(".new-*"))
