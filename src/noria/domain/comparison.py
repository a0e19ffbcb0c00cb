"""What comparing two tables found: the verdict first, then why, then the numbers. Finding it, and showing it, is noria.monitor."""

from datetime import datetime
from typing import Literal

import msgspec

from noria.domain.finding import Finding
from noria.domain.interval import Interval

Role = Literal["input", "prediction", "label"]
FORMAT = "noria-comparison-1"


class TableFacts(msgspec.Struct, frozen=True, kw_only=True):
    """How large a table is, and which time it covers if it says so."""

    rows: int
    columns: int
    since: datetime | None = None
    until: datetime | None = None


class ColumnReport(msgspec.Struct, frozen=True, kw_only=True):
    """How one column moved. says: in words. evidence: log10 of its e-value; blamed: named as a cause under the budget.

    shift: of the share that is farthest out, margin: how far it may. psi, js, ks, wasserstein (in standard deviations of the reference; None for
    texts): shown, deciding nothing, each with what it stays under 19 times in 20 without drift.
    reference, current: rows in each bin, in the reference's bins: `cuts` or `categories`, then (texts) others and values that
    the reference did not hold, then missing.
    """

    name: str
    role: Role
    kind: Literal["number", "text"]
    says: str
    blamed: bool
    evidence: float
    shift: float
    margin: float
    psi: float
    psi_noise: float
    js: float = 0.0
    js_noise: float = 0.0
    ks: float = 0.0
    ks_noise: float = 0.0
    wasserstein: float | None = None
    wasserstein_noise: float | None = None
    importance: float
    cuts: tuple[float, ...] = ()
    categories: tuple[str, ...] = ()
    reference: tuple[int, ...]
    current: tuple[int, ...]


class Judged(msgspec.Struct, frozen=True, kw_only=True):
    """Evidence against "nothing moved beyond its margin", and what it takes for an alarm; both log10."""

    alarm: bool
    evidence: float
    threshold: float


class Measure(msgspec.Struct, frozen=True, kw_only=True):
    """One measure of quality on the labelled rows of both tables. None: cannot be computed, `reason` says why."""

    name: str
    better: Literal["lower", "higher"]
    reference: Interval | None
    current: Interval | None
    reason: str = ""


class Quality(msgspec.Struct, frozen=True, kw_only=True):
    """Whether answers got worse. change: mean loss now minus then, with the interval that decides; allowed: what it may rise by.

    loss: which one. expected: by how much the scores themselves expected the loss to change, if they are probabilities.
    estimated: where the current table has no labels: the loss that its scores expect, under `assumption`.
    """

    task: Literal["probability", "classes", "number"]
    loss: str
    alarm: bool
    says: str
    labelled_reference: int
    labelled_current: int
    change: Interval | None = None
    allowed: float = 0.0
    expected: float | None = None
    measures: tuple[Measure, ...] = ()
    estimated: Interval | None = None
    assumption: str = ""


class Moment(msgspec.Struct, frozen=True, kw_only=True):
    """The evidence after one piece of the current table. at: when the piece begins; None where there is no time."""

    at: datetime | None
    rows: int
    inputs: float
    prediction: float | None = None


class Compared(msgspec.Struct, frozen=True, kw_only=True):
    """The result of comparing two tables.

    verdict: 'alarm' when anything moved, broke or got worse beyond what the budget allows. headline: one sentence; reasons: one each, worst first.
    notes: what the reader should know of how it was judged. course: how the evidence grew over the current table.
    """

    format: str = FORMAT
    verdict: Literal["fine", "alarm"]
    headline: str
    reasons: tuple[str, ...]
    budget: str
    reference: TableFacts
    current: TableFacts
    inputs: Judged
    prediction: Judged | None
    quality: Quality | None
    findings: tuple[Finding, ...]
    columns: tuple[ColumnReport, ...]
    notes: tuple[str, ...]
    course: tuple[Moment, ...]
    window: str
