"""The same things in every store, the same questions: each answers as plain Python does (metadata/matching), page by page, while others write too."""

from __future__ import annotations

import math
import random
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from noria.adapters.metadata import memory, sqlite
from noria.adapters.metadata.page_tokens import Place, written
from noria.adapters.metadata.sql.connection import Connection
from noria.adapters.metadata.sql.search import Found, count, find
from noria.adapters.metadata.sqlite.database import Database
from noria.domain.ids import ExperimentId, RunId, TrainedModelId
from noria.domain.model import ModelVersion, SemanticVersion
from noria.domain.query import And, Comparison, Condition, Field, Not, Or, Order, Page, Query
from noria.domain.run import DatasetUse, Metric, Run, Subject
from noria.domain.trained import TrainedModel
from noria.errors import InputInvalid, QueryInvalid
from noria.ports.metadata import Metadata
from noria.wire.query_fields import (
    ATTRIBUTES,
    DATASET_KEYS,
    MAX_COMPARISONS,
    MAX_LEVELS,
    MAX_LIMIT,
    MAX_ORDERS,
    MAX_PATTERN,
    MAX_VALUES,
    Kind,
)

NOON = datetime(2013, 3, 1, 12, tzinfo=UTC)
KEYS = ("a", "a b", "mlflow.x", "É", "`", "loss")
TEXTS = (
    "",
    "a",
    "A",
    "ab",
    "aB%",
    "a_b",
    "[a-z]*",
    "a?",
    "C:\\x\\",
    "it's",
    "é",
    "É",
    "straße",
    "10",
    "9",
    "9.0",
    "1e1",
    "-3",
    "nan",
    "inf",
    "x" * 63,
    "x" * 64,
    "x" * 65,
    "x" * 64 + "y",
    "x" * 64 + "z" * 300,
    "日本語",
    "\U0001f600",
    "\uffff",
    "line\nbreak",
    "a=b",
)
PATTERNS = (
    "%",
    "_",
    "",
    "a%",
    "%b",
    "%a%b%",
    "A_",
    "x%y",
    "x" * 64 + "%",
    "%é",
    "É",
    "[a%",
    "a?",
    "%\\%",
    "1_",
    "%s_ra%",
    "%\n%",
    "%=%",
)
NUMBERS = (0.0, -0.0, 1.0, -1.5, 9.0, 10.0, 0.1, 1e300, 5e-324, math.inf, -math.inf, math.nan, 2.0**53)
PARAMS = (*TEXTS, 10, 9, 9.0, -3, 0.1, 2**53 + 1, True, False, None, math.nan, math.inf)
DATASETS = ("train", "test", "x" * 70)


class Named:
    """The stores, by name, all holding the same, and the database under the one in SQLite (its project 1)."""

    def __init__(self, stores: dict[str, Metadata], database: Database | None = None) -> None:
        self.stores = stores
        self.database = database
        self.reference = stores["memory"]


def fill(store: Metadata, seed: int = 7, runs: int = 120) -> None:
    """A hundred things of each kind with everything that is awkward to compare."""
    draw = random.Random(seed)
    for number in range(4):
        store.experiments.create(
            draw.choice(TEXTS[1:4]) + str(number),
            at=moment(draw),
            tags=texts(draw, 2),
            experiment_id=ExperimentId(str((5, 10, 9, 77)[number])),
        )
    names = {e.id: e.name for e in store.experiments.search(Query()).items}
    for number in range(runs):
        experiment = draw.choice(sorted(names))
        run_id = RunId(f"{draw.choice('abc')}{number}")
        store.runs.create(
            Run(
                id=run_id,
                experiment=names[experiment],
                experiment_id=experiment,
                name=draw.choice(TEXTS),
                status=draw.choice(("running", "scheduled")),
                started_at=moment(draw),
                user=draw.choice(TEXTS),
                seed=draw.choice((None, 1, 2, 3)),
                params={key: draw.choice(PARAMS) for key in draw.sample(KEYS, draw.randrange(4))},
                tags=texts(draw, 4),
                inputs=tuple(
                    DatasetUse(
                        name=name, digest=draw.choice("de"), tags=draw.choice(({}, {"context": "x"}, {"context": "Y"}))
                    )
                    for name in draw.sample(DATASETS, draw.randrange(3))
                ),
            )
        )
        store.runs.log_metrics(
            run_id,
            [Metric(key=key, value=draw.choice(NUMBERS), at=NOON) for key in draw.sample(KEYS, draw.randrange(5))],
        )
        if draw.random() < 0.4:
            store.runs.finish(run_id, status="failed", at=NOON + timedelta(microseconds=draw.randrange(9000)))
        if draw.random() < 0.1:
            store.runs.trash([run_id], at=NOON)
        if draw.random() < 0.5:
            train(store, draw, run_id=run_id, number=number, experiment=experiment)
        if draw.random() < 0.5:
            register(store, draw, run_id, number)
    for name in {version.model for version in store.models.search(Query(limit=1000)).items}:
        store.catalog.amend(name, at=moment(draw), tags=texts(draw, 3))


