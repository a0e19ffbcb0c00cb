"""Quality estimated before labels beside the quality that came out, window by window, of a frozen model. Called by monitoring_proof.

Scenarios in which inputs drift, so that the model becomes better or worse without its meaning being touched, and one in which the concept changes:
there every such estimate must be wrong, since it assumes otherwise.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import monitoring_models
import numpy as np

from noria.monitoring.estimate import estimate_binary, learn_honesty
from noria.stats.metrics import auc
from noria.testing.streams import Change, Stream
from noria.testing.streams_weather import Season, Wobble
from noria.testing.streams_worlds import Sea, Table

METRICS = ("auc", "accuracy")
AT = 8
WORLD = Table(width=8, levels=(5,), used=8)


@dataclass(frozen=True, kw_only=True)
class EstimateScenario:
    """30 days of 500 rows as reference, 8 quiet days, 16 days of the change. The model learns from 18 days, the other 12 are its hold-out."""

    name: str
    world: Any
    changes: tuple[Change, ...] = ()
    at: int = AT

    def stream(self, seed: int) -> Stream:
        """The stream of a seed."""
        weather = (Wobble(0.1), Season(7, 0.2))
        return Stream(
            world=self.world, seed=seed, rows=500, reference=30, windows=AT + 16, weather=weather, changes=self.changes
        )


def _change(kind: Any, size: float, *columns: str) -> tuple[Change, ...]:
    return (Change(kind=kind, window=AT, size=size, columns=columns),)


ESTIMATES = (
    EstimateScenario(name="nothing but weather", world=WORLD),
    EstimateScenario(name="inputs move by 0.7 sd", world=WORLD, changes=_change("shift", 0.7, "x0", "x1", "x2")),
    EstimateScenario(name="inputs spread half as wide: harder", world=WORLD, changes=_change("spread", 0.5)),
    EstimateScenario(name="inputs spread 1.5 times: easier", world=WORLD, changes=_change("spread", 1.5)),
    EstimateScenario(name="SEA, inputs move by 0.7 sd", world=Sea(), changes=_change("shift", 0.7, "x0", "x1")),
    EstimateScenario(
        name="inputs count half as much (concept)",
        world=Table(width=8, levels=(5,), used=8, turn=0.5),
        changes=_change("concept", 1.0),
    ),
)


def realised(run: monitoring_models.Run) -> dict[str, list[float]]:
    """What came out, window by window."""
    parts = [run.current.window == number for number in range(run.stream.windows)]
    return {
        "auc": [float(auc(run.current.labels[part], run.scores[part])) for part in parts],
        "accuracy": [float(((run.scores[part] > 0.5) == run.current.labels[part]).mean()) for part in parts],
    }


def noria(run: monitoring_models.Run) -> dict[str, list[tuple[float, float, float]]]:
    """Value and 95 % interval of each window, learnt on the hold-out."""
    honest = learn_honesty(run.held_out.labels, run.held_scores, blocks=run.held_out.window)
    told = [estimate_binary(run.scores[run.current.window == number], honest) for number in range(run.stream.windows)]
    return {
        name: [(t.metrics[name].value, t.metrics[name].low, t.metrics[name].high) for t in told] for name in METRICS
    }


def unchanged(run: monitoring_models.Run) -> dict[str, list[tuple[float, float, float]]]:
    """For comparison: the hold-out's own quality, as if nothing could change."""
    y, p = run.held_out.labels, run.held_scores
    value = {"auc": float(auc(y, p)), "accuracy": float(((p > 0.5) == y).mean())}
    return {name: [(value[name], np.nan, np.nan)] * run.stream.windows for name in METRICS}


def judged(told: dict[str, Sequence[Sequence[float]]], truth: dict[str, list[float]], at: int) -> dict[str, Any]:
    """One run as numbers: from the change on, mean absolute error, mean error, and how many intervals held what came out."""
    found: dict[str, Any] = {}
    for name in METRICS:
        value, low, high = np.asarray(told[name], dtype=float)[at:].T
        happened = np.asarray(truth[name])[at:]
        found[name] = {
            "absolute": float(np.abs(value - happened).mean()),
            "mean": float((value - happened).mean()),
            "held": int(((low <= happened) & (happened <= high)).sum()) if np.isfinite(low).all() else None,
            "windows": int(happened.size),
        }
    return found


def over(runs: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Several runs as one row."""
    found: dict[str, Any] = {"streams": len(runs)}
    for name in METRICS:
        each = [run[name] for run in runs.values()]
        held = [run["held"] for run in each]
        found[name] = {
            "absolute": round(float(np.mean([run["absolute"] for run in each])), 4),
            "mean": round(float(np.mean([run["mean"] for run in each])), 4),
            "coverage": None if None in held else round(sum(held) / sum(run["windows"] for run in each), 3),
        }
    return found


def shown(row: dict[str, Any]) -> str:
    """One line of the table: mean absolute error, mean error and coverage of each metric."""
    cells = []
    for name in METRICS:
        cell = row[name]
        held = "–" if cell["coverage"] is None else f"{cell['coverage']:.0%}"
        cells.append(f"{cell['absolute']:.3f} ({cell['mean']:+.3f}) | {held}")
    return f"| {row['scenario']} | {row['rule']} | {' | '.join(cells)} |"
