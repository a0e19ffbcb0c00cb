"""What is known of a running rollout, as plain numbers: what verdict and bandit judge. Pure. Gathered by loop/stages/rollout_facts."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np

Floats: TypeAlias = "np.ndarray[Any, np.dtype[np.float64]]"


def _none() -> Floats:
    return np.zeros(0)


@dataclass(frozen=True, kw_only=True)
class Tally:
    """So many of so many requests."""

    hits: int = 0
    rows: int = 0


@dataclass(frozen=True, kw_only=True)
class Beside:
    """The same tally of champion and challenger."""

    champion: Tally = field(default_factory=Tally)
    challenger: Tally = field(default_factory=Tally)


@dataclass(frozen=True, kw_only=True)
class Sample:
    """What says how much the challenger loses against the champion.

    scores: shape (n,), in the order of time; their mean is the loss of the challenger minus that of the champion. Either stats/arms makes one of each
    request that fell to an arm, or (`paired`) it is the difference on each row that both answered. champion_rows, challenger_rows: rows behind it.
    """

    scores: Floats = field(default_factory=_none)
    paired: bool = False
    champion_rows: int = 0
    challenger_rows: int = 0

    @property
    def fewest(self) -> int:
        """Rows of the arm that has fewer."""
        return min(self.champion_rows, self.challenger_rows)


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """Everything since the start, without requests whose caller named the variant.

    quality: log loss. failures: requests that ended without an answer. slow: by threshold in ms, requests that took longer. disagreement: absolute
    difference of both answers to the same row, in the order of time. business: by metric; its scores are turned so that more is worse.
    step_requests, step_labels: of the challenger, since the present step of the schedule began. arms: mean loss and its standard error of champion
    and challenger, for a bandit.
    """

    quality: Sample = field(default_factory=Sample)
    failures: Beside = field(default_factory=Beside)
    slow: Mapping[float, Beside] = field(default_factory=dict)
    disagreement: Floats = field(default_factory=_none)
    business: Mapping[str, Sample] = field(default_factory=dict)
    step_requests: int = 0
    step_labels: int = 0
    arms: tuple[tuple[float, float], tuple[float, float]] | None = None
