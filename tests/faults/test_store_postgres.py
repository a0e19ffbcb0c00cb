"""PostgreSQL that loses connections, stops, crashes, runs out of room or has others in the way: what was answered is there, nothing is half there."""

import itertools
import random
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest
from msgspec.structs import replace

from noria.adapters.metadata.postgres import open_store
from noria.adapters.metadata.postgres.database import Database
from noria.adapters.metadata.postgres.location import parse
from noria.adapters.metadata.postgres.open import open_metadata
from noria.adapters.metadata.sql.ledger import SqlLedger
from noria.adapters.metadata.sql.metadata import make_project
from noria.adapters.metadata.sql.migrations import REVISIONS
from noria.adapters.metadata.sql.migrations.upgrade import upgrade_postgres
from noria.domain.events import ProjectCreated
from noria.domain.ledger import Cursor
from noria.errors import DiskFull, NoriaError, StoreNewer, StoreUnavailable
from noria.testing.ledger_suite import a_draft, names
from noria.testing.runs_suite import NOON, a_point, a_run
from noria.wire import chain
from tests.peers.cut import Line
from tests.peers.postgres import fixture

pytestmark = pytest.mark.faults
server = fixture(fsync=True, deadlock_timeout="50ms")
WRITERS = 8


@pytest.fixture
def url(server):
    with server.database("shop") as url:
        yield url


@pytest.fixture
def store(url):
    store = open_metadata(url, project="p")
    yield store
    store.close()


@pytest.fixture
def line(server):
    line = Line(server.port)
    yield line
    line.close()


def append_until(ledger, stop: threading.Event, writer: int) -> list[str]:
    """Append pairs until told to stop; gives what was answered."""
    answered: list[str] = []
    for number in itertools.count():
        if stop.is_set():
            return answered
        drafts = [a_draft(f"{writer}-{number}-{half}") for half in "ab"]
        ledger.append(drafts)
        answered += [draft.id for draft in drafts]
    return answered


def check(ledger, answered: list[str], *, project: str = "p") -> None:
    """All that was answered is there, in a whole chain, and every pair is whole."""
    kept = names(ledger.read(limit=1_000_000))
    assert set(answered) <= set(kept)
    assert len(kept) == len(set(kept))
    assert all(a[:-1] == b[:-1] for a, b in zip(kept[::2], kept[1::2], strict=True))
    assert chain.verify(ledger.stored(), project=project, head=ledger.head()) == []


def test_connections_killed_while_many_write_lose_nothing_and_trouble_nobody(server, store):
    stop, dice = threading.Event(), random.Random(5)
    killed = 0
    with ThreadPoolExecutor(WRITERS) as pool:
        writers = [pool.submit(append_until, store.ledger, stop, n) for n in range(WRITERS)]
        rows = 0
        while killed < 10 or rows < 100:
            rows = server.sql("shop", "SELECT count(*) FROM ledger")[0][0]
            kills = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = 'shop' AND pid <> pg_backend_pid()"
            killed += server.sql("shop", kills)[0][0]
            stop.wait(dice.random() * 0.05)
        stop.set()
        answered = [name for writer in writers for name in writer.result()]

    assert len(answered) >= rows
    check(store.ledger, answered)


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_connection_lost_in_the_middle_of_a_commit_is_asked_after(line, url, moment):
    # Making an experiment twice is an error: the store must find out what became of its COMMIT, not merely repeat it.
    open_store(url, project="p").close()
    store = open_metadata(url.replace(f":{parse_port(url)}/", f":{line.port}/"), project="p")
    store.experiments.create("first", at=NOON)

    line.cut_at(b"COMMIT", moment)
    second = store.experiments.create("second", at=NOON)
    line.cut_at(b"COMMIT", moment, times=3)
    third = store.experiments.create("third", at=NOON)

    assert line.cuts >= 4 if moment == "before" else line.cuts >= 2
    assert [store.experiments.named(name) for name in ("second", "third")] == [second, third]
    store.close()


def parse_port(url: str) -> str:
    return url.rsplit(":", 1)[1].partition("/")[0]


