"""Tracking: MLflow's unmodified client against `mlflow server` and against Noria, in the same run; Noria's own client beside them.

    python benchmarks/tracking.py --peer-python VENV/bin/python [--seconds 3] [--repeats 3] [--runs 10000] [--points 100000]
        [--metadata sqlite|postgresql://...] [--only noria]

VENV is an environment with mlflow (measured with 3.17.2). Both servers run with their defaults on SQLite (Noria also on PostgreSQL with --metadata).
Seeding: MLflow's 10,000 runs are written into its tables directly, as its own server would take a quarter of an hour; Noria's through its store.
CPU is that of the server's whole process tree, read from the kernel, a call or a batch: it holds on a noisy machine where calls a second do not.
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
import threading
import time
import urllib.request
from datetime import UTC, datetime
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).resolve().parent.parent
CLIENT = Path(__file__).with_name("clients") / "mlflow_client.py"
OWN_CLIENT = Path(__file__).with_name("clients") / "noria_client.py"

PER_CALL = ("client_cpu_ms", "server_cpu_ms", "calls_per_s")
"""Not compared between different clients, whose calls are not the same; points, reads and searches are."""


class Server:
    """A server as a process tree."""

    def __init__(self, name: str, command: list[str], folder: Path, port: int, env: dict[str, str] | None = None):
        self.name, self.port, self.url, self.folder = name, port, f"http://127.0.0.1:{port}", folder
        begun = time.monotonic()
        self.process = subprocess.Popen(
            command,
            cwd=folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, **(env or {})},
            start_new_session=True,
        )
        while True:
            try:
                with urllib.request.urlopen(self.url + "/health", timeout=1):
                    break
            except OSError:
                if self.process.poll() is not None or time.monotonic() - begun > 120:
                    raise SystemExit(f"{name} did not start") from None
                time.sleep(0.01)
        self.start_s = time.monotonic() - begun
        time.sleep(3.0)
        self.start_cpu_s = self.cpu()
        tree = self.tree()
        self.processes, self.rss_mb = len(tree), sum(p.memory_info().rss for p in tree) / 1e6

    def tree(self) -> list[psutil.Process]:
        top = psutil.Process(self.process.pid)
        return [top, *top.children(recursive=True)]

    def cpu(self) -> float:
        total = 0.0
        for process in self.tree():
            try:
                times = process.cpu_times()
                total += times.user + times.system + times.children_user + times.children_system
            except psutil.NoSuchProcess:
                continue
        return total

    def settle(self, *, at_most_s: float = 120.0) -> None:
        """Wait until starting is over: less than 5 % of a core for two seconds. mlflow's workers go on importing after the first answer."""
        begun = time.monotonic()
        while time.monotonic() - begun < at_most_s:
            before = self.cpu()
            time.sleep(2.0)
            if self.cpu() - before < 0.1:
                return

    def stop(self) -> None:
        for process in reversed(self.tree()):
            try:
                process.terminate()
            except psutil.NoSuchProcess:
                continue
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, 9)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def mlflow_server(peer: Path, folder: Path, runs: int) -> Server:
    port = free_port()
    command = [str(peer), "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)]
    if runs:
        subprocess.run(
            [str(peer), str(CLIENT), "seed-mlflow", str(folder / "mlflow.db"), str(runs)], check=True, cwd=folder
        )
        command += ["--backend-store-uri", f"sqlite:///{folder / 'mlflow.db'}"]
    return Server("mlflow", command, folder, port)


def noria_server(folder: Path, runs: int, metadata: str) -> Server:
    if metadata != "sqlite":
        (folder / "noria.toml").write_text(f'[stores]\nmetadata = "postgres"\nmetadata_location = "{metadata}"\n')
    if runs:
        subprocess.run([sys.executable, str(CLIENT), "seed-noria", str(runs)], check=True, cwd=folder)
    port = free_port()
    return Server("noria", [sys.executable, "-m", "noria.server.control.run", "--port", str(port)], folder, port)


def client(peer: Path, server: Server, case: str, *arguments: object) -> dict[str, Any]:
    """Run one case of the client; adds the server's CPU a call."""
    with tempfile.TemporaryFile("w+") as errors, subprocess.Popen(
        [str(peer), str(OWN_CLIENT if case.startswith("own_") else CLIENT), case, server.url, *map(str, arguments)],
        stdout=subprocess.PIPE, stderr=errors, text=True, cwd=server.folder,
        env={**os.environ, "MLFLOW_TRACKING_URI": server.url, "MLFLOW_ENABLE_ASYNC_LOGGING": "false", "GIT_PYTHON_REFRESH": "quiet"},
    ) as process:  # fmt: skip
        assert process.stdout is not None
        before, last = server.cpu(), ""
        for line in process.stdout:  # importing and preparing are the client's own time: it says when the calls begin
            if line == "begin\n":
                before = server.cpu()
            last = line
        after = server.cpu()
        if process.wait():
            errors.seek(0)
            raise SystemExit(f"{case} against {server.name}: {errors.read()[-2000:]}")
    found: dict[str, Any] = json.loads(last)
    found["server_cpu_ms"] = round(1000 * (after - before) / max(found["calls"], 1), 3)
    return found


def raw_writers(server: Server, writers: int, seconds: float) -> dict[str, Any]:
    """log-metric over kept connections: what the server can take when clients cost nothing."""
    run = _post(server, "/api/2.0/mlflow/runs/create", {"experiment_id": "0", "start_time": 1})["run"]["info"]["run_id"]
    counts, stop, before = [0] * writers, threading.Event(), server.cpu()

    def write(number: int) -> None:
        connection = HTTPConnection("127.0.0.1", server.port, timeout=60)
        while not stop.is_set():
            counts[number] += 1
            body = json.dumps(
                {"run_id": run, "key": f"k{number}", "value": 0.5, "timestamp": 1, "step": counts[number]}
            )
            connection.request("POST", "/api/2.0/mlflow/runs/log-metric", body, {"Content-Type": "application/json"})
            response = connection.getresponse()
            response.read()
            if response.status != 200:
                counts[number] -= 1
                raise SystemExit(f"{server.name} answered {response.status}")

    threads = [threading.Thread(target=write, args=(number,)) for number in range(writers)]
    begun = time.monotonic()
    for thread in threads:
        thread.start()
    time.sleep(seconds)
    stop.set()
    for thread in threads:
        thread.join()
    calls, wall = sum(counts), time.monotonic() - begun
    return {
        "calls": calls,
        "calls_per_s": round(calls / wall, 1),
        "server_cpu_ms": round(1000 * (server.cpu() - before) / calls, 3),
    }


def _post(server: Server, path: str, body: object) -> Any:
    request = urllib.request.Request(server.url + path, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


def measure(server: Server, peer: Path, options: argparse.Namespace) -> dict[str, Any]:
    cases: dict[str, Any] = {
        "start": {
            "wall_s": round(server.start_s, 2), "cpu_s": round(server.start_cpu_s, 2),
            "processes": server.processes, "rss_mb": round(server.rss_mb),
        },
    }  # fmt: skip
    plan: list[tuple[str, tuple[object, ...]]] = [
        ("log_metric", (options.seconds,)),
        ("log_batch", (options.seconds,)),
        ("run_per_call", (options.seconds,)),
        ("run_batched", (options.seconds,)),
        ("history", (options.points,)),
        ("search_filter", (options.seconds,)),
        ("search_latest", (options.seconds,)),
        ("search_like", (options.seconds,)),
        ("versions", (options.seconds,)),
        ("artifact", (200,)),
    ]
    if server.name == "noria":
        plan += [
            ("own_points", (3 * options.points,)),
            ("own_history", (options.points,)),
            ("own_search", (options.seconds,)),
        ]
    for case, arguments in plan:
        python = Path(sys.executable) if case.startswith("own_") else peer
        repeats = [client(python, server, case, *arguments) for _ in range(1 if case == "history" else options.repeats)]
        cases[case] = summary(repeats)
        print(f"{server.name:8} {case:14} {cases[case]}", file=sys.stderr, flush=True)
    cases["raw_32_writers"] = summary([raw_writers(server, 32, options.seconds) for _ in range(options.repeats)])
    print(f"{server.name:8} raw_32_writers {cases['raw_32_writers']}", file=sys.stderr, flush=True)
    return cases


def summary(repeats: list[dict[str, Any]]) -> dict[str, Any]:
    """Median and range of every number."""
    found = {}
    for key in repeats[0]:
        values = [repeat[key] for repeat in repeats]
        found[key] = round(statistics.median(values), 3)
        if len(values) > 1 and key != "calls":
            found[f"{key}_range"] = [round(min(values), 3), round(max(values), 3)]
    return found


def ratios(noria: dict[str, Any], mlflow: dict[str, Any]) -> dict[str, float]:
    """How many times better Noria is, by the numbers that both have."""
    found = {}
    beside = {"own_points": "log_batch", "own_history": "history", "own_search": "search_filter"}
    pairs = [(case, case) for case in mlflow] + list(beside.items())
    for case, its_case in pairs:
        for key, value in mlflow[its_case].items():
            mine = noria[case].get(key)
            if (
                not isinstance(value, int | float)
                or not mine
                or key == "calls"
                or (case != its_case and key in PER_CALL)
            ):
                continue
            found[f"{case}.{key}"] = round(mine / value if key.endswith(("per_s", "_mb_s")) else value / mine, 1)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer-python", type=Path, default=ROOT / ".make" / "peers" / "bin" / "python")
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--points", type=int, default=100_000)
    parser.add_argument("--metadata", default="sqlite")
    parser.add_argument("--only", choices=["noria", "mlflow"])
    options = parser.parse_args()
    found: dict[str, Any] = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"), "python": platform.python_version(), "cores": os.cpu_count(),
        "load": os.getloadavg()[0], "runs_seeded": options.runs, "points": options.points, "metadata": options.metadata,
    }  # fmt: skip
    with tempfile.TemporaryDirectory() as scratch:
        for name in ("noria", "mlflow"):
            if options.only and options.only != name:
                continue
            folder = Path(scratch) / name
            folder.mkdir()
            server = (
                noria_server(folder, options.runs, options.metadata)
                if name == "noria"
                else mlflow_server(options.peer_python, folder, options.runs)
            )
            try:
                server.settle()
                found[name] = measure(server, options.peer_python, options)
            finally:
                server.stop()
    if not options.only:
        found["ratio"] = ratios(found["noria"], found["mlflow"])
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
