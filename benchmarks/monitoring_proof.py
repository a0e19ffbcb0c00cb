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

os.environ.setdefault("OMP_NUM_THREADS", "1")  # two threads of a busy machine wait for each other
sys.path.insert(0, str(Path(__file__).resolve().parent / "clients"))

import monitoring_broken
import monitoring_estimates as estimates
import monitoring_models
import monitoring_stream
import monitoring_tally as tally
import monitoring_watch as noria

from noria.testing.streams import Stream, joined
from noria.testing.streams_catalogue import CONCEPTS, FAULTS, INPUTS, PROOF_SEEDS, BrokenScenario, Scenario

HERE = Path(__file__).resolve().parent
CLIENTS = {
    "inputs": ("evidently", "nannyml", "alibi", "river"),
    "errors": ("nannyml", "alibi", "river"),
    "faults": ("evidently", "nannyml"),
    "estimates": ("nannyml",),
}
CATALOGUE: dict[str, tuple[Any, ...]] = {
    "inputs": INPUTS,
    "concepts": CONCEPTS,
    "faults": FAULTS,
    "estimates": estimates.ESTIMATES,
}
TIMEOUT_S = 3600


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
        chosen = [s for s in CATALOGUE[what] if not options.only or s.name in options.only.split(",")]
        judge = {"inputs": on_inputs, "concepts": on_concepts, "faults": on_faults, "estimates": on_estimates}[what]
        document[what] = []
        for scenario in chosen:
            found = [summed(row) for row in judge(scenario, options)]
            document[what] += found
            for row in found:
                print(as_row(row), file=sys.stderr, flush=True)
            if options.out:  # after each scenario: what is slow may be stopped
                _keep(Path(options.out), {**document, what: found}, options)
    print(json.dumps(document, indent=1))


def _keep(path: Path, document: dict[str, Any], options: Any) -> None:
    """Write the results beside what the file has already: other scenarios, other rules and, unless --fresh, other seeds of the same."""
    before = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    for what in CATALOGUE:
        held = {(row["scenario"], row["rule"]): row for row in before.get(what, [])}
        for row in document.get(what, []):
            key = (row["scenario"], row["rule"])
            earlier = {} if options.fresh or key not in held else held[key]["runs"]
            held[key] = summed({**row, "runs": {**earlier, **row["runs"]}})
        document[what] = sorted(held.values(), key=lambda row: _order(what, row))
    path.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


def _order(what: str, row: dict[str, Any]) -> tuple[int, bool, str]:
    names = [s.name for s in CATALOGUE[what]]
    return names.index(row["scenario"]), not row["rule"].startswith("Noria"), row["rule"]


def on_inputs(scenario: Scenario, options: Any) -> list[dict[str, Any]]:
    """Noria on every seed, then the peers on the first few."""
    stream = scenario.stream(0)
    facts = {"scenario": scenario.name, "about": scenario.about, "rows": stream.rows}
    own = [noria_on_inputs(scenario, facts, options)] if "noria" in options.who else []
    return own + peers_on_inputs(scenario, facts, options)


def noria_on_inputs(scenario: Scenario, facts: dict[str, Any], options: Any) -> dict[str, Any]:
    runs = {}
    for seed in _seeds(options):
        begun, stream = time.process_time(), scenario.stream(seed)
        answer = noria.drift(stream, scenario.at)
        drifted = {*(stream.changes[0].columns or answer.blamed), "prediction"}
        runs[str(seed)] = {
            **tally.run_of_windows(answer.flags, at=scenario.at, rows=facts["rows"]),
            "blamed": len(answer.blamed),
            "rightly": sum(name in drifted for name in answer.blamed),
            "cpu_s": round((time.process_time() - begun) / stream.windows, 5),
        }
    return {**facts, "rule": "Noria", "per": 1000, "runs": runs}


