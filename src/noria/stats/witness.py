"""Tell two samples of anything apart by betting: a classifier learns on the rows seen so far and bets on the next ones. Pure arrays in and out.

Where rows have bins, stats/sequential is sharper and cheaper; this is for rows that have none: texts and embeddings. Called by monitoring/text.

Source: Podkopaev and Ramdas 2023, "Sequential predictive two-sample and independence testing"; the margin from the reference's own stretches is ADR
10's idea carried over.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np

from noria.errors import EmptySample, InputInvalid
from noria.stats.checks import Floats, Ints
from noria.stats.logistic import Design, Logistic, fit_logistic
from noria.stats.quantiles import chi_square_quantile

PENALTY = 3e-4
BATCHES = 8
SMALLEST_ADVANTAGE = 0.03
"""An advantage up to this is no matter: of a hundred rows, three more are guessed right than by tossing a coin."""

LARGEST_BET = 0.8


@dataclass(frozen=True, eq=False, kw_only=True)
class Witness:
    """What the bets found. log_e: natural log of the e-value against "the classifier's advantage is at most `margin`".

    advantage: mean of its verdict (-1 to 1) on later rows minus that on earlier ones, halved, on rows that it did not learn from. placebo: advantages
    between stretches of the reference. model: learnt from all rows.
    """

    log_e: float
    advantage: float
    margin: float
    placebo: tuple[float, ...]
    model: Logistic


def verdicts(model: Logistic, design: Design) -> Floats:
    """How sure the model is that a row is of the later sample, -1 to 1."""
    return np.asarray(np.tanh(model.log_odds(design) / 2))


def advantage(design: Design, later: Ints, *, seed: int = 0) -> tuple[float, float]:
    """Advantage of a classifier on rows that it did not learn from, by two halves, and its sampling variance.

    later: 0 and 1, shape (rows,). Raises EmptySample.
    """
    coin = _halves(later, np.random.default_rng(seed))
    said = np.empty(later.size)
    for half in (0, 1):
        learn = coin == half
        model = fit_logistic(design.only(learn), later[learn], penalty=PENALTY)
        said[~learn] = verdicts(model, design.only(~learn))
    new, old = said[later == 1], said[later == 0]
    noise = float(new.var() / new.size + old.var() / old.size) / 4
    return float(new.mean() - old.mean()) / 2, noise


def _halves(later: Ints, rng: np.random.Generator) -> Ints:
    """A half, 0 or 1, for each row, evenly within both samples. Raises EmptySample when one has fewer than four rows."""
    coin = np.empty(later.size, dtype=np.int64)
    for side in (0, 1):
        rows = np.flatnonzero(later == side)
        if rows.size < 4:
            raise EmptySample(f"{rows.size} rows are too few to tell two samples apart")
        coin[rows[rng.permutation(rows.size)]] = np.arange(rows.size) % 2
    return coin


def tell_apart(design: Design, later: Ints, *, placebo: Sequence[Ints] = (), seed: int = 0) -> Witness:
    """Bet on which rows are of the later sample.

    design: rows of both samples; later: 0 and 1, shape (rows,). placebo: splits of the earlier rows into two stretches, each of shape (rows,), with
    -1 for rows that take no part: what a classifier wins between them is the reference's own wobble, and the margin covers its mean and three
    standard deviations. Deterministic for a seed. Raises EmptySample, InputInvalid.
    """
    if later.shape != (design.rows,) or not np.isin(later, (0, 1)).all():
        raise InputInvalid(f"{design.rows} rows need as many marks of 0 and 1")
    wobble = []
    for split in placebo:
        part = split >= 0
        wobble.append(advantage(design.only(part), split[part].astype(np.int64), seed=seed))
    margin = _margin(wobble)
    model = fit_logistic(design, later, penalty=PENALTY)
    return Witness(
        log_e=_bet(design, later, margin=margin, seed=seed),
        advantage=advantage(design, later, seed=seed)[0],
        margin=margin,
        placebo=tuple(value for value, _ in wobble),
        model=model,
    )


def _margin(wobble: Sequence[tuple[float, float]]) -> float:
    """Mean and three standard deviations of the placebo advantages, without the part that sampling alone explains, made safe for few of them."""
    values = np.array([value for value, _ in wobble])
    if values.size == 0:
        return SMALLEST_ADVANTAGE
    degrees = values.size - 1
    spread = float(values.var(ddof=1)) if degrees else float(values[0] ** 2)
    between = max(0.0, spread - float(np.mean([noise for _, noise in wobble])))
    safe = degrees / chi_square_quantile(0.2, degrees) if degrees >= 3 else 10.0
    return max(SMALLEST_ADVANTAGE, float(values.mean()) + 3 * sqrt(between * safe))


def _bet(design: Design, later: Ints, *, margin: float, seed: int) -> float:
    """Log of the capital after betting on pairs of rows, batch by batch; each batch by what the batches before it taught."""
    rng = np.random.default_rng(seed)
    old, new = (rng.permutation(np.flatnonzero(later == side)) for side in (0, 1))
    pairs = min(old.size, new.size)
    if pairs < 2 * BATCHES:
        raise EmptySample(f"{pairs} rows are too few to bet on", remedy="take longer stretches")
    edges = np.linspace(0, pairs, BATCHES + 1).astype(np.int64)
    capital = 0.0
    model: Logistic | None = None
    seen: list[Floats] = []
    for batch in range(1, BATCHES):
        learn = np.zeros(later.size, dtype=bool)
        # Rows without a partner are never bet on, so they may be learnt from at once.
        learn[old[: edges[batch]]] = learn[new[: edges[batch]]] = True
        learn[old[pairs:]] = learn[new[pairs:]] = True
        model = fit_logistic(design.only(learn), later[learn], penalty=PENALTY, start=model)
        rows = slice(edges[batch], edges[batch + 1])
        said = np.zeros(later.size)
        ask = np.zeros(later.size, dtype=bool)
        ask[old[rows]] = ask[new[rows]] = True
        said[ask] = verdicts(model, design.only(ask))
        won = (said[new[rows]] - said[old[rows]]) / 2 - margin
        stake = _stake(seen) if seen else 0.1
        capital += float(np.log1p(stake * won).sum())
        seen.append(won)
    return capital


def _stake(seen: Sequence[Floats]) -> float:
    """The share of the capital that would have grown fastest so far (Kelly, to second order), kept small enough to survive any row."""
    won = np.concatenate(list(seen))
    mean, square = float(won.mean()), float((won**2).mean())
    return float(np.clip(mean / square if square > 0 else 0.0, 0.0, LARGEST_BET))
