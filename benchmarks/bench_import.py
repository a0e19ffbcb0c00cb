"""What it costs to begin: `import noria` and `noria --help`, beside an interpreter that does nothing. CPU and wall time, in milliseconds.

Run: python benchmarks/bench_import.py [--repeats 7] [--out FILE]. Prints one JSON object; subtract `bare` to see what is Noria's own.
Each figure is of a new process, byte code compiled before, the kinds taken in turn so that a busy machine hits all alike.
"""

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

KINDS = {
    "bare": ["-c", "pass"],
    "import noria": ["-c", "import noria"],
    "noria --help": ["-m", "noria.cli.main", "--help"],
    "noria.Workspace": ["-c", "import noria; noria.Workspace"],
}


def once(arguments: list[str]) -> tuple[float, float]:
    """CPU (user and system) and wall time of one process, in ms."""
    before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run([sys.executable, *arguments], stdout=subprocess.DEVNULL, check=True)
    wall, after = time.perf_counter() - begun, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return cpu * 1000, wall * 1000


def spread(values: list[float]) -> dict[str, float]:
    return {"median": round(statistics.median(values), 1), "min": round(min(values), 1), "max": round(max(values), 1)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--out", default="")
    options = parser.parse_args()
    for arguments in KINDS.values():
        once(arguments)
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in KINDS}
    for _ in range(options.repeats):
        for name, arguments in KINDS.items():
            taken[name].append(once(arguments))
    found = {
        name: {"cpu_ms": spread([c for c, _ in t]), "wall_ms": spread([w for _, w in t])} for name, t in taken.items()
    }
    bare = found["bare"]["cpu_ms"]["median"]
    document = {
        "benchmark": "import",
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {"python": platform.python_version(), "cpus": os.cpu_count(), "load": os.getloadavg()},
        "repeats": options.repeats,
        "results": found,
        "own_cpu_ms": {name: round(f["cpu_ms"]["median"] - bare, 1) for name, f in found.items() if name != "bare"},
    }
    text = json.dumps(document, indent=1)
    print(text)
    if options.out:
        Path(options.out).write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
