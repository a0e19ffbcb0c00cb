"""How long after a roll-back the version that was taken back still answers, on a worker of several processes under load.

    python benchmarks/rollback.py [--repeats 10] [--workers 2] [--clients 8] [--out benchmarks/results/rollback.json]

A challenger has half of the traffic; the roll-back is published as `noria rollback` and the loop do it; clients ask without pause. Measured is the
time from just before the publishing to the arrival of the last answer of the challenger, over all clients, requests under way included.
"""

import argparse
import json
import os
import platform
import shutil
import statistics
import sys
import tempfile
import threading
import time
from datetime import UTC, datetime
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

sys.path.insert(0, str(Path(__file__).resolve().parent / "clients"))

import msgspec
import serving_models

from noria.adapters.blobs import local
from noria.app.processes import start_worker
from noria.domain.deployment import Deployment, Variant
from noria.serving import desired

NAME = "gbdt"
BEFORE_S, AFTER_S = 0.7, 2.0


class Asking:
    """Clients that ask without pause, and what they were answered: (when, version)."""

    def __init__(self, url: str, body: bytes, clients: int) -> None:
        self.url, self.body = urlsplit(url), body
        self.answers: list[list[tuple[float, str]]] = [[] for _ in range(clients)]
        self.errors = 0
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(kept,)) for kept in self.answers]
        for thread in self._threads:
            thread.start()

    def _ask(self, kept: list[tuple[float, str]]) -> None:
        connection = HTTPConnection(str(self.url.hostname), self.url.port)
        while not self._stop.is_set():
            connection.request("POST", f"/v2/models/{NAME}/infer", self.body, {"Content-Type": "application/json"})
            response = connection.getresponse()
            response.read()
            self.errors += response.status != 200
            kept.append((time.monotonic(), response.getheader("noria-model-version") or ""))
        connection.close()

    def end(self) -> list[tuple[float, str]]:
        """Stop, and give all answers."""
        self._stop.set()
        for thread in self._threads:
            thread.join()
        return [answer for kept in self.answers for answer in kept]


def once(url: str, blobs: Any, body: bytes, *, generation: int, clients: int) -> dict[str, float]:
    """One canary and its roll-back under load."""
    standing = desired.read(blobs, NAME)
    assert standing is not None
    champion = msgspec.structs.replace(standing.variants[0], weight=0.5)
    challenger = msgspec.structs.replace(champion, name="challenger", number=champion.number + 1, version="2.0.0")
    desired.publish(blobs, _deployment(generation, champion, challenger))
    asking = Asking(url, body, clients)
    time.sleep(BEFORE_S)
    began = time.monotonic()
    desired.publish(blobs, _deployment(generation + 1, msgspec.structs.replace(champion, weight=1.0)))
    published = time.monotonic()
    time.sleep(AFTER_S)
    answers = asking.end()
    tried = [at for at, version in answers if version == str(challenger.number)]
    before = [version for at, version in answers if began - 0.3 < at < began]
    assert tried
    assert not asking.errors
    return {
        "last_answer_s": max(tried) - began,
        "publish_s": published - began,
        "share_before": before.count(str(challenger.number)) / len(before),
        "requests_per_s": len(answers) / (BEFORE_S + AFTER_S),
    }


def _deployment(generation: int, *variants: Variant) -> Deployment:
    return Deployment(name=NAME, model=NAME, generation=generation, variants=variants, updated_at=datetime.now(UTC))


def main() -> None:
    """Run it and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--out", default="")
    options = parser.parse_args()
    scratch = Path(tempfile.mkdtemp(prefix="noria-rollback-"))
    try:
        made = serving_models.build(scratch, "")
        blobs = local.open_store(str(made["home"] / "blobs"))
        body = made[f"{NAME}.1.v2"].read_bytes()
        worker = start_worker(made["home"], host="127.0.0.1", port=0, workers=options.workers)
        try:
            runs = [
                once(worker.url, blobs, body, generation=10 + 2 * n, clients=options.clients)
                for n in range(options.repeats)
            ]
        finally:
            worker.stop()
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    last = [run["last_answer_s"] for run in runs]
    document = {
        "benchmark": "rollback",
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {"python": platform.python_version(), "cpus": os.cpu_count(), "load": os.getloadavg()},
        "workers": options.workers,
        "clients": options.clients,
        "last_answer_s": {"median": statistics.median(last), "max": max(last), "budget": 1.0},
        "requests_per_s": statistics.median([run["requests_per_s"] for run in runs]),
        "runs": [{key: round(value, 4) for key, value in run.items()} for run in runs],
    }
    text = json.dumps(document, indent=1)
    print(text)
    if options.out:
        Path(options.out).write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
