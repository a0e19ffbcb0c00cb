"""Say why a deployment got worse, or answers differently, from one stretch of time to another. Pure: arrays in, nouns out.

The change of a mean loss has two parts: the inputs moved to where the model always was worse (data drift that hurts), or the same inputs mean
something else now (concept drift). The first part splits over the inputs. Whether there is drift at all is monitoring/drift. Called by app/causes.

Source: Kitagawa 1955 and Oaxaca 1973 for the split; made doubly robust as in Robins, Rotnitzky and Zhao 1994, so that either the model of the loss or
the weights may be wrong; Cai, Namkoong and Yadlowsky 2023 for its use on shifts.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce
from math import sqrt
from operator import add

import msgspec
import numpy as np
from numpy.typing import ArrayLike, NDArray

from noria.domain.interval import Interval
from noria.errors import EmptySample
from noria.monitoring.slices_axis import Axis, as_numbers, axes_of
from noria.stats.additive import Additive, fit_additive, sums_of
from noria.stats.checks import Floats, Ints, block_codes, vector
from noria.stats.intervals import clustered_interval
from noria.stats.logistic import fit_logistic, one_hot
from noria.stats.quantiles import student_quantile
from noria.stats.sequential import MARGIN_FLOOR, margin_of, wobble_of

HEAVIEST = 20.0
"""No row of before stands for more than this many rows of now."""

NAMED = 0.05
"""An input is named in the verdict when it accounts for at least this share of what the inputs account for."""

OVERLAP = 0.7
"""When fewer of now's rows lie where before has rows to compare with, the split is a guess."""

