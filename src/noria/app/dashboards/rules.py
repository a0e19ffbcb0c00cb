"""What Prometheus alerts on, and the figures it keeps ready. Files are written by export; each alert is tried in tests/app/dashboards_rules.yml.

Drift and decay are decided by Noria, under a stated rate of false alarms: of them a rule only says that an alert stands. What no process can say of
itself (that it is gone, that a loop stands) and what needs history (a disk that will be full) is decided here.
"""

from typing import Any, Literal

import msgspec

Severity = Literal["info", "warn", "page"]
RECORD_5M = "5m"


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """From where on it is an alert. failed: share of requests; slow_s: latency that 99 % stay below; look_s: age of the newest look, in seconds."""

    failed: float = 0.01
    slow_s: float = 0.5
    look_s: float = 3600.0


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """One alert. hold: how long it must be so before somebody is told. severity: '' takes the label of the series."""

    name: str
    expr: str
    summary: str
    remedy: str
    severity: Severity | Literal[""] = "warn"
    hold: str = "0m"


class Recorded(msgspec.Struct, frozen=True, kw_only=True):
    """A figure under a name of its own, `level:metric:operations` as Prometheus advises."""

    name: str
    expr: str


RECORDED = (
    Recorded(name="deployment:noria_requests:rate5m", expr="sum by (deployment) (rate(noria_requests_total[5m]))"),
    Recorded(
        name="deployment:noria_requests_failed:ratio_rate5m",
        expr='sum by (deployment) (rate(noria_requests_total{status=~"5.."}[5m])) / sum by (deployment) (rate(noria_requests_total[5m]))',
    ),
    Recorded(
        name="deployment:noria_request_seconds:p99_rate5m",
        expr="histogram_quantile(0.99, sum by (deployment, le) (rate(noria_request_seconds_bucket[5m])))",
    ),
    Recorded(
        name="instance:noria_host_busy:ratio_rate1h",
        expr='1 - sum by (instance) (rate(noria_host_cpu_seconds_total{mode=~"idle|iowait"}[1h]))'
        " / sum by (instance) (rate(noria_host_cpu_seconds_total[1h]))",
    ),
)


FULL = (
    Rule(
        name="NoriaShedding",
        expr="sum by (deployment) (rate(noria_requests_shed_total[5m])) > 0",
        hold="5m",
        summary="{{ $labels.deployment }} is asked more than its workers take on",
        remedy="add workers, or raise --max-in-flight",
    ),
    Rule(
        name="NoriaRecordsLost",
        expr="increase(noria_log_rows_dropped_total[10m]) + increase(noria_log_rows_refused_total[10m]) > 0",
        summary="{{ $value | humanize }} predictions at {{ $labels.instance }} were not recorded",
        remedy="look at the disk of the home; --durable refuses requests instead",
    ),
    Rule(
        name="NoriaRingFilling",
        expr="noria_ring_rows / noria_ring_capacity_rows > 0.8",
        hold="2m",
        summary="the ring of records at {{ $labels.instance }} is {{ $value | humanizePercentage }} full",
        remedy="look at the disk of the home",
    ),
)
"""Of a worker that has more to do, or to write, than it can."""


def serving(limits: Limits) -> tuple[Rule, ...]:
    """Of workers."""
    return (
        Rule(
            name="NoriaTargetDown",
            expr='up{job=~"noria.*"} == 0',
            hold="2m",
            severity="page",
            summary="{{ $labels.job }} at {{ $labels.instance }} does not answer",
            remedy="look at its log; `noria doctor` on its machine",
        ),
        Rule(
            name="NoriaFailing",
            expr=f"deployment:noria_requests_failed:ratio_rate5m > {limits.failed:g} and deployment:noria_requests:rate5m > 0",
            hold="5m",
            severity="page",
            summary="{{ $value | humanizePercentage }} of the requests to {{ $labels.deployment }} fail",
            remedy="`noria doctor --errors` on the worker's machine",
        ),
        Rule(
            name="NoriaSlow",
            expr=f"deployment:noria_request_seconds:p99_rate5m > {limits.slow_s:g}",
            hold="10m",
            summary="1 request in 100 to {{ $labels.deployment }} takes longer than {{ $value | humanizeDuration }}",
            remedy="look at processors and requests in flight on the dashboard 'Noria / Serving'; add workers",
        ),
        *FULL,
        Rule(
            name="NoriaModelNotLoaded",
            # A series that begins with its first failure has no increase yet.
            expr="increase(noria_model_load_failures_total[15m]) > 0"
            " or (noria_model_load_failures_total unless noria_model_load_failures_total offset 15m)",
            severity="page",
            summary="a generation of {{ $labels.deployment }} cannot be loaded; the former one answers",
            remedy="GET /noria/status of the worker says why",
        ),
        Rule(
            name="NoriaSilence",
            expr="sum by (deployment) (rate(noria_requests_total[30m])) == 0"
            " and sum by (deployment) (rate(noria_requests_total[1d] offset 30m)) > 0.01",
            hold="30m",
            summary="nobody asks {{ $labels.deployment }} any more",
            remedy="ask the callers; an answer that is not given raises no error here",
        ),
    )


