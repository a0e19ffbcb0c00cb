"""The law of the ExperimentStore port as tests. Subclass ExperimentsSuite where a fixture `metadata` gives an empty store."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace

from noria.domain.experiment import Experiment
from noria.domain.ids import ExperimentId, RunId, TrainedModelId
from noria.domain.query import And, Comparison, Field, Not, Operator, Order, Query
from noria.domain.trained import TrainedModel
from noria.errors import AlreadyExists, Conflict, InputInvalid, NotFound, QueryInvalid
from noria.ports.experiments import ExperimentStore
from noria.ports.metadata import Metadata
from noria.testing.runs_suite import LATER, NOON, a_file, a_run

NAME = Field(scope="attribute", key="name")


def asks(key: str, operator: Operator, value: str | float | None, *, tag: bool = False) -> Comparison:
    """One condition about an experiment."""
    return Comparison(field=Field(scope="tag" if tag else "attribute", key=key), operator=operator, value=value)


def ids(found: list[Experiment]) -> list[str]:
    """Which experiments these are."""
    return [experiment.id for experiment in found]


class ExperimentsSuite:
    """Laws that every experiment store keeps."""

    @pytest.fixture
    def experiments(self, metadata: Metadata) -> ExperimentStore:
        """An empty experiment store."""
        return metadata.experiments

    def test_an_experiment_comes_back_as_it_was_made(self, experiments: ExperimentStore) -> None:
        made = experiments.create("trees", at=NOON, tags={"team": "a"}, artifact_root="s3://bucket/trees")

        assert made == Experiment(
            id=ExperimentId("1"),
            name="trees",
            created_at=NOON,
            updated_at=NOON,
            tags={"team": "a"},
            artifact_root="s3://bucket/trees",
        )
        assert experiments.get(made.id) == made == experiments.named("trees")

    def test_numbers_rise_from_1_and_go_on_after_one_that_was_chosen(self, experiments: ExperimentStore) -> None:
        given = [
            experiments.create("a", at=NOON).id,
            experiments.create("zero", at=NOON, experiment_id=ExperimentId("0")).id,
            experiments.create("b", at=NOON).id,
            experiments.create("far", at=NOON, experiment_id=ExperimentId("40")).id,
            experiments.create("c", at=NOON).id,
            experiments.create("near", at=NOON, experiment_id=ExperimentId("7")).id,
            experiments.create("d", at=NOON).id,
        ]

        assert given == ["1", "0", "2", "40", "41", "7", "42"]

    def test_a_number_is_never_given_again(self, experiments: ExperimentStore) -> None:
        for name in ("a", "b"):
            experiments.trash(experiments.create(name, at=NOON).id, at=NOON)
        experiments.purge(ExperimentId("2"))

        assert experiments.create("c", at=NOON).id == "3"
        with pytest.raises(AlreadyExists):
            experiments.create("d", at=NOON, experiment_id=ExperimentId("2"))
        with pytest.raises(AlreadyExists):
            experiments.create("d", at=NOON, experiment_id=ExperimentId("1"))
        assert experiments.named("d") is None

    def test_a_name_is_one_experiments(self, experiments: ExperimentStore) -> None:
        experiments.create("trees", at=NOON)

        with pytest.raises(AlreadyExists, match="trees"):
            experiments.create("trees", at=LATER)

        assert experiments.create("Trees", at=NOON).id == "2"

    def test_what_cannot_be_an_experiment_is_refused(self, experiments: ExperimentStore) -> None:
        calls: list[Callable[[], Experiment]] = [
            lambda: experiments.create("", at=NOON),
            lambda: experiments.create("  ", at=NOON),
            lambda: experiments.create("a\0", at=NOON),
            lambda: experiments.create("\ud800", at=NOON),
            lambda: experiments.create("a", at=datetime(2013, 3, 1)),
            lambda: experiments.create("a", at=NOON, tags={"": "x"}),
            lambda: experiments.create("a", at=NOON, artifact_root="../elsewhere"),
            *(
                lambda each=each: experiments.create("a", at=NOON, experiment_id=ExperimentId(each))
                for each in ("", "x", "-1", "01", "1.0", "9223372036854775808", "\u0663")
            ),
        ]
        for call in calls:
            with pytest.raises(InputInvalid):
                call()

        assert experiments.count(Query(life="all")) == 0

    def test_an_unknown_experiment_is_not_found_by_any_call(self, experiments: ExperimentStore) -> None:
        missing = ExperimentId("9")

        assert experiments.named("nobody") is None
        for call in (
            lambda: experiments.get(missing),
            lambda: experiments.rename(missing, "b", at=NOON),
            lambda: experiments.set_tags(missing, {"a": "b"}, at=NOON),
            lambda: experiments.trash(missing, at=NOON),
            lambda: experiments.trash(missing, at=None),
            lambda: experiments.purge(missing),
        ):
            with pytest.raises(NotFound, match="'9'"):
                call()

    def test_renaming_frees_the_old_name(self, experiments: ExperimentStore) -> None:
        trees = experiments.create("trees", at=NOON)
        experiments.create("lines", at=NOON)

        renamed = experiments.rename(trees.id, "forests", at=LATER)

        assert renamed == replace(trees, name="forests", updated_at=LATER) == experiments.named("forests")
        assert experiments.rename(trees.id, "forests", at=LATER).name == "forests"
        with pytest.raises(AlreadyExists, match="lines"):
            experiments.rename(trees.id, "lines", at=LATER)
        assert experiments.create("trees", at=LATER).id == "3"

    def test_tags_are_set_and_taken_away(self, experiments: ExperimentStore) -> None:
        made = experiments.create("trees", at=NOON, tags={"team": "a", "kept": "1"})

        experiments.set_tags(made.id, {"team": "b", "new": "2"}, at=LATER)
        experiments.set_tags(made.id, {"team": None, "never": None}, at=LATER)

        assert experiments.get(made.id) == replace(made, tags={"kept": "1", "new": "2"}, updated_at=LATER)

    def test_in_the_trash_it_is_read_and_refuses_changes_and_its_name_is_free(
        self, experiments: ExperimentStore
    ) -> None:
        old = experiments.create("trees", at=NOON)
        experiments.trash(old.id, at=LATER)
        experiments.trash(old.id, at=LATER + timedelta(days=1))

        assert experiments.get(old.id).trashed_at == LATER
        assert experiments.named("trees") == experiments.get(old.id)
        with pytest.raises(Conflict, match="trash"):
            experiments.rename(old.id, "b", at=LATER)
        with pytest.raises(Conflict, match="trash"):
            experiments.set_tags(old.id, {"a": "b"}, at=LATER)

        new = experiments.create("trees", at=LATER)
        assert experiments.named("trees") == new
        with pytest.raises(AlreadyExists, match="trees"):
            experiments.trash(old.id, at=None)
        experiments.rename(new.id, "other", at=LATER)
        experiments.trash(old.id, at=None)
        experiments.trash(old.id, at=None)
        assert experiments.named("trees") == experiments.get(old.id)
        assert experiments.get(old.id).trashed_at is None

    def test_of_several_in_the_trash_the_newest_has_the_name(self, experiments: ExperimentStore) -> None:
        for at in (NOON, LATER, NOON):
            experiments.trash(experiments.create("trees", at=at).id, at=LATER)

        found = experiments.named("trees")

        assert found is not None
        assert found.id == "2"

    def test_its_runs_go_into_the_trash_with_it_and_only_those_come_back(self, metadata: Metadata) -> None:
        runs, experiments = metadata.runs, metadata.experiments
        for name in "abc":
            runs.create(a_run(name))
        runs.create(a_run("other", experiment="lines"))
        runs.trash([RunId("b")], at=LATER)  # at the very moment at which the others will follow

        experiments.trash(ExperimentId("1"), at=LATER)

        assert [runs.get(RunId(name)).trashed_at for name in ("a", "b", "c", "other")] == [LATER, LATER, LATER, None]
        with pytest.raises(Conflict):
            runs.set_tags(RunId("a"), {"x": "y"})

        experiments.trash(ExperimentId("1"), at=None)

        assert [runs.get(RunId(name)).trashed_at for name in "abc"] == [None, LATER, None]
        runs.trash([RunId("b")], at=None)
        runs.trash([RunId("a")], at=LATER)
        experiments.trash(ExperimentId("1"), at=LATER)
        experiments.trash(ExperimentId("1"), at=None)
        assert [runs.get(RunId(name)).trashed_at for name in "abc"] == [LATER, None, None]

    def test_purging_forgets_it_with_all_that_belongs_to_it(self, metadata: Metadata) -> None:
        runs, experiments = metadata.runs, metadata.experiments
        for name in "ab":
            runs.create(replace(a_run(name), artifacts=(a_file("model"),)))
        runs.create(replace(a_run("other", experiment="lines"), artifacts=(a_file("model"),)))
        model = TrainedModel(
            id=TrainedModelId("m"), experiment_id=ExperimentId("1"), name="m", created_at=NOON, updated_at=NOON
        )
        metadata.trained.create(model)
        with pytest.raises(Conflict, match="trash"):
            experiments.purge(ExperimentId("1"))
        experiments.trash(ExperimentId("1"), at=LATER)

        assert experiments.purge(ExperimentId("1")) == 2

        for call in (
            lambda: experiments.get(ExperimentId("1")),
            lambda: runs.get(RunId("a")),
            lambda: metadata.trained.get(TrainedModelId("m")),
            lambda: experiments.purge(ExperimentId("1")),
        ):
            with pytest.raises(NotFound):
                call()
        assert [file.path for file in metadata.artifacts.under("")] == ["2/other/artifacts/model"]

    def test_search_gives_the_newest_first_and_pages(self, experiments: ExperimentStore) -> None:
        for number, hours in enumerate((0, 2, 1, 2)):
            experiments.create(f"e{number}", at=NOON + timedelta(hours=hours))
        experiments.trash(ExperimentId("3"), at=LATER)

        first = experiments.search(Query(limit=2))
        second = experiments.search(Query(limit=2, after=first.next))

        assert ids(first.items + second.items) == ["2", "4", "1"]
        assert second.next == ""
        assert ids(experiments.search(Query(life="trashed")).items) == ["3"]
        assert ids(experiments.search(Query(life="all", order=(Order(field=NAME, descending=True),))).items) == [
            "4",
            "3",
            "2",
            "1",
        ]
        assert experiments.count(Query(limit=1)) == 3
        assert experiments.count(Query(life="all")) == 4
        assert ids(experiments.search(Query(experiments=(ExperimentId("4"), ExperimentId("3")))).items) == ["4"]

    def test_search_asks_names_times_and_tags(self, experiments: ExperimentStore) -> None:
        experiments.create("trees", at=NOON, tags={"team": "a"})
        experiments.create("Trees 2", at=LATER, tags={"team": "b"})
        experiments.create("lines", at=LATER)
        noon_ms = NOON.timestamp() * 1000

        def found(*terms: Comparison | Not) -> list[str]:
            return sorted(ids(experiments.search(Query(where=And(terms))).items))

        assert found(asks("name", "=", "trees")) == ["1"]
        assert found(asks("name", "like", "%rees%")) == ["1", "2"]
        assert found(asks("name", "ilike", "trees%")) == ["1", "2"]
        assert found(asks("created_at", ">", noon_ms)) == ["2", "3"]
        assert found(asks("team", "!=", "a", tag=True)) == ["2"]
        assert found(Not(asks("team", "=", "a", tag=True))) == ["2", "3"]
        assert found(asks("team", "is null", None, tag=True)) == ["3"]
        with pytest.raises(QueryInvalid, match="colour"):
            found(asks("colour", "=", "red"))

    def test_of_threads_that_make_one_name_one_wins_and_numbers_differ(self, experiments: ExperimentStore) -> None:
        def make(thread: int) -> str | None:
            experiments.create(f"own {thread}", at=NOON)
            try:
                return experiments.create("one", at=NOON).id
            except AlreadyExists:
                return None

        with ThreadPoolExecutor(6) as pool:
            won = [each for each in pool.map(make, range(6)) if each is not None]

        assert len(won) == 1
        assert len(set(ids(experiments.search(Query()).items))) == 7

    def test_times_keep_their_microseconds(self, experiments: ExperimentStore) -> None:
        at = datetime(1969, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)

        assert experiments.get(experiments.create("old", at=at).id).created_at == at
