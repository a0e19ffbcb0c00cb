"""Names, code versions, comparisons, the best run, and params taken from estimators."""

import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from noria.adapters.blobs import memory as memory_blobs
from noria.adapters.metadata import memory as memory_metadata
from noria.domain.ids import Digest, RunId
from noria.domain.run import CodeVersion, Run
from noria.errors import InputInvalid, QueryInvalid
from noria.testing.clock import FakeClock
from noria.tracking.autolog import autolog_sklearn
from noria.tracking.code_version import code_version
from noria.tracking.compare import MetricPair, Pair, compare
from noria.tracking.naming import human_name
from noria.tracking.recorder import Recorder
from noria.tracking.search import PAGE, best, search

THEN = datetime(2013, 1, 1, tzinfo=UTC)
NAN = float("nan")


def a_run(number: int = 0, **changes: object) -> Run:
    fields = {
        "id": RunId(f"run{number}"),
        "experiment": "churn",
        "name": "n",
        "status": "finished",
        "started_at": THEN + timedelta(minutes=number),
    }
    return Run(**(fields | changes))


def test_a_name_is_the_same_for_the_same_id_and_can_be_said() -> None:
    names = [human_name(f"{n:032x}") for n in range(2000)]

    assert names == [human_name(f"{n:032x}") for n in range(2000)]
    assert len(set(names)) > 1900
    assert all(name.count("-") == 2 and name.isascii() and name == name.lower() for name in names)


def git(folder: Path, *arguments: str) -> None:
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", "-C", str(folder), *identity, *arguments], check=True, capture_output=True)


def test_the_code_version_follows_the_sources_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "pkg").mkdir()
    (tmp_path / "pkg" / "a.py").write_text("x = 1")
    first = code_version(tmp_path)

    for other in ("data.csv", ".venv/lib/b.py", "node_modules/c.py", "env/pyvenv.cfg", "env/d.py", ".git/hooks/e.py"):
        (tmp_path / other).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / other).write_text("y = 2")
    assert code_version(tmp_path).digest == first.digest
    (tmp_path / "pkg" / "dangling.py").symlink_to(tmp_path / "nowhere")
    with_link = code_version(tmp_path).digest
    (tmp_path / "pkg" / "a.py").write_text("x = 2")
    assert len({first.digest, with_link, code_version(tmp_path).digest}) == 3
    assert code_version(tmp_path / "pkg" / "a.py").digest != code_version(tmp_path).digest


def test_the_code_version_knows_its_commit_and_whether_the_sources_changed(tmp_path: Path) -> None:
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "a.py").write_text("x = 1")
    assert code_version(tmp_path / "code").commit is None
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", "-A")
    git(tmp_path, "commit", "-qm", "first")

    clean = code_version(tmp_path / "code")
    (tmp_path / "elsewhere.txt").write_text("not among the sources")
    beside = code_version(tmp_path / "code")
    (tmp_path / "code" / "a.py").write_text("x = 2")
    changed = code_version(tmp_path / "code")

    assert clean.commit is not None
    assert len(clean.commit) == 40
    assert (clean.dirty, beside.dirty, changed.dirty) == (False, False, True)
    assert code_version(tmp_path / "code" / "a.py").dirty is True


def test_comparing_a_run_with_itself_finds_nothing() -> None:
    run = a_run(params={"a": 1}, metrics={"x": NAN, "y": 0.0}, seed=1, datasets=(Digest("d"),))

    assert compare(run, run).is_empty
    assert compare(run, msgspec.structs.replace(run, metrics={"x": -NAN, "y": -0.0})).is_empty