PENALTY = 1e-4
"""Of the model that tells the stretches apart: the larger, the flatter the weights."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Stretch:
    """Rows of one stretch of time. columns: name -> shape (n,); values: shape (n,), the loss of each row, or whatever changed; days: shape (n,)."""

    columns: Mapping[str, ArrayLike]
    values: ArrayLike
    days: ArrayLike


class Cause(msgspec.Struct, frozen=True, kw_only=True):
    """One input and its part in a change.

    shift: largest difference of a cumulative share, between the stretches; margin: what its own wobble from day to day allows; moved: it is more.
    importance: to the model, as its profile knows it, None if it does not. part: how much of the change its new mix of values accounts for, all
    inputs corrected together; sure: the interval excludes 0. where: the values that came to be more frequent or rarer and matter most.
    """

    feature: str
    shift: float
    margin: float
    moved: bool
    importance: float | None
    part: Interval
    sure: bool
    where: str
    sentence: str


class Diagnosis(msgspec.Struct, frozen=True, kw_only=True):
    """Why a mean changed. change = inputs + meaning. causes: the inputs by what they account for, then by how far important ones moved.

    overlap: share of now's rows that lie where before has rows to compare with. verdict: one sentence.
    """

    measure: str
    before: Interval
    now: Interval
    change: Interval
    inputs: Interval
    meaning: Interval
    overlap: float
    verdict: str
    causes: tuple[Cause, ...]
    notes: tuple[str, ...] = ()


def diagnose(
    before: Stretch,
    now: Stretch,
    *,
    measure: str = "loss",
    importance: Mapping[str, float] | None = None,
    level: float = 0.95,
    least: float = MARGIN_FLOOR,
    seed: int = 0,
) -> Diagnosis:
    """Split the change of a mean into what the inputs account for, each of them, and what they do not.

    The model of the values and the weights are learnt on half of before's days and used on the other half, and the other way round; days count as
    independent. importance: input -> any non-negative measure. least: a shift of a cumulative share up to this is no matter. Deterministic for a
    seed. Raises EmptySample when a stretch has fewer than four days or the stretches have no column in common, InputInvalid.
    """
    many = [int(np.unique(np.asarray(side.days)).size) for side in (before, now)]
    if min(many) < 4:
        raise EmptySample(
            f"a change is explained from four days on each side, there are {many[0]} before and {many[1]} now",
            remedy="take longer stretches",
        )
    old, new = vector(before.values, "before"), vector(now.values, "now")
    old_days, new_days = block_codes(before.days, old.size)[0], block_codes(now.days, new.size)[0]
    shared = {name: np.asarray(before.columns[name]) for name in before.columns if name in now.columns}
    axes = axes_of(shared, bins=16) if shared else []
    if not axes:
        raise EmptySample("the two stretches have no column in common that takes two values")
    codes = np.stack([axis.codes(shared[axis.name]) for axis in axes], axis=1)
    later = np.stack([axis.codes(now.columns[axis.name]) for axis in axes], axis=1)
    nuisances = _nuisances(axes, codes, later, old, days=old_days, seed=seed)
    mean_old, mean_new = _mean(old, old_days, level), _mean(new, new_days, level)
    change = _join(mean_new, mean_old, sign=-1.0)
    inputs, meaning = _split(nuisances, old, new, days=(old_days, new_days), change=change)
    overlap = float((nuisances.common & _seen(shared, now.columns, axes)).mean())
    causes = _causes(
        axes,
        codes,
        later,
        nuisances=nuisances,
        days=(old_days, new_days),
        importance=importance,
        level=level,
        least=least,
    )
    rare = f"only {overlap:.0%} of the rows now lie where there were rows before: the split is a guess"
    return Diagnosis(
        measure=measure,
        before=mean_old,
        now=mean_new,
        change=change,
        inputs=inputs,
        meaning=meaning,
        overlap=overlap,
        verdict=_verdict(measure, change, inputs, meaning, causes),
        causes=causes,
        notes=(rare,) if overlap < OVERLAP else (),
    )


@dataclass(frozen=True, eq=False, kw_only=True)
class _Nuisances:
    """What the split needs of both models. weight, modelled: of before's rows; ahead: modelled values of now's rows; common: which of these lie where
    before has rows to compare with. parts: the model over all days; without: over all but one group of days each; folds: these groups."""

    weight: Floats
    modelled: Floats
    ahead: Floats
    common: NDArray[np.bool_]
    parts: Additive
    without: tuple[Additive, ...]
    folds: Ints


def _split(
    found: _Nuisances, old: Floats, new: Floats, *, days: tuple[Ints, Ints], change: Interval
) -> tuple[Interval, Interval]:
    """The part of the inputs and the part of what they mean, each with the pull of the rows of both stretches."""
    level, rows = change.level, old.size + new.size
    correction = found.weight * (old - found.modelled)
    by_inputs = float(found.ahead.mean() + correction.mean() - old.mean())
    inputs = _around(
        by_inputs,
        _pull(found.ahead, days[1], level),
        _pull(correction - old, days[0], level),
        n=rows,
        level=level,
    )
    meaning = _around(
        change.value - by_inputs,
        _pull(new - found.ahead, days[1], level),
        _pull(correction, days[0], level),
        n=rows,
        level=level,
    )
    return inputs, meaning


def _nuisances(axes: list[Axis], codes: Ints, later: Ints, values: Floats, *, days: Ints, seed: int) -> _Nuisances:
    """Each row of before is weighted and modelled by the half of the days it is not in; rows of now by the mean of both models."""
    widths = [axis.bins for axis in axes]
    folds = _folds(days, seed=seed)
    sums = sums_of(codes, widths, values, folds=folds)
    whole = reduce(add, sums)
    coin = np.arange(later.shape[0]) % 2 == 0
    weight, modelled = np.empty(values.size), np.empty(values.size)
    ahead, common = np.zeros(later.shape[0]), np.zeros(later.shape[0])
    for half in (0, 1):
        learn, judge = folds % 2 == half, folds % 2 != half
        model = fit_additive(reduce(add, sums[half::2]))
        modelled[judge] = model.predict(codes[judge])
        ahead += model.predict(later) / 2
        part = coin if half == 0 else ~coin
        is_new = np.concatenate([np.zeros(int(learn.sum())), np.ones(int(part.sum()))])
        told = fit_logistic(one_hot(np.concatenate([codes[learn], later[part]]), widths), is_new, penalty=PENALTY)
        rows = (is_new == 0).sum() / (is_new == 1).sum()
        ratio = rows * np.exp(np.clip(told.log_odds(one_hot(codes[judge], widths)), -30, 30))
        kept = np.minimum(ratio, HEAVIEST)
        weight[judge] = kept / max(float(kept.mean()), 1e-12)
        common += rows * np.exp(np.clip(told.log_odds(one_hot(later, widths)), -30, 30)) / 2
    models = [fit_additive(whole - one) for one in sums if one.rows]
    return _Nuisances(
        weight=weight,
        modelled=modelled,
        ahead=ahead,
        common=common <= HEAVIEST,
        parts=fit_additive(whole),
        without=tuple(models),
        folds=np.unique(folds, return_inverse=True)[1].astype(np.int64),
    )


def _folds(days: Ints, *, seed: int) -> Ints:
    """Ten groups of days, 0..9; the even ones are one half, the odd ones the other, and of two neighbouring days one is in each."""
    groups = int(days.max()) + 1
    coin = np.random.default_rng(seed).integers(0, 2, (groups + 1) // 2)
    order = np.arange(groups)
    half = (order + np.repeat(coin, 2)[:groups]) % 2
    return np.asarray((2 * ((order // 2) % 5) + half)[days], dtype=np.int64)


def _mean(values: Floats, days: Ints, level: float) -> Interval:
    return clustered_interval(float(values.mean()), values - values.mean(), days, level=level)


def _pull(values: Floats, days: Ints, level: float) -> float:
    """Half the width of the interval of a mean of these values."""
    return clustered_interval(0.0, values - values.mean(), days, level=level).high


def _around(value: float, one: float, other: float, *, n: int, level: float) -> Interval:
    reach = sqrt(one**2 + other**2)
    return Interval(
        value=value, low=value - reach, high=value + reach, n=n, level=level, method="doubly robust; t over days"
    )


def _join(first: Interval, second: Interval, *, sign: float) -> Interval:
    value = first.value + sign * second.value
    reach = sqrt((first.high - first.value) ** 2 + (second.high - second.value) ** 2)
    return Interval(
        value=value,
        low=value - reach,
        high=value + reach,
        n=first.n + second.n,
        level=first.level,
        method="t over days",
    )


def _causes(
    axes: list[Axis],
    codes: Ints,
    later: Ints,
    *,
    nuisances: _Nuisances,
    days: tuple[Ints, Ints],
    importance: Mapping[str, float] | None,
    level: float,
    least: float,
) -> tuple[Cause, ...]:
    each = 1 - (1 - level) / len(axes)
    total = sum(importance.values()) if importance else 0.0
    parts = nuisances.parts
    means, errors = _jackknife(nuisances, codes, later)
    new_parts = parts.parts(later)
    groups = len(nuisances.without)
    found = []
    for i, axis in enumerate(axes):
        shift, margin = _shift(axis, codes[:, i], later[:, i], days=days, least=least)
        part = _around(
            float(means[i]),
            _pull(new_parts[:, i], days[1], each),
            student_quantile((1 + each) / 2, groups - 1) * float(errors[i]),
            n=codes.shape[0] + later.shape[0],
            level=each,
        )
        weight = importance.get(axis.name, 0.0) / total if importance and total > 0 else None
        cause = Cause(
            feature=axis.name,
            shift=shift,
            margin=margin,
            moved=shift > margin,
            importance=weight,
            part=part,
            sure=part.low > 0 or part.high < 0,
            where=_where(axis, codes[:, i], later[:, i], parts.steps[i]),
            sentence="",
        )
        found.append(msgspec.structs.replace(cause, sentence=_sentence(cause)))
    found.sort(key=lambda c: (not c.sure, -abs(c.part.value), -(c.importance or 0.0) * c.moved * c.shift, c.feature))
    return tuple(found)


def _jackknife(found: _Nuisances, codes: Ints, later: Ints) -> tuple[Floats, Floats]:
    """What each input accounts for, and its standard error by leaving out groups of before's days: of its steps and of its mix. Shapes (inputs,).

    Source: the delete-a-group jackknife, Kott 2001.
    """
    value = found.parts.parts(later).mean(axis=0) - found.parts.parts(codes).mean(axis=0)
    left = []
    for fold, model in enumerate(found.without):
        left.append(model.parts(later).mean(axis=0) - model.parts(codes[found.folds != fold]).mean(axis=0))
    groups = len(left)
    spread = np.sqrt((groups - 1) / groups * ((np.stack(left) - np.mean(left, axis=0)) ** 2).sum(axis=0))
    return np.asarray(value), np.asarray(spread)


def _seen(before: Mapping[str, ArrayLike], now: Mapping[str, ArrayLike], axes: list[Axis]) -> NDArray[np.bool_]:
    """Which rows of now have no number outside before's range."""
    inside = np.ones(np.asarray(now[axes[0].name]).shape[0], dtype=bool)
    for axis in axes:
        if axis.kind == "number":
            old, new = (as_numbers(axis.name, np.asarray(side[axis.name])) for side in (before, now))
            inside &= np.isnan(new) | ((new >= np.nanmin(old)) & (new <= np.nanmax(old)))
    return inside


