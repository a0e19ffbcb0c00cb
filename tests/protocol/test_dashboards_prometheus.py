"""Every query of every dashboard on the real Prometheus, which scrapes a real worker and a real control plane; and its rules, fired by it."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from noria.app.dashboards.export import DASHBOARDS, as_yaml, files, write
from noria.app.dashboards.panel import PROMOTIONS, Dashboard, Panel, Query, Row, to_grafana
from noria.app.dashboards.rules import groups
from noria.app.settings import Settings
from noria.errors import SettingInvalid
from tests.loop.small import BEGIN, World, open_life
from tests.peers.prometheus import Prometheus, scraping
from tests.serving.worker_factory import Running, a_worker, eventually

QUERIES = [(board, panel, query) for board in DASHBOARDS for panel in board.panels() for query in panel.queries]
TURNED = BEGIN + 12
"""By then the world that turned over has made an alert."""


@contextmanager
def a_control_plane(home: Path) -> Iterator[str]:
    command = [
        sys.executable,
        "-m",
        "noria.server.control.run",
        "--project",
        "small",
        "--port",
        "0",
        "--home",
        str(home),
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=dict(os.environ)) as process:
        assert process.stdout is not None
        try:
            yield json.loads(process.stdout.readline())["url"]
        finally:
            process.terminate()


@pytest.fixture(scope="module")
def scraped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Prometheus, Running]]:
    """A deployment that lived, was watched and alerted; it is served, and asked in two protocols."""
    home = tmp_path_factory.mktemp("life") / ".noria"
    with open_life(home, world=World(turns=BEGIN + 3)) as life:
        life.declare().live(range(BEGIN + 2, TURNED))
    rules = as_yaml(groups())
    with (
        a_control_plane(home) as control,
        a_worker(home) as worker,
        scraping(control, others={"noria-worker": worker.url}, rules=rules) as prometheus,
    ):
        eventually(lambda: len(prometheus.query("noria_build_info")) == 2)
        for _ in range(3):  # a rate needs two scrapes with something between them
            ask(worker)
            seen = prometheus.value('sum(noria_requests_total{status="200"})') or 0
            eventually(lambda seen=seen: (prometheus.value('sum(noria_requests_total{status="200"})') or 0) > seen)
        eventually(lambda: prometheus.query("rate(noria_http_requests_total[10s])"))
        eventually(lambda: prometheus.query("predict_linear(noria_host_disk_free_bytes[6h], 86400)"))
        yield prometheus, worker


def ask(worker: Running) -> None:
    inputs = [
        {"name": "shop", "datatype": "BYTES", "shape": [2], "data": ["web", "a shop that nobody knew"]},
        {"name": "price", "datatype": "FP32", "shape": [2], "data": [20.0, 30.0]},
    ]
    assert worker.infer({"inputs": inputs}, name="returns")[0] == 200
    assert worker.infer({}, name="returns")[0] == 400
    assert worker.json("POST", "/v1/models/returns:predict", {"instances": [{"shop": "web", "price": 3.0}]})[0] == 200


def plain(expression: str) -> str:
    """A query as Grafana sends it when everything is chosen."""
    found = re.sub(r"\$(deployment|instance)", ".*", expression).replace("$__rate_interval", "10s")
    assert "$" not in found, found
    return found


@pytest.mark.slow
def test_every_query_runs_and_shows_something(scraped: tuple[Prometheus, Running]) -> None:
    prometheus, _ = scraped

    empty = [
        (board.title, panel.title, query.expr)
        for board, panel, query in QUERIES
        if not prometheus.query(plain(query.expr)) and not query.seldom
    ]

    assert empty == []


@pytest.mark.slow
def test_a_query_that_is_seldom_says_why_and_some_show_something_here(scraped: tuple[Prometheus, Running]) -> None:
    prometheus, _ = scraped
    seldom = [query for _, _, query in QUERIES if query.seldom]

    shown = [query.expr for query in seldom if prometheus.query(plain(query.expr))]

    assert [query for query in seldom if len(query.seldom) < 10] == []
    assert any("noria_alerts_open" in expression for expression in shown)
    assert any("noria_quality_excess_loss" in expression for expression in shown)
    prometheus.query(PROMOTIONS)


@pytest.mark.slow
def test_variables_have_values_and_legends_name_labels_that_are_there(scraped: tuple[Prometheus, Running]) -> None:
    prometheus, _ = scraped
    for board in DASHBOARDS:
        for variable in board.variables:
            assert {labels.get(variable.label) for labels, _ in prometheus.query(variable.metric)} - {None, ""}
    wrong = [
        (query.expr, query.legend, labels)
        for _, _, query in QUERIES
        for labels, _ in prometheus.query(plain(query.expr))
        if set(re.findall(r"\{\{(\w+)\}\}", query.legend)) - set(labels) - {"pid"}  # of one process there is no pid
    ]
    assert wrong == []


@pytest.mark.slow
def test_rules_are_healthy_and_an_alert_of_the_loop_fires(scraped: tuple[Prometheus, Running]) -> None:
    prometheus, _ = scraped

    eventually(lambda: prometheus.query('ALERTS{alertname="NoriaAlertOpen",alertstate="firing"}'))
    eventually(lambda: prometheus.query("deployment:noria_requests:rate5m"))
    rules = [rule for group in prometheus.ask("rules")["groups"] for rule in group["rules"]]

    (labels, _), *_ = prometheus.query('ALERTS{alertname="NoriaAlertOpen",alertstate="firing"}')
    assert (labels["deployment"], labels["kind"], labels["severity"]) == ("returns", "decay", "page")
    assert [(rule["name"], rule["lastError"]) for rule in rules if rule["health"] != "ok"] == []


def test_every_metric_of_a_dashboard_or_a_rule_is_one_that_noria_gives() -> None:
    source = "\n".join(
        path.read_text()
        for path in (Path(__file__).parents[2] / "src/noria").rglob("*.py")
        if "dashboards" not in path.parts
    )
    given = set(re.findall(r'"((?:noria|process)_[a-z0-9_]+)"', source))
    given |= {
        f"noria_host_{name}"
        for name in re.findall(
            r'"([a-z]+(?:_[a-z]+)*)"', (Path(__file__).parents[2] / "src/noria/server/host_metrics.py").read_text()
        )
    }
    rules = [rule["expr"] for group in groups()["groups"] for rule in group["rules"]]
    used = {
        name
        for expression in [*rules, *(query.expr for _, _, query in QUERIES)]
        for name in re.findall(r"(?<![a-z:])(?:noria|process)_[a-z0-9_]+", expression)
    }

    unknown = {name for name in used if re.sub(r"_(bucket|sum|count)$", "", name) not in given and name not in given}

    assert unknown == set()


def test_panels_stand_beside_each_other_and_not_upon() -> None:
    for board in DASHBOARDS:
        drawn = to_grafana(board)
        taken: set[tuple[int, int]] = set()
        for panel in drawn["panels"]:
            place = panel["gridPos"]
            cells = {(place["x"] + i, place["y"] + j) for i in range(place["w"]) for j in range(place["h"])}
            assert not cells & taken, panel["title"]
            assert max(x for x, _ in cells) < 24
            taken |= cells
        assert len({panel["id"] for panel in drawn["panels"]}) == len(drawn["panels"])
        assert all(panel.text for panel in board.panels())


def test_the_files_are_whole_and_where_grafana_and_prometheus_look(tmp_path: Path) -> None:
    written = write(tmp_path, files(Settings(), prometheus="https://metrics.example:9090"))

    names = {str(path.relative_to(tmp_path)) for path in written}
    boards = [json.loads((tmp_path / name).read_text()) for name in names if name.endswith(".json")]
    assert {f"grafana/dashboards/{board['uid']}.json" for board in boards} <= names
    assert {"prometheus/prometheus.yml", "prometheus/noria.rules.yml"} <= names
    assert "https://metrics.example:9090" in (tmp_path / "grafana/provisioning/datasources/noria.yml").read_text()
    assert write(tmp_path, files(Settings())) == written


def test_what_cannot_be_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingInvalid, match="no address"):
        files(Settings(), prometheus="localhost:9090")
    (tmp_path / "grafana").write_text("a file")
    with pytest.raises(SettingInvalid, match="cannot be written"):
        write(tmp_path, files(Settings()))


@pytest.mark.parametrize("value", ["yes", "5m", "0.5", "a: b", "it's", "", "two\nlines", "- x", "#", "%", "null", "é"])
def test_yaml_says_what_was_meant(value: str) -> None:
    import yaml

    inside = {"name": value, "list": [value, 1, 2.5], "inside": {"a": value}}
    held: dict[str, Any] = {"groups": [inside, value], value or "none": value, "true": True, "empty": {}}

    assert yaml.safe_load(as_yaml(held)) == held


def test_a_panel_that_does_not_fit_goes_below() -> None:
    wide = Panel(title="wide", queries=(Query("up"),), text="x", width=20)
    drawn = to_grafana(Dashboard(uid="u", title="t", text="", variables=(), rows=(Row("r", (wide, wide)),)))  # fmt: skip

    assert [panel["gridPos"]["y"] for panel in drawn["panels"]] == [0, 1, 8]
