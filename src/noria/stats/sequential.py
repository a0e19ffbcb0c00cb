"""Drift by betting: a sequential test on bin counts whose false alarms are counted over time, not per look.

Bets against "every statistic is within its margin of the reference's, give or take its usual wobble"; while that holds the expected capital never
grows, whatever the batch sizes and however features depend on each other. No raw rows, one vectorised step. What is usual is learnt by wobble.py.
Labelled quality is stats/decay; two arms are stats/anytime; which features to blame is stats/blame. Called by monitoring/drift.

Source: Shin, Ramdas, Rinaldo 2024, "E-detectors" (Shiryaev-Roberts form); Waudby-Smith and Ramdas 2024 (betting); ADR 29 for what is new here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import log

import numpy as np
from numpy.typing import ArrayLike, NDArray

from noria.domain.profile import FeatureBins
from noria.errors import BinMismatch, InputInvalid
from noria.stats.checks import Floats
from noria.stats.gamma import log_gamma
from noria.stats.quantiles import chi_square_quantile, normal_quantile
from noria.stats.reference import Known, share_spread, shared_memory, wobble_of_before
from noria.stats.wobble import part_of

EFFECTS = (0.02, 0.05, 0.1, 0.2)
"""Shifts of a share, beyond the margin, that the bets are sized for; of the place, in standard deviations, 2.5 times as much."""

JUMPS = (1.0, 2.0, 4.0)
"""Jumps out of the usual range, in standard deviations of a window, that bets on features with a long memory are sized for."""

LARGEST_BET = log(1000.0)
"""One window multiplies a bet by at most 1000, so that a single freak day cannot raise an alarm; cutting gains keeps the guarantee."""

OVERWHELMING = log(1e9)
"""The same where sampling cannot explain a window and the reference shows that days hardly differ: of a place, and of shares that it often saw."""

OFTEN = 0.02
"""A share that the reference saw at least so often, and as often not, showed it how much it wobbles; of one that it hardly saw nobody knows."""

LOST = 0.05
"""A change of the share of missing values by more is a fault of the pipe, which monitoring/data_quality tells at once, and no reason to be quick."""

LARGEST_LEAD = 100.0
"""Capital is kept up to this many times what an alarm needs: more would only make the alarm outlast its drift."""

MARGIN_FLOOR = 0.01
"""The smallest shift of a share that is worth an alarm."""

PLACE = 2.5
"""A shift of a normal's place by so many standard deviations moves the share left of its median by 1: 1 / density(0)."""

USUAL_RANGE = 3.0
"""Standard deviations between windows that a jump must leave behind."""

ERROR_RATE = 0.01
"""The reference's own error is in the margins of all features at once with a chance of at least 1 minus this."""


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
class Lines:
    """The beta distributions that shares are bet between, up and down: a0, b0 on the margin, shape (features, width, 2); a, b beyond it, by effect.

    constant: what their normalisation adds to the log of a ratio. Depends on nothing but the reference, so it is laid out once where no season is.
    """

    a0: Floats
    b0: Floats
    a: Floats
    b: Floats
    constant: Floats

    @classmethod
    def of(cls, usual: Floats, spread: Floats, margins: Floats) -> "Lines":
        """usual: the reference's shares, shape (features, width)."""
        null = np.stack([usual, 1 - usual], axis=2) + margins
        possible = null[..., None] + np.asarray(EFFECTS) < 1 - 1e-6
        null = np.clip(null, 1e-9, 1 - 1e-6)
        with np.errstate(divide="ignore"):
            firmness = np.clip(null * (1 - null) / spread[..., None] - 1, 1.0, 1e7)
        held = np.where(possible, null[..., None] + np.asarray(EFFECTS), null[..., None])
        a0, b0 = null * firmness, (1 - null) * firmness
        a, b = held * firmness[..., None], (1 - held) * firmness[..., None]
        before = log_gamma(a0) + log_gamma(b0)
        return cls(a0=a0, b0=b0, a=a, b=b, constant=before[..., None] - log_gamma(a) - log_gamma(b))


@dataclass(frozen=True, eq=False)
class Panel:
    """The fixed half of a test: what is bet on, built once for a reference by `panel`.

    Arrays over (features, statistics): the shares of up to `width` bins, and last the place (see stats/wobble). mean: the reference's. row_variance:
    of one row. spread: variance between windows. margins: allowed shift, up and down, shape (features, statistics, 2). persistence, windows: of each
    feature. season: (feature, period in seconds, rows) where there is one;
    lines: None then. log_weights: share of the capital of each bet, -inf where none is placed,
    shape (features, statistics, 2, effects and jumps). weights: of each feature, shape (features,), sums to 1. missing: shares of missing values.
    """

    text: NDArray[np.bool_]
    bins: NDArray[np.int64]
    scores: Floats
    mean: Floats
    row_variance: Floats
    spread: Floats
    margins: Floats
    persistence: Floats
    windows: Floats
    season: tuple[tuple[int, int, Floats], ...]
    lines: Lines | None
    log_weights: Floats
    weights: Floats
    missing: Floats

    @property
    def width(self) -> int:
        """Columns of a padded count table: the largest number of bins."""
        return int(self.bins.max())


