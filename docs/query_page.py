"""The reference page of the search grammar: prose and examples here, the tables of fields from wire/query_fields. Called by generate_reference.py.

tests/docs/test_query_page.py reads every example of the page.
"""

from noria.wire.query_fields import (
    ATTRIBUTES,
    DATASET_KEYS,
    MAX_COMPARISONS,
    MAX_DEPTH,
    MAX_PATTERN,
    MAX_VALUES,
    OTHER_NAMES,
    SCOPE_NAMES,
    SCOPES,
    Kind,
)

KINDS: dict[Kind, str] = {
    "runs": "Runs",
    "experiments": "Experiments",
    "models": "Registered models",
    "versions": "Model versions",
    "trained": "Trained models (MLflow: logged models)",
}
OPERATORS = {
    "text": "`= != < <= > >= LIKE ILIKE IN BETWEEN`; order by code point",
    "number": "`= != < <= > >= IN BETWEEN`",
    "time": "`= != < <= > >= IN BETWEEN`",
    "id": "`= != LIKE ILIKE IN`; a text that sorts as a number",
    "param": "those of a number with numbers, those of a text with texts",
    "every text": "`LIKE ILIKE`; the id, the name, the experiment, the user, and each param and tag as `key=value`",
}
WORDS = {"text": "text", "number": "number", "time": "time", "serial": "id", "all": "every text"}

HEAD = """\
One language for `noria run --where`, REST (`/api/v1/runs?where=`), Python (`noria.runs("…", order="…")`) and MLflow's clients. Every filter that
MLflow 3 takes is taken and means the same; OR, NOT, parentheses, numbers in params and more come on top.

```query
metrics.auc > 0.8 and (params.depth >= 6 or not tags.team = 'x')
```

## Conditions

A field, an operator, a value. Words in capitals may be written small.

```query
metrics.loss <= 1.5e-3
params.model = 'forest'
params.depth > 3
tags.stage IN ('new', 'old')
tags.stage NOT IN ('new')
name LIKE 'night%'
name ILIKE '%forest_'
tags.note IS NULL
metrics.auc IS NOT NULL
metrics.auc BETWEEN 0.7 AND 0.8
started_at >= '2026-11-01'
status = 'finished'
```

**Fields.** `metrics.KEY`, `params.KEY`, `tags.KEY`, `datasets.name`, and attributes with or without `attributes.` before them. A key with blanks
or signs stands in backticks or double quotes; a backtick in backticks is doubled.

```query
metrics.`log loss` < 0.3
params."batch size" = '32'
tags.mlflow.source.type = 'NOTEBOOK'
datasets.context = 'training'
```

**Texts** stand in single or double quotes, or in backticks. A quote inside is doubled (`'it''s'`), follows a backslash (`'it\\'s'`), or is of another
kind (`"it's"`). MLflow keeps the second quote, or the backslash, as part of the text; nothing else is read differently.

**Numbers**: `3`, `-.5`, `1e-3`, `inf`, `nan`. NaN is equal to itself and neither more nor less than anything:

```query
metrics.loss = nan
metrics.loss < inf
```

**Params** are compared as numbers with a number, as text with a text. A text that reads as a number is one: `params.depth > 3` finds `'7'`, and `7`.
`True`, `False` and None are no numbers; None is no text either.

**Times** are milliseconds since 1970, or a day or a moment in quotes, in UTC if it names no zone. They are compared as whole milliseconds.

**LIKE**: `%` is any text, `_` one character, nothing escapes them. Case counts in LIKE, and not in ILIKE, for the letters A to Z.

**What is not there** matches `IS NULL` and nothing else: `tags.a != 'x'` finds those that have a tag `a`. `NOT (tags.a = 'x')` finds the others too.
Of several values (datasets, measurements of a trained model) one that fits is enough.

## Together

NOT binds closest, then AND, then OR. Nothing between two conditions means AND, as in MLflow. `true` and `false` are conditions, too.

```query
metrics.auc > 0.8 or metrics.auc > 0.7 and params.model = 'tree'
not (status = 'failed' or tags.team = 'x')
```

## Order

Fields with commas between, each with ASC (if nothing is said) or DESC. Numbers sort as numbers, then come NaN and, in params, the other texts, then
those without a value, whichever way it runs. Ties: newest first, then by id.

```order
metrics.auc desc, params.depth, name
`Run Name`
started_at DESC
```

## Pages

A page goes on after the last thing of the page before it, whatever was written meanwhile: nothing comes twice, and nothing that was there all the
time is left out. The token of a page belongs to its filter, order and scope and is refused with others.
"""

FOOT = f"""\
## Limits and faults

At most {MAX_COMPARISONS} conditions with {MAX_VALUES:,} values together, {MAX_DEPTH} levels of parentheses and NOT, {MAX_PATTERN:,} characters in a
pattern. What cannot be read is refused with its place:

```console
$ noria run --where "metrics.auc > high"
QueryInvalid [noria-1011]: expected a number at character 15 of the query
  cause:  found 'high'
```
"""


def query_page(made: str) -> str:
    """The page. made: the line that says how it is written."""
    parts = ["# Queries", made, HEAD.strip(), "## Fields", _scopes()]
    for kind, title in KINDS.items():
        parts += [f"### {title}", _attributes(kind)]
    return "\n\n".join([*parts, FOOT.strip()])


def _scopes() -> str:
    rows = ["| scope | written | is | of |", "|---|---|---|---|"]
    types = {"metric": "number", "param": "param", "attribute": "as below"}
    for scope in dict.fromkeys(SCOPE_NAMES.values()):
        written = ", ".join(f"`{name}.`" for name, meant in SCOPE_NAMES.items() if meant == scope)
        of = ", ".join(KINDS[kind].split(" (")[0].lower() for kind in KINDS if scope in SCOPES[kind])
        rows.append(f"| {scope} | {written} | {types.get(scope, 'text')} | {of} |")
    operators = ["| is | operators |", "|---|---|", *(f"| {name} | {signs} |" for name, signs in OPERATORS.items())]
    below = (
        f"`IS NULL` and `IS NOT NULL` go with all but every text, NOT with IN, LIKE, ILIKE and BETWEEN. A dataset has"
        f" {', '.join(f'`{key}`' for key in DATASET_KEYS)}.\nA trained model's metric may name the dataset that it was measured"
        " on, and its digest:\n\n"
        "```trained\nmetrics.auc ON 'holdout' > 0.8\nmetrics.auc ON ('holdout', '3f2c') > 0.8\n```"
    )
    return "\n\n".join(["\n".join(rows), "\n".join(operators), below])


def _attributes(kind: Kind) -> str:
    rows = ["| attribute | is | also written |", "|---|---|---|"]
    for key, of in ATTRIBUTES[kind].items():
        others = ", ".join(f"`{name}`" for name, meant in OTHER_NAMES[kind].items() if meant == key)
        rows.append(f"| `{key}` | {WORDS[of]} | {others} |")
    return "\n".join(rows)
