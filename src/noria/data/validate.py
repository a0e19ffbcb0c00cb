"""Judge rows by expectations: one pass that counts, one filter that sets bad rows aside. Types are schema.py. Called by snapshot."""

from collections.abc import Sequence

import polars as pl

from noria.domain.arrow import ArrowTable
from noria.domain.dataset import Expectation, ExpectationReport, ExpectationResult
from noria.errors import SchemaMismatch, SettingInvalid
from noria.wire.tables import open_table

REASON = "quarantine_reason"
"""The column that `quarantine` adds: which expectations a row broke, '; ' between them."""
EXAMPLES = 3


def validate(frame: ArrowTable, expectations: Sequence[Expectation]) -> ExpectationReport:
    """Count the rows that break each expectation, in one pass over the table.

    Missing values (null, NaN) break 'not_null' only. 'unique' counts all but the first of equal values, over `column` or, if that is empty,
    over the columns named in `values` together. 'matches' is about the whole text. An expectation passes while the share of rows that
    break it is at most its tolerance; `quarantined` counts the rows that `quarantine` would set aside.
    Raises SchemaMismatch for a column that is not there, SettingInvalid for a rule that does not fit its column.

    >>> validate(pl.DataFrame({"age": [31, -1]}), [Expectation(rule="between", column="age", minimum=0)]).passed
    False
    """
    table = open_table(frame)
    bad = [_broken(table, e) for e in expectations]
    counts = table.lazy().select(
        _count(table, e, b).alias(str(i)) for i, (e, b) in enumerate(zip(expectations, bad, strict=True))
    )
    failed = [int(n) for n in counts.collect().row(0)] if expectations else []
    failing = [i for i, n in enumerate(failed) if n]
    examples = _examples(table, expectations, {i: bad[i] for i in failing})
    results = tuple(
        ExpectationResult(
            expectation=e,
            passed=failed[i] <= e.tolerance * table.height,
            failed=failed[i],
            rows=table.height,
            examples=examples.get(i, ()),
        )
        for i, e in enumerate(expectations)
    )
    aside = [bad[i] for i in _quarantining(results)]
    moved = int(table.lazy().select(pl.any_horizontal(aside).sum()).collect().item()) if aside else 0
    return ExpectationReport(results=results, rows=table.height, quarantined=moved)


