"""GET /metrics of a real control plane: promtool takes it, the real Prometheus scrapes it, and it counts what clients did."""

import json
import os
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from noria.adapters.metadata import memory, remote, sqlite
from noria.adapters.metadata.sql.group import Group, Job
from noria.server.control.measuring import MOST_FAMILIES, family_of
from tests.peers.prometheus import lint, scraping
from tests.serving.worker_factory import eventually

KEY = "a key that nobody guesses"


@contextmanager
def a_server(*flags: str, **environment: str) -> Iterator[str]:
    """Its address."""
    command = [sys.executable, "-m", "noria.server.control.run", "--project", "p", "--port", "0", *flags]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, **environment})
    assert process.stdout is not None
    try:
        yield json.loads(process.stdout.readline())["url"]
    finally:
        process.terminate()
        process.wait(20)
        process.stdout.close()


def ask(url: str, body: Any = None, **headers: str) -> tuple[int, dict[str, str], bytes]:
    content = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, content, {"content-type": "application/json", **headers})
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, {k.lower(): v for k, v in answer.headers.items()}, answer.read()
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code, {}, refused.read()


def record(url: str, points: int) -> None:
    """A run with so many points, as MLflow's clients write it."""
    api = f"{url}/api/2.0/mlflow"
    made = json.loads(ask(f"{api}/runs/create", {"experiment_id": "0", "start_time": 1})[2])
    metrics = [{"key": "loss", "value": 0.5, "timestamp": 1, "step": step} for step in range(points)]
    assert ask(f"{api}/runs/log-batch", {"run_id": made["run"]["info"]["run_id"], "metrics": metrics})[0] == 200


@pytest.mark.parametrize("where", ["sqlite", pytest.param("ephemeral", marks=pytest.mark.slow)])
def test_prometheus_scrapes_the_control_plane(tmp_path: Path, where: str) -> None:
    flags = ["--ephemeral"] if where == "ephemeral" else ["--home", str(tmp_path / ".noria")]
    with a_server(*flags) as url, scraping(url) as prometheus:
        record(url, 7)
        record(url, 5)
        ask(f"{url}/api/v1/status")
        ask(f"{url}/api/v1/nothing-of-that-kind")
        eventually(lambda: prometheus.value("noria_points_written_total") == 12)

        assert prometheus.target()["lastError"] == ""
        assert prometheus.value("noria_runs_begun_total") == 2
        family = 'family="mlflow runs",method="POST",status="200"'
        assert prometheus.value(f"noria_http_requests_total{{{family}}}") == 4
        assert prometheus.value('noria_http_requests_total{family="rest",status="404"}') == 1
        assert prometheus.value('noria_http_request_seconds_count{family="mlflow runs"}') == 4
        assert prometheus.value("noria_ledger_entries") == 0
        assert prometheus.value("noria_loop_behind_entries") == 0
        assert prometheus.value("noria_store_writes_waiting") == 0
        assert prometheus.value("noria_webhooks") == 0
        _, headers, content = ask(f"{url}/metrics")

    assert headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert lint(content.decode()) == ""


def test_openmetrics_is_given_to_who_prefers_it() -> None:
    with a_server("--ephemeral") as url:
        _, headers, content = ask(f"{url}/metrics", accept="application/openmetrics-text; version=1.0.0")

    assert headers["content-type"] == "application/openmetrics-text; version=1.0.0; charset=utf-8"
    assert content.decode().splitlines()[-1] == "# EOF"
    assert content.count(b"# EOF") == 1


@pytest.mark.slow
def test_where_there_is_a_key_metrics_ask_for_it() -> None:
    with a_server("--ephemeral", NORIA_API_KEY=KEY) as url:
        assert ask(f"{url}/metrics")[0] == 401
        with scraping(url, key=KEY) as prometheus:
            eventually(lambda: prometheus.value("noria_build_info") == 1)


def test_deliveries_to_webhooks_are_counted() -> None:
    with a_server("--ephemeral", NORIA_WEBHOOKS_ALLOW="http,private") as url:
        webhook = {"name": "nobody", "url": "http://127.0.0.1:9/hook", "kinds": ["run.created"]}
        status, _, said = ask(f"{url}/api/v1/webhooks", webhook)
        assert status == 201, said
        record(url, 1)

        def failed() -> bool:
            return 'noria_webhook_deliveries_total{outcome="failed"}' in ask(f"{url}/metrics")[2].decode()

        eventually(failed)
        assert "noria_webhook_behind_changes 0" not in ask(f"{url}/metrics")[2].decode()


def test_callers_cannot_make_up_families() -> None:
    known: set[str] = set()

    asked = {family_of(f"/api/v1/made-up-{number}", 404, known) for number in range(1000)}
    answered = {family_of(f"/api/v1/odd-{number}", 200, known) for number in range(1000)}

    assert asked == {"rest"}
    assert len(answered) == MOST_FAMILIES + 1


def test_writes_that_wait_are_counted() -> None:
    begun, go_on = threading.Event(), threading.Event()

    class Slow:
        """Commits when it is told to."""

        def commit(self, jobs: Sequence[Job[Any]]) -> None:
            begun.set()
            assert go_on.wait(20)
            for job in jobs:
                job.run(None)  # type: ignore[arg-type]
                job.settle(lambda error: error)

        def close(self) -> None:
            pass

    group = Group("some", Slow(), most=1)
    with ThreadPoolExecutor(3) as pool:
        first = pool.submit(group.write, lambda _: 1)
        assert begun.wait(20)
        others = [pool.submit(group.write, lambda _: 2) for _ in range(2)]
        eventually(lambda: group.waiting() == 2)
        go_on.set()
        assert [write.result(20) for write in (first, *others)] == [1, 2, 2]
    assert group.waiting() == 0
    group.close()


@pytest.mark.parametrize("where", ["sqlite", "memory", "remote"])
def test_every_store_says_how_many_writes_wait(tmp_path: Path, where: str) -> None:
    with a_server("--ephemeral") as url:
        location = {"sqlite": str(tmp_path / "meta.db"), "memory": "", "remote": url}[where]
        store = {"sqlite": sqlite, "memory": memory, "remote": remote}[where].open_store(location, project="p")
        assert store.waiting() == 0
        store.close()
