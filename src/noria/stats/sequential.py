"""Drift by betting: a sequential test on cumulative bin counts whose false alarms are counted over time, not per look.

At each cut point and on each side it bets against "the share left of the cut is within a margin of the reference's"; if that holds the expected
capital never grows, whatever the batch sizes and however the features depend on each other. No raw rows, one vectorised step.
Labelled quality is stats/decay; two arms are stats/anytime. Called by monitoring/drift.

Source: Shin, Ramdas, Rinaldo 2024, "E-detectors" (Shiryaev-Roberts form); Waudby-Smith and Ramdas 2024 (betting); Wang and Ramdas 2022 (e-BH).
"""

from dataclasses import dataclass
from math import log

import numpy as np
from numpy.typing import ArrayLike, NDArray

from noria.errors import BinMismatch, InputInvalid
from noria.stats.checks import Floats
from noria.stats.quantiles import chi_square_quantile

EFFECTS = (0.02, 0.05, 0.1, 0.2)
"""Shifts of a cumulative share, beyond the margin, that the bets are sized for; the capital is spread evenly over them."""

LARGEST_BET = log(1000.0)
"""One window multiplies a bet by at most 1000, so that a single freak day cannot raise an alarm; cutting gains keeps the guarantee."""

MARGIN_FLOOR = 0.01
"""The smallest shift of a cumulative share that is worth an alarm."""


def margin_of(
    share: ArrayLike, rows: ArrayLike, wobble: ArrayLike, *, windows: int, floor: float = MARGIN_FLOOR
) -> Floats:
    """How far a cumulative share may stray from the reference's before that counts as drift.

    share: reference's cumulative shares. rows: size of the reference (broadcast). wobble: standard deviation of the share between its windows.
    windows: how many windows the wobble was measured on. Result: max(floor, 3 * sqrt(wobble^2 (1 + 1/windows) + share (1-share) / rows)):
    the wobble itself, the error of the reference's mean over its windows, and its sampling error. Raises InputInvalid.

    >>> margin_of([0.5], [100_000], [0.02], windows=60).round(4).tolist()
    [0.0607]
    """
    f, n, w = (
        np.asarray(share, dtype=np.float64),
        np.asarray(rows, dtype=np.float64),
        np.asarray(wobble, dtype=np.float64),
    )
    if (n <= 0).any() or (w < 0).any():
        raise InputInvalid("a margin needs a reference with rows and a wobble of at least 0")
    between = w**2 * (1 + 1 / max(windows, 1))
    return np.asarray(np.maximum(floor, 3 * np.sqrt(between + f * (1 - f) / n)))


def wobble_of(counts: ArrayLike) -> Floats:
    """Standard deviation between windows of the cumulative shares, without the part that sampling alone explains, made safe for few windows.

    counts: shape (windows, k). Result: shape (k,), zeros for fewer than two windows. The variance left after subtracting the mean binomial
    variance is replaced by its upper 80 % confidence bound (chi-square with windows - 1 degrees): an estimate from ten windows is often far too low.

    >>> wobble_of([[50, 50], [50, 50], [50, 50]]).tolist()
    [0.0, 0.0]
    """
    table = np.asarray(counts, dtype=np.float64)
    rows = table.sum(axis=1)
    table, rows = table[rows > 0], rows[rows > 0]
    if table.shape[0] < 2:
        return np.zeros(table.shape[1])
    share = np.cumsum(table, axis=1) / rows[:, None]
    degrees = table.shape[0] - 1
    mean = share.mean(axis=0)
    sampling = (mean * (1 - mean))[None, :] / rows[:, None]
    between = np.maximum(0.0, share.var(axis=0, ddof=1) - sampling.mean(axis=0))
    lower = chi_square_quantile(0.2, degrees) if degrees >= 3 else degrees * 0.1
    return np.asarray(np.sqrt(between * degrees / lower))


