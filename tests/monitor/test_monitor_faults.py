"""Tables that nobody planned for: tiny, constant, empty of values, infinite, of a million categories, renamed and retyped. Never a foreign error."""

from collections.abc import Callable

import numpy as np
import pytest

from noria.monitor import Comparison, Watch, compare

Columns = dict[str, object]
RNG = np.random.default_rng(7)


def texts(prefix: str, values: np.ndarray) -> np.ndarray:
    return np.array([f"{prefix}{v}" for v in values], dtype=object)


N = 400
CASES: dict[str, tuple[Columns, Columns]] = {
    "50 rows": ({"x": RNG.normal(size=50)}, {"x": RNG.normal(size=60)}),
    "one row each": ({"x": [1.0]}, {"x": [2.0]}),
    "one value": ({"x": np.ones(N)}, {"x": np.ones(N)}),
    "one value, then another": ({"x": np.ones(N)}, {"x": np.zeros(N)}),
    "one text": ({"x": texts("a", np.zeros(N))}, {"x": texts("b", np.zeros(N))}),
    "all missing now": ({"x": RNG.normal(size=N)}, {"x": np.full(N, np.nan)}),
    "all missing then": ({"x": np.full(N, np.nan)}, {"x": RNG.normal(size=N)}),
    "all missing in both": ({"x": np.full(N, np.nan), "y": np.arange(N) % 5}, {"x": [None] * N, "y": np.arange(N) % 5}),
    "infinite": ({"x": RNG.normal(size=N)}, {"x": np.where(np.arange(N) % 2, np.inf, -np.inf)}),
    "infinite in both": ({"x": np.full(N, np.inf)}, {"x": np.full(N, np.inf)}),
    "huge": ({"x": RNG.uniform(-1.7, 1.7, N) * 1e308}, {"x": RNG.uniform(-1.7, 1.7, N) * 1e308}),
    "tiny": ({"x": RNG.normal(size=N) * 1e-320}, {"x": RNG.normal(size=N) * 1e-320}),
    "number to text": ({"x": RNG.normal(size=N)}, {"x": texts("t", np.arange(N) % 3)}),
    "text to number": ({"x": texts("t", np.arange(N) % 3)}, {"x": np.arange(N) % 3}),
    "digits as texts": ({"x": np.arange(N) % 3}, {"x": texts("", np.arange(N) % 3)}),
    "number to lists": ({"x": np.arange(N) % 3}, {"x": [[1]] * N}),
    "all columns gone": ({"x": np.arange(N) % 3}, {"y": np.arange(N) % 3}),
    "empty texts": ({"x": [""] * N}, {"x": ["", "a"] * (N // 2)}),
    "strange names": ({"<b>": np.arange(N) % 3, "": np.arange(N) % 2}, {"<b>": np.arange(N) % 3, "": np.arange(N) % 2}),
    "strange texts": ({"x": ["\ud800", "\0", "日本"] * 100}, {"x": ["\ud800", "\n", "日本"] * 100}),
    "whole numbers beyond 2**53": ({"x": RNG.integers(2**60, 2**62, N)}, {"x": RNG.integers(2**60, 2**62, N)}),
    "a reference of one row": ({"x": [1.0]}, {"x": RNG.normal(size=N)}),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_whatever_a_table_holds_there_is_a_verdict(case: tuple[Columns, Columns]) -> None:
    found = compare(*case)

    assert found.verdict in ("fine", "alarm")
    assert found.headline and str(found) and found.html().startswith("<!doctype html>")
    assert "NaN" not in found.json() and "Infinity" not in found.json()


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_a_watch_takes_whatever_comes(case: tuple[Columns, Columns]) -> None:
    if case is CASES["infinite in both"] or case is CASES["all missing then"]:
        case = ({**case[0], "y": np.arange(N) % 5}, {**case[1], "y": np.arange(N) % 5})
    watch = Watch(case[0])

    found = [watch.update(case[1]) for _ in range(2)][-1]

    assert found.verdict in ("fine", "alarm")
    assert found.html()


VERDICTS: dict[str, tuple[str, str]] = {
    "50 rows": ("fine", ""),
    "one value": ("fine", ""),
    "one value, then another": ("alarm", "x moved"),
    "all missing now": ("alarm", "x"),
    "infinite": ("alarm", "x"),
    "number to text": ("alarm", "x looks broken"),
    "text to number": ("alarm", "x looks broken"),
    "number to lists": ("alarm", "x looks broken"),
    "all columns gone": ("alarm", "x looks broken"),
    "all missing in both": ("fine", ""),
    "huge": ("fine", ""),
    "tiny": ("fine", ""),
    "whole numbers beyond 2**53": ("fine", ""),
}


@pytest.mark.parametrize("name", VERDICTS)
def test_what_is_broken_is_an_alarm_and_what_is_odd_is_none(name: str) -> None:
    found = compare(*CASES[name])

    assert found.verdict == VERDICTS[name][0]
    assert VERDICTS[name][1] in found.headline


def test_a_million_categories_are_no_news_and_stay_small() -> None:
    rng = np.random.default_rng(3)
    then = {"user": texts("u", rng.integers(0, 10**6, 20_000)), "page": texts("p", rng.zipf(1.3, 20_000))}
    now = {"user": texts("u", rng.integers(0, 10**6, 5_000)), "page": texts("p", rng.zipf(1.3, 5_000))}

    found = compare(then, now)

    assert found.verdict == "fine"
    assert len(found.html()) < 30_000


@pytest.mark.parametrize("options", [{}, {"prediction": "x", "label": "y"}], ids=["columns", "quality"])
def test_hostile_values_stay_text_on_the_page(options: dict[str, str]) -> None:
    bad = '"><script>alert(1)</script>'
    table: Columns = {bad: [bad, "b"] * 100, "x": ["a", bad] * 100, "y": ["a", bad] * 100}

    found = compare(table, {**table, bad: [f"{bad}!", "b"] * 100, f"new {bad}": [1] * 200}, **options)

    assert "<script" not in found.html() and "<script" not in found._repr_html_()


FOLLOWERS: dict[str, Callable[[Comparison], object]] = {
    "html": lambda f: f.html(),
    "json": lambda f: f.json(),
    "text": str,
}


@pytest.mark.parametrize("follow", FOLLOWERS.values(), ids=FOLLOWERS.keys())
def test_a_report_is_the_same_every_time(follow: Callable[[Comparison], object]) -> None:
    then, now = CASES["50 rows"]

    assert follow(compare(then, now)) == follow(compare(then, now))
