"""Look at the errors of labelled answers: which there are, in which direction, where, and examples. Pure: arrays in, nouns out.

Whether there are more of them than there should be is monitoring/quality. Groups are monitoring/slices, causes of a change monitoring/blame.
Called by app/analysis.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import msgspec
import numpy as np
from numpy.typing import ArrayLike

from noria.domain.interval import Interval
from noria.domain.prediction import Scalar
from noria.errors import EmptySample, InputInvalid, LabelInvalid, NotFound
from noria.monitoring.errors_attribution import Attribution, attribute, told_together
from noria.monitoring.slices import Found, Mask, SliceSearch, find_slices
from noria.stats.checks import Floats, Ints, block_codes
from noria.stats.intervals import mean_interval
from noria.stats.metrics import CLIP, entropy, row_log_loss
from noria.stats.shares import share_interval

Task = Literal["binary", "multiclass", "regression"]
MEASURES = ("loss", "excess", "error", "over", "under")
"""What groups are compared by: `loss`; `excess`, the loss above what the scores expected; `error`, on the wrong side; `over` and `under`, signed."""

CLASSES = 20
"""Classes that a confusion matrix shows; the others are counted together."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Answers:
    """Labelled answers of one model. `answers_of` makes and checks them.

    happened: shape (n,), 0/1, the number of a class, or a quantity. said: shape (n,), the probability, the number of the class that was answered,
    or the quantity. loss: shape (n,), log loss in nats, or 0/1 for classes without probabilities, or the absolute error.
    expected: what a binary score expected its loss to be. threshold: from which score on an answer is a positive one.
    """

    task: Task
    happened: Floats
    said: Floats
    loss: Floats
    unit: str
    expected: Floats | None = None
    threshold: float = 0.5

    @property
    def rows(self) -> int:
        """How many answers there are."""
        return int(self.happened.size)

    @property
    def wrong(self) -> Mask:
        """Answers on the wrong side. Raises InputInvalid for quantities, which have no sides."""
        if self.task == "regression":
            raise InputInvalid("quantities are not right or wrong", remedy="compare by loss, over or under")
        if self.task == "binary":
            return np.asarray((self.said >= self.threshold) != (self.happened == 1))
        return np.asarray(self.said != self.happened)

    def measure(self, by: str) -> Floats:
        """One value a row to compare groups by, higher is worse. Raises NotFound, InputInvalid where the task has none."""
        if by not in MEASURES:
            raise NotFound.of("measure", by, list(MEASURES), remedy="noria errors DEPLOYMENT --by loss")
        if by == "loss":
            return self.loss
        if by == "error":
            return self.wrong.astype(np.float64)
        if self.task == "multiclass" or (by == "excess" and self.expected is None):
            raise InputInvalid(f"{by!r} means nothing for a {self.task} model", remedy="compare by loss")
        if by == "excess":
            assert self.expected is not None
            return self.loss - self.expected
        return self.said - self.happened if by == "over" else self.happened - self.said


def answers_of(
    happened: ArrayLike,
    said: ArrayLike,
    *,
    task: Task | None = None,
    threshold: float = 0.5,
    probabilities: ArrayLike | None = None,
) -> Answers:
    """Check labels against answers. task: None to tell by the values: labels 0/1 and answers in [0, 1] are binary, else a regression.

    happened, said: shape (n,), finite. probabilities: shape (n, classes), for classes; then `said` is their most probable one.
    Raises EmptySample, InputInvalid, LabelInvalid for labels that the task cannot have.
    """
    y = np.asarray(happened, dtype=np.float64)
    if probabilities is not None:
        return _of_classes(y, np.asarray(probabilities, dtype=np.float64))
    p = np.asarray(said, dtype=np.float64)
    if y.shape != p.shape or y.ndim != 1:
        raise InputInvalid(f"labels have shape {y.shape}, answers {p.shape}")
    if y.size == 0:
        raise EmptySample("no answer has a label yet", remedy="wait for labels, or take a longer window")
    if not (np.isfinite(y).all() and np.isfinite(p).all()):
        raise InputInvalid("labels and answers must be finite", remedy="leave out rows without a value first")
    binary = bool(np.isin(y, (0.0, 1.0)).all() and (p >= 0).all() and (p <= 1).all())
    kind: Task = task or ("binary" if binary else "regression")
    if kind == "binary" and not binary:
        raise LabelInvalid(
            "labels must be 0 or 1 and scores in [0, 1]",
            cause=f"labels run from {y.min():g} to {y.max():g}, scores from {p.min():g} to {p.max():g}",
            remedy="say --task regression, or send other labels",
        )
    if kind == "binary":
        return Answers(
            task=kind,
            happened=y,
            said=p,
            loss=row_log_loss(y, p),
            unit="log loss, nats",
            expected=entropy(p),
            threshold=threshold,
        )
    if kind == "multiclass":
        return Answers(task=kind, happened=y, said=p, loss=(y != p).astype(np.float64), unit="share of wrong answers")
    return Answers(task=kind, happened=y, said=p, loss=np.abs(y - p), unit="absolute error")


