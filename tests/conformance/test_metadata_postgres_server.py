"""What only a server has: other processes and projects, other programs' databases, rights, values that it cannot keep."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from msgspec.structs import replace

from noria.adapters.metadata.postgres import open_store
from noria.adapters.metadata.postgres.open import open_metadata
from noria.adapters.metadata.postgres.writer import LOCKS
from noria.adapters.metadata.sql import migrations
from noria.errors import AlreadyExists, Conflict, InputInvalid, SettingInvalid, StoreNewer, StoreUnavailable
from noria.testing.ledger_suite import a_draft, a_move, names
from noria.testing.runs_suite import NOON, a_point, a_run
from noria.wire import chain
from tests.peers.postgres import fixture, free_port

server = fixture()


@pytest.fixture
def url(server):
    with server.database("shop") as url:
        yield url


@pytest.fixture
def store(url):
    store = open_metadata(url, project="p")
    yield store
    store.close()


APPEND = """
import sys
from noria.adapters.metadata.postgres import open_store
from noria.testing.ledger_suite import a_draft
store = open_store(sys.argv[1], project="p")
for number in range(25):
    store.ledger.append([a_draft(f"{sys.argv[2]}-{number}-{half}") for half in "ab"])
store.close()
"""


def test_processes_that_start_at_once_migrate_once_and_append_to_one_chain(url, request):
    children = [subprocess.Popen([sys.executable, "-c", APPEND, url, str(n)], stderr=subprocess.PIPE) for n in range(4)]
    for child in children:
        _, complaint = child.communicate()
        assert child.returncode == 0, complaint.decode()

    store = request.getfixturevalue("store")
    rows, head, entries = list(store.ledger.stored()), store.ledger.head(), store.ledger.read(limit=1000)

    assert len(rows) == 200
    assert chain.verify(rows, project="p", head=head) == []
    for child in range(4):
        own = [name for name in names(entries) if name.startswith(f"{child}-")]
        assert own == [f"{child}-{number}-{half}" for number in range(25) for half in "ab"]
    # The two drafts of one append stand together, whoever else was writing.
    assert all(a[:-1] == b[:-1] for a, b in zip(names(entries)[::2], names(entries)[1::2], strict=True))


def test_two_projects_in_one_database_do_not_see_each_other(url):
    one, two = open_store(url, project="one"), open_store(url, project="two")
    one.ledger.append([a_draft("a")])
    one.runs.create(a_run())

    assert two.ledger.head() == chain.genesis("two")
    assert two.runs.create(replace(a_run(), name="another")).name == "another"
    assert one.runs.get(a_run().id).name == "run a"
    one.close()
    assert two.ledger.append([a_draft("a")])[0].seq == 1  # closing one leaves the other at work
    two.close()


def test_a_database_of_another_program_is_refused_and_left_alone(server, url):
    server.sql("shop", "CREATE TABLE alembic_version (version_num TEXT)", "CREATE TABLE theirs (x INT)")

    with pytest.raises(SettingInvalid, match="no Noria store"):
        open_store(url, project="p")

    assert server.sql("shop", "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == [(2,)]


def test_a_store_of_a_newer_schema_is_refused_with_both_revisions_named(server, url):
    open_store(url, project="p").close()
    server.sql("shop", "UPDATE alembic_version SET version_num = '9999'")

    with pytest.raises(StoreNewer) as caught:
        open_store(url, project="p")

    assert "'9999'" in caught.value.problem
    assert f"'{migrations.NEWEST}'" in caught.value.problem


@pytest.mark.parametrize(
    "location", ["", "meta.db", "mysql://host/db", "postgresql://host/db?colour=blue", "postgresql://["]
)
def test_what_is_no_url_of_a_database_is_refused(location):
    with pytest.raises(SettingInvalid) as caught:
        open_store(location, project="p")

    assert "postgresql://" in caught.value.remedy


def test_a_password_is_in_no_message(server, url):
    server.sql("postgres", "CREATE ROLE locked LOGIN PASSWORD 'right-one'")
    with_password = url.replace("noria@", "locked:wr0ng-one@")

    with pytest.raises(SettingInvalid, match="let this user in") as refused:
        open_store(with_password, project="p")
    with pytest.raises(SettingInvalid) as unread:
        open_store(with_password + "?colour=wr0ng-one", project="p")
    server.sql("postgres", "DROP ROLE locked")

    assert "wr0ng-one" not in f"{refused.value}{unread.value}"


def test_a_database_that_is_not_there_is_named(server):
    with pytest.raises(SettingInvalid, match=r"nowhere.*does not exist"):
        open_store(server.url("nowhere"), project="p")


def test_a_user_without_rights_is_told_which_it_lacks(server, url):
    server.sql("postgres", "CREATE ROLE guest LOGIN")
    try:
        with pytest.raises(SettingInvalid, match="right") as caught:
            open_store(url.replace("noria@", "guest@"), project="p")
    finally:
        server.sql("postgres", "DROP ROLE guest")

    assert "permission denied" in caught.value.cause


def test_a_server_that_does_not_answer_is_waited_for_and_then_named(tmp_path):
    with pytest.raises(StoreUnavailable) as caught:
        open_metadata(f"postgresql://noria@127.0.0.1:{free_port()}/shop", project="p", patience_s=0.2)

    assert caught.value.retryable
    assert "does not answer" in caught.value.problem


def test_no_connection_left_says_what_to_raise(server, url):
    open_store(url, project="p").close()
    server.sql("postgres", "CREATE ROLE few LOGIN CONNECTION LIMIT 0", "GRANT ALL ON DATABASE shop TO few")
    try:
        with pytest.raises(StoreUnavailable, match="no connection left") as caught:
            open_metadata(url.replace("noria@", "few@"), project="p", patience_s=0.1)
    finally:
        server.sql("postgres", "REVOKE ALL ON DATABASE shop FROM few", "DROP ROLE few")

    assert "max_connections" in caught.value.remedy


def test_a_database_that_only_reads_is_named(server, url):
    open_store(url, project="p").close()
    server.sql("postgres", "ALTER DATABASE shop SET default_transaction_read_only = on")

    with pytest.raises(StoreUnavailable, match="only reads"):
        open_metadata(url, project="p", patience_s=0.1)


@pytest.mark.parametrize("text", ["a\x00b", "\ud800"])
def test_text_that_postgres_cannot_keep_is_refused_and_nothing_of_it_kept(store, text):
    def work(connection):
        for name in ("before", text):
            connection.execute("INSERT INTO projects (name) VALUES (?)", (name,))

    with pytest.raises(InputInvalid, match="cannot be stored"):
        store._database.write(work)

    assert store.projects() == ["p"]


def test_a_name_too_long_for_an_index_is_refused(store):
    name = "".join(map(chr, range(0x4E00, 0x4E00 + 9000)))

    with pytest.raises(InputInvalid, match="cannot be stored"):
        store.ledger.append([a_draft(name)])

    assert store.ledger.append([a_draft("a")])[0].seq == 1


def test_an_append_that_fails_midway_disturbs_nobody_who_writes_with_it(store):
    store.ledger.append([a_draft("taken")])

    def append(number: int) -> bool:
        drafts = [a_draft(f"{number}-a"), a_move("taken") if number % 3 == 0 else a_draft(f"{number}-b")]
        try:
            store.ledger.append(drafts)
        except AlreadyExists:
            return False
        return True

    with ThreadPoolExecutor(16) as pool:
        kept = list(pool.map(append, range(90)))

    assert kept == [number % 3 != 0 for number in range(90)]
    stored = set(names(store.ledger.read(limit=1000)))
    assert stored == {"taken"} | {f"{n}-{half}" for n in range(90) if n % 3 for half in "ab"}
    assert chain.verify(store.ledger.stored(), project="p", head=store.ledger.head()) == []


def test_runs_are_logged_side_by_side_and_each_in_order(store):
    ids = [f"r{number}" for number in range(12)]
    for name in ids:
        store.runs.create(a_run(name))

    def log(name: str) -> None:
        for step in range(20):
            store.runs.log_metrics(name, [a_point(step / 2, step=step)])
            store.runs.set_tags(name, {"step": str(step)})
        store.runs.finish(name, status="finished", at=NOON)

    with ThreadPoolExecutor(12) as pool:
        list(pool.map(log, ids))

    for name in ids:
        assert [point.step for point in store.series.history(name, "loss")] == list(range(20))
        run = store.runs.get(name)
        assert (run.tags, run.metrics, run.status) == ({"step": "19"}, {"loss": 9.5}, "finished")


def test_a_run_put_into_the_trash_while_it_is_logged_keeps_what_was_answered(store):
    store.runs.create(a_run())
    answered = []

    def log() -> None:
        for step in range(10_000):
            store.runs.log_metrics("a", [a_point(1.0, step=step)])
            answered.append(step)

    with ThreadPoolExecutor(1) as pool:
        logging = pool.submit(log)
        while len(answered) < 10:
            pass
        store.runs.trash(["a"], at=NOON)
        with pytest.raises(Conflict):
            logging.result()

    assert [point.step for point in store.series.history("a", "loss")] == answered


def test_a_writer_that_hangs_is_not_waited_for_for_ever(url, server):
    store = open_metadata(url + "?options=-c%20lock_timeout%3D100ms", project="p")
    with psycopg.connect(server.url("shop")) as other:
        other.execute(f"SELECT pg_advisory_xact_lock({LOCKS}, {store._database.project})")

        with ThreadPoolExecutor(8) as pool:
            jobs = [pool.submit(store.ledger.append, [a_draft(str(number))]) for number in range(8)]
            errors = [job.exception() for job in jobs]

        assert {type(error) for error in errors} == {StoreUnavailable}
        assert "held by another" in str(errors[0])
        assert store.ledger.head().seq == 0  # reading goes on meanwhile

    assert store.ledger.append([a_draft("a")])[0].seq == 1
    store.close()


def test_many_readers_take_turns(store):
    store.ledger.append([a_draft("a")])

    with ThreadPoolExecutor(48) as pool:
        heads = list(pool.map(lambda _: store.ledger.head().seq, range(480)))

    assert heads == [1] * 480


def test_a_closed_store_says_so_and_may_be_closed_again(url):
    store = open_store(url, project="p")
    store.close()
    store.close()

    with pytest.raises(StoreUnavailable, match="closed"):
        store.ledger.head()
    with pytest.raises(StoreUnavailable, match="closed"):
        store.ledger.append([a_draft("a")])


def test_a_closed_store_leaves_no_connection_behind(server, url):
    store = open_store(url, project="p")
    store.ledger.head()
    store.close()

    # A backend ends a moment after its client has gone.
    left = "SELECT count(*) FROM pg_stat_activity WHERE datname = 'shop' AND pid <> pg_backend_pid()"
    assert any(server.sql("shop", left) == [(0,)] for _ in range(200))


def test_a_forked_child_is_told_to_open_the_store_itself(url):
    program = """
