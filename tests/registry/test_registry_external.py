"""Versions from outside: numbered by what is known of their lineage; nobody's number is lost when many register at once."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest
from msgspec.structs import replace

from noria.adapters.metadata.memory import open_store
from noria.adapters.metadata.sqlite import open_store as open_sqlite
from noria.domain.ids import Digest, ExperimentId, RunId, TrainedModelId
from noria.domain.model import ModelVersion
from noria.domain.run import DatasetUse, ParamValue, Run
from noria.domain.trained import TrainedModel
from noria.errors import Conflict, InputInvalid
from noria.ports.models import ModelStore
from noria.registry.packaged import bundle_of, run_of
from noria.registry.register import register_external

NOW = datetime(2026, 1, 1, tzinfo=UTC)
FOREST = "sklearn.ensemble.RandomForestClassifier"


def a_use(digest: str = "d1", *, context: str = "training", name: str = "iris") -> DatasetUse:
    return DatasetUse(name=name, digest=digest, tags={"context": context} if context else {})


def a_run(
    identity: str = "r1",
    *,
    inputs: tuple[DatasetUse, ...] = (a_use(),),
    params: dict[str, ParamValue] | None = None,
    estimator: str = FOREST,
) -> Run:
    return Run(
        id=RunId(identity),
        experiment="iris",
        name=identity,
        status="finished",
        started_at=NOW,
        params={"depth": 3} if params is None else params,
        tags={"estimator_class": estimator} if estimator else {},
        inputs=inputs,
        metrics={"auc": 0.9},
    )


def a_model(identity: str = "m1", *, kind: str = "", run: str | None = None) -> TrainedModel:
    return TrainedModel(
        id=TrainedModelId(identity),
        experiment_id=ExperimentId("1"),
        name="model",
        kind=kind,
        run_id=RunId(run) if run else None,
        created_at=NOW,
        updated_at=NOW,
    )


def registered(
    models: ModelStore, run: Run | None = None, trained: TrainedModel | None = None, source: str = "", **more: str
) -> ModelVersion:
    return register_external(models, model="iris", run=run, trained=trained, source=source, at=NOW, user="ada", **more)


def test_a_version_from_outside_keeps_what_is_known_and_has_no_bundle() -> None:
    models = open_store("", project="p").models

    made = registered(models, a_run(), a_model(), "models:/m1", description="a forest")

    assert models.get("iris", 1) == made
    assert (made.number, str(made.version), made.version_reason) == (1, "1.0.0", "first version")
    assert (made.run_id, made.trained, made.user, made.architecture) == ("r1", "m1", "ada", FOREST)
    assert (made.bundle, made.signature, made.gates) == (None, None, None)
    assert made.tags == {}
    with pytest.raises(Conflict, match="not packaged"):
        bundle_of(made)


@pytest.mark.parametrize(
    ("run", "expected", "reason"),
    [
        (a_run("r2"), "1.0.1", "PATCH: same data, architecture and hyper-parameters"),
        (a_run("r2", params={"depth": 4}), "1.1.0", "MINOR: hyper-parameters changed (depth)"),
        (a_run("r2", inputs=(a_use("d2"),)), "2.0.0", "MAJOR: training data changed"),
        (a_run("r2", inputs=(a_use(), a_use("d9", context="testing"))), "1.0.1", "PATCH"),
        (a_run("r2", estimator="xgboost.XGBClassifier"), "2.0.0", "MAJOR: architecture changed from"),
    ],
)
def test_the_number_says_what_changed_in_the_lineage(run: Run, expected: str, reason: str) -> None:
    models = open_store("", project="p").models
    registered(models, a_run(), source="runs:/r1/model")

    made = registered(models, run, source=f"runs:/{run.id}/model")

    assert str(made.version) == expected
    assert made.version_reason.startswith(reason)


@pytest.mark.parametrize(
    ("run", "expected", "unknown"),
    [
        (None, "2.0.0", "its architecture"),
        (a_run("r2", estimator=""), "2.0.0", "its architecture"),
        (a_run("r2", inputs=()), "2.0.0", "its training data"),
        (a_run("r2", inputs=(a_use(context="eval"),)), "2.0.0", "its training data"),
        (a_run("r2", params={}), "1.1.0", "its hyper-parameters"),
    ],
)
def test_what_is_not_known_counts_as_changed_and_is_said(run: Run | None, expected: str, unknown: str) -> None:
    models = open_store("", project="p").models
    registered(models, a_run(), source="runs:/r1/model")

    made = registered(models, run, source="s3://somewhere/model")

    assert str(made.version) == expected
    assert f"nothing is known of {unknown}" in made.version_reason


def test_what_was_not_known_of_the_version_before_counts_as_changed_too() -> None:
    models = open_store("", project="p").models
    registered(models, None, source="s3://somewhere/model")

    made = registered(models, a_run(), source="runs:/r1/model")

    assert str(made.version) == "2.0.0"
    assert "nothing is known of version 1's architecture" in made.version_reason


def test_the_same_files_again_are_a_patch_whatever_is_known() -> None:
    models = open_store("", project="p").models
    run = a_run(inputs=(), params={}, estimator="")
    registered(models, run, source="runs:/r1/model")

    of_one_place = registered(models, run, source="runs:/r1/model")
    of_one_model = [registered(models, None, a_model("m7"), "models:/m7") for _ in range(2)][1]

    assert (str(of_one_place.version), of_one_place.version_reason) == (
        "1.0.1",
        "PATCH: the same model files as version 1",
    )
    assert (str(of_one_model.version), of_one_model.version_reason) == (
        "2.0.1",
        "PATCH: the same model files as version 3",
    )


def test_one_place_without_a_run_may_hold_other_files_by_now() -> None:
    models = open_store("", project="p").models
    registered(models, None, source="s3://somewhere/model")

    assert registered(models, None, source="s3://somewhere/model").version.major == 2


def test_datasets_without_a_purpose_are_taken_for_training_data() -> None:
    models = open_store("", project="p").models
    registered(models, a_run(inputs=(a_use(context=""),)))

    assert registered(models, a_run("r2", inputs=(a_use(),))).version_reason.startswith("PATCH")


def test_a_dataset_version_of_the_store_is_known_by_its_address() -> None:
    address = "blake3:" + "0" * 64

    made = registered(open_store("", project="p").models, a_run(inputs=(a_use(address),)))

    assert made.datasets == (Digest(address),)


def test_the_kind_of_a_model_is_what_is_said_most_closely() -> None:
    models = open_store("", project="p").models

    assert registered(models, a_run(estimator=""), a_model(kind="forest")).architecture == "forest"
    assert registered(models, a_run(estimator=""), a_model(), flavor="xgboost").architecture == "xgboost"
    assert registered(models, a_run(), a_model(kind="forest")).architecture == FOREST
    assert registered(models, a_run(), architecture="boosting").architecture == "boosting"


def test_a_version_without_a_run_says_so_where_one_is_needed() -> None:
    made = registered(open_store("", project="p").models, source="s3://somewhere/model")

    with pytest.raises(Conflict, match="has no run"):
        run_of(made)


def test_after_the_newest_is_deleted_the_one_before_it_counts_and_numbers_go_on() -> None:
    models = open_store("", project="p").models
    registered(models, a_run())
    registered(models, a_run("r2", inputs=(a_use("d2"),)))
    models.delete("iris", 2, at=NOW)

    made = registered(models, a_run("r3"))

    assert (made.number, str(made.version)) == (3, "1.0.1")


def test_a_name_that_refs_would_cut_is_refused() -> None:
    models = open_store("", project="p").models

    with pytest.raises(InputInvalid):
        register_external(models, model="a/b", run=None, trained=None, source="", at=NOW, user="")


def test_of_writers_at_once_each_gets_a_number_of_its_own(tmp_path: Path) -> None:
    store = open_sqlite(str(tmp_path / "meta.db"), project="p")

    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda i: registered(store.models, replace(a_run(), id=RunId(f"r{i}"))), range(40)))

    assert sorted(version.number for version in made) == list(range(1, 41))
    assert len({str(version.version) for version in made}) == 40
    store.close()
