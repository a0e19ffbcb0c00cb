"""Stores of every earlier schema, on both databases: brought forward, they hold what they held, and their tables are those of a new store.

store_0001.json is what a Noria of that time wrote (tables and rows, bytes in hex).
"""

import json
import math
import os
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine

from noria.adapters.metadata import postgres, sqlite
from noria.adapters.metadata.sql import migrations, point_tables, registry_tables, run_tables
from noria.adapters.metadata.sql.migrations.upgrade import upgrade, upgrade_postgres
from noria.adapters.metadata.sql.schema import METADATA
from noria.adapters.metadata.sqlite.connection import connect
from noria.adapters.metadata.sqlite.open import APPLICATION_ID
from noria.domain.ids import Digest, RunId
from noria.domain.query import Query
from noria.testing.counts_suite import a_window
from noria.testing.deployments_suite import a_deployment
from noria.testing.journal_suite import OUTPUT
from noria.testing.ledger_suite import a_draft
from noria.testing.runs_suite import NOON, a_run
from noria.wire import chain
from tests.peers.postgres import fixture

server = fixture()
TABLES = (point_tables, registry_tables, run_tables)  # imported for what they add to METADATA
OLD = json.loads(Path(__file__).with_name("store_0001.json").read_text(encoding="utf-8"))
EARLIER = migrations.REVISIONS[:-1]


class InSqlite:
    """A store file, as an older Noria left it."""

    def __init__(self, folder: Path) -> None:
        self.location = str(folder / "meta.db")
        self.engine = f"sqlite:///{self.location}"

    def migrate(self, to: str) -> None:
        connection = connect(Path(self.location))
        upgrade(connection, application_id=APPLICATION_ID, to=to)
        connection.close()

    def load(self) -> None:
        connection = connect(Path(self.location))
        for table, columns, rows in old_rows():
            connection.copy(table, columns, rows)
        connection.close()

    def open(self, project: str):
        return sqlite.open_store(self.location, project=project)


class InPostgres:
    """A database, as an older Noria left it."""

    def __init__(self, url: str) -> None:
        self.location = url
        self.engine = url.replace("postgresql://", "postgresql+psycopg://")

    def migrate(self, to: str) -> None:
        with psycopg.connect(self.location, autocommit=True) as connection:
            there = connection.execute("SELECT to_regclass('alembic_version')").fetchone()[0]
            upgrade_postgres(connection, lock=1, still_ours=lambda: there, to=to)

    def load(self) -> None:
        with psycopg.connect(self.location) as connection:
            for table, columns, rows in old_rows():
                names = ", ".join(f'"{column}"' for column in columns)
                marks = ", ".join(["%s"] * len(columns))
                connection.cursor().executemany(f"INSERT INTO {table} ({names}) VALUES ({marks})", rows)
            for table, key in (("projects", "id"), ("runs", "number"), ("series", "id"), ("alias_moves", "ordinal")):
                connection.execute(
                    f"SELECT setval(pg_get_serial_sequence('{table}', '{key}'), (SELECT max({key}) FROM {table}))"
                )

    def open(self, project: str):
        return postgres.open_store(self.location, project=project)


def old_rows():
    for table, given in OLD.items():
        rows = [[bytes.fromhex(v["bytes"]) if isinstance(v, dict) else v for v in row] for row in given["rows"]]
        yield table, given["columns"], rows


@pytest.fixture(params=["sqlite", "postgres"])
def store(request, tmp_path):
    if request.param == "sqlite":
        yield InSqlite(tmp_path)
        return
    with request.getfixturevalue("server").database("migrated") as url:
        yield InPostgres(url)


def differences(store) -> list[object]:
    """Between a store's tables and the models of them."""
    engine = create_engine(store.engine)
    try:
        with engine.connect() as connection:
            context = MigrationContext.configure(connection, opts={"compare_type": True})
            found = compare_metadata(context, METADATA)
    finally:
        engine.dispose()
    if engine.dialect.name == "sqlite":  # where old Alembics look for identities, which SQLite has none of
        found = [
            one for one in found if not (isinstance(one, list) and {part[0] for part in one} == {"modify_default"})
        ]
    return found


def test_the_known_revisions_are_those_that_are_shipped():
    config = Config()
    config.set_main_option("script_location", os.path.dirname(migrations.__file__))
    shipped = [script.revision for script in ScriptDirectory.from_config(config).walk_revisions()]

    assert tuple(reversed(shipped)) == migrations.REVISIONS