def watching(limits: Limits) -> tuple[Rule, ...]:
    """Of what is watched, and of the watching."""
    return (
        Rule(
            name="NoriaAlertOpen",
            expr='noria_alerts_open{severity!="info",state="open"} > 0',
            severity="",
            summary="{{ $labels.kind }} at {{ $labels.deployment }}",
            remedy="`noria alerts` lists it, `noria why ID` explains it",
        ),
        Rule(
            name="NoriaLookStale",
            expr=f"time() - max by (deployment) (noria_look_timestamp_seconds) > {limits.look_s:g}",
            hold="5m",
            summary="{{ $labels.deployment }} has not been looked at for {{ $value | humanizeDuration }}",
            remedy="`noria status`; is the loop running?",
        ),
        Rule(
            name="NoriaGone",
            expr="absent(noria_ledger_entries)",
            hold="10m",
            severity="page",
            summary="no control plane tells anything: nothing is watched",
            remedy="start `noria up`, or correct the scrape configuration",
        ),
    )


LOOP = (
    Rule(
        name="NoriaStageFailed",
        expr='increase(noria_events_total{kind="StageFailed"}[1h]) > 0',
        summary="a stage of the loop failed for good",
        remedy="`noria status` names it",
    ),
    Rule(
        name="NoriaLoopBehind",
        expr="noria_loop_behind_entries > 0 and noria_loop_behind_entries >= noria_loop_behind_entries offset 30m > 0",
        hold="15m",
        summary="the loop does not catch up: {{ $value }} entries",
        remedy="is the loop running, with the recipe named in noria.toml? See its log",
    ),
    Rule(
        name="NoriaErrors",
        expr="increase(noria_errors_total[15m]) > 0",
        severity="info",
        summary="{{ $labels.job }} at {{ $labels.instance }} logs errors",
        remedy="`noria doctor --errors`",
    ),
    Rule(
        name="NoriaStoreSlow",
        expr="min_over_time(noria_store_writes_waiting[5m]) > 100",
        hold="5m",
        summary="{{ $value }} writes wait for their transaction",
        remedy="look at the store's disk; PostgreSQL takes more writers than SQLite",
    ),
    Rule(
        name="NoriaWebhookBehind",
        expr="noria_webhook_behind_changes > 100",
        hold="1h",
        severity="info",
        summary="a webhook has not been told of {{ $value }} changes",
        remedy="is its receiver there?",
    ),
)
MACHINE = (
    Rule(
        name="NoriaDiskFilling",
        expr="predict_linear(noria_host_disk_free_bytes[6h], 86400) < 0 and noria_host_disk_free_bytes / noria_host_disk_bytes < 0.5",
        hold="1h",
        summary="the disk of the home at {{ $labels.instance }} is full in less than a day",
        remedy="`noria gc`, or a larger disk",
    ),
    Rule(
        name="NoriaDiskFull",
        expr="noria_host_disk_free_bytes / noria_host_disk_bytes < 0.03",
        hold="5m",
        severity="page",
        summary="{{ $value | humanizePercentage }} of the home's disk at {{ $labels.instance }} is free",
        remedy="`noria gc`, or a larger disk",
    ),
    Rule(
        name="NoriaMemoryShort",
        expr="noria_host_memory_available_bytes / noria_host_memory_bytes < 0.05"
        " or 1 - noria_host_limit_memory_used_bytes / noria_host_limit_memory_bytes < 0.03",
        hold="5m",
        summary="{{ $value | humanizePercentage }} of the memory at {{ $labels.instance }} is left",
        remedy="fewer workers, smaller models, or more memory",
    ),
    Rule(
        name="NoriaWaiting",
        expr='rate(noria_host_pressure_seconds_total{share="some"}[10m]) > 0.6',
        hold="30m",
        severity="info",
        summary="what runs at {{ $labels.instance }} waits for its {{ $labels.resource }} {{ $value | humanizePercentage }} of the time",
        remedy="the dashboard 'Noria / Machines' shows who uses it",
    ),
    Rule(
        name="NoriaUnderused",
        expr="max_over_time(instance:noria_host_busy:ratio_rate1h[1d]) < 0.05 and instance:noria_host_busy:ratio_rate1h offset 1d >= 0",
        hold="1h",
        severity="info",
        summary="{{ $labels.instance }} was never busy for more than {{ $value | humanizePercentage }} of an hour",
        remedy="a smaller machine would do",
    ),
    Rule(
        name="NoriaFilesShort",
        expr='process_open_fds{job=~"noria.*"} / process_max_fds{job=~"noria.*"} > 0.9',
        hold="5m",
        summary="{{ $labels.job }} at {{ $labels.instance }} has {{ $value | humanizePercentage }} of its file descriptors open",
        remedy="ulimit -n; LimitNOFILE= of systemd",
    ),
)


def groups(limits: Limits | None = None) -> dict[str, Any]:
    """The rules file, as data."""
    limits = limits or Limits()
    named = (("serving", serving(limits)), ("watching", watching(limits)), ("loop", LOOP), ("machine", MACHINE))
    recorded = [{"record": each.name, "expr": each.expr} for each in RECORDED]
    return {
        "groups": [
            {"name": "noria-recorded", "rules": recorded},
            *({"name": f"noria-{name}", "rules": [_rule(rule) for rule in rules]} for name, rules in named),
        ]
    }


def _rule(rule: Rule) -> dict[str, Any]:
    return {
        "alert": rule.name,
        "expr": rule.expr,
        **({"for": rule.hold} if rule.hold != "0m" else {}),
        **({"labels": {"severity": rule.severity}} if rule.severity else {}),
        "annotations": {"summary": rule.summary, "remedy": rule.remedy},
    }
