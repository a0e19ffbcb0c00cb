"""The dashboard of the workers: how much is asked, how it is answered, how fast, what becomes of records. Counted by server/inference/metrics."""

from noria.app.dashboards.panel import Dashboard, Panel, Query, Row, Variable

RATE = "[$__rate_interval]"
OF = 'deployment=~"$deployment"'


def _quantile(quantile: str, by: str) -> str:
    inside = f"sum by (le{', ' if by else ''}{by}) (rate(noria_request_seconds_bucket{{{OF}}}{RATE}))"
    return f"histogram_quantile({quantile}, {inside})"


_NOW = Row(
    "Now",
    (
        Panel(
            title="Requests a second",
            kind="stat",
            unit="reqps",
            width=4,
            height=4,
            queries=(Query(f"sum(rate(noria_requests_total{{{OF}}}{RATE}))", "requests"),),
            text="Of all workers and protocols.",
        ),
        Panel(
            title="Failed",
            kind="stat",
            unit="percentunit",
            width=4,
            height=4,
            warn=0.001,
            bad=0.01,
            queries=(
                Query(
                    f'(sum(rate(noria_requests_total{{{OF},status=~"5.."}}{RATE})) or vector(0))'
                    f" / sum(rate(noria_requests_total{{{OF}}}{RATE}))",
                    "failed",
                ),
            ),
            text="Share of requests answered with a status from 500 on: the worker's own fault.",
        ),
        Panel(
            title="99 % answered within",
            kind="stat",
            unit="s",
            width=4,
            height=4,
            warn=0.1,
            bad=0.5,
            queries=(Query(_quantile("0.99", ""), "p99"),),
            text="From the body read to the answer made.",
        ),
        Panel(
            title="In flight",
            kind="stat",
            width=4,
            height=4,
            queries=(Query("sum(noria_requests_in_flight)", "in flight"),),
            text="Requests that are being read, wait or are being answered.",
        ),
        Panel(
            title="Processes",
            kind="stat",
            width=4,
            height=4,
            queries=(Query("sum(noria_processes)", "processes"),),
            text="Worker processes that live.",
        ),
        Panel(
            title="Versions that answer",
            kind="table",
            width=4,
            height=4,
            queries=(
                Query(f"sum by (deployment, version) (rate(noria_requests_total{{{OF},version!=''}}{RATE})) > 0", "a second"),
            ),
            text="Requests a second by version; two during a canary.",
        ),
    ),
)  # fmt: skip
_TRAFFIC = Row(
    "Traffic",
    (
        Panel(
            title="Requests by version",
            unit="reqps",
            queries=(
                Query(
                    f'sum by (deployment, version, variant) (rate(noria_requests_total{{{OF},status="200"}}{RATE}))',
                    "{{deployment}} v{{version}} {{variant}}",
                ),
            ),
            stacked=True,
            text="Answered requests. A canary takes over step by step.",
        ),
        Panel(
            title="Requests by status",
            unit="reqps",
            queries=(Query(f"sum by (status) (rate(noria_requests_total{{{OF}}}{RATE}))", "{{status}}"),),
            text="400 and 404 are the callers' mistakes, 503 is too much at once, 500 is ours.",
        ),
        Panel(
            title="Requests by protocol",
            unit="reqps",
            queries=(Query(f"sum by (protocol) (rate(noria_requests_total{{{OF}}}{RATE}))", "{{protocol}}"),),
            stacked=True,
            text="Which protocols the callers speak.",
        ),
        Panel(
            title="Rows a second",
            unit="short",
            queries=(
                Query(f"sum by (deployment) (rate(noria_rows_total{{{OF}}}{RATE}))", "{{deployment}}"),
                Query(
                    f"sum(rate(noria_rows_total{{{OF}}}{RATE})) / sum(rate(noria_request_seconds_count{{{OF}}}{RATE}))",
                    "rows a request",
                ),
            ),
            text="Predictions; a request may have many.",
        ),
        Panel(
            title="Bytes",
            unit="Bps",
            queries=(
                Query(f"sum(rate(noria_request_bytes_total{{{OF}}}{RATE}))", "in"),
                Query(f"sum(rate(noria_response_bytes_total{{{OF}}}{RATE}))", "out"),
            ),
            text="Of requests for predictions and of their answers.",
        ),
        Panel(
            title="Values that training never saw",
            unit="short",
            queries=(
                Query(
                    f"sum by (deployment, version) (rate(noria_unseen_values_total{{{OF}}}{RATE}))"
                    f" / sum by (deployment, version) (rate(noria_rows_total{{{OF}}}{RATE}))",
                    "{{deployment}} v{{version}}",
                ),
            ),
            text="Text values a row that are in no category of the training data. They are answered; a jump is a change at the caller's.",
        ),
    ),
)
_LATENCY = Row(
    "Latency",
    (
        Panel(
            title="Latency",
            unit="s",
            queries=(Query(_quantile("0.5", ""), "p50"), Query(_quantile("0.9", ""), "p90"), Query(_quantile("0.99", ""), "p99")),
            text="Half of all requests, nine in ten, 99 in 100 are answered within.",
        ),
        Panel(
            title="99 % answered within, by version",
            unit="s",
            queries=(Query(_quantile("0.99", "deployment, version"), "{{deployment}} v{{version}}"),),
            text="A new version that is slower shows here first.",
        ),
        Panel(
            title="Distribution",
            kind="heatmap",
            unit="s",
            queries=(Query(f"sum by (le) (increase(noria_request_seconds_bucket{{{OF}}}{RATE}))", "{{le}}"),),
            text="How many requests took how long.",
        ),
    ),
)  # fmt: skip
_LOAD = Row(
    "Load and records",
    (
        Panel(
            title="Refused for too much load",
            unit="reqps",
            queries=(
                Query(
                    f"sum by (deployment, protocol) (rate(noria_requests_shed_total{{{OF}}}{RATE}))",
                    "{{deployment}} {{protocol}}",
                    seldom="nothing was refused",
                ),
            ),
            text="Add workers, or raise the limits of one: docs/how-to/serve-and-call.",
        ),
        Panel(
            title="Waiting for the prediction log",
            unit="percentunit",
            low=0,
            high=1,
            warn=0.5,
            bad=0.8,
            queries=(Query("noria_ring_rows / noria_ring_capacity_rows", "{{instance}}"),),
            text="How full the ring of records is. Full, records are dropped, or requests refused where they must be durable.",
        ),
        Panel(
            title="Records lost or repeated",
            unit="short",
            queries=(
                Query(f"rate(noria_log_rows_dropped_total{RATE})", "dropped {{instance}}"),
                Query(f"rate(noria_log_rows_refused_total{RATE})", "refused {{instance}}"),
                Query(f"rate(noria_log_failures_total{RATE})", "failed writes {{instance}}"),
            ),
            text="Anything above zero: look at the disk of the home.",
        ),
        Panel(
            title="Loading models",
            unit="s",
            queries=(
                Query(
                    "sum by (model) (noria_model_load_seconds_sum) / sum by (model) (noria_model_load_seconds_count)",
                    "{{model}}",
                ),
            ),
            text="Time to fetch, verify and load a bundle, on average.",
        ),
        Panel(
            title="Generation",
            queries=(Query("noria_generation", "{{deployment}} {{instance}}"),),
            text="What every process answers with. Workers that stay behind do not follow what is published.",
        ),
        Panel(
            title="Loads that failed",
            queries=(
                Query(
                    f"sum by (deployment) (noria_model_load_failures_total{{{OF}}})",
                    "{{deployment}}",
                    seldom="every generation could be loaded",
                ),
            ),
            text="The former generation goes on answering. See the worker's log, or GET /noria/status.",
        ),
    ),
)
_PROCESSES = Row(
    "Processes",
    (
        Panel(
            title="Processors",
            unit="short",
            queries=(
                Query(f"rate(process_cpu_seconds_total{{job=~'noria.*'}}{RATE})", "{{job}} {{instance}} {{pid}}"),
                Query("sum(noria_host_processors) by (instance)", "threshold {{instance}}"),
            ),
            text="Processors in use by each process. One that stays at 1 is a bottleneck: add workers; all far below are more than is needed.",
        ),
        Panel(
            title="Memory",
            unit="bytes",
            queries=(Query("process_resident_memory_bytes{job=~'noria.*'}", "{{job}} {{instance}} {{pid}}"),),
            text="Memory in RAM.",
        ),
        Panel(
            title="File descriptors",
            unit="percentunit",
            low=0,
            high=1,
            bad=0.9,
            queries=(
                Query("process_open_fds{job=~'noria.*'} / process_max_fds{job=~'noria.*'}", "{{job}} {{instance}} {{pid}}"),
            ),
            text="Share of the descriptors that may be open.",
        ),
    ),
)  # fmt: skip

SERVING = Dashboard(
    uid="noria-serving",
    title="Noria / Serving",
    text="What workers answer, how fast, and what becomes of the records.",
    variables=(Variable("deployment", "noria_generation", "deployment", "Deployment"),),
    rows=(_NOW, _TRAFFIC, _LATENCY, _LOAD, _PROCESSES),
)
