"""What GET /metrics says reaches a real OTLP receiver as well, with the same values; off, nothing of OpenTelemetry is imported."""

import json
import os
import subprocess
import sys
from pathlib import Path
from time import time_ns
from typing import Any

import psutil
import pytest

from noria.domain.measurement import Family, Histogram
from noria.errors import SettingInvalid
from noria.server.otel import is_wanted
from noria.server.otlp_metrics import data_of, interval_of, open_pusher
from tests.peers.otlp_collector import attributes_of, collecting
from tests.serving.worker_factory import a_home, a_worker, eventually, flights, request_of

SOON = {"OTEL_METRIC_EXPORT_INTERVAL": "100", "OTEL_TRACES_EXPORTER": "none"}


def test_a_worker_sends_what_it_counts(tmp_path: Path) -> None:
    home, _, _ = a_home(tmp_path)
    with collecting() as collector:
        env = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, **SOON}
        before = time_ns()
        with a_worker(home, env=env) as worker:
            for _ in range(3):
                worker.infer(request_of(flights(2)))
            eventually(lambda: "noria_requests" in collector.metrics)
        # the worker has ended: its last numbers were sent

    requests, latency, home_disk = (
        collector.metrics[n] for n in ("noria_requests", "noria_request_seconds", "noria_host_disk_bytes")
    )
    (point,) = requests.sum.data_points
    assert requests.sum.is_monotonic
    assert requests.sum.aggregation_temporality == 2  # cumulative
    assert point.as_double == 3
    assert attributes_of(point) == {
        "deployment": "late",
        "version": "1",
        "variant": "champion",
        "protocol": "v2",
        "status": "200",
    }
    assert before - 1e9 < point.start_time_unix_nano < point.time_unix_nano  # the system counts starts in ticks
    (times,) = latency.histogram.data_points
    assert (latency.unit, times.count, sum(times.bucket_counts)) == ("s", 3, 3)
    assert len(times.bucket_counts) == len(times.explicit_bounds) + 1
    assert times.sum > 0
    assert not times.HasField("min")
    assert (home_disk.unit, home_disk.gauge.data_points[0].as_double > 1e6) == ("By", True)
    assert collector.metrics_resource["service.name"] == "noria-worker"
    assert collector.spans == []


def test_the_control_plane_sends_too_and_a_collector_that_was_away_misses_nothing(tmp_path: Path) -> None:
    with collecting() as collector:
        collector.is_away = True
        env = os.environ | {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, **SOON}
        command = [sys.executable, "-m", "noria.server.control.run", "--project", "p", "--port", "0", "--ephemeral"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=env) as server:
            assert server.stdout is not None
            assert json.loads(server.stdout.readline())["url"]
            collector.is_away = False
            eventually(lambda: collector.took >= 2)
            server.terminate()

    (point,) = collector.metrics["noria_ledger_entries"].gauge.data_points
    assert point.as_double == 0
    assert collector.metrics["noria_events"].sum.is_monotonic
    assert collector.metrics_resource["service.name"] == "noria"


def test_a_histogram_keeps_its_buckets_and_an_empty_family_is_left_out() -> None:
    from opentelemetry.sdk.resources import Resource

    held = Histogram((0.1, 1.0), [2.0, 0.0, 1.0], 5.5)
    families = [
        Family("noria_x_seconds", "histogram", "X.", [((("a", "b"),), held)]),
        Family("noria_none", "gauge", "None.", []),
    ]

    (group,) = data_of(families, Resource.create({}), began=1, now=2).resource_metrics
    (metric,) = group.scope_metrics[0].metrics
    (point,) = metric.data.data_points

    assert (metric.name, metric.unit, point.count, point.sum) == ("noria_x_seconds", "s", 3, 5.5)
    assert (list(point.bucket_counts), list(point.explicit_bounds), dict(point.attributes)) == (
        [2, 0, 1],
        [0.1, 1.0],
        {"a": "b"},
    )


@pytest.mark.parametrize(
    ("environ", "wanted"),
    [
        ({}, False),
        ({"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://c:4318/v1/metrics"}, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://c:4318/v1/traces"}, False),
        ({"OTEL_METRICS_EXPORTER": "otlp"}, True),
        ({"OTEL_METRICS_EXPORTER": "otlp", "OTEL_SDK_DISABLED": "TRUE"}, False),
    ],
)
def test_the_environment_says_whether(environ: dict[str, str], wanted: bool) -> None:
    assert is_wanted(environ, "metrics") is wanted


def test_what_is_not_spoken_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingInvalid, match="OTEL_METRICS_EXPORTER is 'prometheus'"):
        is_wanted({"OTEL_METRICS_EXPORTER": "prometheus"}, "metrics")
    for wrong in ("soon", "0", "-5", "nan", "inf"):
        with pytest.raises(SettingInvalid, match="OTEL_METRIC_EXPORT_INTERVAL"):
            interval_of(wrong)
    monkeypatch.setenv("OTEL_METRICS_EXPORTER", "otlp")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "delta")
    with pytest.raises(SettingInvalid, match="'delta'"):
        open_pusher(list, service="noria")


@pytest.mark.slow
def test_of_several_processes_one_sends_for_all(tmp_path: Path) -> None:
    home, _, _ = a_home(tmp_path)
    with collecting() as collector:
        env = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, **SOON}
        with a_worker(home, "--workers", "2", env=env) as worker:
            before = collector.took
            for _ in range(20):
                worker.infer(request_of(flights(1)))
            eventually(lambda: sum_of(collector.metrics.get("noria_requests")) == 20)
            eventually(lambda: collector.took > before + 2)
            began = {point.start_time_unix_nano for point in collector.metrics["noria_rows"].sum.data_points}
            parent = psutil.Process(worker.process.pid).create_time()

    assert len(collector.senders) == 1
    assert [start / 1e9 for start in began] == [pytest.approx(parent, abs=1.5)]


def sum_of(metric: Any) -> float:
    return 0.0 if metric is None else sum(point.as_double for point in metric.sum.data_points)
