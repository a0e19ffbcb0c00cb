"""Points over MLflow's protocol: logging one and many, reading series whole, in pages, of several runs, and as charts take them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.peers.noria_server import Server, noria_server

DOCS = " See the API docs for more information about request parameters."
INVALID = "INVALID_PARAMETER_VALUE"
CHARACTERS = "Names may only contain alphanumerics, underscores (_), dashes (-), periods (.), spaces ( ), colon(:) and slashes (/)."
RESOLVES = "Names may be treated as files in certain cases, and must not resolve to other names when treated as such. This name would resolve to "
BULK = "/ajax-api/2.0/mlflow/metrics/get-history-bulk"


@pytest.fixture(scope="module")
def process() -> Iterator[Server]:
    with noria_server() as server:
        yield server


@pytest.fixture
def server(process: Server) -> Server:
    process.reset()
    return process


def a_run(server: Server) -> str:
    return str(server.ok("POST", "runs/create", {"experiment_id": "0"})["run"]["info"]["run_id"])


def a_point(step: int, value: float | str = 10.0, timestamp: int = 1, key: str = "loss") -> dict[str, Any]:
    return {"key": key, "timestamp": timestamp, "step": step, "value": value}


def log(server: Server, run_id: str, points: list[dict[str, Any]]) -> None:
    for start in range(0, len(points), 1000):
        server.ok("POST", "runs/log-batch", {"run_id": run_id, "metrics": points[start : start + 1000]})


def history(server: Server, run_id: str, key: str = "loss", **asked: object) -> list[dict[str, Any]]:
    answer = server.ok("GET", "metrics/get-history", {"run_id": run_id, "metric_key": key, **asked})
    points: list[dict[str, Any]] = answer.get("metrics", [])
    return points


def test_a_point_is_kept_once_however_often_it_is_sent(server: Server) -> None:
    run_id = a_run(server)
    for _ in range(3):
        server.ok("POST", "runs/log-metric", {"run_id": run_id, **a_point(3, 0.5, 789)})
        log(server, run_id, [a_point(3, 0.5, 789), a_point(3, 0.5, 789)])

    assert history(server, run_id) == [a_point(3, 0.5, 789)]


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        (5, 5.0),
        ("5", 5.0),
        (0, 0.0),
        ("1e-3", 0.001),
        ("NaN", "NaN"),
        ("Infinity", "Infinity"),
        ("-Infinity", "-Infinity"),
    ],
)
def test_every_number_comes_back_as_the_protocol_writes_it(server: Server, sent: object, kept: object) -> None:
    run_id = a_run(server)

    server.ok(
        "POST", "runs/log-metric", {"run_uuid": run_id, "key": "x", "value": sent, "timestamp": "7", "step": "-2"}
    )
    log(server, run_id, [{"key": "y", "value": sent, "timestamp": 8}])

    run = server.ok("GET", "runs/get", {"run_id": run_id})["run"]
    assert run["data"]["metrics"] == [
        {"key": "x", "value": kept, "timestamp": 7, "step": -2},
        {"key": "y", "value": kept, "timestamp": 8, "step": 0},
    ]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"run_id": 31}, f"Invalid value 31 for parameter 'run_id' supplied:  Hint: Value was of type 'int'.{DOCS}"),
        ({"key": 31}, f"Invalid value 31 for parameter 'key' supplied:  Hint: Value was of type 'int'.{DOCS}"),
        (
            {"value": "foo"},
            f"Invalid value \"foo\" for parameter 'value' supplied:  Hint: Value was of type 'str'.{DOCS}",
        ),
        (
            {"step": "foo"},
            f"Invalid value \"foo\" for parameter 'step' supplied:  Hint: Value was of type 'str'.{DOCS}",
        ),
        (
            {"timestamp": "foo"},
            f"Invalid value \"foo\" for parameter 'timestamp' supplied:  Hint: Value was of type 'str'.{DOCS}",
        ),
        ({"run_id": None}, f"Missing value for required parameter 'run_id'.{DOCS}"),
        ({"key": None}, f"Missing value for required parameter 'key'.{DOCS}"),
        ({"key": ""}, f"Missing value for required parameter 'key'.{DOCS}"),
        ({"value": None}, f"Missing value for required parameter 'value'.{DOCS}"),
        ({"value": ""}, f"Missing value for required parameter 'value'.{DOCS}"),
        ({"timestamp": None}, f"Missing value for required parameter 'timestamp'.{DOCS}"),
        (
            {"timestamp": -1},
            "Invalid value -1 for parameter 'timestamp' supplied: metric 'loss' (value=10.0). Timestamp must be a nonnegative long "
            "(64-bit integer) ",
        ),
        (
            {"timestamp": 10**17},
            "Invalid value 100000000000000000 for parameter 'timestamp' supplied: beyond the calendar's end.",
        ),
        ({"key": "a$b"}, f"Invalid value \"a$b\" for parameter 'name' supplied: {CHARACTERS}"),
        ({"key": "../x"}, f"Invalid value \"../x\" for parameter 'name' supplied: {RESOLVES}'../x'"),
        ({"key": "a//b"}, f"Invalid value \"a//b\" for parameter 'name' supplied: {RESOLVES}'a/b'"),
        ({"key": "x" * 251}, "'Metric name' exceeds the maximum length of 250 characters"),
    ],
)
def test_a_point_that_cannot_be_is_refused_in_mlflows_words(
    server: Server, change: dict[str, object], message: str
) -> None:
    run_id = a_run(server)

    refused = server.refusal("POST", "runs/log-metric", {"run_id": run_id, **a_point(1), **change})

    assert refused == (400, INVALID, message)
    assert "metrics" not in server.ok("GET", "runs/get", {"run_id": run_id})["run"]["data"]


@pytest.mark.parametrize("body", [b"", b"null", b"no json", b'"{}"', b"[1]"])
def test_a_body_that_says_nothing_counts_as_nothing_sent(server: Server, body: bytes) -> None:
    answer = server.ask(
        "POST", "/api/2.0/mlflow/runs/log-metric", body, headers={"content-type": "application/json; charset=utf-8"}
    )

    assert answer.status == 400
    assert answer.json["message"] == f"Missing value for required parameter 'run_id'.{DOCS}"


def test_fields_that_nobody_knows_are_passed_over(server: Server) -> None:
    run_id = a_run(server)

    server.ok("POST", "runs/log-metric", {"run_id": run_id, **a_point(1), "colour": {"deep": ["blue"]}})

    assert history(server, run_id) == [a_point(1)]


BAD_BATCHES: list[tuple[dict[str, object], str]] = [
    (
        {"metrics": "foo"},
        f"Invalid value \"foo\" for parameter 'metrics' supplied:  Hint: Value was of type 'str'.{DOCS}",
    ),
    (
        {"params": "foo"},
        f"Invalid value \"foo\" for parameter 'params' supplied:  Hint: Value was of type 'str'.{DOCS}",
    ),
    ({"tags": "foo"}, f"Invalid value \"foo\" for parameter 'tags' supplied:  Hint: Value was of type 'str'.{DOCS}"),
    (
        {"metrics": [a_point(1), {"key": "mae", "value": 2.5}]},
        f"Missing value for required parameter 'metrics[1].timestamp'.{DOCS}",
    ),
    ({"metrics": [{"value": 1, "timestamp": 1}]}, f"Missing value for required parameter 'metrics[0].key'.{DOCS}"),
    ({"metrics": [{"key": "k", "timestamp": 1}]}, f"Missing value for required parameter 'metrics[0].value'.{DOCS}"),
    ({"params": [{"value": "1"}]}, f"Missing value for required parameter 'params[0].key'.{DOCS}"),
    ({"tags": [{"key": "", "value": "1"}]}, f"Missing value for required parameter 'tags[0].key'.{DOCS}"),
    ({"run_id": "bad id!"}, "Invalid value \"bad id!\" for parameter 'run_id' supplied."),
    (
        {"metrics": [a_point(1), a_point(1, key="a$b")]},
        f"Invalid value \"a$b\" for parameter 'metrics[1].name' supplied: {CHARACTERS}",
    ),
    (
        {"metrics": [a_point(1, timestamp=-5)]},
        "Invalid value -5 for parameter 'metrics[0].timestamp' supplied: metric 'loss' (value=10.0). Timestamp must be a nonnegative "
        "long (64-bit integer) ",
    ),
    ({"params": [{"key": "a\nb"}]}, f"Invalid value \"a\\nb\" for parameter 'params[0].key' supplied: {CHARACTERS}"),
    ({"tags": [{"key": "t" * 251}]}, "'tags[0].key' exceeds the maximum length of 250 characters"),
    (
        {"params": [{"key": "d", "value": "3"}, {"key": "d", "value": "3"}]},
        "Duplicate parameter keys have been submitted: ['d']. Please ensure the request contains only one param value per param key.",
    ),
    (
        {"metrics": [a_point(1)] * 1001},
        "A batch logging request can contain at most 1000 metrics. Got 1001 metrics. Please split up metrics across multiple requests "
        "and try again.",
    ),
    (
        {"params": [{"key": f"p{n}"} for n in range(101)]},
        "A batch logging request can contain at most 100 params. Got 101 params. Please split up params across multiple requests and "
        "try again.",
    ),
    (
        {"metrics": [a_point(1)] * 949, "tags": [{"key": f"p{n}"} for n in range(51)]},
        "A batch logging request can contain at most 1000 metrics, params, and tags. Got 1001 metrics, params, and tags. Please split "
        "up metrics, params, and tags across multiple requests and try again.",
    ),
]


@pytest.mark.parametrize(("change", "message"), BAD_BATCHES)
def test_a_batch_with_a_fault_is_refused_as_a_whole(server: Server, change: dict[str, object], message: str) -> None:
    run_id = a_run(server)
    before = server.ok("GET", "runs/get", {"run_id": run_id})
    good = {"metrics": [a_point(1)], "params": [{"key": "p", "value": "1"}], "tags": [{"key": "t", "value": "1"}]}

    refused = server.refusal("POST", "runs/log-batch", {"run_id": run_id, **good, **change})

    assert refused == (400, INVALID, message)
    assert server.ok("GET", "runs/get", {"run_id": run_id}) == before


def test_a_value_that_is_no_number_makes_a_batch_no_batch(server: Server) -> None:
    # MLflow's server answers 200 here, and keeps a point of value 0.
    run_id = a_run(server)

    refused = server.refusal("POST", "runs/log-batch", {"run_id": run_id, "metrics": [a_point(1), a_point(2, "high")]})

    assert refused[:2] == (400, INVALID)
    assert "metrics[1].value" in refused[2]
    assert history(server, run_id) == []


def test_a_batch_of_everything_is_kept(server: Server) -> None:
    run_id = a_run(server)
    points = [a_point(step, step / 7, 1000 + step, key=f"m{step % 3}") for step in range(900)]
    given = {
        "run_id": run_id,
        "metrics": points,
        "params": [{"key": "p", "value": "1"}, {"key": "q"}],
        "tags": [{"key": "t", "value": "1"}, {"key": "t", "value": "2"}, {"key": "mlflow.runName", "value": "named"}],
    }

    server.ok("POST", "runs/log-batch", given)

    run = server.ok("GET", "runs/get", {"run_id": run_id})["run"]
    assert run["info"]["run_name"] == "named"
    assert run["data"]["params"] == [{"key": "p", "value": "1"}, {"key": "q", "value": ""}]
    assert {"key": "t", "value": "2"} in run["data"]["tags"]
    assert run["data"]["metrics"] == [points[897], points[898], points[899]]
    assert [history(server, run_id, f"m{n}") for n in range(3)] == [points[n::3] for n in range(3)]


def test_a_series_is_read_in_pages(server: Server) -> None:
    run_id = a_run(server)
    points = [a_point(step, float(step), 1000 + step) for step in range(10)]
    log(server, run_id, points)
    pages, asked = [], {"run_id": run_id, "metric_key": "loss", "max_results": 4}
    while True:
        page = server.ok("GET", "metrics/get-history", asked)
        pages.append(page["metrics"])
        if "next_page_token" not in page:
            break
        asked["page_token"] = page["next_page_token"]

    assert pages == [points[:4], points[4:8], points[8:]]
    assert history(server, run_id) == points
    for token in ("invalid_token", "e30=", "eyJvZmZzZXQiOiAtMX0="):
        refused = server.refusal("GET", "metrics/get-history", {**asked, "page_token": token})
        assert refused[:2] == (400, INVALID)


def test_what_nobody_logged_is_an_empty_series(server: Server) -> None:
    assert history(server, a_run(server), "absent") == []
    assert history(server, "absent") == []


def bulk(server: Server, **asked: object) -> Any:
    return server.ask("GET", BULK, query=asked).json


def test_a_series_of_several_runs_comes_run_by_run(server: Server) -> None:
    points = [a_point(-2, -100.0, 7), a_point(0, 0.0, 8), a_point(0, 1.0, 8), a_point(1, 12.0, 9)]
    runs = sorted(a_run(server) for _ in range(3))
    for run_id in runs[:2]:
        log(server, run_id, points)

    expected = [{**point, "run_id": run_id} for run_id in runs[:2] for point in points]
    assert bulk(server, run_id=[*reversed(runs), "absent"], metric_key="loss")["metrics"] == expected
    assert bulk(server, run_id=runs, metric_key="loss", max_results=5)["metrics"] == expected[:5]
    assert bulk(server, run_id=runs, metric_key="absent") == {"metrics": []}


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"metric_key": "k"}, "GetMetricHistoryBulk request must specify at least one run_id."),
        (
            {"metric_key": "k", "run_id": [f"r{n}" for n in range(101)]},
            "GetMetricHistoryBulk request cannot specify more than 100 run_ids. Received 101 run_ids.",
        ),
        ({"run_id": ["123"]}, "GetMetricHistoryBulk request must specify a metric_key."),
    ],
)
def test_a_series_of_several_runs_needs_to_be_named(server: Server, asked: dict[str, object], message: str) -> None:
    assert bulk(server, **asked) == {"error_code": INVALID, "message": message}


def chart(server: Server, *runs: str, key: str = "loss", **asked: object) -> list[dict[str, Any]]:
    given = {"run_ids": runs, "metric_key": key, **asked}
    answer = server.ok("GET", "metrics/get-history-bulk-interval", given)
    points: list[dict[str, Any]] = answer.get("metrics", [])
    return points


def test_a_chart_of_a_flat_series_takes_mlflows_steps(server: Server) -> None:
    first, second = a_run(server), a_run(server)
    log(server, first, [a_point(step) for step in range(10)])
    log(server, second, [a_point(step) for step in range(20)])

    def at(run_id: str, *steps: int) -> list[dict[str, Any]]:
        return [{**a_point(step), "run_id": run_id} for step in steps]

    assert chart(server, first, max_results=5) == at(first, 0, 2, 4, 6, 8, 9)
    assert chart(server, first, max_results=5, start_step=0, end_step=4) == at(first, 0, 1, 2, 3, 4)
    assert chart(server, first, second, max_results=5) == at(first, 0, 4, 8, 9) + at(second, 0, 4, 8, 9, 12, 16, 19)
    log(server, first, [a_point(step, timestamp=2) for step in range(10)])
    assert [(point["step"], point["timestamp"]) for point in chart(server, first, max_results=5)] == [
        (step, time) for step in (0, 2, 4, 6, 8, 9) for time in (1, 2)
    ]
    assert chart(server, first, key="absent") == []
    assert chart(server, "absent") == []


@pytest.mark.parametrize("count", [1000, 8000])
def test_a_chart_keeps_the_peaks_between_its_steps(server: Server, count: int) -> None:
    run_id = a_run(server)
    peaks = {333: 99.0, 334: -99.0, 777: "NaN"}
    log(server, run_id, [a_point(step, peaks.get(step, 1.0)) for step in range(count)])

    drawn = chart(server, run_id, max_results=20)

    assert {(point["step"], point["value"]) for point in drawn} >= {
        (333, 99.0),
        (334, -99.0),
        (0, 1.0),
        (count - 1, 1.0),
    }
    assert len(drawn) <= 65
    assert [point["step"] for point in drawn] == sorted(point["step"] for point in drawn)


@pytest.mark.parametrize(
    ("asked", "begins"),
    [
        ({"metric_key": "k"}, "Missing value for required parameter 'run_ids'."),
        (
            {"metric_key": "k", "run_ids": [f"r{n}" for n in range(101)]},
            "GetMetricHistoryBulkInterval request must specify at most 100 run_ids. Received 101 run_ids.",
        ),
        ({"metric_key": "k", "run_ids": ["r"], "max_results": 0}, "max_results must be between 1 and 2500."),
        ({"metric_key": "k", "run_ids": ["r"], "max_results": 2501}, "max_results must be between 1 and 2500."),
        ({"metric_key": "", "run_ids": ["r"]}, "Missing value for required parameter 'metric_key'."),
        ({"run_ids": ["r"]}, "Missing value for required parameter 'metric_key'."),
        (
            {"metric_key": "k", "run_ids": ["r"], "start_step": 1, "end_step": 0},
            "end_step must be greater than start_step. Found start_step=1 and end_step=0.",
        ),
        (
            {"metric_key": "k", "run_ids": ["r"], "start_step": 1},
            "If either start step or end step are specified, both must be specified.",
        ),
    ],
)
def test_a_chart_that_cannot_be_drawn_is_refused(server: Server, asked: dict[str, object], begins: str) -> None:
    status, code, message = server.refusal("GET", "metrics/get-history-bulk-interval", asked)

    assert (status, code) == (400, INVALID)
    assert message.startswith(begins)
