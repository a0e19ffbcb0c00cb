"""Gains, costs and intervals of the loop's proof, and the tables that are printed of them. Used by loop_proof."""

from datetime import timedelta
from typing import Any

import loop_arms as arms
import numpy as np

from noria.demo.prepare import BEGIN
from noria.stats.intervals import mean_interval
from noria.stats.metrics import row_log_loss

DRAWS, STRETCH, SEED = 2000, 7, 2013
MONTH_DAYS = 30
GAIN = 0.002
"""Nats: an oracle's gain below which a share of it says nothing."""


def summed(runs: dict[str, Any]) -> dict[str, Any]:
    """Over seeds: loss, gain over frozen with an interval over seeds, retrainings; share of the oracle's gain; the loop's worst month."""
    found: dict[str, Any] = {}
    named = {name for run in runs.values() for name in run["loss"]}
    for name in sorted(named, key=_order):
        mine = [run for run in runs.values() if name in run["loss"]]
        loss = np.array([np.mean(run["loss"][name]) for run in mine])
        found[name] = {
            "seeds": len(mine),
            "loss": round(float(loss.mean()), 5),
            "retrainings": round(float(np.mean([len(run["retrained"][name]) for run in mine])), 2),
        }
        both = [run for run in mine if "frozen" in run["loss"]]
        if both and name != "frozen":
            gain = np.array([np.mean(run["loss"]["frozen"]) - np.mean(run["loss"][name]) for run in both])
            found[name]["gain"] = _interval(gain)
        oracle = [run for run in both if "oracle" in run["loss"]]
        if oracle and name not in ("frozen", "oracle"):
            found[name]["share"] = _share(oracle, name)
        if both and name == "loop":
            found[name]["worst_month"] = _worst_month(both)
    return found


def _interval(values: Any) -> list[float]:
    """Mean with 95 % over seeds."""
    if len(values) < 2:
        return [round(float(values[0]), 5)] * 3
    found = mean_interval(values)
    return [round(found.value, 5), round(found.low, 5), round(found.high, 5)]


def _share(runs: list[Any], name: str) -> list[float] | None:
    """The arm's gain as a share of the oracle's, 95 % by drawing seeds again; None where the oracle gains next to nothing."""
    frozen = np.array([np.mean(run["loss"]["frozen"]) for run in runs])
    mine = frozen - np.array([np.mean(run["loss"][name]) for run in runs])
    best = frozen - np.array([np.mean(run["loss"]["oracle"]) for run in runs])
    if best.mean() < GAIN:
        return None
    rng = np.random.default_rng(SEED)
    drawn = [rng.integers(0, len(runs), len(runs)) for _ in range(DRAWS)]
    shares = [mine[d].sum() / best[d].sum() for d in drawn]
    low, high = np.quantile(shares, (0.025, 0.975))
    return [round(float(mine.sum() / best.sum()), 3), round(float(low), 3), round(float(high), 3)]


def _worst_month(runs: list[Any]) -> list[float]:
    """The month of 30 days in which the loop was worst beside frozen, over seeds: its place, and loss above frozen with interval."""
    above = np.array([np.array(run["loss"]["loop"]) - np.array(run["loss"]["frozen"]) for run in runs])
    months = above.shape[1] // MONTH_DAYS
    by_month = above[:, : months * MONTH_DAYS].reshape(len(runs), months, MONTH_DAYS).mean(axis=2)
    worst = int(by_month.mean(axis=0).argmax())
    return [worst, *_interval(by_month[:, worst])]


def _order(name: str) -> tuple[int, str]:
    first = ("frozen", "loop", "oracle", "daily, all")
    return (first.index(name) if name in first else len(first), name)


def line(name: str, found: dict[str, Any]) -> str:
    """One stream on one line."""
    parts = [f"{arm} {row['loss']:.4f}/{row['retrainings']:g}" for arm, row in found.items()]
    share = found.get("loop", {}).get("share")
    return f"{name:20s} " + "  ".join(parts) + (f"  share {share}" if share else "")


