"""The browser fixture itself: what it reports is what the page did."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.ui.browser import Browser, BrowserFailed, Page

GOOD = """<!doctype html>
<html lang="en"><head><title>A page</title><style>
  body { background: white; color: black }
  @media (prefers-color-scheme: dark) { body { background: black; color: white } }
</style></head><body><main>
<h1>Wheel</h1>
<button onclick="document.querySelector('output').textContent = 'turned'">Turn</button>
<label>Name <input></label> <output></output>
</main></body></html>"""
BAD = """<!doctype html>
<html><head><title>B</title></head><body>
<img src="missing.png"><p style="color:#ccc;background:#fff">faint</p>
<script>console.error("told"); setTimeout(() => { throw new Error("thrown") })</script>
</body></html>"""


@pytest.fixture
def good(tmp_path: Path) -> str:
    (tmp_path / "good.html").write_text(GOOD, encoding="utf-8")
    return (tmp_path / "good.html").as_uri()


def test_a_page_is_read_clicked_and_filled(page: Page, good: str) -> None:
    page.goto(good)

    page.click("text=Turn")
    page.fill("role=textbox[name='Name']", "noria")

    assert (page.title, page.text("h1"), page.text("output")) == ("A page", "Wheel", "turned")
    assert page.eval("document.querySelector('input').value") == "noria"
    assert page.errors() == []
    assert page.axe() == []


def test_faults_of_a_page_are_reported(page: Page, tmp_path: Path) -> None:
    (tmp_path / "bad.html").write_text(BAD, encoding="utf-8")

    page.goto((tmp_path / "bad.html").as_uri())
    page.wait_quiet()

    assert {"color-contrast", "html-has-lang", "image-alt"} <= {violation["id"] for violation in page.axe()}
    assert any("told" in error for error in page.errors())
    assert any("thrown" in error for error in page.errors())
    assert any(address.endswith("missing.png") for address in page.requests())


def test_each_page_has_its_own_scheme_and_size(browser: Browser, good: str, tmp_path: Path) -> None:
    with browser.page(scheme="dark", width=400, height=300) as page:
        page.goto(good)
        page.screenshot(tmp_path / "dark.png", whole=False)

        assert page.eval("getComputedStyle(document.body).backgroundColor") == "rgb(0, 0, 0)"
        assert page.eval("[innerWidth, innerHeight]") == [400, 300]
    assert (tmp_path / "dark.png").read_bytes().startswith(b"\x89PNG")


def test_what_cannot_be_done_is_an_error_and_the_page_lives_on(page: Page, good: str) -> None:
    page.goto(good)

    with pytest.raises(BrowserFailed, match="boom"):
        page.eval("(() => { throw new Error('boom') })()")

    assert page.text("h1") == "Wheel"
