"""Quality of answers: realised where labels are, estimated where they are not, and how good the estimates turned out. See monitoring/quality*."""

from datetime import datetime
from typing import Literal

import msgspec

from noria.domain.interval import Interval

Task = Literal["binary", "multiclass", "regression"]


class Arrival(msgspec.Struct, frozen=True, kw_only=True):
    """How labels come. answers: looked at; labelled: of them, by now. Delays are in seconds, from the answer to when its label was known.

    delay_s: quantiles (share, seconds) of the delay of all labels that will come, with answers that still wait counted as what they are: not yet
    labelled. A share that too few answers are old enough for is left out. final: share of answers that get a label in the end, as far as old answers
    tell. settled_s: age from which a stretch of answers has 95 % of the labels that it will get; None: not known yet. early: labels known before
    their prediction was asked for, which says that two clocks disagree.
    """

    answers: int
    labelled: int
    coverage: float
    delay_s: dict[str, float] = {}
    final: Interval | None = None
    settled_s: float | None = None
    early: int = 0


class Estimate(msgspec.Struct, frozen=True, kw_only=True):
    """What quality probably is where labels are missing. metrics: by name, with intervals; assumption: shown wherever the numbers are.

    learnt_from: labelled answers behind it. widened: by metric, a standard deviation that was added because earlier estimates missed by more than
    they said.
    """

    method: str
    assumption: str
    rows: int
    learnt_from: int
    metrics: dict[str, Interval]
    widened: dict[str, float] = {}
    reason: str = ""
    """Why there is none."""


class QualityWindow(msgspec.Struct, frozen=True, kw_only=True):
    """Quality of one version over a stretch of time. coverage: labelled share of its answers.

    realised: by metric, from the labels known by now; missing: why a metric is not there. estimate: as it was made when the stretch ended, with
    nothing that was known later. source: which of the two to believe. note: what to know before believing it.
    """

    since: datetime
    until: datetime
    answers: int
    labelled: int
    coverage: float
    realised: dict[str, Interval] = {}
    missing: dict[str, str] = {}
    estimate: Estimate | None = None
    source: Literal["realised", "estimated", "none"] = "none"
    note: str = ""

    def metric(self, name: str) -> Interval | None:
        """The value to believe, realised before estimated; None if there is neither."""
        estimated = self.estimate.metrics.get(name) if self.estimate else None
        return self.realised.get(name, estimated) if self.source == "realised" else estimated


class TrackRecord(msgspec.Struct, frozen=True, kw_only=True):
    """How estimates of one metric turned out once the labels were there.

    windows: how many can be compared. inside: of them, how many whose realised value lay in the interval (`level` says how many should). bias, error:
    mean and mean absolute difference, estimated minus realised. naive: mean absolute error of "as in the window before", which an estimate must beat.
    """

    metric: str
    windows: int
    inside: int
    level: float
    bias: float
    error: float
    naive: float | None = None

    @property
    def is_trusted(self) -> bool:
        """Whether at least five estimates can be compared and not many more missed than should: at most twice as many, and one."""
        return self.windows >= 5 and self.windows - self.inside <= 2 * (1 - self.level) * self.windows + 1


class QualityHistory(msgspec.Struct, frozen=True, kw_only=True):
    """Windows of one version in the order of time, and how good their estimates turned out, by metric. arrival: how its labels come."""

    task: Task
    windows: tuple[QualityWindow, ...]
    record: tuple[TrackRecord, ...]
    arrival: Arrival


class ConceptChange(msgspec.Struct, frozen=True, kw_only=True):
    """The mean loss of labelled answers changed. where: 'all', or 'column=value' of a group. since: when it probably began; seen_at: when the labels
    showed it. before, after: mean loss on both sides. worse: whether it rose. evidence: log10 of the likelihood ratio, judged against `threshold`.
    """

    where: str
    since: datetime
    seen_at: datetime
    before: Interval
    after: Interval
    worse: bool
    evidence: float
    labels: int
    """Labels from the change to when it was seen."""


class ConceptReport(msgspec.Struct, frozen=True, kw_only=True):
    """One look at losses in the order in which their labels came. alarm: a change for the worse stands, overall or in a group.

    inflation: how much more days differ than independent rows would, by which evidence was divided. watched: overall and the groups; left_out: groups
    with too few labels.
    """

    alarm: bool
    changes: tuple[ConceptChange, ...]
    labels: int
    inflation: float
    budget: str
    watched: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