def _shift(axis: Axis, old: Ints, new: Ints, *, days: tuple[Ints, Ints], least: float) -> tuple[float, float]:
    """The largest difference of a cumulative share measured in its margin, and that margin.

    The margin is the one drift is judged by (ADR 10), for the mean of as many days as there are now; days that follow each other resemble each other.
    """
    table = np.bincount(days[0] * axis.bins + old, minlength=(int(days[0].max()) + 1) * axis.bins)
    table = table.reshape(-1, axis.bins)
    counts, newer = table.sum(axis=0), np.bincount(new, minlength=axis.bins)
    share, later = np.cumsum(counts) / counts.sum(), np.cumsum(newer) / newer.sum()
    daily = np.cumsum(table, axis=1) / table.sum(axis=1, keepdims=True)
    long = int(days[1].max()) + 1
    wobble = wobble_of(table) * np.sqrt(_memory(daily) / long)
    margin = (
        margin_of(share, counts.sum(), wobble, windows=1, floor=least)
        if long > table.shape[0]
        else margin_of(share, counts.sum(), wobble, windows=round(table.shape[0] / long), floor=least)
    )
    allowed = np.sqrt(margin**2 + 9 * later * (1 - later) / newer.sum())[:-1]
    moved = np.abs(later - share)[:-1]
    worst = int(np.argmax(moved / allowed))
    return float(moved[worst]), float(allowed[worst])


