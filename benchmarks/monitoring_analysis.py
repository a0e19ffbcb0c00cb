"""Error analysis, tried on worlds whose truth is known: how often chance is called sure, how often what was planted is found, what it costs.

Command: python benchmarks/monitoring_analysis.py [--seeds 40] [--only PART] [--out FILE].
One core; CPU seconds, so other work on the machine matters little.
scikit-learn's IsolationForest stands beside the search for odd predictions, given the number of flags that it may raise.
"""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from noria.monitoring.anomaly import find_odd, learn
from noria.monitoring.blame import Stretch, diagnose
from noria.monitoring.slices import find_slices
from noria.monitoring.text import contrast
from noria.stats.fairness import binary_measures, fairness
from noria.stats.intervals import wilson_interval

Columns = dict[str, np.ndarray]


def share(hits: int, n: int) -> dict[str, float]:
    found = wilson_interval(hits, n)
    return {"hits": hits, "of": n, "low": round(found.low, 4), "high": round(found.high, 4)}


def slices(seeds: int) -> dict[str, Any]:
    """12 columns, 40 days with their own moods; planted: a pair of conditions of 5 % of the rows that adds 0.3 to a mean loss of 0.4."""

    def world(
        seed: int, effect: float, rows: int = 8000, columns: int = 12
    ) -> tuple[Columns, np.ndarray, np.ndarray, np.ndarray]:
        rng = np.random.default_rng(seed)
        made: Columns = {f"x{i}": rng.normal(size=rows) for i in range(columns - 4)}
        made |= {f"t{i}": rng.choice(list("abcde"), rows, p=[0.4, 0.3, 0.15, 0.1, 0.05]) for i in range(4)}
        day = np.sort(rng.integers(0, 40, rows))
        hit = (made["x0"] > 0.8) & (made["t1"] == "b")
        return made, rng.exponential(0.4, rows) * (1 + 0.15 * rng.normal(size=40)[day]) + effect * hit, day, hit

    wrong = found = extra = 0
    for seed in range(seeds):
        made, loss, day, _ = world(seed, 0.0)
        wrong += bool(find_slices(made, loss, blocks=day).search.sure)
        made, loss, day, hit = world(10_000 + seed, 0.3)
        told = find_slices(made, loss, blocks=day)
        sure = [m for s, m in zip(told.search.slices, told.members, strict=True) if s.sure]
        found += any((m & hit).sum() / (m | hit).sum() > 0.5 for m in sure)
        extra += any((m & hit).sum() / m.sum() < 0.2 for m in sure)
    made, loss, day, _ = world(1, 0.3, rows=100_000, columns=50)
    begun = time.process_time()
    find_slices(made, loss, blocks=day)
    cost = time.process_time() - begun
    return {
        "chance called sure": share(wrong, seeds),
        "planted found": share(found, seeds),
        "something else beside it": share(extra, seeds),
        "cpu_s of 100,000 rows x 50 columns": round(cost, 2),
    }


def causes(seeds: int) -> dict[str, Any]:
    """Nine columns, two of them correlated; what changes: nothing, the mix of one input, the meaning of another, both. 28 days before, 14 now."""

    def stretch(rng: np.random.Generator, rows: int, days: int, moved: float, meaning: float) -> Stretch:
        made: Columns = {f"x{i}": rng.normal(size=rows) for i in range(8)}
        made["x1"] = 0.8 * made["x0"] + 0.6 * made["x1"]
        made["x0"] = made["x0"] + moved
        made["t"] = rng.choice(list("abcd"), rows)
        day = np.arange(rows) * days // rows
        mean = (
            0.3 + 0.2 * np.tanh(made["x0"]) + 0.1 * (made["t"] == "b") + 0.1 * np.tanh(made["x2"]) * np.tanh(made["x0"])
        )
        loss = (mean + meaning * (made["x2"] > 0)) * rng.exponential(1, rows) * (1 + 0.05 * rng.normal(size=days)[day])
        return Stretch(columns=made, values=loss, days=day)

    rng = np.random.default_rng(0)
    z = rng.normal(size=2_000_000)
    true = float(0.2 * (np.tanh(z + 0.7) - np.tanh(z)).mean())
    told = {}
    for name, moved, meaning in (
        ("nothing", 0.0, 0.0),
        ("inputs", 0.7, 0.0),
        ("meaning", 0.0, 0.1),
        ("both", 0.7, 0.1),
    ):
        counts = dict.fromkeys(
            ("inputs covered", "meaning covered", "inputs sure", "meaning sure", "x0 named", "another named"), 0
        )
        for seed in range(seeds):
            rng = np.random.default_rng(seed)
            found = diagnose(stretch(rng, 6000, 28, 0, 0), stretch(rng, 3000, 14, moved, meaning), seed=seed)
            counts["inputs covered"] += found.inputs.low <= (true if moved else 0.0) <= found.inputs.high
            counts["meaning covered"] += found.meaning.low <= meaning / 2 <= found.meaning.high
            counts["inputs sure"] += found.inputs.low > 0 or found.inputs.high < 0
            counts["meaning sure"] += found.meaning.low > 0 or found.meaning.high < 0
            counts["x0 named"] += any(c.sure for c in found.causes if c.feature == "x0")
            counts["another named"] += any(c.sure for c in found.causes if c.feature != "x0")
        told[name] = {key: share(int(value), seeds) for key, value in counts.items()}
    return told


