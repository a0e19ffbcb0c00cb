"""Logs of real processes: one JSON object of the Elastic Common Schema a line, or text; and what ends unforeseen is in them."""

import io
import json
import logging
import os
import re
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from noria.app.error_groups import read
from noria.app.log_lines import EcsFormatter, chosen
from noria.app.settings import Logs
from noria.domain.ids import digest_of
from noria.errors import SettingInvalid, StoreUnavailable
from noria.serving import desired
from tests.serving.worker_factory import a_home, a_worker, deployment, eventually, open_blobs, variant


def lines_of(text: str) -> list[dict]:
    return [json.loads(line) for line in text.splitlines()]


def a_logger() -> tuple[logging.Logger, io.StringIO]:
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(EcsFormatter("noria-worker"))
    logger = logging.Logger("noria.some")
    logger.addHandler(handler)
    return logger, written


def test_a_line_is_what_ecs_asks_for() -> None:
    logger, written = a_logger()

    logger.warning("two\nlines of %s", "text", extra={"event.action": "AlertOpened", "unrelated": 1})

    assert written.getvalue().count("\n") == 1
    (line,) = lines_of(written.getvalue())
    assert list(line)[:4] == ["@timestamp", "log.level", "message", "ecs.version"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line["@timestamp"])
    assert (line["log.level"], line["message"]) == ("warning", "two\nlines of text")
    assert line["event.action"] == "AlertOpened"
    assert line["log.origin.function"] == "test_a_line_is_what_ecs_asks_for"
    assert "unrelated" not in line


def test_an_error_has_its_type_its_code_and_its_trace() -> None:
    logger, written = a_logger()
    try:
        raise StoreUnavailable("the store is away", cause="no route")
    except StoreUnavailable:
        logger.exception("it failed")

    (line,) = lines_of(written.getvalue())
    assert (line["error.type"], line["error.code"]) == ("StoreUnavailable", StoreUnavailable.code)
    assert line["error.message"] == "the store is away"
    assert line["error.stack_trace"].startswith("Traceback")


def test_the_environment_stands_over_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    assert chosen(Logs(format="json")) == Logs(format="json", level="warning")
    monkeypatch.setenv("NORIA_LOG_LEVEL", "INFO")
    assert chosen(Logs(format="json")) == Logs(format="json", level="info")
    monkeypatch.setenv("NORIA_LOG_FORMAT", "xml")
    with pytest.raises(SettingInvalid, match="format 'xml'"):
        chosen()


def test_the_control_plane_writes_its_requests(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "noria.server.control.run",
        "--project",
        "p",
        "--port",
        "0",
        "--home",
        str(tmp_path / "h"),
    ]
    environment = os.environ | {"NORIA_LOG_FORMAT": "json", "NORIA_LOG_LEVEL": "info"}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as server:
        assert server.stdout is not None
        url = json.loads(server.stdout.readline())["url"]
        with urllib.request.urlopen(f"{url}/api/v1/status", timeout=20) as answer:
            answer.read()
        server.send_signal(signal.SIGTERM)
        _, said = server.communicate(timeout=30)

    asked = [line for line in lines_of(said) if line["log.logger"] == "noria.access"]
    (status,) = [line for line in asked if line["url.path"] == "/api/v1/status"]
    assert (status["http.request.method"], status["http.response.status_code"]) == ("GET", 200)
    assert status["event.duration"] > 0
    assert status["service.name"] == "noria"


def test_a_workers_errors_are_json_counted_and_kept(tmp_path: Path) -> None:
    home, _, _ = a_home(tmp_path)
    desired.publish(open_blobs(home), deployment(variant(digest_of(b"nowhere")), name="gone"))
    with (tmp_path / "log").open("w") as log, a_worker(home, env={"NORIA_LOG_FORMAT": "json"}, stderr=log) as worker:
        metrics = worker.ask("GET", "/metrics")[2].decode()
        eventually(lambda: read(home))

    (line, *_) = lines_of((tmp_path / "log").read_text())
    assert line["log.level"] == "error"
    assert "gone" in line["message"]
    assert line["service.name"] == "noria-worker"
    (group,) = read(home)
    assert group.services == ("noria-worker",)
    assert f"noria_errors_total {group.count}" in metrics
    assert f'group="{group.group}"' in metrics


def test_what_ends_a_thread_or_the_process_is_in_the_log(tmp_path: Path) -> None:
    code = (
        "import threading, pathlib, sys; from noria.app.log_lines import set_up\n"
        "set_up('noria', home=pathlib.Path(sys.argv[1]))\n"
        "thread = threading.Thread(target=lambda: 1 / 0, name='loop'); thread.start(); thread.join()\n"
        "raise OSError('the end')"
    )
    environment = os.environ | {"NORIA_LOG_FORMAT": "json"}
    ended = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, env=environment, check=False
    )

    assert ended.returncode == 1
    assert [(line["log.level"], line["error.type"]) for line in lines_of(ended.stderr)] == [
        ("error", "ZeroDivisionError"),
        ("critical", "OSError"),
    ]
    assert {group.kind for group in read(tmp_path)} == {"ZeroDivisionError", "OSError"}
