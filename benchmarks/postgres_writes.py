"""Durable appends and points a second in PostgreSQL: all that wait in one transaction (what Noria does) against a transaction for each. Prints JSON.

    python benchmarks/postgres_writes.py [--seconds 3]

Server and client share this machine; CPU is given for both. `delay_ms` puts a network of that latency between them. ADR 16 draws the conclusion.
"""

import argparse
import contextlib
import json
import select
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import psutil
from store_append import a_draft

from noria.adapters.metadata.postgres.connection import Connection, connect
from noria.adapters.metadata.postgres.database import Database
from noria.adapters.metadata.postgres.location import parse
from noria.adapters.metadata.postgres.open import open_metadata
from noria.adapters.metadata.sql.ledger import SqlLedger
from noria.adapters.metadata.sql.runs import SqlRuns
from noria.domain.ids import RunId
from noria.domain.run import Metric, Run
from tests.peers.postgres import Server

NOW = datetime.now(UTC)


class Concurrent(Database):
    """The other way: each thread commits by itself. Ledger rows still need the lock of their project; points of other runs do not."""

    lock = True

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self._own = threading.local()

    def write(self, work: Any, *, only: str = "") -> Any:
        connection: Connection | None = getattr(self._own, "connection", None)
        if connection is None:
            connection = self._own.connection = connect(self.location)
        lock = f"SELECT pg_advisory_xact_lock(1, {self.project});" if self.lock else ""
        connection.begin(f"BEGIN; {lock} SELECT version_num FROM alembic_version")
        try:
            answer = work(connection)
            connection.end("COMMIT")
        except BaseException:
            connection.end("ROLLBACK")
            raise
        return answer


class Slow:
    """A line of a given latency each way."""

    def __init__(self, port: int, delay_s: float) -> None:
        self._port, self._delay_s = port, delay_s
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            client, _ = self._listener.accept()
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        server = socket.create_connection(("127.0.0.1", self._port))
        for end in (client, server):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while True:
            for ready in select.select([client, server], [], [])[0]:
                said = ready.recv(1 << 16)
                if not said:
                    return
                time.sleep(self._delay_s)
                (server if ready is client else client).sendall(said)


def cpu(server: Server) -> float:
    """Seconds that the server's processes have used, those that have ended as well."""
    assert server.process is not None
    family = psutil.Process(server.process.pid)
    total = sum(family.cpu_times())
    for process in family.children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            total += sum(process.cpu_times()[:2])
    return float(total)


def measure(server: Server, call: Any, *, threads: int, seconds: float) -> dict[str, float]:
    began = time.perf_counter()
    end = began + seconds

    def loop(thread: int) -> list[float]:
        waits: list[float] = []
        while (asked := time.perf_counter()) < end:
            call(thread, len(waits))
            waits.append(time.perf_counter() - asked)
        return waits

    client, servers = time.process_time(), cpu(server)
    with ThreadPoolExecutor(threads) as pool:
        waits = sorted(wait for found in pool.map(loop, range(threads)) for wait in found)
        wall, client, servers = time.perf_counter() - began, time.process_time() - client, cpu(server) - servers
    return {
        "threads": threads,
        "per_second": round(len(waits) / wall),
        "p50_ms": round(waits[len(waits) // 2] * 1e3, 2),
        "p99_ms": round(waits[int(len(waits) * 0.99)] * 1e3, 2),
        "client_cpu_us_each": round(client / len(waits) * 1e6),
        "server_cpu_us_each": round(servers / len(waits) * 1e6),
    }


def ways(server: Server, url: str, seconds: float) -> dict[str, Any]:
    """Both ways over one URL."""
    results: dict[str, Any] = {}
    group, one = Database(parse(url), project=1), Concurrent(parse(url), project=1)
    free = Concurrent(parse(url), project=1)
    free.lock = False
    for name, database in (("one transaction for all that wait", group), ("a transaction each", one)):
        ledger = SqlLedger(database, "bench", 1)
        for threads in (1, 32):
            results[f"ledger.append, {name}, {threads} threads"] = measure(
                server, lambda *_, ledger=ledger: ledger.append([a_draft()]), threads=threads, seconds=seconds
            )
    for name, database in (
        ("transactions for all that wait, four lanes", group),
        ("a transaction each, no lock", free),
    ):
        runs = SqlRuns(database, 1)
        for threads in (1, 32):
            results[f"runs.log_metrics of a point, {name}, {threads} threads"] = measure(
                server,
                lambda thread, n, runs=runs: runs.log_metrics(
                    RunId(f"r{thread}"), [Metric(key="loss", value=n / 7, step=time.perf_counter_ns() // 1000, at=NOW)]
                ),
                threads=threads,
                seconds=seconds,
            )
    for database in (group, one, free):
        database.close()
    return results


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--seconds", type=float, default=3.0)
    given = options.parse_args()
    server = Server(fsync=True, max_connections="120")
    results: dict[str, Any] = {}
    try:
        server.start()
        with server.database("bench") as url:
            store = open_metadata(url, project="bench")
            for number in range(32):
                run = Run(id=RunId(f"r{number}"), experiment="e", name="r", status="running", started_at=NOW)
                store.runs.create(run)
            store.close()
            results["same machine"] = ways(server, url, given.seconds)
            slow = Slow(server.port, 0.0005)
            results["delay_ms 0.5 each way"] = ways(
                server, url.replace(f":{server.port}/", f":{slow.port}/"), given.seconds
            )
    finally:
        server.remove()
    print(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
