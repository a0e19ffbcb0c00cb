"""How a challenger is trained: labelled rows, a back-test in time over windows and candidates, the fit. Used by stages/train and the demo.

Two clocks cut everything: `recipe.time` (when the prediction was asked for) and `recipe.known` (when its label was known).
"""

import inspect
import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import product
from threading import Lock
from typing import Any, TypeAlias

import msgspec
import numpy as np
import polars as pl

from noria.domain.dataset import DatasetVersion
from noria.domain.ids import Digest, digest_of
from noria.domain.policy import TrainingWindow, WindowChoice, WindowEvidence
from noria.domain.run import ParamValue
from noria.domain.study import Study, Trial
from noria.errors import EmptyTable, LeakDetected, StepFailed
from noria.evaluation.metrics import summary
from noria.loop.context import Candidate, Estimator, Recipe
from noria.pipeline.declare import Pipeline, as_step, pipeline
from noria.pipeline.run import Input
from noria.ports.predictions import PredictionLog
from noria.ports.tables import TableStore
from noria.retraining.pool import Choice, choose_pooled
from noria.retraining.window import evidence, weights
from noria.stats.metrics import log_loss, row_log_loss
from noria.tuning.study import Option, search
from noria.wire.tables import open_table

ONE_FIT = Lock()
"""Fits of one process take turns: each may need several times the memory of its rows."""

Past: TypeAlias = Sequence[Sequence[WindowEvidence]]
"""What earlier back-tests of a deployment found, oldest first."""


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
    recipe: Recipe, tables: TableStore, predictions: PredictionLog, *, known_by: datetime
) -> pl.DataFrame:
    """Rows with a label known by then: the base table, then what was served. Columns: those of the recipe's schema, in its order."""
    columns = list(recipe.schema.names())
    base = open_table(tables.read(recipe.base)).select(columns)
    types = base.schema
    parts = [base.lazy().filter(pl.col(recipe.label).is_not_null() & (pl.col(recipe.known) <= known_by))]
    wanted = ["at", "label", "label_at", "redacted", *(f"in.{name}" for name in recipe.features)]
    served = as_sent(open_table(predictions.joined(recipe.deployment, known_by=known_by, columns=wanted)), recipe)
    if served.height:
        sources = {recipe.time: "at", recipe.known: "label_at", recipe.label: "label"}
        sources |= {name: f"in.{name}" for name in recipe.features}
        labelled = served.lazy().filter(pl.col("label").is_not_null())
        parts.append(labelled.select([pl.col(sources[name]).cast(types[name]).alias(name) for name in columns]))
    frame = pl.concat(parts).sort(recipe.time, maintain_order=True).collect()
    return known_only(frame, recipe, known_by=known_by)


def as_sent(served: pl.DataFrame, recipe: Recipe) -> pl.DataFrame:
    """The logged rows (with the column `redacted`) that have every feature as it was sent: nothing is learnt from digests."""
    noted = [text for text in served["redacted"].unique() if text is not None]
    altered = [text for text in noted if not set(json.loads(text)).isdisjoint(recipe.features)]
    return served.filter(~pl.col("redacted").is_in(altered).fill_null(value=False)) if altered else served


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
    labels, x, number = rows[recipe.label].to_numpy().astype(np.int64), matrix(rows, recipe), rows.height
    extra: dict[str, Any] = {}
    if window.half_life_days is not None:
        times = rows[recipe.time].to_list()
        extra[candidate.fit_weights] = weights(times, until=window.until, half_life_days=window.half_life_days)
    del rows  # a training set is held once while a model is fitted, not twice
    fitted: Any = estimator
    with ONE_FIT:
        fitted.fit(x, labels, **extra)
    return estimator, number


def probabilities(estimator: Estimator, frame: pl.DataFrame, recipe: Recipe) -> "np.ndarray[Any, np.dtype[np.float64]]":
    """Probability of the positive class, shape (rows,)."""
    return np.asarray(estimator.predict_proba(matrix(frame, recipe)), dtype=np.float64)[:, 1]


def column_of(candidate: str, choice: str) -> str:
    """Name of the back-test column of one combination."""
    return f"p:{candidate}:{choice}"