def _memory(daily: Floats) -> Floats:
    """How many times the variance of a mean over days grows because neighbours resemble each other: (1 + r) / (1 - r), r of lag 1, at most 9."""
    centred = daily - daily.mean(axis=0)
    spread = (centred**2).sum(axis=0)
    together = (centred[1:] * centred[:-1]).sum(axis=0)
    r = np.clip(np.divide(together, spread, out=np.zeros_like(spread), where=spread > 0), 0.0, 0.8)
    return np.asarray((1 + r) / (1 - r))


def _where(axis: Axis, old: Ints, new: Ints, steps: Floats) -> str:
    """The values whose new share did most, and how it changed."""
    before = np.bincount(old, minlength=axis.bins) / old.size
    after = np.bincount(new, minlength=axis.bins) / new.size
    pull = np.abs((after - before) * steps)
    worst = int(np.argmax(pull if pull.any() else np.abs(after - before)))
    return f"{axis.condition(worst, worst)}: {before[worst]:.1%} -> {after[worst]:.1%}"


def _sentence(cause: Cause) -> str:
    weight = f", {cause.importance:.0%} of the importance" if cause.importance is not None else ""
    if cause.moved:
        moved = f"moved by {cause.shift:.1%} (its wobble allows {cause.margin:.1%}){weight}"
    else:
        moved = f"did not move beyond its wobble ({cause.shift:.1%} of {cause.margin:.1%}){weight}"
    part = f"accounts for {cause.part.value:+.4g} [{cause.part.low:+.4g}, {cause.part.high:+.4g}]"
    return f"{cause.feature} {moved}; {part}" if cause.sure else f"{cause.feature} {moved}; no sure part in the change"


def _verdict(measure: str, change: Interval, inputs: Interval, meaning: Interval, causes: tuple[Cause, ...]) -> str:
    def said(found: Interval) -> str:
        return f"{found.value:+.4g} [{found.low:+.4g}, {found.high:+.4g}]"

    large = [c.feature for c in causes if c.sure and c.part.value * inputs.value >= NAMED * inputs.value**2]
    likely = [c.feature for c in causes if c.moved and c.part.value * inputs.value >= NAMED * inputs.value**2]
    named = ", ".join(large[:4]) + (f" and {len(large) - 4} more" if len(large) > 4 else "")
    if not large and likely:
        named = f"likely {', '.join(likely[:4])}, none surely by itself"
    changed, by_inputs, by_meaning = (found.low > 0 or found.high < 0 for found in (change, inputs, meaning))
    if not changed and not (by_inputs and by_meaning):
        return f"the mean {measure} did not surely change: {said(change)}"
    parts = []
    if by_inputs:
        parts.append(f"{said(inputs)} because the inputs moved" + (f" ({named})" if named else ""))
    if by_meaning:
        parts.append(f"{said(meaning)} because the same inputs mean something else now")
    reasons = ", and ".join(parts) or "neither part is sure by itself"
    whole = f"changed by {said(change)}" if changed else f"did not surely change ({said(change)}), its parts did"
    return f"the mean {measure} {whole}: {reasons}"
