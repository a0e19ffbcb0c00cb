"""How soon the server answers, and what it holds at rest: from starting the process to the first 200, and the memory of its whole process tree.

Budgets: < 2 s to the first 200, < 200 MB. Run: python benchmarks/server_start.py [--repeats 5]. Prints one JSON object.
The home is new and empty; a second figure is taken after the pages' own requests (status, runs, models, deployments) were answered once.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import psutil

PATHS = ("/api/v1/status", "/api/v1/runs", "/api/v1/models", "/api/v1/deployments", "/api/v1/events", "/")


def free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def memory_mb(process: psutil.Process) -> float:
    """Resident memory of the process and of all that it started, in MB."""
    return sum(p.memory_info().rss for p in (process, *process.children(recursive=True))) / 1e6


def cpu_s(process: psutil.Process) -> float:
    return sum(sum(p.cpu_times()[:2]) for p in (process, *process.children(recursive=True)))


def once(home: Path) -> dict[str, float]:
    """One start."""
    port = free_port()
    command = [sys.executable, "-m", "noria.server.control.run", "--home", str(home), "--port", str(port)]
    begun = time.perf_counter()
    started = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        while True:
            try:
                with urlopen(f"http://127.0.0.1:{port}/health", timeout=1) as answer:
                    answer.read()
                break
            except (URLError, ConnectionError):
                if started.poll() is not None:
                    raise SystemExit(f"the server ended with {started.returncode}") from None
                time.sleep(0.005)
        first = time.perf_counter() - begun
        process = psutil.Process(started.pid)
        figures = {"first_200_s": first, "cpu_s": cpu_s(process), "at_rest_mb": memory_mb(process)}
        for path in PATHS:
            with urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
                answer.read()
        return {
            **figures,
            "after_pages_mb": memory_mb(process),
            "processes": 1.0 + len(process.children(recursive=True)),
        }
    finally:
        started.terminate()
        started.wait(10)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    repeats = parser.parse_args().repeats
    with tempfile.TemporaryDirectory() as folder:
        runs = [once(Path(folder) / str(number) / ".noria") for number in range(repeats)]
    figures = {
        key: {"median": round(statistics.median(r[key] for r in runs), 3), "best": round(min(r[key] for r in runs), 3)}
        for key in runs[0]
    }
    machine = {"python": platform.python_version(), "cpus": os.cpu_count(), "load": round(os.getloadavg()[0], 1)}
    print(json.dumps({"benchmark": "server_start", "repeats": repeats, "machine": machine, "figures": figures}))


if __name__ == "__main__":
    main()
