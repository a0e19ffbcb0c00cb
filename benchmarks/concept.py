"""Changes of an error rate: false ones per million labels, share found, delay in labels, CPU; Noria's window beside river's ADWIN. Prints JSON.

    python benchmarks/concept.py [--river /path/to/python-with-river] [--streams 40] [--quiet 20]

The same streams of 0 and 1 for both: rates before and after as models had them on SEA and Agrawal (facts: trained on 5,000 rows), and three others;
10,000 labels before the change, 20,000 after it, from fixed seeds. Quiet streams are 100,000 labels long at four rates. river runs in its own process
by its own package at its defaults (delta 0.002).
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence

import numpy as np

CASES = {
    "SEA 0 to 3": (0.114, 0.206),
    "SEA 0 to 1": (0.114, 0.169),
    "Agrawal 0 to 2": (0.109, 0.525),
    "Agrawal 1 to 3": (0.117, 0.259),
    "rare, half as many more": (0.02, 0.03),
    "large, a little more": (0.3, 0.35),
    "half an error less": (0.206, 0.114),
}
BEFORE, AFTER, LONG = 10_000, 20_000, 100_000
RATES = (0.02, 0.1, 0.3, 0.5)


def stream(before: float, after: float, *, rows: tuple[int, int], seed: int) -> np.ndarray:
    dice = np.random.default_rng(seed)
    return np.concatenate([dice.random(rows[0]) < before, dice.random(rows[1]) < after]).astype(float)


def measured(detect: Callable[[np.ndarray], Sequence[int]], streams: int, quiet: int) -> dict[str, object]:
    begun = time.process_time()
    told: dict[str, object] = {}
    for name, (before, after) in CASES.items():
        delays, false = [], 0
        for seed in range(streams):
            found = detect(stream(before, after, rows=(BEFORE, AFTER), seed=seed))
            false += sum(row <= BEFORE for row in found)
            later = [row - BEFORE for row in found if row > BEFORE]
            delays.append(later[0] if later else np.nan)
        known = np.array(delays)[np.isfinite(delays)]
        told[name] = {
            "false": false,
            "found": round(known.size / streams, 3),
            "delay": [float(q) for q in np.quantile(known, [0.25, 0.5, 0.9])] if known.size else None,
        }
    told["false_in_quiet"] = {
        str(rate): sum(len(detect(stream(rate, rate, rows=(LONG, 0), seed=1000 + seed))) for seed in range(quiet))
        for rate in RATES
    }
    rows = streams * len(CASES) * (BEFORE + AFTER) + quiet * len(RATES) * LONG
    told["quiet_labels_a_rate"] = quiet * LONG
    told["cpu_us_a_label"] = round((time.process_time() - begun) / rows * 1e6, 3)
    return told


def ours(values: np.ndarray) -> list[int]:
    from noria.stats.adwin import Adwin

    return [change.row for change in Adwin().feed(values)]


def theirs(values: np.ndarray) -> list[int]:
    from river.drift import ADWIN  # type: ignore[import-not-found]

    window, found = ADWIN(), []
    for place, value in enumerate(values.tolist(), start=1):
        window.update(value)
        if window.drift_detected:
            found.append(place)
    return found


def main() -> int:
    options = argparse.ArgumentParser()
    options.add_argument("--river", default="")
    options.add_argument("--streams", type=int, default=40)
    options.add_argument("--quiet", type=int, default=20)
    options.add_argument("--peer", action="store_true")
    given = options.parse_args()
    if given.peer:
        print(json.dumps(measured(theirs, given.streams, given.quiet)))
        return 0
    result: dict[str, object] = {"noria": measured(ours, given.streams, given.quiet)}
    if given.river:
        sizes = ["--streams", str(given.streams), "--quiet", str(given.quiet)]
        said = subprocess.run([given.river, sys.argv[0], "--peer", *sizes], check=True, capture_output=True, text=True)
        result["river ADWIN"] = json.loads(said.stdout)
    print(json.dumps(result, indent=1))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