def test_a_stopped_server_makes_the_store_unavailable_and_started_again_it_works(server, url):
    store = open_metadata(url, project="p", patience_s=0.3)
    store.ledger.append([a_draft("a")])
    store.ledger.head()

    server.stop()
    try:
        for call in (store.ledger.head, lambda: store.ledger.append([a_draft("b")])):
            with pytest.raises(StoreUnavailable) as caught:
                call()
            assert caught.value.retryable
    finally:
        server.start()

    assert store.ledger.head().seq == 1
    assert store.ledger.append([a_draft("b")])[0].seq == 2
    store.close()


def test_writers_wait_while_the_server_restarts(server, store):
    stop = threading.Event()
    with ThreadPoolExecutor(WRITERS) as pool:
        writers = [pool.submit(append_until, store.ledger, stop, n) for n in range(WRITERS)]
        while store.ledger.head().seq < 50:
            pass
        server.stop()
        server.start()
        before = store.ledger.head().seq
        while store.ledger.head().seq < before + 50:
            pass
        stop.set()
        answered = [name for writer in writers for name in writer.result()]

    check(store.ledger, answered)


@pytest.mark.parametrize("seed", range(3))
def test_a_crash_of_the_server_loses_nothing_that_was_answered(server, url, seed):
    store = open_metadata(url, project="p", patience_s=20)
    stop = threading.Event()
    with ThreadPoolExecutor(WRITERS) as pool:
        writers = [pool.submit(append_until, store.ledger, stop, n) for n in range(WRITERS)]
        stop.wait(0.2 + random.Random(seed).random() * 0.3)
        server.stop(signal.SIGQUIT)  # no checkpoint, no goodbye: the next start recovers from the log
        server.start()
        stop.wait(0.1)
        stop.set()
        answered = [name for writer in writers for name in writer.result()]

    assert answered
    check(store.ledger, answered)
    store.close()


def test_a_deadlock_with_somebody_else_is_run_again(server, store):
    store.ledger.append([a_draft("a")], advance=Cursor(name="reader", seq=1))
    waiting, runs = threading.Event(), []

    def work(connection):
        runs.append(1)
        connection.execute("UPDATE cursors SET seq = seq WHERE name = ?", ("reader",))
        waiting.set()
        connection.execute("UPDATE heads SET seq = seq WHERE seq > ?", (0,))

    with psycopg.connect(server.url("shop")) as other, ThreadPoolExecutor(1) as pool:
        other.execute(
            "SET deadlock_timeout = '20s'"
        )  # the store's connection notices first, and is the one that gives way
        other.execute("UPDATE heads SET seq = seq")
        written = pool.submit(store._database.write, work)
        waiting.wait()
        other.execute("UPDATE cursors SET seq = seq")
        other.commit()
        written.result()

    assert len(runs) >= 2


def test_a_serialization_failure_is_run_again_for_all_who_wrote_together(store):
    runs = []

    def fails_once(connection):
        runs.append(1)
        connection.execute("INSERT INTO projects (name) VALUES (?)", ("half",))
        if len(runs) == 1:
            connection.execute("DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '40001'; END $$")

    with ThreadPoolExecutor(9) as pool:
        jobs = [pool.submit(store._database.write, fails_once)]
        jobs += [pool.submit(store.ledger.append, [a_draft(str(n))]) for n in range(8)]
        for job in jobs:
            job.result()

    assert len(runs) == 2
    assert sorted(names(store.ledger.read())) == [str(n) for n in range(8)]
    assert store.projects() == ["half", "p"]


def test_a_failure_that_does_not_pass_is_told_when_patience_ends(url):
    store = open_metadata(url, project="p", patience_s=0.3)

    def work(connection):
        connection.execute("DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '40001'; END $$")

    with pytest.raises(StoreUnavailable):
        store._database.write(work)

    assert store.ledger.append([a_draft("a")])[0].seq == 1
    store.close()


