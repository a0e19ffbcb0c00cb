"""Find the groups of rows where a model does worst, by one or two columns, and say how sure that is. Pure: arrays in, nouns out.

One half of the rows is searched, the other half judges the few groups found: what stands here was not chosen because chance made it look bad.
Cutting columns is monitoring/slices_axis; losses come from monitoring/errors. Called by app/analysis.

Source: the split is the classical one (Cox 1975); looking for slices: Chung et al. 2019 (SliceFinder), Sagadeeva and Boehm 2021 (SliceLine).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

import msgspec
import numpy as np
from numpy.typing import ArrayLike, NDArray

from noria.domain.interval import Interval
from noria.errors import EmptySample, InputInvalid
from noria.monitoring.slices_axis import Axis, Condition, axes_of
from noria.stats.checks import Floats, Ints, block_codes, vector
from noria.stats.intervals import clustered_interval
from noria.stats.quantiles import student_quantile

Mask = NDArray[np.bool_]

SMALLEST_SLICE = 60
"""Groups with fewer searched rows are not looked at: their mean says nothing."""

SPLIT_BLOCKS = 8
"""With fewer days than this, rows are split instead of days."""

PAIRED_COLUMNS = 20
"""Pairs are formed among so many columns, those that tell the loss apart best."""

BINS = 8
"""Bins of a number; any run of them may be a group."""

POOL = 200
"""Candidates among which the groups to be judged are chosen."""

NEAR = 2.0
"""Standard errors by which a group must stand out in the searched half to become a candidate, and a pair from each of its two parents."""


class Slice(msgspec.Struct, frozen=True, kw_only=True):
    """A group of rows. All figures are of the half that did not find it.

    rows, share: its size there; mean, outside: mean loss in it and of all other rows; excess: their difference, limits corrected for the number of
    groups judged; harm: share of the total loss that would go if the group were like the others (None for measures that are not losses: they have
    values below 0). sure: the whole interval lies above `least`.
    """

    conditions: tuple[Condition, ...]
    rows: int
    share: float
    mean: float
    outside: float
    excess: Interval
    harm: float | None
    sure: bool

    def __str__(self) -> str:
        return " and ".join(str(c) for c in self.conditions)


class SliceSearch(msgspec.Struct, frozen=True, kw_only=True):
    """What a search found, the surely worst first. tried: groups that were looked at; judged: those that the other half judged.

    level: chance that every interval holds, together. note: what limits it.
    """

    slices: tuple[Slice, ...]
    tried: int
    judged: int
    searched_rows: int
    judging_rows: int
    blocks: int
    mean: float
    level: float
    note: str = ""

    @property
    def sure(self) -> tuple[Slice, ...]:
        """The groups that are worse beyond doubt."""
        return tuple(s for s in self.slices if s.sure)


@dataclass(frozen=True, eq=False, kw_only=True)
class Found:
    """A search and, for each of its groups in the same order, which of all rows belong to it: masks of shape (n,)."""

    search: SliceSearch
    members: tuple[Mask, ...]


@dataclass(frozen=True, eq=False, kw_only=True)
class _Candidate:
    """A group as the search sees it: runs of bins of one or two axes, and how far it stands out."""

    z: float
    runs: tuple[tuple[Axis, int, int], ...]

    def members(self, codes: Mapping[str, Ints]) -> Mask:
        """Which rows belong to it."""
        masks = [(codes[axis.name] >= first) & (codes[axis.name] <= last) for axis, first, last in self.runs]
        return np.asarray(np.logical_and.reduce(masks), dtype=bool)


@dataclass(frozen=True, eq=False, kw_only=True)
class Halves:
    """Rows to search in and rows to judge by; blocks: codes of all rows, or None where every row stands alone."""

    search: Mask
    blocks: Ints | None
    groups: int
    note: str


def find_slices(
    columns: Mapping[str, ArrayLike],
    losses: ArrayLike,
    *,
    blocks: ArrayLike | None = None,
    limit: int = 8,
    level: float = 0.95,
    least: float = 0.0,
    ways: int = 2,
    minimum_rows: int = SMALLEST_SLICE,
    seed: int = 0,
) -> Found:
    """The groups with the highest mean loss against all other rows.

    columns: name -> values of shape (n,), numbers or text; losses: shape (n,), finite, higher is worse; blocks: shape (n,), the day of each row.
    limit: how many groups are judged. least: an excess up to this is no matter. ways: 1 or 2 columns a group. Deterministic for a seed.
    Where nothing differs, one search in twenty names a sure group (level 0.95). Raises InputInvalid, EmptySample for too few rows.

    >>> rows = np.arange(4000)
    >>> found = find_slices({"shop": np.where(rows % 4 == 0, "web", "north")}, (rows % 4 == 0) + rows % 3 / 3)
    >>> str(found.search.slices[0]), found.search.slices[0].sure, int(found.members[0].sum())
    ("shop = 'web'", True, 1000)
    """
    loss = vector(losses, "losses")
    if ways not in (1, 2):
        raise InputInvalid(f"groups are formed by one or two columns, not {ways}")
    if any(np.asarray(values).shape[:1] != loss.shape for values in columns.values()):
        raise InputInvalid("columns and losses have different lengths")
    if loss.size < 4 * minimum_rows:
        raise EmptySample(
            f"{loss.size} rows are too few to look for groups of {minimum_rows} in one half and judge them by the other",
            remedy="take a longer window",
        )
    halves = halve(loss.size, blocks, seed=seed)
    searched = {name: np.asarray(values)[halves.search] for name, values in columns.items()}
    axes = axes_of(searched, bins=BINS)
    codes = {axis.name: axis.codes(columns[axis.name]) for axis in axes}
    here = {name: found[halves.search] for name, found in codes.items()}
    tried, pool = _search(axes, here, loss[halves.search], ways=ways, minimum=minimum_rows)
    chosen = _distinct(pool, here, loss[halves.search], limit=limit)
    corrected = 1 - (1 - level) / max(len(chosen), 1)
    there = {name: found[~halves.search] for name, found in codes.items()}
    judging = None if halves.blocks is None else halves.blocks[~halves.search]
    kept = _judge_all(chosen, there, loss[~halves.search], blocks=judging, level=corrected, least=least)
    kept.sort(key=lambda each: (not each[0].sure, -each[0].excess.low, str(each[0])))
    search = SliceSearch(
        slices=tuple(s for s, _ in kept),
        tried=tried,
        judged=len(chosen),
        searched_rows=int(halves.search.sum()),
        judging_rows=int((~halves.search).sum()),
        blocks=halves.groups,
        mean=float(loss.mean()),
        level=level,
        note=halves.note,
    )
    return Found(search=search, members=tuple(c.members(codes) for _, c in kept))


def halve(rows: int, blocks: ArrayLike | None, *, seed: int = 0) -> Halves:
    """Split rows into two halves, by whole blocks (days) where there are enough of them: rows of one day resemble each other."""
    rng = np.random.default_rng(seed)
    codes, groups = block_codes(blocks, rows)
    if blocks is None:
        search = np.zeros(rows, dtype=bool)
        search[rng.permutation(rows)[: rows // 2]] = True
        return Halves(search=search, blocks=None, groups=rows, note="")
    if groups >= SPLIT_BLOCKS:
        # One of each two neighbouring days by lot, so that both halves see every season and weekday.
        coin = rng.integers(0, 2, (groups + 1) // 2)
        chosen = (np.arange(groups) + np.repeat(coin, 2)[:groups]) % 2 == 0
        return Halves(search=np.asarray(chosen[codes]), blocks=codes, groups=groups, note="")
    search = np.zeros(rows, dtype=bool)
    search[rng.permutation(rows)[: rows // 2]] = True
    note = f"the rows are of {groups} day{'' if groups == 1 else 's'} only: what is found holds for these days"
    return Halves(search=search, blocks=None, groups=groups, note=note)


def _search(
    axes: list[Axis], codes: Mapping[str, Ints], loss: Floats, *, ways: int, minimum: int
) -> tuple[int, list[_Candidate]]:
    """Every group by one column and by two, the most outstanding first, and how many were looked at."""
    tried, found = 0, []
    best: dict[str, float] = {}
    for axis in axes:
        number, candidates = _of_one(axis, codes[axis.name], loss, minimum=minimum)
        tried += number
        found.extend(candidates)
        best[axis.name] = max((c.z for c in candidates), default=0.0)
    if ways == 2:
        pairing = sorted(axes, key=lambda a: (-best[a.name], a.name))[:PAIRED_COLUMNS]
        for one, other in combinations(pairing, 2):
            number, candidates = _of_two(one, other, codes=codes, loss=loss, minimum=minimum)
            tried += number
            found.extend(candidates)
    found.sort(key=lambda c: (-c.z, len(c.runs), c.runs[0][0].name))
    return tried, found


def _sums(codes: Ints, loss: Floats, width: int) -> Floats:
    """Rows, sum and sum of squares of the loss in each bin, shape (3, width)."""
    weights = (None, loss, loss**2)
    return np.stack([np.bincount(codes, w, minlength=width).astype(np.float64) for w in weights])


def _z(inside: Floats, whole: Floats, *, minimum: int) -> Floats:
    """How many standard errors the mean inside lies above that of the rest of the whole; -inf for groups that are too small, or more than half."""
    rest = whole - inside
    n, m = inside[0], rest[0]
    with np.errstate(divide="ignore", invalid="ignore"):
        mean, other = inside[1] / n, rest[1] / m
        error = np.sqrt(np.maximum(inside[2] / n - mean**2, 0) / n + np.maximum(rest[2] / m - other**2, 0) / m)
        z = np.where(error > 0, (mean - other) / error, np.sign(mean - other) * 1e6)
    return np.asarray(np.where((n >= minimum) & (m >= minimum), np.nan_to_num(z, nan=-np.inf), -np.inf))


def _runs(axis: Axis) -> tuple[Floats, list[tuple[int, int]]]:
    """The axis's groups of bins as rows of zeros and ones, shape (groups, bins)."""
    ranges = axis.ranges()
    table = np.zeros((len(ranges), axis.bins))
    for i, (first, last) in enumerate(ranges):
        table[i, first : last + 1] = 1
    return table, ranges


