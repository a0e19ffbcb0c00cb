"""A real browser for tests: one Node process drives one headless Chromium; this is its Python face.

The protocol and the browser's flags are in driver.mjs. The fixtures `browser` and `page` are in conftest.py.
"""

from __future__ import annotations

import itertools
import json
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Any, Literal
from urllib.parse import urlsplit

from hatch_build import node

HERE = Path(__file__).resolve().parent
Scheme = Literal["light", "dark"]


class BrowserFailed(AssertionError):
    """A command that the browser could not carry out: no such element, a timeout, a script that threw."""


class Browser:
    """One Chromium. Its pages share nothing: each has its own cookies and storage."""

    def __init__(self) -> None:
        if not (HERE / "node_modules" / ".package-lock.json").exists():
            raise BrowserFailed(
                "the browser is not installed; remedy: make test (or: python hatch_build.py install tests/ui)"
            )
        self._process = subprocess.Popen(
            [*node(), str(HERE / "driver.mjs")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )
        self._ids = itertools.count(1)
        try:
            self.version: str = self.send("version")
        except BrowserFailed:
            self.close()
            raise

    def page(self, *, scheme: Scheme = "light", width: int = 1440, height: int = 900) -> Page:
        number = next(self._ids)
        self.send("open", page=number, scheme=scheme, width=width, height=height)
        return Page(self, number)

    def send(self, command: str, **arguments: Any) -> Any:
        number = next(self._ids)
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps({"id": number, "command": command, **arguments}) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise BrowserFailed(f"the browser process ended during '{command}' (exit {self._process.wait()})")
        answer = json.loads(line)
        assert answer["id"] == number
        if "error" in answer:
            raise BrowserFailed(f"{command} {arguments}: {answer['error']}")
        return answer["result"]

    def close(self) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()


class Page:
    """One page. Selectors are Playwright's: CSS, `text=Runs`, `role=link[name="Runs"]`. Actions wait for theirs."""

    def __init__(self, browser: Browser, number: int) -> None:
        self._browser = browser
        self._number = number

    def __enter__(self) -> Page:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def goto(self, url: str) -> int | None:
        """Open the address; the result is the HTTP status (None for a file)."""
        status: int | None = self._send("goto", url=url)
        return status

    def eval(self, script: str) -> Any:
        """The value of a JavaScript expression in the page."""
        return self._send("eval", script=script)

    def click(self, selector: str) -> None:
        self._send("click", selector=selector)

    def fill(self, selector: str, value: str) -> None:
        self._send("fill", selector=selector, value=value)

    def press(self, key: str) -> None:
        self._send("press", key=key)

    def wait(self, selector: str, *, state: Literal["visible", "hidden", "attached", "detached"] = "visible") -> None:
        self._send("wait", selector=selector, state=state)

    def wait_quiet(self) -> None:
        """Until no request has been on its way for half a second. Not for pages that poll or stream."""
        self._send("quiet")

    def text(self, selector: str = "body") -> str:
        return str(self._send("text", selector=selector))

    def texts(self, selector: str) -> list[str]:
        return list(self._send("texts", selector=selector))

    def count(self, selector: str) -> int:
        return int(self._send("count", selector=selector))

    @property
    def url(self) -> str:
        return str(self._send("url"))

    @property
    def title(self) -> str:
        return str(self._send("title"))

    def prefer(self, scheme: Scheme) -> None:
        """What the page is told that the system prefers."""
        self._send("scheme", scheme=scheme)

    def resize(self, *, width: int, height: int) -> None:
        self._send("viewport", width=width, height=height)

    def screenshot(self, path: Path, *, whole: bool = True) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._send("screenshot", path=str(path), whole=whole)

    def axe(self) -> list[dict[str, Any]]:
        """What axe-core finds against WCAG 2.2 A and AA; [] is the aim."""
        return list(self._send("axe"))

    def requests(self) -> list[str]:
        """Every address requested since the page was opened."""
        return list(self._send("requests"))

    def hosts(self) -> set[str]:
        """Hosts (with port) that the page asked for anything; `data:` and `blob:` have none."""
        return {host for address in self.requests() if (host := urlsplit(address).netloc)}

    def errors(self) -> list[str]:
        """Uncaught exceptions and console errors, refusals of the content security policy among them."""
        return list(self._send("errors"))

    def close(self) -> None:
        self._send("close")

    def _send(self, command: str, **arguments: Any) -> Any:
        return self._browser.send(command, page=self._number, **arguments)
