"""What the loop earns and what it costs, beside rules of thumb and an oracle: on the flights year, and on streams that turn.

    python benchmarks/loop_proof.py
    python benchmarks/loop_proof.py --streams --seeds 10 [--first-seed 2000] [--only sudden,none] [--arms "loop;frozen"] --out FILE
    python benchmarks/loop_proof.py --flights --home DIR [--arms "frozen;oracle"] --out FILE
    python benchmarks/loop_proof.py --join A.json B.json ... --out FILE

Without arguments: three streams, one seed that is no proof, the loop, frozen and the oracle. --streams: every stream of noria.testing.streams_turns;
seeds from 2000 on are those that nobody has looked at while working on a rule. --flights: all arms and the loop, with one learner for all of them;
what is done is kept in DIR and found again. --join: what several processes found, in one file, without its days. The loop is the real one in every
case (noria.app.reliving): it trains, gates, rolls out and watches by the wheel. Markdown goes to stderr, JSON to stdout.
"""

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")  # two threads of a busy machine wait for each other
sys.path.insert(0, str(Path(__file__).resolve().parent / "clients"))

import loop_streams
import loop_tables as tables
import numpy as np

from noria.testing.streams_turns import TURN_SEEDS, TURNS, turn

QUICK = ("none", "sudden", "inputs-move")
ARMS = (*loop_streams.RULES, loop_streams.LOOP)


def main() -> None:
    options = _options()
    path = Path(options.out) if options.out else None
    document: dict[str, Any] = json.loads(path.read_text()) if path and path.exists() else {"benchmark": "loop_proof"}
    document["at"] = datetime.now(UTC).isoformat(timespec="seconds")
    document["machine"] = {"python": platform.python_version(), "numpy": np.__version__, "cpus": os.cpu_count()}
    if options.join:
        join(document, [json.loads(Path(each).read_text(encoding="utf-8")) for each in options.join], path)
    elif options.flights:
        flights(document, options, path)
    else:
        streams(document, options, path)
    print(json.dumps(document, indent=1))


def streams(document: dict[str, Any], options: Any, path: Path | None) -> None:
    """Seed by seed, so that what is slow may be stopped; what a file has already is kept."""
    quick = not options.streams
    names = options.only.split(",") if options.only else QUICK if quick else [each.name for each in TURNS]
    chosen = tuple(options.arms.split(";")) if options.arms else (("frozen", "oracle", "loop") if quick else ARMS)
    held = document.setdefault("streams", {})
    for seed in range(options.first_seed, options.first_seed + options.seeds):
        for name in names:
            made = turn(name).make(seed)
            row = held.setdefault(name, {"about": made.about, "runs": {}})
            run = row["runs"].setdefault(str(seed), {"loss": {}, "retrained": {}})
            missing = tuple(arm for arm in chosen if options.fresh or arm not in run["loss"])
            begun = time.process_time()
            if missing:
                found = loop_streams.live(made, rules=missing)
                for part, values in found.items():
                    run[part] = {**run.get(part, {}), **values} if isinstance(values, dict) else values
                run["cpu_s"] = round(run.get("cpu_s", 0.0) + time.process_time() - begun, 1)
            row["found"] = tables.summed(row["runs"])
            if missing:
                print(f"{seed} {tables.line(name, row['found'])}", file=sys.stderr, flush=True)
                _keep(path, document)
    print(tables.markdown(held), file=sys.stderr)


def flights(document: dict[str, Any], options: Any, path: Path | None) -> None:
    """Each arm over the whole year, then what they are beside each other."""
    import loop_flights

    home = Path(options.home or tempfile.mkdtemp(prefix="noria-proof-"))
    year = loop_flights.Flights(home)
    chosen = options.arms.split(";") if options.arms else [*loop_flights.LOOPS, *loop_flights.RULES]
    scores, facts = {}, {}
    for name in chosen:
        done = year.loop(name) if name in loop_flights.LOOPS else year.arm(name)
        scores[name], facts[name] = done.pop("score"), done
        print(f"{name}: {len(done['retrained'])} retrainings, {done['cpu_s']} CPU s", file=sys.stderr, flush=True)
    document["flights"] = tables.of_year(year, scores, facts)
    _keep(path, document)
    print(tables.year_markdown(document["flights"]), file=sys.stderr)


def join(document: dict[str, Any], parts: list[dict[str, Any]], path: Path | None) -> None:
    """Streams of several files as one table; of each seed only means and days of retraining are kept. The flights of the last that has them."""
    held: dict[str, Any] = {}
    for part in parts:
        document |= {"flights": part["flights"]} if "flights" in part else {}
        for name, row in part.get("streams", {}).items():
            mine = held.setdefault(name, {"about": row["about"], "runs": {}})
            for seed, run in row["runs"].items():
                known = mine["runs"].setdefault(seed, {"loss": {}, "retrained": {}})
                known["loss"] |= run["loss"]
                known["retrained"] |= run["retrained"]
    for row in held.values():
        row["found"] = tables.summed(row["runs"])
        for run in row["runs"].values():
            run["loss"] = {arm: round(float(np.mean(days)), 5) for arm, days in run["loss"].items()}
            run["retrained"] = {arm: days if len(days) < 50 else len(days) for arm, days in run["retrained"].items()}
    document["streams"] = {name: held[name] for name in (each.name for each in TURNS) if name in held}
    _keep(path, document)
    print(tables.markdown(document["streams"]), file=sys.stderr)
    if "flights" in document:
        print(tables.year_markdown(document["flights"]), file=sys.stderr)


def _keep(path: Path | None, document: dict[str, Any]) -> None:
    if path:
        path.write_text(json.dumps(document) + "\n", encoding="utf-8")


def _options() -> Any:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--streams", action="store_true", help="every stream, every arm")
    parser.add_argument("--flights", action="store_true", help="the flights year")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--first-seed", type=int, default=0, help=f"{TURN_SEEDS} and above for a proof")
    parser.add_argument("--only", default="", help="these streams, with commas between")
    parser.add_argument("--arms", default="", help="these arms, with semicolons between")
    parser.add_argument("--home", default="", help="--flights: folder in which what is done is kept")
    parser.add_argument("--fresh", action="store_true", help="do again what the file has")
    parser.add_argument("--join", nargs="+", default=[], help="files of earlier runs")
    parser.add_argument("--out", default="")
    return parser.parse_args()


if __name__ == "__main__":
    main()
