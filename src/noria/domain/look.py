"""A look: what watching saw of a deployment at one moment, in the numbers that decided. Taking one is loop/stages/watch; /metrics shows it.

A look is no decision: the ledger holds what came of it (`AlertOpened`, `AlertResolved`). Only the newest of a deployment is kept.
"""

from datetime import datetime

import msgspec

from noria.domain.alert import DriftReport
from noria.domain.deployment import Judged
from noria.domain.interval import Interval


class LabelState(msgspec.Struct, frozen=True, kw_only=True):
    """How far the labels of a deployment's answers have come. answers: those that were looked at; labelled: of them.

    delay_s: 50th, 90th and 99th percentile of the time from answer to label, in seconds; () while there is none.
    """

    answers: int
    labelled: int
    delay_s: tuple[float, ...] = ()


class QualityState(msgspec.Struct, frozen=True, kw_only=True):
    """The labelled answers, judged. evidence, threshold: log10; excess: loss beyond what the scores expected of themselves, in nats, with interval.

    bias: mean of label minus score. None: too few labelled days.
    """

    evidence: float
    threshold: float
    alarm: bool
    rows: int
    bias: float
    excess: float | None = None
    excess_low: float | None = None
    excess_high: float | None = None


class Look(msgspec.Struct, frozen=True, kw_only=True):
    """One look at one deployment. number: the champion's. inputs, prediction: the halves of the watch for drift. windows: complete ones so far."""

    deployment: str
    number: int
    at: datetime
    inputs: DriftReport
    prediction: DriftReport
    windows: int
    quality: QualityState
    labels: LabelState | None = None
    findings: dict[str, int] = {}
    """Things wrong with the data, by their kind."""


class RolloutLook(msgspec.Struct, frozen=True, kw_only=True):
    """What the evidence of a running rollout said at one moment: the points of the pages' curves. What came of it stands in the ledger.

    difference: challenger minus champion, log loss, as in the verdict. share: the challenger's part of the traffic then. Reasons are those of the
    newest look only.
    """

    at: datetime
    outcome: str
    reason: str = ""
    champion_labels: int
    challenger_labels: int
    difference: Interval | None = None
    objectives: tuple[Judged, ...] = ()
    step: int = 0
    share: float = 0.0
