"""What watching says at GET /metrics: the numbers of the newest looks, the alerts that stand, what the ledger tells. Reads only. Called by measuring.

Families are made anew at each scrape, so what is over has no series left: no version that was replaced keeps its last evidence.
"""

from collections import Counter
from collections.abc import Sequence
from threading import Lock
from typing import get_args

from noria.app.workspace import Workspace
from noria.domain import events as e
from noria.domain.alert import Alert, DriftReport
from noria.domain.ids import AlertId
from noria.domain.ledger import Entry
from noria.domain.look import Look
from noria.domain.measurement import Family, Histogram, Labels
from noria.ports.ledger import Ledger

MOST_FEATURES = 50
"""Features of a deployment that have series of their own: those with the most evidence."""
MOST_IN_ALL = 5_000
"""Of many deployments each has fewer, at least three."""
AT_ONCE = 5_000
SHARES = ("0.5", "0.9", "0.99")

STATES: dict[type, str] = {
    e.AlertAcknowledged: "acknowledged",
    e.AlertSnoozed: "snoozed",
    e.AlertReopened: "open",
}
KINDS = tuple(each.__name__ for each in get_args(e.AnyEvent))

Samples = list[tuple[Labels, float | Histogram]]


class Told:
    """What the ledger has told so far: a fold that goes on where it stood, so a scrape reads only what is new."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._forget()

    def _forget(self) -> None:
        self._seq = 0
        self._kinds: Counter[str] = Counter(
            dict.fromkeys(KINDS, 0)
        )  # from 0, so that the first of a kind is an increase
        self._open: dict[AlertId, Alert] = {}
        self._states: dict[AlertId, str] = {}
        self._opened: Counter[tuple[str, ...]] = Counter()
        self._champions: dict[str, tuple[int, float]] = {}
        self._failed: Counter[tuple[str, ...]] = Counter()

    def families(self, ledger: Ledger) -> list[Family]:
        """Everything that stands in the ledger now."""
        with self._lock:
            if ledger.head().seq < self._seq:  # another ledger: an ephemeral workspace was emptied
                self._forget()
            while entries := ledger.read(after=self._seq, limit=AT_ONCE):
                for entry in entries:
                    self._take(entry)
                self._seq = entries[-1].seq
            return self._told()

    def _take(self, entry: Entry) -> None:
        event = entry.event
        self._kinds[e.kind_of(event)] += 1
        match event:
            case e.AlertOpened():
                self._open[event.alert.id] = event.alert
                self._states[event.alert.id] = "open"
                self._opened[event.deployment, event.alert.kind] += 1
            case e.AlertResolved():
                self._open.pop(event.alert_id, None)
            case e.AlertAcknowledged() | e.AlertSnoozed() | e.AlertReopened():
                self._states[event.alert_id] = STATES[type(event)]
            case e.RolloutPromoted():
                self._champions[event.deployment] = (event.number, entry.at.timestamp())
            case e.StageFailed():
                self._failed[event.stage, event.error_code] += 1
            case _:
                pass

    def _told(self) -> list[Family]:
        standing: Counter[tuple[str, ...]] = Counter(
            (a.deployment, a.kind, a.severity, self._states[a.id]) for a in self._open.values()
        )
        oldest = min((a.opened_at.timestamp() for a in self._open.values()), default=None)
        names = ("deployment", "kind", "severity", "state")
        numbers: Samples = [((("deployment", name),), float(n)) for name, (n, _) in sorted(self._champions.items())]
        since: Samples = [((("deployment", name),), at) for name, (_, at) in sorted(self._champions.items())]
        return [
            _counter(
                "noria_events_total",
                "Events in the ledger.",
                ("kind",),
                Counter({(k,): n for k, n in self._kinds.items()}),
            ),
            _counter("noria_alerts_opened_total", "Alerts that were opened.", names[:2], self._opened),
            _counter("noria_stage_failures_total", "Stages that failed for good.", ("stage", "code"), self._failed),
            Family("noria_alerts_open", "gauge", "Alerts that stand.", _samples(names, standing)),
            Family(
                "noria_alert_oldest_timestamp_seconds",
                "gauge",
                "When the oldest alert that stands was opened.",
                [] if oldest is None else [((), oldest)],
            ),
            Family("noria_champion_version", "gauge", "Number of the version that answers.", numbers),
            Family("noria_champion_timestamp_seconds", "gauge", "Since when it answers.", since),
        ]


def look_families(looks: Sequence[Look]) -> list[Family]:
    """The newest look at each deployment. Evidence is log10: above its threshold it alarms, above 0 it speaks for a change at all."""
    drift = [(look, side, report) for look in looks for side, report in _sides(look)]
    most = min(MOST_FEATURES, max(3, MOST_IN_ALL // max(1, len(looks))))
    features = [
        ((*_of(look), ("feature", each.feature)), each)
        for look, _, report in drift
        for each in sorted(report.features, key=lambda feature: -feature.evidence)[:most]
    ]
    judged = [(_of(look), look.quality) for look in looks]
    labels = [(_of(look), look.labels) for look in looks if look.labels is not None]
    delays = [((*k, ("share", q)), s) for k, n in labels for q, s in zip(SHARES, n.delay_s, strict=False)]
    findings = [((*_of(k), ("kind", kind)), float(n)) for k in looks for kind, n in sorted(k.findings.items())]
    families: list[tuple[str, str, Sequence[tuple[Labels, float | None]]]] = [
        ("noria_look_timestamp_seconds", "When the newest look was taken.", [(_of(k), k.at.timestamp()) for k in looks]),
        ("noria_look_windows", "Complete windows judged so far.", [(_of(k), float(k.windows)) for k in looks]),
        ("noria_drift_evidence", "Log10 of the evidence for drift.", [((*_of(k), ("side", s)), r.evidence) for k, s, r in drift]),
        ("noria_drift_threshold", "Log10 of the evidence that alarms.", [((*_of(k), ("side", s)), r.threshold) for k, s, r in drift]),
        ("noria_drift_rows", "Rows of the newest windows.", [((*_of(k), ("side", s)), float(r.rows)) for k, s, r in drift]),
        ("noria_feature_drift_evidence", "Log10 of the e-value of one feature.", [(k, f.evidence) for k, f in features]),
        ("noria_feature_drift_shift", "Largest shift of a cumulative share.", [(k, f.shift) for k, f in features]),
        ("noria_feature_drift_margin", "Largest shift that is allowed there.", [(k, f.margin) for k, f in features]),
        ("noria_feature_drift_psi", "Population stability index; shown, never deciding.", [(k, f.psi) for k, f in features]),
        ("noria_feature_drift_psi_noise", "What it stays under 19 times in 20 without drift.", [(k, f.psi_noise) for k, f in features]),
        ("noria_feature_drift_blamed", "Whether the feature is named as a cause.", [(k, float(f.blamed)) for k, f in features]),
        ("noria_decay_evidence", "Log10 of the evidence that answers got worse.", [(k, q.evidence) for k, q in judged]),
        ("noria_decay_threshold", "Log10 of the evidence that alarms.", [(k, q.threshold) for k, q in judged]),
        ("noria_quality_excess_loss", "Loss beyond what the scores expected, in nats, recent days.", [(k, q.excess) for k, q in judged]),
        ("noria_quality_excess_loss_low", "Lower confidence limit of it.", [(k, q.excess_low) for k, q in judged]),
        ("noria_quality_excess_loss_high", "Upper confidence limit of it.", [(k, q.excess_high) for k, q in judged]),
        ("noria_quality_bias", "Mean of label minus score, recent days.", [(k, q.bias) for k, q in judged if q.rows]),
        ("noria_quality_rows", "Labelled rows that were judged.", [(k, float(q.rows)) for k, q in judged]),
        ("noria_label_answers", "Answers whose labels were asked for.", [(k, float(n.answers)) for k, n in labels]),
        ("noria_label_coverage_ratio", "Share of them that has a label.", [(k, n.labelled / n.answers) for k, n in labels if n.answers]),
        ("noria_label_delay_seconds", "From answer to label: within this, so large a share of the labels comes.", delays),
        ("noria_data_findings", "Things wrong with the data, by kind.", findings),
    ]  # fmt: skip
    kept = [(name, text, [(k, v) for k, v in held if v is not None]) for name, text, held in families]
    return [Family(name, "gauge", text, list(samples)) for name, text, samples in kept if samples]


def watching_families(workspace: Workspace, told: Told) -> list[Family]:
    """All of it for one workspace."""
    return [*told.families(workspace.ledger), *look_families(workspace.looks.all())]


def _sides(look: Look) -> tuple[tuple[str, DriftReport], ...]:
    return ("inputs", look.inputs), ("prediction", look.prediction)


def _of(look: Look) -> Labels:
    return ("deployment", look.deployment), ("version", str(look.number))


def _counter(name: str, text: str, names: tuple[str, ...], held: Counter[tuple[str, ...]]) -> Family:
    return Family(name, "counter", text, _samples(names, held))


def _samples(names: tuple[str, ...], held: Counter[tuple[str, ...]]) -> Samples:
    return [(tuple(zip(names, key, strict=True)), float(count)) for key, count in sorted(held.items())]
