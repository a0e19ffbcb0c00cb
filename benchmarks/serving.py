"""What one prediction costs: Noria's worker with everything on, the bare bound on the same model and requests, and peers.

    python benchmarks/serving.py [--peers-root DIR [--peers fastapi,litserve,...]] [--models gbdt,pipeline] [--seconds 3] [--repeats 3] [--out FILE]
    python benchmarks/serving.py --soak 30

The bound is a granian RSGI application with msgspec and onnxruntime and nothing else: no check, no routing, no record, no id. Peers serve the
scikit-learn object as their documentation shows, from DIR/<name>, a venv with the peer, scikit-learn, lightgbm and pandas. Servers run one after the
other in turns; load comes from wrk (one thread) if it is installed, else from a small client (named in the result). CPU is that of the server's whole
process tree, from the kernel: requests a second depend on what else the machine does, CPU a request hardly does.
"""

import argparse
import contextlib
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
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent / "clients"))

import serving_models
from serving_load import cpu_s, free_port, generator, load, pss_mb, spread, tree, wait_for
from serving_servers import Server, own, peers

CELLS = ((1, 1), (16, 1), (64, 1), (4, 100), (4, 1000))
"""(connections, rows a request)"""
PROTOCOLS = {
    "v2": ("/v2/models/{kind}/infer", "application/json"),
    "v2-binary": ("/v2/models/{kind}/infer", "application/octet-stream"),
    "v1": ("/v1/models/{kind}:predict", "application/json"),
    "invocations": ("/invocations", "application/json"),
    "records": ("/predict/{kind}", "application/json"),
    "arrow": ("/predict/{kind}", "application/vnd.apache.arrow.stream"),
}
PEERS = "fastapi,litserve,mlserver,mlflow,bentoml,ray"


def main() -> None:
    options = _options()
    scratch = Path(tempfile.mkdtemp(prefix="noria-bench-"))
    root = Path(options.peers_root).resolve() if options.peers_root else None
    names = options.peers.split(",") if root else []
    try:
        fitter = next(
            (root / n / "bin" / "python" for n in names if root and (root / n / "bin" / "python").exists()), ""
        )
        made = serving_models.build(scratch, str(fitter))
        document: dict[str, Any] = {"benchmark": "serving", "at": datetime.now(UTC).isoformat(timespec="seconds")}
        document["machine"] = {
            "python": platform.python_version(),
            "cpus": os.cpu_count(),
            "load": os.getloadavg(),
            "load_generator": generator(),
        }
        if options.soak:
            document["soak"] = soak(made, options.soak)
        else:
            document["models"] = {kind: compare(kind, made, root, names, options) for kind in options.models.split(",")}
            document["protocols"] = protocols(made, options)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    text = json.dumps(document, indent=1)
    print(text)
    if options.out:
        kept = Path(options.out)
        before = json.loads(kept.read_text()) if options.soak and kept.exists() else {}
        kept.write_text(json.dumps({**before, **document}, indent=1) + "\n", encoding="utf-8")


def compare(
    kind: str, made: dict[str, Path], root: Path | None, names: list[str], options: Any
) -> list[dict[str, Any]]:
    """All servers of one model, in turns; a peer that does not start or answers with errors is kept with the reason."""
    results = rounds(list(own(made, kind)), made, options)
    for server in peers(made, kind, root, names) if root else ():
        try:
            results += rounds([server], made, options)
        except (RuntimeError, OSError, subprocess.SubprocessError) as error:
            results.append({"server": server.name, "problem": str(error)[:500], "cells": []})
    bound = next(r for r in results if r["server"] == "bound")
    for result in results:
        for row, its in zip(result["cells"], bound["cells"], strict=False):
            ours, theirs = row["cpu_us_per_request"]["median"], its["cpu_us_per_request"]["median"]
            row["share_of_bound_cpu"] = round(theirs / ours, 3) if ours else None
    return results


