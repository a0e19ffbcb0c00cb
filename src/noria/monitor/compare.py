"""Compare two tables in one call: has anything moved, broken or got worse, beyond what the reference itself wobbles?

The steps are pieces.py, pairing.py, judging.py and grading.py; the result is result.py. Called by users and by cli/monitor.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from noria.domain.comparison import ColumnReport, Judged, Quality, TableFacts
from noria.domain.finding import Finding
from noria.errors import InputInvalid
from noria.monitor.grading import estimated, grade
from noria.monitor.judging import Judgement, columns_of, findings_of, judge, pieces_of, profile_of
from noria.monitor.pairing import Pair, Pairing, Roles, is_sorted_by, pair, require, roles_of
from noria.monitor.pieces import Pieces, cut_by_order, cut_by_time, times_of, window_seconds
from noria.monitor.result import Comparison
from noria.monitor.table import Table, open_table
from noria.monitor.wording import names, percent
from noria.stats.sequential import MARGIN_FLOOR

BUDGET = 1000.0
SMALL_REFERENCE = 1000


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
    judgement, shown, broken = _judge(pairing.pairs, pieces, importance or {}, budget=budget, smallest=smallest)
    quality = _quality(pairing, then, roles, pieces, error_rate=1 / (2 * budget), seed=seed)
    if then.rows < SMALL_REFERENCE:
        notes.append(_small(then.rows, shown))
    return _result(
        (*pairing.findings, *broken),
        (_facts(then, times, 0), _facts(now, times, 1)),
        judgement=judgement,
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
    judgement = judge(profile, counted, budget=2 * budget, smallest=smallest, timed=bool(pieces.starts))
    findings = findings_of(profile, pairs, counted, pieces.reference)
    return judgement, columns_of(profile, pairs, judgement), findings


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


def _small(rows: int, shown: Sequence[ColumnReport]) -> str:
    margins = [c.margin for c in shown if c.margin > 0]
    typical = f" of less than {percent(float(np.median(margins)))} of the rows" if margins else ""
    return f"The reference has {rows:,} rows only: shifts{typical} cannot be told from its own error."


def _result(
    findings: tuple[Finding, ...],
    facts: tuple[TableFacts, TableFacts],
    *,
    judgement: Judgement | None,
    shown: tuple[ColumnReport, ...],
    quality: Quality | None,
    notes: Sequence[str],
    budget: str,
    window: str,
) -> Comparison:
    nothing = Judged(alarm=False, evidence=0.0, threshold=0.0)
    inputs = judgement.inputs if judgement else nothing
    answers = judgement.prediction if judgement else None
    verdicts = reasons_of(findings, inputs, answers, quality, shown, judgement.since if judgement else None)
    return Comparison(
        verdict="alarm" if verdicts else "fine",
        headline=_headline(verdicts, shown),
        reasons=tuple(says for _, says in verdicts),
        budget=budget,
        reference=facts[0],
        current=facts[1],
        inputs=inputs,
        prediction=answers,
        quality=quality,
        findings=tuple(sorted(findings, key=lambda f: f.severity == "info")),
        columns=shown,
        notes=tuple(notes),
        course=judgement.course if judgement else (),
        window=window,
    )


def reasons_of(
    findings: Sequence[Finding],
    inputs: Judged,
    answers: Judged | None,
    quality: Quality | None,
    shown: Sequence[ColumnReport],
    since: datetime | None,
) -> list[tuple[str, str]]:
    """Each reason for an alarm, worst first: a few words for the headline ('' where an earlier one covers it), and a sentence."""
    found: list[tuple[str, str]] = []
    if quality is not None and quality.alarm:
        found.append(("answers got worse", f"Quality: {quality.says}."))
    broken = [f for f in findings if f.severity != "info"]
    about = list(dict.fromkeys(f.about for f in broken))
    which = names([a or "the table" for a in about])
    for i, each in enumerate(broken):
        short = f"{which} {'looks' if len(about) == 1 else 'look'} broken" if i == 0 else ""
        found.append((short, f"Data: {each.summary}."))
    began = f", since {since:%Y-%m-%d %H:%M}" if since else ""
    if answers is not None and answers.alarm:
        moved = next((c for c in shown if c.role == "prediction"), None)
        found.append(("predictions moved", f"Predictions moved{began}: {moved.says if moved else ''}."))
    if inputs.alarm:
        sides = [c for c in shown if c.role != "prediction"]
        blamed = [c for c in sides if c.blamed] or sides[:1]
        compared = len([c for c in sides if c.role == "input"])
        said = "; ".join(f"{c.name} ({c.says})" for c in blamed[:5]) + ("; …" if len(blamed) > 5 else "")
        inputs_ = "inputs" if compared != 1 else "input"
        short = f"{names([c.name for c in blamed])} moved ({len(blamed)} of {compared} {inputs_})"
        found.append((short, f"Inputs moved{began}: {said}."))
    return found


def _headline(verdicts: Sequence[tuple[str, str]], shown: Sequence[ColumnReport]) -> str:
    if verdicts:
        return "Alarm: " + "; ".join(short for short, _ in verdicts if short)
    inputs = len([c for c in shown if c.role == "input"])
    if inputs == 1:
        return "Fine: the input has not moved beyond its margin"
    return f"Fine: none of {inputs} inputs moved beyond their margins"
