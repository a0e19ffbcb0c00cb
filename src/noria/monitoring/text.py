"""Notice that texts or embeddings changed, and in which words. A classifier bets on which rows are newer; its own wobble sets the margin. Pure.

Short texts that are categories are counted in bins by monitoring/profile; this is for those that are all different. Called by app/texts.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from math import log, log10
from typing import Any, Literal
from zlib import crc32

import msgspec
import numpy as np
from numpy.typing import ArrayLike, NDArray

from noria.errors import EmptySample, InputInvalid
from noria.monitoring.profile import is_missing
from noria.stats.checks import Ints, block_codes
from noria.stats.logistic import Dense, Design, Sparse
from noria.stats.witness import BATCHES, Witness, tell_apart, verdicts

BUCKETS = 1 << 13
"""Few enough that a product of two vectors stays on one core: threads that wait for each other cost more than they bring."""

MOST_TOKENS = 300
"""Pieces of one text that are looked at; the rest of a longer text is left out."""

MOST_ROWS = 4000
"""Rows of each stretch that are looked at, thinned evenly."""

WAVES = 192
PLACEBOS = 5
ALARM = 0.01
"""An e-value of 1 / ALARM is an alarm: by chance at most one comparison in a hundred."""

WORD = re.compile(r"\w+")


class Contrast(msgspec.Struct, frozen=True, kw_only=True):
    """One column of texts or embeddings, now against before.

    evidence: log10 of the e-value against "they differ no more than stretches of before do"; alarm: it exceeds `threshold`. advantage: how much
    better than a coin a classifier tells new rows from old ones, 0 to 1; margin: what stretches of before allow.
    now, before: pieces of text that are typical of either. examples: ids of the newest rows that look newest. notes: what limits it.
    """

    column: str
    kind: Literal["text", "embedding"]
    rows_before: int
    rows_now: int
    evidence: float
    threshold: float
    alarm: bool
    advantage: float
    margin: float
    now: tuple[str, ...] = ()
    before: tuple[str, ...] = ()
    examples: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def contrast(
    column: str,
    before: ArrayLike,
    now: ArrayLike,
    *,
    days: ArrayLike,
    days_now: ArrayLike,
    ids: Sequence[str] = (),
    seed: int = 0,
) -> Contrast:
    """Compare texts, shape (n,), or embeddings, shape (n, width), of two stretches of time.

    days, days_now: shape (n,), the day of each row: stretches of before as long as now, compared with the rest of before, show how much it changes
    by itself. ids: of now's rows. Deterministic for a seed. Raises EmptySample for too few rows, InputInvalid.
    """
    old, new = np.asarray(before), np.asarray(now)
    if old.ndim != new.ndim or old.ndim not in (1, 2) or (old.ndim == 2 and old.shape[1] != new.shape[1]):
        raise InputInvalid(
            f"the column {column!r} has the shapes {old.shape} and {new.shape}",
            remedy="compare texts with texts, and embeddings of the same width",
        )
    old_days, groups = block_codes(days, len(old))
    new_groups = block_codes(days_now, len(new))[1]
    kept_old, kept_new = _thin(len(old)), _thin(len(new))
    old, old_days, new = old[kept_old], old_days[kept_old], new[kept_new]
    if min(len(old), len(new)) < 4 * BATCHES:
        raise EmptySample(
            f"the column {column!r} has {len(old)} rows before and {len(new)} now, too few to compare",
            remedy="take longer stretches",
        )
    later = np.concatenate([np.zeros(len(old), dtype=np.int64), np.ones(len(new), dtype=np.int64)])
    placebo = [
        np.concatenate([split, np.full(len(new), -1)]) for split in _placebos(old_days, groups=groups, long=new_groups)
    ]
    tokens: list[list[str]] = []
    design: Design
    if old.ndim == 1:
        tokens = [pieces(value) for value in (*old.tolist(), *new.tolist())]
        design = hashed(tokens)
    else:
        design = waves(old, new, seed=seed)
    found = tell_apart(design, later, placebo=placebo, seed=seed)
    typical = _typical(tokens, later, found) if tokens else ((), ())
    notes = [] if len(placebo) >= 3 else [_short(len(placebo))]
    said = verdicts(found.model, design)[later == 1]
    newest = np.argsort(-said, kind="stable")[:3]
    evidence = found.log_e / log(10)
    return Contrast(
        column=column,
        kind="text" if old.ndim == 1 else "embedding",
        rows_before=len(old),
        rows_now=len(new),
        evidence=evidence,
        threshold=-log10(ALARM),
        alarm=evidence > -log10(ALARM),
        advantage=found.advantage,
        margin=found.margin,
        now=typical[0],
        before=typical[1],
        examples=tuple(ids[int(kept_new[i])] for i in newest) if ids else (),
        notes=tuple(notes),
    )


def _short(stretches: int) -> str:
    return (
        f"before is {stretches + 1} time{'s' if stretches else ''} as long as now: how much it changes by itself is hardly known, "
        "take a longer stretch before"
    )


def _thin(rows: int) -> Ints:
    return np.arange(rows) if rows <= MOST_ROWS else np.linspace(0, rows - 1, MOST_ROWS).astype(np.int64)


def _placebos(days: Ints, *, groups: int, long: int) -> Iterator[Ints]:
    """Marks of stretches of before that are as long as now (1) against the rest of before (0)."""
    long = max(1, min(long, groups // 3))
    starts = np.arange(0, groups - long + 1, long)
    for start in starts[np.unique(np.linspace(0, starts.size - 1, min(PLACEBOS, starts.size)).astype(int))]:
        marks = ((days >= start) & (days < start + long)).astype(np.int64)
        if min(int(marks.sum()), int((1 - marks).sum())) >= 4 * BATCHES:
            yield marks


def is_prose(values: ArrayLike) -> bool:
    """Whether a column holds texts that are all different rather than categories: most values occur once and have several words."""
    known = [str(v) for v in np.asarray(values).tolist()[:2000] if isinstance(v, str)]
    if len(known) < 20:
        return False
    words = float(np.mean([len(WORD.findall(v)) for v in known]))
    return len(set(known)) > 0.5 * len(known) and words >= 3


def pieces(value: object) -> list[str]:
    """A text as words, pairs of words, starts of words, and what it looks like as a whole. What is missing is a piece of its own.

    >>> pieces("Late again")
    ['late', 'again', 'late again', '^late', '^agai', '<8-15 characters>']
    """
    if is_missing(value):
        return ["<missing>"]
    text = str(value)
    words = [w.lower() for w in WORD.findall(text)][: MOST_TOKENS // 3]
    pairs = [f"{a} {b}" for a, b in pairwise(words)]
    starts = [f"^{w[:4]}" for w in words]
    size = len(text).bit_length()
    looks = [f"<{(1 << size) // 2}-{(1 << size) - 1} characters>"] if text else ["<empty>"]
    if any(not c.isascii() for c in text):
        looks.append("<other letters than a to z>")
    if sum(c.isdigit() for c in text) > 0.2 * len(text):
        looks.append("<mostly digits>")
    return [*words, *pairs, *starts, *looks]


def hashed(tokens: Sequence[Sequence[str]]) -> Sparse:
    """Pieces as active columns, by their CRC-32."""
    rows = [np.unique([crc32(token.encode()) % BUCKETS for token in each]) for each in tokens]
    starts = np.concatenate([[0], np.cumsum([row.size for row in rows])]).astype(np.int64)
    return Sparse(np.concatenate(rows).astype(np.int64), starts, BUCKETS)


def waves(before: NDArray[Any], now: NDArray[Any], *, seed: int = 0) -> Dense:
    """Embeddings as random waves (a Gaussian kernel at the median distance) beside their own standardised numbers.

    Source: Rahimi and Recht 2007; a linear witness on them sees what the maximum mean discrepancy sees. Raises InputInvalid for infinity.
    """
    rng = np.random.default_rng(seed)
    both = np.concatenate([before, now]).astype(np.float64)
    if not np.isfinite(both).all():
        raise InputInvalid("an embedding holds NaN or infinity", remedy="leave out rows without a vector first")
    old = both[: len(before)]
    scale = old.std(axis=0)
    standard = (both - old.mean(axis=0)) / np.where(scale > 0, scale, 1.0)
    some = standard[: len(before)][rng.permutation(len(before))[:300]]
    distances = np.sqrt(np.maximum(((some[:, None, :] - some[None, :, :]) ** 2).sum(axis=2), 0))
    width = float(np.median(distances[distances > 0])) if (distances > 0).any() else 1.0
    directions = rng.normal(size=(both.shape[1], WAVES)) / width
    wave = np.cos(standard @ directions + rng.uniform(0, 2 * np.pi, WAVES)) * np.sqrt(2 / WAVES)
    plain = np.clip(standard, -5, 5) / np.sqrt(2 * both.shape[1])
    return Dense(np.hstack([wave, plain]))


def _typical(
    tokens: Sequence[Sequence[str]], later: Ints, found: Witness, *, limit: int = 8
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Pieces that are typical of now and of before: frequent enough, weighed by the classifier."""
    frequency: Mapping[str, Counter[str]] = {side: Counter() for side in ("now", "before")}
    for each, mark in zip(tokens, later, strict=True):
        frequency["now" if mark else "before"].update(set(each))
    totals = {"now": int(later.sum()), "before": int((1 - later).sum())}
    shown = []
    for side, sign in (("now", 1.0), ("before", -1.0)):
        other = "before" if side == "now" else "now"
        scored = []
        for token, count in frequency[side].items():
            if count < 5 or token.startswith("^"):
                continue
            share, elsewhere = count / totals[side], frequency[other][token] / totals[other]
            weight = sign * float(found.model.weights[crc32(token.encode()) % BUCKETS])
            if weight > 0 and share > elsewhere:
                scored.append((weight * (share - elsewhere), f"{token} ({elsewhere:.1%} -> {share:.1%})"))
        best = sorted(scored, key=lambda s: (-s[0], s[1]))[:limit]
        shown.append(tuple(text for _, text in best))
    return shown[0], shown[1]
