"""The law of the RunIndex port as tests. Subclass IndexSuite where a fixture `metadata` gives an empty store."""

import math
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace

from noria.domain.ids import ExperimentId, RunId
from noria.domain.query import And, Comparison, Condition, Field, Life, Not, Operator, Or, Order, Query, Scope
from noria.domain.run import DatasetUse, Metric, ParamValue, Run, RunKeys
from noria.errors import QueryInvalid
from noria.ports.index import RunIndex
from noria.ports.metadata import Metadata
from noria.testing.runs_suite import LATER, NOON, a_file, a_point, a_run

Value = str | float | tuple[str | float, ...] | None


def metric(key: str, operator: Operator, value: Value) -> Comparison:
    """A condition on a metric's last value."""
    return _about("metric", key, operator, value)


def param(key: str, operator: Operator, value: Value) -> Comparison:
    """A condition on a param."""
    return _about("param", key, operator, value)


def tag(key: str, operator: Operator, value: Value) -> Comparison:
    """A condition on a tag."""
    return _about("tag", key, operator, value)


def attribute(key: str, operator: Operator, value: Value) -> Comparison:
    """A condition on an attribute."""
    return _about("attribute", key, operator, value)


def dataset(key: str, operator: Operator, value: Value) -> Comparison:
    """A condition on any of the run's datasets."""
    return _about("dataset", key, operator, value)


def by(scope: Scope, key: str, *, descending: bool = False) -> tuple[Order, ...]:
    """An order by one field."""
    return (Order(field=Field(scope=scope, key=key), descending=descending),)


def _about(scope: Scope, key: str, operator: Operator, value: Value) -> Comparison:
    return Comparison(field=Field(scope=scope, key=key), operator=operator, value=value)


