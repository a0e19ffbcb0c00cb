"""The dashboard of the control plane: the loop, the ledger, requests, writes, webhooks and errors. Told by server/control."""

from noria.app.dashboards.panel import Dashboard, Panel, Query, Row

RATE = "[$__rate_interval]"
NO_LOOP = "the loop turns in another process"

_LOOP = Row(
    "The loop",
    (
        Panel(
            title="Events in the ledger",
            kind="stat",
            width=4,
            height=5,
            queries=(Query("sum(noria_ledger_entries)", "events"),),
            text="Decisions and changes of state.",
        ),
        Panel(
            title="Not acted on",
            kind="stat",
            width=4,
            height=5,
            warn=1,
            bad=50,
            queries=(Query("max(noria_loop_behind_entries)", "entries"),),
            text="Entries that the loop has not dealt with. Where no recipe is named in noria.toml, nobody does.",
        ),
        Panel(
            title="Events a day",
            width=8,
            height=5,
            queries=(Query("sum by (kind) (increase(noria_events_total[1d])) > 0", "{{kind}}", "nothing happened today"),),
            text="What happened, by kind.",
        ),
        Panel(
            title="A stroke of the clock",
            unit="s",
            width=8,
            height=5,
            queries=(
                Query(f"rate(noria_tick_seconds_sum{RATE}) / rate(noria_tick_seconds_count{RATE})", "on average", NO_LOOP),
                Query("time() - noria_tick_timestamp_seconds", "since the last", NO_LOOP),
            ),
            text="How long watching, judging and reviewing takes, and how long ago it was.",
        ),
        Panel(
            title="Stages that failed",
            kind="table",
            width=12,
            height=5,
            queries=(Query("sum by (stage, code) (noria_stage_failures_total)", "how often", "no stage has failed"),),
            text="`noria why` of the event says of what.",
        ),
        Panel(
            title="Errors by group",
            kind="table",
            width=12,
            height=5,
            queries=(
                Query("topk(20, sum by (group, kind, where, job) (noria_error_group_total))", "how often", "no error was logged"),
            ),
            text="`noria doctor --errors` shows each with its newest message and when it was first and last seen.",
        ),
    ),
)  # fmt: skip
_REQUESTS = Row(
    "Requests",
    (
        Panel(
            title="Requests by family",
            unit="reqps",
            queries=(Query(f"sum by (family) (rate(noria_http_requests_total{RATE}))", "{{family}}"),),
            text="The protocol and the noun: MLflow's clients, REST, pages.",
        ),
        Panel(
            title="Requests that failed",
            unit="reqps",
            queries=(
                Query(f'sum by (family, status) (rate(noria_http_requests_total{{status=~"5.."}}{RATE}))', "{{family}} {{status}}", "none failed"),
            ),
            text="500: ours, in the log. 503 and 507: a store that is away or full.",
        ),
        Panel(
            title="95 % answered within",
            unit="s",
            queries=(
                Query(f"histogram_quantile(0.95, sum by (le, family) (rate(noria_http_request_seconds_bucket{RATE})))", "{{family}}"),
            ),
            text="To the last byte of the answer.",
        ),
    ),
)  # fmt: skip
_RECORD = Row(
    "The record",
    (
        Panel(
            title="Runs and points",
            queries=(
                Query(f"sum(rate(noria_runs_begun_total{RATE}))", "runs begun", "no run was begun"),
                Query(f"sum(rate(noria_points_written_total{RATE}))", "points", "no point was written"),
            ),
            text="What clients write, a second.",
        ),
        Panel(
            title="Writes that wait",
            warn=100,
            queries=(Query("noria_store_writes_waiting", "{{instance}}"),),
            text="For their transaction. Growing: the store's disk is too slow for what is written.",
        ),
        Panel(
            title="Webhooks",
            queries=(
                Query("noria_webhook_behind_changes", "changes that the slowest has not been told of"),
                Query(f"sum by (outcome) (rate(noria_webhook_deliveries_total{RATE}))", "{{outcome}} a second", "nothing was delivered"),
            ),
            text="A receiver that is away is told later.",
        ),
    ),
)  # fmt: skip
_ITSELF = Row(
    "Itself",
    (
        Panel(
            title="Version",
            kind="table",
            width=12,
            height=5,
            queries=(Query("count by (job, version, python) (noria_build_info)", "processes"),),
            text="Which Noria runs where.",
        ),
        Panel(
            title="Errors logged",
            width=12,
            height=5,
            queries=(Query(f"sum by (job) (rate(noria_errors_total{RATE}))", "{{job}}"),),
            text="Lines of the log from ERROR on, a second.",
        ),
    ),
)

LOOP = Dashboard(
    uid="noria-loop",
    title="Noria / Loop and record",
    text="The control plane: the loop, the ledger, requests, writes, webhooks, errors.",
    variables=(),
    rows=(_LOOP, _REQUESTS, _RECORD, _ITSELF),
)
