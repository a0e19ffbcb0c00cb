"""What finding runs costs as a store grows: the newest, filters, orders, counts, keys; and what writing them costs. Prints JSON.

    python benchmarks/search.py [--runs 1000 10000] [--experiments 1] [--store sqlite|URL] [--folder .]

Each run has 10 params (5 numbers, 5 words of 20), 10 metrics and 3 tags (one of 50 values each). The store is measured without HTTP; `server` is a
server on it. Times are the median of several calls, in milliseconds of wall clock; the same in CPU time of this process beside it. --store takes a
postgresql:// URL too.
"""

import argparse
import json
import random
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote
from urllib.request import urlopen

import psutil

from noria.adapters.metadata.sql.connection import Connection, Database
from noria.adapters.metadata.sql.metadata import SqlMetadata
from noria.adapters.metadata.sql.runs import SqlRuns
from noria.domain.ids import RunId, fresh
from noria.domain.query import Query
from noria.domain.run import Metric, Run, RunBatch
from noria.wire.query import parse_filter, parse_order

START = datetime(2026, 1, 1, tzinfo=UTC)
AT_ONCE = 500
MOST_WRITTEN = 20_000
"""Runs that are written one by one; a larger store is made of copies of them."""
MOST_COPIED = 100_000
QUERIES: dict[str, tuple[str, Sequence[str]]] = {
    "newest 100": ("", ()),
    "metric filter, 2 % match": ("metrics.metric_0 > 0.98", ()),
    "metric filter, half match, by another metric": ("metrics.metric_0 > 0.5", ("metrics.metric_1 DESC",)),
    "metric and param filter, by metric": (
        "metrics.metric_0 > 0.5 AND params.word_0 = 'w3'",
        ("metrics.metric_0 DESC",),
    ),
    "param as a number, by param": ("params.rate_0 < 0.3", ("params.rate_0 ASC",)),
    "param and tag LIKE": ("params.word_0 = 'w3' AND tags.tag_0 LIKE '%value 7%'", ()),
    "tag LIKE, none matches": ("tags.tag_0 LIKE '%nothing%'", ()),
    "status and name": ("attributes.status = 'finished' AND attributes.name LIKE 'run 1%'", ()),
    "OR of two metrics": ("metrics.metric_0 > 0.99 OR metrics.metric_1 > 0.99", ()),
    "by metric": ("", ("metrics.metric_0 ASC",)),
}
COUNTS = {"count": "", "count, half match": "metrics.metric_0 > 0.5", "count, tag LIKE": "tags.tag_0 LIKE '%7%'"}


class Inside:
    """A database whose transaction is somebody else's: for many writes in one."""

    def __init__(self, database: Database, connection: Connection) -> None:
        self.dialect = database.dialect
        self._connection = connection

    def write(self, work: Callable[[Connection], Any], *, only: str = "") -> Any:
        """Do it at once."""
        return work(self._connection)

    read = write


def a_run(number: int, experiments: int) -> Run:
    """Run `number`, without what is logged to it."""
    return Run(
        id=RunId(fresh()),
        experiment=f"experiment {number % experiments}",
        name=f"run {number}",
        status="running",
        started_at=START + timedelta(seconds=number),
        user="ada",
    )


def a_batch(run: Run, number: int, dice: random.Random) -> RunBatch:
    """Its params, metrics and tags."""
    return RunBatch(
        run_id=run.id,
        params={f"rate_{k}": dice.random() for k in range(5)}
        | {f"word_{k}": f"w{dice.randrange(20)}" for k in range(5)},
        metrics=[Metric(key=f"metric_{k}", value=dice.random(), at=run.started_at, step=number) for k in range(10)],
        tags={f"tag_{k}": f"value {dice.randrange(50)}" for k in range(3)},
    )


def seed(store: SqlMetadata, database: Database, project: int, *, first: int, end: int, experiments: int) -> float:
    """Write runs `first` to `end`, hundreds in a transaction; gives the CPU milliseconds a run."""
    dice = random.Random(first)
    began = time.process_time()
    for start in range(first, end, AT_ONCE):
        numbers = range(start, min(start + AT_ONCE, end))
        some = [(run := a_run(number, experiments), a_batch(run, number, dice)) for number in numbers]

        def work(connection: Connection, some: list[tuple[Run, RunBatch]] = some) -> None:
            runs = SqlRuns(Inside(database, connection), project)
            for run, batch in some:
                runs.create(run)
                runs.log(batch)
                if run.id[0] in "0123456789":
                    runs.finish(run.id, status="finished", at=run.started_at + timedelta(minutes=1))

        database.write(work)
    return round((time.process_time() - began) * 1e3 / max(end - first, 1), 3)


