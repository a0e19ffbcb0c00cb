"""Find a run among many. Reads the RunStore port. Called by cli/ and by whoever trains in a notebook."""

import math
from collections.abc import Iterator
from typing import Literal

from noria.domain.run import Run
from noria.ports.runs import RunStore

PAGE = 500


def best(runs: RunStore, experiment: str, *, metric: str, better: Literal["higher", "lower"]) -> Run | None:
    """The finished run of an experiment with the best last value of a metric; of equal ones the earliest. None if no run has a number there."""
    sign = 1.0 if better == "lower" else -1.0
    measured = [run for run in finished(runs, experiment) if not math.isnan(run.metrics.get(metric, math.nan))]
    return min(measured, key=lambda run: (sign * run.metrics[metric], run.started_at, run.id), default=None)


def finished(runs: RunStore, experiment: str) -> Iterator[Run]:
    """Every finished run of an experiment, newest first, page by page."""
    offset = 0
    while page := runs.find(experiment=experiment, status="finished", limit=PAGE, offset=offset):
        yield from page
        offset += len(page)
