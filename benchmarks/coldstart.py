"""What a worker costs before it is of any use: CPU seconds and wall time to its first answer, and memory then and after 2,000 answers.

    python benchmarks/coldstart.py [--peer-python VENV/bin/python] [--repeats 5] [--out results.json]

Noria's worker against the bare bound and FastAPI (see serving.py, whose model and servers these are).
CPU is user + system time of the whole process tree. Budgets: < 1.5 CPU-s to the first answer, < 90 MB each.
"""

import argparse
import json
import os
import platform
import shutil
import signal
import sys
import tempfile
import time
from datetime import UTC, datetime
from http.client import HTTPConnection
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from serving import build, cpu_s, free_port, pss_mb, servers, spread

ANSWERS = 2000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer-python", default="")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--out", default="")
    options = parser.parse_args()
    scratch = Path(tempfile.mkdtemp(prefix="noria-bench-"))
    try:
        model = build(scratch, options.peer_python)
        body = model["body1"].read_bytes()
        runs: dict[str, list[dict]] = {}
        for _ in range(options.repeats):
            for name, start in servers(model, options):
                runs.setdefault(name, []).append(once(start, body))
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    document = {
        "benchmark": "coldstart",
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {"python": platform.python_version(), "cpus": os.cpu_count(), "load": os.getloadavg()},
        "repeats": options.repeats,
        "results": [
            {"server": name, **{key: spread([one[key] for one in found]) for key in found[0]}}
            for name, found in runs.items()
        ],
    }
    text = json.dumps(document, indent=1)
    print(text)
    if options.out:
        Path(options.out).write_text(text + "\n", encoding="utf-8")


def once(start, body: bytes) -> dict:
    """Start a server, ask until it answers, ask on, stop it."""
    port = free_port()
    began = time.monotonic()
    process = start(port)
    try:
        while not answers(port, body):
            assert process.poll() is None, "the server ended"
            assert time.monotonic() - began < 120, "the server did not answer"
            time.sleep(0.01)
        wall, cpu, memory = time.monotonic() - began, cpu_s(process.pid), pss_mb(process.pid)
        connection = HTTPConnection("127.0.0.1", port, timeout=30)
        for _ in range(ANSWERS):
            connection.request("POST", "/v2/models/gbdt/infer", body, {"Content-Type": "application/json"})
            connection.getresponse().read()
        connection.close()
        return {"wall_s": wall, "cpu_s": cpu, "pss_mb_first": memory, f"pss_mb_after_{ANSWERS}": pss_mb(process.pid)}
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def answers(port: int, body: bytes) -> bool:
    connection = HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("POST", "/v2/models/gbdt/infer", body, {"Content-Type": "application/json"})
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


if __name__ == "__main__":
    main()
