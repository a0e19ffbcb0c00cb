"""Reference profiles and window counts: additive histograms in the reference's bins. Making them is monitoring/profile."""

from datetime import datetime
from math import sqrt
from typing import Literal

import msgspec

from noria.domain.ids import Digest


class Moments(msgspec.Struct, frozen=True, array_like=True):
    """Sums over the finite values of a number in one window; adding two windows adds all but `low` and `high`.

    n: finite values. total, squares: sums of (value - centre) and of its square, about the `centre` of the feature's bins, so that numbers far
    from zero keep their digits. low, high: smallest and largest finite value, 0 for n = 0. infinite: values that are an infinity.
    """

    n: int
    total: float
    squares: float
    low: float
    high: float
    infinite: int = 0

    def mean(self, centre: float) -> float | None:
        """Mean of the finite values; None where there is none."""
        return centre + self.total / self.n if self.n else None

    def sd(self) -> float | None:
        """Standard deviation of the finite values; None below two."""
        if self.n < 2:
            return None
        return sqrt(max(0.0, (self.squares - self.total / self.n * self.total) / (self.n - 1)))


class Wobble(msgspec.Struct, frozen=True, kw_only=True):
    """How what is watched of one feature moved between windows of the reference while nothing was wrong. Learnt by stats/wobble.

    What is watched: of a number the cumulative share at each bin, and last the mean of its normal scores (its place, in standard deviations); of a
    text the share of each bin. spread: standard deviation between windows beyond sampling and season, upper confidence bound, one a statistic.
    error: standard error that this leaves in the reference's own means. persistence: neighbouring windows resemble each other; so many count as
    one. windows: how many were seen. season: usual distance from the mean, one row for each part of `period_s` seconds from 1970 on; () for none.
    """

    spread: tuple[float, ...]
    error: tuple[float, ...]
    persistence: float = 1.0
    windows: int = 0
    period_s: int = 0
    season: tuple[tuple[float, ...], ...] = ()


class FeatureBins(msgspec.Struct, frozen=True, kw_only=True):
    """The bins of one feature and the reference's counts in them.

    Numbers: `cuts` (k-1 increasing cut points) make k bins, value <= cut falls left; the first and the last of them lie below and above everything
    that the reference held. Text: `categories` (the most frequent), one bin for all other values that the reference held, and one for values that it
    did not (profiles of before have no such bin). In both cases the last bin counts missing values. counts: shape (k+1,) reference counts; a value
    that occurs in one of its windows only counts as unseen there, for so it was when it came.
    wobble: shape (k+1,), standard deviation between the reference's time windows of the cumulative share at each bin.
    """

    name: str
    kind: Literal["number", "text"]
    cuts: tuple[float, ...] = ()
    categories: tuple[str, ...] = ()
    counts: tuple[int, ...]
    wobble: tuple[float, ...] = ()
    importance: float = 0.0
    known: bytes = b""
    """Text: sorted 32-bit digests, little-endian, of the reference's values that have no bin of their own (the most frequent 16,384)."""
    centre: float = 0.0
    """Numbers: what moments are taken about."""
    moments: Moments | None = None
    """Numbers: the reference's own; None in profiles of before."""
    common: float = 0.0
    """Share of the most frequent value among those that are not missing; 0: not known."""
    steady: float = 0.0
    """Share of the reference's windows in which every value was the same: 1 for the month in windows of a day."""
    varies: Wobble | None = None
    """What drift is judged by; None in profiles of before, which have `wobble` only."""

    @property
    def has_unseen(self) -> bool:
        """Whether values that the reference did not hold have a bin: text, in profiles made since there is one."""
        return self.kind == "text" and len(self.counts) == len(self.categories) + 3


class ReferenceProfile(msgspec.Struct, frozen=True, kw_only=True):
    """What the model saw when it learnt: per feature, and for its own scores. rows: size of the reference."""

    features: tuple[FeatureBins, ...]
    rows: int
    since: datetime
    until: datetime
    expected_loss: float
    """Log loss on the hold-out at training time."""
    expected_loss_sd: float
    """Standard deviation of that loss between days of the hold-out."""
    expected_excess: float = 0.0
    """Mean of loss minus the loss that the scores expected of themselves (their entropy) on the hold-out; 0 for a calibrated model."""
    expected_excess_sd: float = 0.0
    """Its standard deviation between days, upper confidence bound; 0: not known."""
    expected_bias: float = 0.0
    """Mean of label minus score on the hold-out."""
    expected_bias_sd: float = 0.0
    """Its standard deviation between days, upper confidence bound; 0: not known."""
    windows: int = 0
    """Number of windows that the wobble was measured on."""
    window_seconds: float = 86400.0
    """Length of such a window; drift is judged on windows at least this long."""
    duplicates: float = 0.0
    """Share of rows that repeat another row of the same window, input by input."""
    hours: tuple[float, ...] = ()
    """Rows an hour, for each of the 168 hours of a week from Monday 00:00 UTC; () where the times of the rows were not known."""


class WindowCounts(msgspec.Struct, frozen=True, kw_only=True):
    """Counts of one window in a profile's bins; adding two of the same profile and variant gives the counts of both together.

    since, until: the stretch that was counted; until is earlier than since + step while the window still fills. step: seconds of the tier it stands
    in (60, 3600, 86400: minutes, hours, days of UTC), 0 for a window of any length. moments: of inputs that are numbers, and of the score.
    duplicates: rows that repeat another one of this window; None where nobody looked. mistyped: input -> rows of another type than the reference's
    (a number that came as text was read where it could be). absent, surplus: inputs that the table lacked, and columns nobody expected.
    """

    deployment: str
    number: int
    profile: Digest
    since: datetime
    until: datetime
    rows: int
    counts: dict[str, tuple[int, ...]]
    step: int = 0
    moments: dict[str, Moments] = {}
    duplicates: int | None = None
    mistyped: dict[str, int] = {}
    absent: tuple[str, ...] = ()
    surplus: tuple[str, ...] = ()
