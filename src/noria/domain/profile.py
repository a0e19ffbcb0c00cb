"""Reference profiles and window counts: additive histograms in the reference's bins. Making them is monitoring/profile."""

from datetime import datetime
from typing import Literal

import msgspec

from noria.domain.ids import Digest


class FeatureBins(msgspec.Struct, frozen=True, kw_only=True):
    """The bins of one feature and the reference's counts in them.

    Numbers: `cuts` (k-1 increasing cut points) make k bins, value <= cut falls left; text: `categories` (the most frequent) and one bin for all
    others. In both cases the last bin counts missing values. counts: shape (k+1,) reference counts.
    wobble: shape (k+1,), standard deviation between the reference's time windows of the cumulative share at each bin.
    """

    name: str
    kind: Literal["number", "text"]
    cuts: tuple[float, ...] = ()
    categories: tuple[str, ...] = ()
    counts: tuple[int, ...]
    wobble: tuple[float, ...] = ()
    importance: float = 0.0


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


class WindowCounts(msgspec.Struct, frozen=True, kw_only=True):
    """Counts of one window in a profile's bins; adding two of the same profile and variant gives the counts of both together."""

    deployment: str
    number: int
    profile: Digest
    since: datetime
    until: datetime
    rows: int
    counts: dict[str, tuple[int, ...]]