@dataclass(frozen=True, eq=False)
class Panel:
    """The fixed half of a test: what is bet on. Built once for a reference by `panel`.

    bins: how many bins each feature has, shape (features,). log_gain, log_loss: what a row left, or right, of a cut multiplies the capital by,
    shape (features, cuts, 2, effects); 0 where no bet is possible. weights: share of the capital a feature gets, shape (features,), sums to 1.
    """

    bins: NDArray[np.int64]
    margins: Floats
    log_gain: Floats
    log_loss: Floats
    weights: Floats

    @property
    def width(self) -> int:
        """Columns of a padded count table: the largest number of bins."""
        return int(self.bins.max())


@dataclass(frozen=True, eq=False)
class State:
    """The moving half: log of the Shiryaev-Roberts capital of each bet, shape (features, cuts, 2, effects), and the number of steps taken."""

    log_capital: Floats
    steps: int


def panel(
    reference: ArrayLike,
    margins: ArrayLike,
    *,
    bins: ArrayLike,
    weights: ArrayLike | None = None,
    effects: tuple[float, ...] = EFFECTS,
) -> Panel:
    """Lay out the bets for a reference.

    reference: counts, shape (features, k), features with fewer than k bins padded with zeros on the right. margins: of the cumulative shares, same
    shape. bins: number of real bins of each feature. weights: how the capital is spread over the features (default: evenly).
    Raises BinMismatch or InputInvalid.
    """
    counts, allowed = np.asarray(reference, dtype=np.float64), np.asarray(margins, dtype=np.float64)
    sizes = np.asarray(bins, dtype=np.int64)
    if counts.ndim != 2 or counts.shape != allowed.shape or sizes.shape != (counts.shape[0],):
        raise BinMismatch(
            f"reference {counts.shape}, margins {allowed.shape} and bins {sizes.shape} do not fit together"
        )
    if counts.shape[0] == 0 or (counts.sum(axis=1) <= 0).any():
        raise InputInvalid("every feature of a reference needs at least one counted row")
    spread = np.ones(counts.shape[0]) if weights is None else np.asarray(weights, dtype=np.float64)
    if spread.shape != sizes.shape or (spread < 0).any() or spread.sum() <= 0:
        raise InputInvalid("weights must be one non-negative number a feature, not all 0")
    share = np.cumsum(counts, axis=1) / counts.sum(axis=1, keepdims=True)
    # Two sides as one test: more rows left of the cut than allowed, or more rows right of it.
    null = np.stack([share + allowed, 1 - share + allowed], axis=2)[..., None]
    bet = null + np.asarray(effects)
    cut = np.arange(counts.shape[1])[None, :] < (sizes - 1)[:, None]
    possible = cut[:, :, None, None] & (bet < 1 - 1e-6)
    null, bet = np.where(possible, null, 0.5), np.where(possible, bet, 0.5)
    inside, outside = np.log(bet / null), np.log((1 - bet) / (1 - null))
    gain = np.stack([inside[:, :, 0], outside[:, :, 1]], axis=2)
    loss = np.stack([outside[:, :, 0], inside[:, :, 1]], axis=2)
    return Panel(bins=sizes, margins=allowed, log_gain=gain, log_loss=loss, weights=spread / spread.sum())


def start(bets: Panel) -> State:
    """No capital yet: the first step puts one unit on every bet."""
    return State(log_capital=np.full(bets.log_gain.shape, -np.inf), steps=0)


def step(bets: Panel, state: State, counts: ArrayLike, *, threshold: float) -> State:
    """Take in one window: R <- (1 + R) * e, for every bet at once.

    counts: shape (features, k), padded like the reference; features may have different numbers of rows, also none. threshold: the run length the
    test is used with; capital beyond 1000 times what an alarm needs is dropped, so that an alarm ends soon after its drift (it can only lower it).
    Raises BinMismatch.
    """
    table = np.asarray(counts, dtype=np.float64)
    if table.shape != bets.log_gain.shape[:2]:
        raise BinMismatch(f"counts have shape {table.shape}, the reference {bets.log_gain.shape[:2]}")
    left = np.cumsum(table, axis=1)[:, :, None, None]
    right = table.sum(axis=1)[:, None, None, None] - left
    growth = np.minimum(left * bets.log_gain + right * bets.log_loss, LARGEST_BET)
    capital = np.logaddexp(0.0, state.log_capital) + growth
    ceiling = log(threshold) + log(capital.size) + log(1000.0)
    return State(log_capital=np.minimum(capital, ceiling), steps=state.steps + 1)


