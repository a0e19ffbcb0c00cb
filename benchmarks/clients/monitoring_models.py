"""A model that learnt the first part of a stream's reference and is frozen then, its errors in the order in which labels come, and Noria on both.

Called by monitoring_proof. The model is scikit-learn's boosting with its defaults but for 60 trees.
"""

from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import monitoring_stream
import monitoring_watch
import numpy as np
import polars as pl
from sklearn.ensemble import HistGradientBoostingClassifier

from noria.domain.profile import ReferenceProfile
from noria.loop.stages.watch_concept import concept_of
from noria.loop.stages.watch_quality import changes_told
from noria.monitoring import quality
from noria.monitoring.concept import concept, losses_of
from noria.testing.streams import Rows, Stream, joined

LEARNT = 0.6
"""Share of the reference's windows that the model learns from; the rest is its hold-out."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """One frozen model on one stream. errors: 0/1, in order of arrival of the labels, `clean` of them before the change.

    asked, known: when each was predicted, and when its label came.
    scores: P(1) of the current rows, None where there are more than two classes.
    """

    stream: Stream
    at: int
    profile: ReferenceProfile | None
    held_out: Rows
    held_scores: Any
    current: Rows
    scores: Any
    held_errors: Any
    errors: Any
    asked: Any
    known: Any
    clean: int
    error_before: float
    error_after: float


def run(stream: Stream, at: int) -> Run:
    """Learn, freeze, answer."""
    history, current = stream.history(), joined(list(stream))
    learnt = round(stream.reference * LEARNT)
    early = history.window < learnt - stream.reference
    codes = {n: sorted(set(v.tolist())) for n, v in history.columns.items() if v.dtype == object}
    model = HistGradientBoostingClassifier(max_iter=60, random_state=0)
    model.fit(_matrix(history, codes)[early], history.labels[early])
    held = history.take(~early)
    held_p, p = model.predict_proba(_matrix(held, codes)), model.predict_proba(_matrix(current, codes))
    binary = stream.world.classes == 2
    held_wrong, wrong = (model.classes_[q.argmax(axis=1)] != r.labels for q, r in ((held_p, held), (p, current)))
    arrived = np.flatnonzero(~np.isnat(current.label_at))
    arrived = arrived[np.argsort(current.label_at[arrived], kind="stable")]
    changed = current.window[arrived] >= at
    profile = None
    if binary:
        whole = np.concatenate(
            [np.full(int(early.sum()), 0.5), held_p[:, 1]]
        )  # the model's answers to what it learnt are not used
        profile = monitoring_watch.profile_of(stream, history, whole, learnt)
    return Run(
        stream=stream,
        at=at,
        profile=profile,
        held_out=held,
        held_scores=held_p[:, 1] if binary else None,
        current=current,
        scores=p[:, 1] if binary else None,
        held_errors=held_wrong.astype(np.int64),
        errors=wrong[arrived].astype(np.int64),
        asked=current.at[arrived],
        known=current.label_at[arrived],
        clean=int(np.argmax(changed)) if changed.any() else arrived.size,
        error_before=float(wrong[current.window < at].mean()),
        error_after=float(wrong[current.window >= at].mean()),
    )


def _matrix(rows: Rows, codes: dict[str, list[str]]) -> Any:
    """Numbers as they are, texts by their place among what the reference had."""
    place = {n: {v: float(i) for i, v in enumerate(known)} for n, known in codes.items()}
    return np.stack(
        [[place[n].get(x, np.nan) for x in v.tolist()] if n in place else v for n, v in rows.columns.items()], axis=1
    ).astype(np.float64)


def own_rules(runs: list[Run]) -> dict[str, list[list[int]]]:
    """What Noria says, as places in each stream of errors: where an alarm begins."""
    found = {"Noria, change of the error": [_worse(r) for r in runs]}
    if runs[0].profile is not None:
        found["Noria, decay"] = [
            _begins(r, monitoring_watch.decay(r.stream, r.profile, r.current, r.scores).flags)
            for r in runs
            if r.profile
        ]
        found["Noria, change of meaning"] = [_begins(r, _means_else(r)) for r in runs]
    return found


class Log:
    """Stands for the log that the loop remembers folds for; rows are handed in."""


def _means_else(run: Run) -> list[int]:
    """The alert `concept_drift` by the loop's own code: after the hold-out's, labels taken in day by day, one false alarm a year."""
    now, held = run.current, run.held_out
    arrived = np.flatnonzero(~np.isnat(now.label_at))
    rows = _answers(now, run.scores)[arrived].sort("label_at")
    holdout = _answers(held, run.held_scores)
    holdout = holdout.filter(pl.col("label_at") < pl.lit(run.stream.span(0)[0]))
    context, champion = SimpleNamespace(predictions=Log()), SimpleNamespace(number=1)
    recipe = SimpleNamespace(deployment="proof", slices=(), false_page_days=365.0)
    calm = quality.decay(run.profile, [])
    flags: list[int] = []
    stands = 0
    for number in range(run.stream.windows):
        known = rows.filter(pl.col("label_at") <= pl.lit(run.stream.span(number)[1]))
        changes = concept_of(
            context, recipe, champion, known, since=run.stream.span(0)[0], answers=_nothing_beside, holdout=holdout
        )
        if changes is not None:
            seen = pl.concat([holdout, known])
            told = changes_told(changes, calm, seen, run.profile, recipe)
            stands = 1 if told.alert is not None else 0 if told.over else stands
        flags.append(stands)
    return flags


def _nothing_beside(*_: Any) -> pl.DataFrame:
    raise AssertionError("no group is watched, so no input is read")


def _answers(rows: Rows, scores: Any) -> pl.DataFrame:
    utc = pl.Datetime("us", "UTC")
    made = {"label_at": rows.label_at, "at": rows.at, "score": scores, "label": rows.labels.astype(np.float64)}
    return pl.DataFrame(made).with_columns(pl.col("at").cast(utc), pl.col("label_at").cast(utc))


QUIET_LOOKS = 5
"""In the quiet part every so many windows are looked at, afterwards every one: a look folds all labels that are known."""


def _worse(run: Run) -> list[int]:
    """Where concept drift is said to stand: the looks at which the alarm rises."""
    flags, said = [], 0
    for number in range(run.stream.windows):
        if number >= run.at - 1 or number % QUIET_LOOKS == 0:
            end = np.datetime64(run.stream.span(number)[1].replace(tzinfo=None), "us")
            known = run.known <= end
            losses = losses_of(run.errors[known], at=run.asked[known], label_at=run.known[known])
            told = concept(losses, reference=run.held_errors, reference_at=run.held_out.at)
            said = int(told.alarm)
        flags.append(said)
    return _begins(run, flags)


def _begins(run: Run, flags: list[int]) -> list[int]:
    """Rising flags of windows as places: the last label that was known at the window's end."""
    rising = [i for i, f in enumerate(flags) if f and (i == 0 or not flags[i - 1])]
    ends = [np.datetime64(run.stream.span(i)[1].replace(tzinfo=None), "us") for i in rising]
    return [max(0, int((run.known <= end).sum()) - 1) for end in ends]


def write(run: Run, folder: Path) -> Path:
    """The same for peers, as files."""
    folder.mkdir(parents=True)
    np.savez(folder / "errors.npz", reference=run.held_errors, errors=run.errors)
    if run.scores is not None:
        held, now = run.held_out, run.current
        known = np.where(np.isnat(now.label_at), np.nan, now.labels)
        monitoring_stream.save(
            folder / "reference.npz", held.columns, scores=run.held_scores, labels=held.labels, window=held.window
        )
        monitoring_stream.save(folder / "current.npz", now.columns, scores=run.scores, labels=known, window=now.window)
    return folder


def places(run: Run, answer: dict[str, Any]) -> list[int]:
    """A peer's answer as places in the stream of errors. Flags of chunks: the chunk's last label."""
    if "alarms" in answer:
        return list(answer["alarms"])
    rows = int(run.stream.rows)
    return [
        min((i + 1) * rows, run.errors.size) - 1
        for i, f in enumerate(answer["flags"])
        if f and (i == 0 or not answer["flags"][i - 1])
    ]
