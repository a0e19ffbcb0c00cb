"""Spans of a real worker reach a real OTLP receiver, below the caller's own span; off, nothing of OpenTelemetry is even imported."""

import socket
import time

import pytest

from noria.errors import SettingInvalid
from noria.server.otel import is_wanted
from tests.peers.otlp_collector import attributes_of, collecting
from tests.peers.prometheus import SCRAPE_S, scraping
from tests.serving.worker_factory import a_home, a_worker, eventually, flights, request_of

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
CALLER = {"traceparent": f"00-{TRACE}-{PARENT}-01", "tracestate": "vendor=some"}
SOON = {"OTEL_BSP_SCHEDULE_DELAY": "50"}


@pytest.fixture
def home(tmp_path):
    return a_home(tmp_path)[0]


def ask(worker, headers=None, body=None):
    import json

    content = json.dumps(request_of(flights(3)) if body is None else body).encode()
    return worker.ask("POST", "/v2/models/late/infer", content, headers)


def test_off_it_is_not_even_imported(home):
    with a_worker(home) as worker:
        _, headers, _ = ask(worker, CALLER)
        loaded = worker.json("GET", "/noria/status?modules")[1]["modules"]

    assert "traceresponse" not in headers
    assert not [name for name in loaded if name.startswith("opentelemetry")]


def test_a_prediction_is_a_span_below_the_callers(home):
    with collecting() as collector:
        env = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_SERVICE_NAME": "late-flights", **SOON}
        env["OTEL_EXPORTER_OTLP_COMPRESSION"] = "gzip"
        with a_worker(home, env=env) as worker:
            before = time.time_ns()
            status, headers, _ = ask(worker, CALLER)
            after = time.time_ns()
            eventually(lambda: collector.spans)

    (span,) = collector.spans
    assert status == 200
    assert span.trace_id.hex() == TRACE
    assert span.parent_span_id.hex() == PARENT
    assert span.trace_state == "vendor=some"
    assert headers["traceresponse"] == f"00-{TRACE}-{span.span_id.hex()}-01"
    assert span.name == "predict late"
    assert before <= span.start_time_unix_nano < span.end_time_unix_nano <= after
    assert attributes_of(span) == {
        "noria.deployment": "late",
        "noria.model": "late",
        "noria.version": 1,
        "noria.variant": "champion",
        "noria.rows": 3,
        "noria.protocol": "v2",
        "noria.request_id": headers["noria-request-id"],
        "http.response.status_code": 200,
    }
    assert collector.resources[0]["service.name"] == "late-flights"
    assert collector.headers["content-type"] == "application/x-protobuf"
    assert collector.headers["content-encoding"] == "gzip"


def test_a_refusal_is_a_span_and_only_the_workers_own_failures_are_errors(home):
    with (
        collecting() as collector,
        a_worker(home, env={"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, **SOON}) as worker,
    ):
        ask(worker, CALLER, {})
        worker.ask("POST", "/v2/models/nope/infer", b"{}", CALLER)
        # the worker has ended: what waited was sent before

    said = [(span.name, attributes_of(span), span.status.code) for span in collector.spans]
    assert [(name, told["http.response.status_code"], told["error.type"], code) for name, told, code in said] == [
        ("predict late", 400, "RequestInvalid", 0),
        ("predict", 404, "ModelUnknown", 0),
    ]
    assert {span.trace_id.hex() for span in collector.spans} == {TRACE}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("sampler", "caller", "sent"),
    [
        ("always_off", "01", 0),
        ("parentbased_always_on", "00", 0),
        ("parentbased_always_on", "01", 1),
        ("parentbased_always_off", "01", 1),
        ("always_on", "00", 1),
    ],
)
def test_the_sampler_of_the_environment_decides(home, sampler, caller, sent):
    headers = {"traceparent": f"00-{TRACE}-{PARENT}-{caller}"}
    with collecting() as collector:
        env = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_TRACES_SAMPLER": sampler, **SOON}
        with a_worker(home, env=env) as worker:
            status, answer, _ = ask(worker, headers)

    assert status == 200
    assert len(collector.spans) == sent
    assert answer["traceresponse"].endswith(f"-0{sent}")


@pytest.mark.parametrize(
    "given",
    [
        "00-zz-yy-01",
        *(
            pytest.param(odd, marks=pytest.mark.slow)
            for odd in ("", "00-" + "0" * 32 + "-" + PARENT + "-01", "x" * 5000)
        ),
    ],
)
def test_a_malformed_parent_begins_a_trace_of_its_own(home, given):
    with (
        collecting() as collector,
        a_worker(home, env={"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, **SOON}) as worker,
    ):
        assert ask(worker, {"traceparent": given})[0] == 200

    (span,) = collector.spans
    assert span.parent_span_id == b""


def test_a_collector_that_is_away_holds_up_neither_answers_nor_the_end(home):
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{nobody.getsockname()[1]}"
        env = {"OTEL_EXPORTER_OTLP_ENDPOINT": url, "OTEL_EXPORTER_OTLP_TIMEOUT": "2", **SOON}
        with a_worker(home, env=env) as worker:
            began = time.monotonic()
            assert [ask(worker)[0] for _ in range(20)] == [200] * 20
            asked = time.monotonic()
            assert worker.stop() == 0
            ended = time.monotonic()

    assert asked - began < 5
    assert ended - asked < 8


def test_a_sampled_trace_is_the_exemplar_of_its_bucket_in_prometheus(home):
    with collecting() as collector:
        env = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, **SOON}
        with a_worker(home, env=env) as worker, scraping(worker.url) as prometheus:
            ask(worker, CALLER)

            def found():
                now = time.time()
                query = {"query": "noria_request_seconds_bucket", "start": f"{now - 60}", "end": f"{now + SCRAPE_S}"}
                return [
                    one["labels"] for group in prometheus.ask("query_exemplars", **query) for one in group["exemplars"]
                ]

            assert eventually(found)[0] == {"trace_id": TRACE}


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://a:4318"},
        {"OTEL_SDK_DISABLED": "true", "OTEL_TRACES_EXPORTER": "otlp"},
        {"OTEL_SERVICE_NAME": "late"},
    ],
)
def test_it_is_off_unless_a_collector_is_named(environ):
    assert not is_wanted(environ)


@pytest.mark.parametrize(
    "environ",
    [{"OTEL_TRACES_EXPORTER": "jaeger"}, {"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}],
)
def test_what_is_not_spoken_is_refused_at_the_start(environ):
    with pytest.raises(SettingInvalid, match="OTEL_"):
        is_wanted(environ)
