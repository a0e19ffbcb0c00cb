"""The browser, and the built pages served while the API behind them is down."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.ui.browser import Browser, Page

STATIC = Path(__file__).resolve().parents[2] / "src" / "noria" / "ui" / "static"
# Mantine writes <style> elements, hence 'unsafe-inline' for styles; scripts get no hole at all.
POLICY = (
    "default-src 'self'; style-src 'self' 'unsafe-inline'; object-src 'none'; base-uri 'none'; frame-ancestors 'none'"
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All tests of a browser run in one worker, so that one Chromium is enough."""
    for item in items:
        if "browser" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.ui)
            item.add_marker(pytest.mark.xdist_group("browser"))


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    browser = Browser()
    yield browser
    browser.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A fresh page of 1440 x 900, light."""
    with browser.page() as page:
        yield page


@pytest.fixture(scope="session")
def shell_url() -> Iterator[str]:
    """Address of the built pages, served as `noria up` does: own files, else index.html, under a strict policy."""
    assert (STATIC / "index.html").exists(), "the pages are not built; remedy: make setup"
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Pages, directory=str(STATIC)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


class _Pages(SimpleHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path.startswith("/api/"):
            self.send_error(503, "no API here")
            return
        if not Path(self.translate_path(self.path)).is_file():
            self.path = "/index.html"
        super().do_GET()

    def end_headers(self) -> None:
        self.send_header("Content-Security-Policy", POLICY)
        super().end_headers()

    def log_message(self, format: str, *arguments: object) -> None:
        pass
