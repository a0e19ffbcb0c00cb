"""How often rollouts err when somebody looks all the time, what they find and how soon, beside a t-test that is looked at as often. Prints JSON.

    python benchmarks/delivery_proof.py [--experiments 10000] [--only "NAME;NAME"]
    python benchmarks/delivery_proof.py --tables docs/explanation/rollouts.md < benchmarks/results/delivery_proof.json

Each experiment is 8,000 labelled answers of a calibrated model (log loss; mean 0.51, standard deviation 0.45) in the order of time, looked at 200
times, once every 40 labels. They are simulated many at a time by the limits that Noria uses (stats/anytime, stats/arms); the first of every
scenario are judged by serving/verdict itself as well, look by look, and the run ends if one of them differs. Rates have Wilson intervals, medians
exact ones. The t-test is Welch's at 5 %, two-sided: once at the end, and at every look from the hundredth answer of the smaller arm on.
"""

import argparse
import json
import platform
import re
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from noria.domain.deployment import CanaryPlan, Objective, Rollout
from noria.domain.ids import EventId, RolloutId
from noria.serving.bandit import follow
from noria.serving.evidence import Beside, Evidence, Sample, Tally
from noria.serving.objectives import least_early, objectives_of, tightest_at
from noria.serving.verdict import judge_rollout
from noria.stats.anytime import boundary, share_limits
from noria.stats.arms import difference_scores, mixed_mean
from noria.stats.intervals import quantile_interval, wilson_interval