def groups(seeds: int) -> dict[str, Any]:
    """Two groups, days that move both alike; unfair: the scores of one are too low by 0.15."""
    wrong = found = 0
    for seed in range(seeds):
        for blind in (0.0, 0.15):
            rng = np.random.default_rng(seed)
            group, day = rng.choice(["a", "b"], 4000), np.arange(4000) // 133
            truth = 1 / (1 + np.exp(-rng.normal(0, 1.2, 4000) - rng.normal(0, 0.7, 31)[day]))
            said = np.clip(truth - blind * (group == "b"), 0, 1)
            happened = (rng.random(4000) < truth).astype(float)
            measures = binary_measures(happened, said)
            told = fairness(group.tolist(), measures, column="g", labelled=np.ones(4000, dtype=bool), blocks=day)
            if blind:
                found += any(g.sure for g in told.gaps if g.measure == "calibration")
            else:
                wrong += any(g.sure for g in told.gaps)
    return {"equal groups called different": share(wrong, seeds), "unfair found": share(found, seeds)}


def odd(seeds: int) -> dict[str, Any]:
    """24 columns; planted in 5,000 rows: 20 impossible pairs of numbers, 20 far values, 20 impossible pairs of texts."""
    from sklearn.ensemble import IsolationForest

    def rows(rng: np.random.Generator, n: int) -> Columns:
        a = rng.normal(size=n)
        made: Columns = {"a": a, "b": 0.9 * a + np.sqrt(0.19) * rng.normal(size=n)}
        made |= {f"x{i}": rng.gamma(2, size=n) for i in range(20)}
        made["t"] = rng.choice(list("abcdefgh"), n).astype(object)
        made["u"] = np.where(rng.random(n) < 0.95, made["t"], "z").astype(object)
        return made

    def matrix(made: Columns) -> np.ndarray:
        texts = [made[n] == v for n in ("t", "u") for v in "abcdefghz"]
        return np.column_stack([*(c.astype(float) for n, c in made.items() if n not in "tu"), *texts])

    flags = ours = theirs = all_flags = 0
    ids = [str(i) for i in range(5000)]
    for seed in range(seeds):
        rng = np.random.default_rng(seed)
        known = rows(rng, 20_000)
        ordinary = learn(known, blocks=np.arange(20_000) // 700)
        now = rows(rng, 5000)
        flags += find_odd(ordinary, now, ids=ids).flagged
        now["a"][:20], now["b"][:20], now["x3"][20:40], now["t"][40:60], now["u"][40:60] = 1.5, -1.5, 40.0, "a", "h"
        told = find_odd(ordinary, now, ids=ids, limit=5000)
        ours += sum(int(o.prediction_id) < 60 for o in told.oddities)
        all_flags += told.flagged
        forest = IsolationForest(random_state=seed).fit(matrix(known))
        worst = np.argsort(forest.score_samples(matrix(now)), kind="stable")[: told.flagged]
        theirs += int((worst < 60).sum())
    return {
        "ordinary rows flagged at a rate of 0.001": {
            "flags": flags,
            "of": 5000 * seeds,
            "rate": flags / (5000 * seeds),
        },
        "planted found": share(ours, 60 * seeds),
        "planted found by IsolationForest with as many flags": share(theirs, 60 * seeds),
        "flags raised": all_flags,
    }


def texts(seeds: int) -> dict[str, Any]:
    """20 days of 60 texts before, 4 now; days may have their own words; new: a share of the words comes from another subject."""
    words = np.array([f"word{i}" for i in range(800)])
    base = np.linspace(1, 0.02, 800)
    other = np.zeros(800)
    other[700:740] = 1 / 40

    def made(rng: np.random.Generator, days: int, wobble: float, mix: float) -> tuple[np.ndarray, np.ndarray]:
        found, day = [], []
        for d in range(days):
            p = base * np.exp(wobble * rng.normal(size=800))
            p = (1 - mix) * p / p.sum() + mix * other
            found += [" ".join(rng.choice(words, 12, p=p)) for _ in range(60)]
            day += [d] * 60
        return np.array(found, dtype=object), np.array(day)

    told, spent = {}, 0.0
    for wobble in (0.0, 0.5):
        for mix in (0.0, 0.1, 0.2):
            alarms = 0
            for seed in range(seeds):
                rng = np.random.default_rng(seed)
                (before, days), (now, days_now) = made(rng, 20, wobble, 0.0), made(rng, 4, wobble, mix)
                begun = time.process_time()
                alarms += contrast("t", before, now, days=days, days_now=days_now, seed=seed).alarm
                spent = time.process_time() - begun
            told[f"wobble {wobble:g}, other subject {mix:.0%}: alarms"] = share(alarms, seeds)
    told["cpu_s of one comparison"] = round(spent, 2)
    return told


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=40)
    parser.add_argument("--only", default="", help="one part; the others keep what --out holds of them")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    few = max(4, options.seeds // 5)
    parts: dict[str, Callable[[], dict[str, Any]]] = {
        "slices": lambda: slices(options.seeds),
        "groups": lambda: groups(options.seeds),
        "odd": lambda: odd(few),
        "causes": lambda: causes(max(4, options.seeds // 2)),
        "texts": lambda: texts(few),
    }
    kept = json.loads(options.out.read_text(encoding="utf-8")) if options.out and options.out.exists() else {}
    report: dict[str, Any] = {**kept, "seeds": options.seeds}
    for name, measure in parts.items():
        if options.only not in ("", name):
            continue
        report[name] = measure()
        print(json.dumps({name: report[name]}, indent=1), flush=True)
        if options.out:
            options.out.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