def _of_classes(y: Floats, p: Floats) -> Answers:
    if p.ndim != 2 or p.shape[0] != y.size:
        raise InputInvalid(f"labels have shape {y.shape}, probabilities {p.shape}")
    if y.size == 0:
        raise EmptySample("no answer has a label yet", remedy="wait for labels, or take a longer window")
    if not np.isin(y, np.arange(p.shape[1])).all():
        raise LabelInvalid(
            f"a label is none of the {p.shape[1]} classes",
            cause=f"labels run from {y.min():g} to {y.max():g}",
            remedy="send the position of the class among the model's probabilities, from 0",
        )
    if not np.isfinite(p).all():
        raise InputInvalid("probabilities must be finite", remedy="leave out rows without a value first")
    at = p[np.arange(y.size), y.astype(np.int64)]
    return Answers(
        task="multiclass",
        happened=y,
        said=p.argmax(axis=1).astype(np.float64),
        loss=-np.log(np.clip(at, CLIP, 1.0)),
        unit="log loss, nats",
    )


class Mixup(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of wrong answer: what happened, what was said, how often, and as a share of all wrong answers."""

    happened: str
    said: str
    rows: int
    share: float


class Confusion(msgspec.Struct, frozen=True, kw_only=True):
    """Answers by what happened (rows) and what was said (columns). rates: with intervals; None where there is nothing to divide by.

    threshold: the score from which on a binary answer counts as positive. mixups: the most frequent kinds of wrong answers.
    """

    classes: tuple[str, ...]
    matrix: tuple[tuple[int, ...], ...]
    rates: dict[str, Interval | None]
    threshold: float | None = None
    mixups: tuple[Mixup, ...] = ()
    note: str = ""


class ResidualBin(msgspec.Struct, frozen=True, kw_only=True):
    """Answers that said about the same. gap: mean of what happened minus what was said, corrected for the number of bins."""

    low: float
    high: float
    rows: int
    said: float
    happened: float
    gap: Interval


class Residuals(msgspec.Struct, frozen=True, kw_only=True):
    """What happened minus what was said, by what was said. bias: its mean. quantiles: of single residuals, by name ('p05')."""

    bias: Interval
    bins: tuple[ResidualBin, ...]
    quantiles: dict[str, float]


class Example(msgspec.Struct, frozen=True, kw_only=True):
    """One answer worth looking at, and why."""

    prediction_id: str
    at: datetime | None
    happened: float
    said: float
    loss: float
    because: str
    inputs: dict[str, Scalar] = {}


class ErrorReport(msgspec.Struct, frozen=True, kw_only=True):
    """The errors of labelled answers. unit: of the loss; by: the measure that groups are compared by.

    together: share of the differences between the measure's values that all columns together tell, on rows that were not used to learn it. Of
    `excess` that is what the model could still learn. notes: what could not be said, and why.
    """

    task: Task
    unit: str
    by: str
    rows: int
    loss: Interval | None
    confusion: Confusion | None
    residuals: Residuals | None
    slices: SliceSearch | None
    attributions: tuple[Attribution, ...]
    examples: tuple[Example, ...]
    together: Interval | None = None
    notes: tuple[str, ...] = ()


def error_report(
    answers: Answers,
    columns: Mapping[str, ArrayLike],
    *,
    ids: Sequence[str],
    blocks: ArrayLike | None = None,
    times: Sequence[datetime] | None = None,
    by: str = "loss",
    ways: int = 2,
    limit: int = 8,
    classes: Sequence[str] = (),
    seed: int = 0,
) -> ErrorReport:
    """Everything about the errors of these answers. What too few rows cannot answer is left out and said in `notes`.

    columns: name -> values of shape (n,), what groups are formed by. ids: of the predictions. blocks: day of each row. classes: their names, for a
    multiclass model. Deterministic for a seed. Raises InputInvalid, NotFound for a measure.
    """
    values = answers.measure(by)
    notes: list[str] = []
    found: Found | None = None
    try:
        found = find_slices(columns, values, blocks=blocks, ways=ways, limit=limit, seed=seed)
        if found.search.note:
            notes.append(found.search.note)
    except EmptySample as exc:
        notes.append(f"groups: {exc.problem}")
    loss: Interval | None = None
    try:
        loss = mean_interval(answers.loss, blocks)
    except EmptySample as exc:
        notes.append(f"loss: {exc.problem}")
    told = attribute(columns, values, blocks=blocks, seed=seed) if found else ()
    return ErrorReport(
        task=answers.task,
        unit=answers.unit,
        by=by,
        rows=answers.rows,
        loss=loss,
        confusion=None if answers.task == "regression" else confusion(answers, blocks=blocks, classes=classes),
        residuals=None if answers.task == "multiclass" else residuals(answers, blocks=blocks),
        slices=found.search if found else None,
        attributions=told,
        examples=examples(answers, columns, ids=ids, times=times, found=found, told=told),
        together=told_together(columns, values, blocks=blocks, seed=seed) if told else None,
        notes=tuple(notes),
    )


def confusion(answers: Answers, *, blocks: ArrayLike | None = None, classes: Sequence[str] = ()) -> Confusion:
    """Count answers by what happened and what was said, with rates. classes: names by number; default '0', '1', ... Raises InputInvalid."""
    if answers.task == "binary":
        return _two_sides(answers, blocks, names=tuple(classes[:2]) if len(classes) >= 2 else ("0", "1"))
    distinct, counts = np.unique(np.concatenate([answers.happened, answers.said]), return_counts=True)
    shown = np.sort(distinct[np.argsort(-counts, kind="stable")][:CLASSES])
    names = [str(classes[int(c)]) if 0 <= int(c) < len(classes) else f"{c:g}" for c in shown]
    more = distinct.size > shown.size
    place = {float(c): i for i, c in enumerate(shown)}
    last = len(names)
    rows = np.array([place.get(float(v), last) for v in answers.happened])
    said = np.array([place.get(float(v), last) for v in answers.said])
    width = last + more
    matrix = np.bincount(rows * width + said, minlength=width * width).reshape(width, width)
    names += ["all others"] if more else []
    return Confusion(
        classes=tuple(names),
        matrix=tuple(tuple(int(v) for v in row) for row in matrix),
        rates={"accuracy": _share(~answers.wrong, np.ones(answers.rows, dtype=bool), blocks)},
        mixups=_mixups(matrix, names, wrong=int(answers.wrong.sum())),
        note=f"{distinct.size - shown.size} rare classes are counted together" if more else "",
    )


def _two_sides(answers: Answers, blocks: ArrayLike | None, *, names: tuple[str, ...]) -> Confusion:
    yes, positive = answers.happened == 1, answers.said >= answers.threshold
    everyone = np.ones(answers.rows, dtype=bool)
    matrix = np.bincount(yes * 2 + positive, minlength=4).reshape(2, 2)
    note = ""
    if positive.all() or not positive.any():
        matching = float(np.quantile(answers.said, 1 - yes.mean()))
        side = "positive" if positive.any() else "negative"
        note = f"every answer is {side} at {answers.threshold:g}; as many answers as outcomes are positive from {matching:.3g} on"
    return Confusion(
        classes=names,
        matrix=tuple(tuple(int(v) for v in row) for row in matrix),
        rates={
            "accuracy": _share(yes == positive, everyone, blocks),
            "precision": _share(yes, positive, blocks),
            "recall": _share(positive, yes, blocks),
            "false_positive_rate": _share(positive, ~yes, blocks),
        },
        threshold=answers.threshold,
        mixups=_mixups(matrix, names, wrong=int(answers.wrong.sum())),
        note=note,
    )


def _share(hits: Mask, among: Mask, blocks: ArrayLike | None) -> Interval | None:
    if not among.any():
        return None
    return share_interval(hits[among].astype(np.float64), None if blocks is None else np.asarray(blocks)[among])


def _mixups(matrix: Ints, names: Sequence[str], *, wrong: int) -> tuple[Mixup, ...]:
    found = [
        Mixup(happened=names[i], said=names[j], rows=int(matrix[i, j]), share=float(matrix[i, j]) / max(wrong, 1))
        for i in range(len(names))
        for j in range(len(names))
        if i != j and matrix[i, j]
    ]
    return tuple(sorted(found, key=lambda m: (-m.rows, m.happened, m.said))[:8])


def residuals(
    answers: Answers, *, blocks: ArrayLike | None = None, bins: int = 10, level: float = 0.95
) -> Residuals | None:
    """What happened minus what was said, over equal parts of what was said. None when the rows are of one block only."""
    gap = answers.happened - answers.said
    codes, groups = block_codes(blocks, answers.rows)
    if groups < 2:
        return None
    edges = np.unique(np.quantile(answers.said, np.linspace(0, 1, bins + 1)[1:-1]))
    where = np.searchsorted(edges, answers.said, side="left")
    used = np.unique(where)
    each = 1 - (1 - level) / used.size
    found = []
    for b in used:
        inside = where == b
        try:
            interval = mean_interval(gap[inside], codes[inside], level=each)
        except EmptySample:
            continue
        said = answers.said[inside]
        found.append(
            ResidualBin(
                low=float(said.min()),
                high=float(said.max()),
                rows=int(inside.sum()),
                said=float(said.mean()),
                happened=float(answers.happened[inside].mean()),
                gap=interval,
            )
        )
    names = {"p05": 0.05, "p25": 0.25, "p50": 0.5, "p75": 0.75, "p95": 0.95}
    return Residuals(
        bias=mean_interval(gap, codes, level=level),
        bins=tuple(found),
        quantiles={name: float(np.quantile(gap, q)) for name, q in names.items()},
    )


def examples(
    answers: Answers,
    columns: Mapping[str, ArrayLike],
    *,
    ids: Sequence[str],
    times: Sequence[datetime] | None = None,
    found: Found | None = None,
    told: Sequence[Attribution] = (),
    each: int = 3,
    limit: int = 12,
) -> tuple[Example, ...]:
    """Answers to look at: the worst of every sure group, then the worst of all, none twice. Inputs: those that the groups and `told` speak of."""
    chosen: dict[int, str] = {}
    speaking = [a.column for a in told if a.sure]
    for slice_, members in zip(found.search.slices, found.members, strict=True) if found else ():
        if slice_.sure:
            speaking += [c.column for c in slice_.conditions]
            for row in _worst(answers.loss, np.flatnonzero(members), each):
                chosen.setdefault(row, f"among the worst where {slice_}")
    for row in _worst(answers.loss, np.arange(answers.rows), limit):
        chosen.setdefault(row, "among the worst of all")
    shown = list(dict.fromkeys(speaking))[:8] or list(columns)[:8]
    return tuple(
        Example(
            prediction_id=ids[row],
            at=times[row] if times is not None else None,
            happened=float(answers.happened[row]),
            said=float(answers.said[row]),
            loss=float(answers.loss[row]),
            because=because,
            inputs={name: plain(np.asarray(columns[name])[row]) for name in shown},
        )
        for row, because in list(chosen.items())[:limit]
    )


def _worst(loss: Floats, rows: Ints, number: int) -> list[int]:
    return [int(r) for r in rows[np.argsort(-loss[rows], kind="stable")[:number]]]


def plain(value: object) -> Scalar:
    """A NumPy scalar as Python's own; NaN as None."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or (isinstance(value, float) and np.isnan(value)):
        return None
    return value if isinstance(value, str | int | float | bool) else str(value)
