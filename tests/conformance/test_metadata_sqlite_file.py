"""What only a file has: other processes, other projects, earlier and later schemas, and files that are something else."""

import itertools
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from noria.adapters.metadata.sql import migrations
from noria.adapters.metadata.sql.ledger import SqlLedger
from noria.adapters.metadata.sql.metadata import make_project
from noria.adapters.metadata.sql.migrations.upgrade import upgrade
from noria.adapters.metadata.sqlite import open_store
from noria.adapters.metadata.sqlite.connection import connect
from noria.adapters.metadata.sqlite.database import Database
from noria.adapters.metadata.sqlite.open import APPLICATION_ID, open_metadata
from noria.domain.query import Query
from noria.errors import InputInvalid, NoriaError, SettingInvalid, StoreCorrupt, StoreNewer, StoreUnavailable
from noria.testing.counts_suite import a_window
from noria.testing.deployments_suite import a_deployment
from noria.testing.ledger_suite import a_draft, names
from noria.testing.models_suite import a_version
from noria.testing.runs_suite import a_point, a_run
from noria.wire import chain


@pytest.fixture
def path(tmp_path):
    return tmp_path / "meta.db"


def raw(path, *statements: str) -> list[tuple]:
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        return [row for statement in statements for row in connection.execute(statement)]
    finally:
        connection.close()


APPEND = """
import sys
from noria.adapters.metadata.sqlite import open_store
from noria.testing.ledger_suite import a_draft
store = open_store(sys.argv[1], project="p")
for number in range(25):
    store.ledger.append([a_draft(f"{sys.argv[2]}-{number}-{half}") for half in "ab"])
store.close()
"""


def test_processes_that_start_at_once_migrate_once_and_append_to_one_chain(path):
    children = [
        subprocess.Popen([sys.executable, "-c", APPEND, path, str(n)], stderr=subprocess.PIPE) for n in range(4)
    ]
    for child in children:
        _, complaint = child.communicate()
        assert child.returncode == 0, complaint.decode()

    store = open_store(str(path), project="p")
    rows = list(store.ledger.stored())
    head = store.ledger.head()
    entries = store.ledger.read(limit=1000)
    store.close()

    assert len(rows) == 200
    assert chain.verify(rows, project="p", head=head) == []
    for child in range(4):
        own = [name for name in names(entries) if name.startswith(f"{child}-")]
        assert own == [f"{child}-{number}-{half}" for number in range(25) for half in "ab"]
    # The two drafts of one append stand together, whoever else was writing.
    assert all(a[:-1] == b[:-1] for a, b in zip(names(entries)[::2], names(entries)[1::2], strict=True))


def test_what_was_written_is_there_when_the_store_is_opened_again(path):
    store = open_store(str(path), project="p")
    entry = store.ledger.append([a_draft("a")])[0]
    run = store.runs.create(a_run())
    store.close()

    again = open_store(str(path), project="p")

    assert again.ledger.get(entry.id) == entry
    assert again.runs.get(run.id) == run
    again.close()


def test_two_projects_in_one_file_do_not_see_each_other(path):
    one, two = open_store(str(path), project="one"), open_store(str(path), project="two")
    for store, value in ((one, 1.0), (two, 2.0)):
        store.ledger.append([a_draft("a")])
        store.runs.create(a_run())
        store.runs.log_metrics(a_run().id, [a_point(value)])
        store.models.register(a_version())
        store.deployments.put(a_deployment(1, weight=value))
        store.counts.put([a_window(0, rows=int(value))])
    two.ledger.append([a_draft("b")])

    assert (one.ledger.head().seq, two.ledger.head().seq) == (1, 2)
    assert (one.index.count(Query()), two.index.count(Query())) == (1, 1)
    assert [store.index.search(Query()).items[0].metrics["loss"] for store in (one, two)] == [1.0, 2.0]
    assert [store.deployments.all()[0].variants[0].weight for store in (one, two)] == [1.0, 2.0]
    assert [store.counts.windows("late", 1)[0].rows for store in (one, two)] == [1, 2]
    for store, project in ((one, "one"), (two, "two")):
        assert chain.verify(store.ledger.stored(), project=project, head=store.ledger.head()) == []
    one.close()
    assert two.models.models() == ["delay"]  # closing one leaves the other at work
    two.close()


def test_missing_folders_and_the_file_are_made_for_this_user_alone(tmp_path):
    path = tmp_path / "a" / "b" / "meta.db"

    store = open_store(str(path), project="p")
    store.ledger.append([a_draft("a")])

    assert [folder.stat().st_mode & 0o777 for folder in (path.parent, path.parent.parent)] == [0o700, 0o700]
    assert {file.stat().st_mode & 0o777 for file in path.parent.iterdir()} == {0o600}
    store.close()


def test_a_file_of_another_kind_is_refused_and_left_alone(path):
    path.write_bytes(b"a letter to somebody")

    with pytest.raises(StoreCorrupt, match="no Noria store"):
        open_store(str(path), project="p")

    assert path.read_bytes() == b"a letter to somebody"


def test_a_database_of_another_program_is_refused_and_left_alone(path):
    raw(path, "CREATE TABLE theirs (x)")
    before = path.read_bytes()

    with pytest.raises(SettingInvalid, match="no Noria store"):
        open_store(str(path), project="p")

    assert path.read_bytes() == before


