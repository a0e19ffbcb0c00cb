"""How a challenger is trained: labelled rows, a back-test in time over windows and candidates, the fit. Used by stages/train and the demo.

Two clocks cut everything: `recipe.time` (when the prediction was asked for) and `recipe.known` (when its label was known).
"""

import inspect
import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import product
from threading import BoundedSemaphore
from typing import Any, TypeAlias

import msgspec
import numpy as np
import polars as pl

from noria.domain.dataset import DatasetVersion
from noria.domain.ids import Digest, digest_of
from noria.domain.policy import TrainingWindow, Unsound, WindowChoice, WindowEvidence
from noria.domain.run import ParamValue
from noria.domain.study import Study, Trial
from noria.errors import EmptyTable, LeakDetected, StepFailed
from noria.evaluation.metrics import summary
from noria.loop.context import Candidate, Estimator, Featured, Recipe
from noria.pipeline.declare import Pipeline, as_step, pipeline
from noria.pipeline.run import Input
from noria.ports.predictions import PredictionLog
from noria.ports.tables import TableStore
from noria.retraining.pool import Choice, choose_pooled
from noria.retraining.window import SIMPLEST_FIRST, difference_error, evidence, weights
from noria.stats.metrics import log_loss, row_log_loss
from noria.tuning.study import Option, search
from noria.wire.tables import open_table

MOST_FITS = 2
FITS = BoundedSemaphore(MOST_FITS)
"""So many fits of one process run at once, the others wait: each may need several times the memory of its rows."""

FEWEST_NEW = 50
"""Rows of a changed world that must lie on either side of the cut, or the usual days are held back."""

FEWEST_FAIR = 500
"""Rows that the champion has not learnt which are worth a fair comparison: with fewer, the usual days are held back though it knows some."""

FEWEST_DAYS = 4

Past: TypeAlias = Sequence[Sequence[WindowEvidence]]
"""What earlier back-tests of a deployment found, oldest first."""


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """What was known when a training was asked for, besides its rows. changed_at: when the world last changed; left_out: which rows are not here, and
    why, in words; taught_until: until when the champion has learnt."""

    changed_at: datetime | None = None
    left_out: str = ""
    taught_until: datetime | None = None


class TrainingResult(msgspec.Struct, frozen=True, kw_only=True):
    """What a training found. evidence: every combination that was tried on the held-back days; metrics: of the chosen one, on those days."""

    candidate: str
    window: TrainingWindow
    evidence: tuple[WindowEvidence, ...]
    metrics: dict[str, float]
    params: dict[str, ParamValue]
    rows: int


def known_only(frame: pl.DataFrame, recipe: Recipe, *, known_by: datetime) -> pl.DataFrame:
    """The frame itself, once it is sure that each label in it was known by then. Raises LeakDetected with the number of rows that were not."""
    early = frame.filter(
        pl.col(recipe.label).is_not_null() & (pl.col(recipe.known).is_null() | (pl.col(recipe.known) > known_by))
    )
    if early.height:
        latest = early.select(pl.col(recipe.known).max()).item()
        raise LeakDetected(
            f"{early.height} labels of deployment {recipe.deployment!r} were used before they were known",
            cause=f"the decision is made at {known_by.isoformat()}, and a label was known at {latest}",
            remedy="ask the prediction log for labels with known_by, and keep the column that says when a label was known",
        )
    return frame