def train(store: Metadata, draw: random.Random, *, run_id: RunId, number: int, experiment: ExperimentId) -> None:
    model_id = TrainedModelId(f"m{number}")
    at = moment(draw)
    store.trained.create(
        TrainedModel(
            id=model_id,
            experiment_id=experiment,
            name=draw.choice(TEXTS),
            kind=draw.choice(TEXTS),
            created_at=at,
            updated_at=at,
            params={key: str(draw.choice(TEXTS)) for key in draw.sample(KEYS, 2)},
            tags=texts(draw, 2),
        )
    ) if store.runs.get(run_id).trashed_at is None else None
    if store.runs.get(run_id).trashed_at is None and store.runs.get(run_id).status in ("running", "scheduled"):
        points = [
            Metric(
                key=draw.choice(("loss", "a")),
                value=draw.choice(NUMBERS),
                step=step,
                at=NOON,
                subject=Subject(
                    model_id=model_id, dataset=draw.choice(("", "train", "test")), dataset_digest=draw.choice("de")
                ),
            )
            for step in range(draw.randrange(4))
        ]
        store.runs.log_metrics(run_id, points)


def register(store: Metadata, draw: random.Random, run_id: RunId, number: int) -> None:
    model = draw.choice(("delay", "Delay", "churn", "é"))
    at = moment(draw)
    store.models.register(
        ModelVersion(
            model=model,
            number=store.models.next_number(model),
            version=SemanticVersion(major=1, minor=0, patch=number),
            version_reason="",
            run_id=draw.choice((run_id, None)),
            bundle=None,
            flavor="",
            signature=None,
            created_at=at,
            tags=texts(draw, 2),
            source=draw.choice(TEXTS),
        )
    )


def texts(draw: random.Random, most: int) -> dict[str, str]:
    return {key: draw.choice(TEXTS) for key in draw.sample(KEYS, draw.randrange(most + 1))}


def moment(draw: random.Random) -> datetime:
    """Few moments, so that there are ties, some of them within one millisecond."""
    return NOON + timedelta(microseconds=draw.choice((0, 1, 999, 1000, 1001, 2500, -1, -999)))


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Named]:
    folder = tmp_path_factory.mktemp("search")
    stores: dict[str, Metadata] = {
        "memory": memory.open_store("", project="p"),
        "sqlite": sqlite.open_store(str(folder / "meta.db"), project="p"),
    }
    for store in stores.values():
        fill(store)
    # Another project in the same file must not be seen.
    other = sqlite.open_store(str(folder / "meta.db"), project="other")
    fill(other, seed=8, runs=20)
    database = Database(folder / "meta.db")
    yield Named(stores, database)
    database.close()
    other.close()
    for store in stores.values():
        store.close()


