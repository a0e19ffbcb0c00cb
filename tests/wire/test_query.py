"""The search grammar: what MLflow's clients write means the same here, more can be said, and every fault names its place."""

from __future__ import annotations

import math
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from noria.domain.query import And, Comparison, Condition, Field, Not, Or, Order
from noria.errors import QueryInvalid
from noria.wire.query import parse_filter, parse_order, text_of, text_of_order
from noria.wire.query_fields import ATTRIBUTES, MAX_COMPARISONS, MAX_DEPTH, Kind, check_condition


def of(scope: str, key: str, operator: str, value: object = None, **more: str) -> Comparison:
    return Comparison(field=Field(scope=scope, key=key, **more), operator=operator, value=value)


# Each line is a filter that MLflow 3.7 or 3.17 takes, and what it means there.
MLFLOW: list[tuple[Kind, str, list[Comparison]]] = [
    ("runs", "metrics.acc > 0.8", [of("metric", "acc", ">", 0.8)]),
    ("runs", "metric.acc<=.5", [of("metric", "acc", "<=", 0.5)]),
    ("runs", "metrics.loss >= -1.5e-3", [of("metric", "loss", ">=", -0.0015)]),
    ("runs", "metrics.n = 1.", [of("metric", "n", "=", 1.0)]),
    ("runs", "metrics.`my loss` != 3", [of("metric", "my loss", "!=", 3.0)]),
    ("runs", 'metrics."cpu time" < 1E5', [of("metric", "cpu time", "<", 1e5)]),
    ("runs", "params.model = 'LR'", [of("param", "model", "=", "LR")]),
    ("runs", 'parameter.model = "LR"', [of("param", "model", "=", "LR")]),
    ("runs", "parameters.a LIKE '%x_'", [of("param", "a", "like", "%x_")]),
    ("runs", "param.a ilike 'X%'", [of("param", "a", "ilike", "X%")]),
    ("runs", "`params`.`x/y` = 'a'", [of("param", "x/y", "=", "a")]),
    ("runs", "tags.mlflow.source.type = 'NOTEBOOK'", [of("tag", "mlflow.source.type", "=", "NOTEBOOK")]),
    ("runs", "tag.`mlflow.parentRunId` = 'ab'", [of("tag", "mlflow.parentRunId", "=", "ab")]),
    ("runs", "tags.a IS NULL", [of("tag", "a", "is null")]),
    ("runs", "params.a is not null", [of("param", "a", "is not null")]),
    ("runs", "tags.my team IS NULL", [of("tag", "my team", "is null")]),
    ("runs", 'tags.note = "it\'s"', [of("tag", "note", "=", "it's")]),
    ("runs", "tags.path = 'C:\\'", [of("tag", "path", "=", "C:\\")]),
    ("runs", "attributes.status = 'FINISHED'", [of("attribute", "status", "=", "finished")]),
    ("runs", "status != 'RUNNING'", [of("attribute", "status", "!=", "running")]),
    ("runs", "attr.run_id IN ('a', 'b')", [of("attribute", "run_id", "in", ("a", "b"))]),
    ("runs", "run.run_id not in ('a',)", [of("attribute", "run_id", "not in", ("a",))]),
    ("runs", "attribute.start_time > 1700000000000", [of("attribute", "started_at", ">", 1.7e12)]),
    (
        "runs",
        "created <= 5 AND Created >= 1",
        [of("attribute", "started_at", o, v) for o, v in (("<=", 5.0), (">=", 1.0))],
    ),
    ("runs", "end_time = 7", [of("attribute", "finished_at", "=", 7.0)]),
    ("runs", "user_id = 'jo'", [of("attribute", "user", "=", "jo")]),
    ("runs", "artifact_uri LIKE '%/a'", [of("attribute", "artifact_root", "like", "%/a")]),
    ("runs", "`Run Name` = 'x'", [of("attribute", "name", "=", "x")]),
    ("runs", 'attributes."Run name" = "x"', [of("attribute", "name", "=", "x")]),
    ("runs", "run_name LIKE 'x'", [of("attribute", "name", "like", "x")]),
    (
        "runs",
        "dataset.name = 'd' and datasets.digest != 'e'",
        [of("dataset", "name", "=", "d"), of("dataset", "digest", "!=", "e")],
    ),
    ("runs", "datasets.context IN ('train')", [of("dataset", "context", "in", ("train",))]),
    ("runs", "metrics.a > 1 AND\n params.b = 'c'", [of("metric", "a", ">", 1.0), of("param", "b", "=", "c")]),
    ("runs", "metrics.a > 1 AND ", [of("metric", "a", ">", 1.0)]),
    ("runs", "metrics.a > 1 AND and params.b = 'c'", [of("metric", "a", ">", 1.0), of("param", "b", "=", "c")]),
    ("runs", "name = 'a' tags.b = 'c'", [of("attribute", "name", "=", "a"), of("tag", "b", "=", "c")]),
    ("experiments", "name ILIKE 'Test%'", [of("attribute", "name", "ilike", "Test%")]),
    ("experiments", "creation_time > 5", [of("attribute", "created_at", ">", 5.0)]),
    ("experiments", "attribute.last_update_time < 5", [of("attribute", "updated_at", "<", 5.0)]),
    ("experiments", "experiment_id IN ('1', '2')", [of("attribute", "experiment_id", "in", ("1", "2"))]),
    ("experiments", "tags.`a b` != 'c'", [of("tag", "a b", "!=", "c")]),
    ("models", "name LIKE 'a%'", [of("attribute", "name", "like", "a%")]),
    ("models", "tag.env = 'prod'", [of("tag", "env", "=", "prod")]),
    (
        "versions",
        "name = 'm' and version_number >= 3",
        [of("attribute", "name", "=", "m"), of("attribute", "version", ">=", 3.0)],
    ),
    ("versions", "run_id IN ('a','b')", [of("attribute", "run_id", "in", ("a", "b"))]),
    ("versions", "source_path LIKE '%model'", [of("attribute", "source", "like", "%model")]),
    ("versions", "creation_timestamp < 5", [of("attribute", "created_at", "<", 5.0)]),
    (
        "trained",
        "metrics.loss > 0.1 AND params.lr = 0.01",
        [of("metric", "loss", ">", 0.1), of("param", "lr", "=", 0.01)],
    ),
    (
        "trained",
        "model_type = 'x' AND source_run_id = 'r'",
        [of("attribute", "kind", "=", "x"), of("attribute", "run_id", "=", "r")],
    ),
    ("trained", "last_updated_timestamp > 5", [of("attribute", "updated_at", ">", 5.0)]),
    ("trained", "creation_time > 5", [of("attribute", "created_at", ">", 5.0)]),
    ("trained", "tags.n = 5", [of("tag", "n", "=", "5")]),
    ("trained", "tags.stage = new", [of("tag", "stage", "=", "new")]),
]