def labelled_rows(
    recipe: Recipe,
    tables: TableStore,
    predictions: PredictionLog,
    *,
    known_by: datetime,
    unsound: Sequence[Unsound] = (),
    since: datetime | None = None,
    columns: Sequence[str] | None = None,
) -> pl.DataFrame:
    """Rows with a label known by then: the base table, then what was served. columns: default those of the recipe's schema, in its order.

    unsound: stretches of what was served that are nothing to learn from. since: only what was asked for from then on.
    """
    columns = list(columns or recipe.schema.names())
    base = open_table(tables.read(recipe.base)).select(columns)
    types = base.schema
    labelled = pl.col(recipe.label).is_not_null() & (pl.col(recipe.known) <= known_by)
    parts = [base.lazy().filter(labelled if since is None else labelled & (pl.col(recipe.time) >= since))]
    wanted = ["at", "label", "label_at", "redacted", *(f"in.{name}" for name in recipe.features if name in columns)]
    joined = predictions.joined(recipe.deployment, known_by=known_by, since=since, columns=wanted)
    served = as_sent(open_table(joined), recipe)
    if served.height:
        sources = {recipe.time: "at", recipe.known: "label_at", recipe.label: "label"}
        sources |= {name: f"in.{name}" for name in recipe.features}
        told = served.lazy().filter(pl.col("label").is_not_null())
        sound = without(told, unsound, asked="at", known="label_at")
        parts.append(sound.select([pl.col(sources[name]).cast(types[name]).alias(name) for name in columns]))
    frame = pl.concat(parts).sort(recipe.time, maintain_order=True).collect()
    return known_only(frame, recipe, known_by=known_by)


def without(frame: pl.LazyFrame, unsound: Sequence[Unsound], *, asked: str, known: str) -> pl.LazyFrame:
    """The rows that can be learnt from. asked, known: the columns of when a prediction was asked for, and its label known."""
    for each in unsound:
        inside = pl.col(asked if each.by == "asked" else known) >= each.since
        if each.until is not None:
            # The last label of a doubted stretch belongs to it; a broken day ends where the next begins.
            inside &= pl.col(asked) < each.until if each.by == "asked" else pl.col(known) <= each.until
        frame = frame.filter(~inside)
    return frame


def as_sent(served: pl.DataFrame, recipe: Featured) -> pl.DataFrame:
    """The logged rows (with the column `redacted`) that have every feature as it was sent: nothing is learnt from digests."""
    noted = [text for text in served["redacted"].unique() if text is not None]
    altered = [text for text in noted if not set(json.loads(text)).isdisjoint(recipe.features)]
    return served.filter(~pl.col("redacted").is_in(altered).fill_null(value=False)) if altered else served


def matrix(frame: pl.DataFrame, recipe: Recipe) -> pl.DataFrame:
    """The features as an estimator gets them: text as it is, numbers with NaN where a value is missing."""
    return frame.select(
        [pl.col(n) if frame.schema[n] == pl.String else pl.col(n).fill_null(float("nan")) for n in recipe.features]
    )


def window_of(
    choice: WindowChoice, recipe: Recipe, *, until: datetime, since: datetime, changed_at: datetime | None = None
) -> TrainingWindow:
    """The rows that a choice stands for, as seen from `until`. Without a change, 'since_change' is 'all'."""
    policy = recipe.policy
    begins = {"recent": until - timedelta(days=policy.recent_days), "since_change": changed_at or since}
    return TrainingWindow(
        choice=choice,
        since=max(since, begins.get(choice, since)),
        until=until,
        known_by=until,
        half_life_days=policy.half_life_days if choice == "weighted" else None,
    )


def fit(frame: pl.DataFrame, window: TrainingWindow, candidate: Candidate, recipe: Recipe) -> tuple[Estimator, int]:
    """Fit a candidate on the rows of a window whose labels were known by its end; gives the estimator and the number of rows."""
    rows = frame.filter(
        pl.col(recipe.time).is_between(window.since, window.until) & (pl.col(recipe.known) <= window.known_by)
    )
    if rows.height == 0:
        raise EmptyTable(
            "a training window holds no labelled row",
            cause=f"{window.since} to {window.until}",
            remedy="choose a longer window",
        )
    estimator = candidate.make(candidate.params, recipe.seed)
    labels, x, number = rows[recipe.label].to_numpy().astype(np.int64), matrix(rows, recipe), rows.height
    extra: dict[str, Any] = {}
    if window.half_life_days is not None:
        times = rows[recipe.time].to_list()
        extra[candidate.fit_weights] = weights(times, until=window.until, half_life_days=window.half_life_days)
    del rows  # a training set is held once while a model is fitted, not twice
    fitted: Any = estimator
    with FITS:
        fitted.fit(x, labels, **extra)
    return estimator, number


