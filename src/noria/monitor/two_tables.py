"""Compare two tables in one call: has anything moved, broken or got worse, beyond what the reference itself wobbles?

The steps are pieces.py, pairing.py, judging.py and grading.py; the result is result.py. Called by users and by cli/monitor.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from math import sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from noria.domain.comparison import ColumnReport, Quality, TableFacts
from noria.domain.finding import Finding
from noria.errors import InputInvalid
from noria.monitor.grading import estimated, grade
from noria.monitor.judging import Judgement, columns_of, findings_of, judge, pieces_of, profile_of, watched_of
from noria.monitor.pairing import Pair, Pairing, Roles, is_sorted_by, pair, require, roles_of
from noria.monitor.pieces import Pieces, cut_by_order, cut_by_time, times_of, window_seconds
from noria.monitor.result import Comparison
from noria.monitor.table import Table, open_table
from noria.monitor.verdict import conclude
from noria.monitor.wording import percent
from noria.stats.sequential import MARGIN_FLOOR

BUDGET = 1000.0
SMALL_REFERENCE = 2000


def compare(
    reference: Any,
    current: Any,
    *,
    prediction: str | None = None,
    label: str | None = None,
    time: str | None = None,
    columns: Sequence[str] = (),
    ignore: Collection[str] = (),
    importance: Mapping[str, float] | None = None,
    window: str | float | timedelta | None = None,
    budget: float = BUDGET,
    smallest: float = MARGIN_FLOOR,
    seed: int = 0,
) -> Comparison:
    """Judge a current table against a reference one, under one budget: at most one false alarm in `budget` comparisons.

    reference, current: a pandas, polars or Arrow table, a dict of arrays, or the path of a CSV or Parquet file. prediction: the model's answers
    (chances, classes or numbers), judged apart. label: what really happened; with it the answers' quality is judged too. time: when each row was;
    without it rows are taken in their order. columns: compare only these inputs; ignore: never these. importance: input -> how much the model
    leans on it. window: length of a window of time ('1d', '6h'; chosen if not given). smallest: a shift of a cumulative share that is worth an
    alarm (0.01: one row in a hundred on the other side of a cut). The same arguments give the same result.
    Raises InputInvalid, EmptyTable, SourceUnreadable, ExtraMissing.

    >>> then = {"price": [i % 100 for i in range(5000)], "channel": ["web", "store"] * 2500}
    >>> now = {"price": [i % 100 + 30 for i in range(1000)], "channel": ["web", "store"] * 500}
    >>> compare(then, now).headline
    'Alarm: price moved (1 of 2 inputs)'
    """
    if not budget >= 1:
        raise InputInvalid(
            f"a budget of one false alarm in {budget!r} comparisons means nothing", remedy="use 1000, say"
        )
    if not 0 < smallest < 1:
        raise InputInvalid(f"the smallest shift worth an alarm is a share, got {smallest!r}", remedy="use 0.01, say")
    then, now = open_table(reference, "reference"), open_table(current, "current")
    roles = roles_of(then, prediction=prediction, label=label, time=time, columns=columns, ignore=ignore)
    then, now, times = _timed(then, now, time)
    pairing = pair(then, now, roles)
    pieces, notes = _cut(pairing, then, now, times, window_seconds(window) if window is not None else None, seed)
    # With labels, half of the budget is for quality.
    share = 2 if pairing.role("label") and pairing.role("prediction") else 1
    weights = checked_importance(importance, then)
    judgement, shown, broken = _judge(pairing.pairs, pieces, weights, budget=share * budget, smallest=smallest)
    quality = _quality(pairing, then, roles, pieces, error_rate=1 / (share * budget), seed=seed)
    if then.rows < SMALL_REFERENCE:
        notes.append(_small(then.rows))
    return conclude(
        (_facts(then, times, 0), _facts(now, times, 1)),
        judgement,
        findings=(*pairing.findings, *broken),
        shown=shown,
        quality=quality,
        notes=notes,
        budget=budget_words(budget),
        window=pieces.by,
    )


def budget_words(budget: float) -> str:
    """The budget as the result states it.

    >>> budget_words(1000)
    'at most one false alarm in 1,000 comparisons'
    """
    return f"at most one false alarm in {budget:,.0f} comparisons"


def checked_importance(importance: Mapping[str, float] | None, table: Table) -> dict[str, float]:
    """Importances as shares of one. Raises InputInvalid for a column that is not there, or a number below 0."""
    weights = dict(importance or {})
    for name, weight in weights.items():
        require(table, name, "an input with an importance")
        if not 0 <= weight < float("inf"):
            raise InputInvalid(f"the importance of {name!r} is {weight!r}", remedy="use numbers of at least 0")
    total = sum(weights.values()) or 1.0
    return {name: weight / total for name, weight in weights.items()}


Times = tuple[NDArray[np.datetime64], NDArray[np.datetime64]]


def _timed(then: Table, now: Table, time: str | None) -> tuple[Table, Table, Times | None]:
    """Both tables with the times of their rows; rows without a time are left out."""
    if time is None:
        return then, now, None
    kept: list[Table] = []
    times: list[NDArray[np.datetime64]] = []
    for table in (then, now):
        require(table, time, "the time")
        at = times_of(table, time)
        known = ~np.isnat(at)
        if not known.any():
            raise InputInvalid(
                f"no row of the {table.name} table has a time in {time!r}", remedy="leave time= away, or fill it"
            )
        kept.append(table if known.all() else table.take(known))
        times.append(at[known])
    return kept[0], kept[1], (times[0], times[1])


def _cut(
    pairing: Pairing, then: Table, now: Table, times: Times | None, window: float | None, seed: int
) -> tuple[Pieces, list[str]]:
    notes = list(pairing.notes)
    if times is not None:
        return cut_by_time(times[0], times[1], window=window, seed=seed), notes
    sorted_by = is_sorted_by([p for p in pairing.pairs if p.role != "label"])
    if sorted_by is not None:
        notes.append(
            f"The reference is sorted by {sorted_by!r}, so its order teaches nothing about its wobble; name a time column if there is one."
        )
    return cut_by_order(then.rows, now.rows, ordered=sorted_by is None, seed=seed), notes


def _judge(
    pairs: Sequence[Pair], pieces: Pieces, importance: Mapping[str, float], *, budget: float, smallest: float
) -> tuple[Judgement | None, tuple[ColumnReport, ...], tuple[Finding, ...]]:
    if not pairs:
        return None, (), ()
    profile = profile_of(pairs, pieces.reference, importance=importance, seconds=pieces.seconds)
    counted = pieces_of(profile, pairs, pieces.current, pieces.starts)
    judgement = judge(profile, counted, budget=budget, smallest=smallest, cut=pieces)
    findings = findings_of(profile, pairs, counted)
    return judgement, columns_of(profile, [watched_of(p) for p in pairs], judgement), findings


def _quality(
    pairing: Pairing, then: Table, roles: Roles, pieces: Pieces, *, error_rate: float, seed: int
) -> Quality | None:
    prediction, label = pairing.role("prediction"), pairing.role("label")
    if prediction is None or roles.label is None:
        return None
    if label is None:
        held = then.columns[roles.label]
        return estimated(prediction, held.values) if held.kind == "number" else None
    return grade(
        prediction, label, reference=pieces.reference, current=pieces.current, error_rate=error_rate, seed=seed
    )


def _facts(table: Table, times: Times | None, which: int) -> TableFacts:
    since: datetime | None = None
    until: datetime | None = None
    if times is not None:
        since, until = (
            t.astype("datetime64[us]").item().replace(tzinfo=UTC) for t in (times[which].min(), times[which].max())
        )
    return TableFacts(rows=table.rows, columns=len(table.columns), since=since, until=until)


def _small(rows: int) -> str:
    """What a reference of so few rows hides: three standard errors of a share of one half."""
    hidden = percent(min(1.0, 1.5 / sqrt(rows)))
    return f"The reference has {rows:,} rows only: shifts of less than about {hidden} of the rows cannot be told from its own error."