@pytest.mark.parametrize(("kind", "text", "meant"), MLFLOW, ids=[text for _, text, _ in MLFLOW])
def test_what_mlflow_takes_means_the_same(kind: Kind, text: str, meant: list[Comparison]) -> None:
    found = parse_filter(text, kind=kind)

    assert found == (meant[0] if len(meant) == 1 else And(tuple(meant)))


A, B, C = (of("metric", key, ">", 1.0) for key in "abc")
MORE: list[tuple[Kind, str, Condition]] = [
    ("runs", "metrics.a > 1 or metrics.b > 1 and metrics.c > 1", Or((A, And((B, C))))),
    ("runs", "(metrics.a > 1 OR metrics.b > 1) AND metrics.c > 1", And((Or((A, B)), C))),
    ("runs", "not metrics.a > 1 and metrics.b > 1", And((Not(A), B))),
    ("runs", "NOT (metrics.a > 1 or not metrics.b > 1)", Not(Or((A, Not(B))))),
    ("runs", "((((metrics.a > 1))))", A),
    ("runs", "params.depth > 3", of("param", "depth", ">", 3.0)),
    ("runs", "params.x in ('a', 3)", of("param", "x", "in", ("a", 3.0))),
    ("runs", "params.x NOT LIKE 'a%'", And((of("param", "x", "is not null"), Not(of("param", "x", "like", "a%"))))),
    ("runs", "metrics.a is null", of("metric", "a", "is null")),
    ("runs", "metrics.a in (1, 2)", of("metric", "a", "in", (1.0, 2.0))),
    ("runs", "metrics.a between 1 and 2", And((of("metric", "a", ">=", 1.0), of("metric", "a", "<=", 2.0)))),
    ("runs", "metrics.a not between 1 and 2", Or((of("metric", "a", "<", 1.0), of("metric", "a", ">", 2.0)))),
    (
        "runs",
        "metrics.a < inf and metrics.b > -Infinity",
        And((of("metric", "a", "<", math.inf), of("metric", "b", ">", -math.inf))),
    ),
    ("runs", "metrics.a == 1 or metrics.a <> 2", Or((of("metric", "a", "=", 1.0), of("metric", "a", "!=", 2.0)))),
    ("runs", "tags.a = 'it''s'", of("tag", "a", "=", "it's")),
    ("runs", "tags.a = 'it\\'s'", of("tag", "a", "=", "it's")),
    ("runs", "tags.a = `both ' and \" `` ticks`", of("tag", "a", "=", "both ' and \" ` ticks")),
    ("runs", "tags.größe = 'Ü'", of("tag", "größe", "=", "Ü")),
    ("runs", "tags.a-b/c:d > 'x'", of("tag", "a-b/c:d", ">", "x")),
    ("runs", "started_at >= '1970-01-02'", of("attribute", "started_at", ">=", 86_400_000.0)),
    ("runs", "started_at < '1970-01-01T01:00:00+01:00'", of("attribute", "started_at", "<", 0.0)),
    ("runs", "text ilike '%boost%'", of("attribute", "text", "ilike", "%boost%")),
    ("runs", "seed = 7", of("attribute", "seed", "=", 7.0)),
    (
        "runs",
        "experiment = 'churn' or experiment_id = '3'",
        Or((of("attribute", "experiment", "=", "churn"), of("attribute", "experiment_id", "=", "3"))),
    ),
    ("versions", "version = '3'", of("attribute", "version", "=", 3.0)),
    ("trained", "metrics.auc on 'test' > 0.5", of("metric", "auc", ">", 0.5, dataset="test")),
    (
        "trained",
        "metrics.auc on ('test', 'f3') > 0.5",
        of("metric", "auc", ">", 0.5, dataset="test", dataset_digest="f3"),
    ),
    ("runs", "true", And(())),
    ("runs", "false or metrics.a > 1", Or((Or(()), A))),
]