@dataclass(frozen=True, eq=False)
class State:
    """The moving half: log of the Shiryaev-Roberts capital of each bet, shape as `Panel.log_weights`, and the number of steps taken."""

    log_capital: Floats
    steps: int


def panel(
    features: Sequence[FeatureBins],
    *,
    smallest: float = MARGIN_FLOOR,
    weights: ArrayLike | None = None,
    windows: int = 0,
    together: bool = False,
    persistence: float = 1.0,
) -> Panel:
    """Lay out the bets for a reference.

    smallest: the smallest shift of a share that is worth an alarm. weights: how the capital is spread over the features (default: evenly).
    windows: on which the wobble of profiles of before was measured. together: the windows to come are parts of one
    stretch, dealt at random, and share one wobble; it is then no noise between them but belongs to the margin. persistence: the least that windows of
    this stream are known to have. Raises InputInvalid.
    """
    if not features or any(sum(f.counts) <= 0 for f in features):
        raise InputInvalid("every feature of a reference needs at least one counted row")
    if not 0 < smallest < 1:
        raise InputInvalid(
            f"the smallest shift of a share that is worth an alarm lies between 0 and 1, not at {smallest}"
        )
    spread_over = np.ones(len(features)) if weights is None else np.asarray(weights, dtype=np.float64)
    if spread_over.shape != (len(features),) or (spread_over < 0).any() or spread_over.sum() <= 0:
        raise InputInvalid("weights must be one non-negative number a feature, not all 0")
    wobbles = [f.varies or wobble_of_before(f, windows) for f in features]
    text = np.array([f.kind == "text" for f in features])
    known = Known.of(features, wobbles)
    seen = np.array([float(max(w.windows, 1)) for w in wobbles])
    longer = shared_memory(np.array([w.persistence for w in wobbles]), least=persistence)
    share_spread(known, text, np.minimum(longer / seen, 1.0))
    spread, season = known.spread, known.season
    margins = _margins(known.mean, known.variance, known.error, rows=known.rows, smallest=smallest)
    if together:
        margins = margins + USUAL_RANGE * np.sqrt(spread)[..., None]
        spread, longer, season = np.zeros(spread.shape), np.ones(len(features)), []
    return Panel(
        text=text,
        bins=np.array([len(f.counts) for f in features]),
        scores=known.scores,
        mean=known.mean,
        row_variance=known.variance,
        spread=spread,
        margins=margins,
        persistence=longer,
        windows=seen,
        season=tuple(season),
        lines=None if season else Lines.of(known.mean[:, :-1], spread[:, :-1], margins[:, :-1]),
        log_weights=_log_weights(features, known.mean, known.variance, persistence=longer, margins=margins),
        weights=spread_over / spread_over.sum(),
        missing=np.array([f.counts[-1] / sum(f.counts) for f in features]),
    )


def _margins(mean: Floats, variance: Floats, error: Floats, *, rows: Floats, smallest: float) -> Floats:
    """What counts as no drift at all: `smallest`, and at least the error of the reference itself, for all features at once. Up and down.

    Of shares by Wilson's interval with as many rows as the reference is worth: a bin that fifty rows left empty may hold a tenth of all.
    """
    reach = normal_quantile(1 - ERROR_RATE / (8 * mean.shape[0]))
    whole = error + variance / rows
    with np.errstate(divide="ignore", invalid="ignore"):
        worth = np.where(variance > 0, np.minimum(variance / whole, rows), rows)[:, :-1]
    found = np.empty((*mean.shape, 2))
    shares = mean[:, :-1]  # what follows them is the place, which is no share
    for side, share in enumerate((shares, 1 - shares)):
        centre = (share + reach**2 / (2 * worth)) / (1 + reach**2 / worth)
        half = reach / (1 + reach**2 / worth) * np.sqrt(share * (1 - share) / worth + reach**2 / (4 * worth * worth))
        found[:, :-1, side] = np.maximum(smallest, centre + half - share)
    found[:, -1] = np.maximum(PLACE * smallest, reach * np.sqrt(whole[:, -1]))[:, None]
    return found