def backtest(frame: pl.DataFrame, recipe: Recipe, *, until: datetime, past: Past = ()) -> pl.DataFrame:
    """The held-back days (the last `policy.backtest_days` before `until`) with one column of probabilities for each combination tried.

    Windows are compared with the first candidate, then the other candidates on the window that is chosen: what is tried stays small and is all
    recorded. past: what earlier back-tests of this deployment found, oldest first.
    """
    policy = recipe.policy
    cut = until - timedelta(days=policy.backtest_days)
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
    _first_success(by_window)  # says why, if no window could be fitted
    scored = held.with_columns([values.alias(name) for name, values in answers.items()])
    best = pick(scored, recipe, past).window
    if others:
        search(
            [Option(name, {"window": best}) for name in others],
            score,
            name="candidates",
            metric="log_loss",
            seed=recipe.seed,
        )
    return held.with_columns([values.alias(name) for name, values in answers.items()])


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
    choices: Sequence[WindowChoice], recipe: Recipe, *, until: datetime, since: datetime
) -> list[WindowChoice]:
    """Choices that mean different rows: while there is little history, 'recent' is 'all'."""
    kept: dict[tuple[datetime, float | None], WindowChoice] = {}
    for choice in sorted(choices):
        window = window_of(choice, recipe, until=until, since=since)
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
    return evidence(losses, held[recipe.time].dt.date().to_numpy())


def prepare(rows: pl.DataFrame, recipe: Recipe) -> pl.DataFrame:
    """Step: labelled rows in the order of time."""
    return rows.sort(recipe.time, maintain_order=True)


def held_back(prepare: pl.DataFrame, recipe: Recipe, past: Past, *, until: str) -> pl.DataFrame:
    """Step: split by time, and try every combination on the held-back days."""
    moment = datetime.fromisoformat(until)
    return backtest(known_only(prepare, recipe, known_by=moment), recipe, until=moment, past=past)


def evaluate(
    prepare: pl.DataFrame, backtest: pl.DataFrame, recipe: Recipe, past: Past, *, until: str
) -> TrainingResult:
    """Step: what the back-test is for, and how good that was."""
    return chosen(prepare, backtest, recipe, until=datetime.fromisoformat(until), past=past)


def train(prepare: pl.DataFrame, evaluate: TrainingResult, recipe: Recipe) -> Estimator:
    """Step: fit the chosen candidate on everything in its window, up to the last label known."""
    estimator, _ = fit(prepare, evaluate.window, recipe.candidates[evaluate.candidate], recipe)
    return estimator


def train_pipeline(recipe: Recipe) -> Pipeline:
    """The training as cached steps: prepare, backtest, evaluate, train. Its inputs are given by `train_inputs`, its param is `until`."""
    return pipeline(f"train-{recipe.deployment}", prepare, as_step(held_back).named("backtest"), evaluate, train)


def train_inputs(recipe: Recipe, dataset: DatasetVersion, tables: TableStore, past: Past) -> dict[str, object]:
    """The rows by their address, read only if a step has to run; the recipe by what it says of learning; what earlier back-tests found."""
    return {
        "rows": Input(digest=dataset.digest, load=lambda: open_table(tables.read(dataset.digest))),
        "recipe": Input(digest=declared(recipe), load=lambda: recipe),
        "past": Input(digest=digest_of(msgspec.json.encode(past)), load=lambda: past),
    }


def pick(held: pl.DataFrame, recipe: Recipe, past: Past) -> Choice:
    """The window and candidate that all back-tests so far are for, this one among them."""
    return choose_pooled([*past, evidence_of(held, recipe)], recipe.policy)


def chosen(
    frame: pl.DataFrame, held: pl.DataFrame, recipe: Recipe, *, until: datetime, past: Past = ()
) -> TrainingResult:
    """The window and candidate that the evidence is for, with metrics on days that the rehearsal had not seen."""
    picked = pick(held, recipe, past)
    since = frame[recipe.time].min()
    assert isinstance(since, datetime)
    window = msgspec.structs.replace(window_of(picked.window, recipe, until=until, since=since), reason=picked.reason)
    return TrainingResult(
        candidate=picked.candidate,
        window=window,
        evidence=tuple(evidence_of(held, recipe)),
        metrics=summary(held[recipe.label].to_numpy(), held[column_of(picked.candidate, picked.window)].to_numpy()),
        params=dict(recipe.candidates[picked.candidate].params),
        rows=frame.filter(pl.col(recipe.time) >= window.since).height,
    )


def declared(recipe: Recipe) -> Digest:
    """The address of everything in the recipe that a training depends on: it is part of each step's cache key."""
    candidates = [
        (name, sorted(c.params.items()), inspect.getsource(c.make)) for name, c in sorted(recipe.candidates.items())
    ]
    return digest_of(repr((recipe.policy, recipe.features, recipe.seed, candidates)).encode())
