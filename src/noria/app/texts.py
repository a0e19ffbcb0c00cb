"""Ask whether the texts and embeddings that a deployment was sent have changed. Composition only; the method is monitoring/text.

Called by `noria errors --texts` and server/control/analysis.
"""

from datetime import datetime, timedelta
from typing import Any

import msgspec
import numpy as np

from noria.app.analysis import Logged, Span, read
from noria.app.workspace import Workspace
from noria.errors import EmptySample, NotFound
from noria.monitoring.text import MOST_ROWS, Contrast, contrast, is_prose

LOOKED_AT_DAYS = 7.0
BEFORE_TIMES = 5


class TextAnalysis(msgspec.Struct, frozen=True, kw_only=True):
    """Texts and embeddings of `now` against those of `before`, the surest change first."""

    before: Span
    now: Span
    columns: tuple[Contrast, ...]
    notes: tuple[str, ...] = ()


def analyse_texts(
    workspace: Workspace,
    deployment: str,
    *,
    column: str = "",
    since: datetime | None = None,
    until: datetime | None = None,
    against: datetime | None = None,
    number: int | None = None,
    seed: int = 0,
) -> TextAnalysis:
    """Compare the inputs from `since` to `until` (default: the newest 7 days) with those from `against` to `since` (5 times as long).

    column: one input; '' means every embedding and every text that is prose and no category. Raises NotFound, EmptySample.
    """
    late = read(workspace, deployment, since=since, until=until, number=number, days=LOOKED_AT_DAYS, most=MOST_ROWS)
    begin = late.span.since
    early = read(
        workspace,
        deployment,
        since=against or begin - BEFORE_TIMES * max(late.span.until - begin, timedelta(days=1)),
        until=begin,
        number=late.span.number,
        most=2 * MOST_ROWS,
    )
    columns = _columns(early) if not column else {column: _one(early, column)}
    notes, found = [], []
    for name, before in columns.items():
        now = late.embeddings.get(name, late.columns.get(name))
        if now is None:
            notes.append(f"{name}: no longer sent")
            continue
        try:
            found.append(contrast(name, before, now, days=early.days, days_now=late.days, ids=late.ids, seed=seed))
        except EmptySample as exc:
            notes.append(exc.problem)
    found.sort(key=lambda c: (not c.alarm, -c.evidence, c.column))
    if not columns:
        notes.append("no input is an embedding or a text of several words")
    return TextAnalysis(before=early.span, now=late.span, columns=tuple(found), notes=tuple(notes))


def _columns(rows: Logged) -> dict[str, np.ndarray[Any, Any]]:
    prose = {name: values for name, values in rows.columns.items() if values.dtype == object and is_prose(values)}
    return {**rows.embeddings, **prose}


def _one(rows: Logged, name: str) -> np.ndarray[Any, Any]:
    found = rows.embeddings.get(name, rows.columns.get(name))
    if found is None:
        raise NotFound.of(
            "input", name, sorted([*rows.columns, *rows.embeddings]), remedy="noria errors DEPLOYMENT --texts"
        )
    return found
