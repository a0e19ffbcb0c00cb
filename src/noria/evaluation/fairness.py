"""Hold a candidate to the same treatment of groups before it serves: the gap of one measure between each group and all other rows.

The measures are stats/fairness; what a served model does is monitoring/fairness. Called by evaluation/gates.
"""

import numpy as np

from noria.domain.fairness import FairnessReport
from noria.errors import NotFound
from noria.evaluation.metrics import PER_ROW
from noria.evaluation.sample import Sample
from noria.stats.fairness import Measure, binary_measures, fairness

MEASURES = ("selection_rate", "true_positive_rate", "false_positive_rate", "precision", "calibration", *PER_ROW)
"""What groups can be compared by."""


def by_group(
    metric: str, sample: Sample, *, column: str, limit: float, level: float = 0.95, minimum_rows: int = 200
) -> FairnessReport:
    """The gap of one measure between every group of a column and all other rows; groups below `minimum_rows` are named, not judged.

    limit: the largest gap that is no matter. level: of all gaps together. Raises NotFound for a measure or a column, EmptySample for fewer than two
    groups.
    """
    if column not in sample.slices:
        raise NotFound.of("slice column", column, sorted(sample.slices))
    y, p = sample.labels, np.asarray(sample.p, dtype=np.float64)
    everyone = np.ones(sample.rows, dtype=bool)
    if metric in PER_ROW:
        measure = Measure(values=PER_ROW[metric](y, p), counts=everyone)
    elif metric in MEASURES:
        measure = binary_measures(y, p)[metric]
    else:
        raise NotFound.of("measure of groups", metric, list(MEASURES))
    return fairness(
        [str(v) for v in np.asarray(sample.slices[column]).tolist()],
        {metric: measure},
        column=column,
        labelled=everyone,
        blocks=sample.block,
        allowed=limit,
        level=level,
        minimum_rows=minimum_rows,
    )
