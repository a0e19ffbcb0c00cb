"""The law of the TrainedModelStore port as tests. Subclass TrainedSuite where a fixture `metadata` gives an empty store."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

import pytest
from msgspec.structs import replace

from noria.domain.ids import ExperimentId, RunId, TrainedModelId
from noria.domain.query import Comparison, Field, Operator, Order, Query
from noria.domain.run import Metric, Subject
from noria.domain.trained import Measurement, TrainedModel
from noria.errors import AlreadyExists, Conflict, InputInvalid, NotFound, QueryInvalid
from noria.ports.metadata import Metadata
from noria.ports.trained import TrainedModelStore
from noria.testing.runs_suite import LATER, NOON, a_file, a_point, a_run

M = TrainedModelId("m-1")


def a_model(name: str = "m-1", *, run: str | None = "a", minutes: int = 0) -> TrainedModel:
    """A model whose files are not there yet, brought forth by run a of experiment 1."""
    at = NOON + timedelta(minutes=minutes)
    return TrainedModel(
        id=TrainedModelId(name),
        experiment_id=ExperimentId("1"),
        name=f"model {name}",
        run_id=None if run is None else RunId(run),
        created_at=at,
        updated_at=at,
    )


def a_measurement(value: float, *, model: str = "m-1", key: str = "auc", dataset: str = "", step: int = 0) -> Metric:
    """A point that measures a model, on a dataset if one is named."""
    subject = Subject(model_id=TrainedModelId(model), dataset=dataset, dataset_digest="d1" if dataset else "")
    return replace(a_point(value, key=key, step=step), subject=subject)


class TrainedSuite:
    """Laws that every store of trained models keeps."""

    @pytest.fixture
    def trained(self, metadata: Metadata) -> TrainedModelStore:
        """A store without trained models; run a of experiment 1 is there."""
        metadata.runs.create(a_run())
        return metadata.trained

    def test_a_model_comes_back_as_it_was_made_with_its_root(self, trained: TrainedModelStore) -> None:
        model = replace(a_model(), kind="sklearn", params={"depth": "3"}, tags={"a": "b"}, status_message="soon")

        made = trained.create(model)

        assert made == replace(model, artifact_root="1/models/m-1/artifacts")
        assert trained.get(M) == made

    def test_a_model_of_an_experiment_that_keeps_files_elsewhere_has_its_root_there(self, metadata: Metadata) -> None:
        home = metadata.experiments.create("away", at=NOON, artifact_root="s3://bucket/away")

        made = metadata.trained.create(replace(a_model(run=None), experiment_id=home.id))

        assert made.artifact_root == "s3://bucket/away/models/m-1/artifacts"

    def test_making_the_same_again_changes_nothing(self, trained: TrainedModelStore) -> None:
        trained.create(a_model())
        trained.finish(M, status="ready", at=LATER)

        assert trained.create(a_model()) == trained.get(M)
        assert trained.get(M).status == "ready"
        with pytest.raises(AlreadyExists, match="m-1"):
            trained.create(replace(a_model(), name="other"))

    def test_what_cannot_be_a_model_is_refused(self, metadata: Metadata, trained: TrainedModelStore) -> None:
        metadata.runs.create(a_run("gone"))
        metadata.runs.trash([RunId("gone")], at=NOON)
        closed = metadata.experiments.create("closed", at=NOON)
        metadata.experiments.trash(closed.id, at=NOON)
        cases: list[tuple[type[Exception], TrainedModel]] = [
            (InputInvalid, replace(a_model(), id=TrainedModelId(""))),
            (InputInvalid, replace(a_model(), id=TrainedModelId("../m"))),
            (InputInvalid, replace(a_model(), name="a\0")),
            (InputInvalid, replace(a_model(), created_at=datetime(2013, 3, 1))),
            (InputInvalid, replace(a_model(), trashed_at=NOON)),
            (InputInvalid, replace(a_model(), tags={"": "x"})),
            (InputInvalid, replace(a_model(), params={"": "x"})),
            (InputInvalid, replace(a_model(), artifact_root="s3://x")),
            (NotFound, replace(a_model(), experiment_id=ExperimentId("99"))),
            (NotFound, a_model(run="nobody")),
            (Conflict, a_model(run="gone")),
            (Conflict, replace(a_model(run=None), experiment_id=closed.id)),
        ]

        for error, model in cases:
            with pytest.raises(error):
                trained.create(model)

        assert trained.search(Query(life="all")).items == []

    def test_an_unknown_model_is_not_found_by_any_call(self, trained: TrainedModelStore) -> None:
        missing = TrainedModelId("nobody")
        calls: list[Callable[[], object]] = [
            lambda: trained.get(missing),
            lambda: trained.finish(missing, status="ready", at=NOON),
            lambda: trained.set_tags(missing, {"a": "b"}, at=NOON),
            lambda: trained.log_params(missing, {"a": "b"}, at=NOON),
            lambda: trained.trash(missing, at=NOON),
            lambda: trained.trash(missing, at=None),
        ]

        for call in calls:
            with pytest.raises(NotFound, match="'nobody'"):
                call()
        assert trained.purge(missing) == 0

    def test_finishing_says_how_and_when(self, trained: TrainedModelStore) -> None:
        trained.create(a_model())

        assert trained.finish(M, status="failed", at=LATER, message="disk full").status_message == "disk full"
        ready = trained.finish(M, status="ready", at=LATER)

        assert (ready.status, ready.status_message, ready.updated_at) == ("ready", "", LATER)
        assert trained.get(M) == ready
        with pytest.raises(InputInvalid):
            trained.finish(M, status="pending", at=LATER)

    def test_tags_and_params_are_added(self, trained: TrainedModelStore) -> None:
        trained.create(replace(a_model(), tags={"a": "1"}, params={"depth": "3"}))

        trained.set_tags(M, {"a": None, "b": "2", "never": None}, at=LATER)
        trained.log_params(M, {"depth": "3", "rate": "0.1"}, at=LATER)

        model = trained.get(M)
        assert (model.tags, model.params) == ({"b": "2"}, {"depth": "3", "rate": "0.1"})
        assert model.updated_at == LATER
        with pytest.raises(AlreadyExists, match="depth"):
            trained.log_params(M, {"new": "1", "depth": "4"}, at=LATER)
        assert trained.get(M) == model

    def test_measurements_are_points_of_runs_that_have_it_as_their_subject(
        self, metadata: Metadata, trained: TrainedModelStore
    ) -> None:
        trained.create(a_model())
        metadata.runs.create(a_run("b"))
        on_test, on_all = a_measurement(0.7, dataset="test"), a_measurement(0.8)

        metadata.runs.log_metrics(RunId("a"), [on_test, on_all, on_test, a_point(0.5, key="loss")])
        metadata.runs.log_metrics(RunId("b"), [on_test])
        metadata.runs.log_metrics(RunId("a"), [on_test])

        assert trained.get(M).metrics == (
            Measurement(run_id=RunId("a"), point=on_all),
            Measurement(run_id=RunId("a"), point=on_test),
            Measurement(run_id=RunId("b"), point=on_test),
        )
        assert set(metadata.runs.get(RunId("a")).metrics) == {"auc", "loss"}
        assert metadata.series.history(RunId("b"), "auc") == [replace(on_test, subject=None)]

    def test_measurements_of_a_forgotten_run_are_forgotten(
        self, metadata: Metadata, trained: TrainedModelStore
    ) -> None:
        trained.create(a_model(run=None))
        metadata.runs.log_metrics(RunId("a"), [a_measurement(0.7)])
        metadata.runs.trash([RunId("a")], at=LATER)
        metadata.runs.purge([RunId("a")])

        assert trained.get(M).metrics == ()

    def test_in_the_trash_it_is_not_there_but_can_come_back(self, trained: TrainedModelStore) -> None:
        trained.create(a_model())
        trained.trash(M, at=LATER)
        trained.trash(M, at=LATER + timedelta(days=1))

        calls: list[Callable[[], object]] = [
            lambda: trained.get(M),
            lambda: trained.set_tags(M, {"a": "b"}, at=NOON),
            lambda: trained.finish(M, status="ready", at=NOON),
            lambda: trained.log_params(M, {"a": "b"}, at=NOON),
        ]
        for call in calls:
            with pytest.raises(NotFound):
                call()
        assert trained.search(Query()).items == []
        assert [model.trashed_at for model in trained.search(Query(life="trashed")).items] == [LATER]

        trained.trash(M, at=None)
        trained.trash(M, at=None)
        assert trained.get(M).trashed_at is None

    def test_purging_forgets_it_with_its_files(self, metadata: Metadata, trained: TrainedModelStore) -> None:
        root = trained.create(a_model()).artifact_root
        metadata.artifacts.put([a_file(f"{root}/MLmodel"), a_file("elsewhere")])

        assert trained.purge(M) == 0
        trained.trash(M, at=LATER)
        assert trained.purge(M) == 1
        assert trained.purge(M) == 0

        assert [file.path for file in metadata.artifacts.under("")] == ["elsewhere"]
        with pytest.raises(NotFound):
            trained.trash(M, at=None)

    def test_search_finds_by_what_it_is_and_what_was_measured(
        self, metadata: Metadata, trained: TrainedModelStore
    ) -> None:
        for number, value in enumerate((0.7, 0.9, 0.8)):
            trained.create(replace(a_model(f"m-{number}", minutes=number), params={"depth": str(number)}))
            measured = [
                a_measurement(value, model=f"m-{number}", dataset="test"),
                a_measurement(1.0 - value, model=f"m-{number}", dataset="train"),
            ]
            metadata.runs.log_metrics(RunId("a"), measured)
        trained.create(a_model("m-3", run=None, minutes=3))
        auc = Field(scope="metric", key="auc", dataset="test")

        def found(field: Field, operator: Operator, value: str | float | None) -> list[str]:
            where = Comparison(field=field, operator=operator, value=value)
            return [model.id for model in trained.search(Query(where=where)).items]

        assert [model.id for model in trained.search(Query()).items] == ["m-3", "m-2", "m-1", "m-0"]
        assert found(auc, ">", 0.75) == ["m-2", "m-1"]
        assert found(Field(scope="metric", key="auc", dataset="train"), ">", 0.25) == ["m-0"]
        assert found(Field(scope="metric", key="auc"), "<", 0.25) == ["m-2", "m-1"]
        assert found(Field(scope="param", key="depth"), ">", 0.5) == ["m-2", "m-1"]
        assert found(Field(scope="attribute", key="run_id"), "is null", None) == ["m-3"]
        assert found(Field(scope="attribute", key="name"), "=", "model m-1") == ["m-1"]
        best = trained.search(Query(order=(Order(field=auc, descending=True),), limit=3))
        assert [model.id for model in best.items] == ["m-1", "m-2", "m-0"]
        rest = trained.search(Query(order=(Order(field=auc, descending=True),), limit=3, after=best.next))
        assert [model.id for model in rest.items] == ["m-3"]
        assert best.items[0] == trained.get(TrainedModelId("m-1"))
        with pytest.raises(QueryInvalid):
            found(Field(scope="attribute", key="colour"), "=", "red")

    def test_threads_that_measure_one_model_lose_nothing(self, metadata: Metadata, trained: TrainedModelStore) -> None:
        trained.create(a_model())

        def measure(thread: int) -> None:
            for step in range(5):
                metadata.runs.log_metrics(RunId("a"), [a_measurement(1.0, key=f"k{thread}", step=step)])

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(measure, range(4)))

        assert len(trained.get(M).metrics) == 20