@pytest.mark.parametrize(("kind", "text", "meant"), MORE, ids=[text for _, text, _ in MORE])
def test_more_can_be_said(kind: Kind, text: str, meant: Condition) -> None:
    assert parse_filter(text, kind=kind) == meant


@pytest.mark.parametrize("text", ["", "  ", "\n\t", " and "])
def test_a_text_that_asks_for_nothing_is_no_condition(text: str) -> None:
    assert parse_filter(text) is None


FAULTS: list[tuple[Kind, str, str, str]] = [
    # kind, text, reason, what the error must say
    ("runs", "metrics.auc > high", "value", "character 15"),
    ("runs", "metrics.auc > 'x'", "value", "a number"),
    ("runs", "metrics.auc >", "value", "it ends there"),
    ("runs", "metrics.auc", "operator", "character 12"),
    ("runs", "metrics.auc LIKE '1'", "value", "a number"),
    ("runs", "params.a LIKE 1", "operator", "'like'"),
    ("runs", "tags.a = 5", "value", "a text in quotes"),
    ("runs", "tags.a = x", "value", "a text in quotes"),
    ("runs", "status = 5", "value", "a text in quotes"),
    ("runs", "start_time = 'yesterday'", "value", "a time"),
    ("runs", "start_time LIKE '5'", "operator", "it is a time"),
    ("runs", "experiment_id > '5'", "operator", "it is an id"),
    ("runs", "text = 'x'", "operator", "every text"),
    ("runs", "metrics.auc > 1 ! params.a = 'x'", "syntax", "character 17"),
    ("runs", "metrics.auc > 1 or", "syntax", "a field"),
    ("runs", "or metrics.auc > 1", "syntax", "a field"),
    ("runs", "(metrics.auc > 1", "syntax", "')'"),
    ("runs", "metrics.auc > 1)", "syntax", "AND, OR or the end"),
    ("runs", "not", "syntax", "a field"),
    ("runs", "tags.a = 'x", "syntax", "never closed"),
    ("runs", "tags.`a = 'x'", "syntax", "never closed"),
    ("runs", "tags. = 'x'", "syntax", "after the dot"),
    ("runs", "tags.a ~ 'x'", "syntax", "'~'"),
    ("runs", "tags.a IS 'x'", "syntax", "NULL"),
    ("runs", "tags.a NOT 'x'", "operator", "IN, LIKE, ILIKE or BETWEEN"),
    ("runs", "run_id IN ()", "list", "empty"),
    ("runs", "run_id IN 'a'", "list", "'('"),
    ("runs", "run_id IN ('a' 'b')", "list", "a comma"),
    ("runs", "run_id IN ('a'", "list", "a comma"),
    ("runs", "run_id IN (1)", "value", "a text in quotes"),
    ("runs", "metrics.a between 1 or 2", "syntax", "AND"),
    ("runs", "metrik.auc > 1", "scope", "'metrik'"),
    ("runs", "stats = 'x'", "field", "did you mean 'status'?"),
    ("runs", "strt_time > 1", "field", "did you mean 'start_time'?"),
    ("runs", "dataset.size = 'x'", "field", "name, digest, context"),
    ("runs", "metrics.auc on 'test' > 1", "field", "dataset"),
    ("runs", "metrics.a < nan", "value", "NaN"),
    ("runs", "tags.a = 'x\0y'", "value", "character"),
    ("experiments", "metrics.auc > 1", "scope", "experiments have no metrics"),
    ("models", "params.a = 'x'", "scope", "models have no params"),
    ("models", "version = 3", "field", "models have no attribute 'version'"),
    ("versions", "datasets.name = 'x'", "scope", "versions have no datasets"),
]


