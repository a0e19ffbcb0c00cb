"""Requests a second and CPU a request: Noria's worker (recording and routing on), the bare bound on the same model and requests, and FastAPI.

    python benchmarks/serving.py [--peer-python VENV/bin/python] [--seconds 3] [--repeats 3] [--out results.json]

The bound is a granian RSGI application with msgspec and onnxruntime and nothing else: no check, no routing, no record, no id. The peer serves the
scikit-learn object as its documentation shows, from an environment of its own with fastapi, uvicorn, uvloop, httptools, scikit-learn and lightgbm.
Load comes from wrk (one thread) if it is installed, else from a small asyncio client (named in the result). CPU is that of the server's whole process
tree, from the kernel's counters: req/s depend on what else runs on the machine, CPU a request hardly does.
"""

import argparse
import asyncio
import json
import os
import platform
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from datetime import UTC, datetime
from pathlib import Path

FEATURES, TREES, LEAVES = 30, 200, 31
ROOT = Path(__file__).resolve().parent.parent

FIT = """
import pickle, sys, numpy as np, lightgbm
data = np.load(sys.argv[1])
model = lightgbm.LGBMClassifier(n_estimators=int(sys.argv[3]), num_leaves=int(sys.argv[4]), n_jobs=1, verbose=-1).fit(data["x"], data["y"])
pickle.dump(model, open(sys.argv[2], "wb"))
"""

BOUND = """
import asyncio, os, signal, sys, msgspec, numpy as np, onnxruntime as ort
from granian.constants import HTTPModes, Interfaces
from granian.server.embed import Server
options = ort.SessionOptions(); options.intra_op_num_threads = options.inter_op_num_threads = 1
options.add_session_config_entry("session.intra_op.allow_spinning", "0")
session = ort.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])
class Tensor(msgspec.Struct):
    name: str
    shape: list[int]
    datatype: str
    data: list[float]
class Request(msgspec.Struct):
    inputs: list[Tensor]
decode, encode = msgspec.json.Decoder(Request).decode, msgspec.json.Encoder().encode
class App:
    async def __rsgi__(self, scope, protocol):
        if scope.method == "GET":
            return protocol.response_bytes(200, [], b"{}")
        request = decode(await protocol())
        out = session.run(None, {t.name: np.array(t.data, np.float64).reshape(-1, 1) for t in request.inputs})[0][:, 1].tolist()
        body = encode({"model_name": "m", "outputs": [{"name": "probability", "datatype": "FP32", "shape": [len(out)], "data": out}]})
        protocol.response_bytes(200, [("content-type", "application/json")], body)
async def main():
    server = Server(App(), port=int(sys.argv[2]), interface=Interfaces.RSGI, http=HTTPModes.http1, websockets=False, log_enabled=False, backlog=1024)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, server.stop)
    await server.serve()
asyncio.run(main())
os._exit(0)
"""

FASTAPI = """
import pickle, sys, numpy as np, lightgbm, uvicorn
from fastapi import FastAPI
from pydantic import BaseModel
from sklearn.base import BaseEstimator
app = FastAPI()
class Tensor(BaseModel):
    name: str
    shape: list[int]
    datatype: str
    data: list[float]
class Request(BaseModel):
    inputs: list[Tensor]
model = pickle.load(open(sys.argv[1], "rb"))
@app.get("/v2/health/live")
def live(): return {"live": True}
@app.post("/v2/models/gbdt/infer")
def infer(request: Request):
    rows = np.column_stack([t.data for t in request.inputs])
    p = model.predict_proba(rows)[:, 1].tolist()
    return {"model_name": "gbdt", "outputs": [{"name": "probability", "datatype": "FP64", "shape": [len(p)], "data": p}]}
uvicorn.run(app, port=int(sys.argv[2]), log_level="error", access_log=False)
"""


def main() -> None:
    options = _options()
    scratch = Path(tempfile.mkdtemp(prefix="noria-bench-"))
    try:
        model = build(scratch, options.peer_python)
        results = measure(list(servers(model, options)), options, model)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    bound = next(r for r in results if r["server"] == "bound")
    for result in results:
        for row, its in zip(result["cells"], bound["cells"], strict=True):
            row["share_of_bound"] = {
                "requests_per_s": round(row["requests_per_s"]["median"] / its["requests_per_s"]["median"], 3),
                "cpu": round(its["cpu_us_per_request"]["median"] / row["cpu_us_per_request"]["median"], 3),
            }
    document = {
        "benchmark": "serving",
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {
            "python": platform.python_version(),
            "cpus": os.cpu_count(),
            "load": os.getloadavg(),
            "load_generator": generator(),
        },
        "model": {"features": FEATURES, "trees": TREES, "leaves": LEAVES},
        "results": results,
    }
    text = json.dumps(document, indent=1)
    print(text)
    if options.out:
        Path(options.out).write_text(text + "\n", encoding="utf-8")