def probabilities(estimator: Estimator, frame: pl.DataFrame, recipe: Recipe) -> "np.ndarray[Any, np.dtype[np.float64]]":
    """Probability of the positive class, shape (rows,)."""
    return np.asarray(estimator.predict_proba(matrix(frame, recipe)), dtype=np.float64)[:, 1]


def column_of(candidate: str, choice: str) -> str:
    """Name of the back-test column of one combination."""
    return f"p:{candidate}:{choice}"


def cut_of(frame: pl.DataFrame, recipe: Recipe, *, until: datetime, known: Known) -> datetime:
    """Where held-back rows begin: `policy.backtest_days` before the end; after a change of the world in the middle of what is known of the new one.

    Not before the champion's own end of learning, if enough has been labelled since.

    A champion that has learnt some of the held-back labels cannot be beaten on them: every challenger of a young champion would be refused.

    Days of the old world would judge a challenger by what is over, and before such a cut nothing of the new world could have been learnt. The middle:
    as many rows were labelled by then as are held back, so both sides of the rehearsal rest on the new world alike.
    """
    cut = _of_the_world(frame, recipe, until=until, changed_at=known.changed_at)
    taught = known.taught_until
    if taught is None or taught <= cut:
        return cut
    fresh = frame.filter((pl.col(recipe.time) > taught) & (pl.col(recipe.known) <= until))
    return taught if fresh[recipe.label].count() >= FEWEST_FAIR else cut


def _of_the_world(frame: pl.DataFrame, recipe: Recipe, *, until: datetime, changed_at: datetime | None) -> datetime:
    usual = until - timedelta(days=recipe.policy.backtest_days)
    if changed_at is None:
        return usual
    new = frame.filter(
        pl.col(recipe.label).is_not_null() & (pl.col(recipe.time) >= changed_at) & (pl.col(recipe.known) <= until)
    )
    asked, known = new[recipe.time].sort(), new[recipe.known].sort()
    if new.height < 2 * FEWEST_NEW or not isinstance(asked[0], datetime):
        return usual
    learnt = known.search_sorted(asked, side="right").cast(pl.Int64)
    balanced = (learnt >= new.height - pl.int_range(new.height, eager=True)).arg_max()
    if balanced is None or int(learnt[balanced]) < FEWEST_NEW:
        return usual
    middle: datetime = asked[balanced]
    return max(usual, middle)


def backtest(
    frame: pl.DataFrame, recipe: Recipe, *, until: datetime, past: Past = (), known: Known | None = None
) -> pl.DataFrame:
    """The held-back rows (from `cut_of` to `until`) with one column of probabilities for each combination tried.

    Windows are compared with the first candidate, then the other candidates on the window that is chosen: what is tried stays small and is all
    recorded. past: what earlier back-tests of this deployment found, oldest first. known: what was known besides the rows.
    """
    policy, known = recipe.policy, known or Known()
    changed_at = known.changed_at
    cut = cut_of(frame, recipe, until=until, known=known)
    held = frame.filter((pl.col(recipe.time) >= cut) & (pl.col(recipe.known) <= until))
    since = frame[recipe.time].min()
    if held.height == 0 or not isinstance(since, datetime) or since >= cut:
        raise EmptyTable(
            f"nothing to back-test on in the last {policy.backtest_days} days",
            cause=f"labels known by {until.isoformat()} begin at {since!r}",
            remedy="wait for more labels, or shorten policy.backtest_days",
        )
    labels = held[recipe.label].to_numpy()
    answers: dict[str, pl.Series] = {}

    def score(option: Option) -> float:
        choice, name = str(option.params["window"]), option.candidate
        window = window_of(_choice(choice), recipe, until=cut, since=since, changed_at=changed_at)
        estimator, _ = fit(frame, window, recipe.candidates[name], recipe)
        p = probabilities(estimator, held, recipe)
        answers[column_of(name, choice)] = pl.Series(p)
        return log_loss(labels, p)

    def tried(name: str, options: Sequence[Option]) -> Study:
        return search(
            options, score, name=name, metric="log_loss", seed=recipe.seed, at_once=min(recipe.fits_at_once, MOST_FITS)
        )

    first, *others = policy.candidates
    distinct = _distinct(policy.windows, recipe, until=cut, since=since, changed_at=changed_at)
    by_window = tried("windows", [Option(first, {"window": w}) for w in distinct])
    _first_success(by_window)  # says why, if no window could be fitted
    columns = [column_of(first, w) for w in distinct]
    scored = held.with_columns([answers[name].alias(name) for name in columns if name in answers])
    best = pick(scored, recipe, past, changed_at=changed_at).window
    if others:
        tried("candidates", [Option(name, {"window": best}) for name in others])
        columns += [column_of(name, best) for name in others]
    # In the order of what was tried, not of what ended first: the same back-test is the same table.
    return held.with_columns([answers[name].alias(name) for name in columns if name in answers])


