"""The law of the ModelStore port as tests. Subclass ModelsSuite where a fixture `metadata` gives an empty store. Called by tests/conformance.

The names under which versions stand are catalog_suite.py.
"""

import math
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace

from noria.domain.ids import Digest, EventId, RunId
from noria.domain.model import AliasMove, Field, ModelVersion, Packaged, SemanticVersion, Signature
from noria.domain.query import Comparison, Operator, Order, Query, Scope
from noria.domain.query import Field as Asked
from noria.errors import AlreadyExists, Conflict, InputInvalid, NotFound, QueryInvalid
from noria.ports.metadata import Metadata
from noria.ports.models import ModelStore
from noria.testing.deployments_suite import a_deployment

NOON = datetime(2013, 3, 1, 12, tzinfo=UTC)
LATER = NOON + timedelta(days=30)


def a_version(number: int = 1, *, model: str = "delay", run: str = "") -> ModelVersion:
    """A version with a run of its own."""
    return ModelVersion(
        model=model,
        number=number,
        version=SemanticVersion(major=1, minor=number, patch=0),
        version_reason="hyper-parameters changed",
        run_id=RunId(run or f"run-{model}-{number}"),
        bundle=Digest(f"blake3:{number}"),
        flavor="onnx",
        signature=Signature(
            inputs=(Field(name="carrier", datatype="BYTES", categories=("AA", "UA")),),
            outputs=(Field(name="late", datatype="FP32"),),
        ),
        created_at=NOON + timedelta(days=number),
        metrics={"auc": 0.7, "nan": math.inf},
        params={"depth": 3, "rate": 1.0},
    )


def a_move(
    number: int | None,
    *,
    cause: str | None = None,
    alias: str = "champion",
    model: str = "delay",
    minutes: int | None = None,
) -> AliasMove:
    """A move of an alias; by default nobody's cause."""
    return AliasMove(
        model=model,
        alias=alias,
        number=number,
        previous=None,
        at=NOON + timedelta(minutes=number or 0 if minutes is None else minutes),
        actor="suite",
        reason="because",
        cause=EventId(cause) if cause else None,
    )


