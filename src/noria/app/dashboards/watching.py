"""The dashboard of watching: alerts that stand, evidence against its threshold, features, quality and labels. Told by server/control/watching."""

from noria.app.dashboards.panel import Dashboard, Panel, Query, Row, Variable

OF = '{deployment=~"$deployment"}'
CALM = "no alert stands"
UNLABELLED = "no two labelled days yet"

_NOW = Row(
    "Now",
    (
        Panel(
            title="Alerts that stand",
            kind="stat",
            width=4,
            height=5,
            warn=1,
            queries=(Query(f"sum(noria_alerts_open{OF}) or vector(0)", "alerts"),),
            text="`noria alerts` lists them; `noria why ID` explains one.",
        ),
        Panel(
            title="Pages that nobody took",
            kind="stat",
            width=4,
            height=5,
            bad=1,
            queries=(Query('sum(noria_alerts_open{severity="page",state="open"}) or vector(0)', "pages"),),
            text="Answers got worse, or nothing answers: somebody should look now.",
        ),
        Panel(
            title="Alerts",
            kind="table",
            width=8,
            height=5,
            queries=(Query(f"sum by (deployment, kind, severity, state) (noria_alerts_open{OF})", "how many", CALM),),
            text="By deployment, kind, severity and state.",
        ),
        Panel(
            title="Champion",
            kind="table",
            width=4,
            height=5,
            queries=(Query(f"sum by (deployment) (noria_champion_version{OF})", "version"),),
            text="The version that answers.",
        ),
        Panel(
            title="Its age",
            kind="stat",
            unit="s",
            width=4,
            height=5,
            queries=(Query(f"time() - noria_champion_timestamp_seconds{OF}", "{{deployment}}"),),
            text="How long it has been champion.",
        ),
    ),
)
_DRIFT = Row(
    "Drift",
    (
        Panel(
            title="Inputs: evidence for drift (log10)",
            width=12,
            queries=(
                Query('noria_drift_evidence{deployment=~"$deployment",side="inputs"}', "{{deployment}} v{{version}}"),
                Query('noria_drift_threshold{deployment=~"$deployment",side="inputs"}', "threshold {{deployment}}"),
            ),
            text="Above the dashed line it alarms; it is set by how many false alarms are allowed. Up by 1 is ten times the evidence.",
        ),
        Panel(
            title="Predictions: evidence for drift (log10)",
            width=12,
            queries=(
                Query('noria_drift_evidence{deployment=~"$deployment",side="prediction"}', "{{deployment}} v{{version}}"),
                Query('noria_drift_threshold{deployment=~"$deployment",side="prediction"}', "threshold {{deployment}}"),
            ),
            text="The same of the model's own answers.",
        ),
        Panel(
            title="Features by evidence (log10)",
            kind="bargauge",
            width=8,
            height=9,
            warn=0,
            bad=2,
            queries=(Query(f"topk(12, noria_feature_drift_evidence{OF})", "{{feature}}"),),
            text="Which features moved. Above 0 it is more likely moved than not; what is to blame is decided for all of them together.",
        ),
        Panel(
            title="Shift beyond what is allowed",
            width=8,
            height=9,
            queries=(
                Query(f"topk(8, noria_feature_drift_shift{OF} - noria_feature_drift_margin{OF})", "{{feature}}"),
            ),
            text="Largest shift of a cumulative share in the newest windows, less the margin learnt from the reference. Above 0: outside.",
        ),
        Panel(
            title="PSI over its noise",
            width=8,
            height=9,
            warn=1,
            queries=(Query(f"topk(8, noria_feature_drift_psi{OF} / (noria_feature_drift_psi_noise{OF} > 0))", "{{feature}}"),),
            text="Population stability index as a multiple of what it stays under 19 times in 20 without drift. Shown, never deciding.",
        ),
    ),
)  # fmt: skip
_QUALITY = Row(
    "Quality",
    (
        Panel(
            title="Answers got worse: evidence (log10)",
            queries=(
                Query(f"noria_decay_evidence{OF}", "{{deployment}} v{{version}}"),
                Query(f"noria_decay_threshold{OF}", "threshold {{deployment}}"),
            ),
            text="On labelled answers. Above the dashed line an alert pages.",
        ),
        Panel(
            title="Loss beyond what the scores expected (nats)",
            queries=(
                Query(f"noria_quality_excess_loss{OF}", "{{deployment}}", UNLABELLED),
                Query(f"noria_quality_excess_loss_low{OF}", "{{deployment}} low", UNLABELLED),
                Query(f"noria_quality_excess_loss_high{OF}", "{{deployment}} high", UNLABELLED),
            ),
            text="Recent labelled days with a 95 % interval. 0 is what a calibrated model has.",
        ),
        Panel(
            title="Bias: what happened less what was said",
            queries=(Query(f"noria_quality_bias{OF}", "{{deployment}} v{{version}}", UNLABELLED),),
            text="Mean of label minus score, recent labelled days.",
        ),
        Panel(
            title="Answers with a label",
            unit="percentunit",
            low=0,
            high=1,
            queries=(Query(f"noria_label_coverage_ratio{OF}", "{{deployment}}", "no answer is old enough"),),
            text="Coverage of the champion's answers. Where it falls, labels stay away: ask who sends them.",
        ),
        Panel(
            title="From answer to label",
            unit="s",
            queries=(Query(f"noria_label_delay_seconds{OF}", "{{deployment}} {{share}}", "no label has come yet"),),
            text="Half, nine in ten and 99 in 100 labels come within.",
        ),
        Panel(
            title="Labelled rows that were judged",
            queries=(Query(f"noria_quality_rows{OF}", "{{deployment}} v{{version}}"),),
            text="Since this version answers.",
        ),
    ),
)
_LOOKS = Row(
    "Looks and data",
    (
        Panel(
            title="Age of the newest look",
            unit="s",
            warn=900,
            bad=3600,
            queries=(Query(f"time() - noria_look_timestamp_seconds{OF}", "{{deployment}}"),),
            text="Nobody is watched by a loop that stands. See `noria status`, and the log of `noria up`.",
        ),
        Panel(
            title="Things wrong with the data",
            queries=(Query(f"noria_data_findings{OF}", "{{deployment}} {{kind}}", "the newest look found nothing to look at"),),
            text="Broken inputs by kind.",
        ),
        Panel(
            title="Alerts a day",
            kind="timeseries",
            queries=(
                Query(
                    f"sum by (deployment, kind) (increase(noria_alerts_opened_total{OF}[1d]))",
                    "{{deployment}} {{kind}}",
                    seldom="no alert was ever opened",
                ),
            ),
            text="How often somebody was told of something.",
        ),
    ),
)  # fmt: skip

WATCHING = Dashboard(
    uid="noria-watching",
    title="Noria / Watching",
    text="Drift, decay, labels and alerts, in the numbers that decided.",
    variables=(Variable("deployment", "noria_champion_version", "deployment", "Deployment"),),
    rows=(_NOW, _DRIFT, _QUALITY, _LOOKS),
)
