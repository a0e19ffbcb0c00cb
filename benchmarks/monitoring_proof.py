"""False alarms, power and delay of Noria's monitoring and of its peers, on streams whose truth is known (noria.testing.streams_catalogue).

    python benchmarks/monitoring_proof.py --quick
    python benchmarks/monitoring_proof.py --proof --peers-root DIR [--what inputs,concepts] [--only plain,wobble] [--out FILE]

--quick: Noria alone, 3 seeds a scenario, seeds from 0 on. --proof: 20 seeds from 1000 on, which nobody has looked at while working on a method. Peers
run from their own packages in DIR/<evidently|nannyml|alibi|river>, a venv each, with their defaults, on the same rows by file, fewer seeds and
windows since they are slow (`--peer-seeds`, `--peer-clean`); a peer that fails or takes too long is kept with the reason. Noria runs with its
defaults in all of them. Rows of the table go to stderr as Markdown, JSON to stdout.
"""

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent / "clients"))

import monitoring_models
import monitoring_stream
import monitoring_tally as tally
import monitoring_watch as noria

from noria.testing.streams import Stream, joined
from noria.testing.streams_catalogue import CONCEPTS, INPUTS, PROOF_SEEDS, Scenario

HERE = Path(__file__).resolve().parent
CLIENTS = {
    "inputs": ("evidently", "nannyml", "alibi", "river"),
    "errors": ("nannyml", "alibi", "river"),
}
TIMEOUT_S = 900


def main() -> None:
    options = _options()
    document: dict[str, Any] = {
        "benchmark": "monitoring_proof",
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {
            "python": platform.python_version(),
            "numpy": np.__version__,
            "cpus": os.cpu_count(),
            "load": os.getloadavg(),
        },
        "seeds": [options.first_seed, options.first_seed + options.seeds - 1],
    }
    for what in options.what.split(","):
        catalogue = {"inputs": INPUTS, "concepts": CONCEPTS}[what]
        chosen = [s for s in catalogue if not options.only or s.name in options.only.split(",")]
        judge = on_inputs if what == "inputs" else on_concepts
        document[what] = []
        for scenario in chosen:
            found = judge(scenario, options)
            document[what] += found
            for row in found:
                print(as_row(row), file=sys.stderr, flush=True)
    text = json.dumps(document, indent=1)
    print(text)
    if options.out:
        Path(options.out).write_text(text + "\n", encoding="utf-8")


def on_inputs(scenario: Scenario, options: Any) -> list[dict[str, Any]]:
    """Noria on every seed, then the peers on the first few."""
    begun, said, right, named = time.process_time(), [], 0, 0
    for seed in range(options.first_seed, options.first_seed + options.seeds):
        stream = scenario.stream(seed)
        answer = noria.drift(stream, scenario.at)
        said.append(answer.flags)
        drifted = set(stream.changes[0].columns) | {"prediction"}
        named += len(answer.blamed)
        right += sum(name in drifted for name in answer.blamed) if stream.changes[0].columns else len(answer.blamed)
    stream = scenario.stream(0)
    facts = {"scenario": scenario.name, "about": scenario.about, "rows": stream.rows}
    own = {**facts, "rule": "Noria", **tally.of_windows(said, at=scenario.at, rows=stream.rows)}
    own["cpu_s_per_window"] = round((time.process_time() - begun) / (options.seeds * stream.windows), 5)
    own["blamed_rightly"] = tally.share(right, named)
    return [own, *peers_on_inputs(scenario, facts, options)]


def peers_on_inputs(scenario: Scenario, facts: dict[str, Any], options: Any) -> list[dict[str, Any]]:
    if not options.peers_root:
        return []
    folder = Path(tempfile.mkdtemp(prefix="noria-proof-"))
    try:
        skip = max(0, scenario.at - options.peer_clean)
        stop = min(scenario.stream(0).windows, scenario.at + options.peer_after)
        places = []
        for seed in range(options.first_seed, options.first_seed + options.peer_seeds):
            places.append(folder / str(seed))
            places[-1].mkdir()
            _write(scenario.stream(seed), places[-1], stop)
        found = []
        for peer in _peers(options, "inputs"):
            answers = ask(peer, places, {"what": "inputs", "skip": skip}, options)
            found += [
                {**facts, "rule": rule, **problem}
                if problem
                else {
                    **facts,
                    "rule": rule,
                    **tally.of_windows([a["flags"] for a in rows], at=scenario.at - skip, rows=facts["rows"]),
                    "cpu_s_per_window": _cpu(rows),
                }
                for rule, rows, problem in answers
            ]
        return found
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _write(stream: Stream, folder: Path, stop: int) -> None:
    history = stream.history()
    monitoring_stream.save(
        folder / "reference.npz",
        history.columns,
        scores=stream.world.believes(history.columns),
        labels=history.labels,
        window=history.window,
    )
    current = joined([stream.window(i) for i in range(stop)])
    monitoring_stream.save(
        folder / "current.npz",
        current.columns,
        scores=stream.world.believes(current.columns),
        labels=current.labels,
        window=current.window,
    )


