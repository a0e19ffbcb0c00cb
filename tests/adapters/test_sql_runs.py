"""What only the SQL of runs has: rows that come and go, a page's cost in statements, and values that must come back as they were."""

import math
from dataclasses import dataclass, field
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from noria.adapters.metadata.sql import run_rows
from noria.adapters.metadata.sql.run_index import SqlRunIndex
from noria.adapters.metadata.sqlite import open_store
from noria.domain.experiment import Experiment
from noria.domain.ids import Digest, ExperimentId, RunId, TrainedModelId
from noria.domain.query import Comparison, Field, Query
from noria.domain.run import Artifact, DatasetUse, Metric, ModelLink, Run, Subject
from noria.domain.trained import TrainedModel
from noria.testing.runs_suite import NOON, a_run
from noria.wire.nouns import fingerprint

KEPT = {"alembic_version", "projects", "experiment_numbers", "experiments_gone", "feed_heads", "changes"}
"""Tables that know of what was forgotten, or have nothing to do with it."""


@pytest.fixture
def store(tmp_path):
    store = open_store(str(tmp_path / "meta.db"), project="p")
    yield store
    store.close()


@dataclass
class Counting:
    """A database that counts the statements of those who read."""

    database: object
    statements: list[str] = field(default_factory=list)

    @property
    def dialect(self):
        return self.database.dialect

    def read(self, query):
        return self.database.read(lambda connection: query(_Counted(connection, self.statements)))

    def write(self, work):
        return self.database.write(work)


@dataclass
class _Counted:
    connection: object
    statements: list[str]

    def execute(self, sql, values=()):
        self.statements.append(sql)
        return self.connection.execute(sql, values)


def a_full_run(name: str, *, model: str, experiment: str = "trees") -> Run:
    return replace(
        a_run(name, experiment=experiment),
        params={"depth": 3},
        tags={"who": "me"},
        metrics={"auc": 0.5},
        artifacts=(Artifact(path="model/a.onnx", digest=Digest("blake3:1"), size=1),),
        inputs=(DatasetUse(name="flights", digest="d", tags={"context": "training"}),),
        models_out=(ModelLink(model_id=TrainedModelId(model)),),
    )


def a_model(name: str, experiment: Experiment) -> TrainedModel:
    return TrainedModel(
        id=TrainedModelId(name),
        experiment_id=experiment.id,
        name=name,
        created_at=NOON,
        updated_at=NOON,
        params={"depth": "3"},
        tags={"who": "me"},
    )


def fill(store, name: str, *, experiment: str) -> None:
    """A run with everything that a run can have, and a trained model that it measured."""
    store.runs.create(a_full_run(name, model=f"m-{name}", experiment=experiment))
    model = store.trained.create(a_model(f"m-{name}", store.experiments.named(experiment)))
    points = [Metric(key="auc", value=step / 7, step=step, at=NOON) for step in range(400)]
    measured = Metric(key="f1", value=0.5, at=NOON, subject=Subject(model_id=model.id, dataset="flights"))
    store.runs.log_metrics(RunId(name), [*points, measured])
    root = store.runs.get(RunId(name)).artifact_root
    files = [Artifact(path=f"{folder}/f", digest=Digest("blake3:2"), size=2) for folder in (model.artifact_root, root)]
    store.artifacts.put(files)


def rows(store) -> dict[str, int]:
    """How many rows each table has."""

    def query(connection):
        tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        return {name: connection.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0] for (name,) in tables}

    return {name: count for name, count in store.runs._database.read(query).items() if name not in KEPT}


def test_forgetting_a_run_leaves_no_row_of_it_behind(store):
    fill(store, "stays", experiment="trees")
    before = rows(store)
    store.runs.create(a_full_run("goes", model="m-stays"))
    points = [Metric(key="auc", value=step / 7, step=step, at=NOON) for step in range(3000)]
    subject = Subject(model_id=TrainedModelId("m-stays"))
    store.runs.log_metrics(RunId("goes"), [*points, Metric(key="f1", value=math.nan, at=NOON, subject=subject)])
    store.runs.trash([RunId("goes")], at=NOON)

    assert store.runs.purge([RunId("goes")]) == 1

    assert rows(store) == before