def build(scratch: Path, peer_python: str) -> dict[str, Path]:
    """Fit the model, package it as Noria does, publish it with a challenger (so that routing is really done); fit the peer's own copy."""
    import numpy as np
    from lightgbm import LGBMClassifier

    from noria.adapters.blobs import local
    from noria.app.worker import Flavors
    from noria.domain.deployment import Deployment, Variant
    from noria.domain.ids import RunId
    from noria.packaging.bundle import build as build_bundle
    from noria.packaging.environment import capture
    from noria.packaging.signature import infer_signature
    from noria.serving import desired

    warnings.simplefilter("ignore")
    rng = np.random.default_rng(0)
    x = rng.normal(size=(8000, FEATURES))
    y = (x[:, :5].sum(axis=1) + rng.normal(size=8000) > 0).astype(int)
    fitted = LGBMClassifier(n_estimators=TREES, num_leaves=LEAVES, n_jobs=1, verbose=-1).fit(x, y)
    np.savez(scratch / "train.npz", x=x, y=y)
    columns = {f"f{i}": x[:500, i].copy() for i in range(FEATURES)}
    home = scratch / "home"
    blobs = local.open_store(str(home / "blobs"))
    built = build_bundle(
        fitted,
        name="gbdt",
        run_id=RunId("bench"),
        signature=infer_signature(columns, {"probability": np.zeros(1, np.float32)}),
        sample=columns,
        blobs=blobs,
        flavors=Flavors(),
        environment=capture(),
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
    )
    assert built.bundle.flavor == "onnx", built.note
    variants = tuple(
        Variant(name=name, model="gbdt", number=n, version=f"{n}.0.0", bundle=built.digest, weight=weight)
        for n, (name, weight) in enumerate([("champion", 0.8), ("challenger", 0.2)], 1)
    )
    desired.publish(
        blobs,
        Deployment(
            name="gbdt", model="gbdt", generation=1, variants=variants, updated_at=datetime(2026, 1, 1, tzinfo=UTC)
        ),
    )
    graph = scratch / "model.onnx"
    graph.write_bytes(blobs.get(next(f.digest for f in built.bundle.files if f.path == "model.onnx")))
    bodies = {}
    for rows in (1, 100):
        inputs = [
            {"name": f"f{i}", "shape": [rows], "datatype": "FP64", "data": x[:rows, i].tolist()}
            for i in range(FEATURES)
        ]
        bodies[f"body{rows}"] = scratch / f"body{rows}.json"
        bodies[f"body{rows}"].write_text(json.dumps({"inputs": inputs}, separators=(",", ":")))
    fitted_there = scratch / "model.pickle"
    if peer_python:
        command = [
            peer_python,
            "-W",
            "ignore",
            "-c",
            FIT,
            str(scratch / "train.npz"),
            str(fitted_there),
            str(TREES),
            str(LEAVES),
        ]
        subprocess.run(command, check=True)
    return {"home": home, "graph": graph, "pickle": fitted_there, **bodies}