def markdown(held: dict[str, Any]) -> str:
    """Every stream with the loop's gain, its share of the oracle's, and what the arms cost."""
    lines = [
        "| stream | frozen | loop | retrainings | oracle | share of the oracle's gain | worst month beside frozen |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, row in held.items():
        found = row["found"]
        loop, best = found.get("loop"), found.get("oracle")
        if not loop or not best:
            continue
        worst = loop["worst_month"]
        share = _range(loop["share"], 2) if loop.get("share") else f"nothing to gain; {_range(loop['gain'], 4)}"
        lines.append(
            f"| {name} | {found['frozen']['loss']:.4f} | {loop['loss']:.4f} | {loop['retrainings']:g} | {best['loss']:.4f} "
            f"| {share} | {_range(worst[1:], 4)} |"
        )
    lines += ["", "| stream | " + " | ".join(_arms(held)) + " |", "|---" * (1 + len(_arms(held))) + "|"]
    for name, row in held.items():
        cells = [
            f"{row['found'][arm]['loss']:.4f} ({row['found'][arm]['retrainings']:g})" if arm in row["found"] else ""
            for arm in _arms(held)
        ]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _arms(held: dict[str, Any]) -> list[str]:
    return sorted({arm for row in held.values() for arm in row["found"]}, key=_order)


def _range(values: list[float], digits: int) -> str:
    return f"{values[0]:.{digits}f} ({values[1]:.{digits}f} to {values[2]:.{digits}f})"


def of_year(year: Any, scores: dict[str, Any], facts: dict[str, Any]) -> dict[str, Any]:
    """The flights year: each arm's log loss and cost, gain over frozen and share of the oracle's by drawing stretches of 7 days again."""
    label = year.labels[year.asked].astype(float)
    known = ~np.isnan(label)
    day = year.day[year.asked][known]
    loss = {name: row_log_loss(label[known], score[known]) for name, score in scores.items()}
    days = int(day.max()) + 1
    rows = np.bincount(day, minlength=days).astype(float)
    sums = {name: np.bincount(day, values, minlength=days) for name, values in loss.items()}
    dates = [(BEGIN + timedelta(days=i)).strftime("%Y-%m") for i in range(days)]
    drawn = list(arms.blocks(days, length=STRETCH, draws=DRAWS, seed=SEED))
    found: dict[str, Any] = {"flights": int(rows.sum()), "days": days, "arms": {}, "months": {}}
    for name in scores:
        row: dict[str, Any] = {
            "loss": round(float(sums[name].sum() / rows.sum()), 5),
            "retrainings": len(facts[name]["retrained"]),
            "cpu_s": facts[name]["cpu_s"],
            **({"events": facts[name]["events"], "told": facts[name]["told"]} if "events" in facts[name] else {}),
        }
        if "frozen" in scores and name != "frozen":
            row["gain"] = _drawn(lambda d, n=name: (sums["frozen"][d] - sums[n][d]).sum() / rows[d].sum(), days, drawn)
        if "oracle" in scores and name not in ("frozen", "oracle"):
            row["share"] = _drawn(
                lambda d, n=name: (
                    (sums["frozen"][d] - sums[n][d]).sum() / (sums["frozen"][d] - sums["oracle"][d]).sum()
                ),
                days,
                drawn,
            )
        found["arms"][name] = row
    for month in sorted(set(dates)):
        inside = np.array([m == month for m in dates])
        chosen = inside[day]
        found["months"][month] = {
            name: [round(float(loss[name][chosen].mean()), 5), *_beside(loss, name, chosen, day)] for name in scores
        }
    return found


def _beside(loss: dict[str, Any], name: str, chosen: Any, day: Any) -> list[float]:
    """Loss above frozen in a month, with 95 % over its days."""
    if name == "frozen" or "frozen" not in loss:
        return []
    found = mean_interval((loss[name] - loss["frozen"])[chosen], day[chosen])
    return [round(found.value, 5), round(found.low, 5), round(found.high, 5)]


def _drawn(statistic: Any, days: int, drawn: list[Any]) -> list[float]:
    """A statistic of days, with 95 % by drawing."""
    values = [float(statistic(d)) for d in drawn]
    low, high = np.quantile(values, (0.025, 0.975))
    return [round(float(statistic(np.arange(days))), 5), round(float(low), 5), round(float(high), 5)]


def year_markdown(found: dict[str, Any]) -> str:
    """The year's table, then month by month what the loop did beside frozen."""
    lines = [
        "| way | log loss | gain over frozen | share of the oracle's gain | retrainings |",
        "|---|---|---|---|---|",
    ]
    for name, row in found["arms"].items():
        gain, share = row.get("gain"), row.get("share")
        lines.append(
            f"| {name} | {row['loss']:.4f} | {_range(gain, 4) if gain else ''} | {_range(share, 2) if share else ''} | {row['retrainings']} |"
        )
    compared = [name for name in found["arms"] if name != "frozen"]
    lines += ["", "| month | frozen | " + " | ".join(compared) + " |", "|---" * (2 + len(compared)) + "|"]
    for month, row in found["months"].items():
        cells = [_range(row[name][1:], 4) if len(row[name]) > 1 else "" for name in compared]
        lines.append(f"| {month} | {row['frozen'][0]:.4f} | " + " | ".join(cells) + " |")
    return "\n".join(lines)