def feature_capital(bets: Panel, state: State) -> Floats:
    """Log of each feature's mean capital over its cuts, sides and effects (bets that are not possible hold idle capital). Shape (features,)."""
    used = np.maximum(bets.bins - 1, 1) * state.log_capital.shape[2] * state.log_capital.shape[3]
    cut = np.arange(state.log_capital.shape[1])[None, :] < (bets.bins - 1)[:, None]
    held = np.where(cut[:, :, None, None], state.log_capital, -np.inf).reshape(bets.bins.size, -1)
    top = held.max(axis=1)
    safe = np.where(np.isfinite(top), top, 0.0)
    with np.errstate(divide="ignore"):
        return np.asarray(safe + np.log(np.exp(held - safe[:, None]).sum(axis=1)) - np.log(used))


def log_evidence(bets: Panel, state: State) -> float:
    """Log of the weighted mean capital over the features. An alarm at `log_evidence > log(N)` is false at most once in N steps on average."""
    capital = feature_capital(bets, state)
    with np.errstate(divide="ignore"):
        terms = capital + np.log(bets.weights)
    top = float(terms.max())
    return top if not np.isfinite(top) else top + float(np.log(np.exp(terms - top).sum()))


def log_e_values(bets: Panel, state: State) -> Floats:
    """Log of each feature's e-value: its capital over the number of steps (the mean over possible starts of the drift). Shape (features,).

    At a fixed step its expectation is at most 1 for a feature within its margin; at the moment of an alarm it is a guide, not a guarantee.
    """
    return np.asarray(feature_capital(bets, state) - log(max(state.steps, 1)))


def e_benjamini_hochberg(log_values: ArrayLike, *, level: float = 0.05) -> NDArray[np.bool_]:
    """Which of K hypotheses to reject so that at most a share `level` of the rejected are false on average, under any dependence.

    log_values: natural logs of e-values, shape (K,). Rejects the k largest for the largest k with k-th e-value >= K / (k level).
    Source: Wang and Ramdas 2022.

    >>> e_benjamini_hochberg([9.0, 0.0, 8.0]).tolist()
    [True, False, True]
    """
    values = np.asarray(log_values, dtype=np.float64)
    order = np.argsort(-values, kind="stable")
    ranks = np.arange(1, values.size + 1)
    passed = np.flatnonzero(values[order] >= np.log(values.size / (ranks * level)))
    rejected = np.zeros(values.size, dtype=bool)
    if passed.size:
        rejected[order[: passed[-1] + 1]] = True
    return rejected


def excess_share_log_e(failures: int, rows: int, limit: float) -> float:
    """Log e-value against "the share of failures is at most `limit`" after `rows` rows; valid at every look (alarm above log(1/level)).

    The mixture is over eight shares above the limit, spaced by ratio. Raises InputInvalid for a limit outside (0, 1) or impossible counts.

    >>> excess_share_log_e(30, 300, 0.01) > 20, excess_share_log_e(3, 300, 0.01) < 1
    (True, True)
    """
    if not 0 < limit < 1 or not 0 <= failures <= rows:
        raise InputInvalid(f"{failures} failures of {rows} rows against a limit of {limit} cannot be tested")
    odds = limit / (1 - limit) * np.array([1.25, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0, 100.0])
    share = odds / (1 + odds)
    logs = failures * np.log(share / limit) + (rows - failures) * np.log((1 - share) / (1 - limit))
    top = float(logs.max())
    return top + log(float(np.exp(logs - top).mean()))
