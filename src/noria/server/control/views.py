"""What the REST API answers, where a noun of domain/ does not say it all. Plain values; made by the other files here, read by web/.

Numbers that may be NaN or infinite are `float | None`: JSON has no word for them.
"""

from datetime import datetime
from typing import Any, Literal

import msgspec

from noria.app.status import Need, State, Station
from noria.domain.alert import Alert
from noria.domain.bundle import Environment, Parity
from noria.domain.dataset import ExpectationResult
from noria.domain.deployment import Rollout, Variant
from noria.domain.gate import GateReport
from noria.domain.ledger import Break
from noria.domain.model import AliasMove, Field
from noria.domain.prediction import Scalar
from noria.domain.run import Artifact, CodeVersion, DatasetUse, ParamValue, RunStatus
from noria.registry.stable import PassedOver


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """The server lives; says for which project."""

    status: Literal["ok"]
    project: str
    version: str


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """An error: what happened, why, and one thing to do. id: names an unexpected error in the server's log."""

    code: str
    problem: str
    cause: str = ""
    remedy: str = ""
    retryable: bool = False
    id: str = ""


class EventView(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of the ledger, in words and in full. link: the page that shows what it is about."""

    seq: int
    id: str
    at: datetime
    actor: str
    kind: str
    sentence: str
    tone: State
    link: str = ""
    cause: str | None = None
    body: dict[str, Any] = {}


class EventsPage(msgspec.Struct, frozen=True, kw_only=True):
    """Entries in ascending order. head: seq of the newest entry, so that a reader knows how many it has not seen."""

    events: list[EventView]
    head: int


class ArmFigures(msgspec.Struct, frozen=True, kw_only=True):
    """How one way of looking after the model did. n: predictions with a known outcome."""

    log_loss: float | None = None
    auc: float | None = None
    calibration_error: float | None = None
    n: int = 0


class MonthFigures(msgspec.Struct, frozen=True, kw_only=True):
    """One month of the replayed year, by arm (`frozen`, `blind_recent`, `blind_all`, `noria`)."""

    month: str
    arms: dict[str, ArmFigures]


class ProgressView(msgspec.Struct, frozen=True, kw_only=True):
    """A demo that is still running: what it does, and how far the replayed clock has come."""

    step: str
    simulated_until: datetime | None = None
    months: list[MonthFigures] = []


class StatusView(msgspec.Struct, frozen=True, kw_only=True):
    """The loop on one screen."""

    project: str
    now: datetime
    turns: int
    """How often the loop has closed: promotions after the first."""
    stations: list[Station]
    needs_you: list[Need]
    what_changed: list[EventView]
    entries: int
    deployments: list[str]
    progress: ProgressView | None = None


class DatasetName(msgspec.Struct, frozen=True, kw_only=True):
    """A dataset version by its name, `flights v2`; the name is empty when its table is not here any more."""

    digest: str
    name: str


class RunRow(msgspec.Struct, frozen=True, kw_only=True):
    """A run in the list."""

    id: str
    name: str
    experiment: str
    status: RunStatus
    started_at: datetime
    seconds: float | None
    params: dict[str, ParamValue]
    metrics: dict[str, float | None]
    tags: dict[str, str]
    datasets: list[DatasetName]
    best: bool = False
    version: str = ""
    """`model/number` when this run became a version."""


class RunsPage(msgspec.Struct, frozen=True, kw_only=True):
    """A page of runs and how many there are altogether. primary: the metric that the list is about."""

    runs: list[RunRow]
    total: int
    limit: int
    offset: int
    primary: str
    better: Literal["higher", "lower"]
    experiments: list[str]
    metric_keys: list[str]


class DatasetRef(msgspec.Struct, frozen=True, kw_only=True):
    """A dataset version as others refer to it; without its table only the digest is known."""

    digest: str
    dataset: str = ""
    number: int = 0
    rows: int | None = None
    bytes_stored: int | None = None
    columns: int | None = None
    created_at: datetime | None = None
    since: datetime | None = None
    until: datetime | None = None
    source: str = ""
    expectations: list[ExpectationResult] = []
    quarantined: int = 0
    passed: bool | None = None


class RunName(msgspec.Struct, frozen=True, kw_only=True):
    """A run by its name."""

    id: str
    name: str
    status: RunStatus


class RunPage(msgspec.Struct, frozen=True, kw_only=True):
    """Everything known of one run. series: metrics with more than one point. causes: what led to it, oldest first.

    children: runs within it, the newest first, at most a hundred of children_total. artifact_root: where its files are below the files' own route.
    """

    id: str
    name: str
    experiment: str
    status: RunStatus
    started_at: datetime
    finished_at: datetime | None
    seconds: float | None
    params: dict[str, ParamValue]
    metrics: dict[str, float | None]
    series: list[str]
    tags: dict[str, str]
    artifacts: list[Artifact]
    datasets: list[DatasetRef]
    seed: int | None
    code: CodeVersion | None
    environment: Environment | None
    error: str
    parent: str | None
    parent_name: str
    causes: list[EventView]
    versions: list[str]
    user: str
    note: str
    artifact_root: str
    inputs: list[DatasetUse]
    children: list[RunName]
    children_total: int
    trashed_at: datetime | None


class MetricPoint(msgspec.Struct, frozen=True, kw_only=True):
    """One point of a series; value None: not a number, or infinite.

    low, high: of a stretch of points that ends with this one, the lowest and the highest number; None in a series that is given whole.
    """

    step: int
    at: datetime
    value: float | None
    low: float | None = None
    high: float | None = None


class MetricSeries(msgspec.Struct, frozen=True, kw_only=True):
    """A series: its points, or at most `limit` stretches of them by their last point and their extremes. raw: how many points there are."""

    key: str
    points: list[MetricPoint]
    raw: int


class VersionRow(msgspec.Struct, frozen=True, kw_only=True):
    """A version in the list. packaged: whether it has a bundle and can be served; one from outside has none."""

    model: str
    number: int
    version: str
    version_reason: str
    created_at: datetime
    run_id: str | None
    flavor: str
    packaged: bool
    gates_passed: int
    gates_total: int
    metrics: dict[str, float | None]
    aliases: list[str]
    deployed: list[str]


class ModelRow(msgspec.Struct, frozen=True, kw_only=True):
    """A model in the list, with its newest version, if there is one yet."""

    name: str
    versions: int
    champion: int | None
    newest: VersionRow | None
    description: str = ""
    tags: dict[str, str] = {}


class StableView(msgspec.Struct, frozen=True, kw_only=True):
    """The latest stable version by rule, None if there is none, and why. passed_over: what stands above it, highest first."""

    number: int | None
    version: str
    why: str
    passed_over: list[PassedOver]


class ModelView(msgspec.Struct, frozen=True, kw_only=True):
    """One model: versions, newest first, every move of its aliases, newest first, and which version is the latest stable one."""

    name: str
    versions: list[VersionRow]
    aliases: dict[str, int]
    alias_history: list[AliasMove]
    created_at: datetime
    updated_at: datetime
    description: str = ""
    tags: dict[str, str] = {}
    stable: StableView


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where a version answers now. weight: share of the traffic in [0, 1]."""

    deployment: str
    role: str
    weight: float


class BundleView(msgspec.Struct, frozen=True, kw_only=True):
    """What a version is served from."""

    digest: str
    flavor: str
    code_free: bool
    files: int
    size: int
    parity: Parity | None
    environment: Environment
    profile: str | None = None


class VersionPage(msgspec.Struct, frozen=True, kw_only=True):
    """One version with its lineage, gates, parity and history."""

    model: str
    number: int
    version: str
    version_reason: str
    created_at: datetime
    flavor: str
    description: str
    inputs: list[Field]
    outputs: list[Field]
    metrics: dict[str, float | None]
    params: dict[str, ParamValue]
    tags: dict[str, str]
    aliases: list[str]
    gates: GateReport | None
    run: RunRow | None
    datasets: list[DatasetRef]
    bundle: BundleView | None
    bundle_digest: str | None
    source: str
    user: str
    places: list[Place]
    alias_history: list[AliasMove]
    causes: list[EventView]


class DeploymentRow(msgspec.Struct, frozen=True, kw_only=True):
    """A deployment in the list. stopped: why a person stopped it, '' if nobody did."""

    name: str
    model: str
    generation: int
    updated_at: datetime
    variants: list[Variant]
    rollout: Rollout | None
    open_alerts: int
    rollouts: int
    stopped: str = ""


class Generation(msgspec.Struct, frozen=True, kw_only=True):
    """A past state of a deployment, in short."""

    generation: int
    at: datetime
    variants: list[Variant]


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """The demo's result: the same year under four ways of looking after the model.

    counts: of Noria's loop. retrainings: by each way. example_prediction: one to ask Why about.
    """

    year: dict[str, ArmFigures]
    months: list[MonthFigures]
    counts: dict[str, int]
    retrainings: dict[str, int]
    timings: dict[str, float]
    example_prediction: str


class DeploymentPage(msgspec.Struct, frozen=True, kw_only=True):
    """One deployment: what answers, every rollout with its verdict, its alerts, what the loop decided, and the demo's comparison if there is one."""

    name: str
    model: str
    generation: int
    updated_at: datetime
    sticky_by: str
    variants: list[Variant]
    rollout: Rollout | None
    rollouts: list[Rollout]
    generations: list[Generation]
    alerts: list[Alert]
    decisions: list[EventView]
    comparison: Comparison | None


class MonthQuality(msgspec.Struct, frozen=True, kw_only=True):
    """Realised quality of what was really answered in one month. predictions: answered; labelled: with a known outcome by now."""

    month: str
    predictions: int
    labelled: int
    log_loss: float | None
    auc: float | None
    calibration_error: float | None
    by_version: dict[str, int]


class QualityView(msgspec.Struct, frozen=True, kw_only=True):
    """Realised quality by month. output: the model's output that was scored. as_of: labels known by then count."""

    deployment: str
    output: str
    as_of: datetime
    months: list[MonthQuality]
    note: str = ""


class PredictionRow(msgspec.Struct, frozen=True, kw_only=True):
    """One prediction in the list."""

    prediction_id: str
    at: datetime
    variant: str
    model: str
    number: int
    latency_us: int
    protocol: str
    outputs: dict[str, Scalar]
    key: str | None = None


class PredictionsView(msgspec.Struct, frozen=True, kw_only=True):
    """The newest predictions of a deployment, newest first."""

    deployment: str
    predictions: list[PredictionRow]


class Recomputed(msgspec.Struct, frozen=True, kw_only=True):
    """The same request answered again by the same bundle. equal: every output of every row has the same bits; problem: why it could not be."""

    equal: bool
    outputs: dict[str, Scalar]
    problem: str = ""


class WhyView(msgspec.Struct, frozen=True, kw_only=True):
    """One prediction, walked back through the loop."""

    prediction_id: str
    asked_at: datetime
    protocol: str
    latency_us: int
    inputs: dict[str, Scalar]
    outputs: dict[str, Scalar]
    label: float | None
    label_at: datetime | None
    variant: str
    deployment: str
    generation: Generation
    rollout: Rollout | None
    model: str
    number: int
    version: str
    version_reason: str
    registered_at: datetime
    gates: GateReport | None
    champion_then: AliasMove | None
    bundle: BundleView
    run: RunPage
    datasets: list[DatasetRef]
    events: list[EventView]
    recomputed: Recomputed


class AuditView(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the ledger is what was written; where it is not, and how."""

    intact: bool
    rows: int
    head: str
    breaks: list[Break]


class SessionIn(msgspec.Struct, frozen=True, kw_only=True):
    """The server's key, given once by a person in a browser."""

    key: str


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """Whether this browser may read, and whether the server asks at all."""

    required: bool
    signed_in: bool
