"""How a challenger is trained: labelled rows, a back-test in time over windows and candidates, the fit. Used by loop/stages/train and the demo's arms.

Two clocks cut everything: `recipe.time` (when the prediction was asked for) and `recipe.known` (when its label was known).
"""

import inspect
from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import product
from typing import Any

import msgspec
import numpy as np
import polars as pl

from noria.domain.ids import Digest, digest_of
from noria.domain.policy import TrainingWindow, WindowChoice, WindowEvidence
from noria.domain.run import ParamValue
from noria.errors import EmptyTable, LeakDetected
from noria.evaluation.metrics import summary
from noria.loop.context import Candidate, Estimator, Recipe
from noria.pipeline.declare import Pipeline, as_step, pipeline
from noria.ports.predictions import PredictionLog
from noria.ports.tables import TableStore
from noria.retraining.window import choose, weights
from noria.stats.metrics import log_loss
from noria.tuning.study import Option, search
from noria.wire.tables import open_table


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
        latest = early[recipe.known].max()
        raise LeakDetected(
            f"{early.height} labels of deployment {recipe.deployment!r} were used before they were known",
            cause=f"the decision is made at {known_by.isoformat()}, and a label was known at {latest}",
            remedy="ask the prediction log for labels with known_by, and keep the column that says when a label was known",
        )
    return frame


def labelled_rows(
    recipe: Recipe, tables: TableStore, predictions: PredictionLog, *, known_by: datetime
) -> pl.DataFrame:
    """Rows with a label known by then: the base table, then what was served. Columns: those of the recipe's schema, in its order."""
    columns = list(recipe.schema.names())
    base = open_table(tables.read(recipe.base)).select(columns)
    base = base.filter(pl.col(recipe.label).is_not_null() & (pl.col(recipe.known) <= known_by))
    served = open_table(predictions.joined(recipe.deployment, known_by=known_by))
    parts = [base]
    if served.height:
        rename = {"at": recipe.time, "label_at": recipe.known, "label": recipe.label} | {
            f"in.{name}": name for name in recipe.features
        }
        rows = served.filter(pl.col("label").is_not_null()).select(
            [pl.col(old).alias(new) for old, new in rename.items()]
        )
        parts.append(rows.select([pl.col(name).cast(base.schema[name]) for name in columns]))
    frame = pl.concat(parts).sort(recipe.time, maintain_order=True)
    return known_only(frame, recipe, known_by=known_by)


def matrix(frame: pl.DataFrame, recipe: Recipe) -> pl.DataFrame:
    """The features as an estimator gets them: text as it is, numbers with NaN where a value is missing."""
    return frame.select(
        [pl.col(n) if frame.schema[n] == pl.String else pl.col(n).fill_null(float("nan")) for n in recipe.features]
    )