@pytest.mark.parametrize(("kind", "text", "reason", "said"), FAULTS, ids=[ascii(text) for _, text, _, _ in FAULTS])
def test_a_fault_names_its_place_and_its_kind(kind: Kind, text: str, reason: str, said: str) -> None:
    with pytest.raises(QueryInvalid) as refused:
        parse_filter(text, kind=kind)

    assert refused.value.reason == reason
    assert said in str(refused.value)


def test_a_query_is_only_so_deep_and_so_large() -> None:
    deep = MAX_DEPTH - 1
    assert parse_filter("(" * deep + "metrics.a > 1" + ")" * deep) == A
    assert parse_filter("not " * deep + "metrics.a > 1") is not None
    for text in ("(" * 5000 + "metrics.a > 1" + ")" * 5000, "not " * 100_000 + "metrics.a > 1"):
        with pytest.raises(QueryInvalid) as refused:
            parse_filter(text)
        assert refused.value.reason == "size"
    assert parse_filter(" and ".join(["metrics.a > 1"] * MAX_COMPARISONS)) is not None
    with pytest.raises(QueryInvalid):
        parse_filter(" or ".join(["metrics.a > 1"] * (MAX_COMPARISONS + 1)))
    with pytest.raises(QueryInvalid):
        parse_filter("run_id in (" + ",".join(["'a'"] * 40_000) + ")")
    nested: Condition = A
    for _ in range(10_000):
        nested = Not(nested)
    with pytest.raises(QueryInvalid):
        check_condition(nested, "runs")


@pytest.mark.parametrize("piece", ["'\\'", '"\\"', "``", "''", "(", "a.", "-", "1e", "not ", "'", "`"])
def test_a_long_text_is_no_burden(piece: str) -> None:
    """Anything slower than linear would not come to an end here."""
    with suppress(QueryInvalid):
        parse_filter("tags.a = " + piece * 300_000)


ORDERS: list[tuple[Kind, str | list[str], list[Order]]] = [
    ("runs", "metrics.x DESC", [Order(field=Field(scope="metric", key="x"), descending=True)]),
    ("runs", ["metrics.`a b`"], [Order(field=Field(scope="metric", key="a b"))]),
    ("runs", ['params."a b" asc'], [Order(field=Field(scope="param", key="a b"))]),
    (
        "runs",
        ["start_time desc", "tags.a"],
        [
            Order(field=Field(scope="attribute", key="started_at"), descending=True),
            Order(field=Field(scope="tag", key="a")),
        ],
    ),
    (
        "runs",
        "Created, attribute.end_time DESC",
        [
            Order(field=Field(scope="attribute", key="started_at")),
            Order(field=Field(scope="attribute", key="finished_at"), descending=True),
        ],
    ),
    ("runs", "`Run Name`", [Order(field=Field(scope="attribute", key="name"))]),
    (
        "experiments",
        ["last_update_time DESC", "experiment_id ASC"],
        [
            Order(field=Field(scope="attribute", key="updated_at"), descending=True),
            Order(field=Field(scope="attribute", key="experiment_id")),
        ],
    ),
    (
        "models",
        ["timestamp DESC", "name"],
        [
            Order(field=Field(scope="attribute", key="updated_at"), descending=True),
            Order(field=Field(scope="attribute", key="name")),
        ],
    ),
    ("models", "last_updated_timestamp", [Order(field=Field(scope="attribute", key="updated_at"))]),
    ("versions", "version_number desc", [Order(field=Field(scope="attribute", key="version"), descending=True)]),
    (
        "trained",
        "metrics.auc on 'test' desc",
        [Order(field=Field(scope="metric", key="auc", dataset="test"), descending=True)],
    ),
    ("runs", "", []),
    ("runs", [], []),
]