def test_a_full_disk_keeps_nothing_of_what_did_not_fit_and_all_that_was_there(server, tmp_path):
    place = Path(server.folder) / "small"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size=14m,uid={server.user.pw_uid},mode=700", "tmpfs", str(place)],
        check=False,
        capture_output=True,
    )
    if mounted.returncode:
        pytest.skip("mounting is not allowed here")
    try:
        server.sql("postgres", f"CREATE TABLESPACE small LOCATION '{place}'", "CREATE DATABASE small TABLESPACE small")
        store = open_store(server.url("small"), project="p")
        answered: list[str] = []

        def fill() -> None:
            for number in itertools.count():
                bulk = random.Random(number).randbytes(40_000).hex()  # nothing that compresses
                event = ProjectCreated(project=bulk, noria_version="1")
                store.ledger.append([a_draft(f"{number}"), replace(a_draft(f"{number}-large"), event=event)])
                answered.append(f"{number}")

        with pytest.raises(DiskFull) as caught:
            fill()
        kept = names(store.ledger.read(limit=100_000))
        whole = chain.verify(store.ledger.stored(), project="p", head=store.ledger.head())
        store.close()

        assert caught.value.retryable
        assert kept[::2] == answered
        assert whole == []
    finally:
        server.sql("postgres", "DROP DATABASE IF EXISTS small WITH (FORCE)", "DROP TABLESPACE IF EXISTS small")
        subprocess.run(["umount", "-l", str(place)], check=False)


@pytest.mark.parametrize("revision", REVISIONS[:-1])
def test_a_store_is_brought_forward_while_older_servers_write(url, revision):
    """Those of the old revision either wrote before, and it is there, or are told that the store is newer now; none writes afterwards."""
    with psycopg.connect(url, autocommit=True) as connection:
        upgrade_postgres(connection, lock=1, still_ours=lambda: None, to=revision)
    old = Database(parse(url), project=1, revision=revision)
    old.write(lambda connection: make_project(connection, "p"))
    ledger = SqlLedger(old, "p", 1)
    answered: list[str] = []

    def write(writer: int) -> type[NoriaError]:
        for number in itertools.count():
            drafts = [a_draft(f"{writer}-{number}-{half}") for half in "ab"]
            try:
                ledger.append(drafts)
            except NoriaError as error:
                return type(error)
            answered.extend(draft.id for draft in drafts)
        raise AssertionError

    with ThreadPoolExecutor(WRITERS) as pool:
        writers = [pool.submit(write, n) for n in range(WRITERS)]
        while len(answered) < 100:
            pass
        new = open_store(url, project="p")
        ended = {writer.result() for writer in writers}

    assert ended == {StoreNewer}
    with pytest.raises(StoreNewer):
        ledger.head()
    check(new.ledger, answered)
    old.close()
    new.close()


KILLED = """
import sys
from concurrent.futures import ThreadPoolExecutor
from noria.adapters.metadata.postgres import open_store
from noria.domain.events import ProjectCreated
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


@pytest.mark.parametrize("seed", range(4))
def test_after_a_kill_of_the_writer_every_answered_append_is_there_and_the_cursor_agrees(url, seed):
    child = subprocess.Popen([sys.executable, "-c", KILLED, url], stdout=subprocess.PIPE, text=True)
    dice = random.Random(seed)
    printed = [child.stdout.readline() for _ in range(dice.randrange(1, 40))]
    end = time.monotonic() + dice.random() * 0.02
    while time.monotonic() < end:
        pass  # a moment that no line of the child is aligned with
    child.send_signal(signal.SIGKILL)
    child.wait()
    printed += child.stdout.read().split()
    child.stdout.close()

    store = open_store(url, project="p")
    store.ledger.append(
        [], advance=Cursor(name="other", seq=0)
    )  # waits for a transaction that the server still works on
    head, cursor = store.ledger.head(), store.ledger.cursor("loop")
    breaks = chain.verify(store.ledger.stored(), project="p", head=head)
    steps = [point.step for point in store.series.history(a_run().id, a_point(1.0).key)]
    store.close()

    answered = int(printed[-1])
    assert breaks == []
    assert head.seq in (answered, answered + 1)  # the last one may be stored without its answer having been printed
    assert cursor.seq == head.seq - 1
    assert steps == list(range(len(steps)))
