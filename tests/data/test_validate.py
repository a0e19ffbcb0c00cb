"""Expectations: each rule against a plain loop over the rows; quarantine loses no row."""

import re

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from noria.data.validate import REASON, quarantine, suggest, validate
from noria.domain.dataset import Expectation
from noria.errors import SchemaMismatch, SettingInvalid

ROWS = st.lists(
    st.tuples(
        st.none() | st.integers(-5, 5),
        st.none() | st.floats(-5, 5) | st.just(float("nan")),
        st.none() | st.sampled_from(["a", "ab", "b", "", "ä"]),
    ),
    max_size=12,
)
TYPES = {"i": pl.Int64, "f": pl.Float64, "s": pl.String}
RULES = [
    Expectation(rule="not_null", column="i", severity="quarantine"),
    Expectation(rule="not_null", column="f", severity="quarantine"),
    Expectation(rule="between", column="i", minimum=-2, maximum=2, severity="quarantine"),
    Expectation(rule="between", column="f", minimum=0, severity="quarantine"),
    Expectation(rule="one_of", column="s", values=("a", "b"), severity="quarantine"),
    Expectation(rule="one_of", column="i", values=("1", "2"), severity="quarantine"),
    Expectation(rule="matches", column="s", pattern="a|ab", severity="quarantine"),
    Expectation(rule="unique", column="s", severity="quarantine"),
    Expectation(rule="unique", column="f", severity="quarantine"),
    Expectation(rule="unique", values=("i", "s"), severity="quarantine"),
]


def is_missing(value: object) -> bool:
    return value is None or value != value


def breaks(rule: Expectation, rows: list[dict[str, object]]) -> list[bool]:
    """The oracle: one row after the other."""
    out, seen = [], set()
    for row in rows:
        value = row.get(rule.column)
        if rule.rule == "unique":
            found = value if rule.column else tuple(row[c] for c in rule.values)
            found = "nan" if found != found else found
            out.append(found in seen and found is not None)
            seen.add(found)
        elif rule.rule == "not_null":
            out.append(is_missing(value))
        elif is_missing(value):
            out.append(False)
        elif rule.rule == "between":
            out.append(
                not (rule.minimum is None or value >= rule.minimum)
                or not (rule.maximum is None or value <= rule.maximum)
            )
        elif rule.rule == "one_of":
            out.append(str(value) not in rule.values)
        else:
            out.append(not re.fullmatch(rule.pattern, str(value)))
    return out


@settings(max_examples=80, deadline=None)
@given(ROWS)
def test_every_rule_counts_what_a_loop_over_the_rows_counts(rows: list[tuple[object, ...]]) -> None:
    frame = pl.DataFrame(rows, schema=TYPES, orient="row")
    dicts = frame.to_dicts()

    report = validate(frame, RULES)

    assert [r.failed for r in report.results] == [sum(breaks(rule, dicts)) for rule in RULES]
    broken = [any(row) for row in zip(*(breaks(rule, dicts) for rule in RULES), strict=True)]
    assert report.quarantined == sum(broken)


@settings(max_examples=80, deadline=None)
@given(ROWS)
def test_quarantine_loses_no_row_and_what_is_left_is_good(rows: list[tuple[object, ...]]) -> None:
    frame = pl.DataFrame(rows, schema=TYPES, orient="row").with_row_index("n")

    good, bad = quarantine(frame, RULES)

    assert sorted([*good["n"], *bad["n"]]) == list(range(len(rows)))
    assert good["n"].is_sorted()
    assert bad["n"].is_sorted()
    assert good.columns == frame.columns
    assert all(bad[REASON].str.len_chars() > 0)
    row_rules = [r for r in RULES if r.rule != "unique"]
    assert all(r.failed == 0 for r in validate(good, row_rules).results)


def test_a_report_shows_rows_and_values() -> None:
    frame = pl.DataFrame({"age": [31, -1, 200, 44]})

    (result,) = validate(frame, [Expectation(rule="between", column="age", minimum=0, maximum=120)]).results

    assert (result.passed, result.failed, result.rows) == (False, 2, 4)
    assert result.examples == ("row 1: -1", "row 2: 200")


@pytest.mark.parametrize(("tolerance", "passed"), [(0.0, False), (0.24, False), (0.25, True)])
@pytest.mark.parametrize("severity", ["refuse", "quarantine", "warn"])
def test_within_its_tolerance_nothing_follows(tolerance: float, passed: bool, severity: str) -> None:
    frame = pl.DataFrame({"x": [1, 2, 3, None]})
    rule = Expectation(rule="not_null", column="x", tolerance=tolerance, severity=severity)  # type: ignore[arg-type]

    report = validate(frame, [rule])
    good, _ = quarantine(frame, [rule])

    assert report.results[0].passed == passed
    assert report.passed == (passed or severity != "refuse")
    assert good.height == (3 if severity == "quarantine" and not passed else 4)


def test_the_number_of_rows_can_be_expected() -> None:
    rule = Expectation(rule="row_count_at_least", minimum=3)

    report = validate(pl.DataFrame({"x": [1]}), [rule])

    assert (report.passed, report.results[0].failed) == (False, 2)
    assert validate(pl.DataFrame({"x": [1, 2, 3]}), [rule]).passed


@pytest.mark.parametrize(
    "rule",
    [
        Expectation(rule="between", column="s", minimum=0),
        Expectation(rule="between", column="i"),
        Expectation(rule="matches", column="i", pattern="a"),
        Expectation(rule="matches", column="s", pattern="("),
        Expectation(rule="not_null"),
        Expectation(rule="unique"),
        Expectation(rule="row_count_at_least"),
        Expectation(rule="not_null", column="i", tolerance=2),
    ],
)
def test_a_rule_that_does_not_fit_is_refused(rule: Expectation) -> None:
    with pytest.raises(SettingInvalid):
        validate(pl.DataFrame({"i": [1], "s": ["a"]}), [rule])


def test_a_rule_about_a_missing_column_is_refused() -> None:
    with pytest.raises(SchemaMismatch, match="not there: z"):
        validate(pl.DataFrame({"i": [1]}), [Expectation(rule="not_null", column="z")])


@settings(max_examples=40, deadline=None)
@given(ROWS)
def test_a_table_meets_what_is_suggested_from_it(rows: list[tuple[object, ...]]) -> None:
    frame = pl.DataFrame(rows, schema=TYPES, orient="row")

    assert all(r.passed for r in validate(frame, suggest(frame)).results)


def test_suggestions_name_ranges_sets_and_keys() -> None:
    frame = pl.DataFrame({"carrier": ["AA", "UA"] * 6, "tail": [f"N{i}" for i in range(12)], "delay": range(12)})

    found = {(e.rule, e.column) for e in suggest(frame)}

    assert {("one_of", "carrier"), ("unique", "tail"), ("between", "delay"), ("not_null", "delay")} <= found