def test_comparing_tells_the_differences_only() -> None:
    code = CodeVersion(digest=Digest("c"))
    a = a_run(
        1,
        params={"same": 1, "lr": 0.1, "gone": None, "kind": 1},
        metrics={"auc": 0.5, "only": 1.0},
        datasets=(Digest("d1"), Digest("d2")),
        seed=1,
    )
    b = a_run(
        2,
        params={"same": 1, "lr": 0.2, "new": "x", "kind": True},
        metrics={"auc": 0.75},
        datasets=(Digest("d2"), Digest("d3")),
        code=code,
    )

    diff = compare(a, b)

    assert diff.params == {
        "lr": Pair(a=0.1, b=0.2),
        "gone": Pair(a=None, b=None, missing="b"),
        "new": Pair(a=None, b="x", missing="a"),
        "kind": Pair(a=1, b=True),
    }
    assert diff.metrics == {"auc": MetricPair(a=0.5, b=0.75, delta=0.25), "only": MetricPair(a=1.0, b=None, delta=None)}
    assert (diff.datasets_a, diff.datasets_b) == ((Digest("d1"),), (Digest("d3"),))
    assert diff.code is not None
    assert (diff.code.a, diff.code.b) == (None, code)
    assert diff.seed == Pair(a=1, b=None)
    assert diff.environment is None


@pytest.mark.parametrize(("better", "expected"), [("higher", "run4"), ("lower", "run2")])
def test_the_best_run_is_found_among_finished_ones_with_a_number(better, expected: str) -> None:
    store = memory_metadata.open_store("", project="p")
    runs = store.runs
    for number, value in enumerate([0.5, NAN, 0.25, None, 0.75, 0.75, 0.25]):
        runs.create(a_run(number, status="running", metrics={} if value is None else {"auc": value}))
        runs.finish(RunId(f"run{number}"), status="finished", at=THEN)
    runs.create(a_run(7, status="running", metrics={"auc": 9.0}))
    runs.create(a_run(8, experiment="other", status="running", metrics={"auc": -9.0}))
    runs.finish(RunId("run8"), status="finished", at=THEN)

    found = best(store.index, "churn", metric="auc", better=better)

    assert found is not None
    assert found.id == expected
    assert best(store.index, "churn", metric="unheard of", better=better) is None


def test_of_runs_that_measured_nan_none_is_best() -> None:
    store = memory_metadata.open_store("", project="p")
    store.runs.create(a_run(0, status="running", metrics={"auc": NAN}))
    store.runs.finish(RunId("run0"), status="finished", at=THEN)

    assert best(store.index, "churn", metric="auc", better="higher") is None


def test_runs_are_searched_page_by_page() -> None:
    store = memory_metadata.open_store("", project="p")
    for number in range(PAGE + 3):
        store.runs.create(a_run(number, status="running", metrics={"loss": float(number % 7)}))

    def found(where: str, **more) -> list[str]:
        return [run.id for run in search(store.index, where, **more)]

    assert found("") == [f"run{number}" for number in reversed(range(PAGE + 3))]
    assert found("metrics.loss = 6", limit=2) == ["run496", "run489"] == found("metrics.loss = 6")[:2]
    assert found("metrics.loss < 2", order="metrics.loss, started_at", limit=1) == ["run0"]
    assert found("metrics.loss > 9") == found("", limit=0) == []
    with pytest.raises(QueryInvalid):
        search(store.index, "metrics.loss >")
    with pytest.raises(InputInvalid):
        search(store.index, limit=-1)


def test_an_estimator_tells_its_params_and_those_of_its_parts(tmp_path: Path) -> None:
    linear_model = pytest.importorskip("sklearn.linear_model")
    pipeline = pytest.importorskip("sklearn.pipeline")
    preprocessing = pytest.importorskip("sklearn.preprocessing")
    runs = memory_metadata.open_store("", project="p").runs
    recorder = Recorder(runs, memory_blobs.open_store(""), clock=FakeClock(), journal_folder=tmp_path)
    model = pipeline.make_pipeline(preprocessing.StandardScaler(), linear_model.LogisticRegression(C=0.5))

    with recorder.run("churn") as run:
        autolog_sklearn(run, model)
        with pytest.raises(InputInvalid):
            autolog_sklearn(run, object())

    found = runs.get(run.id)
    assert found.params["logisticregression__C"] == 0.5
    assert found.params["standardscaler__with_mean"] is True
    assert found.params["logisticregression"] == "sklearn.linear_model._logistic.LogisticRegression"
    assert str(found.params["steps"]).startswith("[('standardscaler'")
    assert found.tags == {"estimator": "sklearn.pipeline.Pipeline"}
    assert found.status == "finished"
