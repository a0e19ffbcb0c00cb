"""The law of the ModelStore port as tests. Subclass ModelsSuite and override the fixture `models` with an empty one. Called by tests/conformance."""

import math
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace

from noria.domain.ids import Digest, EventId, RunId
from noria.domain.model import AliasMove, Field, ModelVersion, SemanticVersion, Signature
from noria.errors import AlreadyExists, InputInvalid, NotFound
from noria.ports.models import ModelStore

NOON = datetime(2013, 3, 1, 12, tzinfo=UTC)


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


def a_move(number: int, *, cause: str | None = None, alias: str = "champion", model: str = "delay") -> AliasMove:
    """A move of an alias; by default nobody's cause."""
    return AliasMove(
        model=model,
        alias=alias,
        number=number,
        previous=None,
        at=NOON + timedelta(minutes=number),
        actor="suite",
        reason="because",
        cause=EventId(cause) if cause else None,
    )


class ModelsSuite:
    """Laws that every model store keeps."""

    @pytest.fixture
    def models(self) -> ModelStore:
        """An empty model store."""
        raise NotImplementedError("override the fixture 'models'")

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

    def test_a_run_taken_by_another_version_of_the_model_is_refused(self, models: ModelStore) -> None:
        models.register(a_version(1, run="r"))

        with pytest.raises(AlreadyExists, match="delay/1"):
            models.register(a_version(2, run="r"))

        models.register(a_version(1, model="other", run="r"))
        assert models.models() == ["delay", "other"]

    def test_numbers_count_from_1(self, models: ModelStore) -> None:
        with pytest.raises(InputInvalid):
            models.register(a_version(0))

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
