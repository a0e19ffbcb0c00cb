"""The real Prometheus and its promtool: from PATH, or from .make/prometheus, where `make test` unpacks Debian's package; else tests are skipped.

`scraping(url)` runs a server that scrapes one target; it is asked over its HTTP API.
"""

import contextlib
import json
import shutil
import socket
import subprocess
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest

from tests.serving.worker_factory import eventually

UNPACKED = Path(__file__).resolve().parents[2] / ".make" / "prometheus" / "usr" / "bin"
SCRAPE_S = 0.2


def program(name: str) -> str:
    """Where 'prometheus' or 'promtool' is; skips the test where it is nowhere."""
    found = shutil.which(name) or shutil.which(name, path=str(UNPACKED))
    if found is None:
        pytest.skip(f"{name} is neither on PATH nor in .make/prometheus, where `make test` puts it if there is apt-get")
    return found


def lint(exposition: str) -> str:
    """What `promtool check metrics` has against a page in the text format; '' for nothing."""
    done = subprocess.run(
        [program("promtool"), "check", "metrics"],
        check=False,
        input=exposition,
        capture_output=True,
        text=True,
        timeout=60,
    )
    return (done.stdout + done.stderr).strip() or ("" if done.returncode == 0 else f"exit code {done.returncode}")


class Prometheus:
    """A server that runs."""

    def __init__(self, url: str) -> None:
        self.url = url

    def ask(self, path: str, **parameters: str) -> Any:
        with urllib.request.urlopen(f"{self.url}/api/v1/{path}?{urlencode(parameters)}", timeout=20) as answer:
            return json.loads(answer.read())["data"]

    def query(self, expression: str) -> list[tuple[dict[str, str], float]]:
        """(labels, value) of each series of an instant vector."""
        found = self.ask("query", query=expression)["result"]
        return [(one["metric"], float(one["value"][1])) for one in found]

    def value(self, expression: str) -> float | None:
        """The only value there is; None if there is none."""
        found = self.query(expression)
        assert len(found) < 2, found
        return found[0][1] if found else None

    def target(self) -> dict[str, Any]:
        """How the last scrape went."""
        found: dict[str, Any] = self.ask("targets")["activeTargets"][0]
        return found


@contextlib.contextmanager
def scraping(
    url: str, *, key: str = "", others: Mapping[str, str] | None = None, rules: str = ""
) -> Iterator[Prometheus]:
    """A Prometheus that scrapes an address five times a second, in memory that is gone afterwards. key: sent as bearer.

    others: more addresses by the name of their job. rules: a rules file, evaluated as often.
    """
    folder = Path(tempfile.mkdtemp(prefix="noria-prometheus-"))
    jobs = {"noria": url, **(others or {})}
    targets: list[dict[str, Any]] = [
        {"job_name": job, "static_configs": [{"targets": [urlsplit(where).netloc]}]} for job, where in jobs.items()
    ]
    if key:
        targets[0]["authorization"] = {"type": "Bearer", "credentials": key}
    (folder / "rules.yml").write_text(rules)
    interval = f"{int(SCRAPE_S * 1000)}ms"
    config = {
        "global": {"scrape_interval": interval, "scrape_timeout": interval, "evaluation_interval": interval},
        "rule_files": ["rules.yml"] if rules else [],
        "scrape_configs": targets,
    }
    (folder / "prometheus.yml").write_text(json.dumps(config))  # JSON is YAML
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [
        program("prometheus"),
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--enable-feature=exemplar-storage",
        "--log.level=warn",
    ]
    said = (folder / "log").open("wb")
    process = subprocess.Popen(command, stdout=said, stderr=said, cwd=folder)
    said.close()
    server = Prometheus(f"http://127.0.0.1:{port}")
    try:
        eventually(lambda: process.poll() is not None or _is_ready(server.url), seconds=60)
        assert process.poll() is None, (folder / "log").read_text()
        yield server
    finally:
        process.kill()
        process.wait()
        shutil.rmtree(folder, ignore_errors=True)


def _is_ready(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/-/ready", timeout=2) as answer:
            return answer.status == 200
    except (OSError, urllib.error.HTTPError):
        return False
