"""CPU time of drift: one step of 50 features, counting 100,000 x 50 rows, and the whole comparison against a reference of 100,000 x 50.

Budgets: a step <= 5 ms; the comparison <= 0.7 s of CPU. Run: python benchmarks/drift_step.py [--rows 100000]. Prints one JSON object.
CPU seconds, not wall time: best and median of the repeats, on one thread as numpy is used here.
"""

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import numpy as np

from noria.domain.ids import digest_of
from noria.monitoring.drift import Budget, detect, watch
from noria.monitoring.profile import build_profile, count, window

NUMBERS, TEXTS = 40, 10
START = datetime(2026, 1, 1, tzinfo=UTC)


def table(rng: np.random.Generator, rows: int, shift: float = 0.0) -> tuple[dict[str, np.ndarray], np.ndarray]:
    columns: dict[str, np.ndarray] = {}
    for i in range(NUMBERS):
        values = rng.standard_normal(rows) if i % 2 else rng.exponential(size=rows)
        columns[f"x{i}"] = values + (shift if i < 3 else 0.0)
    for i in range(TEXTS):
        levels = np.array([f"value-{v}" for v in range(2 + 20 * i)], dtype=object)
        columns[f"t{i}"] = levels[np.minimum(rng.geometric(0.2, rows) - 1, levels.size - 1)]
    return columns, rng.beta(2, 5, rows)


def cpu(work: Callable[[], object], repeats: int) -> dict[str, float]:
    taken = []
    for _ in range(repeats):
        begun = time.process_time()
        work()
        taken.append(time.process_time() - begun)
    return {"best_s": round(min(taken), 6), "median_s": round(statistics.median(taken), 6), "repeats": repeats}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=100_000)
    rows = parser.parse_args().rows
    rng = np.random.default_rng(0)
    reference, scores = table(rng, rows)
    labels = (rng.uniform(size=rows) < scores).astype(float)
    blocks = np.arange(rows) * 60 // rows

    def build() -> object:
        return build_profile(
            reference, scores, labels=labels, blocks=blocks, since=START, until=START + timedelta(days=60)
        )

    profile = build_profile(
        reference, scores, labels=labels, blocks=blocks, since=START, until=START + timedelta(days=60)
    )
    current, answers = table(rng, rows, shift=0.3)
    small = table(rng, 100)
    minute = count(profile, *small)
    eyes = watch(profile, budget=Budget(windows=50_000))
    state = eyes.step(eyes.begin(), minute)

    def compare() -> object:
        day = window(
            profile,
            current,
            answers,
            deployment="d",
            number=1,
            profile_digest=digest_of(b"p"),
            since=START,
            until=START + timedelta(days=1),
        )
        return detect(profile, [day])

    found = {
        "python": platform.python_version(),
        "numpy": np.__version__,
        "rows": rows,
        "features": NUMBERS + TEXTS,
        "step_50_features": cpu(lambda: eyes.step(state, minute), 200),
        "step_and_verdict_50_features": cpu(lambda: eyes.alarms(eyes.step(state, minute)), 200),
        "lay_out_bets_once_per_version": cpu(lambda: watch(profile), 20),
        "count_minute_of_100_rows": cpu(lambda: count(profile, *small), 50),
        "count_all_rows": cpu(lambda: count(profile, current, answers), 5),
        "count_and_detect_all_rows": cpu(compare, 5),
        "build_profile_all_rows": cpu(build, 3),
    }
    found["budgets_met"] = {
        "step_at_most_5_ms": found["step_and_verdict_50_features"]["median_s"] <= 0.005,
        "comparison_at_most_0.7_s": found["count_and_detect_all_rows"]["median_s"] <= 0.7,
    }
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
