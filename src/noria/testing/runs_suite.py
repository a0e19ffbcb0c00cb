"""The law of the RunStore port as tests. Subclass RunsSuite where a fixture `metadata` gives an empty store. Called by tests/conformance.

Whole series are series_suite, finding runs index_suite, what the feed is told feed_suite.
"""

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace

from noria.domain.ids import Digest, EventId, ExperimentId, RunId, TrainedModelId
from noria.domain.run import Artifact, CodeVersion, DatasetUse, Metric, ModelLink, ParamValue, Run, RunBatch, Subject
from noria.errors import AlreadyExists, Conflict, InputInvalid, NotFound, PathRefused
from noria.ports.metadata import Metadata
from noria.ports.runs import RunStore

NOON = datetime(2013, 3, 1, 12, tzinfo=UTC)
LATER = NOON + timedelta(hours=1)


def a_run(name: str = "a", *, experiment: str = "trees", minutes: int = 0) -> Run:
    """A run that has just begun."""
    return Run(
        id=RunId(name),
        experiment=experiment,
        name=f"run {name}",
        status="running",
        started_at=NOON + timedelta(minutes=minutes),
    )


def a_point(value: float, *, key: str = "loss", step: int = 0, seconds: float = 0.0) -> Metric:
    """A point of a series."""
    return Metric(key=key, value=value, step=step, at=NOON + timedelta(seconds=seconds))


def a_file(path: str, content: str = "1") -> Artifact:
    """An artifact; the same content has the same digest."""
    return Artifact(path=path, digest=Digest(f"blake3:{content}"), size=len(content))