def test_a_folder_and_no_path_at_all_are_refused(tmp_path):
    with pytest.raises(SettingInvalid, match="folder"):
        open_store(str(tmp_path), project="p")
    with pytest.raises(SettingInvalid, match="path"):
        open_store("", project="p")


@pytest.mark.parametrize("project", ["", " p", "p\n", "a\x00b"])
def test_a_name_that_is_none_is_refused(path, project):
    with pytest.raises(InputInvalid):
        open_store(str(path), project=project)


def test_a_file_that_was_begun_and_left_empty_is_taken_over(path):
    path.touch()

    store = open_store(str(path), project="p")

    assert store.ledger.head().seq == 0
    store.close()


def test_a_store_of_a_newer_schema_is_refused_with_both_revisions_named(path):
    open_store(str(path), project="p").close()
    raw(path, "UPDATE alembic_version SET version_num = '9999'")

    with pytest.raises(StoreNewer) as caught:
        open_store(str(path), project="p")

    assert "'9999'" in caught.value.problem
    assert f"'{migrations.NEWEST}'" in caught.value.problem
    assert raw(path, "SELECT version_num FROM alembic_version") == [("9999",)]


def test_a_store_that_is_up_to_date_is_opened_without_alembic(path):
    open_store(str(path), project="p").close()
    program = (
        "import sys; from noria.adapters.metadata.sqlite import open_store; open_store(sys.argv[1], project='p').close();"
        "print(sorted({'sqlalchemy', 'alembic', 'numpy', 'litestar'} & set(sys.modules)))"
    )

    done = subprocess.run([sys.executable, "-c", program, path], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"


def test_a_writer_that_holds_the_lock_for_too_long_makes_the_store_unavailable(path):
    store = open_metadata(str(path), project="p", patience_s=0.05)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")

    with pytest.raises(StoreUnavailable) as caught:
        store.ledger.append([a_draft("a")])
    assert caught.value.retryable
    assert store.ledger.head().seq == 0  # reading goes on meanwhile

    other.execute("ROLLBACK")
    other.close()
    assert store.ledger.append([a_draft("a")])[0].seq == 1
    store.close()


def test_a_closed_store_says_so_and_may_be_closed_again(path):
    store = open_store(str(path), project="p")
    store.close()
    store.close()

    with pytest.raises(StoreUnavailable, match="closed"):
        store.ledger.head()
    with pytest.raises(StoreUnavailable, match="closed"):
        store.ledger.append([a_draft("a")])


def test_closing_waits_for_what_was_asked_before(path):
    store = open_store(str(path), project="p")
    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(store.ledger.append, [a_draft(str(number))]) for number in range(40)]
        asked[0].result()
        store.close()
    answered = [job for job in asked if job.exception() is None]
    refused = [job.exception() for job in asked if job.exception() is not None]

    again = open_store(str(path), project="p")

    assert again.ledger.head().seq == len(answered)
    assert {type(error) for error in refused} <= {StoreUnavailable}
    again.close()


def test_a_forked_child_is_told_to_open_the_store_itself(path):
    program = """
import os, sys
from noria.adapters.metadata.sqlite import open_store
from noria.errors import StoreUnavailable
from noria.testing.ledger_suite import a_draft
store = open_store(sys.argv[1], project="p")
store.ledger.append([a_draft("parent")])
child = os.fork()
if not child:
    refused = 0
    for call in (store.ledger.head, lambda: store.ledger.append([a_draft("x")])):
        try:
            call()
        except StoreUnavailable as error:
            refused += "forked" in error.cause
    own = open_store(sys.argv[1], project="p")
    own.ledger.append([a_draft("child")])
    own.close()
    os._exit(refused)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), store.ledger.append([a_draft("after")])[0].seq)
store.close()
"""
    done = subprocess.run([sys.executable, "-c", program, path], capture_output=True, text=True, check=True)

    assert done.stdout.split() == ["2", "3"]


def test_answers_are_durable_by_setting(path):
    store = open_metadata(str(path), project="p")

    settings = store._database.write(
        lambda connection: [
            connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous")
        ]
    )

    assert settings == ["wal", 2]
    store.close()


@pytest.mark.parametrize("revision", migrations.REVISIONS[:-1])
def test_a_store_is_brought_forward_while_older_processes_write(path, revision):
    """Those of the old revision either wrote before, and it is there, or are told that the store is newer now; none writes afterwards."""
    connection = connect(path)
    connection.execute("PRAGMA journal_mode = WAL")
    upgrade(connection, application_id=APPLICATION_ID, to=revision)
    connection.close()
    old = Database(path, revision=revision)
    ledger = SqlLedger(old, "p", old.write(lambda connection: make_project(connection, "p")))
    answered: list[str] = []

    def write(writer: int) -> type[NoriaError]:
        for number in itertools.count():
            try:
                ledger.append([a_draft(f"{writer}-{number}")])
            except NoriaError as error:
                return type(error)
            answered.append(f"{writer}-{number}")
        raise AssertionError

    with ThreadPoolExecutor(4) as pool:
        writers = [pool.submit(write, n) for n in range(4)]
        while len(answered) < 100:
            pass
        new = open_store(str(path), project="p")
        ended = {writer.result() for writer in writers}

    assert ended == {StoreNewer}
    with pytest.raises(StoreNewer):
        ledger.head()
    assert set(answered) == set(names(new.ledger.read(limit=100_000)))
    assert chain.verify(new.ledger.stored(), project="p", head=new.ledger.head()) == []
    old.close()
    new.close()
