"""The report: small, whole in itself, of one size whatever the rows, and with everything that the verdict says."""

import re
from html.parser import HTMLParser

import msgspec
import numpy as np
import pytest

from noria.errors import SettingInvalid
from noria.monitor import compare

VOID = {"meta", "path", "rect", "circle", "polyline", "br", "i"}


class Checked(HTMLParser):
    """Collects tags that are not closed, and everything that could reach outside."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.outside: list[tuple[str, str, str]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self.open.append(tag)
        self.outside += [(tag, k, v or "") for k, v in attrs if k in ("src", "href", "action", "onclick", "onload")]
        if tag in ("script", "link", "img", "iframe", "object"):
            self.outside.append((tag, "", ""))

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag


def wide(rows: int, columns: int, *, seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    table = {f"number_{i}": rng.gamma(2.0, 5.0, rows) for i in range(columns * 4 // 5)}
    for i in range(columns // 5):
        names = np.array([f"category {k} with a long name" for k in range(30)], dtype=object)
        table[f"text_{i}"] = rng.choice(names, rows)
    return table


def test_fifty_columns_take_less_than_300_kb_and_rows_do_not_count() -> None:
    small, large = (compare(wide(n, 50, seed=1), wide(n // 2, 50, seed=2)).html() for n in (400, 8000))

    assert len(large) < 300_000
    assert abs(len(large) - len(small)) < 0.2 * len(large)


def test_the_page_is_whole_and_reaches_for_nothing() -> None:
    then, now = wide(2000, 5, seed=1), wide(900, 5, seed=2)
    then["chance"] = now["chance"] = np.linspace(0.05, 0.95, 2000)
    then["bought"] = (np.arange(2000) % 2).astype(float)
    now["chance"], now["bought"] = then["chance"][:900], then["bought"][:900]
    now["number_0"] = now["number_0"] + 5
    then["at"] = np.datetime64("2026-01-01", "us") + np.arange(2000) * np.timedelta64(1800, "s")
    now["at"] = np.datetime64("2026-03-01", "us") + np.arange(900) * np.timedelta64(1800, "s")

    found = compare(then, now, prediction="chance", label="bought", time="at")
    page = found.html()

    checked = Checked()
    checked.feed(page)
    assert checked.open == []
    assert checked.outside == []
    assert not re.findall(r"https?://|url\(|@import", page)
    for said in ("Alarm", "number_0", "Evidence over time", "Quality of answers", "1,000 comparisons"):
        assert said.lower() in page.lower()


def test_a_thousand_columns_still_open_and_the_rest_is_told() -> None:
    found = compare({"x": np.arange(40) % 7}, {"x": np.arange(40) % 7})

    page = msgspec.structs.replace(found, columns=found.columns * 1100).html()

    assert len(page) < 3_000_000
    assert "100 columns that moved less" in page


def test_only_pages_and_json_are_written(tmp_path) -> None:
    found = compare({"x": [1, 2] * 40}, {"x": [1, 2] * 20})

    assert found.save(tmp_path / "a.html").read_text(encoding="utf-8") == found.html()
    assert found.save(str(tmp_path / "a.json")).read_text(encoding="utf-8") == found.json()
    for name in ("a.pdf", "absent/a.html"):
        with pytest.raises(SettingInvalid):
            found.save(tmp_path / name)