ROWS, LOOKS, CHUNK, CHECKED, SEED = 8000, 200, 100, 20, 1956
AT = np.arange(1, LOOKS + 1) * (ROWS // LOOKS)
START = datetime(2026, 1, 1, tzinfo=UTC)
Floats = Any


@dataclass(frozen=True)
class Scenario:
    """effect: the challenger's loss minus the champion's. share: of the challenger, by row. hard: days differ in how hard they are. wrong: the
    outcome that must be rare, if one must, and at most how often; sought: the one that is wanted."""

    name: str
    plan: CanaryPlan
    effect: float = 0.0
    share: tuple[float, ...] = (0.5,)
    hard: float = 0.0
    wrong: str = ""
    at_most: float = 0.0
    sought: str = ""
    kind: str = "loss"
    note: str = ""
    rows: int = field(default=ROWS)


AB = CanaryPlan(mode="ab", weight=0.5)
CANARY = CanaryPlan(weight=0.2, tolerance=0.01)
PAIRED = CanaryPlan(weight=0.2, tolerance=0.01, paired=True)
REVENUE = CanaryPlan(mode="ab", weight=0.5, objectives=(Objective(measure="business", limit=0.0, name="revenue"),))
SCENARIOS = (
    Scenario("A/A, A/B test", AB, wrong="promote", at_most=0.05),
    Scenario("A/B test, 0.02 better", AB, effect=-0.02, sought="promote", wrong="roll_back", at_most=0.025),
    Scenario("A/B test, 0.04 better", AB, effect=-0.04, sought="promote", wrong="roll_back", at_most=0.025),
    Scenario("A/B test, 0.08 better", AB, effect=-0.08, sought="promote", wrong="roll_back", at_most=0.025),
    Scenario("A/A, canary of 20 %", CANARY, share=(0.2,), wrong="roll_back", at_most=0.025),
    Scenario("canary, worse by just its tolerance", CANARY, effect=0.01, share=(0.2,), wrong="promote", at_most=0.05),
    Scenario("canary, 0.1 worse", CANARY, effect=0.1, share=(0.2,), sought="roll_back", wrong="promote", at_most=0.05),
    Scenario("A/A, paired canary", PAIRED, kind="paired", wrong="roll_back", at_most=0.025, sought="promote"),
    Scenario(
        "paired canary, worse by just its tolerance", PAIRED, effect=0.01, kind="paired", wrong="promote", at_most=0.05
    ),
    Scenario(
        "paired canary, 0.03 worse",
        PAIRED,
        effect=0.03,
        kind="paired",
        sought="roll_back",
        wrong="promote",
        at_most=0.05,
    ),
    Scenario(
        "A/A, share rises 5, 20, 50 % while days get harder",
        CANARY,
        share=(0.05,) * 2000 + (0.2,) * 3000 + (0.5,) * 3000,
        hard=1.0,
        wrong="roll_back",
        at_most=0.025,
    ),
    Scenario("A/A, revenue of few buyers", REVENUE, kind="revenue", wrong="promote", at_most=0.05),
    Scenario(
        "revenue up by 30 %", REVENUE, effect=0.3, kind="revenue", sought="promote", wrong="roll_back", at_most=1 / 60
    ),
    Scenario(
        "requests fail as often as is allowed (1 %)",
        CANARY,
        effect=0.01,
        kind="failures",
        wrong="roll_back",
        at_most=0.025,
    ),
    Scenario("requests fail at 3 %", CANARY, effect=0.03, kind="failures", sought="roll_back"),
    Scenario("requests fail at 50 %", CANARY, effect=0.5, kind="failures", sought="roll_back"),
)


def answers(rng: np.random.Generator, s: Scenario, count: int) -> tuple[Floats, Floats, Floats]:
    """Loss of each row as its arm answered it, whether that was the challenger, and the chance of it. Shape (count, rows)."""
    share = np.broadcast_to(np.asarray(s.share), (s.rows,)) if len(s.share) > 1 else np.full(s.rows, s.share[0])
    ours = rng.random((count, s.rows)) < share
    if s.kind == "revenue":
        bought = rng.random((count, s.rows)) < 0.05
        lost = -1.0 * bought * rng.lognormal(3.0, 0.7, (count, s.rows)) * np.where(ours, 1 + s.effect, 1.0)
    else:
        p = 1 / (1 + np.exp(-rng.normal(-1.0, 1.2, (count, s.rows))))
        happened = rng.random((count, s.rows)) < p
        lost = -np.log(np.where(happened, p, 1 - p)) + s.effect * ours
        if s.hard:
            days = np.linspace(-s.hard / 2, s.hard / 2, 20) + rng.normal(0, 0.2, (count, 20))
            lost = lost + np.repeat(np.exp(days), s.rows // 20, axis=1)
    return lost, ours, np.where(ours, share, 1 - share)


def scores_of(lost: Floats, ours: Floats, chance: Floats) -> Floats:
    """stats/arms for many experiments at once; each row is a unit."""
    before = np.zeros(lost.shape)
    before[:, 1:] = np.cumsum(lost, axis=1)[:, :-1] / np.arange(1, lost.shape[1])
    return np.where(ours, 1.0, -1.0) * (lost - before) / chance


def limits(scores: Floats, plan: CanaryPlan, *, paired: bool) -> tuple[Floats, Floats]:
    """Lower and upper limit at every look, shape (count, looks): stats/anytime for many experiments at once."""
    mean = np.cumsum(scores, axis=1)[:, AT - 1] / AT
    square = np.cumsum(scores**2, axis=1)[:, AT - 1]
    variance = (square - AT * mean**2) / (AT - 1)
    if paired:
        for j, n in enumerate(AT):
            length = int(n**0.5)
            if n // length >= 20:
                whole = scores[:, : n // length * length].reshape(scores.shape[0], -1, length).mean(axis=2)
                variance[:, j] = np.maximum(variance[:, j], length * whole.var(axis=1, ddof=1))
    error = np.sqrt(variance / AT)
    at = tightest_at(plan, paired=paired)
    below = plan.error_rate / len(objectives_of(plan))
    return (
        mean - boundary(AT, error_rate=below, tightest_at=at) * error,
        mean + boundary(AT, error_rate=plan.error_rate, tightest_at=at) * error,
    )


def first(hits: Floats) -> Floats:
    return np.where(hits.any(axis=1), hits.argmax(axis=1), LOOKS)


def decided(s: Scenario, low: Floats, high: Floats, enough: Floats, early: Floats) -> tuple[Floats, Floats]:
    """At which look each is rolled back and promoted beyond doubt, LOOKS for never; only the earlier of the two counts.

    early: looks at which there are too few labels for that, but enough to believe what is overwhelming.
    """
    bar, by = 0.0 if s.plan.mode == "ab" else s.plan.tolerance, s.plan.tolerance
    few = early & ~enough & (s.kind != "revenue")
    back = first((low > bar) & enough | (low > bar + by) & few)
    promote = first(((high < bar) if s.plan.mode == "ab" else (high <= bar)) & enough | (high < -by) & few)
    return np.where(back <= promote, back, LOOKS), np.where(promote < back, promote, LOOKS)


def t_test(lost: Floats, ours: Floats, *, better: bool) -> tuple[Floats, Floats]:
    """Whether Welch's test calls the challenger better (or worse) at any look, and at the last. Shape (count,)."""
    parts = []
    for arm in (ours, ~ours):
        n = np.maximum(np.cumsum(arm, axis=1)[:, AT - 1], 2)
        mean = np.cumsum(lost * arm, axis=1)[:, AT - 1] / n
        parts.append((n, mean, (np.cumsum(lost**2 * arm, axis=1)[:, AT - 1] - n * mean**2) / (n - 1)))
    (n1, m1, v1), (n0, m0, v0) = parts
    t = (m1 - m0) / np.sqrt(np.maximum(v1 / n1 + v0 / n0, 1e-12))
    hit = ((t < -1.96) if better else (t > 1.96)) & (np.minimum(n1, n0) >= 100)
    return hit.any(axis=1), hit[:, -1]


def failures(rng: np.random.Generator, s: Scenario, count: int) -> tuple[Floats, Floats]:
    """Looks at which requests that fail are called too many; every request is a look, the first ROWS // 4 of them."""
    n = ROWS // 4
    below = s.plan.error_rate / len(objectives_of(s.plan))
    limit = s.plan.maximum_error_share
    worst = [_least_broken(rows, below, s.plan.error_rate, limit=limit) for rows in range(1, n + 1)]
    hits = np.cumsum(rng.random((count, n)) < s.effect, axis=1)
    over = hits >= np.asarray(worst)
    return np.where(over.any(axis=1), over.argmax(axis=1), n), np.full(count, n)


@cache
def _least_broken(rows: int, below: float, above: float, *, limit: float) -> int:
    """The fewest failures of so many requests that are surely too many: by bisection over share_limits."""
    low, high = 0, rows + 1
    while high - low > 1:
        middle = (low + high) // 2
        found = share_limits(middle, rows, below=below, above=above, usual=limit)
        low, high = (low, middle) if found.low > limit else (middle, high)
    return high


def rollout(plan: CanaryPlan) -> Rollout:
    return Rollout(id=RolloutId("r"), challenger=2, champion=1, plan=plan, started_at=START, cause=EventId("c"))


def verdict_at(s: Scenario, scores: Floats, ours: Floats) -> tuple[str, int]:
    """What serving/verdict says, look by look, of one experiment."""
    paired = s.kind == "paired"
    for j, n in enumerate(AT):
        count = int(ours[:n].sum())
        sample = (
            Sample(scores=scores[:n], paired=True, champion_rows=int(n), challenger_rows=int(n))
            if paired
            else Sample(scores=scores[:n], champion_rows=int(n) - count, challenger_rows=count)
        )
        evidence = Evidence(business={"revenue": sample}) if s.kind == "revenue" else Evidence(quality=sample)
        found = judge_rollout(rollout(s.plan), evidence, now=START + timedelta(days=1))
        if found.outcome != "wait":
            return found.outcome, j
    return "wait", LOOKS


def run(s: Scenario, experiments: int) -> dict[str, Any]:
    """One scenario: how often it ended how, and after how many labels."""
    rng = np.random.default_rng([SEED, SCENARIOS.index(s)])
    backs, promotes, peeked, once = [], [], [], []
    done = 0
    while done < experiments:
        count = min(CHUNK, experiments - done)
        if s.kind == "failures":
            back, promote = failures(rng, s, count)
        else:
            lost, ours, chance = answers(rng, s, count)
            if s.kind == "paired":
                hard = np.repeat(rng.normal(0, 0.005, (count, s.rows // 100)), 100, axis=1)
                scores = rng.normal(s.effect, 0.12, lost.shape) + hard
                enough = np.broadcast_to(max(s.plan.minimum_labels, 50) <= AT, (count, LOOKS))
                early = np.broadcast_to(least_early(s.plan) <= AT, (count, LOOKS))
            else:
                scores = scores_of(lost, ours, chance)
                have = np.cumsum(ours, axis=1)[:, AT - 1]
                enough = (have >= s.plan.minimum_labels) & (AT - have >= 50)
                early = np.minimum(have, AT - have) >= least_early(s.plan)
                hits = t_test(lost, ours, better=s.wrong == "promote" if not s.sought else s.sought == "promote")
                peeked.append(hits[0])
                once.append(hits[1])
            back, promote = decided(s, *limits(scores, s.plan, paired=s.kind == "paired"), enough, early)
            if done == 0:
                check(s, scores, ours, back, promote)
        backs.append(back)
        promotes.append(promote)
        done += count
    return told(s, np.concatenate(backs), np.concatenate(promotes), peeked, once)


def check(s: Scenario, scores: Floats, ours: Floats, back: Floats, promote: Floats) -> None:
    """The verdict itself must say the same of the first experiments."""
    for i in range(min(CHECKED, len(back) // 5)):
        ended = min(back[i], promote[i])
        expected = (
            ("wait", LOOKS) if ended == LOOKS else ("roll_back" if back[i] < promote[i] else "promote", int(ended))
        )
        found = verdict_at(s, scores[i], ours[i])
        if found != expected:
            raise SystemExit(f"{s.name}: experiment {i} is {expected} here and {found} by serving/verdict")


def told(
    s: Scenario, back: Floats, promote: Floats, peeked: Sequence[Floats], once: Sequence[Floats]
) -> dict[str, Any]:
    never = ROWS // 4 if s.kind == "failures" else LOOKS
    found: dict[str, Any] = {"name": s.name, "experiments": int(back.size)}
    for outcome, looks in (("roll_back", back), ("promote", promote)):
        hits = looks < never
        found[outcome] = rate(hits)
        if outcome == s.sought and hits.any():
            labels = (looks[hits] + 1) * (1 if s.kind == "failures" else ROWS // LOOKS)
            median = quantile_interval(labels.astype(float), 0.5)
            found["median"] = [round(median.value), round(median.low), round(median.high)]
            found["p90"] = round(float(np.quantile(labels, 0.9)))
    if s.wrong:
        found |= {"wrong": s.wrong, "at_most": round(s.at_most, 4), "held": found[s.wrong][1] <= s.at_most}
    if s.sought:
        found["sought"] = s.sought
    if peeked:
        found |= {"t_test_peeked": rate(np.concatenate(peeked)), "t_test_once": rate(np.concatenate(once))}
    return found


def rate(hits: Floats) -> list[float]:
    found = wilson_interval(int(hits.sum()), int(hits.size))
    return [round(found.value, 4), round(found.low, 4), round(found.high, 4)]


def bandit(effect: float, experiments: int) -> dict[str, Any]:
    """Twenty strokes of the clock with 200 labels between them: where the split goes, what both estimates say, how often a verdict is wrong."""
    plan = CanaryPlan(mode="bandit", weight=0.3, tolerance=0.0 if effect == 0 else 0.01, minimum_labels=200)
    rng = np.random.default_rng([SEED, 77, round(1000 * (1 + effect))])
    ends: dict[str, list[float]] = {"share": [], "weighted": [], "plain": [], "wrong": [], "to_better": []}
    for number in range(experiments):
        lost, ours, chance = np.zeros(0), np.zeros(0, bool), np.zeros(0)
        share, wrong, sent = 0.3, 0.0, 0.0
        state = Rollout(
            id=RolloutId(f"b{number}"), challenger=2, champion=1, plan=plan, started_at=START, cause=EventId("c")
        )
        for _ in range(20):
            mine = rng.random(200) < share
            p = 1 / (1 + np.exp(-rng.normal(-1.0, 1.2, 200)))
            loss = -np.log(np.where(rng.random(200) < p, p, 1 - p)) + effect * mine + rng.choice([0.0, 0.3])
            lost, ours = np.concatenate([lost, loss]), np.concatenate([ours, mine])
            chance = np.concatenate([chance, np.where(mine, share, 1 - share)])
            sent += float(mine.sum())
            means = tuple(mixed_mean(lost[arm], chance=chance[arm]) for arm in (~ours, ours))
            scores = difference_scores(lost, ours, chance=chance, units=np.arange(lost.size))
            sample = Sample(scores=scores, champion_rows=int((~ours).sum()), challenger_rows=int(ours.sum()))
            evidence = Evidence(quality=sample, arms=means)  # type: ignore[arg-type]
            wrong = wrong or float(
                judge_rollout(state, evidence, now=START).outcome == ("roll_back" if effect <= 0 else "promote")
            )
            share = follow(state, evidence, share=share) or share
        ends["share"].append(share)
        ends["weighted"].append(float(scores.mean()) - effect)
        ends["plain"].append(float(lost[ours].mean() - lost[~ours].mean()) - effect)
        ends["wrong"].append(wrong)
        ends["to_better"].append(sent / lost.size if effect <= 0 else 1 - sent / lost.size)
    return {
        "effect": effect,
        "experiments": experiments,
        "wrong": rate(np.asarray(ends["wrong"]) > 0),
        "share_at_the_end": [round(float(q), 2) for q in np.quantile(ends["share"], [0.1, 0.5, 0.9])],
        "answers_of_the_better_arm": round(float(np.mean(ends["to_better"])), 3),
        "bias_weighted": _mean(ends["weighted"]),
        "bias_plain": _mean(ends["plain"]),
    }


def _mean(values: Sequence[float]) -> list[float]:
    array = np.asarray(values)
    return [round(float(array.mean()), 5), round(1.96 * float(array.std() / array.size**0.5), 5)]


def crash() -> dict[str, int]:
    """How many requests a challenger may lose that answers none: by serving/verdict, whatever the champion answers beside it."""
    for lost in range(1, 50):
        failed = Beside(challenger=Tally(hits=lost, rows=lost), champion=Tally(rows=4 * lost))
        if judge_rollout(rollout(CANARY), Evidence(failures=failed), now=START).outcome == "roll_back":
            return {"requests": lost}
    raise SystemExit("a challenger that answers nothing is never rolled back")


def percent(found: Sequence[float]) -> str:
    return f"{found[0]:.1%} ({found[1]:.1%}–{found[2]:.1%})"


def tables(result: dict[str, Any]) -> dict[str, str]:
    """The tables of the page, by the name of their place."""
    rates = [
        "| experiment | must be rare | at most | happened | Welch's t-test, looked at as often | once, at the end |",
        "|---|---|---|---|---|---|",
    ]
    power = [
        "| experiment | ends rightly | labels until then, median | 90 % | Welch's t-test, once at the end |",
        "|---|---|---|---|---|",
    ]
    for each in result["scenarios"]:
        if "wrong" in each:
            said = {"promote": "promoted", "roll_back": "rolled back"}[each["wrong"]]
            naive = [
                percent(each[k]) if k in each and "sought" not in each else "" for k in ("t_test_peeked", "t_test_once")
            ]
            rates.append(
                f"| {each['name']} | {said} | {each['at_most']:.1%} | {percent(each[each['wrong']])} | {naive[0]} | {naive[1]} |"
            )
        if "sought" in each:
            median = each.get("median")
            labels = f"{median[0]:,} ({median[1]:,}–{median[2]:,})" if median else "–"
            once = percent(each["t_test_once"]) if "t_test_once" in each else ""
            power.append(
                f"| {each['name']} | {percent(each[each['sought']])} | {labels} | {each.get('p90', 0):,} | {once} |"
            )
    split = [
        "| challenger | wrong verdicts | its last share: 10 %, median, 90 % | answers by the better arm | bias, weighted | bias, plain means |",
        "|---|---|---|---|---|---|",
    ]
    for each in result["bandits"]:
        share = ", ".join(f"{value:.0%}" for value in each["share_at_the_end"])
        better = f"{each['answers_of_the_better_arm']:.1%}" if each["effect"] else ""
        biases = " | ".join(f"{each[k][0]:+.4f} ± {each[k][1]:.4f}" for k in ("bias_weighted", "bias_plain"))
        split.append(f"| {each['effect']:+g} | {percent(each['wrong'])} | {share} | {better} | {biases} |")
    return {"rates": "\n".join(rates), "power": "\n".join(power), "bandits": "\n".join(split)}


def put(page: Path, result: dict[str, Any]) -> None:
    """Write the tables between their marks on the page."""
    text = page.read_text(encoding="utf-8")
    for name, table in tables(result).items():
        text = re.sub(
            f"(<!-- {name} -->\n\n).*?(\n\n<!-- end {name} -->)",
            lambda m, t=table: m[1] + t + m[2],
            text,
            flags=re.DOTALL,
        )
    page.write_text(text, encoding="utf-8")


def measured(experiments: int, bandits: int, only: Callable[[str], bool] = lambda _: True) -> dict[str, Any]:
    begun = time.process_time()
    scenarios = []
    for s in SCENARIOS:
        if only(s.name):
            scenarios.append(run(s, experiments))
            print(json.dumps(scenarios[-1]), file=sys.stderr)
    return {
        "scenarios": scenarios,
        "bandits": [bandit(effect, bandits) for effect in (0.0, -0.08, 0.08)] if bandits else [],
        "crash": crash(),
        "cpu_seconds": round(time.process_time() - begun, 1),
        "python": platform.python_version(),
    }


def main() -> int:
    options = argparse.ArgumentParser()
    options.add_argument("--experiments", type=int, default=10_000)
    options.add_argument("--bandits", type=int, default=200)
    options.add_argument("--only", default="")
    options.add_argument("--tables", type=Path)
    given = options.parse_args()
    if given.tables:
        put(given.tables, json.load(sys.stdin))
        return 0
    wanted = [name for name in given.only.split(";") if name]
    result = measured(given.experiments, given.bandits, lambda name: not wanted or any(word in name for word in wanted))
    print(json.dumps(result, indent=1))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
