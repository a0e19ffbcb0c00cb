"""How a model treats groups of people or things: rates of each group and its gaps to all others. Measuring is stats/fairness."""

import msgspec

from noria.domain.interval import Interval


class GroupRates(msgspec.Struct, frozen=True, kw_only=True):
    """One group. rows: answers; labelled: those whose outcome is known. rates: by measure; one that has no rows to stand on is left out."""

    group: str
    rows: int
    labelled: int
    rates: dict[str, Interval] = {}


class Gap(msgspec.Struct, frozen=True, kw_only=True):
    """One measure of one group minus the same measure of all other rows; limits corrected for all gaps of the report.

    sure: the interval excludes 0. beyond: it lies wholly outside the allowed gap. settled: it lies wholly inside. Neither of the two: too few rows to
    tell; rows_needed: about how many of this group it would take, 0 if the gap is so near the limit that nobody can say.
    """

    measure: str
    group: str
    gap: Interval
    allowed: float
    sure: bool
    beyond: bool
    settled: bool
    rows_needed: int = 0


class FairnessReport(msgspec.Struct, frozen=True, kw_only=True):
    """The groups of one column, and the gaps between them, the largest sure ones first.

    too_small: groups that are not judged, with their rows. ratio: lowest selection rate of a judged group over that of all others (the four-fifths
    rule looks at 0.8); ratio_group: which one. threshold: the score from which on a binary answer selects. level: of all gaps together.
    """

    column: str
    groups: tuple[GroupRates, ...]
    gaps: tuple[Gap, ...]
    level: float
    too_small: dict[str, int] = {}
    threshold: float | None = None
    ratio: Interval | None = None
    ratio_group: str = ""
    notes: tuple[str, ...] = ()
