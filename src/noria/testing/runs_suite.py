"""The law of the RunStore port as tests. Subclass RunsSuite and override the fixture `runs` with an empty one. Called by tests/conformance."""

import math
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone

import pytest
from msgspec.structs import replace

from noria.domain.ids import Digest, EventId, RunId
from noria.domain.run import Artifact, CodeVersion, Metric, Run
from noria.errors import AlreadyExists, Conflict, InputInvalid, NotFound
from noria.ports.runs import RunStore

NOON = datetime(2013, 3, 1, 12, tzinfo=UTC)


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


class RunsSuite:
    """Laws that every run store keeps."""

    @pytest.fixture
    def runs(self) -> RunStore:
        """An empty run store."""
        raise NotImplementedError("override the fixture 'runs'")

    def test_a_run_comes_back_as_it_was_created(self, runs: RunStore) -> None:
        run = replace(
            a_run(),
            params={"rate": 0.1, "depth": 3, "whole": 1.0, "on": True, "name": "ü", "none": None},
            tags={"who": "me"},
            artifacts=(Artifact(path="model.onnx", digest=Digest("blake3:1"), size=3),),
            datasets=(Digest("blake3:2"),),
            seed=2**63,
            code=CodeVersion(digest=Digest("blake3:3"), commit="abc", dirty=False),
            parent=RunId("p"),
            cause=EventId("e"),
        )

        runs.create(run)

        assert runs.get(run.id) == run
        assert [type(value) for value in runs.get(run.id).params.values()] == [float, int, float, bool, str, type(None)]

    def test_creating_the_same_run_again_changes_nothing(self, runs: RunStore) -> None:
        run = replace(a_run(), params={"b": 1, "a": 2}, metrics={"start": 0.5})
        runs.create(run)
        runs.log_metrics(run.id, [a_point(0.25)])
        runs.set_tags(run.id, {"t": "1"})

        again = runs.create(replace(run, params={"a": 2, "b": 1}))

        assert again == runs.get(run.id)
        assert again.metrics == {"start": 0.5, "loss": 0.25}
        assert runs.count() == 1

    def test_an_id_taken_by_another_run_is_refused(self, runs: RunStore) -> None:
        runs.create(a_run())

        with pytest.raises(AlreadyExists, match="'a'"):
            runs.create(a_run(experiment="other"))

    def test_metrics_given_at_creation_begin_their_series(self, runs: RunStore) -> None:
        run = runs.create(replace(a_run(), metrics={"auc": 0.5}))

        assert run.metrics == {"auc": 0.5}
        assert runs.history(run.id, "auc") == [Metric(key="auc", value=0.5, at=run.started_at)]

    def test_an_unknown_run_is_not_found_by_any_call(self, runs: RunStore) -> None:
        missing = RunId("nobody")

        for call in (
            lambda: runs.get(missing),
            lambda: runs.log_params(missing, {"a": 1}),
            lambda: runs.log_metrics(missing, [a_point(1.0)]),
            lambda: runs.history(missing, "loss"),
            lambda: runs.set_tags(missing, {"a": "b"}),
            lambda: runs.add_artifacts(missing, []),
            lambda: runs.finish(missing, status="finished", at=NOON),
        ):
            with pytest.raises(NotFound, match="'nobody'"):
                call()

    def test_a_start_without_zone_is_refused(self, runs: RunStore) -> None:
        with pytest.raises(InputInvalid, match="zone"):
            runs.create(replace(a_run(), started_at=datetime(2013, 3, 1)))

    def test_params_add_up_and_may_be_repeated(self, runs: RunStore) -> None:
        runs.create(replace(a_run(), params={"depth": 3}))

        runs.log_params(RunId("a"), {"depth": 3, "rate": 0.1})
        runs.log_params(RunId("a"), {"rate": 0.1, "nan": math.nan})
        runs.log_params(RunId("a"), {"nan": math.nan})

        params = runs.get(RunId("a")).params
        assert {key: params[key] for key in ("depth", "rate")} == {"depth": 3, "rate": 0.1}
        assert math.isnan(params["nan"])  # type: ignore[arg-type]

    @pytest.mark.parametrize("other", [2, 1.0, True, "1", None])
    def test_a_param_cannot_become_another_value(self, runs: RunStore, other: str | float | bool | None) -> None:
        runs.create(replace(a_run(), params={"depth": 1}))

        with pytest.raises(AlreadyExists, match="depth"):
            runs.log_params(RunId("a"), {"new": 1, "depth": other})

        assert runs.get(RunId("a")).params == {"depth": 1}

    def test_a_series_is_ordered_by_step_then_time(self, runs: RunStore) -> None:
        runs.create(a_run())
        points = [a_point(0.3, step=2), a_point(0.5, step=-1), a_point(0.4, step=1, seconds=2), a_point(0.6, step=1)]

        runs.log_metrics(RunId("a"), points)

        assert runs.history(RunId("a"), "loss") == [points[1], points[3], points[2], points[0]]

    def test_the_last_value_is_that_of_the_largest_step_and_time(self, runs: RunStore) -> None:
        runs.create(a_run())

        runs.log_metrics(RunId("a"), [a_point(0.3, step=2, seconds=5), a_point(0.9, key="auc")])
        runs.log_metrics(RunId("a"), [a_point(0.5, step=1, seconds=9)])
        runs.log_metrics(RunId("a"), [a_point(0.2, step=2, seconds=4)])

        assert runs.get(RunId("a")).metrics == {"loss": 0.3, "auc": 0.9}

        runs.log_metrics(RunId("a"), [a_point(0.1, step=2, seconds=6)])

        assert runs.get(RunId("a")).metrics["loss"] == 0.1

    def test_the_same_point_twice_is_one_point(self, runs: RunStore) -> None:
        runs.create(a_run())
        point = a_point(0.3, step=1)

        runs.log_metrics(RunId("a"), [point, point])
        runs.log_metrics(RunId("a"), [point, a_point(0.31, step=1), a_point(0.3, step=1, seconds=1)])

        assert len(runs.history(RunId("a"), "loss")) == 3

    def test_nan_and_infinities_are_kept(self, runs: RunStore) -> None:
        runs.create(replace(a_run(), metrics={"start": math.inf}))

        runs.log_metrics(RunId("a"), [a_point(v, step=i) for i, v in enumerate((math.inf, -math.inf, -0.0, math.nan))])
        runs.log_metrics(RunId("a"), [a_point(math.nan, step=3)])

        values = [point.value for point in runs.history(RunId("a"), "loss")]
        assert values[:2] == [math.inf, -math.inf]
        assert math.copysign(1.0, values[2]) == -1.0
        assert [math.isnan(value) for value in values[3:]] == [True]
        run = runs.get(RunId("a"))
        assert math.isnan(run.metrics["loss"])
        assert run.metrics["start"] == math.inf
        assert math.isnan(runs.find()[0].metrics["loss"])

    def test_one_bad_point_keeps_the_whole_batch_out(self, runs: RunStore) -> None:
        runs.create(a_run())

        with pytest.raises(InputInvalid, match="loss"):
            runs.log_metrics(RunId("a"), [a_point(1.0, key="auc"), a_point(1.0, step=2**63)])

        assert runs.get(RunId("a")).metrics == {}

    def test_points_keep_their_microseconds(self, runs: RunStore) -> None:
        runs.create(a_run())
        at = datetime(1969, 12, 31, 23, 59, 59, 999999, tzinfo=timezone(timedelta(hours=-7)))

        runs.log_metrics(RunId("a"), [Metric(key="loss", value=1.0, at=at)])

        assert runs.history(RunId("a"), "loss")[0].at == at

    def test_a_series_that_was_never_written_is_empty(self, runs: RunStore) -> None:
        runs.create(a_run())

        assert runs.history(RunId("a"), "unheard of") == []

    def test_tags_are_set_and_the_last_value_counts(self, runs: RunStore) -> None:
        runs.create(replace(a_run(), tags={"stage": "new", "kept": "1"}))

        runs.set_tags(RunId("a"), {"stage": "old"})

        assert runs.get(RunId("a")).tags == {"stage": "old", "kept": "1"}

    def test_artifacts_add_up_and_a_path_holds_one_content(self, runs: RunStore) -> None:
        model = Artifact(path="model", digest=Digest("blake3:1"), size=1)
        plot = Artifact(path="plot", digest=Digest("blake3:2"), size=2)
        runs.create(a_run())

        runs.add_artifacts(RunId("a"), [model])
        runs.add_artifacts(RunId("a"), [model, plot])

        assert runs.get(RunId("a")).artifacts == (model, plot)
        with pytest.raises(AlreadyExists, match="plot"):
            runs.add_artifacts(RunId("a"), [replace(plot, digest=Digest("blake3:3"))])

    def test_finishing_ends_a_run_once(self, runs: RunStore) -> None:
        runs.create(a_run())
        runs.log_metrics(RunId("a"), [a_point(0.5)])

        ended = runs.finish(RunId("a"), status="failed", at=NOON, error="out of memory")

        assert (ended.status, ended.finished_at, ended.error, ended.metrics) == (
            "failed",
            NOON,
            "out of memory",
            {"loss": 0.5},
        )
        assert runs.finish(RunId("a"), status="failed", at=NOON + timedelta(hours=1), error="out of memory") == ended
        assert runs.get(RunId("a")) == ended
        with pytest.raises(Conflict):
            runs.finish(RunId("a"), status="finished", at=NOON)

    def test_a_run_cannot_end_as_running(self, runs: RunStore) -> None:
        runs.create(a_run())

        with pytest.raises(InputInvalid):
            runs.finish(RunId("a"), status="running", at=NOON)

    def test_runs_are_found_newest_first_and_page_by_page(self, runs: RunStore) -> None:
        for name, minutes in (("b", 1), ("d", 3), ("a", 0), ("c", 3)):
            runs.create(a_run(name, minutes=minutes))

        assert [run.id for run in runs.find()] == ["c", "d", "b", "a"]
        assert [run.id for run in runs.find(limit=2, offset=1)] == ["d", "b"]
        assert runs.find(offset=4) == []
        assert runs.find(limit=0) == []

    def test_runs_are_found_and_counted_by_experiment_and_status(self, runs: RunStore) -> None:
        runs.create(replace(a_run("a"), metrics={"auc": 0.5}))
        runs.create(a_run("b", experiment="lines", minutes=1))
        runs.create(a_run("c", minutes=2))
        runs.finish(RunId("a"), status="finished", at=NOON)

        assert [run.id for run in runs.find(experiment="trees")] == ["c", "a"]
        assert [run.metrics for run in runs.find(experiment="trees", status="finished")] == [{"auc": 0.5}]
        assert runs.count() == 3
        assert runs.count(experiment="trees") == 2
        assert runs.count(experiment="trees", status="running") == 1
        assert runs.count(experiment="unheard of") == 0

    def test_experiments_are_listed_once_and_sorted(self, runs: RunStore) -> None:
        for number, experiment in enumerate(("trees", "lines", "trees")):
            runs.create(a_run(str(number), experiment=experiment))

        assert runs.experiments() == ["lines", "trees"]

    def test_threads_that_log_to_one_run_lose_nothing(self, runs: RunStore) -> None:
        runs.create(a_run())

        def log(thread: int) -> None:
            for step in range(10):
                runs.log_metrics(
                    RunId("a"), [a_point(float(step), key=f"k{thread}", step=step), a_point(1.0, step=thread)]
                )
                runs.log_params(RunId("a"), {f"p{thread}-{step}": step})

        with ThreadPoolExecutor(6) as pool:
            list(pool.map(log, range(6)))

        run = runs.get(RunId("a"))
        assert len(run.params) == 60
        assert all(run.metrics[f"k{thread}"] == 9.0 for thread in range(6))
        assert len(runs.history(RunId("a"), "loss")) == 6

    def test_a_large_batch_is_kept_whole(self, runs: RunStore) -> None:
        runs.create(a_run())
        points = [a_point(step / 7, key=f"k{step % 3}", step=step) for step in range(3000)]

        runs.log_metrics(RunId("a"), points)

        assert [point for key in ("k0", "k1", "k2") for point in runs.history(RunId("a"), key)] == sorted(
            points, key=lambda point: (point.key, point.step)
        )