import os, sys
from noria.adapters.metadata.postgres import open_store
from noria.errors import StoreUnavailable
from noria.testing.ledger_suite import a_draft
store = open_store(sys.argv[1], project="p")
store.ledger.append([a_draft("parent")])
store.ledger.head()
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
    done = subprocess.run([sys.executable, "-c", program, url], capture_output=True, text=True, check=True)

    assert done.stdout.split() == ["2", "3"]


def test_answers_are_durable_whatever_the_databases_default_is(server, url):
    open_store(url, project="p").close()
    server.sql("postgres", "ALTER DATABASE shop SET synchronous_commit = off")
    store = open_metadata(url, project="p")

    setting = store._database.write(lambda connection: connection.execute("SHOW synchronous_commit").fetchone()[0])

    assert setting == "on"
    store.close()


def test_a_store_that_is_up_to_date_is_opened_without_alembic(url):
    open_store(url, project="p").close()
    program = (
        "import sys; from noria.adapters.metadata.postgres import open_store; open_store(sys.argv[1], project='p').close();"
        "print(sorted({'sqlalchemy', 'alembic', 'numpy', 'litestar'} & set(sys.modules)))"
    )

    done = subprocess.run([sys.executable, "-c", program, url], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"


def test_a_password_may_come_from_the_environment(server, url):
    server.sql("postgres", "CREATE ROLE locked LOGIN SUPERUSER PASSWORD 'a b%c'")
    program = "import sys; from noria.adapters.metadata.postgres import open_store; open_store(sys.argv[1], project='p').close()"

    done = subprocess.run(
        [sys.executable, "-c", program, url.replace("noria@", "locked@")],
        env={**os.environ, "PGPASSWORD": "a b%c"},
        capture_output=True,
        text=True,
        check=False,
    )
    server.sql("shop", "REASSIGN OWNED BY locked TO noria")
    server.sql("postgres", "DROP ROLE locked")

    assert done.returncode == 0, done.stderr


def test_sums_and_truths_are_numbers_as_in_sqlite(store):

    row = store._database.read(
        lambda connection: connection.execute(
            "SELECT sum(n), sum(x), count(*), ? || 'é?' FROM (SELECT CAST(? AS BIGINT) AS n, CAST(? AS DOUBLE PRECISION) AS x) s"
            " WHERE n IN (?, ?)",
            ("50%", 2**62, 0.5, True, 2**62),
        ).fetchone()
    )

    assert row == (2**62, 0.5, 1, "50%é?")
    assert type(row[0]) is int
    with pytest.raises(InputInvalid):
        store._database.read(lambda connection: connection.execute("SELECT ?", (2**63,)).fetchone())


def test_times_of_a_run_come_back_to_the_microsecond(store):
    at = NOON.replace(microsecond=123_457)

    store.runs.create(replace(a_run(), started_at=at))

    assert store.runs.get(a_run().id).started_at == at


def test_without_the_driver_it_says_what_to_install():
    program = (
        "import sys; sys.modules['psycopg'] = None\n"
        "from noria.adapters.metadata.postgres import open_store; from noria.errors import ExtraMissing\n"
        "try: open_store('postgresql:///x', project='p')\n"
        "except ExtraMissing as error: print(error.remedy)"
    )

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "pip install 'noria[postgres]'"