def _log_weights(
    features: Sequence[FeatureBins], mean: Floats, variance: Floats, *, persistence: Floats, margins: Floats
) -> Floats:
    """Half of a number's capital bets on its place, half on its shares; a quarter of all is for jumps, where windows resemble their neighbours."""
    placed = np.zeros((*mean.shape, 2, len(EFFECTS) + len(JUMPS)))
    for i, feature in enumerate(features):
        bins, text = len(feature.counts), feature.kind == "text"
        share = np.zeros(mean.shape[1])
        if text:
            share[:bins] = 1.0
        else:
            share[: bins - 1] = 1.0
            # The share of rows that are not missing is watched from one side less: more than all cannot be.
            if variance[i, -1] > 0:
                share[-1] = max(share.sum(), 1.0)
        jumps = 0.25 if persistence[i] > 1.5 else 0.0
        placed[i, :, :, : len(EFFECTS)] = (1 - jumps) * share[:, None, None] / len(EFFECTS)
        placed[i, :, :, len(EFFECTS) :] = jumps * share[:, None, None] / len(JUMPS)
    edge = np.stack([mean, 1 - mean], axis=2) + margins
    edge[:, -1] = 0.0
    room = edge[..., None] + np.array((*EFFECTS, *([0.0] * len(JUMPS)))) < 1 - 1e-6
    placed = np.where(room, placed, 0.0)
    total = placed.reshape(len(features), -1).sum(axis=1)
    placed /= np.where(total > 0, total, 1.0)[:, None, None, None]
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(placed))


def start(bets: Panel) -> State:
    """No capital yet: the first step puts one unit on every bet."""
    return State(log_capital=np.full(bets.log_weights.shape, -np.inf), steps=0)


def usual_at(bets: Panel, seconds: float | None) -> Floats:
    """The reference's statistics at a moment, season included. Shape (features, statistics). Raises InputInvalid without a moment where needed."""
    if not bets.season:
        return bets.mean
    if seconds is None:
        raise InputInvalid(
            "the reference has a season, so a window needs its time", remedy="hand in when the window began"
        )
    usual = bets.mean.copy()
    for i, period_s, rows in bets.season:
        usual[i] += rows[part_of(seconds, period_s, len(rows))]
    usual[:, :-1] = np.clip(usual[:, :-1], 0.0, 1.0)
    return usual


def values_of(bets: Panel, counts: ArrayLike) -> tuple[Floats, Floats]:
    """What is watched of one window, and the rows each rests on; both shape (features, statistics). Raises BinMismatch."""
    table = np.asarray(counts, dtype=np.float64)
    if table.shape != (bets.bins.size, bets.width):
        raise BinMismatch(f"counts have shape {table.shape}, the reference {(bets.bins.size, bets.width)}")
    rows = table.sum(axis=1)
    missing = table[np.arange(rows.size), bets.bins - 1]
    left = np.where(bets.text[:, None], table, np.cumsum(table, axis=1))
    present = np.where(bets.text, rows, rows - missing)
    values = np.concatenate([left, (table * bets.scores).sum(axis=1, keepdims=True)], axis=1)
    held = np.concatenate([np.repeat(rows[:, None], bets.width, axis=1), present[:, None]], axis=1)
    return values / np.maximum(held, 1), held


def step(bets: Panel, state: State, counts: ArrayLike, *, threshold: float, at: float | None = None) -> State:
    """Take in one window: R <- (1 + R) * e, for every bet at once.

    counts: shape (features, k), padded like the reference; features may have different numbers of rows, also none. at: when the window began, seconds
    since 1970; needed if the reference has a season. threshold: the run length the test is used with; capital beyond 100 times what an alarm needs
    is dropped, so that an alarm ends soon after its drift (it can only lower it). Raises BinMismatch, InputInvalid.
    """
    growth = log_growth(bets, counts, at=at)
    with np.errstate(invalid="ignore"):
        ceiling = log(threshold) + log(LARGEST_LEAD) - bets.log_weights
        capital = np.minimum(np.logaddexp(0.0, state.log_capital) + growth, ceiling)
    return State(log_capital=capital, steps=state.steps + 1)


