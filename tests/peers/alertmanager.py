"""The real Alertmanager: from PATH, or from .make/alertmanager, where `make test` unpacks Debian's package; else tests are skipped."""

import contextlib
import json
import shutil
import socket
import subprocess
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.serving.worker_factory import eventually

UNPACKED = Path(__file__).resolve().parents[2] / ".make" / "alertmanager" / "usr" / "bin"
NAMES = ("prometheus-alertmanager", "alertmanager")


def program() -> str:
    """Where it is; skips the test where it is nowhere."""
    for name in NAMES:
        found = shutil.which(name) or shutil.which(name, path=str(UNPACKED))
        if found is not None:
            return found
    pytest.skip(
        "Alertmanager is neither on PATH nor in .make/alertmanager, where `make test` puts it if there is apt-get"
    )


class Alertmanager:
    """A server that runs."""

    def __init__(self, url: str) -> None:
        self.url = url

    def alerts(self) -> list[dict[str, Any]]:
        """What stands, as it sees it."""
        with urllib.request.urlopen(f"{self.url}/api/v2/alerts", timeout=20) as answer:
            found: list[dict[str, Any]] = json.loads(answer.read())
            return found


@contextlib.contextmanager
def running(webhook: str) -> Iterator[Alertmanager]:
    """An Alertmanager that tells one webhook of everything, at once, in groups by cause; what it keeps is gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="noria-alertmanager-"))
    route = {"receiver": "hook", "group_by": ["cause"], "group_wait": "0s", "group_interval": "100ms"}
    receiver = {"name": "hook", "webhook_configs": [{"url": webhook, "send_resolved": True}]}
    config = {"route": route | {"repeat_interval": "1h"}, "receivers": [receiver]}
    (folder / "alertmanager.yml").write_text(json.dumps(config))  # JSON is YAML
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [
        program(),
        f"--config.file={folder / 'alertmanager.yml'}",
        f"--storage.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--cluster.listen-address=",
        "--log.level=warn",
    ]
    for template in (UNPACKED.parent / "share" / "prometheus" / "alertmanager").glob("*.tmpl"):
        shutil.copy(template, folder)  # the unpacked one looks for them where it is started (see the Makefile)
    said = (folder / "log").open("wb")
    process = subprocess.Popen(command, stdout=said, stderr=said, cwd=folder)
    said.close()
    server = Alertmanager(f"http://127.0.0.1:{port}")
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
