"""Thousands of filters, made at random: what MLflow's own parser takes, Noria takes, and it means the same."""

import json
import random
import subprocess
from pathlib import Path

from noria.domain.query import And, Comparison
from noria.wire.query import parse_filter
from noria.wire.query_fields import ATTRIBUTES, OTHER_NAMES, SCOPE_NAMES, Kind

HERE = Path(__file__).resolve().parent
PYTHON = HERE.parents[1] / ".make" / "peers" / "bin" / "python"

SCOPES = (
    "metrics.",
    "metric.",
    "params.",
    "param.",
    "parameter.",
    "tags.",
    "tag.",
    "attributes.",
    "attr.",
    "run.",
    "datasets.",
    "`metrics`.",
    "",
)
OWN: dict[Kind, tuple[str, ...]] = {
    "runs": (
        "run_id",
        "run_name",
        "status",
        "user_id",
        "start_time",
        "end_time",
        "artifact_uri",
        "created",
        "`Run Name`",
        '"run name"',
    ),
    "experiments": ("name", "creation_time", "last_update_time", "experiment_id"),
    "models": ("name",),
    "versions": ("name", "version_number", "run_id", "source_path"),
}
KEYS = (
    "a",
    "b.c",
    "mlflow.source.type",
    "`a b`",
    '"a b"',
    "'a b'",
    "`x/y`",
    "acc_1",
    "1a",
    "a-b",
    "É",
    "_x",
    "key",
    "order",
    "`mlflow.parentRunId`",
    "a b",
    "select",
    "user",
    "type",
    "name",
    "value",
    "end",
    "a.1",
)
NUMBERS = ("1", "-1", "1.5", ".5", "1.", "1e3", "1e-3", "-1.5E+2", "1E5", "123456789012")
TEXTS = (
    "'a'",
    '"a"',
    "'%x_'",
    "'a' ",
    "''",
    '""',
    "'C:\\'",
    "'RUNNING'",
    "'FINISHED'",
    "'a\nb'",
    "'x--y'",
    "'x;y'",
    "\"x = 'y' AND z\"",
    "'Ü'",
    '"it\'s"',
    "'1'",
)
LISTS = ("('a')", "('a', 'b')", "('a','b',)", '("a","b")', '("it\'s",)')
BETWEEN = (" AND ", " AND ", " and ", " And ", "  AND\n", " ", " AND AND ", " AND")


def a_condition(draw: random.Random, kind: Kind) -> str:
    scope = draw.choice(SCOPES if kind == "runs" else ("tags.", "tag.", "attribute.", "", ""))
    if SCOPE_NAMES.get(scope.strip(".`"), "attribute") == "attribute":
        key = draw.choice(OWN[kind])
        numeric = any(word in key.lower() for word in ("time", "created", "number"))
    elif scope == "datasets.":
        key, numeric = draw.choice(("name", "digest", "context")), False
    else:
        key, numeric = draw.choice(KEYS), "metric" in scope
    operators = (
        ["=", "!=", "<", "<=", ">", ">="]
        if numeric
        else ["=", "!=", "LIKE", "ILIKE", "like", "IN", "NOT IN", "IS NULL", "IS NOT NULL"]
    )
    operator = draw.choice(operators)
    blank = " " if operator[0].isalpha() else draw.choice(("", " ", "  "))
    value = (
        ""
        if operator.startswith("IS")
        else draw.choice(LISTS if operator.endswith("IN") else NUMBERS if numeric else TEXTS)
    )
    return f"{scope}{key}{blank}{operator}{blank}{value}"


def a_filter(draw: random.Random) -> tuple[Kind, str]:
    kind = draw.choice(list(OWN))
    text = a_condition(draw, kind)
    for _ in range(draw.randrange(3)):
        text += draw.choice(BETWEEN).ljust(1) + " " * draw.randrange(1, 2) + a_condition(draw, kind)
    return kind, draw.choice((text, text, text, f" {text} ", f"{text} AND"))


def meant(kind: Kind, conditions: list[list]) -> list[tuple]:
    """MLflow's meaning in Noria's words."""
    found = []
    for scope, key, operator, value in conditions:
        if scope == "attribute":
            key = OTHER_NAMES[kind].get(key, key)
        numeric = scope == "metric" or (scope == "attribute" and ATTRIBUTES[kind][key] in ("number", "time"))
        if isinstance(value, list):
            value = tuple(value)
        elif numeric:
            value = float(value)
        if (scope, key) == ("attribute", "status") and value is not None:
            value = tuple(one.lower() for one in value) if isinstance(value, tuple) else value.lower()
        found.append((SCOPE_NAMES[scope], key, operator.lower(), value))
    return found


def test_every_filter_that_mlflow_takes_means_the_same() -> None:
    draw = random.Random(3)
    asked = [a_filter(draw) for _ in range(4000)]

    done = subprocess.run(
        [str(PYTHON), str(HERE / "flows" / "filters.py")],
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        check=True,
        timeout=100,
    )

    taken = 0
    for (kind, text), theirs in zip(asked, json.loads(done.stdout), strict=True):
        if theirs is None or any(set("\"'=") & set(key) or " and" in key.lower() for _, key, _, _ in theirs):
            continue  # refused, or a slip of theirs: a key that holds a piece of the filter
        taken += 1
        condition = parse_filter(text, kind=kind)
        terms = condition.terms if isinstance(condition, And) else (condition,)
        ours = [(t.field.scope, t.field.key, t.operator, t.value) for t in terms if isinstance(t, Comparison)]
        assert (text, ours) == (text, meant(kind, theirs))
    assert taken > 1500
