"""The law of the ModelCatalog port as tests. Subclass CatalogSuite where a fixture `metadata` gives an empty store."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

import pytest
from msgspec.structs import replace

from noria.domain.model import RegisteredModel
from noria.domain.query import Comparison, Field, Operator, Order, Query, Scope
from noria.errors import AlreadyExists, Conflict, InputInvalid, NotFound, QueryInvalid
from noria.ports.catalog import ModelCatalog
from noria.ports.metadata import Metadata
from noria.testing.deployments_suite import a_deployment
from noria.testing.models_suite import LATER, NOON, a_move, a_version

BAD_NAMES = ("", "a/b", "a:b")


class CatalogSuite:
    """Laws that every catalog of registered models keeps."""

    @pytest.fixture
    def catalog(self, metadata: Metadata) -> ModelCatalog:
        """An empty catalog."""
        return metadata.catalog

    def test_a_model_comes_back_as_it_was_made(self, catalog: ModelCatalog) -> None:
        made = catalog.create("delay", at=NOON, description="late or not", tags={"team": "a"})

        assert made == RegisteredModel(
            name="delay", created_at=NOON, updated_at=NOON, description="late or not", tags={"team": "a"}
        )
        assert catalog.get("delay") == made

    def test_a_name_is_taken_once(self, metadata: Metadata, catalog: ModelCatalog) -> None:
        catalog.create("delay", at=NOON)
        metadata.models.register(a_version(model="churn"))

        for name in ("delay", "churn"):
            with pytest.raises(AlreadyExists, match=name):
                catalog.create(name, at=LATER)

        assert catalog.create("Delay", at=NOON).name == "Delay"
        assert metadata.models.models() == ["Delay", "churn", "delay"]

    def test_a_model_without_versions_takes_its_first(self, metadata: Metadata, catalog: ModelCatalog) -> None:
        catalog.create("delay", at=NOON, description="kept", tags={"a": "b"})
        assert metadata.models.next_number("delay") == 1

        metadata.models.register(a_version())

        assert (catalog.get("delay").description, catalog.get("delay").tags) == ("kept", {"a": "b"})
        assert catalog.get("delay").created_at == NOON

    def test_what_cannot_be_a_model_is_refused(self, catalog: ModelCatalog) -> None:
        catalog.create("delay", at=NOON)
        calls: list[Callable[[], object]] = [
            *(lambda name=name: catalog.create(name, at=NOON) for name in BAD_NAMES),
            *(lambda name=name: catalog.rename("delay", name, at=NOON) for name in BAD_NAMES),
            lambda: catalog.create("a", at=datetime(2013, 3, 1)),
            lambda: catalog.amend("delay", at=datetime(2013, 3, 1), description="x"),
        ]

        for call in calls:
            with pytest.raises(InputInvalid):
                call()

        assert catalog.count(Query()) == 1

    def test_an_unknown_model_is_not_found_and_near_names_are_offered(self, catalog: ModelCatalog) -> None:
        catalog.create("delay", at=NOON)
        calls: list[Callable[[], object]] = [
            lambda: catalog.get("delya"),
            lambda: catalog.rename("delya", "new", at=NOON),
            lambda: catalog.amend("delya", at=NOON, description="x"),
            lambda: catalog.delete("delya", at=NOON),
        ]

        for call in calls:
            with pytest.raises(NotFound) as caught:
                call()
            assert "delay" in caught.value.cause

    def test_amending_leaves_what_is_not_given(self, catalog: ModelCatalog) -> None:
        made = catalog.create("delay", at=NOON, description="old", tags={"a": "1", "b": "2"})

        catalog.amend("delay", at=LATER, tags={"a": None, "c": "3", "never": None})
        changed = catalog.amend("delay", at=LATER, description="")

        assert changed == replace(made, description="", tags={"b": "2", "c": "3"}, updated_at=LATER)
        assert catalog.get("delay") == changed

    def test_renaming_takes_versions_aliases_and_their_history_along(
        self, metadata: Metadata, catalog: ModelCatalog
    ) -> None:
        models = metadata.models
        catalog.create("delay", at=NOON, description="d", tags={"a": "b"})
        for number in (1, 2, 3):
            models.register(a_version(number))
        models.move_alias(a_move(1))
        models.move_alias(a_move(2, cause="e1"))
        models.delete("delay", 3, at=LATER)

        renamed = catalog.rename("delay", "lateness", at=LATER)

        assert (renamed.name, renamed.description, renamed.tags, renamed.updated_at) == (
            "lateness",
            "d",
            {"a": "b"},
            LATER,
        )
        assert catalog.get("lateness") == renamed
        assert models.versions("delay") == []
        assert [version.ref for version in models.versions("lateness")] == ["lateness/1", "lateness/2"]
        assert models.get("lateness", 2) == replace(a_version(2), model="lateness")
        assert models.aliases("lateness") == {"champion": 2}
        assert [(move.model, move.number) for move in models.alias_history("lateness")] == [
            ("lateness", 1),
            ("lateness", 2),
        ]
        models.move_alias(a_move(2, cause="e1", model="lateness"))
        assert len(models.alias_history("lateness")) == 2
        assert models.next_number("lateness") == 4
        assert models.register(replace(a_version(1), model="lateness")).ref == "lateness/1"
        assert models.next_number("delay") == 1
        assert models.register(a_version(1)).ref == "delay/1"

    def test_a_taken_name_is_given_to_no_other(self, catalog: ModelCatalog) -> None:
        delay = catalog.create("delay", at=NOON)
        catalog.create("churn", at=NOON)

        with pytest.raises(AlreadyExists, match="churn"):
            catalog.rename("delay", "churn", at=LATER)

        assert catalog.rename("delay", "delay", at=LATER) == delay == catalog.get("delay")

    def test_a_deleted_model_is_gone_with_all_that_is_its(self, metadata: Metadata, catalog: ModelCatalog) -> None:
        models = metadata.models
        for number in (1, 2):
            models.register(a_version(number))
        models.register(a_version(model="other"))
        models.move_alias(a_move(1))

        catalog.delete("delay", at=LATER)

        assert models.models() == ["other"]
        assert (models.versions("delay"), models.alias_history("delay"), models.aliases("delay")) == ([], [], {})
        with pytest.raises(NotFound):
            models.get("delay", 1)
        with pytest.raises(NotFound):
            catalog.delete("delay", at=LATER)
        assert catalog.create("delay", at=LATER).created_at == LATER
        assert models.register(a_version(1)).ref == "delay/1"
        assert models.alias("delay", "champion") is None

    def test_what_a_deployment_serves_is_neither_renamed_nor_deleted(
        self, metadata: Metadata, catalog: ModelCatalog
    ) -> None:
        metadata.models.register(a_version(1))
        metadata.deployments.put(a_deployment(1))

        with pytest.raises(Conflict, match="late"):
            catalog.rename("delay", "lateness", at=LATER)
        with pytest.raises(Conflict, match="late"):
            catalog.delete("delay", at=LATER)

        assert metadata.models.get("delay", 1).number == 1
        catalog.amend("delay", at=LATER, description="fine")

    def test_search_gives_names_in_order_and_pages(self, catalog: ModelCatalog) -> None:
        for number, name in enumerate(("b", "a", "d", "C")):
            catalog.create(name, at=NOON + timedelta(hours=number), tags={"of": name} if name < "c" else {})

        def found(key: str, operator: Operator, value: str | float, scope: Scope = "attribute") -> list[str]:
            query = Query(where=Comparison(field=Field(scope=scope, key=key), operator=operator, value=value))
            names = [model.name for model in catalog.search(query).items]
            assert catalog.count(query) == len(names)
            return names

        first = catalog.search(Query(limit=3))
        rest = catalog.search(Query(limit=3, after=first.next))
        assert [model.name for model in first.items + rest.items] == ["C", "a", "b", "d"]
        assert rest.next == ""
        newest = (Order(field=Field(scope="attribute", key="created_at"), descending=True),)
        assert [model.name for model in catalog.search(Query(order=newest)).items] == ["C", "d", "a", "b"]
        assert found("name", "ilike", "c") == ["C"]
        assert found("created_at", ">=", (NOON + timedelta(hours=2)).timestamp() * 1000) == ["C", "d"]
        assert found("of", "=", "b", "tag") == ["b"]
        assert catalog.search(Query(limit=1)).items == [catalog.get("C")]
        with pytest.raises(QueryInvalid):
            found("colour", "=", "red")

    def test_of_threads_that_make_one_name_one_wins(self, catalog: ModelCatalog) -> None:
        def make(_: int) -> bool:
            try:
                catalog.create("delay", at=NOON)
            except AlreadyExists:
                return False
            return True

        with ThreadPoolExecutor(6) as pool:
            assert sum(pool.map(make, range(6))) == 1
