"""PostgreSQL answers every question as plain Python does."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import suppress

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from noria.adapters.metadata import memory, postgres
from noria.adapters.metadata.page_tokens import Place, written
from noria.domain.query import Field, Order, Query
from noria.errors import QueryInvalid
from noria.wire.query_fields import Kind
from tests.peers.postgres import Server
from tests.property import test_search_stores as law

pytestmark = pytest.mark.xdist_group("postgres")  # one server serves them all


@pytest.fixture(scope="module")
def filled() -> Iterator[law.Named]:
    server = Server()
    try:
        server.start()
        with server.database("search") as url:
            stores = {"memory": memory.open_store("", project="p"), "postgres": postgres.open_store(url, project="p")}
            for store in stores.values():
                law.fill(store)
            other = postgres.open_store(url, project="other")
            law.fill(other, seed=8, runs=20)
            yield law.Named(stores)
            other.close()
            for store in stores.values():
                store.close()
    finally:
        server.remove()


@pytest.mark.parametrize("kind", law.SEARCHES)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_postgres_finds_the_same_in_the_same_order(filled: law.Named, kind: Kind, data: st.DataObject) -> None:
    query = data.draw(law.queries(kind))

    found = law.pages(filled.stores["postgres"], kind, query)

    assert found == law.pages(filled.reference, kind, query)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(query=law.queries("runs"))
def test_postgres_counts_the_same(filled: law.Named, query: Query) -> None:
    assert filled.stores["postgres"].index.count(query) == filled.reference.index.count(query)


@pytest.mark.parametrize("name", law.the_largest())
def test_postgres_answers_the_largest_queries(filled: law.Named, name: str) -> None:
    query = law.the_largest()[name]

    assert law.pages(filled.stores["postgres"], "runs", query) == law.pages(filled.reference, "runs", query)


def test_postgres_takes_a_forged_token_for_what_it_is(filled: law.Named) -> None:
    query = Query(order=(Order(field=Field(scope="tag", key="a")), Order(field=Field(scope="metric", key="loss"))))
    for first in (None, 1, math.nan, 2**63, "a\0", "x", -math.inf):
        for second in (None, 1.5, "x", math.nan, 2**64 - 1):
            for stage in (-1, 0, 1, 2):
                place = Place(((stage, first), (stage, second)), -(2**63), ("a\0" if first is None else "a",))
                with suppress(QueryInvalid):
                    filled.stores["postgres"].index.search(replace(query, after=written(place, query, "runs")))
