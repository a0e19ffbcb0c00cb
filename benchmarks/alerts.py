"""What telling of alerts costs: from the ledger to a receiver over HTTP, a burst of notices, a round without news, and the fold of a long history.

Prints one JSON object. Run: python benchmarks/alerts.py [--alerts 1000]. Wall seconds on the embedded store, beside CPU seconds of this process;
the receiver is a thread of it, so its work is counted too.
"""

import argparse
import json
import platform
import statistics
import tempfile
import threading
import time
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from noria.adapters.metadata.sqlite import open_store
from noria.app.alerting import Courier, waiting
from noria.app.alerting_acts import book_of
from noria.app.alerting_receivers import receivers
from noria.app.settings import Notify
from noria.app.workspace import SystemClock
from noria.domain import events as e
from noria.domain.alert import Alert
from noria.domain.ids import AlertId, EventId
from noria.domain.ledger import Draft

ARRIVED = threading.Semaphore(0)


class Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(204)
        self.end_headers()
        ARRIVED.release()

    def log_message(self, *_: object) -> None:
        return


def drafts(begin: int, end: int) -> list[Draft]:
    now = datetime.now(UTC)
    found = []
    for number in range(begin, end):
        alert = Alert(
            id=AlertId(f"a{number}"),
            kind="input_drift",
            deployment=f"d{number % 50}",
            number=1,
            opened_at=now,
            severity="warn",
            summary="the inputs drifted: 'age' by 30.0% (allowed 5.0%)",
            evidence={f"shift.x{i}": i / 100 for i in range(20)},
            causes=(f"x{number}",),
            group=f"a{number}",
        )
        opened = e.AlertOpened(deployment=alert.deployment, alert=alert)
        found.append(Draft(id=EventId(alert.id), at=now, actor="noria", event=opened))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--alerts", type=int, default=1000)
    count = parser.parse_args().alerts
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with tempfile.TemporaryDirectory() as folder:
        store = open_store(str(Path(folder) / "meta.db"), project="p")
        url = f"http://127.0.0.1:{server.server_address[1]}/"
        them = receivers(Notify(adapter="webhook", location=url), home=Path(folder))
        courier = Courier(lambda: store, them, clock=SystemClock())
        courier.start()
        delays = []
        for number in range(20):  # what waits for nothing but the next look at the ledger
            store.ledger.append(drafts(number, number + 1))
            begun = time.perf_counter()
            courier.wake()
            ARRIVED.acquire()
            delays.append(time.perf_counter() - begun)
        courier.stop()
        store.ledger.append(drafts(20, count))
        courier = Courier(lambda: store, them, clock=SystemClock())
        begun, cpu = time.perf_counter(), time.process_time()
        told = courier.round()
        burst, burst_cpu = time.perf_counter() - begun, time.process_time() - cpu
        cpu = time.process_time()
        for _ in range(200):
            courier.round()
        idle = (time.process_time() - cpu) / 200
        cpu = time.process_time()
        standing = len(book_of(store.ledger).standing())
        fold = time.process_time() - cpu
        left = waiting(store, them[0]).waiting
        store.close()
    result = {
        "what": "telling receivers of alerts",
        "machine": {"python": platform.python_version(), "system": platform.platform()},
        "woken_to_taken_ms": {
            "median": round(statistics.median(delays) * 1e3, 2),
            "worst": round(max(delays) * 1e3, 2),
        },
        "burst": {"told": told, "a_second": round(told / burst, 1), "cpu_ms_each": round(burst_cpu / told * 1e3, 3)},
        "idle_round_cpu_ms": round(idle * 1e3, 3),
        "fold": {"alerts": standing, "cpu_ms": round(fold * 1e3, 1)},
        "waiting_after": left,
    }
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
