"""A process killed with SIGKILL while it appends with a cursor: what it was answered is there, and events and cursor agree."""

import random
import signal
import subprocess
import sys
import time

import pytest

from noria.adapters.metadata.sqlite import open_store
from noria.testing.ledger_suite import names
from noria.wire import chain

pytestmark = pytest.mark.faults
# Each append writes one effect of the row before it, and moves the cursor onto that row: as the loop's reactor does.
PROGRAM = """
import sys
from concurrent.futures import ThreadPoolExecutor
from noria.adapters.metadata.sqlite import open_store
from noria.domain.ledger import Cursor
from noria.testing.ledger_suite import a_draft
from noria.testing.runs_suite import a_point, a_run
store = open_store(sys.argv[1], project="p")
store.ledger.append([a_draft("1")])
store.runs.create(a_run())
def log():
    for step in range(1_000_000):
        store.runs.log_metrics(a_run().id, [a_point(1.0, step=step)])
ThreadPoolExecutor(1).submit(log)
for number in range(2, 1_000_000):
    store.ledger.append([a_draft(str(number))], advance=Cursor(name="loop", seq=number - 1))
    print(number, flush=True)
"""


@pytest.mark.parametrize("seed", range(6))
def test_after_a_kill_every_answered_append_is_there_and_the_cursor_agrees(tmp_path, seed):
    path = str(tmp_path / "meta.db")
    child = subprocess.Popen([sys.executable, "-c", PROGRAM, path], stdout=subprocess.PIPE, text=True)
    dice = random.Random(seed)
    printed = [child.stdout.readline() for _ in range(dice.randrange(1, 40))]
    end = time.monotonic() + dice.random() * 0.02
    while time.monotonic() < end:
        pass  # a moment that no line of the child is aligned with
    child.send_signal(signal.SIGKILL)
    child.wait()
    printed += child.stdout.read().split()
    child.stdout.close()

    store = open_store(path, project="p")
    head, entries, cursor = store.ledger.head(), store.ledger.read(limit=100_000), store.ledger.cursor("loop")
    breaks = chain.verify(store.ledger.stored(), project="p", head=head)
    steps = [point.step for point in store.series.history("a", "loss")]
    store.close()

    answered = int(printed[-1])
    assert breaks == []
    assert head.seq in (answered, answered + 1)  # the last one may be stored without its answer having been printed
    assert names(entries) == [str(number) for number in range(1, head.seq + 1)]
    assert cursor.seq == head.seq - 1
    assert steps == list(range(len(steps)))


def test_a_first_start_that_is_killed_at_any_moment_can_be_repeated(tmp_path):
    dice = random.Random(7)
    program = "import sys; from noria.adapters.metadata.sqlite import open_store; print('x', flush=True); open_store(sys.argv[1], project='p')"
    for attempt in range(8):
        path = tmp_path / f"{attempt}.db"
        child = subprocess.Popen([sys.executable, "-c", program, path], stdout=subprocess.PIPE)
        child.stdout.readline()
        end = time.monotonic() + dice.random() * 0.6
        while time.monotonic() < end and child.poll() is None:
            pass
        child.kill()
        child.wait()
        child.stdout.close()

        store = open_store(str(path), project="p")
        assert store.ledger.head() == chain.genesis("p")
        store.close()