def _of_one(axis: Axis, codes: Ints, loss: Floats, *, minimum: int) -> tuple[int, list[_Candidate]]:
    runs, ranges = _runs(axis)
    sums = _sums(codes, loss, axis.bins)
    inside = sums @ runs.T
    z = np.where(inside[0] <= loss.size / 2, _z(inside, sums.sum(axis=1, keepdims=True), minimum=minimum), -np.inf)
    kept = np.flatnonzero(z > NEAR)
    return len(ranges), [_Candidate(z=float(z[i]), runs=((axis, *ranges[i]),)) for i in kept]


def _of_two(
    one: Axis, other: Axis, *, codes: Mapping[str, Ints], loss: Floats, minimum: int, keep: int = 3
) -> tuple[int, list[_Candidate]]:
    """Rectangles of two columns that stand out from all rows and from the rest of both of their parents."""
    (rows, row_ranges), (columns, column_ranges) = _runs(one), _runs(other)
    table = _sums(codes[one.name] * other.bins + codes[other.name], loss, one.bins * other.bins)
    table = table.reshape(3, one.bins, other.bins)
    inside = rows @ table @ columns.T
    whole = table.sum(axis=(1, 2))[:, None, None]
    parents = (rows @ table.sum(axis=2)[..., None], (columns @ table.sum(axis=1)[..., None]).transpose(0, 2, 1))
    z = np.where(inside[0] <= loss.size / 2, _z(inside, whole, minimum=minimum), -np.inf)
    for parent in parents:
        z = np.where(_z(inside, np.broadcast_to(parent, inside.shape), minimum=minimum // 2) > NEAR, z, -np.inf)
    flat = z.ravel()
    order = np.argsort(-flat, kind="stable")[:keep]
    found = []
    for i in order[flat[order] > NEAR]:
        first, second = divmod(int(i), len(column_ranges))
        found.append(_Candidate(z=float(flat[i]), runs=((one, *row_ranges[first]), (other, *column_ranges[second]))))
    return flat.size, found


def _distinct(pool: list[_Candidate], codes: Mapping[str, Ints], loss: Floats, *, limit: int) -> list[_Candidate]:
    """The candidates one by one, each time the one that stands out most from what those before it explain: each tells of something of its own."""
    near = pool[:POOL]
    if not near:
        return []
    members = np.stack([c.members(codes) for c in near]).astype(np.float32)
    chosen: list[_Candidate] = []
    pattern = np.zeros(loss.size, dtype=np.int64)
    while len(chosen) < limit:
        rest = beyond(loss, pattern)
        inside = np.stack([members.sum(axis=1), members @ rest, members @ rest**2]).astype(np.float64)
        whole = np.array([loss.size, rest.sum(), (rest**2).sum()])[:, None]
        z = _z(inside, whole, minimum=2)
        best = int(np.argmax(z))
        if z[best] <= NEAR or near[best] in chosen:
            break
        chosen.append(near[best])
        pattern = pattern * 2 + members[best].astype(np.int64)
    return chosen


def beyond(loss: Floats, pattern: Ints) -> Floats:
    """What the losses are above the mean of the rows that belong to the same groups. pattern: which groups, as a number. Shape (n,)."""
    _, where = np.unique(pattern, return_inverse=True)
    return np.asarray(loss - (np.bincount(where, loss) / np.bincount(where))[where])


def _judge_all(
    chosen: list[_Candidate],
    codes: Mapping[str, Ints],
    loss: Floats,
    *,
    blocks: Ints | None,
    level: float,
    least: float,
) -> list[tuple[Slice, _Candidate]]:
    """What the other half says of each group. One that is not worse than the groups before it explain tells nothing new and is left out."""
    kept: list[tuple[Slice, _Candidate]] = []
    pattern = np.zeros(loss.size, dtype=np.int64)
    for candidate in chosen:
        members = candidate.members(codes)
        found = _judge(candidate, members, loss, blocks=blocks, level=level, least=least)
        if found is None:
            continue
        if found.sure and pattern.any():
            own = _judge(candidate, members, beyond(loss, pattern), blocks=blocks, level=level, least=least)
            if own is None or not own.sure:
                continue
        kept.append((found, candidate))
        if found.sure:
            pattern = pattern * 2 + members
    return kept


def _judge(
    candidate: _Candidate, members: Mask, loss: Floats, *, blocks: Ints | None, level: float, least: float
) -> Slice | None:
    """What the other half says of a group; None if it has no rows there or all of them."""
    n, inside = loss.size, int(members.sum())
    if inside in (0, n):
        return None
    mean, outside = float(loss[members].mean()), float(loss[~members].mean())
    influence = np.where(members, (loss - mean) * (n / inside), -(loss - outside) * (n / (n - inside)))
    try:
        plain = clustered_interval(mean - outside, influence, blocks, level=level)
        excess = _of_few_days(plain, None if blocks is None else blocks[members], blocks)
    except EmptySample:
        return None
    total = float(loss.sum())
    return Slice(
        conditions=tuple(axis.condition(first, last) for axis, first, last in candidate.runs),
        rows=inside,
        share=inside / n,
        mean=mean,
        outside=outside,
        excess=excess,
        harm=inside * (mean - outside) / total if total > 0 and loss.min() >= 0 else None,
        sure=excess.low > least and inside >= SMALLEST_SLICE // 2,
    )


def _of_few_days(found: Interval, own: Ints | None, blocks: Ints | None) -> Interval:
    """The interval with the degrees of freedom of the days that the group really has: one that lies in two days knows little.

    Raises EmptySample for a group of one day. Source: the effective number of clusters of Carter, Schnepel and Steigerwald 2017, by rows only.
    """
    if own is None or blocks is None:
        return found
    rows = np.bincount(own)
    worth, days = float(rows.sum()) ** 2 / float((rows.astype(np.float64) ** 2).sum()), np.unique(blocks).size
    if worth < 1.5:
        raise EmptySample("the group lies in one day")
    wider = student_quantile((1 + found.level) / 2, max(worth - 1, 1.0)) / student_quantile(
        (1 + found.level) / 2, max(days - 1, 1)
    )
    return msgspec.structs.replace(
        found,
        low=found.value - wider * (found.value - found.low),
        high=found.value + wider * (found.high - found.value),
        method=f"t over days, of which the group has {worth:.1f}",
    )
