"""Every alert of the exported rules, by Prometheus's own promtool: it is told when it is so for long enough, in these words, and not before."""

import json
import subprocess
from pathlib import Path
from typing import Any

import msgspec

from noria.app.dashboards.export import as_yaml
from noria.app.dashboards.rules import Limits, groups
from tests.peers.prometheus import program

WORKER = 'job="noria-worker",instance="w:1"'


class Case(msgspec.Struct, frozen=True):
    """calm_at, told_at: minutes. summary: as people read it. every: between two samples, and between two evaluations."""

    alert: str
    series: dict[str, str]
    calm_at: int
    told_at: int
    labels: dict[str, str]
    summary: str
    every: str = "1m"


W = {"job": "noria-worker", "instance": "w:1"}
CASES = (
    Case("NoriaTargetDown", {f"up{{{WORKER}}}": "1x10 0x20"}, 12, 14, W, "noria-worker at w:1 does not answer"),
    Case(
        "NoriaFailing",
        {
            'noria_requests_total{deployment="late",status="200"}': "0+60x60",
            'noria_requests_total{deployment="late",status="500"}': "0x10 0+20x50",
        },
        10,
        40,
        {"deployment": "late"},
        "25% of the requests to late fail",
    ),
    Case(
        "NoriaSlow",
        {
            'noria_request_seconds_bucket{deployment="late",le="0.1"}': "0+60x10 600x60",
            'noria_request_seconds_bucket{deployment="late",le="1"}': "0+60x10 600+60x60",
            'noria_request_seconds_bucket{deployment="late",le="+Inf"}': "0+60x10 600+60x60",
        },
        10,
        40,
        {"deployment": "late"},
        "1 request in 100 to late takes longer than 991ms",
    ),
    Case(
        "NoriaShedding",
        {'noria_requests_shed_total{deployment="late",protocol="v2"}': "_x10 1+5x60"},
        15,
        30,
        {"deployment": "late"},
        "late is asked more than its workers take on",
    ),
    Case(
        "NoriaRecordsLost",
        {f"noria_log_rows_dropped_total{{{WORKER}}}": "0x20 6x20", f"noria_log_rows_refused_total{{{WORKER}}}": "0x40"},
        20,
        22,
        W,
        "6 predictions at w:1 were not recorded",
    ),
    Case(
        "NoriaRingFilling",
        {f"noria_ring_rows{{{WORKER}}}": "0x10 90x30", f"noria_ring_capacity_rows{{{WORKER}}}": "100x40"},
        11,
        13,
        W,
        "the ring of records at w:1 is 90% full",
    ),
    Case(
        "NoriaModelNotLoaded",
        {f'noria_model_load_failures_total{{{WORKER},deployment="late"}}': "_x10 1x60"},
        9,
        12,
        W | {"deployment": "late"},
        "a generation of late cannot be loaded; the former one answers",
    ),
    Case(
        "NoriaModelNotLoaded",
        {f'noria_model_load_failures_total{{{WORKER},deployment="late"}}': "1x60 2x60"},
        59,
        62,
        W | {"deployment": "late"},
        "a generation of late cannot be loaded; the former one answers",
    ),
    Case(
        "NoriaSilence",
        {'noria_requests_total{deployment="late",status="200"}': "0+600x144 86400x12"},
        1430,
        1505,
        {"deployment": "late"},
        "nobody asks late any more",
        every="10m",
    ),
    Case(
        "NoriaAlertOpen",
        {
            'noria_alerts_open{deployment="late",kind="decay",severity="page",state="open"}': "_x5 1x10",
            'noria_alerts_open{deployment="late",kind="decay",severity="page",state="snoozed"}': "1x15",
        },
        4,
        6,
        {"deployment": "late", "kind": "decay", "state": "open"},
        "decay at late",
    ),
    Case(
        "NoriaLookStale",
        {'noria_look_timestamp_seconds{deployment="late",version="1"}': "0+60x60 3600x100"},
        65,
        130,
        {"deployment": "late"},
        "late has not been looked at for 1h 10m 0s",
    ),
    Case("NoriaGone", {"noria_ledger_entries": "7x10 _x40"}, 20, 27, {}, "no control plane tells anything: nothing is watched"),
    Case(
        "NoriaStageFailed",
        {'noria_events_total{kind="StageFailed"}': "0x70 1x20"},
        70,
        72,
        {"kind": "StageFailed"},
        "a stage of the loop failed for good",
    ),
    Case("NoriaLoopBehind", {"noria_loop_behind_entries": "0x10 5x90"}, 30, 60, {}, "the loop does not catch up: 5 entries"),
    Case("NoriaErrors", {f"noria_errors_total{{{WORKER}}}": "0x30 1x20"}, 30, 32, W, "noria-worker at w:1 logs errors"),
    Case("NoriaStoreSlow", {"noria_store_writes_waiting": "0x20 150x40"}, 24, 32, {}, "150 writes wait for their transaction"),
    Case("NoriaWebhookBehind", {"noria_webhook_behind_changes": "0x20 200x100"}, 79, 82, {}, "a webhook has not been told of 200 changes"),
    Case(
        "NoriaDiskFilling",
        {f"noria_host_disk_free_bytes{{{WORKER}}}": "900000-10000x60", f"noria_host_disk_bytes{{{WORKER}}}": "1000000x60"},
        350,
        500,
        W,
        "the disk of the home at w:1 is full in less than a day",
        every="10m",
    ),
    Case(
        "NoriaDiskFull",
        {f"noria_host_disk_free_bytes{{{WORKER}}}": "500x10 20x20", f"noria_host_disk_bytes{{{WORKER}}}": "1000x40"},
        12,
        17,
        W,
        "2% of the home's disk at w:1 is free",
    ),
    Case(
        "NoriaMemoryShort",
        {f"noria_host_memory_available_bytes{{{WORKER}}}": "500x10 40x20", f"noria_host_memory_bytes{{{WORKER}}}": "1000x40"},
        12,
        17,
        W,
        "4% of the memory at w:1 is left",
    ),
    Case(
        "NoriaMemoryShort",
        {f"noria_host_limit_memory_used_bytes{{{WORKER}}}": "500x10 990x20", f"noria_host_limit_memory_bytes{{{WORKER}}}": "1000x40"},
        12,
        17,
        W,
        "1% of the memory at w:1 is left",
    ),
    Case(
        "NoriaWaiting",
        {f'noria_host_pressure_seconds_total{{{WORKER},resource="io",share="some"}}': "0+6x30 180+48x120"},
        40,
        90,
        W | {"resource": "io", "share": "some"},
        "what runs at w:1 waits for its io 80% of the time",
    ),
    Case(
        "NoriaUnderused",
        {
            'noria_host_cpu_seconds_total{instance="w:1",mode="idle"}': "0+594x170",
            'noria_host_cpu_seconds_total{instance="w:1",mode="user"}': "0+6x170",
        },
        1440,
        1640,
        {"instance": "w:1"},
        "w:1 was never busy for more than 1% of an hour",
        every="10m",
    ),
    Case(
        "NoriaFilesShort",
        {f"process_open_fds{{{WORKER}}}": "5x10 95x20", f"process_max_fds{{{WORKER}}}": "100x40"},
        12,
        17,
        W,
        "noria-worker at w:1 has 95% of its file descriptors open",
    ),
)  # fmt: skip


