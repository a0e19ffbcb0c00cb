"""Noria's own client, for tracking.py: the same questions as mlflow_client.py asks, through the `remote` adapter. Prints one line of JSON.

own_points: run.log until every point is durable in the server. own_search: the page of search_filter. own_history: what history reads.
"""

import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

from mlflow_client import begin, timed

from noria.adapters.blobs import memory as blobs
from noria.adapters.metadata import remote
from noria.app.workspace import SystemClock
from noria.domain.ids import ExperimentId
from noria.domain.query import Query
from noria.tracking.recorder import Recorder
from noria.wire.query import parse_filter, parse_order

KEYS = 10


def main(case: str, url: str, amount: str) -> None:
    store = remote.open_store(url, project="default")
    own = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        recorder = Recorder(store.runs, blobs.open_store(""), clock=SystemClock(), journal_folder=Path(folder))
        if case == "own_points":
            points = int(amount)
            values = {f"k{key}": 0.5 for key in range(KEYS)}
            begin()
            begun = time.perf_counter()
            with recorder.run("bench") as run:
                for step in range(points // KEYS):
                    run.log(values, step=step)
            found = {"calls": points // KEYS, "points_per_s": round(points / (time.perf_counter() - begun))}
        elif case == "own_history":
            points = int(amount)
            begin()
            begun = time.perf_counter()
            with recorder.run("bench") as run:
                for step in range(points):
                    run.log(loss=1.0 / (step + 1), step=step)
            wrote, times = time.perf_counter() - begun, []
            for _ in range(5):
                begun = time.perf_counter()
                assert len(store.series.history(run.id, "loss")) == points
                times.append(time.perf_counter() - begun)
            found = {
                "calls": 1,
                "write_points_per_s": round(points / wrote),
                "read_ms": round(1000 * statistics.median(times)),
            }
        else:
            question = Query(
                experiments=(ExperimentId("0"),),
                where=parse_filter("metrics.m1 > 0.5 and params.p1 != '0.1'", kind="runs"),
                order=parse_order(["metrics.m2 DESC"], kind="runs"),
                limit=100,
            )
            found = timed(lambda _: store.index.search(question), float(amount))
    found["client_cpu_ms"] = round(1000 * (time.process_time() - own) / found["calls"], 2)
    print(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
