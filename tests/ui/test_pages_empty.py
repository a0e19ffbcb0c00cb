"""Every page over an empty store: never blank, and it says what would fill it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.ui.browser import Browser, Page
from tests.ui.serving import running

PAGES = {
    "/": "The loop has not closed yet",
    "/runs": "noria run pipeline.py",
    "/models": "noria demo",
    "/deployments": "noria demo",
    "/alerts": "No alert stands.",
    "/why": "noria demo",
    "/ledger": "noria demo",
    "/compare": "Tick two runs or more",
}


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with running("empty") as address:
        yield address


@pytest.mark.parametrize("place", PAGES)
def test_an_empty_page_says_what_fills_it(page: Page, url: str, place: str) -> None:
    page.goto(url + place)
    page.wait(f"main >> text={PAGES[place]} >> nth=0")

    assert page.axe() == []
    page.prefer("dark")
    page.wait("html[data-mantine-color-scheme=dark]")
    assert page.axe() == []
    assert page.errors() == []


@pytest.mark.parametrize(
    "place", ["/runs/none", "/models/none", "/models/none/versions/1", "/deployments/none", "/why/none"]
)
def test_what_does_not_exist_is_told(browser: Browser, url: str, place: str) -> None:
    with browser.page() as page:
        page.goto(url + place)
        page.wait("[role=alert]")

        assert "none" in page.text("[role=alert]")
        assert page.axe() == []