def alerts(limits: Limits | None = None) -> dict[str, dict[str, Any]]:
    return {rule["alert"]: rule for group in groups(limits)["groups"] for rule in group["rules"] if "alert" in rule}


def expected(case: Case) -> dict[str, Any]:
    rule = alerts()[case.alert]
    severity = rule.get("labels", {}).get("severity") or "page"  # of the series, where the rule has none
    annotations = {"summary": case.summary, "remedy": rule["annotations"]["remedy"]}
    return {"exp_labels": {**case.labels, "severity": severity}, "exp_annotations": annotations}


def tried_by(case: Case) -> dict[str, Any]:
    """As promtool reads it."""
    return {
        "interval": case.every,
        "name": case.alert,
        "input_series": [{"series": series, "values": values} for series, values in case.series.items()],
        "alert_rule_test": [
            {"eval_time": f"{case.calm_at}m", "alertname": case.alert, "exp_alerts": []},
            {"eval_time": f"{case.told_at}m", "alertname": case.alert, "exp_alerts": [expected(case)]},
        ],
    }


def test_every_alert_has_a_case() -> None:
    assert {case.alert for case in CASES} == set(alerts())


def test_each_alert_is_told_in_time_and_not_before(tmp_path: Path) -> None:
    (tmp_path / "noria.rules.yml").write_text(as_yaml(groups()))
    for every in {case.every for case in CASES}:
        tests = [tried_by(case) for case in CASES if case.every == every]
        file = {"rule_files": ["noria.rules.yml"], "evaluation_interval": every, "tests": tests}
        (tmp_path / f"tests-{every}.yml").write_text(json.dumps(file))

    tried = subprocess.run(
        [program("promtool"), "test", "rules", *map(str, tmp_path.glob("tests-*.yml"))],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert tried.returncode == 0, tried.stdout + tried.stderr


def test_limits_are_those_that_were_asked_for() -> None:
    found = {name: rule["expr"] for name, rule in alerts(Limits(failed=0.2, slow_s=3.0, look_s=60.0)).items()}

    assert "> 0.2 " in found["NoriaFailing"]
    assert found["NoriaSlow"].endswith("> 3")
    assert found["NoriaLookStale"].endswith("> 60")
