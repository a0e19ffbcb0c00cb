"""Noria's own client against a Noria server: points a second until they are durable in the server, and what they cost on both sides. Prints JSON.

    python benchmarks/recording.py [--points 300000] [--repeats 3] [--folder .]

log_metrics: RunStore.log_metrics over HTTP, batches of 1000 and 10,000 points made before. run.log: call by call, through the journal,
until the block has ended and every point is in the server; `call_us` is what a training waits for a call. away: the same with nobody listening.
"""

import argparse
import json
import os
import platform
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from functools import partial
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import psutil

from noria.adapters.blobs import memory as blobs
from noria.adapters.metadata import remote
from noria.app.workspace import SystemClock
from noria.domain.ids import RunId, fresh
from noria.domain.run import Metric, Run
from noria.errors import StoreUnavailable
from noria.ports.runs import RunStore
from noria.tracking.recorder import Recorder

START = datetime(2026, 1, 1, tzinfo=UTC)


class Server:
    """A Noria server as a process, on SQLite or in memory."""

    def __init__(self, home: Path, *, memory: bool) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        where = ["--ephemeral"] if memory else ["--home", str(home)]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "noria.server.control.run", "--port", str(port), *where],
            cwd=home.parent,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        while True:
            try:
                connection = HTTPConnection("127.0.0.1", port, timeout=5)
                connection.request("GET", "/health")
                connection.getresponse().read()
                break
            except OSError:
                if self.process.poll() is not None:
                    raise SystemExit("the server did not start") from None
                time.sleep(0.02)

    def cpu(self) -> float:
        times = psutil.Process(self.process.pid).cpu_times()
        return float(times.user + times.system)

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(20)


def batches(runs: RunStore, server: Server, *, points: int, size: int, keys: int) -> dict[str, float]:
    """log_metrics, one batch after the other on one connection."""
    run_id = RunId(fresh())
    runs.create(Run(id=run_id, experiment="bench", name="", status="running", started_at=START))
    ready = [
        [
            Metric(key=f"k{i % keys}", value=i / 7, step=i, at=START + timedelta(milliseconds=i))
            for i in range(first, first + size)
        ]
        for first in range(0, points, size)
    ]
    wall, own, its = time.perf_counter(), time.process_time(), server.cpu()
    for batch in ready:
        runs.log_metrics(run_id, batch)
    return {
        "points_per_s": points / (time.perf_counter() - wall),
        "client_us": 1e6 * (time.process_time() - own) / points,
        "server_us": 1e6 * (server.cpu() - its) / points,
    }


def calls(runs: RunStore, server: Server | None, folder: Path, *, points: int, keys: int) -> dict[str, float]:
    """run.log, `keys` points a call."""
    values = {f"k{key}": 0.5 for key in range(keys)}
    recorder = Recorder(runs, blobs.open_store(""), clock=SystemClock(), journal_folder=folder / fresh())
    wall, own, its = time.perf_counter(), time.process_time(), server.cpu() if server else 0.0
    with recorder.run("bench") as run:
        for step in range(points // keys):
            run.log(values, step=step)
        called = time.perf_counter() - wall
    return {
        "points_per_s": points / (time.perf_counter() - wall),
        "call_us": 1e6 * called / (points // keys),
        "client_us": 1e6 * (time.process_time() - own) / points,
        "server_us": 1e6 * (server.cpu() - its) / points if server else 0.0,
    }


class Away:
    """A run store that does not answer."""

    def __getattr__(self, name: str) -> Any:
        raise StoreUnavailable("nobody listens")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=int, default=300_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--folder", type=Path, default=Path())
    options = parser.parse_args()
    found: dict[str, Any] = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        "load": os.getloadavg()[0],
        "points": options.points,
    }
    with tempfile.TemporaryDirectory(dir=options.folder) as scratch:
        folder = Path(scratch)
        for name in ("sqlite", "memory"):
            server = Server(folder / ".noria", memory=name == "memory")
            store = remote.open_store(server.url, project="default")
            try:
                found[name] = against(store.runs, server, folder, options)
            finally:
                store.close()
                server.stop()
        found["away"] = median(
            options.repeats,
            lambda: calls(Away(), None, folder, points=options.points, keys=1),  # type: ignore[arg-type]
        )
    print(json.dumps(found, indent=2))


def against(runs: RunStore, server: Server, folder: Path, options: argparse.Namespace) -> dict[str, dict[str, float]]:
    """Every case against one server."""
    found, points = {}, options.points
    for size in (1_000, 10_000):
        for keys in (1, 10):
            measure = partial(batches, runs, server, points=points, size=size, keys=keys)
            found[f"log_metrics, batch {size}, {keys} keys"] = median(options.repeats, measure)
    for keys in (1, 10):
        measure = partial(calls, runs, server, folder, points=points, keys=keys)
        found[f"run.log, {keys} points a call"] = median(options.repeats, measure)
    return found


def median(repeats: int, measure: Any) -> dict[str, float]:
    """The median of every number."""
    all_of_them = [measure() for _ in range(repeats)]
    return {key: round(statistics.median(each[key] for each in all_of_them), 2) for key in all_of_them[0]}


if __name__ == "__main__":
    main()
