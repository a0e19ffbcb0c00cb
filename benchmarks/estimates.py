"""Quality estimated before labels: how many realised values lay in the interval, how far off, beside "as in the week before". Prints JSON.

    python benchmarks/estimates.py [--streams 6]

Streams with a known truth: two classes (scores too timid by a map of the log odds, inputs that drift, days that differ), the same with a change of
concept at 70 % of the time, quantities (errors that grow with an input, which moves) and three classes (answered too surely, one becomes frequent).
Labels come by an exponential delay of days, one in ten never; weekly windows; the first window, which has no labels to learn from, is left out.
"""

import argparse
import json
import time
from datetime import UTC, datetime, timedelta

import numpy as np

from noria.domain.quality import QualityHistory
from noria.monitoring.quality_history import Served, history, served_of, track_record

START = datetime(2026, 1, 1, tzinfo=UTC)
DAYS, PER_DAY = 120, 300
EDGES = [START + timedelta(days=7 * week) for week in range(DAYS // 7 + 1)]


def dated(dice: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rows = DAYS * PER_DAY
    day = np.repeat(np.arange(DAYS), PER_DAY)
    at = (
        np.datetime64("2026-01-01", "us")
        + day.astype("timedelta64[D]")
        + (np.arange(rows) % PER_DAY) * np.timedelta64(288, "s")
    )
    label_at = at + dice.exponential(3 * 86_400e6, rows).astype("timedelta64[us]")
    label_at[dice.random(rows) < 0.1] = np.datetime64("NaT")
    return day, at, label_at


def two_classes(seed: int, *, concept: float = 0.0) -> Served:
    dice = np.random.default_rng(seed)
    day, at, label_at = dated(dice)
    z = dice.normal(-1.2, 1, day.size) + 0.5 * day / DAYS + np.repeat(dice.normal(0, 0.3, DAYS), PER_DAY)
    truth = 1.3 * z + 0.3 + np.repeat(dice.normal(0, 0.15, DAYS), PER_DAY) + concept * (day > 0.7 * DAYS)
    y = (dice.random(day.size) < 1 / (1 + np.exp(-truth))).astype(float)
    return served_of("binary", at=at, happened=y, said=1 / (1 + np.exp(-z)), label_at=label_at)


def quantities(seed: int) -> Served:
    dice = np.random.default_rng(seed)
    day, at, label_at = dated(dice)
    x, kind = (
        dice.normal(size=day.size) + 0.8 * (day >= DAYS // 2),
        dice.choice(list("abc"), day.size, p=[0.5, 0.3, 0.2]),
    )
    noise = (1 + np.abs(x)) * (1 + 0.5 * (kind == "c")) * np.repeat(np.exp(dice.normal(0, 0.05, DAYS)), PER_DAY)
    y = 2 * x + dice.normal(size=day.size) * noise
    return served_of("regression", at=at, happened=y, said=2 * x, label_at=label_at, features={"x": x, "kind": kind})


def three_classes(seed: int) -> Served:
    dice = np.random.default_rng(seed)
    day, at, label_at = dated(dice)
    logits = dice.normal(size=(day.size, 3)) * 1.5 + 0.6 * np.eye(3)[0] * (day >= DAYS // 2)[:, None]
    share = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    y = np.minimum((share.cumsum(axis=1) < dice.random((day.size, 1))).sum(axis=1), 2).astype(float)
    said = np.exp(1.6 * logits) / np.exp(1.6 * logits).sum(axis=1, keepdims=True)
    return served_of("multiclass", at=at, happened=y, said=said, label_at=label_at)


def summed(found: list[QualityHistory]) -> dict[str, dict[str, float]]:
    told: dict[str, dict[str, float]] = {}
    for each in found:
        for record in track_record(each.windows[1:]):
            held = told.setdefault(
                record.metric, {"windows": 0, "inside": 0, "bias": 0.0, "error": 0.0, "as_before": 0.0}
            )
            held["windows"] += record.windows
            held["inside"] += record.inside
            for name, value in (("bias", record.bias), ("error", record.error), ("as_before", record.naive or 0.0)):
                held[name] = round(held[name] + value / len(found), 5)
    return told


def main() -> int:
    options = argparse.ArgumentParser()
    options.add_argument("--streams", type=int, default=6)
    streams = options.parse_args().streams
    makers = {
        "two classes": two_classes,
        "two classes, concept changes": lambda seed: two_classes(seed, concept=1.0),
        "quantities": quantities,
        "three classes": three_classes,
    }
    result = {}
    for name, make in makers.items():
        begun = time.process_time()
        found = [history(make(seed), edges=EDGES, known_by=EDGES[0] + timedelta(days=DAYS)) for seed in range(streams)]
        spent = round((time.process_time() - begun) / streams / (len(EDGES) - 1), 3)
        result[name] = {"metrics": summed(found), "cpu_s_a_window": spent}
    print(json.dumps(result, indent=1))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
