"""The kept results of monitoring_proof as Markdown tables, put between their markers in a page.

    python benchmarks/clients/monitoring_tables.py benchmarks/results/monitoring_proof.json docs/explanation/alarms.md

A table NAME goes between the lines `<!-- NAME -->` and `<!-- end NAME -->`.
"""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

import monitoring_estimates
import monitoring_tally as tally

Rows = list[dict[str, Any]]
SHORT = {
    "Noria": "Noria",
    "Alibi Detect, TabularDrift": "Alibi Detect",
    "Evidently, any column": "Evidently, any column",
    "Evidently, dataset (half of the columns)": "Evidently, half of the columns",
    "NannyML, any column": "NannyML, any column",
    "NannyML, PCA reconstruction": "NannyML, PCA",
    "river, ADWIN on any number": "river, ADWIN",
}
LABELS = (
    "Noria, change of the error",
    "Noria, change of meaning",
    "Noria, decay",
    "river, ADWIN",
    "river, PageHinkley",
    "river, HDDM_A",
    "river, HDDM_W",
    "river, DDM",
    "river, EDDM",
    "river, KSWIN",
    "river, FHDDM",
    "NannyML, realised performance",
    "Alibi Detect, FETDriftOnline",
)


def crossed(rows: Rows, rules: dict[str, str], cell: Callable[[dict[str, Any]], str], first: str) -> list[str]:
    """Scenarios down, rules across; the last line is over all scenarios."""
    by = {(row["scenario"], row["rule"]): row for row in rows}
    used = [rule for rule in rules if any(row["rule"] == rule for row in rows)]
    lines = [f"| {first} | {' | '.join(rules[rule] for rule in used)} |", "|---|" + "---|" * len(used)]
    for scenario in dict.fromkeys(row["scenario"] for row in rows):
        cells = [cell(by[scenario, rule]) if (scenario, rule) in by else "" for rule in used]
        lines.append(f"| {scenario} | {' | '.join(cells)} |")
    return lines


def quiet(row: dict[str, Any]) -> str:
    """Windows in false alarm of all clean ones, in streams."""
    if not row["runs"]:
        return "failed"
    share = row["windows_in_false_alarm"]
    return f"{share['count']} of {share['of']:,}"


def power(row: dict[str, Any]) -> str:
    """Found in so many streams, after so many rows."""
    if not row["runs"]:
        return "failed"
    found = row["found"]
    return f"{found['count']}/{found['of']}, {tally.shown_delay(row['delay'])}"


def summed_up(rows: Rows, rules: dict[str, str]) -> list[str]:
    """Over all scenarios: false alarms with intervals, streams found with intervals."""
    lines = [
        "| rule | clean windows in alarm | 95 % interval | Noria in the same scenarios | alarms begun | streams with a false alarm | found |",
        "|---|---|---|---|---|---|---|",
    ]
    for rule, name in rules.items():
        runs = [run for row in rows if row["rule"] == rule for run in row["runs"].values()]
        if not runs:
            continue
        up = tally.share(sum(run["up"] for run in runs), sum(run["clean"] for run in runs))
        tried = {row["scenario"] for row in rows if row["rule"] == rule and row["runs"]}
        own = [r for row in rows if row["rule"] == "Noria" and row["scenario"] in tried for r in row["runs"].values()]
        same = tally.share(sum(run["up"] for run in own), sum(run["clean"] for run in own))
        alarmed = tally.share(sum(run["false"] > 0 for run in runs), len(runs))
        found = tally.share(sum(run["delay"] is not None for run in runs), len(runs))
        lines.append(
            f"| {name} | {up['count']} of {up['of']:,} ({100 * up['value']:.2f} %) | {100 * up['low']:.2f}–{100 * up['high']:.2f} % | "
            f"{same['count']} of {same['of']:,} ({100 * same['value']:.2f} %) | {sum(run['false'] for run in runs)} | "
            f"{tally.shown(alarmed)} | {tally.shown(found)} |"
        )
    return lines


def concepts(rows: Rows) -> list[str]:
    """False alarms in labels before the change, and the delay after it."""

    def cell(row: dict[str, Any]) -> str:
        if not row["runs"]:
            return "failed"
        found = row["found"]
        late = f"{found['count']}/{found['of']}" + (f", {tally.shown_delay(row['delay'])}" if found["count"] else "")
        return f"{row['false_alarms']} / {late}"

    most = {
        row["scenario"]: row for row in sorted(rows, key=lambda row: len(row["runs"]))
    }  # its error is of most streams
    told = {
        name: f"{name}: {row['about']}; error {row['error'][0]:.2f} → {row['error'][1]:.2f}"
        for name, row in most.items()
    }
    named = [{**row, "scenario": told[row["scenario"]]} for row in rows]
    return crossed(named, {rule: rule.removeprefix("river, ") for rule in LABELS}, cell, "stream")


def estimated(rows: Rows) -> list[str]:
    """Every rule on the streams that all of them had."""
    lines = [
        "| stream | estimate | AUC: error (bias) | held | accuracy: error (bias) | held |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        if not row["runs"]:
            lines.append(f"| {row['scenario']} | {row['rule']} | failed | | | |")
            continue
        beside = [set(other["runs"]) for other in rows if other["scenario"] == row["scenario"] and other["runs"]]
        shared = {seed: run for seed, run in row["runs"].items() if seed in set.intersection(*beside)}
        lines.append(monitoring_estimates.shown({**row, **monitoring_estimates.over(shared)}))
    return lines


def faults(rows: Rows) -> list[str]:
    """Found on the first broken day, and good days with a finding."""

    def cell(row: dict[str, Any]) -> str:
        if not row["runs"]:
            return "failed"
        first = sum(run["delay"] is not None and run["delay"] <= row["rows"] for run in row["runs"].values())
        share = row["windows_in_false_alarm"]
        return f"{first}/{len(row['runs'])}; {share['count']} of {share['of']}"

    rules = dict.fromkeys(row["rule"] for row in rows)
    return crossed(rows, {rule: rule for rule in rules}, cell, "fault")


def tables(results: dict[str, Any]) -> dict[str, list[str]]:
    """Every table by its name."""
    inputs = results.get("inputs", [])
    described = [{**row, "scenario": f"{row['scenario']}: {row['about']}"} for row in inputs]
    return {
        "sums": summed_up(inputs, SHORT),
        "false alarms": crossed(described, SHORT, quiet, "stream"),
        "power": crossed(inputs, SHORT, power, "stream"),
        "concepts": concepts(results.get("concepts", [])),
        "faults": faults(results.get("faults", [])),
        "estimates": estimated(results.get("estimates", [])),
    }


def main() -> None:
    results = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    page = Path(sys.argv[2])
    text = page.read_text(encoding="utf-8")
    for name, lines in tables(results).items():
        begins, ends = f"<!-- {name} -->\n", f"<!-- end {name} -->"
        if begins in text:
            head, rest = text.split(begins, 1)
            text = head + begins + "\n" + "\n".join(lines) + "\n\n" + ends + rest.split(ends, 1)[1]
    page.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