def quarantine(frame: ArrowTable, expectations: Sequence[Expectation]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Part the rows that break a failed expectation of severity 'quarantine' from the others: (good, bad with a column of reasons).

    No row is lost: good and bad together have as many rows as the table, in its order.
    """
    table = open_table(frame)
    return part(table, validate(table, expectations))


def part(table: pl.DataFrame, report: ExpectationReport) -> tuple[pl.DataFrame, pl.DataFrame]:
    """As `quarantine`, for a table that was validated already."""
    moved = [report.results[i].expectation for i in _quarantining(report.results)]
    if not moved:
        return table, table.clear().with_columns(pl.lit(None, dtype=pl.String).alias(REASON))
    bad = [_broken(table, e) for e in moved]
    reasons = pl.concat_str(
        [pl.when(b).then(pl.lit(describe(e))) for b, e in zip(bad, moved, strict=True)],
        separator="; ",
        ignore_nulls=True,
    )
    marked = table.with_columns(reasons.alias(REASON))
    is_bad = pl.col(REASON) != ""
    return marked.filter(~is_bad).drop(REASON), marked.filter(is_bad)


def suggest(frame: ArrowTable) -> tuple[Expectation, ...]:
    """Expectations that this table meets, to start from: no nulls where there are none, ranges of numbers, small sets of texts, unique texts.

    Severity 'warn': a suggestion is what was seen, not what must be; raise it where it must.
    """
    table = open_table(frame)
    found: list[Expectation] = []
    for series in table.get_columns():
        values = series.drop_nulls()
        if len(values) == 0:
            continue
        if series.null_count() == 0 and not (series.dtype.is_float() and series.is_nan().any()):
            found.append(Expectation(rule="not_null", column=series.name, severity="warn"))
        if series.dtype.is_numeric():
            found += _suggest_range(values, series.name)
        elif series.dtype == pl.String:
            found += _suggest_text(values, series.name)
    return tuple(found)


def describe(expectation: Expectation) -> str:
    """One line for a person.

    >>> describe(Expectation(rule="between", column="age", minimum=0, maximum=120))
    'age between 0 and 120'
    """
    e = expectation
    low, high = "-inf" if e.minimum is None else f"{e.minimum:g}", "inf" if e.maximum is None else f"{e.maximum:g}"
    texts = {
        "not_null": f"{e.column} not null",
        "between": f"{e.column} between {low} and {high}",
        "one_of": f"{e.column} one of {', '.join(e.values[:6])}{', ...' if len(e.values) > 6 else ''}",
        "unique": f"{e.column or ', '.join(e.values)} unique",
        "matches": f"{e.column} matches {e.pattern}",
        "row_count_at_least": f"at least {low} rows",
    }
    return texts[e.rule]


def _quarantining(results: Sequence[ExpectationResult]) -> list[int]:
    """Positions of the failed expectations that move rows; a count of rows has no rows to move."""
    return [
        i
        for i, r in enumerate(results)
        if not r.passed and r.expectation.severity == "quarantine" and r.expectation.rule != "row_count_at_least"
    ]


def _count(table: pl.DataFrame, expectation: Expectation, broken: pl.Expr) -> pl.Expr:
    if expectation.rule == "row_count_at_least":
        return pl.lit(max(0, int(expectation.minimum or 0) - table.height))
    if expectation.rule == "not_null" and not table.schema[expectation.column].is_float():
        return pl.col(expectation.column).null_count()  # known without looking at the rows
    if expectation.rule == "unique" and expectation.column:
        values = pl.col(expectation.column).drop_nulls()
        return values.len() - values.n_unique()
    return broken.sum()


def _broken(table: pl.DataFrame, expectation: Expectation) -> pl.Expr:
    """Per row: whether it breaks the expectation; never null."""
    _refuse_unfit(table, expectation)
    e, column = expectation, pl.col(expectation.column)
    held = table.schema.get(e.column)
    floating = held is not None and held.is_float()
    if e.rule == "row_count_at_least":
        return pl.lit(False)
    if e.rule == "not_null":
        return column.is_null() | column.is_nan().fill_null(False) if floating else column.is_null()
    if e.rule == "unique":
        which = pl.struct(list(e.values)) if not e.column else column
        repeated = ~which.is_first_distinct()
        return repeated & column.is_not_null() if e.column else repeated
    if e.rule == "one_of":
        texts = column if held == pl.String else column.cast(pl.String)
        return ~texts.is_in(list(e.values)).fill_null(True)
    if e.rule == "matches":
        return ~column.str.contains(f"^(?:{e.pattern})$").fill_null(True)
    values = column.fill_nan(None) if floating else column
    low = values < e.minimum if e.minimum is not None else pl.lit(False)
    high = values > e.maximum if e.maximum is not None else pl.lit(False)
    return (low | high).fill_null(False)


def _refuse_unfit(table: pl.DataFrame, e: Expectation) -> None:
    needed = [e.column] if e.column else list(e.values if e.rule == "unique" else ())
    absent = [name for name in needed if name not in table.schema]
    if absent:
        raise SchemaMismatch(
            f"expectation '{describe(e)}' is about a column that is not there: {', '.join(absent)}",
            cause=f"the table has {', '.join(table.columns)}",
            remedy="correct the name in the expectation",
        )
    problem = ""
    if e.rule == "row_count_at_least":
        problem = "needs minimum" if e.minimum is None else ""
    elif not needed:
        problem = "names no column"
    elif e.rule == "between":
        if not table.schema[e.column].is_numeric():
            problem = f"needs numbers, and the column is {table.schema[e.column]}"
        elif e.minimum is None and e.maximum is None:
            problem = "needs minimum, maximum or both"
    elif e.rule == "matches":
        problem = _pattern_problem(e.pattern, table.schema[e.column])
    if not 0.0 <= e.tolerance <= 1.0:
        problem = f"has tolerance {e.tolerance:g}, a share between 0 and 1 is meant"
    if problem:
        raise SettingInvalid(
            f"expectation '{describe(e)}' ({e.rule}) {problem}",
            cause="the rule does not fit",
            remedy="see the fields of noria.domain.dataset.Expectation",
        )


def _pattern_problem(pattern: str, held: pl.DataType) -> str:
    if held != pl.String:
        return f"needs text, and the column is {held}"
    try:
        pl.Series([""]).str.contains(f"^(?:{pattern})$")
    except pl.exceptions.ComputeError as error:
        return f"has a pattern that is no regular expression: {str(error).splitlines()[0]}"
    return ""


def _examples(
    table: pl.DataFrame, expectations: Sequence[Expectation], broken: dict[int, pl.Expr]
) -> dict[int, tuple[str, ...]]:
    """A few values of the rows that broke an expectation; looked for only when there are any."""
    exprs = []
    for i, is_bad in broken.items():
        e = expectations[i]
        if e.rule == "row_count_at_least":
            continue
        row = pl.int_range(pl.len()).filter(is_bad).head(EXAMPLES)
        exprs.append(row.implode().alias(str(i)))
    if not exprs:
        return {}
    rows = table.lazy().select(exprs).collect().row(0, named=True)
    return {int(i): tuple(_example(table, expectations[int(i)], row) for row in found) for i, found in rows.items()}


def _example(table: pl.DataFrame, expectation: Expectation, row: int) -> str:
    names = [expectation.column] if expectation.column else list(expectation.values)
    return f"row {row}: " + ", ".join(str(table.item(row, name)) for name in names)


def _suggest_range(values: pl.Series, name: str) -> list[Expectation]:
    finite = values.filter(values.is_finite()) if values.dtype.is_float() else values
    low, high = finite.min(), finite.max()
    if not isinstance(low, int | float) or not isinstance(high, int | float):
        return []
    return [Expectation(rule="between", column=name, minimum=float(low), maximum=float(high), severity="warn")]


def _suggest_text(values: pl.Series, name: str) -> list[Expectation]:
    distinct = values.n_unique()
    if distinct == len(values) and len(values) > 1:
        return [Expectation(rule="unique", column=name, severity="warn")]
    if distinct <= 50 and distinct * 4 <= len(values):
        return [Expectation(rule="one_of", column=name, values=tuple(sorted(values.unique())), severity="warn")]
    return []
