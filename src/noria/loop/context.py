"""What a stage may touch: ports, the clock, and the recipe of the deployment. Built by app/, held by loop/stages."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from noria.domain.dataset import Expectation, Schema
from noria.domain.deployment import CanaryPlan
from noria.domain.events import AnyEvent
from noria.domain.gate import Gate
from noria.domain.ids import Digest, EventId
from noria.domain.ledger import Cursor
from noria.domain.look import Look
from noria.domain.pipeline import StepResult
from noria.domain.policy import Policy
from noria.domain.run import ParamValue
from noria.domain.trigger import TriggerRule
from noria.errors import NotFound
from noria.ports.blobs import BlobStore
from noria.ports.clock import Clock
from noria.ports.counts import CountStore
from noria.ports.deployments import DeploymentStore
from noria.ports.executor import Executor
from noria.ports.flavor import Flavor
from noria.ports.journal import StepJournal
from noria.ports.ledger import Ledger
from noria.ports.models import ModelStore
from noria.ports.predictions import PredictionLog
from noria.ports.runs import RunStore
from noria.ports.tables import TableStore


class Estimator(Protocol):
    """What a candidate makes: scikit-learn's two methods. X is a polars DataFrame with the recipe's features as columns."""

    def fit(self, x: Any, y: Any, /) -> Any:
        """Learn."""
        ...

    def predict_proba(self, x: Any, /) -> Any:
        """Probabilities, shape (n, 2); column 1 is the positive class."""
        ...


class Featured(Protocol):
    """What names the inputs of a model, in order: a recipe does."""

    @property
    def features(self) -> tuple[str, ...]:
        """Names of columns."""
        ...


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """One way to learn: a name that stands for the architecture, its hyper-parameters, and how to make the estimator.

    make: takes the params and a seed. fit_weights: name under which `fit` takes sample weights (for a pipeline `model__sample_weight`).
    """

    name: str
    params: Mapping[str, ParamValue]
    make: Callable[[Mapping[str, ParamValue], int], Estimator]
    fit_weights: str = "sample_weight"


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Everything that a project declares about one deployment of a binary classifier over a table.

    base: digest of the labelled table to begin with; its columns are time, known, label and the features. Later rows come from the prediction
    log: what was served is what is learnt from. time: when the prediction is asked for. known: when the label was known. output: the model's output
    that holds the probability of the positive class. slices: text features whose groups must not be left behind.
    groups: features, or crossings of them ('sex+age'), whose groups are to be treated alike: once a week selection, true and false positive rates,
    precision and calibration of each are compared with all others'; a gap that surely exceeds `allowed_gap` opens an alert.
    fits_at_once: so many fits of one back-test run side by side, on threads (2 at most): say more than 1 if the candidates' code bears that.
    """

    deployment: str
    model: str
    base: Digest
    schema: Schema
    features: tuple[str, ...]
    candidates: Mapping[str, Candidate]
    gates: tuple[Gate, ...]
    policy: Policy = field(default_factory=Policy)
    canary: CanaryPlan = field(default_factory=CanaryPlan)
    expectations: tuple[Expectation, ...] = ()
    slices: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    allowed_gap: float = 0.1
    time: str = "at"
    known: str = "known_at"
    label: str = "label"
    output: str = "probability"
    approval: str = "gates"
    seed: int = 0
    fits_at_once: int = 1
    false_page_days: float = 365.0
    """At most one false page in this many days, on average."""
    triggers: tuple[TriggerRule, ...] = ()
    """What besides alarms may ask for a training."""


@dataclass(frozen=True, kw_only=True)
class Context:
    """The stores, the clock and the recipes by deployment. on_step hears of each pipeline step, for progress on a terminal; on_look of each look."""

    project: str
    home: Path
    clock: Clock
    ledger: Ledger
    runs: RunStore
    models: ModelStore
    deployments: DeploymentStore
    journal: StepJournal
    counts: CountStore
    blobs: BlobStore
    tables: TableStore
    predictions: PredictionLog
    executor: Executor
    flavors: Mapping[str, Flavor]
    recipes: Mapping[str, Recipe]
    on_step: Callable[[StepResult], None] = field(default=lambda _: None)
    on_look: Callable[[Look], None] = field(default=lambda _: None)

    def recipe(self, deployment: str) -> Recipe:
        """The recipe of a deployment. Raises NotFound when this process was not given one."""
        try:
            return self.recipes[deployment]
        except KeyError:
            raise NotFound.of(
                "recipe for deployment",
                deployment,
                sorted(self.recipes),
                remedy="name it in noria.toml: recipe = 'pipeline.py:recipe'",
            ) from None


@dataclass(frozen=True, kw_only=True)
class Timed:
    """An event that the clock brought. key: the same key is the same event, however often the clock strikes.

    advance: a cursor that moves in the transaction that writes this event and those before it.
    """

    key: str
    event: AnyEvent
    cause: EventId | None = None
    advance: Cursor | None = None