class ModelsSuite:
    """Laws that every model store keeps."""

    @pytest.fixture
    def models(self, metadata: Metadata) -> ModelStore:
        """An empty model store."""
        return metadata.models

    def test_a_version_comes_back_as_it_was_registered(self, models: ModelStore) -> None:
        version = a_version()

        assert models.register(version) == version

        assert models.get("delay", 1) == version
        assert type(models.get("delay", 1).params["rate"]) is float

    def test_registering_the_same_version_again_changes_nothing(self, models: ModelStore) -> None:
        models.register(a_version())

        assert models.register(a_version()) == a_version()

        assert models.versions("delay") == [a_version()]

    def test_a_number_taken_by_another_version_is_refused(self, models: ModelStore) -> None:
        models.register(a_version())

        with pytest.raises(AlreadyExists, match="delay/1"):
            models.register(replace(a_version(), flavor="sklearn"))

        assert models.get("delay", 1).flavor == "onnx"

    def test_one_run_may_be_registered_more_than_once(self, models: ModelStore) -> None:
        models.register(a_version(1, run="r"))
        models.register(a_version(2, run="r"))
        models.register(a_version(1, model="other", run="r"))

        assert [version.run_id for version in models.versions("delay")] == ["r", "r"]
        assert models.models() == ["delay", "other"]

    def test_registering_makes_the_model_and_moves_its_time(self, metadata: Metadata, models: ModelStore) -> None:
        models.register(a_version(1))
        models.register(a_version(2))

        model = metadata.catalog.get("delay")
        assert (model.created_at, model.updated_at) == (a_version(1).created_at, a_version(2).created_at)

    def test_a_version_from_outside_needs_no_bundle(self, models: ModelStore) -> None:
        version = replace(
            a_version(),
            bundle=None,
            signature=None,
            run_id=None,
            source="s3://bucket/model",
            user="me",
            description="x",
        )

        assert models.register(version) == version == models.get("delay", 1)

    def test_numbers_count_from_1(self, models: ModelStore) -> None:
        for version in (a_version(0), a_version(1, model=""), a_version(1, model="a/b"), a_version(1, model="a:b")):
            with pytest.raises(InputInvalid):
                models.register(version)
        with pytest.raises(InputInvalid):
            models.register(replace(a_version(), created_at=datetime(2013, 3, 1)))
        assert models.models() == []

    def test_versions_come_oldest_first(self, models: ModelStore) -> None:
        for number in (10, 2, 1):
            models.register(a_version(number))

        assert [version.number for version in models.versions("delay")] == [1, 2, 10]
        assert models.versions("unheard of") == []

    def test_an_unknown_version_is_not_found_and_near_names_are_offered(self, models: ModelStore) -> None:
        models.register(a_version())

        with pytest.raises(NotFound) as caught:
            models.get("delya", 1)

        assert "delay/1" in caught.value.cause

    def test_an_alias_points_where_it_was_moved_last(self, models: ModelStore) -> None:
        models.register(a_version(1))
        models.register(a_version(2))
        assert models.alias("delay", "champion") is None

        models.move_alias(a_move(1))
        models.move_alias(a_move(2))

        assert models.alias("delay", "champion") == 2
        assert models.alias("delay", "challenger") is None

    def test_an_alias_remembers_where_it_pointed_before_whatever_the_mover_believed(self, models: ModelStore) -> None:
        for number in (1, 2, 3):
            models.register(a_version(number))

        models.move_alias(a_move(1))
        models.move_alias(replace(a_move(2), previous=3))
        models.move_alias(a_move(3, alias="challenger"))
        models.move_alias(replace(a_move(1), at=NOON + timedelta(days=1)))

        history = models.alias_history("delay", "champion")
        assert [(move.number, move.previous) for move in history] == [(1, None), (2, 1), (1, 2)]
        assert [move.alias for move in models.alias_history("delay")] == [
            "champion",
            "champion",
            "challenger",
            "champion",
        ]
        assert models.alias_history("other") == []

    def test_the_same_move_twice_is_one(self, models: ModelStore) -> None:
        models.register(a_version(1))
        models.register(a_version(2))
        models.move_alias(a_move(1, cause="e1"))
        models.move_alias(a_move(2))

        models.move_alias(replace(a_move(1, cause="e1"), at=NOON + timedelta(days=3)))
        models.move_alias(a_move(2))

        assert models.alias("delay", "champion") == 2
        assert len(models.alias_history("delay")) == 2

    def test_a_cause_moves_an_alias_to_one_version_only(self, models: ModelStore) -> None:
        models.register(a_version(1))
        models.register(a_version(2))
        models.move_alias(a_move(1, cause="e1"))

        with pytest.raises(AlreadyExists, match="e1"):
            models.move_alias(a_move(2, cause="e1"))

    def test_an_alias_cannot_point_to_a_version_that_is_not_there(self, models: ModelStore) -> None:
        models.register(a_version(1))

        with pytest.raises(NotFound, match="delay/2"):
            models.move_alias(a_move(2))

        assert models.alias_history("delay") == []

    def test_an_alias_can_be_taken_away_and_its_history_tells_so(self, models: ModelStore) -> None:
        models.register(a_version(1))
        models.move_alias(a_move(1))

        models.move_alias(a_move(None, minutes=2))
        models.move_alias(a_move(None, minutes=3))

        assert models.alias("delay", "champion") is None
        assert models.aliases("delay") == {}
        assert [(move.number, move.previous) for move in models.alias_history("delay")] == [(1, None), (None, 1)]
        models.move_alias(a_move(1, minutes=4))
        assert models.aliases("delay") == {"champion": 1}

    def test_all_aliases_are_told_by_name(self, models: ModelStore) -> None:
        models.register(a_version(1))
        models.register(a_version(2))
        for alias, number in (("champion", 1), ("challenger", 2), ("best", 2), ("champion", 2)):
            models.move_alias(replace(a_move(number), alias=alias))

        assert list(models.aliases("delay").items()) == [("best", 2), ("challenger", 2), ("champion", 2)]
        assert models.aliases("unheard of") == {}

    def test_what_cannot_be_a_move_is_refused(self, models: ModelStore) -> None:
        models.register(a_version(1))

        with pytest.raises(InputInvalid):
            models.move_alias(replace(a_move(1), alias=""))
        with pytest.raises(InputInvalid):
            models.move_alias(replace(a_move(1), at=datetime(2013, 3, 1)))
        with pytest.raises(NotFound):
            models.move_alias(replace(a_move(None), model="unheard of"))
        assert models.alias_history("delay") == []

    def test_description_and_tags_change_and_nothing_else(self, models: ModelStore) -> None:
        version = models.register(replace(a_version(), tags={"a": "1", "b": "2"}))

        changed = models.amend("delay", 1, at=LATER, description="good", tags={"a": None, "c": "3", "never": None})
        assert changed == replace(version, description="good", tags={"b": "2", "c": "3"}, updated_at=LATER)
        assert models.get("delay", 1) == changed
        assert models.amend("delay", 1, at=LATER, tags={"d": "4"}).description == "good"
        assert models.amend("delay", 1, at=LATER, description="").description == ""
        with pytest.raises(NotFound):
            models.amend("delay", 2, at=LATER)

    def test_registering_again_what_was_amended_since_is_a_repetition(self, models: ModelStore) -> None:
        models.register(a_version())
        changed = models.amend("delay", 1, at=LATER, description="good", tags={"a": "b"})

        assert models.register(a_version()) == changed
        with pytest.raises(AlreadyExists):
            models.register(replace(a_version(), description="good", tags={"a": "b"}))

    def test_a_version_from_outside_gets_its_bundle_once(self, models: ModelStore) -> None:
        made = a_version()
        assert made.bundle is not None
        assert made.signature is not None
        packaged = Packaged(bundle=made.bundle, flavor="onnx", signature=made.signature)
        outside = replace(made, bundle=None, signature=None, flavor="")
        models.register(outside)

        changed = models.amend("delay", 1, at=LATER, packaged=packaged)

        assert changed == replace(made, updated_at=LATER) == models.get("delay", 1)
        assert models.versions("delay") == models.search(Query()).items == [changed]
        assert models.amend("delay", 1, at=LATER, packaged=packaged) == changed
        assert models.amend("delay", 1, at=LATER, description="served").bundle == made.bundle
        assert models.register(outside).bundle == made.bundle
        with pytest.raises(AlreadyExists, match="delay/1"):
            models.amend("delay", 1, at=LATER, packaged=replace(packaged, bundle=Digest("blake3:other")))
        assert models.get("delay", 1).bundle == made.bundle
        with pytest.raises(NotFound):
            models.amend("delay", 2, at=LATER, packaged=packaged)

    def test_a_deleted_version_is_gone_with_its_aliases_and_its_number(self, models: ModelStore) -> None:
        for number in (1, 2):
            models.register(a_version(number))
        for alias, number in (("champion", 2), ("best", 2), ("old", 1)):
            models.move_alias(replace(a_move(number), alias=alias))

        models.delete("delay", 2, at=LATER)

        assert [version.number for version in models.versions("delay")] == [1]
        assert models.aliases("delay") == {"old": 1}
        history = models.alias_history("delay", "champion")
        assert [(move.number, move.previous, move.at) for move in history[1:]] == [(None, 2, LATER)]
        assert models.next_number("delay") == 3
        for call in (
            lambda: models.get("delay", 2),
            lambda: models.delete("delay", 2, at=LATER),
            lambda: models.amend("delay", 2, at=LATER, description="x"),
            lambda: models.move_alias(replace(a_move(2), alias="new")),
        ):
            with pytest.raises(NotFound, match="delay/2"):
                call()
        with pytest.raises(AlreadyExists, match="delay/2"):
            models.register(a_version(2))
        assert models.register(a_version(3)).number == 3

    def test_a_version_that_answers_requests_is_not_deleted(self, metadata: Metadata, models: ModelStore) -> None:
        models.register(a_version(1))
        models.register(a_version(2))
        metadata.deployments.put(a_deployment(1))

        with pytest.raises(Conflict, match="late"):
            models.delete("delay", 1, at=LATER)
        models.delete("delay", 2, at=LATER)

        assert [version.number for version in models.versions("delay")] == [1]

    def test_the_next_number_follows_the_highest_that_was_given(self, models: ModelStore) -> None:
        assert models.next_number("delay") == 1
        for number in (5, 2):
            models.register(a_version(number))

        assert models.next_number("delay") == 6
        assert models.register(a_version(3)).number == 3

    def test_search_finds_versions_of_all_models(self, models: ModelStore) -> None:
        for model, number in (("delay", 1), ("delay", 2), ("churn", 1), ("churn", 10)):
            models.register(replace(a_version(number, model=model), tags={"of": model}, source=f"s3://{number}"))

        def found(key: str, operator: Operator, value: str | float, scope: Scope = "attribute") -> list[str]:
            where = Comparison(field=Asked(scope=scope, key=key), operator=operator, value=value)
            return [version.ref for version in models.search(Query(where=where)).items]

        first = models.search(Query(limit=2))
        rest = models.search(Query(limit=2, after=first.next))
        assert [version.ref for version in first.items + rest.items] == ["churn/10", "delay/2", "churn/1", "delay/1"]
        assert rest.next == ""
        assert found("name", "=", "delay") == ["delay/2", "delay/1"]
        assert found("name", "ilike", "CH%") == ["churn/10", "churn/1"]
        assert found("version", ">", 1.5) == ["churn/10", "delay/2"]
        assert found("run_id", "=", "run-delay-1") == ["delay/1"]
        assert found("source", "=", "s3://10") == ["churn/10"]
        assert found("of", "!=", "delay", "tag") == ["churn/10", "churn/1"]
        assert models.search(Query(limit=1)).items == [models.get("churn", 10)]
        with pytest.raises(QueryInvalid):
            found("colour", "=", "red")
        by_number = (Order(field=Asked(scope="attribute", key="version")),)
        ordered = [version.number for version in models.search(Query(order=by_number)).items]
        assert ordered == [1, 1, 2, 10]

    def test_of_threads_that_register_one_number_one_wins(self, models: ModelStore) -> None:
        def register(thread: int) -> bool:
            try:
                models.register(a_version(1, run=f"run-{thread}"))
            except AlreadyExists:
                return False
            return True

        with ThreadPoolExecutor(8) as pool:
            won = list(pool.map(register, range(8)))

        assert sum(won) == 1
        assert models.get("delay", 1).run_id == f"run-{won.index(True)}"
