"""Load and what it costs: wrk (or a small client) against a server; CPU and memory of its whole process tree. Called by serving.py."""

import asyncio
import os
import shutil
import socket
import statistics
import subprocess
import time
from pathlib import Path
from typing import Any

Figures = tuple[int, int, float, float, float]
"""Requests, errors, p50 and p99 in ms, seconds."""


def load(
    port: int,
    path: str,
    body: Path,
    *,
    connections: int,
    seconds: float,
    pid: int,
    headers: dict[str, str] | None = None,
) -> dict[str, float]:
    """One cell once: a short warm-up, then so many seconds."""
    run = _wrk if shutil.which("wrk") else _own
    told = {"Content-Type": "application/json", **(headers or {})}
    run(port, path, body, connections, min(1.0, seconds), told)
    before = cpu_s(pid)
    requests, errors, p50, p99, took = run(port, path, body, connections, seconds, told)
    spent = cpu_s(pid) - before
    if not requests or errors:
        return {"requests_per_s": 0.0, "p50_ms": 0.0, "p99_ms": 0.0, "cpu_us_per_request": 0.0, "errors": float(errors)}
    return {
        "requests_per_s": requests / took,
        "p50_ms": p50,
        "p99_ms": p99,
        "cpu_us_per_request": 1e6 * spent / requests,
        "errors": 0.0,
    }


def _wrk(port: int, path: str, body: Path, connections: int, seconds: float, told: dict[str, str]) -> Figures:
    script = body.with_suffix(".lua")
    script.write_text(
        f'local f = io.open("{body}", "rb"); wrk.body = f:read("*all"); f:close()\n'
        'wrk.method = "POST"\n'
        + "".join(f'wrk.headers["{name}"] = "{value}"\n' for name, value in told.items())
        + "done = function(s, l, r) io.write(string.format('RESULT %d %d %f %f %f\\n', s.requests,"
        " s.errors.status + s.errors.connect + s.errors.read + s.errors.write + s.errors.timeout,"
        " l:percentile(50)/1000, l:percentile(99)/1000, s.duration/1e6)) end\n"
    )
    url = f"http://127.0.0.1:{port}{path}"
    duration = f"-d{max(1, round(seconds))}s"
    command = ["wrk", "-t1", f"-c{connections}", duration, "--latency", "--timeout", "30s", "-s", str(script), url]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    numbers = next(line for line in said.splitlines() if line.startswith("RESULT")).split()[1:]
    return int(numbers[0]), int(numbers[1]), float(numbers[2]), float(numbers[3]), float(numbers[4])


def _own(port: int, path: str, body: Path, connections: int, seconds: float, told: dict[str, str]) -> Figures:
    lines = "".join(f"{name}: {value}\r\n" for name, value in told.items())
    return asyncio.run(_own_load(port, path, lines, body.read_bytes(), connections, seconds))


async def _own_load(port: int, path: str, lines: str, body: bytes, connections: int, seconds: float) -> Figures:
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\n{lines}Content-Length: {len(body)}\r\n\r\n"
    message = head.encode() + body
    latencies: list[float] = []
    errors = 0
    until = time.perf_counter() + seconds

    async def one() -> None:
        nonlocal errors
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while time.perf_counter() < until:
            began = time.perf_counter()
            writer.write(message)
            answer = await reader.readuntil(b"\r\n\r\n")
            length = next(line for line in answer.lower().split(b"\r\n") if line.startswith(b"content-length:"))
            await reader.readexactly(int(length.split(b":")[1]))
            errors += b" 200 " not in answer[:16]
            latencies.append(1000 * (time.perf_counter() - began))
        writer.close()

    began = time.perf_counter()
    await asyncio.gather(*[one() for _ in range(connections)])
    took = time.perf_counter() - began
    latencies.sort()
    return len(latencies), errors, latencies[len(latencies) // 2], latencies[int(len(latencies) * 0.99)], took


def generator() -> str:
    """Who makes the load."""
    return "wrk, one thread, on the same cores" if shutil.which("wrk") else "own asyncio client, on the same cores"


def spread(values: list[float]) -> dict[str, float]:
    """Median and extremes."""
    return {"median": round(statistics.median(values), 3), "min": round(min(values), 3), "max": round(max(values), 3)}


def tree(pid: int) -> list[int]:
    """A process and its descendants that live."""
    found = [pid]
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            children = task.read_text().split()
        except OSError:
            continue
        for child in children:
            found += tree(int(child))
    return found


def cpu_s(pid: int) -> float:
    """User and system time of a process and its descendants, ended ones too, in seconds."""
    ticks = 0
    for one in tree(pid):
        fields = _read(f"/proc/{one}/stat").rpartition(")")[2].split()
        ticks += sum(int(field) for field in fields[11:15])
    return ticks / os.sysconf("SC_CLK_TCK")


def pss_mb(pid: int) -> float:
    """Memory of a process and its descendants, shared pages counted once."""
    lines = [line for one in tree(pid) for line in _read(f"/proc/{one}/smaps_rollup").splitlines()]
    return round(sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024, 1)


def free_port() -> int:
    """A port that nobody has."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _read(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError:
        return ""


def wait_for(port: int, path: str, body: bytes, process: "subprocess.Popen[Any]", *, seconds: float = 180.0) -> None:
    """Ask until the answer is 200."""
    import urllib.error
    import urllib.request

    until = time.monotonic() + seconds
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}{path}", data=body, headers={"Content-Type": "application/json"}
    )
    said = ""
    while True:
        if process.poll() is not None:
            raise RuntimeError(f"the server ended with {process.poll()}; it said {said}")
        if time.monotonic() > until:
            raise RuntimeError(f"the server did not answer; at last it said {said}")
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                if answer.status == 200:
                    return
        except urllib.error.HTTPError as error:
            said = f"{error.code} {error.read()[:300]!r}"
        except (urllib.error.URLError, OSError) as error:
            said = repr(error)
        time.sleep(0.05)