def peers_on_inputs(scenario: Scenario, facts: dict[str, Any], options: Any) -> list[dict[str, Any]]:
    peers = _peers(options, "inputs")
    if not peers:
        return []
    folder = Path(tempfile.mkdtemp(prefix="noria-proof-"))
    try:
        skip = max(0, scenario.at - options.peer_clean)
        stop = min(scenario.stream(0).windows, scenario.at + options.peer_after)
        places = []
        for seed in range(options.first_seed, options.first_seed + options.peer_seeds):
            places.append(folder / str(seed))
            places[-1].mkdir()
            _write(scenario.stream(seed), places[-1], range(skip, stop))
        found = []
        for peer in peers:
            answers = ask(peer, places, {"what": "inputs", "skip": skip}, options)
            for rule, rows, problem in answers:
                runs = {
                    Path(row["folder"]).name: {
                        **tally.run_of_windows(row["flags"], at=scenario.at - skip, rows=facts["rows"]),
                        "cpu_s": round(row["cpu_s"] / max(1, len(row["flags"])), 5),
                    }
                    for row in rows
                }
                found.append({**facts, "rule": rule, "per": 1000, "runs": runs, **problem})
        return found
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _write(stream: Stream, folder: Path, windows: range) -> None:
    history = stream.history()
    monitoring_stream.save(
        folder / "reference.npz",
        history.columns,
        scores=stream.world.believes(history.columns),
        labels=history.labels,
        window=history.window,
    )
    current = joined([stream.window(i) for i in windows])
    monitoring_stream.save(
        folder / "current.npz",
        current.columns,
        scores=stream.world.believes(current.columns),
        labels=current.labels,
        window=current.window,
    )


def on_concepts(scenario: Scenario, options: Any) -> list[dict[str, Any]]:
    """A model that learnt the first half of the reference, frozen; Noria on its labelled days, everybody on its errors."""
    folder = Path(tempfile.mkdtemp(prefix="noria-proof-"))
    facts = {"scenario": scenario.name, "about": scenario.about, "matters": scenario.stream(0).changes[0].matters}
    try:
        runs = {str(seed): monitoring_models.run(scenario.stream(seed), scenario.at) for seed in _seeds(options)}
        facts["error"] = [
            round(float(np.mean([r.error_before for r in runs.values()])), 3),
            round(float(np.mean([r.error_after for r in runs.values()])), 3),
        ]
        said = monitoring_models.own_rules(list(runs.values())) if "noria" in options.who else {}
        peers = _peers(options, "errors")
        folders = [monitoring_models.write(run, folder / seed) for seed, run in runs.items()] if peers else []
        problems = {}
        for peer in peers:
            for rule, rows, problem in ask(peer, folders, {"what": "errors", "skip": 0}, options):
                said[rule] = [monitoring_models.places(run, row) for run, row in zip(runs.values(), rows, strict=False)]
                problems[rule] = problem
        found = []
        for rule, answers in said.items():
            told = {
                seed: tally.run_of_labels(places, clean=run.clean)
                for (seed, run), places in zip(runs.items(), answers, strict=False)
            }
            found.append({**facts, "rule": rule, "per": 10_000, "runs": told, **problems.get(rule, {})})
        return found
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def on_faults(scenario: BrokenScenario, options: Any) -> list[dict[str, Any]]:
    """Data quality on pipes that break: days with a finding before the fault, and whether the fault's first day has one."""
    pipes = {str(seed): scenario.pipe(seed) for seed in _seeds(options)}
    facts, found = {"scenario": scenario.name, "rows": next(iter(pipes.values())).stream.rows, "per": 1000}, []

    def told(flags: list[int], at: int) -> dict[str, Any]:
        return tally.run_of_windows(flags, at=at, rows=facts["rows"])

    if "noria" in options.who:
        said = {seed: monitoring_broken.noria(pipe) for seed, pipe in pipes.items()}
        runs = {seed: {**told(flags, scenario.at), "kinds": kinds} for seed, (flags, kinds) in said.items()}
        found.append({**facts, "rule": "Noria", "runs": runs})
    folder = Path(tempfile.mkdtemp(prefix="noria-proof-"))
    try:
        peers, skip = _peers(options, "faults"), max(0, scenario.at - options.peer_clean)
        few = list(pipes.items())[: options.peer_seeds] if peers else []
        places = [monitoring_broken.write(pipe, folder / seed, first=skip, last=scenario.at) for seed, pipe in few]
        for peer in peers:
            for rule, rows, problem in ask(peer, places, {"what": "faults"}, options):
                runs = {Path(row["folder"]).name: told(row["flags"], scenario.at - skip) for row in rows}
                found.append({**facts, "rule": rule, "runs": runs, **problem})
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return found


