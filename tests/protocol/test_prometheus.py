"""The real Prometheus scrapes a real worker, and what it says of rates and latencies is what was asked and what was recorded."""

import contextlib
import json
import os
import signal
from http.client import HTTPException
from time import monotonic

import pytest

from noria.server.inference.metrics import BOUNDS_S
from tests.peers.prometheus import lint, scraping
from tests.serving.worker_factory import a_home, a_worker, eventually, flights, logged, request_of

ASKED = 'noria_requests_total{deployment="late",version="1",variant="champion",protocol="v2",status="200"}'


def test_promtool_finds_nothing_wrong_with_a_worker(tmp_path):
    home, _, _ = a_home(tmp_path)
    with a_worker(home) as worker:
        fresh = worker.ask("GET", "/metrics")[2].decode()
        worker.infer(request_of(flights(3)))
        worker.infer({})
        _, headers, used = worker.ask("GET", "/metrics")

    assert headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert lint(fresh) == ""
    assert lint(used.decode()) == ""


def test_prometheus_counts_what_was_asked_and_finds_the_latency(tmp_path):
    home, _, _ = a_home(tmp_path)
    body = request_of(flights(2))
    with a_worker(home) as worker, scraping(worker.url) as prometheus:
        worker.infer(body)
        worker.infer({})
        eventually(lambda: prometheus.value(ASKED) == 1)
        began, asked = monotonic(), 1
        while monotonic() - began < 3:
            worker.infer(body)
            asked += 1
        eventually(lambda: prometheus.value(ASKED) == asked)

        assert prometheus.target()["lastError"] == ""
        assert prometheus.value('noria_rows_total{protocol="v2"}') == 2 * asked
        assert prometheus.value('noria_requests_total{status="400"}') == 1
        increase = prometheus.value(f"increase({ASKED}[1m])")
        assert increase == pytest.approx(asked - 1, rel=0.3)  # Prometheus extrapolates a scrape's distance at each end
        median = prometheus.value(
            "histogram_quantile(0.5, sum by (le) (rate(noria_request_seconds_bucket{version='1',protocol='v2'}[1m])))"
        )
        assert prometheus.value("process_resident_memory_bytes") > 10e6
        assert prometheus.value("noria_model_load_seconds_count") == 1
        assert worker.flush()

    # The prediction log keeps every latency as it was: the median lies in the bucket that Prometheus takes it from, or at its edge.
    exact = logged(home)["latency_us"].median() / 1e6
    edges = [0.0, *BOUNDS_S]
    place = next(i for i, edge in enumerate(BOUNDS_S) if exact <= edge)
    assert edges[max(place - 1, 0)] <= median <= edges[min(place + 2, len(edges) - 1)]


@pytest.mark.slow
def test_prometheus_shows_its_key(tmp_path):
    home, _, _ = a_home(tmp_path)
    key = "a key that nobody guesses"
    with a_worker(home, env={"NORIA_API_KEY": key}) as worker, scraping(worker.url, key=key) as prometheus:
        assert worker.ask("GET", "/metrics")[0] == 401
        eventually(lambda: prometheus.value("noria_generation") == 1)


def test_openmetrics_is_given_to_who_prefers_it(tmp_path):
    home, _, _ = a_home(tmp_path)
    with a_worker(home) as worker:
        worker.infer(request_of(flights(1)))
        _, headers, content = worker.ask(
            "GET", "/metrics", headers={"accept": "application/openmetrics-text;version=1.0.0,text/plain;q=0.5"}
        )

    assert headers["content-type"] == "application/openmetrics-text; version=1.0.0; charset=utf-8"
    lines = content.decode().splitlines()
    assert lines[-1] == "# EOF"
    assert "# TYPE noria_requests counter" in lines
    assert not [line for line in lines if line.startswith("# TYPE") and "_total" in line]
    assert json.dumps(lines).count("# EOF") == 1


@pytest.mark.slow
def test_any_process_answers_for_all_and_a_killed_one_takes_nothing_with_it(tmp_path):
    home, _, _ = a_home(tmp_path)
    body = request_of(flights(1))
    with a_worker(home, "--workers", "2") as worker, scraping(worker.url) as prometheus:
        eventually(lambda: prometheus.value("noria_processes") == 2)
        for _ in range(60):
            worker.infer(body)
        eventually(lambda: prometheus.value(ASKED) == 60)
        pids = {int(labels["pid"]) for labels, _ in prometheus.query("process_cpu_seconds_total")}
        assert len(pids) == 2

        os.kill(min(pids), signal.SIGKILL)
        answered = 0
        while answered < 60:
            with contextlib.suppress(OSError, HTTPException):  # a connection of the one that was killed
                answered += worker.infer(body)[0] == 200
        eventually(lambda: prometheus.value(ASKED) >= 120)
        eventually(lambda: prometheus.value("noria_model_load_seconds_count") == 3)  # the third process has followed

        assert prometheus.value(ASKED) <= 121  # the killed one may have counted what its caller never saw
        assert prometheus.value(f"resets({ASKED}[5m])") == 0
        assert prometheus.value("noria_processes") == 2
