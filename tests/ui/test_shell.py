"""The frame that every page stands in: rail, colour scheme, policy, weight. It stands while the API is down, too."""

from __future__ import annotations

import gzip
import re

import pytest

from tests.ui.browser import Browser, Page
from tests.ui.conftest import STATIC

RAIL = ["Home", "Runs", "Models", "Deployments", "Alerts", "Why", "Ledger"]
BACKGROUND = "getComputedStyle(document.body).backgroundColor"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_section_is_accessible_and_asks_no_other_host(browser: Browser, shell_url: str, scheme: str) -> None:
    with browser.page(scheme="dark" if scheme == "dark" else "light", width=400) as page:
        for place in ["", "runs", "models", "deployments", "alerts", "why", "ledger", "no/such/page"]:
            page.goto(f"{shell_url}/{place}")
            page.wait("h1")

            assert page.axe() == [], place
        assert page.hosts() == {shell_url.removeprefix("http://")}
        assert [error for error in page.errors() if "503" not in error] == []


def test_the_rail_leads_to_each_section(page: Page, shell_url: str) -> None:
    page.goto(shell_url)
    page.wait("h1")

    assert [text.strip() for text in page.texts("nav a")] == RAIL
    for name in RAIL:
        page.click(f"nav >> text={name}")
        page.wait(f"nav a[aria-current=page] >> text={name}")
        page.wait("main h1")
        assert page.title.endswith(" · Noria")


def test_the_scheme_follows_the_system_until_one_is_chosen(page: Page, shell_url: str) -> None:
    page.goto(shell_url)
    page.wait("h1")
    light = page.eval(BACKGROUND)

    page.prefer("dark")
    page.wait("html[data-mantine-color-scheme=dark]")
    dark = page.eval(BACKGROUND)
    page.click("header >> text=Light")
    page.wait("html[data-mantine-color-scheme=light]")

    assert light == "rgb(255, 255, 255)"
    assert dark != light
    assert page.eval(BACKGROUND) == light
    page.goto(f"{shell_url}/runs")
    page.wait("h1")
    assert page.eval(BACKGROUND) == light


def test_the_first_page_weighs_little() -> None:
    html = (STATIC / "index.html").read_text(encoding="utf-8")
    scripts = re.findall(r'(?:src|href)="/([^"]+\.js)"', html)

    weight = sum(len(gzip.compress((STATIC / script).read_bytes())) for script in scripts)

    assert scripts
    assert weight <= 250_000
    assert sum(file.stat().st_size for file in STATIC.rglob("*") if file.is_file()) <= 3_000_000
