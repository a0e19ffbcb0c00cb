"""From flags and truth to false alarms, power and delay, each with its interval. Pure; called by monitoring_proof."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from noria.errors import EmptySample
from noria.stats.intervals import quantile_interval, wilson_interval


def share(successes: int, n: int) -> dict[str, Any]:
    """A share with its 95 % Wilson interval."""
    if n == 0:
        return {"of": 0}
    found = wilson_interval(successes, n)
    return {
        "value": round(found.value, 5),
        "low": round(found.low, 5),
        "high": round(found.high, 5),
        "count": successes,
        "of": n,
    }


def delays(values: Sequence[float]) -> dict[str, Any]:
    """Median with its 95 % interval where there are enough, and the 90 % quantile."""
    if not values:
        return {"n": 0}
    found: dict[str, Any] = {
        "n": len(values),
        "median": float(np.median(values)),
        "p90": float(np.quantile(values, 0.9)),
    }
    try:
        interval = quantile_interval(np.asarray(values, dtype=float), 0.5)
        found.update(low=interval.low, high=interval.high)
    except EmptySample:
        pass
    return found


def of_windows(answers: Sequence[Sequence[int]], *, at: int, rows: int) -> dict[str, Any]:
    """Flags of several streams, a change in place `at` of each. A new alarm is a flag that was down in the window before."""
    clean, raised, up, alarmed, waited = 0, 0, 0, 0, []
    for flags in answers:
        quiet = list(flags[:at])
        clean += len(quiet)
        up += sum(quiet)
        new = sum(1 for i, f in enumerate(quiet) if f and (i == 0 or not quiet[i - 1]))
        raised += new
        alarmed += int(new > 0)
        after = [i for i, f in enumerate(flags[at:]) if f]
        if after:
            waited.append(float((after[0] + 1) * rows))
    return {
        "streams": len(answers),
        "clean_windows": clean,
        "false_alarms": raised,
        "false_alarms_per_1000_windows": round(1000 * raised / clean, 2) if clean else None,
        "windows_in_false_alarm": share(up, clean),
        "streams_with_false_alarm": share(alarmed, len(answers)),
        "found": share(len(waited), len(answers)),
        "delay_rows": delays(waited),
    }


def of_labels(answers: Sequence[Sequence[int]], *, clean: Sequence[int], total: Sequence[int]) -> dict[str, Any]:
    """Alarms as places in streams of labels, of which the first clean[i] are unchanged. Delay in labels."""
    false, alarmed, waited = 0, 0, []
    for places, quiet in zip(answers, clean, strict=True):
        early = sum(1 for p in places if p < quiet)
        false += early
        alarmed += int(early > 0)
        later = [p for p in places if p >= quiet]
        if later:
            waited.append(float(later[0] - quiet + 1))
    labels = sum(clean)
    return {
        "streams": len(answers),
        "clean_labels": labels,
        "labels_after": sum(total) - labels,
        "false_alarms": false,
        "false_alarms_per_10000_labels": round(10_000 * false / labels, 3) if labels else None,
        "streams_with_false_alarm": share(alarmed, len(answers)),
        "found": share(len(waited), len(answers)),
        "delay_labels": delays(waited),
    }


def shown(cell: dict[str, Any]) -> str:
    """A share as people read it: 18/20 (0.70-0.97)."""
    return f"{cell['count']}/{cell['of']} ({cell['low']:.2f}–{cell['high']:.2f})" if cell.get("of") else "–"


def shown_delay(cell: dict[str, Any]) -> str:
    """Median (90 % quantile)."""
    if not cell.get("n"):
        return "never"
    return f"{_round(cell['median'])} ({_round(cell['p90'])})"


def _round(value: float) -> str:
    digits = max(0, 2 - math.floor(math.log10(value))) if 0 < value < 1 else 0
    return f"{value:,.{digits}f}"