def _cpu(rows: list[dict[str, Any]]) -> float:
    return round(sum(r["cpu_s"] for r in rows) / max(1, sum(len(r.get("flags", ())) for r in rows)), 5)


def on_concepts(scenario: Scenario, options: Any) -> list[dict[str, Any]]:
    """A model that learnt the first half of the reference, frozen; Noria on its labelled days, everybody on its errors."""
    folder = Path(tempfile.mkdtemp(prefix="noria-proof-"))
    facts = {"scenario": scenario.name, "about": scenario.about, "matters": scenario.stream(0).changes[0].matters}
    try:
        runs = [
            monitoring_models.run(scenario.stream(seed), scenario.at)
            for seed in range(options.first_seed, options.first_seed + options.seeds)
        ]
        clean, total = [r.clean for r in runs], [len(r.errors) for r in runs]
        facts["error"] = [
            round(float(np.mean([r.error_before for r in runs])), 3),
            round(float(np.mean([r.error_after for r in runs])), 3),
        ]
        found = []
        for rule, places in monitoring_models.own_rules(runs).items():
            found.append({**facts, "rule": rule, **tally.of_labels(places, clean=clean, total=total)})
        if options.peers_root:
            few = runs[: options.peer_label_seeds]
            folders = [monitoring_models.write(run, folder / str(i)) for i, run in enumerate(few)]
            for peer in _peers(options, "errors"):
                for rule, rows, problem in ask(peer, folders, {"what": "errors", "skip": 0}, options):
                    alarms = (
                        []
                        if problem
                        else [monitoring_models.places(run, row) for run, row in zip(few, rows, strict=True)]
                    )
                    found.append(
                        {
                            **facts,
                            "rule": rule,
                            **(problem or tally.of_labels(alarms, clean=clean[: len(few)], total=total[: len(few)])),
                        }
                    )
        return found
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _peers(options: Any, what: str) -> list[str]:
    return [p for p in CLIENTS[what] if p in options.peers.split(",")]


def ask(
    peer: str, folders: list[Path], question: dict[str, Any], options: Any
) -> list[tuple[str, list[dict[str, Any]], dict[str, Any]]]:
    """Run one peer over all folders. One entry a rule: its answers in the order of the folders, or what went wrong."""
    python = Path(options.peers_root).resolve() / peer / "bin" / "python"
    command = [str(python), str(HERE / "clients" / f"monitoring_{peer}.py"), json.dumps(question), *map(str, folders)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, env=environment, check=False)
    except (subprocess.TimeoutExpired, OSError) as error:
        return [(peer, [], {"problem": f"no result: {type(error).__name__} after at most {TIMEOUT_S} s"})]
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith('{"folder"')]
    problems = [line["problem"] for line in lines if line.get("problem")]
    if problems or not lines:
        return [(peer, [], {"problem": problems[0] if problems else done.stderr.strip()[-300:]})]
    rules = list(dict.fromkeys(line["rule"] for line in lines))
    return [(rule, [line for line in lines if line["rule"] == rule], {}) for rule in rules]


def as_row(row: dict[str, Any]) -> str:
    """One line of the table."""
    if "problem" in row:
        return f"| {row['scenario']} | {row['rule']} | {row['problem']} |"
    if "clean_labels" in row:
        rate, delay = f"{row['false_alarms_per_10000_labels']:g}", tally.shown_delay(row["delay_labels"])
    else:
        rate, delay = f"{row['false_alarms_per_1000_windows']:g}", tally.shown_delay(row["delay_rows"])
    return f"| {row['scenario']} | {row['rule']} | {rate} | {tally.shown(row['streams_with_false_alarm'])} | {tally.shown(row['found'])} | {delay} |"


def _options() -> Any:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--what", default="inputs,concepts")
    parser.add_argument("--only", default="", help="names of scenarios, with commas between")
    parser.add_argument("--quick", action="store_true", help="Noria alone, 3 seeds from 0 on")
    parser.add_argument("--proof", action="store_true", help=f"20 seeds from {PROOF_SEEDS} on")
    parser.add_argument("--seeds", type=int, default=0)
    parser.add_argument("--first-seed", type=int, default=-1)
    parser.add_argument("--peers-root", default="")
    parser.add_argument("--peers", default="evidently,nannyml,alibi,river")
    parser.add_argument("--peer-seeds", type=int, default=2)
    parser.add_argument("--peer-label-seeds", type=int, default=10)
    parser.add_argument(
        "--peer-clean", type=int, default=20, help="clean windows that a peer judges, the last before the change"
    )
    parser.add_argument("--peer-after", type=int, default=10)
    parser.add_argument("--out", default="")
    options = parser.parse_args()
    options.seeds = options.seeds or (20 if options.proof else 3)
    options.first_seed = options.first_seed if options.first_seed >= 0 else (PROOF_SEEDS if options.proof else 0)
    options.peers_root = "" if options.quick else options.peers_root
    return options


if __name__ == "__main__":
    main()