def values(of_type: str) -> st.SearchStrategy[Any]:
    milliseconds = (NOON - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds() * 1000
    times = st.sampled_from([milliseconds + d for d in (-1.0, 0.0, 0.5, 1.0, 2.0, 5.0)] + [math.inf, -math.inf, 1e300])
    some_texts = st.sampled_from([*TEXTS, *PATTERNS])
    numbers = st.sampled_from([*NUMBERS, 2.0, 3.0, 0.5])
    serials = st.sampled_from(["5", "9", "10", "77", "05", "x", "", "99999999999999999999"])
    return {"number": numbers, "time": times, "serial": serials, "param": st.one_of(numbers, some_texts)}.get(
        of_type, some_texts
    )


@st.composite
def fields(draw: st.DrawFn, kind: Kind, *, sortable: bool = False) -> tuple[Field, str]:
    scopes = ["attribute", "tag"]
    if kind in ("runs", "trained"):
        scopes += ["metric", "param"]
    if kind == "runs" and not sortable:
        scopes.append("dataset")
    scope = draw(st.sampled_from(scopes))
    if scope == "attribute":
        types = {key: of for key, of in ATTRIBUTES[kind].items() if not (sortable and of == "all")}
        key = draw(st.sampled_from(sorted(types)))
        return Field(scope="attribute", key=key), types[key]
    if scope == "dataset":
        return Field(scope="dataset", key=draw(st.sampled_from(DATASET_KEYS))), "text"
    if scope == "metric" and kind == "trained":
        dataset, digest = draw(st.sampled_from([("", ""), ("train", ""), ("test", "d"), ("none", "")]))
        return Field(
            scope="metric", key=draw(st.sampled_from(["loss", "a"])), dataset=dataset, dataset_digest=digest
        ), "number"
    found = {"metric": "number", "param": "param", "tag": "text"}[scope]
    return Field(scope=scope, key=draw(st.sampled_from([*KEYS, "nowhere"]))), found


@st.composite
def comparisons(draw: st.DrawFn, kind: Kind) -> Comparison:
    field, of_type = draw(fields(kind))
    plain = ["=", "!=", "in", "not in", "is null", "is not null"]
    ordered = ["<", "<=", ">", ">="]
    alike = ["like", "ilike"]
    operators = {"number": plain + ordered, "time": plain + ordered, "serial": plain + alike, "all": alike}
    operator = draw(st.sampled_from(operators.get(of_type, plain + ordered + alike)))
    value: Any = None
    if operator in alike:
        value = draw(st.sampled_from([*PATTERNS, *TEXTS]))
    elif operator in ("in", "not in"):
        value = tuple(draw(st.lists(values(of_type), min_size=1, max_size=3)))
    elif not operator.startswith("is"):
        value = draw(values(of_type).filter(lambda v: operator in ("=", "!=") or v == v))
    return Comparison(field=field, operator=operator, value=value)


def conditions(kind: Kind) -> st.SearchStrategy[Condition]:
    return st.recursive(
        comparisons(kind),
        lambda inner: st.one_of(
            st.lists(inner, max_size=3).map(lambda terms: And(tuple(terms))),
            st.lists(inner, max_size=3).map(lambda terms: Or(tuple(terms))),
            inner.map(Not),
        ),
        max_leaves=4,
    )


@st.composite
def queries(draw: st.DrawFn, kind: Kind) -> Query:
    order = draw(st.lists(st.tuples(fields(kind, sortable=True), st.booleans()), max_size=3))
    experiments = None
    if kind in ("runs", "trained", "experiments") and draw(st.booleans()):
        experiments = tuple(
            ExperimentId(e) for e in draw(st.lists(st.sampled_from(["5", "9", "10", "77", "x"]), max_size=3))
        )
    return Query(
        where=draw(st.one_of(st.none(), conditions(kind))),
        order=tuple(Order(field=field, descending=down) for (field, _), down in order),
        experiments=experiments,
        life=draw(st.sampled_from(["active", "active", "trashed", "all"])),
        limit=draw(st.sampled_from([0, 1, 3, 17, 1000])),
        skip=draw(st.sampled_from([0, 0, 0, 1, 40])),
    )


SEARCHES: dict[Kind, Callable[[Metadata], Callable[[Query], Page[Any]]]] = {
    "runs": lambda store: store.index.search,
    "experiments": lambda store: store.experiments.search,
    "trained": lambda store: store.trained.search,
    "versions": lambda store: store.models.search,
    "models": lambda store: store.catalog.search,
}


def name_of(thing: Any) -> str:
    return str(getattr(thing, "id", None) or getattr(thing, "ref", None) or thing.name)


def pages(store: Metadata, kind: Kind, query: Query) -> list[list[str]]:
    """Every page's ids; of many pages the first four."""
    found = []
    for _ in range(4):
        page = SEARCHES[kind](store)(query)
        found.append([name_of(thing) for thing in page.items])
        if not page.next:
            break
        query = replace(query, after=page.next, skip=0)
    return found


@pytest.mark.parametrize("kind", SEARCHES)
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_every_store_finds_the_same_in_the_same_order(filled: Named, kind: Kind, data: st.DataObject) -> None:
    query = data.draw(queries(kind))

    expected = pages(filled.reference, kind, query)

    for name, store in filled.stores.items():
        assert (name, pages(store, kind, query)) == (name, expected)


@pytest.mark.parametrize("kind", SEARCHES)
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_where_a_search_begins_changes_nothing(filled: Named, kind: Kind, data: st.DataObject) -> None:
    """A small store is always searched from its things; walking along an index is what a large one does."""
    query = data.draw(queries(kind))

    def found(connection: Connection, few: int) -> tuple[list[Found], int]:
        pages, after = [], ""
        while len(pages) < 4 and (after or not pages):
            asked = replace(query, after=after, skip=0 if after else query.skip)
            pages.append(find(connection, asked, kind=kind, project=1, dialect="sqlite", few=few))
            after = pages[-1].next
        return pages, count(connection, query, kind=kind, project=1, dialect="sqlite", few=few)

    read = filled.database.read
    expected = read(lambda connection: found(connection, 5000))
    assert read(lambda connection: found(connection, 0)) == expected
    assert read(lambda connection: found(connection, 10)) == expected
    assert read(lambda connection: found(connection, 30)) == expected


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(query=queries("runs"))
def test_every_store_counts_the_same(filled: Named, query: Query) -> None:
    everything = replace(query, limit=1000, skip=0)

    expected = len(filled.reference.index.search(everything).items)

    assert {store.index.count(query) for store in filled.stores.values()} == {expected}


@settings(max_examples=50, deadline=None)
@given(condition=conditions("runs"))
def test_not_finds_exactly_what_is_left_over(filled: Named, condition: Condition) -> None:
    for store in filled.stores.values():
        every = store.index.count(Query())
        assert store.index.count(Query(where=condition)) + store.index.count(Query(where=Not(condition))) == every


def the_largest() -> dict[str, Query]:
    """Queries at the limits of what is answered."""
    field = Field(scope="tag", key="a")
    leaf = Comparison(field=Field(scope="param", key="a"), operator="not in", value=("x" * 70, "a", 1.0, math.nan))
    deep: list[Condition] = [leaf, leaf, leaf]
    for level in range(MAX_LEVELS // 2):
        deep[0] = Not(Or((leaf, deep[0])))
        deep[1] = And((leaf, Or((deep[1], leaf))))
        deep[2] = And((deep[2], Or((deep[2],)))) if level < 7 else Or((leaf, And((leaf, deep[2]))))
    many = tuple(Comparison(field=field, operator="like", value=f"a%{number}") for number in range(MAX_COMPARISONS))
    ids = tuple(f"a{number}" for number in range(MAX_VALUES - 10))
    orders = tuple(Order(field=Field(scope="param", key=str(number))) for number in range(MAX_ORDERS - 1))
    first = Order(field=Field(scope="metric", key="loss"))
    return {
        "deep in not": Query(where=deep[0]),
        "deep in turns": Query(where=deep[1]),
        "deep on both sides": Query(where=deep[2]),
        "and": Query(where=And(many)),
        "or": Query(where=Or(many)),
        "run ids": Query(where=Comparison(field=Field(scope="attribute", key="run_id"), operator="in", value=ids)),
        "tag in": Query(where=Comparison(field=field, operator="in", value=ids)),
        "tag not in": Query(where=Comparison(field=field, operator="not in", value=ids)),
        "metric not in": Query(
            where=Comparison(field=first.field, operator="not in", value=tuple(float(n) for n in range(20, MAX_VALUES)))
        ),
        "param in": Query(
            where=Comparison(
                field=Field(scope="param", key="a"), operator="in", value=tuple(n / 2 for n in range(MAX_VALUES - 20))
            )
        ),
        "experiments": Query(experiments=tuple(ExperimentId(str(number)) for number in range(MAX_VALUES - 10))),
        "pattern": Query(where=Comparison(field=field, operator="like", value="[" * MAX_PATTERN)),
        "wide pattern": Query(where=Comparison(field=field, operator="ilike", value="\U0001f600" * MAX_PATTERN)),
        "order": Query(order=(first, *orders), limit=3),
        "limit": Query(limit=MAX_LIMIT, skip=3),
    }


@pytest.mark.parametrize("name", the_largest())
def test_the_largest_queries_are_answered(filled: Named, name: str) -> None:
    query = the_largest()[name]

    expected = pages(filled.reference, "runs", query)

    for store in filled.stores.values():
        assert pages(store, "runs", query) == expected


@pytest.mark.parametrize("name", ["memory", "sqlite"])
def test_a_page_token_belongs_to_its_query(filled: Named, name: str) -> None:
    index = filled.stores[name].index
    by_loss = Query(order=(Order(field=Field(scope="metric", key="loss")),), limit=5)
    token = index.search(by_loss).next

    assert index.search(replace(by_loss, after=token, limit=9)).items  # a page may be longer than the one before
    others = (
        Query(limit=5),
        replace(by_loss, life="all"),
        replace(by_loss, experiments=(ExperimentId("5"),)),
        replace(by_loss, order=(Order(field=Field(scope="metric", key="a")),)),
        replace(by_loss, where=Not(Or(()))),
    )
    for query in (*others, replace(by_loss, after="x"), replace(by_loss, after=token[:-6])):
        after = query.after or token
        with pytest.raises(QueryInvalid) as refused:
            index.search(replace(query, after=after))
        assert refused.value.reason == "page"
    assert token.replace("-", "").replace("_", "").isalnum()


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_a_forged_token_is_refused_or_gives_a_page(filled: Named, data: st.DataObject) -> None:
    """Tokens are no secret: whatever place somebody writes into one, nothing else than a page or a refusal comes of it."""
    kind = data.draw(st.sampled_from(list(SEARCHES)))
    query = data.draw(queries(kind))
    value = st.one_of(
        st.none(), st.floats(), st.integers(-(2**63), 2**64 - 1), st.text(max_size=3), st.sampled_from(TEXTS)
    )
    rank = st.tuples(st.integers(-1, 3), value)
    size = len(query.order)
    ranks = data.draw(st.lists(rank, min_size=size, max_size=data.draw(st.sampled_from([size, size + 1]))))
    parts = st.one_of(st.text(max_size=3), st.integers(-(2**63), 2**64 - 1))
    identity = data.draw(st.lists(parts, min_size=1, max_size=2))
    place = Place(tuple(ranks), data.draw(st.integers(-(2**63), 2**63 - 1)), tuple(identity))
    for store in filled.stores.values():
        with suppress(QueryInvalid, InputInvalid):
            after = written(place, query, kind)
            assert SEARCHES[kind](store)(replace(query, after=after)).items is not None


@pytest.mark.parametrize(
    "order",
    [
        (),
        (Order(field=Field(scope="metric", key="loss"), descending=True),),
        (Order(field=Field(scope="param", key="a")), Order(field=Field(scope="tag", key="a"))),
    ],
)
@pytest.mark.parametrize("name", ["memory", "sqlite"])
def test_pages_hold_each_older_run_once_while_others_write(
    filled: Named, tmp_path: Any, name: str, order: tuple[Order, ...]
) -> None:
    store: Metadata = (
        memory.open_store("", project="p")
        if name == "memory"
        else sqlite.open_store(str(tmp_path / "meta.db"), project="p")
    )
    fill(store, runs=60)
    older = {run.id for run in store.index.search(Query(limit=1000)).items}
    stop = threading.Event()

    def write() -> None:
        draw = random.Random(1)
        number = 0
        while not stop.is_set() and number < 400:
            number += 1
            run = Run(
                id=RunId(f"new{number}"),
                experiment="later",
                name="n",
                status="running",
                started_at=moment(draw),
                params={"a": draw.choice(PARAMS)},
                metrics={"loss": draw.choice(NUMBERS)},
                tags=texts(draw, 2),
            )
            store.runs.create(run)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        seen: list[str] = []
        query = Query(order=order, limit=9)
        while True:
            page = store.index.search(query)
            seen += [run.id for run in page.items]
            if not page.next:
                break
            query = replace(query, after=page.next)
    finally:
        stop.set()
        writer.join()
        store.close()

    assert len(seen) == len(set(seen))
    assert older <= set(seen)