def log_growth(bets: Panel, counts: ArrayLike, *, at: float | None = None) -> Floats:
    """Log of what one window multiplies each bet by. Shape as `Panel.log_weights`.

    Shares: ratio of two beta-binomials, so that few rows are judged exactly and many as one draw of what wobbles; the place: of two normals. Where
    windows resemble their neighbours, the wobbling part of the evidence counts 1 / persistence; only a jump out of the usual range counts in full.
    """
    values, rows = values_of(bets, counts)
    usual = usual_at(bets, at)
    with np.errstate(divide="ignore", invalid="ignore"):
        sampling = np.where(rows > 0, bets.row_variance / np.maximum(rows, 1), 0.0)
        wobbling = np.where(bets.spread > 0, bets.spread / (bets.spread + sampling), 0.0)
    cap = _largest(bets, counts) * (1 - wobbling)
    cap += np.minimum(LARGEST_BET, np.log(bets.windows / bets.persistence + 1))[:, None] * wobbling
    slower = 1 + (bets.persistence[:, None] - 1) * wobbling
    growth = np.empty(bets.log_weights.shape)
    sized = growth[..., : len(EFFECTS)]
    sized[:, :-1] = _share_growth(bets, values[:, :-1], rows[:, :-1], usual=usual[:, :-1])
    up = values[:, -1] - usual[:, -1]
    out = np.stack([up, -up], axis=1) - bets.margins[:, -1]
    effect = PLACE * np.asarray(EFFECTS)
    noise = (bets.spread + sampling)[:, -1, None, None]
    sized[:, -1] = np.where(noise > 0, (effect * out[..., None] - effect**2 / 2) / np.where(noise > 0, noise, 1.0), 0.0)
    np.minimum(sized, cap[..., None, None], out=sized)
    sized /= slower[..., None, None]
    growth[..., len(EFFECTS) :] = 0.0
    if (bets.persistence > 1.5).any():
        jumped = _jump_growth(bets, values - usual, rows, usual=usual)
        # What no window ever did is worth something even where few of them were independent.
        most = np.maximum(cap, np.log(bets.windows + 1)[:, None] / 2)
        growth[..., len(EFFECTS) :] = np.minimum(jumped, most[..., None, None])
    return np.where((rows > 0)[..., None, None], growth, 0.0)


def _largest(bets: Panel, counts: ArrayLike) -> Floats:
    """Log of what one window may multiply each bet by if windows do not wobble. Shape (features, statistics)."""
    table = np.asarray(counts, dtype=np.float64)
    missing = table[np.arange(bets.bins.size), bets.bins - 1] / np.maximum(table.sum(axis=1), 1)
    known = np.minimum(bets.mean, 1 - bets.mean) >= OFTEN
    known[:, -1] = True
    whole = np.abs(missing - bets.missing) <= LOST
    return np.where(known & whole[:, None], OVERWHELMING, LARGEST_BET)


def _share_growth(bets: Panel, values: Floats, rows: Floats, *, usual: Floats) -> Floats:
    """log of BetaBinomial(beyond the margin) / BetaBinomial(on the margin), up and down. Shape (features, width, 2, effects)."""
    lines = bets.lines or Lines.of(usual, bets.spread[:, :-1], bets.margins[:, :-1])
    hits = np.stack([values * rows, (1 - values) * rows], axis=2)
    misses = rows[..., None] - hits
    found = log_gamma(hits[..., None] + lines.a)
    found += log_gamma(misses[..., None] + lines.b)
    found += lines.constant
    found -= (log_gamma(hits + lines.a0) + log_gamma(misses + lines.b0))[..., None]
    return found


def _jump_growth(bets: Panel, distance: Floats, rows: Floats, *, usual: Floats) -> Floats:
    """Bets on shifts that leave the usual range of single windows: what a long memory cannot explain. Shape (features, statistics, 2, jumps)."""
    far = np.stack([distance, -distance], axis=2) - bets.margins - USUAL_RANGE * np.sqrt(bets.spread)[..., None]
    edge = np.clip(
        np.stack([usual, 1 - usual], axis=2) + bets.margins + USUAL_RANGE * np.sqrt(bets.spread)[..., None], 0, 1
    )
    of_row = edge * (1 - edge)
    of_row[:, -1] = bets.row_variance[:, -1, None]
    variance = bets.spread[..., None] + of_row / np.maximum(rows, 1)[..., None]
    # The normal stands for the binomial here, so a bin needs some rows before it may speak.
    enough = (rows[..., None] * of_row >= 5) & (variance > 0)
    size = np.sqrt(np.where(variance > 0, variance, 1.0))[..., None] * np.asarray(JUMPS)
    found = (size * far[..., None] - size**2 / 2) / np.where(variance > 0, variance, 1.0)[..., None]
    return np.where(enough[..., None], found, 0.0)


def feature_capital(bets: Panel, state: State) -> Floats:
    """Log of each feature's mean capital over its bets. Shape (features,)."""
    with np.errstate(invalid="ignore"):
        held = np.where(np.isfinite(bets.log_weights), state.log_capital + bets.log_weights, -np.inf)
    held = held.reshape(bets.bins.size, -1)
    top = held.max(axis=1)
    safe = np.where(np.isfinite(top), top, 0.0)
    with np.errstate(divide="ignore"):
        return np.asarray(safe + np.log(np.exp(held - safe[:, None]).sum(axis=1)))


def log_evidence(bets: Panel, state: State) -> float:
    """Log of the weighted mean capital over the features. An alarm at `log_evidence > log(N)` is false at most once in N steps on average."""
    capital = feature_capital(bets, state)
    with np.errstate(divide="ignore"):
        terms = capital + np.log(bets.weights)
    top = float(terms.max())
    return top if not np.isfinite(top) else top + float(np.log(np.exp(terms - top).sum()))


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