def multiply(database: Database, project: int, *, held: int, size: int) -> None:
    """Grow a SQLite store by copies of its runs, under ids and times of their own: for sizes that would take an hour to write one by one."""
    while held < size:
        some = min(held, size - held, MOST_COPIED)
        database.write(lambda connection, some=some, held=held: _copy(connection, project, some=some, held=held))
        held += some


def _copy(connection: Connection, project: int, *, some: int, held: int) -> None:
    """The first `some` runs again. Numbers go on from the highest."""
    first_run, highest = connection.execute("SELECT min(number), max(number) FROM runs").fetchone()
    by, end = highest - first_run + 1, first_run + some
    lowest, last = connection.execute("SELECT min(id), max(id) FROM series WHERE run < ?", (end,)).fetchone()
    next_series = connection.execute("SELECT max(id) FROM series").fetchone()[0] + 1 - lowest
    connection.execute(
        "INSERT INTO runs (number, project, id, experiment, name, status, who, started_at, finished_at, went_along, made, doc)"
        " SELECT number + ?, project, lower(hex(randomblob(16))), experiment, 'run ' || (number + ?), status, who,"
        " started_at + ?, finished_at + ?, 0, randomblob(16), doc FROM runs WHERE number < ?",
        (by, by, held * 1_000_000, held * 1_000_000, end),
    )
    for table, columns in (("params", "place, kind, head, text, number"), ("tags", "head, text")):
        connection.execute(
            f'INSERT INTO {table} (project, run, "key", {columns}) SELECT project, run + ?, "key", {columns} FROM {table}'
            " WHERE run < ?",
            (by, end),
        )
    columns = '"key", step, at, bits, count, tail, value, is_nan'
    connection.execute(
        f"INSERT INTO series (id, project, run, {columns}) SELECT id + ?, project, run + ?, {columns} FROM series WHERE run < ?",
        (next_series, by, end),
    )
    connection.execute(
        "INSERT INTO tails (series, step, at, bits) SELECT series + ?, step, at, bits FROM tails WHERE series <= ?",
        (next_series, last),
    )


def timed(call: Callable[[], Any], *, seconds: float = 0.6) -> dict[str, float]:
    """Median wall clock and mean CPU of calls for a while (3 at least)."""
    waits: list[float] = []
    call()
    cpu, end = time.process_time(), time.perf_counter() + seconds
    while len(waits) < 3 or (time.perf_counter() < end and len(waits) < 200):
        began = time.perf_counter()
        call()
        waits.append(time.perf_counter() - began)
    cpu = time.process_time() - cpu
    return {
        "ms": round(statistics.median(waits) * 1e3, 2),
        "max_ms": round(max(waits) * 1e3, 2),
        "cpu_ms": round(cpu / len(waits) * 1e3, 2),
    }


def writes(store: SqlMetadata, *, first: int, experiments: int) -> dict[str, Any]:
    """What one write after another costs in a store of this size, each durable when it returns."""
    dice = random.Random(-first)
    runs = [a_run(first + n, experiments) for n in range(200)]
    batches = [a_batch(run, first + n, dice) for n, run in enumerate(runs)]
    points = [[Metric(key="loss", value=n / 7, step=n, at=START)] for n in range(200)]
    calls: dict[str, list[Callable[[], Any]]] = {
        "create": [lambda run=run: store.runs.create(run) for run in runs],
        "log 10 params, 10 metrics, 3 tags": [lambda batch=batch: store.runs.log(batch) for batch in batches],
        "log_metrics of one point": [lambda some=some: store.runs.log_metrics(runs[0].id, some) for some in points],
        "finish": [lambda run=run: store.runs.finish(run.id, status="finished", at=START) for run in runs],
        "get": [lambda run=run: store.runs.get(run.id) for run in runs],
    }
    found: dict[str, Any] = {}
    for name, some in calls.items():
        cpu, wall = time.process_time(), time.perf_counter()
        for call in some:
            call()
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        found[name] = {"ms": round(wall / len(some) * 1e3, 2), "cpu_ms": round(cpu / len(some) * 1e3, 3)}
    return found