def rounds(servers: list[Server], made: dict[str, Path], options: Any) -> list[dict[str, Any]]:
    """Start these servers, then load them by turns, so that what else runs on the machine hits all alike (an idle server costs nothing)."""
    running: list[tuple[Server, int, subprocess.Popen[Any], dict[str, float]]] = []
    try:
        for server in servers:
            port, began = free_port(), time.monotonic()
            process = server.start(port)
            running.append((server, port, process, {}))
            wait_for(port, server.path, made[f"{server.kind}.1.{server.body}"].read_bytes(), process)
            running[-1][3].update(start_s=round(time.monotonic() - began, 2), start_cpu_s=round(cpu_s(process.pid), 2))
            print(f"{server.kind} {server.name}: answers after {time.monotonic() - began:.2f} s", file=sys.stderr)
        runs: dict[str, list[list[dict[str, float]]]] = {s.name: [[] for _ in CELLS] for s, *_ in running}
        for _ in range(options.repeats):
            for cell, (connections, rows) in enumerate(CELLS):
                for server, port, process, _facts in running:
                    body = made[f"{server.kind}.{rows}.{server.body}"]
                    run = load(
                        port, server.path, body, connections=connections, seconds=options.seconds, pid=process.pid
                    )
                    runs[server.name][cell].append(run)
        return [
            {"server": s.name, **facts, "pss_mb": pss_mb(process.pid), "cells": _cells(runs[s.name])}
            for s, _, process, facts in running
        ]
    finally:
        _stop([process for _, _, process, _ in running])


def protocols(made: dict[str, Path], options: Any) -> list[dict[str, Any]]:
    """CPU a request of the same rows in each protocol, 16 connections with a row and 4 with a hundred."""
    server = next(s for s in own(made, "gbdt") if s.name == "noria")
    port = free_port()
    process = server.start(port)
    try:
        wait_for(port, server.path, made["gbdt.1.v2"].read_bytes(), process)
        found = []
        for name, (path, kind) in PROTOCOLS.items():
            for connections, rows in ((16, 1), (4, 100)):
                body = made[f"gbdt.{rows}.{name}"]
                headers = {"Content-Type": kind, "Noria-Deployment": "gbdt"}
                if name == "v2-binary":
                    headers["Inference-Header-Content-Length"] = body.with_suffix(".head").read_text()
                runs = [
                    load(
                        port,
                        path.format(kind="gbdt"),
                        body,
                        connections=connections,
                        seconds=options.seconds,
                        pid=process.pid,
                        headers=headers,
                    )
                    for _ in range(options.repeats)
                ]
                figures = {key: spread([run[key] for run in runs]) for key in runs[0]}
                found.append({"protocol": name, "connections": connections, "rows": rows, **figures})
        return found
    finally:
        _stop([process])


def soak(made: dict[str, Path], minutes: float) -> dict[str, Any]:
    """Memory of a worker under both models' requests, one row and a hundred, looked at every ten seconds."""
    server = next(s for s in own(made, "gbdt") if s.name == "noria")
    port = free_port()
    process = server.start(port)
    seen: list[tuple[float, float]] = []
    requests = 0.0
    try:
        wait_for(port, server.path, made["gbdt.1.v2"].read_bytes(), process)
        began = time.monotonic()
        while time.monotonic() - began < 60 * minutes:
            for kind, connections, rows in (("gbdt", 16, 1), ("pipeline", 4, 100)):
                path = f"/v2/models/{kind}/infer"
                body = made[f"{kind}.{rows}.v2"]
                run = load(port, path, body, connections=connections, seconds=4, pid=process.pid)
                assert not run["errors"], run
                requests += run["requests_per_s"] * 5
            seen.append((round(time.monotonic() - began, 1), pss_mb(process.pid)))
            print(f"{seen[-1][0]:.0f} s: {seen[-1][1]} MB", file=sys.stderr)
    finally:
        _stop([process])
    third = max(1, len(seen) // 3)
    middle, last = seen[third : 2 * third] or seen, seen[-third:]
    return {
        "minutes": minutes,
        "requests": round(requests),
        "pss_mb_middle_third": statistics.median(mb for _, mb in middle),
        "pss_mb_last_third": statistics.median(mb for _, mb in last),
        "pss_mb": seen[:: max(1, len(seen) // 60)],
    }


def _cells(runs: list[list[dict[str, float]]]) -> list[dict[str, Any]]:
    return [
        {"connections": connections, "rows": rows, **{key: spread([run[key] for run in cell]) for key in cell[0]}}
        for (connections, rows), cell in zip(CELLS, runs, strict=True)
    ]


def _stop(processes: list["subprocess.Popen[Any]"]) -> None:
    """End servers, and what some of them leave behind."""
    family = [one for process in processes for one in tree(process.pid)]
    for process in processes:
        process.send_signal(signal.SIGTERM)
    for process in processes:
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    for one in family:
        with contextlib.suppress(ProcessLookupError):
            os.kill(one, signal.SIGKILL)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers-root", default="", help="a folder with a venv for each peer")
    parser.add_argument("--peers", default=PEERS)
    parser.add_argument("--models", default=",".join(serving_models.MODELS))
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--soak", type=float, default=0.0, metavar="MINUTES", help="only watch a worker's memory")
    parser.add_argument("--out", default="")
    return parser.parse_args()


if __name__ == "__main__":
    main()