def servers(model: dict[str, Path], options: argparse.Namespace):
    """(name, how to start it on a port)."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}

    def noria(port: int) -> subprocess.Popen:
        command = [sys.executable, "-m", "noria.app.worker", "--home", str(model["home"]), "--port", str(port)]
        return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)

    def bound(port: int) -> subprocess.Popen:
        return subprocess.Popen([sys.executable, "-c", BOUND, str(model["graph"]), str(port)])

    def fastapi(port: int) -> subprocess.Popen:
        return subprocess.Popen([options.peer_python, "-W", "ignore", "-c", FASTAPI, str(model["pickle"]), str(port)])

    yield "bound", bound
    yield "noria", noria
    if options.peer_python:
        yield "fastapi", fastapi


CELLS = ((1, 1), (16, 1), (64, 1), (4, 100))
"""(connections, rows a request)"""


def measure(starts: list, options: argparse.Namespace, model: dict[str, Path]) -> list[dict]:
    """Start all servers, then load them by turns, so that what else runs on the machine hits all alike (an idle server costs nothing)."""
    running = []
    try:
        for name, start in starts:
            port = free_port()
            began = time.monotonic()
            process = start(port)
            running.append((name, port, process))
            wait_for(port, process)
            print(f"{name}: answers after {time.monotonic() - began:.2f} s", file=sys.stderr)
        runs: dict = {name: [[] for _ in CELLS] for name, _, _ in running}
        for _ in range(options.repeats):
            for cell, (connections, rows) in enumerate(CELLS):
                for name, port, process in running:
                    runs[name][cell].append(load(port, model[f"body{rows}"], connections, options.seconds, process.pid))
        return [
            {
                "server": name,
                "pss_mb": pss_mb(process.pid),
                "cells": [
                    {
                        "connections": connections,
                        "rows": rows,
                        **{key: spread([run[key] for run in runs[name][cell]]) for key in runs[name][cell][0]},
                    }
                    for cell, (connections, rows) in enumerate(CELLS)
                ],
            }
            for name, port, process in running
        ]
    finally:
        for _, _, process in running:
            process.send_signal(signal.SIGTERM)
        for _, _, process in running:
            process.wait(30)


def load(port: int, body: Path, connections: int, seconds: float, pid: int) -> dict:
    before, requests, errors, p50, p99, took = cpu_s(pid), 0, 0, 0.0, 0.0, 0.0
    if shutil.which("wrk"):
        requests, errors, p50, p99, took = wrk(port, body, connections, seconds)
    else:
        requests, errors, p50, p99, took = asyncio.run(own_load(port, body.read_bytes(), connections, seconds))
    used = cpu_s(pid) - before
    return {
        "requests_per_s": requests / took,
        "cpu_us_per_request": 1e6 * used / max(requests, 1),
        "p50_ms": p50,
        "p99_ms": p99,
        "errors": errors,
    }


def wrk(port: int, body: Path, connections: int, seconds: float) -> tuple[int, int, float, float, float]:
    script = body.with_suffix(".lua")
    script.write_text(
        f'local f = io.open("{body}", "rb"); wrk.body = f:read("*all"); f:close()\n'
        'wrk.method = "POST"; wrk.headers["Content-Type"] = "application/json"\n'
        "done = function(s, l, r) io.write(string.format('RESULT %d %d %f %f %f\\n', s.requests,"
        " s.errors.status + s.errors.connect + s.errors.read + s.errors.write + s.errors.timeout,"
        " l:percentile(50)/1000, l:percentile(99)/1000, s.duration/1e6)) end\n"
    )
    url = f"http://127.0.0.1:{port}/v2/models/gbdt/infer"
    command = [
        "wrk",
        "-t1",
        f"-c{connections}",
        f"-d{max(1, round(seconds))}s",
        "--latency",
        "--timeout",
        "10s",
        "-s",
        str(script),
        url,
    ]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    numbers = next(line for line in said.splitlines() if line.startswith("RESULT")).split()[1:]
    return int(numbers[0]), int(numbers[1]), float(numbers[2]), float(numbers[3]), float(numbers[4])


async def own_load(port: int, body: bytes, connections: int, seconds: float) -> tuple[int, int, float, float, float]:
    head = f"POST /v2/models/gbdt/infer HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
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
    return "wrk, one thread, on the same cores" if shutil.which("wrk") else "own asyncio client, on the same cores"


def spread(values: list[float]) -> dict:
    return {"median": round(statistics.median(values), 3), "min": round(min(values), 3), "max": round(max(values), 3)}


def tree(pid: int) -> list[int]:
    found = [pid]
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in task.read_text().split():
            found += tree(int(child))
    return found


def cpu_s(pid: int) -> float:
    """User and system time of a process and its descendants, in seconds."""
    ticks = 0
    for one in tree(pid):
        fields = Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def pss_mb(pid: int) -> float:
    lines = [line for one in tree(pid) for line in Path(f"/proc/{one}/smaps_rollup").read_text().splitlines()]
    return round(sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024, 1)


def free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(port: int, process: subprocess.Popen) -> None:
    import urllib.error
    import urllib.request

    until = time.monotonic() + 120
    while True:
        assert process.poll() is None, "the server ended"
        assert time.monotonic() < until, "the server did not answer"
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/v2/health/live", timeout=5) as answer:
                if answer.status == 200:
                    return
        except (urllib.error.URLError, OSError):
            time.sleep(0.02)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--peer-python", default="", help="interpreter with fastapi, uvicorn[standard], scikit-learn and lightgbm"
    )
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", default="")
    return parser.parse_args()


if __name__ == "__main__":
    main()
