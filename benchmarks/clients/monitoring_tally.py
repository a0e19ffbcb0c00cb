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


def run_of_windows(flags: Sequence[int], *, at: int, rows: int) -> dict[str, Any]:
    """One stream's flags, the change in place `at`. A new alarm is a flag that was down in the window before; delay in rows, None: never."""
    quiet = list(flags[:at])
    after = [i for i, f in enumerate(flags[at:]) if f]
    return {
        "clean": len(quiet),
        "up": sum(quiet),
        "false": sum(1 for i, f in enumerate(quiet) if f and (i == 0 or not quiet[i - 1])),
        "delay": (after[0] + 1) * rows if after else None,
    }


def run_of_labels(places: Sequence[int], *, clean: int) -> dict[str, Any]:
    """One stream of labels of which the first `clean` are unchanged, and where alarms began. Delay in labels."""
    later = [p for p in places if p >= clean]
    return {
        "clean": clean,
        "false": sum(1 for p in places if p < clean),
        "delay": later[0] - clean + 1 if later else None,
    }


def over(runs: dict[str, dict[str, Any]], *, per: int) -> dict[str, Any]:
    """Several runs by seed as one row. per: false alarms are told for so many windows, or labels."""
    each = list(runs.values())
    clean, false = sum(r["clean"] for r in each), sum(r["false"] for r in each)
    waited = [float(r["delay"]) for r in each if r["delay"] is not None]
    found: dict[str, Any] = {
        "streams": len(each),
        "clean": clean,
        "false_alarms": false,
        "per": per,
        "false_alarms_per": round(per * false / clean, 3) if clean else None,
        "streams_with_false_alarm": share(sum(r["false"] > 0 for r in each), len(each)),
        "found": share(len(waited), len(each)),
        "delay": delays(waited),
    }
    if each and "up" in each[0]:
        found["windows_in_false_alarm"] = share(sum(r["up"] for r in each), clean)
    return found


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
