"""What one request costs the server: points logged one at a time over plain connections, by 1, 8 and 32 writers.

The client is a socket, so that next to nothing but the server is measured; `tracking.py` puts the real clients side by side.
Run: python benchmarks/request_cost.py [--seconds 5] [--repeats 3]. Prints one JSON object: calls per second, server CPU in µs per call.
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
from pathlib import Path

import psutil

WRITERS = (1, 8, 32)
API = "/api/2.0/mlflow"


class Connection:
    """One kept connection that knows no more of HTTP than this needs."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def post(self, path: str, fields: dict[str, object]) -> bytes:
        body = json.dumps(fields).encode()
        head = f"POST {API}{path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        self._socket.sendall(head.encode() + body)
        answer = b""
        while b"\r\n\r\n" not in answer:
            answer += self._socket.recv(65536)
        head_bytes, _, content = answer.partition(b"\r\n\r\n")
        if not answer.startswith(b"HTTP/1.1 200"):
            raise SystemExit(f"the server says {answer[:300]!r}")
        lines = (line.partition(b":") for line in head_bytes.lower().split(b"\r\n"))
        length = next(int(value) for name, _, value in lines if name == b"content-length")
        while len(content) < length:
            content += self._socket.recv(65536)
        return content


def measured(server: psutil.Popen, port: int, *, writers: int, seconds: float) -> dict[str, float]:
    """One row: so many writers on one run, a metric each."""
    run = json.loads(Connection(port).post("/runs/create", {"experiment_id": "0", "start_time": 1}))["run"]["info"][
        "run_id"
    ]
    calls = [0] * writers
    ended = threading.Event()

    def write(number: int) -> None:
        connection = Connection(port)
        while not ended.is_set():
            point = {"run_id": run, "key": f"m{number}", "value": 0.5, "timestamp": 1, "step": calls[number]}
            connection.post("/runs/log-metric", point)
            calls[number] += 1

    threads = [threading.Thread(target=write, args=(number,)) for number in range(writers)]
    cpu, begun = sum(server.cpu_times()[:2]), time.perf_counter()
    for thread in threads:
        thread.start()
    ended.wait(seconds)
    ended.set()
    for thread in threads:
        thread.join()
    took = time.perf_counter() - begun
    return {"calls_per_s": sum(calls) / took, "cpu_us": 1e6 * (sum(server.cpu_times()[:2]) - cpu) / sum(calls)}


def once(seconds: float) -> dict[int, dict[str, float]]:
    """A server of its own, new and empty, with every number of writers in turn."""
    with tempfile.TemporaryDirectory() as folder:
        command = [
            sys.executable,
            "-m",
            "noria.server.control.run",
            "--home",
            str(Path(folder) / "home"),
            "--port",
            "0",
        ]
        server = psutil.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            port = int(json.loads(server.stdout.readline())["url"].rsplit(":", 1)[1])
            return {writers: measured(server, port, writers=writers, seconds=seconds) for writers in WRITERS}
        finally:
            server.terminate()
            server.wait()


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--seconds", type=float, default=5.0)
    options.add_argument("--repeats", type=int, default=3)
    given = options.parse_args()
    rounds = [once(given.seconds) for _ in range(given.repeats)]
    figures = {}
    for writers in WRITERS:
        for name in ("calls_per_s", "cpu_us"):
            values = [one[writers][name] for one in rounds]
            spread = {"median": statistics.median(values), "low": min(values), "high": max(values)}
            figures[f"{name}_{writers}"] = {key: round(value, 1) for key, value in spread.items()}
    machine = {"python": platform.python_version(), "cpus": os.cpu_count(), "load": os.getloadavg()[0]}
    print(json.dumps({"benchmark": "request_cost", "repeats": given.repeats, "machine": machine, "figures": figures}))


if __name__ == "__main__":
    main()
