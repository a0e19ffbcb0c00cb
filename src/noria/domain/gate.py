"""Gates: what a model must show before it may pass, and what it showed. Judging is evaluation/gates."""

from typing import Literal

import msgspec

from noria.domain.interval import Interval

GateKind = Literal[
    "absolute", "against_champion", "worst_slice", "calibration", "latency", "group_gap", "data_contract"
]


class Gate(msgspec.Struct, frozen=True, kw_only=True):
    """One condition. The whole interval counts: a gate passes only when the limit on the unfavourable side meets `limit`.

    metric: e.g. 'log_loss', 'auc', 'calibration_error', 'p99_ms'. better: which direction is good. slice_by: column, for 'worst_slice' and
    'group_gap'. For 'group_gap' the metric may also be 'selection_rate', 'true_positive_rate', 'false_positive_rate', 'precision' or
    'calibration', and the limit is the largest gap between any group and all other rows, whichever way.
    For 'data_contract' the metric is 'broken_share': of the rows that were gathered for the training, the share that broke an expectation; whatever
    the limit, it fails if columns or types are not those of the recipe, or if an expectation of severity 'refuse' failed.
    limit: absolute value, or for 'against_champion' and 'worst_slice' the largest tolerated worsening against the champion.
    minimum_rows: slices with fewer rows are not judged: too small a sample cannot show within the limit that nothing got worse.
    confidence: how sure it must be, one-sided, that the limit is met; the interval shown is the two-sided one with the same limit.
    """

    name: str
    kind: GateKind
    metric: str
    limit: float
    better: Literal["higher", "lower"]
    slice_by: str | None = None
    minimum_rows: int = 200
    confidence: float = 0.95


class GateResult(msgspec.Struct, frozen=True, kw_only=True):
    """What a gate found: the measured interval, the limit, and one sentence of evidence."""

    gate: Gate
    passed: bool
    measured: Interval
    champion: Interval | None = None
    slice_value: str | None = None
    evidence: str = ""


class DataContract(msgspec.Struct, frozen=True, kw_only=True):
    """What the rows of a training were held to, and what they were. rows: gathered, those that were set aside among them; broken: those that broke
    an expectation. differences, failed: in words, against the recipe's schema and expectations.
    """

    rows: int
    broken: int
    expectations: int
    differences: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()
    refused: bool = False
    """Whether an expectation of severity 'refuse' failed."""


class GateReport(msgspec.Struct, frozen=True, kw_only=True):
    """All gates of one challenger over one evaluation window."""

    results: tuple[GateResult, ...]
    rows: int
    since: str = ""
    until: str = ""

    @property
    def passed(self) -> bool:
        """Whether every gate passed; an empty report has not."""
        return bool(self.results) and all(r.passed for r in self.results)

    def failures(self) -> tuple[GateResult, ...]:
        """The gates that did not pass."""
        return tuple(r for r in self.results if not r.passed)