def searches(store: SqlMetadata, *, experiments: int) -> dict[str, Any]:
    """Every query, in the newest experiment and, if there are several, in all of them."""
    held = store.experiments.named(f"experiment {experiments - 1}")
    assert held is not None
    newest = held.id
    found: dict[str, Any] = {}
    for scope in [(newest,), None] if experiments > 1 else [(newest,)]:
        where = "" if scope else "all experiments: "
        for name, (text, order) in QUERIES.items():
            query = Query(
                where=parse_filter(text, kind="runs"),
                order=parse_order(order, kind="runs"),
                experiments=scope,
                limit=100,
            )
            found[where + name] = timed(lambda query=query: store.index.search(query))
        for name, text in COUNTS.items():
            query = Query(where=parse_filter(text, kind="runs"), experiments=scope)
            found[where + name] = timed(lambda query=query: store.index.count(query))
        found[where + "keys"] = timed(lambda scope=scope: store.index.keys(scope))
    found["newest 1000"] = timed(lambda: store.index.search(Query(experiments=(newest,), limit=1000)))
    return found


def opened(location: str) -> SqlMetadata:
    """A store by its path or URL."""
    if "://" in location:
        from noria.adapters.metadata.postgres import open_store as open_postgres

        found = open_postgres(location, project=f"bench {fresh()}")
    else:
        from noria.adapters.metadata.sqlite import open_store as open_sqlite

        found = open_sqlite(location, project="bench")
    assert isinstance(found, SqlMetadata)
    return found


def faces(home: Path) -> dict[str, Any]:
    """A server on the store: from its start to the first answer, and the pages' own requests, the median of five in ms with the server's CPU."""
    command = [
        sys.executable,
        "-m",
        "noria.server.control.run",
        "--home",
        str(home),
        "--project",
        "bench",
        "--port",
        "0",
    ]
    begun = time.perf_counter()
    server = psutil.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        url = json.loads(server.stdout.readline())["url"]
        found: dict[str, Any] = {"start_s": round(time.perf_counter() - begun, 2)}
        run = json.loads(urlopen(f"{url}/api/v1/runs?limit=1").read())["runs"][0]["id"]
        paths = {"home": "/api/v1/status", "runs": "/api/v1/runs", "a run": f"/api/v1/runs/{run}"}
        paths["runs, asked"] = "/api/v1/runs?where=" + quote("metrics.metric_0 > 0.9 and params.word_0 != 'w3'")
        for name, path in paths.items():
            times, cpu = [], sum(server.cpu_times()[:2])
            for _ in range(5):
                at = time.perf_counter()
                urlopen(url + path).read()
                times.append(time.perf_counter() - at)
            spent = (sum(server.cpu_times()[:2]) - cpu) / 5
            found[name] = {"ms": round(1000 * statistics.median(times), 1), "cpu_ms": round(1000 * spent, 1)}
        found["rss_mb"] = round(server.memory_info().rss / 1e6)
        return found
    finally:
        server.terminate()
        server.wait()


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--runs", type=int, nargs="+", default=[1_000, 10_000], help="sizes to measure at, ascending")
    options.add_argument("--experiments", type=int, default=1)
    options.add_argument("--store", default="sqlite")
    options.add_argument("--folder", default=None, help="where the store is made; the disk under it decides")
    given = options.parse_args()
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        path = Path(folder, "meta.db")
        store = opened(str(path) if given.store == "sqlite" else given.store)
        database, project = store.runs._database, store.runs._project
        results: dict[str, Any] = {}
        held = 0
        for size in given.runs:
            written = min(size, max(MOST_WRITTEN, held)) if given.store == "sqlite" else size
            cost = seed(store, database, project, first=held, end=written, experiments=given.experiments)
            found: dict[str, Any] = {"seeding, cpu_ms a run": cost}
            if written < size:
                multiply(database, project, held=written, size=size)
            if given.store == "sqlite":
                connection = sqlite3.connect(path)
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
                connection.close()
                found["bytes a run"] = round(path.stat().st_size / size)
            found |= {"writes": writes(store, first=size, experiments=given.experiments)}
            found |= {"searches": searches(store, experiments=given.experiments)}
            if given.store == "sqlite":
                store.close()
                found["server"] = faces(Path(folder))
                store = opened(str(path))
                database, project = store.runs._database, store.runs._project
            results[f"{size} runs"] = found
            held = size
        store.close()
    print(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