def _first_success(study: Study) -> Trial:
    """The best trial. Raises StepFailed with what each one said when all failed."""
    try:
        return study.best()
    except ValueError as exc:
        said = "; ".join(f"{t.candidate}: {t.error}" for t in study.trials)
        raise StepFailed(
            "no candidate could be fitted", cause=said, remedy="fit one of them by hand on the same rows"
        ) from exc


def _choice(text: str) -> WindowChoice:
    choice: WindowChoice = msgspec.convert(text, WindowChoice)
    return choice


def _distinct(
    choices: Sequence[WindowChoice],
    recipe: Recipe,
    *,
    until: datetime,
    since: datetime,
    changed_at: datetime | None,
) -> list[WindowChoice]:
    """Choices that mean different rows: while there is little history, 'recent' is 'all'."""
    kept: dict[tuple[datetime, float | None], WindowChoice] = {}
    for choice in sorted(choices):
        window = window_of(choice, recipe, until=until, since=since, changed_at=changed_at)
        kept.setdefault((window.since, window.half_life_days), choice)
    return list(kept.values())


def evidence_of(held: pl.DataFrame, recipe: Recipe) -> list[WindowEvidence]:
    """What the back-test says of each combination: its mean log loss on the held-back days, and the error of its distance to the best."""
    labels = held[recipe.label].to_numpy()
    losses = {
        (choice, name): row_log_loss(labels, held[column_of(name, choice)].to_numpy())
        for name, choice in product(recipe.policy.candidates, recipe.policy.windows)
        if column_of(name, choice) in held.columns
    }
    return evidence(losses, blocks_of(held, recipe))


def blocks_of(held: pl.DataFrame, recipe: Recipe) -> "np.ndarray[Any, Any]":
    """The block of each held-back row: its day, or where days are too few to tell how they differ, its quarter of a day."""
    days = held[recipe.time].dt.date()
    return (days if days.n_unique() >= FEWEST_DAYS else held[recipe.time].dt.truncate("6h")).rank("dense").to_numpy()


def prepare(rows: pl.DataFrame, recipe: Recipe) -> pl.DataFrame:
    """Step: labelled rows in the order of time."""
    return rows.sort(recipe.time, maintain_order=True)


def held_back(prepare: pl.DataFrame, recipe: Recipe, past: Past, known: Known, *, until: str) -> pl.DataFrame:
    """Step: split by time, and try every combination on the held-back days."""
    moment = datetime.fromisoformat(until)
    rows = known_only(prepare, recipe, known_by=moment)
    return backtest(rows, recipe, until=moment, past=past, known=known)


def evaluate(
    prepare: pl.DataFrame, backtest: pl.DataFrame, recipe: Recipe, past: Past, known: Known, *, until: str
) -> TrainingResult:
    """Step: what the back-test is for, and how good that was."""
    return chosen(prepare, backtest, recipe, until=datetime.fromisoformat(until), past=past, known=known)


def train(prepare: pl.DataFrame, evaluate: TrainingResult, recipe: Recipe) -> Estimator:
    """Step: fit the chosen candidate on everything in its window, up to the last label known."""
    estimator, _ = fit(prepare, evaluate.window, recipe.candidates[evaluate.candidate], recipe)
    return estimator


def train_pipeline(recipe: Recipe) -> Pipeline:
    """The training as cached steps: prepare, backtest, evaluate, train. Its inputs are given by `train_inputs`, its param is `until`."""
    return pipeline(f"train-{recipe.deployment}", prepare, as_step(held_back).named("backtest"), evaluate, train)