def test_the_migrations_lead_to_the_models_of_the_tables(store):
    store.open("p").close()

    assert differences(store) == []


def test_text_is_sorted_by_code_point_in_postgres_too(server):
    with server.database("sorted") as url:
        postgres.open_store(url, project="p").close()

        other = server.sql(
            "sorted",
            "SELECT c.relname, a.attname FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_collation o ON"
            " o.oid = a.attcollation WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND o.collname <> 'C'",
        )

    assert other == [("alembic_version", "version_num")]


@pytest.mark.parametrize("revision", EARLIER)
def test_an_empty_store_of_an_earlier_revision_becomes_as_a_new_one(store, revision):
    store.migrate(revision)

    opened = store.open("p")

    assert opened.ledger.append([a_draft("a")])[0].seq == 1
    assert opened.runs.create(a_run()).id == "a"
    opened.close()
    assert differences(store) == []


@pytest.mark.parametrize("revision", EARLIER)
@pytest.mark.parametrize("project", ["flights", "other"])
def test_what_an_earlier_store_held_is_held_after_it_was_brought_forward(store, revision, project):
    store.migrate("0001")
    store.load()
    store.migrate(revision)

    opened = store.open(project)

    try:
        check_decisions(opened, project)
        check_runs(opened)
        check_models(opened)
    finally:
        opened.close()
    assert differences(store) == []


def check_decisions(opened, project):
    assert chain.verify(opened.ledger.stored(), project=project, head=opened.ledger.head()) == []
    assert opened.ledger.head().seq == 3
    assert opened.ledger.cursor("loop").seq == 2
    assert [entry.seq for entry in opened.ledger.append([a_draft("d")])] == [4]
    assert opened.deployments.history("late") == [a_deployment(1, weight=1.0), a_deployment(2, weight=2.0)]
    assert opened.journal.last_done("train").output == OUTPUT
    assert opened.counts.windows("late", 1) == [a_window(0), a_window(1)]


def check_runs(opened):
    rich = opened.runs.get(RunId("rich"))
    assert rich.params == {"rate": 0.1, "depth": 3, "whole": 1.0, "on": True, "name": "ü" * 80, "none": None}
    assert [type(value) for value in rich.params.values()] == [float, int, float, bool, str, type(None)]
    assert (rich.tags["who"], rich.tags["long"], rich.seed) == ("me", "x" * 300, 2**63)
    assert rich.code is not None
    assert (rich.code.commit, rich.datasets, rich.cause) == ("abc", (Digest("blake3:2"),), "e")
    assert {artifact.digest for artifact in rich.artifacts} >= {Digest("blake3:1")}

    points = opened.series.history(RunId("rich"), "loss")
    values = [(point.step, repr(point.value)) for point in points]
    assert values == [
        (0, "1.0"),
        (1, "nan"),
        (1, "2.0"),
        (2, "inf"),
        (3, "-inf"),
        (4, "-0.0"),
        (5, "0.0"),
        (6, "1e-300"),
    ]
    assert points[-1].at == NOON + timedelta(seconds=6)
    assert rich.metrics == {"loss": 1e-300, "odd key ü": 2.5}
    series = opened.series.history(RunId("r0"), "loss")
    assert [(point.step, point.value) for point in series] == [(n, math.sin(n)) for n in range(300)]

    found = opened.index.search(Query()).items
    assert {(run.id, run.experiment, run.status) for run in found} == {
        ("rich", "trees", "running"),
        ("r0", "trees", "finished"),
        ("r1", "rows", "failed"),
        ("r2", "trees", "running"),
    }
    assert opened.runs.get(RunId("r1")).error == "out of memory"
    assert opened.runs.get(RunId("r1")).parent == "rich"
    assert {experiment.name for experiment in opened.experiments.search(Query()).items} == {"trees", "rows"}


def check_models(opened):
    assert opened.models.models() == ["delay", "other"]
    assert [version.number for version in opened.models.versions("delay")] == [1, 2]
    assert opened.models.get("delay", 2).metrics == {"auc": 0.7, "nan": math.inf}
    assert opened.models.aliases("delay") == {"champion": 2, "previous": 1}
    assert [(move.number, move.previous) for move in opened.models.alias_history("delay", "champion")] == [
        (1, None),
        (2, 1),
    ]
    assert opened.models.next_number("delay") == 3
    assert opened.catalog.get("delay").name == "delay"