def test_forgetting_an_experiment_leaves_no_row_of_it_behind(store):
    fill(store, "stays", experiment="trees")
    before = rows(store)
    for name in ("a", "b"):
        fill(store, name, experiment="goes")
    gone = store.experiments.named("goes")
    store.experiments.set_tags(gone.id, {"note": "x" * 300}, at=NOON)
    store.experiments.trash(gone.id, at=NOON)

    assert store.experiments.purge(gone.id) == 2

    assert rows(store) == before
    assert store.experiments.create("goes", at=NOON).id == str(int(gone.id) + 1)


def test_a_page_costs_the_same_few_statements_however_many_runs_it_shows(store):
    for number in range(60):
        fill(store, f"{number:02}", experiment="trees")
    counting = Counting(store.runs._database)
    index = SqlRunIndex(counting, store.runs._project)

    short = len(index.search(Query(limit=2)).items), len(counting.statements)
    counting.statements.clear()
    long = len(index.search(Query(limit=60)).items), len(counting.statements)

    assert (short[0], long[0]) == (2, 60)
    assert short[1] == long[1] <= 8


@pytest.mark.parametrize("length", [1, 63, 64, 65, 5000])
def test_texts_of_any_length_come_back_and_are_told_apart(store, length):
    text = "é" * length
    values = {"whole": text, "longer": text + "!", "other": text[:-1] + "?"}
    for name, value in values.items():
        store.runs.create(replace(a_run(name), params={"key": value}, tags={"key": value}))

    for scope in ("param", "tag"):
        same = Comparison(field=Field(scope=scope, key="key"), operator="=", value=text)
        found = store.index.search(Query(where=same)).items

        assert [run.id for run in found] == ["whole"]
        assert (found[0].params["key"], found[0].tags["key"]) == (text, text)


def test_a_run_whose_parts_were_said_in_another_way_is_the_same_run(store):
    run = a_full_run("a", model="m")

    made = store.runs.create(run)

    assert store.runs.create(replace(run, started_at=run.started_at.astimezone(tz=None))) == made
    assert store.runs.create(replace(run, params=dict(reversed(run.params.items())))) == made


def test_runs_of_a_foreign_root_keep_files_elsewhere(store):
    experiment = store.experiments.create("far", at=NOON, artifact_root="s3://bucket/far/")
    made = store.runs.create(replace(a_run("a"), experiment="", experiment_id=ExperimentId(experiment.id)))

    assert made.artifact_root == "s3://bucket/far/a/artifacts"
    assert store.runs.get(RunId("a")) == made
    assert store.index.search(Query()).items == [made]


def test_many_runs_go_into_the_trash_and_out_at_once(store):
    names = [RunId(f"{number:04}") for number in range(1100)]
    for number, name in enumerate(names[:30] + names[-30:]):
        store.runs.create(a_run(name, minutes=number))
    held = names[:30] + names[-30:]

    store.runs.trash(held, at=NOON + timedelta(hours=1))
    assert store.index.count(Query()) == 0
    store.runs.trash(held, at=None)

    assert store.index.count(Query()) == 60


@given(
    st.dictionaries(
        st.text(min_size=1),
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=True) | st.text(),
        max_size=5,
    )
)
def test_params_come_back_from_their_rows_bit_for_bit(params):
    made = run_rows.param_rows(1, 1, params)

    back = {key: run_rows.param_of(kind, head if text is None else text) for _, _, key, _, kind, head, text, _ in made}

    plain = {key: value for key, value in params.items() if not isinstance(value, int) or -(2**63) <= value < 2**64}
    assert fingerprint({key: back[key] for key in plain}) == fingerprint(plain)
    assert [type(value) for value in back.values()] == [type(value) for value in params.values()]
