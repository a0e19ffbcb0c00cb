"""Ask why a deployment's errors, or its answers, changed between two stretches of time. Composition only; the split is monitoring/blame.

Called by `noria errors --causes` and server/control/analysis.
"""

from datetime import datetime, timedelta
from typing import Literal

import msgspec
import numpy as np

from noria.app.analysis import Logged, Span, answers_in, read
from noria.app.workspace import Workspace
from noria.domain.bundle import Bundle
from noria.domain.profile import ReferenceProfile
from noria.errors import EmptySample, InputInvalid, NoriaError
from noria.monitoring.blame import Diagnosis, Stretch, diagnose
from noria.monitoring.errors import Task
from noria.registry.packaged import bundle_of
from noria.stats.checks import Floats

Changed = Literal["loss", "excess", "error", "over", "under", "answer"]
NOW_DAYS = 14.0
BEFORE_TIMES = 4
FEWEST = 200
"""Labelled rows on each side that a change of the loss is explained from; with fewer, the change of the answers is."""


class CauseAnalysis(msgspec.Struct, frozen=True, kw_only=True):
    """Why something changed from `before` to `now`."""

    before: Span
    now: Span
    diagnosis: Diagnosis


def analyse_causes(
    workspace: Workspace,
    deployment: str,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    against: datetime | None = None,
    number: int | None = None,
    by: Changed = "loss",
    task: Task | None = None,
    threshold: float = 0.5,
    seed: int = 0,
) -> CauseAnalysis:
    """Compare the answers from `since` to `until` (default: the newest 14 days) with those from `against` to `since` (default: four times as long).

    by: what changed, a measure of the errors (monitoring/errors.MEASURES), or 'answer', which needs no labels; where labels are too few for the
    loss, the answers are explained and a note says so. Raises NotFound, EmptySample, InputInvalid.
    """
    late = read(workspace, deployment, since=since, until=until, number=number, days=NOW_DAYS)
    begin = late.span.since
    early = read(
        workspace,
        deployment,
        since=against or begin - BEFORE_TIMES * max(late.span.until - begin, timedelta(days=1)),
        until=begin,
        number=late.span.number,
    )
    notes = []
    if by == "loss" and min(_labelled(early), _labelled(late)) < FEWEST:
        by = "answer"
        notes.append(
            f"{_labelled(early):,} labels before and {_labelled(late):,} now are too few to explain a loss: the answers themselves are"
        )
    if by == "answer":
        stretches = [Stretch(columns=r.columns, values=_said(r), days=r.days) for r in (early, late)]
    else:
        stretches = [_stretch(r, by, task=task, threshold=threshold) for r in (early, late)]
    found = diagnose(
        *stretches,
        measure=by,
        importance=_importance(workspace, late.span.model, late.span.number),
        seed=seed,
    )
    diagnosis = msgspec.structs.replace(found, notes=(*notes, *found.notes))
    return CauseAnalysis(before=early.span, now=late.span, diagnosis=diagnosis)


def _labelled(rows: Logged) -> int:
    return int(np.isfinite(rows.happened).sum())


def _stretch(rows: Logged, by: str, *, task: Task | None, threshold: float) -> Stretch:
    known = rows.only(np.isfinite(rows.happened))
    values = answers_in(known, task=task, threshold=threshold).measure(by)
    return Stretch(columns=known.columns, values=values, days=known.days)


def _said(rows: Logged) -> Floats:
    if not rows.ids:
        raise EmptySample(
            f"nothing was answered between {rows.span.since:%Y-%m-%d} and {rows.span.until:%Y-%m-%d} by version {rows.span.number}",
            remedy="say --since and --against",
        )
    if not rows.span.output or rows.said.ndim != 1:
        raise InputInvalid("the answers are no single number a row", remedy="say --by loss or --by error")
    return rows.said.astype(np.float64)


def _importance(workspace: Workspace, model: str, number: int) -> dict[str, float] | None:
    """The inputs' weights as the version's reference profile knows them; None where there is none."""
    try:
        manifest = msgspec.json.decode(workspace.blobs.get(bundle_of(workspace.models.get(model, number))), type=Bundle)
        if manifest.profile is None:
            return None
        profile = msgspec.json.decode(workspace.blobs.get(manifest.profile), type=ReferenceProfile)
    except NoriaError:
        return None  # a version from outside, or its bundle is gone: causes are told without weights
    return {feature.name: feature.importance for feature in profile.features if feature.importance > 0}