@pytest.mark.parametrize(("kind", "clauses", "meant"), ORDERS, ids=[str(clauses) for _, clauses, _ in ORDERS])
def test_orders_are_read(kind: Kind, clauses: str | list[str], meant: list[Order]) -> None:
    assert list(parse_order(clauses, kind=kind)) == meant


@pytest.mark.parametrize(
    "clause", ["metrics.x up", "metrics.x desc asc", "worst", "metrics.x desc,", ", name", "desc", "1"]
)
def test_an_order_that_cannot_be_read_is_refused(clause: str) -> None:
    with pytest.raises(QueryInvalid):
        parse_order([clause])


TEXTS = st.text(alphabet=st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=12)
KEYS = TEXTS.filter(bool)
NUMBERS = st.floats()


@st.composite
def comparisons(draw: st.DrawFn, kind: Kind) -> Comparison:
    scope = draw(st.sampled_from(["metric", "param", "tag", "attribute"]))
    if kind not in ("runs", "trained") and scope in ("metric", "param"):
        scope = "tag"
    types = {"metric": "number", "param": "param", "tag": "text"}
    key = draw(st.sampled_from(sorted(ATTRIBUTES[kind]))) if scope == "attribute" else draw(KEYS)
    of_type = ATTRIBUTES[kind][key] if scope == "attribute" else types[scope]
    dataset = draw(TEXTS) if kind == "trained" and scope == "metric" else ""
    digest = draw(TEXTS) if dataset else ""
    texts = TEXTS.map(str.lower) if key == "status" else TEXTS
    finite = NUMBERS.filter(lambda number: not math.isnan(number))
    value = {"number": finite, "time": finite, "param": st.one_of(finite, texts)}.get(of_type, texts)
    operators = ["=", "!=", "<", "<=", ">", ">=", "in", "not in", "is null", "is not null", "like", "ilike"]
    if of_type == "all":
        operators = ["like", "ilike"]
    elif of_type == "serial":
        operators = ["=", "!=", "in", "not in", "is null", "like", "ilike"]
    operator = draw(st.sampled_from(operators))
    given_value: object = None
    if operator in ("in", "not in"):
        given_value = tuple(draw(st.lists(value, min_size=1, max_size=3)))
    elif operator in ("like", "ilike"):
        operator = operator if of_type not in ("number", "time") else "="
        given_value = draw(texts if of_type not in ("number", "time") else finite)
    elif not operator.startswith("is"):
        given_value = draw(value)
    return of(scope, key, operator, given_value, dataset=dataset, dataset_digest=digest)


def conditions(kind: Kind) -> st.SearchStrategy[Condition]:
    several = lambda inner: st.lists(inner, max_size=3).filter(lambda terms: len(terms) != 1).map(tuple)  # noqa: E731
    return st.recursive(
        comparisons(kind),
        lambda inner: st.one_of(several(inner).map(And), several(inner).map(Or), inner.map(Not)),
        max_leaves=6,
    )


KINDS: list[Kind] = ["runs", "experiments", "trained", "versions", "models"]


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(KINDS).flatmap(lambda kind: st.tuples(st.just(kind), conditions(kind))))
def test_a_condition_s_text_means_the_condition(drawn: tuple[Kind, Condition]) -> None:
    kind, condition = drawn

    assert parse_filter(text_of(condition), kind=kind) == condition


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(KEYS, st.booleans()), max_size=3))
def test_an_order_s_text_means_the_order(keys: list[tuple[str, bool]]) -> None:
    orders = tuple(Order(field=Field(scope="tag", key=key), descending=down) for key, down in keys)

    assert parse_order(text_of_order(orders)) == orders


@settings(max_examples=300, deadline=None)
@given(
    st.text(
        alphabet=st.sampled_from("metricsparamstags.abc =<>!'\"`\\()%_,0123456789andornotlikeinull-+~"), max_size=60
    )
)
def test_whatever_is_written_is_read_or_refused(text: str) -> None:
    with suppress(QueryInvalid):
        condition = parse_filter(text)
        assert parse_filter(text_of(condition)) == condition