class RunsSuite:
    """Laws that every run store keeps."""

    @pytest.fixture
    def runs(self, metadata: Metadata) -> RunStore:
        """An empty run store."""
        return metadata.runs

    def test_a_run_comes_back_as_it_was_created_with_what_the_store_fills(self, runs: RunStore) -> None:
        run = replace(
            a_run(),
            params={"rate": 0.1, "depth": 3, "whole": 1.0, "on": True, "name": "ü", "none": None},
            tags={"who": "me"},
            artifacts=(a_file("model.onnx"),),
            datasets=(Digest("blake3:2"),),
            seed=2**63,
            code=CodeVersion(digest=Digest("blake3:3"), commit="abc", dirty=False),
            parent=RunId("p"),
            cause=EventId("e"),
            user="me",
            inputs=(DatasetUse(name="flights", digest="d1", schema="{}", tags={"context": "training"}),),
            models_in=(ModelLink(model_id=TrainedModelId("m-0")),),
            models_out=(ModelLink(model_id=TrainedModelId("m-1"), step=7),),
        )

        made = runs.create(run)

        assert made == replace(run, experiment_id=ExperimentId("1"), artifact_root="1/a/artifacts")
        assert runs.get(run.id) == made
        assert [type(value) for value in made.params.values()] == [float, int, float, bool, str, type(None)]

    def test_creating_the_same_run_again_changes_nothing(self, metadata: Metadata, runs: RunStore) -> None:
        run = replace(a_run(), params={"b": 1, "a": 2}, metrics={"start": 0.5})
        runs.create(run)
        runs.log_metrics(run.id, [a_point(0.25)])
        runs.set_tags(run.id, {"t": "1"})

        again = runs.create(replace(run, params={"a": 2, "b": 1}))

        assert again == runs.get(run.id)
        assert again.metrics == {"start": 0.5, "loss": 0.25}
        assert again.tags == {"t": "1"}

    def test_an_id_taken_by_another_run_is_refused(self, runs: RunStore) -> None:
        runs.create(a_run())

        with pytest.raises(AlreadyExists, match="'a'"):
            runs.create(a_run(experiment="other"))

    def test_metrics_given_at_creation_begin_their_series(self, metadata: Metadata, runs: RunStore) -> None:
        run = runs.create(replace(a_run(), metrics={"auc": 0.5}))

        assert run.metrics == {"auc": 0.5}
        assert metadata.series.history(run.id, "auc") == [Metric(key="auc", value=0.5, at=run.started_at)]

    def test_an_unknown_run_is_not_found_by_any_call(self, runs: RunStore) -> None:
        missing = RunId("nobody")

        for call in (
            lambda: runs.get(missing),
            lambda: runs.log(RunBatch(run_id=missing)),
            lambda: runs.log_params(missing, {"a": 1}),
            lambda: runs.log_metrics(missing, [a_point(1.0)]),
            lambda: runs.set_tags(missing, {"a": "b"}),
            lambda: runs.add_artifacts(missing, []),
            lambda: runs.link(missing, inputs=[DatasetUse(name="d", digest="1")]),
            lambda: runs.finish(missing, status="finished", at=NOON),
            lambda: runs.amend(missing, name="b"),
            lambda: runs.trash([missing], at=NOON),
        ):
            with pytest.raises(NotFound, match="'nobody'"):
                call()

    @pytest.mark.parametrize(
        "run",
        [
            replace(a_run(), started_at=datetime(2013, 3, 1)),
            replace(a_run(), finished_at=datetime(2013, 3, 1)),
            replace(a_run(), id=RunId("")),
            replace(a_run(), id=RunId("../a")),
            replace(a_run(), name="a\0b"),
            replace(a_run(), user="\ud800"),
            replace(a_run(), experiment=""),
            replace(a_run(), params={"": 1}),
            replace(a_run(), params={"big": 2**64}),
            replace(a_run(), tags={"a\0": "b"}),
            replace(a_run(), metrics={"": 1.0}),
            replace(a_run(), trashed_at=NOON),
            replace(a_run(), artifact_root="s3://elsewhere"),
            replace(a_run(), inputs=(DatasetUse(name="", digest="1"),)),
            replace(a_run(), artifacts=(a_file("../x"),)),
        ],
        ids=lambda run: "",
    )
    def test_what_cannot_be_a_run_is_refused_and_leaves_nothing(
        self, metadata: Metadata, runs: RunStore, run: Run
    ) -> None:
        with pytest.raises(InputInvalid):
            runs.create(run)

        assert metadata.experiments.named("trees") is None
        assert metadata.feed.read() == []

    def test_a_run_belongs_to_the_experiment_that_it_names_by_id_or_else_by_name(
        self, metadata: Metadata, runs: RunStore
    ) -> None:
        known = metadata.experiments.create("trees", at=NOON)

        by_name = runs.create(a_run("a"))
        by_id = runs.create(replace(a_run("b", experiment=""), experiment_id=known.id))
        new = runs.create(a_run("c", experiment="lines"))

        assert (by_name.experiment_id, by_id.experiment_id, by_id.experiment) == (known.id, known.id, "trees")
        assert metadata.experiments.get(new.experiment_id).name == "lines"
        with pytest.raises(NotFound, match="'99'"):
            runs.create(replace(a_run("d"), experiment_id=ExperimentId("99")))

    def test_a_run_tells_its_experiments_name_of_now(self, metadata: Metadata, runs: RunStore) -> None:
        run = runs.create(a_run())

        metadata.experiments.rename(run.experiment_id, "forests", at=LATER)

        assert runs.get(run.id).experiment == "forests"

    def test_an_experiment_in_the_trash_takes_no_runs_and_its_name_makes_another(
        self, metadata: Metadata, runs: RunStore
    ) -> None:
        old = metadata.experiments.create("trees", at=NOON)
        metadata.experiments.trash(old.id, at=LATER)

        with pytest.raises(Conflict, match="trash"):
            runs.create(replace(a_run("a"), experiment_id=old.id))

        assert runs.create(a_run("b")).experiment_id != old.id

    def test_params_add_up_and_may_be_repeated(self, runs: RunStore) -> None:
        runs.create(replace(a_run(), params={"depth": 3}))

        runs.log_params(RunId("a"), {"depth": 3, "rate": 0.1})
        runs.log_params(RunId("a"), {"rate": 0.1, "nan": math.nan})
        runs.log_params(RunId("a"), {"nan": math.nan})

        params = runs.get(RunId("a")).params
        assert {key: params[key] for key in ("depth", "rate")} == {"depth": 3, "rate": 0.1}
        assert math.isnan(params["nan"])  # type: ignore[arg-type]

    @pytest.mark.parametrize("other", [2, 1.0, True, "1", None])
    def test_a_param_cannot_become_another_value(self, runs: RunStore, other: ParamValue) -> None:
        runs.create(replace(a_run(), params={"depth": 1}))

        with pytest.raises(AlreadyExists, match="depth"):
            runs.log_params(RunId("a"), {"new": 1, "depth": other})

        assert runs.get(RunId("a")).params == {"depth": 1}

    def test_a_batch_is_logged_at_once(self, runs: RunStore) -> None:
        runs.create(replace(a_run(), params={"depth": 3}, tags={"stage": "new"}))

        runs.log(
            RunBatch(run_id=RunId("a"), metrics=[a_point(0.5)], params={"depth": 3, "rate": 0.1}, tags={"stage": "old"})
        )
        runs.log(RunBatch(run_id=RunId("a")))

        run = runs.get(RunId("a"))
        assert (run.metrics, run.params, run.tags) == ({"loss": 0.5}, {"depth": 3, "rate": 0.1}, {"stage": "old"})

    @pytest.mark.parametrize(
        "bad",
        [
            {"params": {"new": 1, "depth": 4}},
            {"params": {"new": 2**64}},
            {"metrics": [a_point(0.5, key="auc"), a_point(0.5, step=2**63)]},
            {"metrics": [a_point(0.5, key="auc"), a_point(0.5, key="")]},
            {"metrics": [replace(a_point(0.5), at=datetime(2013, 3, 1))]},
            {"tags": {"": "x"}},
            {"tags": {"x": "a\0b"}},
        ],
        ids=["param", "big param", "step", "key", "time", "tag", "zero"],
    )
    def test_of_a_bad_batch_nothing_is_kept(self, runs: RunStore, bad: dict[str, object]) -> None:
        run = runs.create(replace(a_run(), params={"depth": 3}))
        good = {"metrics": [a_point(0.25)], "params": {"rate": 0.1}, "tags": {"a": "b"}}

        with pytest.raises((AlreadyExists, InputInvalid)):
            runs.log(RunBatch(run_id=run.id, **{**good, **bad}))  # type: ignore[arg-type]

        assert runs.get(run.id) == run

    def test_the_last_value_is_that_of_the_largest_step_and_time(self, runs: RunStore) -> None:
        runs.create(a_run())

        runs.log_metrics(RunId("a"), [a_point(0.3, step=2, seconds=5), a_point(0.9, key="auc")])
        runs.log_metrics(RunId("a"), [a_point(0.5, step=1, seconds=9)])
        runs.log_metrics(RunId("a"), [a_point(0.2, step=2, seconds=4)])

        assert runs.get(RunId("a")).metrics == {"loss": 0.3, "auc": 0.9}

        runs.log_metrics(RunId("a"), [a_point(0.1, step=2, seconds=6)])

        assert runs.get(RunId("a")).metrics["loss"] == 0.1

    def test_nan_and_infinities_are_last_values_like_others(self, runs: RunStore) -> None:
        runs.create(replace(a_run(), metrics={"start": math.inf}))

        runs.log_metrics(RunId("a"), [a_point(math.nan, step=3), a_point(-math.inf, key="low")])

        metrics = runs.get(RunId("a")).metrics
        assert math.isnan(metrics["loss"])
        assert (metrics["start"], metrics["low"]) == (math.inf, -math.inf)

    def test_a_measurement_needs_its_trained_model(self, runs: RunStore) -> None:
        runs.create(a_run())
        about = replace(a_point(0.5), subject=Subject(model_id=TrainedModelId("m-nobody")))

        with pytest.raises(NotFound, match="m-nobody"):
            runs.log_metrics(RunId("a"), [a_point(0.25, key="auc"), about])

        assert runs.get(RunId("a")).metrics == {}

    def test_tags_are_set_and_taken_away_and_the_last_value_counts(self, runs: RunStore) -> None:
        runs.create(replace(a_run(), tags={"stage": "new", "kept": "1", "gone": "2"}))

        runs.set_tags(RunId("a"), {"stage": "old", "gone": None, "never": None})

        assert runs.get(RunId("a")).tags == {"stage": "old", "kept": "1"}

    def test_artifacts_add_up_and_a_path_holds_one_content(self, runs: RunStore) -> None:
        model, plot = a_file("model", "1"), a_file("plots/a.png", "2")
        runs.create(a_run())

        runs.add_artifacts(RunId("a"), [plot])
        runs.add_artifacts(RunId("a"), [model, plot])

        assert runs.get(RunId("a")).artifacts == (model, plot)
        with pytest.raises(AlreadyExists, match="plots"):
            runs.add_artifacts(RunId("a"), [a_file("new"), a_file("plots/a.png", "3")])
        with pytest.raises(InputInvalid, match="folder"):
            runs.add_artifacts(RunId("a"), [a_file("new"), a_file("model/x")])
        with pytest.raises(PathRefused):
            runs.add_artifacts(RunId("a"), [a_file("../b/artifacts/x")])
        assert runs.get(RunId("a")).artifacts == (model, plot)

    def test_files_of_an_experiment_that_keeps_them_elsewhere_are_not_kept_here(
        self, metadata: Metadata, runs: RunStore
    ) -> None:
        metadata.experiments.create("trees", at=NOON, artifact_root="s3://bucket/trees/")

        run = runs.create(a_run())

        assert run.artifact_root == "s3://bucket/trees/a/artifacts"
        assert run.artifacts == ()
        with pytest.raises(Conflict, match="outside"):
            runs.add_artifacts(run.id, [a_file("model")])

    def test_linking_again_keeps_what_was_linked_and_adds_tags(self, runs: RunStore) -> None:
        runs.create(a_run())
        first = DatasetUse(name="flights", digest="d1", source="s3://x", tags={"context": "training"})

        runs.link(RunId("a"), inputs=[first], models_out=[ModelLink(model_id=TrainedModelId("m-1"), step=3)])
        runs.link(
            RunId("a"),
            inputs=[
                replace(first, source="other", tags={"context": "test", "split": "a"}),
                replace(first, digest="d2", tags={}),
            ],
            models_in=[ModelLink(model_id=TrainedModelId("m-0"))],
            models_out=[ModelLink(model_id=TrainedModelId("m-1"), step=9)],
        )

        run = runs.get(RunId("a"))
        assert run.inputs == (
            replace(first, tags={"context": "training", "split": "a"}),
            replace(first, digest="d2", tags={}),
        )
        assert run.models_in == (ModelLink(model_id=TrainedModelId("m-0")),)
        assert run.models_out == (ModelLink(model_id=TrainedModelId("m-1"), step=3),)

    def test_finishing_ends_a_run_once(self, runs: RunStore) -> None:
        runs.create(a_run())
        runs.log_metrics(RunId("a"), [a_point(0.5)])

        ended = runs.finish(RunId("a"), status="failed", at=NOON, error="out of memory")

        assert (ended.status, ended.finished_at, ended.error) == ("failed", NOON, "out of memory")
        assert ended.metrics == {"loss": 0.5}
        assert runs.finish(RunId("a"), status="failed", at=LATER, error="out of memory") == ended
        assert runs.get(RunId("a")) == ended
        with pytest.raises(Conflict):
            runs.finish(RunId("a"), status="finished", at=NOON)

    def test_a_run_cannot_end_as_what_is_under_way_or_at_no_time(self, runs: RunStore) -> None:
        runs.create(replace(a_run(), status="scheduled"))

        calls: list[Callable[[], Run]] = [
            lambda: runs.finish(RunId("a"), status="running", at=NOON),
            lambda: runs.finish(RunId("a"), status="scheduled", at=NOON),
            lambda: runs.finish(RunId("a"), status="finished", at=datetime(2013, 3, 1)),
            lambda: runs.amend(RunId("a"), status="running", finished_at=NOON),
        ]
        for call in calls:
            with pytest.raises(InputInvalid):
                call()

        assert runs.finish(RunId("a"), status="killed", at=NOON).status == "killed"

    def test_a_run_that_ended_takes_points_still(self, runs: RunStore) -> None:
        runs.create(a_run())
        runs.finish(RunId("a"), status="finished", at=NOON)

        runs.log(RunBatch(run_id=RunId("a"), metrics=[a_point(0.5)], tags={"late": "1"}))

        assert runs.get(RunId("a")).metrics == {"loss": 0.5}

    def test_amending_renames_resumes_and_corrects_an_end(self, runs: RunStore) -> None:
        runs.create(a_run())
        runs.finish(RunId("a"), status="failed", at=NOON, error="out of memory")

        renamed = runs.amend(RunId("a"), name="better")
        assert (renamed.name, renamed.status, renamed.error) == ("better", "failed", "out of memory")

        resumed = runs.amend(RunId("a"), status="running")
        assert (resumed.status, resumed.finished_at, resumed.error) == ("running", None, "")

        ended = runs.amend(RunId("a"), status="finished", finished_at=LATER)
        assert (ended.status, ended.finished_at, ended.name) == ("finished", LATER, "better")

        killed = runs.amend(RunId("a"), status="killed")
        assert (killed.status, killed.finished_at) == ("killed", LATER)
        assert runs.amend(RunId("a")) == killed == runs.get(RunId("a"))

    def test_a_run_in_the_trash_is_read_and_refuses_every_write(self, runs: RunStore) -> None:
        runs.create(a_run())
        runs.trash([RunId("a")], at=LATER)

        for call in (
            lambda: runs.log(RunBatch(run_id=RunId("a"), tags={"a": "b"})),
            lambda: runs.log_params(RunId("a"), {"a": 1}),
            lambda: runs.log_metrics(RunId("a"), [a_point(1.0)]),
            lambda: runs.set_tags(RunId("a"), {"a": "b"}),
            lambda: runs.add_artifacts(RunId("a"), [a_file("x")]),
            lambda: runs.link(RunId("a"), inputs=[DatasetUse(name="d", digest="1")]),
            lambda: runs.finish(RunId("a"), status="finished", at=NOON),
            lambda: runs.amend(RunId("a"), name="b"),
        ):
            with pytest.raises(Conflict, match="trash"):
                call()

        run = runs.get(RunId("a"))
        assert (run.trashed_at, run.status, run.params, run.tags, run.artifacts) == (LATER, "running", {}, {}, ())

    def test_trash_takes_and_gives_back_all_or_none(self, runs: RunStore) -> None:
        for name in "abc":
            runs.create(a_run(name))
        runs.trash([RunId("a"), RunId("b"), RunId("a")], at=NOON)
        runs.trash([RunId("a"), RunId("c")], at=LATER)

        with pytest.raises(NotFound):
            runs.trash([RunId("b"), RunId("nobody")], at=None)
        runs.trash([RunId("a"), RunId("c")], at=None)
        runs.trash([RunId("a")], at=None)

        assert [runs.get(RunId(name)).trashed_at for name in "abc"] == [None, NOON, None]
        runs.log_metrics(RunId("a"), [a_point(1.0)])

    def test_a_run_comes_back_only_after_its_experiment(self, metadata: Metadata, runs: RunStore) -> None:
        run = runs.create(a_run())
        metadata.experiments.trash(run.experiment_id, at=LATER)

        with pytest.raises(Conflict, match="trash"):
            runs.trash([run.id], at=None)

        assert runs.get(run.id).trashed_at == LATER

    def test_purging_forgets_what_is_in_the_trash_and_nothing_else(self, metadata: Metadata, runs: RunStore) -> None:
        for name in "ab":
            runs.create(replace(a_run(name), metrics={"auc": 0.5}, artifacts=(a_file("model"),)))
        runs.trash([RunId("a")], at=LATER)

        assert runs.purge([RunId("a"), RunId("b"), RunId("nobody"), RunId("a")]) == 1

        with pytest.raises(NotFound):
            runs.get(RunId("a"))
        with pytest.raises(NotFound):
            metadata.series.history(RunId("a"), "auc")
        assert [file.path for file in metadata.artifacts.under("")] == ["1/b/artifacts/model"]
        assert runs.get(RunId("b")).metrics == {"auc": 0.5}
        assert runs.create(a_run("a")).metrics == {}

    def test_threads_that_log_to_one_run_lose_nothing(self, metadata: Metadata, runs: RunStore) -> None:
        runs.create(a_run())

        def log(thread: int) -> None:
            for step in range(10):
                points = [a_point(float(step), key=f"k{thread}", step=step), a_point(1.0, step=thread)]
                runs.log(RunBatch(run_id=RunId("a"), metrics=points, tags={f"t{thread}": str(step)}))
                runs.log_params(RunId("a"), {f"p{thread}-{step}": step})

        with ThreadPoolExecutor(6) as pool:
            list(pool.map(log, range(6)))

        run = runs.get(RunId("a"))
        assert len(run.params) == 60
        assert run.tags == {f"t{thread}": "9" for thread in range(6)}
        assert all(run.metrics[f"k{thread}"] == 9.0 for thread in range(6))
        assert len(metadata.series.history(RunId("a"), "loss")) == 6

    def test_threads_that_begin_runs_of_one_new_experiment_make_one(self, metadata: Metadata, runs: RunStore) -> None:
        with ThreadPoolExecutor(6) as pool:
            made = list(pool.map(lambda number: runs.create(a_run(str(number))), range(12)))

        assert {run.experiment_id for run in made} == {metadata.experiments.named("trees").id}  # type: ignore[union-attr]

    def test_a_large_batch_is_kept_whole(self, metadata: Metadata, runs: RunStore) -> None:
        runs.create(a_run())
        points = [a_point(step / 7, key=f"k{step % 3}", step=step) for step in range(3000)]

        runs.log_metrics(RunId("a"), points)

        assert [point for key in ("k0", "k1", "k2") for point in metadata.series.history(RunId("a"), key)] == sorted(
            points, key=lambda point: (point.key, point.step)
        )
