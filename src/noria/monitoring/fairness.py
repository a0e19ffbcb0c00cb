"""Compare how a served model treats groups: who is selected, who is missed, whose scores keep their word. Pure: arrays in, nouns out.

The measures are stats/fairness; a challenger is held to them before it serves by the gate `group_gap` (evaluation/fairness). Called by app/analysis.
"""

from collections.abc import Mapping

import msgspec
import numpy as np
from numpy.typing import ArrayLike

from noria.domain.fairness import FairnessReport
from noria.errors import InputInvalid, NotFound
from noria.monitoring.errors import Answers
from noria.monitoring.slices_axis import axis_of
from noria.stats.fairness import ALLOWED, SMALLEST_GROUP, Measure, binary_measures, fairness

LOSS_ALLOWED = 0.25
"""The gap of the mean loss that is no matter, as a share of the mean loss of all."""

COVERAGE_GAP = 0.1
"""A group whose labels are so much rarer than those of others is noted: its rates speak of those with an outcome only."""


def group_fairness(
    answers: Answers,
    columns: Mapping[str, ArrayLike],
    *,
    by: str,
    known: ArrayLike | None = None,
    blocks: ArrayLike | None = None,
    allowed: float = ALLOWED,
    minimum_rows: int = SMALLEST_GROUP,
    level: float = 0.95,
) -> FairnessReport:
    """Rates and gaps of the groups of a column, or of the crossings of several ('sex+age').

    answers: all of them; known: shape (n,), which have a label (default: all) - selection needs none. Numbers are cut into quarters. allowed: gap
    of a rate that is no matter; for losses a quarter of the mean loss, for the bias of a quantity this share of its spread.
    Raises NotFound for a column, EmptySample for fewer than two groups, InputInvalid.
    """
    labelled = np.ones(answers.rows, dtype=bool) if known is None else np.asarray(known, dtype=bool)
    if labelled.shape != (answers.rows,):
        raise InputInvalid(f"'known' has shape {labelled.shape}, there are {answers.rows} answers")
    if not 0 <= allowed < float("inf"):
        raise InputInvalid(f"a gap that is no matter cannot be {allowed}", remedy="say --allowed 0.1")
    groups = group_of(columns, by)
    mean = float(answers.loss[labelled].mean()) if labelled.any() else 0.0
    limits = {"loss": LOSS_ALLOWED * mean}
    if answers.task == "binary":
        happened = np.where(labelled, answers.happened, np.nan)
        measures = binary_measures(happened, answers.said, threshold=answers.threshold)
    elif answers.task == "multiclass":
        right = (~answers.wrong).astype(np.float64)
        measures = {"accuracy": Measure(values=right, counts=labelled, is_share=True)}
    else:
        gap = answers.happened - answers.said
        measures = {"calibration": Measure(values=np.where(labelled, gap, 0.0), counts=labelled)}
        limits["calibration"] = allowed * (float(answers.happened[labelled].std()) if labelled.any() else 1.0)
    measures = {**measures, "loss": Measure(values=answers.loss, counts=labelled)}
    found = fairness(
        groups,
        measures,
        column=by,
        labelled=labelled,
        blocks=blocks,
        allowed={**dict.fromkeys(measures, allowed), **limits},
        level=level,
        minimum_rows=minimum_rows,
        threshold=answers.threshold if answers.task == "binary" else None,
    )
    return msgspec.structs.replace(found, notes=_notes(found))


def group_of(columns: Mapping[str, ArrayLike], by: str) -> list[str]:
    """The group of each row by one column or by several joined with '+'. Raises NotFound, InputInvalid.

    >>> group_of({"sex": ["f", "m"], "old": [True, False]}, "sex+old")
    ["sex = 'f' and old = 'True'", "sex = 'm' and old = 'False'"]
    """
    parts = []
    for name in by.split("+"):
        if name not in columns:
            raise NotFound.of("column", name, sorted(columns), remedy="noria errors DEPLOYMENT --groups COLUMN")
        axis = axis_of(name, columns[name], bins=4, top=50)
        names = [str(axis.condition(i, i)) for i in range(axis.bins)]
        parts.append([names[code] for code in axis.codes(columns[name])])
    return [" and ".join(row) for row in zip(*parts, strict=True)]


def _notes(found: FairnessReport) -> tuple[str, ...]:
    notes = []
    if found.too_small:
        names = ", ".join(f"{name} ({rows})" for name, rows in list(found.too_small.items())[:8])
        notes.append(f"{len(found.too_small)} group(s) have too few rows to be judged: {names}")
    total = sum(g.rows for g in found.groups)
    covered = sum(g.labelled for g in found.groups) / total if total else 0.0
    for group in found.groups:
        share = group.labelled / group.rows
        if share < covered - COVERAGE_GAP:
            notes.append(
                f"{share:.0%} of the answers where {group.group} have a label ({covered:.0%} of all): its rates speak of these only"
            )
    return tuple(notes)
