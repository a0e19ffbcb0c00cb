"""Decay by betting: does a model do worse on labelled days than it said itself, beyond its usual day-to-day wobble?

One number a day and side goes in (already standardised), one capital comes out. False alarms are counted over time, as in stats/sequential.
What is watched and how it is standardised is monitoring/quality. Called by monitoring/quality.

Source: Shiryaev-Roberts e-detector of Shin, Ramdas, Rinaldo 2024 with Bennett's inequality (Bennett 1962; Boucheron et al. 2013, theorem 2.9).
"""

from dataclasses import dataclass
from math import log

import numpy as np
from numpy.typing import ArrayLike

from noria.errors import InputInvalid
from noria.stats.checks import Floats

LARGEST_DAY = 2.0
LARGEST_OF_SUDDEN = 5.0
"""A day counts as at most so many standard deviations, for most bets and for those on a world that turned: one storm is no decay."""

BETS = (
    (0.1, LARGEST_DAY),
    (0.2, LARGEST_DAY),
    (0.4, LARGEST_DAY),
    (0.7, LARGEST_DAY),
    (0.3, LARGEST_OF_SUDDEN),
    (0.6, LARGEST_OF_SUDDEN),
)
"""Sizes of the bets per standard deviation, with the largest day of each; small ones find a slow decay, large ones a sudden one."""


@dataclass(frozen=True, eq=False)
class DecayState:
    """Log capital of each bet, shape (statistics, bets), and the number of days taken in."""

    log_capital: Floats
    days: int


def start_decay(statistics: int) -> DecayState:
    """No capital yet, for so many statistics watched side by side."""
    if statistics < 1:
        raise InputInvalid("at least one statistic must be watched")
    return DecayState(log_capital=np.full((statistics, len(BETS)), -np.inf), days=0)


def step_decay(state: DecayState, scores: ArrayLike, *, threshold: float) -> DecayState:
    """Take in one day: R <- (1 + R) * exp(bet * z - bound(bet)), for every statistic and bet.

    scores: shape (statistics,), (what happened - what the null allows) / standard deviation, NaN where a day says nothing. If the conditional mean is
    at most 0 and the conditional variance at most 1, whatever came before, the factor has an expectation of at most 1: Bennett's inequality for a
    variable cut off at its largest day (cutting off on the bad side only makes the mean smaller). threshold: as in sequential.step.
    """
    z = np.asarray(scores, dtype=np.float64)
    if z.shape != (state.log_capital.shape[0],):
        raise InputInvalid(f"{z.shape} scores for {state.log_capital.shape[0]} statistics")
    bets, largest = np.asarray(BETS).T
    bound = (np.exp(bets * largest) - 1 - bets * largest) / largest**2
    known = np.isfinite(z)[:, None]
    cut = np.minimum(np.where(known, z[:, None], 0.0), largest)
    growth = np.where(known, cut * bets - bound, 0.0)
    capital = np.logaddexp(0.0, state.log_capital) + growth
    ceiling = log(threshold) + log(capital.size) + log(10.0)
    return DecayState(log_capital=np.minimum(capital, ceiling), days=state.days + 1)


def decay_evidence(state: DecayState) -> float:
    """Log of the mean capital. An alarm above log(N) is false at most once in N days on average.

    >>> state = start_decay(1)
    >>> for _ in range(40): state = step_decay(state, [1.0], threshold=1000)
    >>> decay_evidence(state) > log(1000)
    True
    """
    return _log_mean(state.log_capital)


def decay_by_statistic(state: DecayState) -> Floats:
    """Log of the mean capital of each statistic: which of them speaks. Shape (statistics,)."""
    return np.asarray([_log_mean(row) for row in state.log_capital])


def _log_mean(logs: Floats) -> float:
    top = float(logs.max())
    if not np.isfinite(top):
        return top
    return top + log(float(np.mean(np.exp(logs - top))))