def train_inputs(
    recipe: Recipe, dataset: DatasetVersion, tables: TableStore, past: Past, *, known: Known
) -> dict[str, object]:
    """The rows by their address, read only if a step has to run; the recipe by what it says of learning; what earlier back-tests found."""
    return {
        "rows": Input(digest=dataset.digest, load=lambda: open_table(tables.read(dataset.digest))),
        "recipe": Input(digest=declared(recipe), load=lambda: recipe),
        "past": Input(digest=digest_of(msgspec.json.encode(past)), load=lambda: past),
        "known": Input(digest=digest_of(msgspec.json.encode(known)), load=lambda: known),
    }


def pick(held: pl.DataFrame, recipe: Recipe, past: Past, *, changed_at: datetime | None = None) -> Choice:
    """The window and candidate that all back-tests so far are for, this one among them.

    After a change of the world the first back-test in the new one stands alone: those before speak for a world that is over.
    """
    alone = _errors(held, recipe) if changed_at is not None else {}
    return choose_pooled([*past, evidence_of(held, recipe)], recipe.policy, alone=alone)


def _errors(held: pl.DataFrame, recipe: Recipe) -> dict[WindowChoice, float]:
    """Of each window with the first candidate, the standard error of its difference to the simplest."""
    first, labels = recipe.policy.candidates[0], held[recipe.label].to_numpy()
    tried = [w for w in SIMPLEST_FIRST if column_of(first, w) in held.columns]
    losses = {w: row_log_loss(labels, held[column_of(first, w)].to_numpy()) for w in tried}
    blocks = blocks_of(held, recipe)
    if np.unique(blocks).size < 2:
        return {}
    return {w: difference_error(losses[w] - losses[tried[0]], blocks) for w in tried[1:]}


def chosen(
    frame: pl.DataFrame,
    held: pl.DataFrame,
    recipe: Recipe,
    *,
    until: datetime,
    past: Past = (),
    known: Known | None = None,
) -> TrainingResult:
    """The window and candidate that the evidence is for, with metrics on days that the rehearsal had not seen."""
    known = known or Known()
    picked = pick(held, recipe, past, changed_at=known.changed_at)
    since = frame[recipe.time].min()
    assert isinstance(since, datetime)
    window = window_of(picked.window, recipe, until=until, since=since, changed_at=known.changed_at)
    window = msgspec.structs.replace(window, reason=_reason(picked, held, recipe, known, until=until))
    return TrainingResult(
        candidate=picked.candidate,
        window=window,
        evidence=tuple(evidence_of(held, recipe)),
        metrics=summary(held[recipe.label].to_numpy(), held[column_of(picked.candidate, picked.window)].to_numpy()),
        params=dict(recipe.candidates[picked.candidate].params),
        rows=frame.filter(pl.col(recipe.time) >= window.since).height,
    )


def _reason(picked: Choice, held: pl.DataFrame, recipe: Recipe, known: Known, *, until: datetime) -> str:
    """Why this window and this candidate, with what was known of the world and of its rows."""
    said = [picked.reason]
    begin = held[recipe.time].min()
    assert isinstance(begin, datetime)
    usual = until - timedelta(days=recipe.policy.backtest_days)
    if known.taught_until is not None and usual < known.taught_until <= begin:
        said.append(
            f"held back are the {held.height} rows since {begin:%Y-%m-%d}, which the champion has not learnt either"
        )
    if known.changed_at is not None:
        said.append(
            f"the world changed about {known.changed_at:%Y-%m-%d}, so it was tried on {held.height} rows since {begin:%Y-%m-%d %H:%M}"
        )
    return "; ".join([*said, known.left_out] if known.left_out else said)


def declared(recipe: Recipe) -> Digest:
    """The address of everything in the recipe that a training depends on: it is part of each step's cache key."""
    candidates = [
        (name, sorted(c.params.items()), inspect.getsource(c.make)) for name, c in sorted(recipe.candidates.items())
    ]
    return digest_of(repr((recipe.policy, recipe.features, recipe.seed, candidates)).encode())
