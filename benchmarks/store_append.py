"""How many durable appends the SQLite ledger answers a second, alone and with 32 threads waiting together. Prints JSON.

    python benchmarks/store_append.py [--seconds 3] [--folder .]

Beside it stands the bound: bare sqlite3 with one commit a row, on the same disk with the same settings (WAL, synchronous=FULL).
"""

import argparse
import json
import sqlite3
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from noria.adapters.metadata.sqlite import open_store
from noria.domain.events import RetrainRequested
from noria.domain.ids import EventId, fresh
from noria.domain.ledger import Draft
from noria.domain.run import Metric, Run, RunId
from noria.wire import chain


def a_draft() -> Draft:
    now = datetime.now(UTC)
    event = RetrainRequested(
        deployment="late",
        model="delay",
        reason="log loss rose from 0.41 to 0.47",
        trigger="decay",
        data_until=now,
        evidence={"log_loss": 0.4712, "expected": 0.4103},
    )
    return Draft(id=EventId(fresh()), at=now, actor="loop", event=event, cause=EventId(fresh()))


def measure(call: Any, *, threads: int, seconds: float) -> dict[str, float]:
    """Call in a loop from some threads; rates by wall clock, cost by the CPU time of the whole process."""
    end = time.perf_counter() + seconds

    def loop(thread: int) -> list[float]:
        waits = []
        while (began := time.perf_counter()) < end:
            call(thread, len(waits))
            waits.append(time.perf_counter() - began)
        return waits

    cpu, wall = time.process_time(), time.perf_counter()
    with ThreadPoolExecutor(threads) as pool:
        waits = sorted(wait for found in pool.map(loop, range(threads)) for wait in found)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return {
        "threads": threads,
        "per_second": round(len(waits) / wall),
        "cpu_us_each": round(cpu / len(waits) * 1e6),
        "p50_ms": round(waits[len(waits) // 2] * 1e3, 2),
        "p99_ms": round(waits[int(len(waits) * 0.99)] * 1e3, 2),
    }


def bare(path: Path, seconds: float) -> dict[str, float]:
    """One row and one commit at a time, nothing around it."""
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("CREATE TABLE t (n INTEGER PRIMARY KEY, body BLOB)")
    result = measure(
        lambda _, n: connection.execute("INSERT INTO t (body) VALUES (?)", (b"x" * 600,)), threads=1, seconds=seconds
    )
    connection.close()
    return result


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--seconds", type=float, default=3.0)
    options.add_argument("--folder", default=None, help="where the store is made; the disk under it decides")
    given = options.parse_args()
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        store = open_store(f"{folder}/meta.db", project="bench")
        run = Run(id=RunId("r"), experiment="e", name="r", status="running", started_at=datetime.now(UTC))
        store.runs.create(run)
        results: dict[str, Any] = {"bare sqlite3, a commit a row": bare(Path(folder, "bare.db"), given.seconds)}
        for threads in (1, 32):
            results[f"ledger.append, {threads} threads"] = measure(
                lambda *_: store.ledger.append([a_draft()]), threads=threads, seconds=given.seconds
            )
        for threads in (1, 32):
            results[f"runs.log_metrics of 1 point, {threads} threads"] = measure(
                lambda thread, n: store.runs.log_metrics(
                    run.id, [Metric(key=f"k{thread}", value=n / 7, step=n, at=run.started_at)]
                ),
                threads=threads,
                seconds=given.seconds,
            )
        batches = measure(
            lambda thread, n: store.runs.log_metrics(
                run.id,
                [Metric(key=f"b{thread}", value=i / 7, step=n * 1000 + i, at=run.started_at) for i in range(1000)],
            ),
            threads=4,
            seconds=given.seconds,
        )
        results["runs.log_metrics of 1000 points, 4 threads"] = batches
        results["points a second in such batches"] = batches["per_second"] * 1000
        head = store.ledger.head()
        began = time.process_time()
        breaks = chain.verify(store.ledger.stored(), project="bench", head=head)
        results["verify"] = {
            "rows": head.seq,
            "breaks": len(breaks),
            "cpu_us_each": round((time.process_time() - began) / head.seq * 1e6, 1),
        }
        store.close()
    print(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