def window_of(choice: WindowChoice, recipe: Recipe, *, until: datetime, since: datetime) -> TrainingWindow:
    """The rows that a choice stands for, as seen from `until`."""
    policy = recipe.policy
    return TrainingWindow(
        choice=choice,
        since=max(since, until - timedelta(days=policy.recent_days)) if choice == "recent" else since,
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
    labels = rows[recipe.label].to_numpy().astype(np.int64)
    if window.half_life_days is None:
        estimator.fit(matrix(rows, recipe), labels)
    else:
        by_age = weights(rows[recipe.time].to_list(), until=window.until, half_life_days=window.half_life_days)
        fitted: Any = estimator
        fitted.fit(matrix(rows, recipe), labels, **{candidate.fit_weights: by_age})
    return estimator, rows.height


def probabilities(estimator: Estimator, frame: pl.DataFrame, recipe: Recipe) -> "np.ndarray[Any, np.dtype[np.float64]]":
    """Probability of the positive class, shape (rows,)."""
    return np.asarray(estimator.predict_proba(matrix(frame, recipe)), dtype=np.float64)[:, 1]


def column_of(candidate: str, choice: str) -> str:
    """Name of the back-test column of one combination."""
    return f"p:{candidate}:{choice}"


def backtest(frame: pl.DataFrame, recipe: Recipe, *, until: datetime) -> pl.DataFrame:
    """The held-back days (the last `policy.backtest_days` before `until`) with one column of probabilities for each combination tried.

    Windows are compared with the first candidate, then the other candidates on the best window: what is tried stays small and is all recorded.
    """
    policy = recipe.policy
    cut = until - timedelta(days=policy.backtest_days)
    held = frame.filter((pl.col(recipe.time) >= cut) & (pl.col(recipe.known) <= until))
    since = frame[recipe.time].min()
    if held.height == 0 or not isinstance(since, datetime) or since >= cut:
        raise EmptyTable(
            f"nothing to back-test on in the last {policy.backtest_days} days",
            cause=f"labels known by {until.isoformat()} begin at {since}",
            remedy="wait for more labels, or shorten policy.backtest_days",
        )
    labels = held[recipe.label].to_numpy()
    answers: dict[str, pl.Series] = {}

    def score(option: Option) -> float:
        choice, name = str(option.params["window"]), option.candidate
        window = window_of(_choice(choice), recipe, until=cut, since=since)
        estimator, _ = fit(frame, window, recipe.candidates[name], recipe)
        p = probabilities(estimator, held, recipe)
        answers[column_of(name, choice)] = pl.Series(p)
        return log_loss(labels, p)

    first, *others = policy.candidates
    distinct = _distinct(policy.windows, recipe, until=cut, since=since)
    by_window = search(
        [Option(first, {"window": w}) for w in distinct], score, name="windows", metric="log_loss", seed=recipe.seed
    )
    best = by_window.best().params["window"]
    if others:
        search(
            [Option(name, {"window": best}) for name in others],
            score,
            name="candidates",
            metric="log_loss",
            seed=recipe.seed,
        )
    return held.with_columns([values.alias(name) for name, values in answers.items()])


def _choice(text: str) -> WindowChoice:
    return msgspec.convert(text, WindowChoice)


def _distinct(
    choices: Sequence[WindowChoice], recipe: Recipe, *, until: datetime, since: datetime
) -> list[WindowChoice]:
    """Choices that mean different rows: while there is little history, 'recent' is 'all'."""
    kept: dict[tuple[datetime, float | None], WindowChoice] = {}
    for choice in sorted(choices):
        window = window_of(choice, recipe, until=until, since=since)
        kept.setdefault((window.since, window.half_life_days), choice)
    return list(kept.values())


def evidence_of(held: pl.DataFrame, recipe: Recipe) -> list[WindowEvidence]:
    """What the back-test says of each combination: its mean log loss on the held-back days."""
    labels = held[recipe.label].to_numpy()
    found = []
    for name, choice in product(recipe.policy.candidates, recipe.policy.windows):
        column = column_of(name, choice)
        if column in held.columns:
            loss = log_loss(labels, held[column].to_numpy())
            found.append(WindowEvidence(window=choice, candidate=name, log_loss=loss, rows=held.height))
    return found


def train_pipeline(recipe: Recipe, tables: TableStore) -> Pipeline:
    """The training as cached steps. `backtest` gives the held-back rows with their answers, `train` the fitted estimator, `evaluate` the result.

    Inputs: dataset (address of the labelled rows), until (the moment of the request), declared (digest of what the recipe says of learning).
    """

    def prepare(dataset: str) -> pl.DataFrame:
        return open_table(tables.read(Digest(dataset))).sort(recipe.time, maintain_order=True)

    def held_back(prepare: pl.DataFrame, *, until: str, declared: str) -> pl.DataFrame:
        moment = datetime.fromisoformat(until)
        return backtest(known_only(prepare, recipe, known_by=moment), recipe, until=moment)

    def choose_window(prepare: pl.DataFrame, held_back: pl.DataFrame, *, until: str) -> TrainingResult:
        return chosen(prepare, held_back, recipe, until=datetime.fromisoformat(until))

    def train(prepare: pl.DataFrame, choose_window: TrainingResult) -> Estimator:
        estimator, _ = fit(prepare, choose_window.window, recipe.candidates[choose_window.candidate], recipe)
        return estimator

    return pipeline(
        f"train-{recipe.deployment}",
        as_step(prepare),
        as_step(held_back).named("backtest"),
        as_step(choose_window).named("evaluate", needs={"held_back": "backtest"}),
        as_step(train).named("train", needs={"choose_window": "evaluate"}),
    )


def chosen(frame: pl.DataFrame, held: pl.DataFrame, recipe: Recipe, *, until: datetime) -> TrainingResult:
    """The window and candidate that the evidence is for, with metrics on days that the rehearsal had not seen."""
    found = evidence_of(held, recipe)
    picked = choose(found, recipe.policy, until=until, known_by=until)
    name = min((x for x in found if x.window == picked.choice), key=lambda x: x.log_loss).candidate
    since = frame[recipe.time].min()
    assert isinstance(since, datetime)
    window = msgspec.structs.replace(window_of(picked.choice, recipe, until=until, since=since), reason=picked.reason)
    return TrainingResult(
        candidate=name,
        window=window,
        evidence=tuple(found),
        metrics=summary(held[recipe.label].to_numpy(), held[column_of(name, picked.choice)].to_numpy()),
        params=dict(recipe.candidates[name].params),
        rows=frame.filter(pl.col(recipe.time) >= window.since).height,
    )


def declared(recipe: Recipe) -> str:
    """A digest of everything in the recipe that a training depends on: it is part of each step's cache key."""
    candidates = [
        (name, sorted(c.params.items()), inspect.getsource(c.make)) for name, c in sorted(recipe.candidates.items())
    ]
    return digest_of(repr((recipe.policy, recipe.features, recipe.seed, candidates)).encode())
