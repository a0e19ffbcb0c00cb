"""The report of `noria.monitor` in a real browser: readable in light and dark, on a desk and on a phone, reaching for nothing."""

from pathlib import Path

import numpy as np
import pytest

from noria.monitor import compare
from tests.ui.browser import Browser, Scheme

pytestmark = pytest.mark.ui


def a_report(folder: Path) -> Path:
    rng = np.random.default_rng(1)

    def table(rows: int, day: int, shift: float) -> dict[str, object]:
        chance = rng.random(rows)
        return {
            "price": rng.gamma(2.0, 10.0, rows) + shift,
            "a_column_with_a_name_that_is_much_longer_than_it_ought_to_be": rng.normal(size=rows),
            "channel": rng.choice(np.array(["web", "store", "app"], dtype=object), rows),
            "chance": chance,
            "bought": (rng.random(rows) < (chance if not shift else 1 - chance)).astype(float),
            "at": np.datetime64("2026-01-01", "us") + (day * 1440 + np.arange(rows) * 20).astype("m8[m]"),
        }

    now = table(1000, 60, 9.0)
    now["new"] = np.ones(1000)
    return compare(table(4000, 0, 0.0), now, prediction="chance", label="bought", time="at").save(folder / "r.html")


@pytest.mark.parametrize(("scheme", "width"), [("light", 400), ("dark", 1280)])
def test_the_report_is_readable_and_whole(browser: Browser, tmp_path: Path, scheme: Scheme, width: int) -> None:
    with browser.page(scheme=scheme, width=width) as page:
        page.goto(a_report(tmp_path).as_uri())
        page.eval("document.querySelectorAll('details').forEach(d => d.open = true)")

        assert page.text("h1").startswith("Answers got worse")
        assert page.eval("document.documentElement.scrollWidth") <= width
        assert page.eval("getComputedStyle(document.body).backgroundColor") == (
            "rgb(255, 255, 255)" if scheme == "light" else "rgb(20, 24, 27)"
        )
        assert page.axe() == []
        assert page.errors() == [] and page.hosts() == set()