class IndexSuite:
    """Laws that every index of runs keeps."""

    @pytest.fixture
    def index(self, metadata: Metadata) -> RunIndex:
        """The index of an empty store."""
        return metadata.index

    @pytest.fixture
    def some(self, metadata: Metadata) -> None:
        """Six runs, a to f, a minute apart, of experiments 1 (trees) and 2 (lines: e, f)."""
        params: list[dict[str, ParamValue]] = [
            {"depth": 3, "kind": "oak"},
            {"depth": 20, "kind": "Oak tree"},
            {"depth": "7"},
            {"depth": "deep", "kind": "elm"},
            {"rate": 0.5, "on": True},
            {},
        ]
        metrics = [
            {"auc": 0.7},
            {"auc": 0.9},
            {"auc": math.nan},
            {"auc": math.inf},
            {"auc": -math.inf, "loss": 1.0},
            {},
        ]
        for number, name in enumerate("abcdef"):
            run = a_run(name, experiment="trees" if name < "e" else "lines", minutes=number)
            metadata.runs.create(
                replace(run, params=params[number], metrics=metrics[number], tags={"of": name.upper()})
            )

    def found(self, index: RunIndex, where: Condition | None = None, life: Life = "active") -> str:
        """Ids of what a condition finds, sorted; counted as well."""
        query = Query(where=where, life=life)
        runs = index.search(query).items
        assert index.count(query) == len(runs)
        return "".join(sorted(run.id for run in runs))

    def ordered(self, index: RunIndex, order: tuple[Order, ...]) -> str:
        """Ids of all runs in an order, read in pages of two."""
        ids, after = "", ""
        while True:
            page = index.search(Query(order=order, limit=2, after=after))
            ids += "".join(run.id for run in page.items)
            after = page.next
            if not after:
                return ids

    def test_nothing_finds_nothing(self, index: RunIndex) -> None:
        page = index.search(Query())

        assert (page.items, page.next) == ([], "")
        assert index.count(Query()) == 0
        assert index.keys() == RunKeys(metrics=[], params=[], tags=[])

    def test_a_run_that_is_found_is_the_run_without_its_artifacts(self, metadata: Metadata, index: RunIndex) -> None:
        run = metadata.runs.create(
            replace(
                a_run(),
                params={"depth": 3, "rate": 1.0, "none": None},
                tags={"who": "me"},
                metrics={"auc": math.inf},
                artifacts=(a_file("model"),),
                inputs=(DatasetUse(name="flights", digest="d1", tags={"context": "training"}),),
            )
        )

        (found,) = index.search(Query()).items

        assert found == replace(run, artifacts=())
        assert [type(value) for value in found.params.values()] == [int, float, type(None)]

    def test_the_newest_come_first_and_of_one_time_by_id(self, metadata: Metadata, index: RunIndex) -> None:
        for name, minutes in (("b", 1), ("d", 3), ("a", 0), ("c", 3)):
            metadata.runs.create(a_run(name, minutes=minutes))

        assert self.ordered(index, ()) == "cdba"
        assert [run.id for run in index.search(Query(limit=2, skip=1)).items] == ["d", "b"]
        assert index.search(Query(limit=0)).items == []
        assert index.search(Query(limit=4)).next == ""
        assert index.search(Query(skip=4)).items == []

    @pytest.mark.usefixtures("some")
    def test_metrics_compare_by_their_last_value(self, metadata: Metadata, index: RunIndex) -> None:
        metadata.runs.log_metrics(RunId("b"), [a_point(0.1, key="auc", step=1)])

        assert self.found(index, metric("auc", ">", 0.5)) == "ad"
        assert self.found(index, metric("auc", "<=", 0.7)) == "abe"
        assert self.found(index, metric("auc", "=", 0.7)) == "a"
        assert self.found(index, metric("auc", "!=", 0.7)) == "bcde"
        assert self.found(index, metric("auc", "=", math.inf)) == "d"
        assert self.found(index, metric("auc", "<", math.inf)) == "abe"
        assert self.found(index, metric("auc", "=", math.nan)) == "c"
        assert self.found(index, metric("auc", "!=", math.nan)) == "abde"
        assert self.found(index, metric("auc", "is null", None)) == "f"
        assert self.found(index, metric("loss", "is not null", None)) == "e"
        assert self.found(index, metric("unheard of", ">", 0)) == ""

    @pytest.mark.usefixtures("some")
    def test_params_compare_as_numbers_with_numbers_and_as_text_with_text(self, index: RunIndex) -> None:
        assert self.found(index, param("depth", ">", 5)) == "bc"
        assert self.found(index, param("depth", "=", 3)) == "a"
        assert self.found(index, param("depth", "!=", 3)) == "bc"
        assert self.found(index, param("depth", "=", "3")) == "a"
        assert self.found(index, param("depth", "!=", "3")) == "bcd"
        assert self.found(index, param("depth", "in", ("7", "deep"))) == "cd"
        assert self.found(index, param("kind", "like", "%ak%")) == "ab"
        assert self.found(index, param("kind", "ilike", "OAK")) == "a"
        assert self.found(index, param("kind", "is null", None)) == "cef"
        assert self.found(index, param("on", "=", "True")) == "e"

    @pytest.mark.usefixtures("some")
    def test_tags_and_names_match_text(self, metadata: Metadata, index: RunIndex) -> None:
        metadata.runs.set_tags(RunId("a"), {"odd.key with spaces": "100%_x", "of": None})

        assert self.found(index, tag("of", "=", "B")) == "b"
        assert self.found(index, tag("of", "!=", "B")) == "cdef"
        assert self.found(index, tag("of", "not in", ("B", "C"))) == "def"
        assert self.found(index, tag("of", "is null", None)) == "a"
        assert self.found(index, tag("odd.key with spaces", "like", "100%x")) == "a"
        assert self.found(index, tag("odd.key with spaces", "like", "100_")) == ""
        assert self.found(index, attribute("name", "ilike", "RUN _")) == "abcdef"
        assert self.found(index, attribute("name", "like", "RUN %")) == ""
        assert self.found(index, attribute("run_id", "in", ("a", "f", "x"))) == "af"

    @pytest.mark.usefixtures("some")
    def test_every_text_of_a_run_is_searched_at_once(self, metadata: Metadata, index: RunIndex) -> None:
        metadata.runs.create(replace(a_run("g", minutes=9), user="Ada"))

        assert self.found(index, attribute("text", "ilike", "%OAK%")) == "ab"
        assert self.found(index, attribute("text", "like", "depth=deep")) == "d"
        assert self.found(index, attribute("text", "like", "lin%")) == "ef"
        assert self.found(index, attribute("text", "like", "run b")) == "b"
        assert self.found(index, attribute("text", "like", "of=C")) == "c"
        assert self.found(index, attribute("text", "like", "Ada")) == "g"

    def test_case_folds_for_a_to_z_only(self, metadata: Metadata, index: RunIndex) -> None:
        for name, text in (("a", "Ärger"), ("b", "ärger"), ("c", "straße")):
            metadata.runs.create(replace(a_run(name), tags={"t": text}))

        assert self.found(index, tag("t", "ilike", "äRGER")) == "b"
        assert self.found(index, tag("t", "ilike", "STRASSE")) == ""
        assert self.found(index, tag("t", "ilike", "STRAß_")) == "c"
        assert self.found(index, tag("t", "like", "_rger")) == "ab"

    @pytest.mark.usefixtures("some")
    def test_attributes_are_asked_by_value(self, metadata: Metadata, index: RunIndex) -> None:
        metadata.runs.finish(RunId("a"), status="failed", at=LATER)
        metadata.runs.create(replace(a_run("g", minutes=9), user="me", seed=7, status="scheduled"))
        noon_ms = NOON.timestamp() * 1000

        assert self.found(index, attribute("status", "=", "failed")) == "a"
        assert self.found(index, attribute("status", "in", ("failed", "scheduled"))) == "ag"
        assert self.found(index, attribute("started_at", ">", noon_ms + 4 * 60_000)) == "fg"
        assert self.found(index, attribute("started_at", "=", noon_ms)) == "a"
        assert self.found(index, attribute("finished_at", ">", noon_ms)) == "a"
        assert self.found(index, attribute("finished_at", "is null", None)) == "bcdefg"
        assert self.found(index, attribute("user", "=", "me")) == "g"
        assert self.found(index, attribute("seed", ">", 5)) == "g"
        assert self.found(index, attribute("experiment", "=", "lines")) == "ef"
        assert self.found(index, attribute("experiment_id", "=", "2")) == "ef"
        assert self.found(index, attribute("artifact_root", "like", "1/%")) == "abcdg"

    def test_times_compare_as_whole_milliseconds(self, metadata: Metadata, index: RunIndex) -> None:
        metadata.runs.create(replace(a_run("a"), started_at=NOON + timedelta(microseconds=1999)))
        ms = NOON.timestamp() * 1000 + 1

        assert self.found(index, attribute("started_at", "=", ms)) == "a"
        assert self.found(index, attribute("started_at", ">", ms)) == ""

    def test_one_dataset_that_fits_is_enough(self, metadata: Metadata, index: RunIndex) -> None:
        train = DatasetUse(name="flights", digest="d1", tags={"context": "training"})
        test = DatasetUse(name="flights", digest="d2", tags={"context": "test"})
        metadata.runs.create(replace(a_run("a"), inputs=(train, test)))
        metadata.runs.create(replace(a_run("b"), inputs=(train,)))
        metadata.runs.create(a_run("c"))

        assert self.found(index, dataset("name", "=", "flights")) == "ab"
        assert self.found(index, dataset("digest", "=", "d2")) == "a"
        assert self.found(index, dataset("digest", "!=", "d1")) == "a"
        assert self.found(index, dataset("context", "in", ("test", "other"))) == "a"
        assert self.found(index, Not(dataset("context", "=", "test"))) == "bc"
        metadata.runs.link(RunId("c"), inputs=[test])
        assert self.found(index, dataset("context", "like", "te%")) == "ac"

    @pytest.mark.usefixtures("some")
    def test_conditions_are_combined(self, index: RunIndex) -> None:
        good, trees = metric("auc", ">", 0.5), attribute("experiment", "=", "trees")

        assert self.found(index, And((good, trees))) == "abd"
        assert self.found(index, Or((good, param("rate", "=", 0.5)))) == "abde"
        assert self.found(index, Not(good)) == "cef"
        assert self.found(index, And((Not(good), Not(trees)))) == "ef"
        assert self.found(index, Not(Or((good, Not(trees))))) == "c"
        assert self.found(index, And(())) == "abcdef"
        assert self.found(index, Or(())) == ""
        assert self.found(index, Not(param("depth", "!=", "3"))) == "aef"

    @pytest.mark.usefixtures("some")
    def test_an_order_puts_numbers_then_nan_then_nothing_whichever_way_it_runs(self, index: RunIndex) -> None:
        assert self.ordered(index, by("metric", "auc")) == "eabdcf"
        assert self.ordered(index, by("metric", "auc", descending=True)) == "dbaecf"

    @pytest.mark.usefixtures("some")
    def test_an_order_by_a_param_puts_numbers_before_texts_before_nothing(self, index: RunIndex) -> None:
        assert self.ordered(index, by("param", "depth")) == "acbdfe"
        assert self.ordered(index, by("param", "depth", descending=True)) == "bcadfe"

    @pytest.mark.usefixtures("some")
    def test_ties_of_an_order_run_newest_first(self, metadata: Metadata, index: RunIndex) -> None:
        for name in "bdf":
            metadata.runs.set_tags(RunId(name), {"half": "x"})

        assert self.ordered(index, by("tag", "half")) == "fdbeca"
        assert self.ordered(index, (*by("tag", "half", descending=True), *by("attribute", "name"))) == "bdface"
        assert self.ordered(index, by("attribute", "started_at")) == "abcdef"
        assert self.ordered(index, by("attribute", "experiment_id", descending=True)) == "fedcba"

    def test_experiments_sort_by_their_number(self, metadata: Metadata, index: RunIndex) -> None:
        for number in (2, 10, 1):
            home = metadata.experiments.create(f"e{number}", at=NOON, experiment_id=ExperimentId(str(number)))
            metadata.runs.create(a_run(f"{number % 10}", experiment=home.name))

        assert self.ordered(index, by("attribute", "experiment_id")) == "120"

    @pytest.mark.usefixtures("some")
    def test_pages_go_on_where_the_last_one_ended_whatever_was_written_meanwhile(
        self, metadata: Metadata, index: RunIndex
    ) -> None:
        order = by("metric", "auc", descending=True)
        first = index.search(Query(order=order, limit=3))
        assert [run.id for run in first.items] == ["d", "b", "a"]

        metadata.runs.create(replace(a_run("new", minutes=9), metrics={"auc": 0.95}))
        metadata.runs.log_metrics(RunId("a"), [a_point(0.99, key="auc", step=1)])
        metadata.runs.trash([RunId("b")], at=LATER)
        second = index.search(Query(order=order, limit=3, after=first.next))

        assert [run.id for run in second.items] == ["e", "c", "f"]
        assert second.next == ""

    @pytest.mark.usefixtures("some")
    def test_a_token_belongs_to_its_query(self, index: RunIndex) -> None:
        token = index.search(Query(limit=2)).next

        assert token
        for query in (
            Query(after=token, where=metric("auc", ">", 0.5)),
            Query(after=token, order=by("metric", "auc")),
            Query(after=token, experiments=(ExperimentId("1"),)),
            Query(after=token, life="all"),
            Query(after=token[:-2]),
            Query(after="no token"),
        ):
            with pytest.raises(QueryInvalid):
                index.search(query)

    @pytest.mark.usefixtures("some")
    def test_some_experiments_alone_are_searched(self, index: RunIndex) -> None:
        def found(*experiments: str) -> str:
            query = Query(experiments=tuple(map(ExperimentId, experiments)))
            assert index.count(query) == len(index.search(query).items)
            return "".join(run.id for run in index.search(query).items)

        assert found("2") == "fe"
        assert found("2", "1", "99") == "fedcba"
        assert found("99") == ""
        assert found() == ""

    @pytest.mark.usefixtures("some")
    def test_the_trash_is_searched_when_asked_for(self, metadata: Metadata, index: RunIndex) -> None:
        metadata.runs.trash([RunId("a")], at=LATER)
        metadata.experiments.trash(ExperimentId("2"), at=LATER)

        assert self.found(index) == "bcd"
        assert self.found(index, life="trashed") == "aef"
        assert self.found(index, life="all") == "abcdef"

    @pytest.mark.usefixtures("some")
    def test_every_key_in_use_is_known(self, metadata: Metadata, index: RunIndex) -> None:
        keys = index.keys()
        assert keys == RunKeys(metrics=["auc", "loss"], params=["depth", "kind", "on", "rate"], tags=["of"])

        assert index.keys([ExperimentId("2")]) == RunKeys(metrics=["auc", "loss"], params=["on", "rate"], tags=["of"])
        assert index.keys([]) == RunKeys(metrics=[], params=[], tags=[])
        metadata.runs.trash([RunId("e")], at=LATER)
        assert index.keys([ExperimentId("2")]) == RunKeys(metrics=[], params=[], tags=["of"])

    @pytest.mark.parametrize(
        "query",
        [
            Query(where=attribute("colour", "=", "red")),
            Query(where=metric("auc", "=", "high")),
            Query(where=metric("auc", "like", "1%")),
            Query(where=tag("a", "=", 1.0)),
            Query(where=tag("a", "in", ())),
            Query(where=dataset("colour", "=", "red")),
            Query(where=attribute("started_at", "=", "noon")),
            Query(where=attribute("name", "=", None)),
            Query(where=metric("", ">", 1.0)),
            Query(where=tag("a", "=", "b\0")),
            Query(order=by("attribute", "colour")),
            Query(limit=-1),
        ],
        ids=lambda query: "",
    )
    def test_what_cannot_be_asked_is_refused_even_of_nothing(self, index: RunIndex, query: Query) -> None:
        with pytest.raises(QueryInvalid):
            index.search(query)

    def test_texts_of_others_are_only_texts(self, metadata: Metadata, index: RunIndex) -> None:
        odd = "'; DROP TABLE runs; --"
        metadata.runs.create(replace(a_run("a"), tags={odd: odd}, params={odd: odd}, metrics={odd: 1.0}))

        assert self.found(index, tag(odd, "=", odd)) == "a"
        assert self.found(index, param(odd, "like", f"{odd}%")) == "a"
        assert self.found(index, metric(odd, "=", 1.0)) == "a"
        assert self.ordered(index, by("metric", odd)) == "a"

    def test_pages_read_beside_writers_hold_each_older_run_once(self, metadata: Metadata, index: RunIndex) -> None:
        old = [a_run(f"old-{number:02}", minutes=number) for number in range(30)]
        for run in old:
            metadata.runs.create(run)

        def write(thread: int) -> None:
            for number in range(40):
                metadata.runs.create(a_run(f"new-{thread}-{number}", minutes=number))
                metadata.runs.log_metrics(RunId(f"old-{number % 30:02}"), [a_point(float(number), step=number)])

        with ThreadPoolExecutor(2) as pool:
            writers = [pool.submit(write, thread) for thread in range(2)]
            seen = [self._all(index) for _ in range(4)]
            for writer in writers:
                writer.result()

        for ids in seen:
            assert len(ids) == len(set(ids))
            assert {run.id for run in old} <= set(ids)

    def _all(self, index: RunIndex) -> list[str]:
        ids: list[str] = []
        page = index.search(Query(limit=7))
        while True:
            ids += [run.id for run in page.items]
            if not page.next:
                return ids
            page = index.search(Query(limit=7, after=page.next))

    def test_a_write_that_was_answered_is_found(self, metadata: Metadata, index: RunIndex) -> None:
        for number in range(10):
            run = Run(id=RunId(str(number)), experiment="trees", name="", status="running", started_at=NOON)
            metadata.runs.create(run)
            metadata.runs.log_metrics(run.id, [Metric(key="auc", value=float(number), at=datetime.now(UTC))])
            assert self.found(index, metric("auc", "=", float(number))) == str(number)
