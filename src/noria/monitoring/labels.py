"""How labels come: how many, how late, how many never. Answers that still wait are counted as such, so young ones do not make delays look short.

Joining labels with predictions is the prediction log's; what they say of quality is quality*.py. Called by quality_history.py and loop/stages.

Source of the delay's distribution: Kaplan and Meier 1958; of the share that is labelled in the end: its last value among answers old enough.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import msgspec
import numpy as np
from numpy.typing import ArrayLike, NDArray

from noria.domain.interval import Interval
from noria.domain.prediction import Feedback
from noria.domain.quality import Arrival
from noria.errors import InputInvalid
from noria.stats.checks import Floats
from noria.stats.intervals import wilson_interval

QUANTILES = (0.5, 0.9, 0.95, 0.99)
OLD_ENOUGH = 100
"""So many answers must be as old as a delay for it to be told."""
Times = NDArray[np.datetime64]


def moments(times: ArrayLike) -> Times:
    """Times as datetime64[us] in UTC, NaT where there is none; a list of aware datetimes is converted. Raises InputInvalid."""
    array = np.asarray(times)
    if array.dtype.kind == "O" or not array.size:
        array = np.array([np.datetime64("NaT") if t is None else moment(t) for t in array], dtype="datetime64[us]")
    if array.dtype.kind != "M":
        raise InputInvalid("times must be datetimes", remedy="hand in datetime64 values or aware datetimes")
    return array.astype("datetime64[us]")


def moment(at: datetime) -> np.datetime64:
    """An aware datetime (or one in UTC without zone) as datetime64[us]."""
    return np.datetime64(at.replace(tzinfo=None) - (at.utcoffset() or timedelta()), "us")


def as_datetime(at: np.datetime64) -> datetime:
    """The other way round."""
    return datetime.fromtimestamp(0, UTC) + timedelta(microseconds=int(at.astype("datetime64[us]").astype(np.int64)))


def arrival(at: ArrayLike, label_at: ArrayLike, *, known_by: datetime) -> Arrival:
    """How the labels of answers came by a moment. at, label_at: shape (n,), label_at None or NaT where no label is known.

    A label that was known after `known_by` does not count. Raises InputInvalid.
    """
    asked, known = moments(at), moments(label_at)
    if asked.shape != known.shape or asked.ndim != 1:
        raise InputInvalid(f"{asked.shape} answers and {known.shape} labels do not belong together")
    now = moment(known_by)
    asked, known = asked[asked <= now], known[asked <= now]
    have = known <= now
    if not asked.size:
        return Arrival(answers=0, labelled=0, coverage=0.0)
    age = _seconds(np.where(have, known, now) - asked)
    delays, shares, exposed = _kaplan_meier(np.maximum(age, 0.0), have)
    told = exposed >= min(OLD_ENOUGH, asked.size)
    final = float(shares[told][-1]) if told.any() else 0.0
    return Arrival(
        answers=int(asked.size),
        labelled=int(have.sum()),
        coverage=float(have.mean()),
        delay_s=_quantiles(delays[told], shares[told], final),
        final=_final(final, int(exposed[told][-1])) if told.any() else None,
        settled_s=_settled(delays[told], shares[told], final, oldest=float(_seconds(now - asked).max())),
        early=int((have & (known < asked)).sum()),
    )


class FeedbackSummary(msgspec.Struct, frozen=True, kw_only=True):
    """What people said in a stretch of time, and how far it agrees with what happened. No measure of quality: who speaks is not chosen at random.

    approval: share of good among those who said good or bad. agreeing: share of stated values that equal the label, where both are there.
    """

    answers: int
    spoken: int
    good: int
    bad: int
    approval: Interval | None
    with_value: int
    agreeing: Interval | None


def summarise_feedback(
    words: Sequence[Feedback], *, answers: int, labels: dict[str, float] | None = None
) -> FeedbackSummary:
    """Count the newest words of each person. answers: given in the same stretch. labels: what happened, by prediction id, where it is known."""
    good = sum(word.good is True for word in words)
    bad = sum(word.good is False for word in words)
    stated = [word for word in words if word.value is not None]
    both = [(word.value, labels[word.prediction_id]) for word in stated if labels and word.prediction_id in labels]
    return FeedbackSummary(
        answers=answers,
        spoken=len({word.prediction_id for word in words}),
        good=good,
        bad=bad,
        approval=wilson_interval(good, good + bad) if good + bad else None,
        with_value=len(stated),
        agreeing=wilson_interval(sum(said == happened for said, happened in both), len(both)) if both else None,
    )


def _seconds(spans: NDArray[np.timedelta64]) -> Floats:
    return np.asarray(spans / np.timedelta64(1, "s"), dtype=np.float64)


def _kaplan_meier(age: Floats, have: NDArray[np.bool_]) -> tuple[Floats, Floats, NDArray[np.int64]]:
    """Delays at which labels came, the share labelled by then, and how many answers were under watch until just then."""
    order = np.lexsort((~have, age))  # a label and the end of watching at the same age: the label came first
    age, came = age[order], have[order].astype(np.int64)
    delays, first = np.unique(age, return_index=True)
    labels = np.add.reduceat(came, first)
    exposed = age.size - first
    waiting = np.cumprod(1 - labels / exposed)
    kept = labels > 0
    return delays[kept], np.asarray(1 - waiting[kept], dtype=np.float64), exposed[kept].astype(np.int64)


def _quantiles(delays: Floats, shares: Floats, final: float) -> dict[str, float]:
    found = {}
    for q in QUANTILES:
        place = int(np.searchsorted(shares, q * final - 1e-12))
        if final > 0 and place < delays.size:
            found[f"{q:g}"] = float(delays[place])
    return found


def _final(share: float, exposed: int) -> Interval:
    """Wilson's interval as if only those still under watch at the last label told: too wide rather than too narrow."""
    return msgspec.structs.replace(
        wilson_interval(round(share * exposed), exposed),
        value=share,
        method="Kaplan-Meier; Wilson on answers old enough",
    )


def _settled(delays: Floats, shares: Floats, final: float, *, oldest: float) -> float | None:
    """The age at which 95 % of the labels are there, if answers are old enough to know that little follows: twice that age."""
    place = int(np.searchsorted(shares, 0.95 * final - 1e-12))
    if final == 0 or place >= delays.size or oldest < 2 * delays[place]:
        return None
    return float(delays[place])