def on_estimates(scenario: estimates.EstimateScenario, options: Any) -> list[dict[str, Any]]:
    """Quality estimated without labels, against what came out."""
    facts, told = {"scenario": scenario.name}, {"Noria": {}, "the hold-out's own quality": {}}
    runs = {str(seed): monitoring_models.run(scenario.stream(seed), scenario.at) for seed in _seeds(options)}
    truth = {seed: estimates.realised(run) for seed, run in runs.items()}
    for seed, run in runs.items():
        told["Noria"][seed] = estimates.judged(estimates.noria(run), truth[seed], scenario.at)
        told["the hold-out's own quality"][seed] = estimates.judged(estimates.unchanged(run), truth[seed], scenario.at)
    found = [{**facts, "rule": rule, "runs": each} for rule, each in told.items() if "noria" in options.who]
    folder = Path(tempfile.mkdtemp(prefix="noria-proof-"))
    try:
        peers = _peers(options, "estimates")
        few = list(runs)[: options.peer_seeds] if peers else []
        places = [monitoring_models.write(runs[seed], folder / seed) for seed in few]
        for peer in peers:
            for rule, rows, problem in ask(peer, places, {"what": "errors", "skip": 0}, options):
                if problem or "auc" in rows[0]:
                    each = {s: estimates.judged(row, truth[s], scenario.at) for s, row in zip(few, rows, strict=False)}
                    found.append({**facts, "rule": rule, "runs": each, **problem})
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return found


def _seeds(options: Any) -> range:
    return range(options.first_seed, options.first_seed + options.seeds)


def _peers(options: Any, what: str) -> list[str]:
    return [p for p in CLIENTS[what] if p in options.who.split(",")] if options.peers_root else []


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


def summed(row: dict[str, Any]) -> dict[str, Any]:
    """A row with what its runs come to."""
    if not row["runs"]:
        return row
    if "per" not in row:
        return {**row, **estimates.over(row["runs"])}
    found = {**row, **tally.over(row["runs"], per=row["per"])}
    if any("blamed" in run for run in row["runs"].values()):
        named, right = (sum(run[what] for run in row["runs"].values()) for what in ("blamed", "rightly"))
        found["blamed_rightly"] = tally.share(right, named)
    return found


def as_row(row: dict[str, Any]) -> str:
    """One line of the table."""
    if not row["runs"]:
        return f"| {row['scenario']} | {row['rule']} | {row.get('problem')} |"
    if "per" not in row:
        return estimates.shown(row)
    alarmed, found = tally.shown(row["streams_with_false_alarm"]), tally.shown(row["found"])
    rate = f"{row['false_alarms']} of {row['clean']:,}"
    return f"| {row['scenario']} | {row['rule']} | {rate} | {alarmed} | {found} | {tally.shown_delay(row['delay'])} |"


def _options() -> Any:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--what", default="inputs,concepts,faults,estimates")
    parser.add_argument("--only", default="", help="names of scenarios, with commas between")
    parser.add_argument("--quick", action="store_true", help="Noria alone, 3 seeds from 0 on")
    parser.add_argument("--proof", action="store_true", help=f"20 seeds from {PROOF_SEEDS} on")
    parser.add_argument("--seeds", type=int, default=0)
    parser.add_argument("--first-seed", type=int, default=-1)
    parser.add_argument("--peers-root", default="")
    parser.add_argument("--who", default="noria,evidently,nannyml,alibi,river")
    parser.add_argument("--peer-seeds", type=int, default=2)
    parser.add_argument(
        "--peer-clean", type=int, default=20, help="clean windows that a peer judges, the last before the change"
    )
    parser.add_argument("--peer-after", type=int, default=10)
    parser.add_argument("--out", default="", help="a file that keeps results of other runs and seeds too")
    parser.add_argument("--fresh", action="store_true", help="forget what --out knows of these scenarios and rules")
    options = parser.parse_args()
    options.seeds = options.seeds or (20 if options.proof else 3)
    options.first_seed = options.first_seed if options.first_seed >= 0 else (PROOF_SEEDS if options.proof else 0)
    options.peers_root = "" if options.quick else options.peers_root
    return options


if __name__ == "__main__":
    main()
