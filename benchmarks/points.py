"""What metric points cost as their number grows: CPU a call, bytes a point, a chart, a page and a history. Prints JSON.

    python benchmarks/points.py [--most 1e7] [--keys 10] [--folder .] [--location postgresql://...]

A run's `keys` series get random walks with steps and times of milliseconds, a batch of 1000 points of one key a call, until `most` points are there;
at every power of ten the calls are measured. `--most 1e8` takes some minutes and 1 GB. `bytes a point` is the store's size over its points (SQLite).
CPU is that of the whole process, the commit (and its fsync) included.
"""

import argparse
import json
import lzma
import math
import tempfile
import time
import zlib
from array import array
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from importlib import import_module
from operator import xor
from pathlib import Path
from random import Random
from typing import Any

from noria.domain.ids import RunId
from noria.domain.run import Metric, Run
from noria.ports.metadata import Metadata
from noria.wire import points as wire

BATCH = 1000
START = datetime(2026, 1, 1, tzinfo=UTC)
SHAPES: dict[str, Callable[[float, int], float]] = {
    "random walk, doubles": lambda value, _: value,
    "random walk, as float32": lambda value, _: array("f", [value])[0],
    "random walk, 4 decimals": lambda value, _: round(value, 4),
    "learning rate by cosine": lambda _, step: 0.0005 * (1 + math.cos(step / 3000)),
    "constant": lambda *_: 0.001,
}


def a_curve(count: int, *, key: str = "loss", first: int = 0, seed: int = 0, shape: Any = None) -> list[Metric]:
    """Some points of a training: a step about every tenth of a second."""
    chance, value = Random(seed), 2.5
    points = []
    for step in range(first, first + count):
        value += chance.gauss(0, 0.01)
        at = START + timedelta(milliseconds=step * 100 + chance.randint(0, 60))
        points.append(Metric(key=key, value=shape(value, step) if shape else value, step=step, at=at))
    return points


def batches(keys: int) -> Iterator[list[Metric]]:
    """Batches without end, one key after the other."""
    number = 0
    while True:
        yield a_curve(BATCH, key=f"k{number % keys}", first=number // keys * BATCH, seed=number)
        number += 1


def cost(call: Callable[[], object], *, times: int = 5) -> dict[str, float]:
    """Median time and mean CPU time of a call, in ms."""
    waits, cpu = [], time.process_time()
    for _ in range(times):
        began = time.perf_counter()
        call()
        waits.append(time.perf_counter() - began)
    cpu = time.process_time() - cpu
    return {"ms": round(sorted(waits)[times // 2] * 1e3, 2), "cpu_ms": round(cpu / times * 1e3, 2)}


def calls(store: Metadata, source: Iterator[list[Metric]], *, total: int, keys: int) -> dict[str, Any]:
    """Each kind of call on a store of `total` points."""
    run, series, each = RunId("r"), store.series, total // keys
    ready = [next(source) for _ in range(keys)]
    ones = [a_curve(1, key=f"single{total}", first=step) for step in range(300)]
    many = [
        [point for key in range(100) for point in a_curve(10, key=f"many{total}-{key}", first=number * 10)]
        for number in range(20)
    ]
    one, hundred = iter(ones), iter(many)
    log = iter(ready)
    found = {
        "batch of 1000, one key": cost(lambda: store.runs.log_metrics(run, next(log)), times=len(ready)),
        "the same again": cost(lambda: store.runs.log_metrics(run, ready[0]), times=5),
        "batch of 1000, 100 keys": cost(lambda: store.runs.log_metrics(run, next(hundred)), times=20),
        "1 point": cost(lambda: store.runs.log_metrics(run, next(one)), times=300),
        "chart of one series, 500 buckets": cost(lambda: series.chart(run, "k0", buckets=500)),
        "chart of 1 % of its steps": cost(
            lambda: series.chart(run, "k0", buckets=500, first_step=each // 2, last_step=each // 2 + each // 100)
        ),
        "page of 1000 points from its middle": cost(lambda: series.history(run, "k0", limit=1000, offset=each // 2)),
        "heads": cost(lambda: series.heads(run)),
    }
    if each <= 1_000_000:
        found["whole history of one series"] = cost(lambda: series.history(run, "k0"), times=2)
    return found


def size(folder: str) -> int:
    """Bytes of the store without its write-ahead log."""
    import sqlite3

    connection = sqlite3.connect(f"{folder}/meta.db")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    free = connection.execute("PRAGMA freelist_count").fetchone()[0] * 4096
    connection.close()
    return Path(folder, "meta.db").stat().st_size - int(free)


def growth(store: Metadata, folder: str | None, *, most: int, keys: int) -> dict[str, Any]:
    """From 10^4 points to `most`."""
    found: dict[str, Any] = {}
    empty = size(folder) if folder else 0
    source, total, mark = batches(keys), 0, 10_000
    while mark <= most:
        while total < mark:
            some = [next(source) for _ in range(min(50, (mark - total) // BATCH or 1))]
            for batch in some:
                store.runs.log_metrics(RunId("r"), batch)
            total += len(some) * BATCH
        entry: dict[str, Any] = {"points": total, "series": keys}
        if folder:
            held = sum(head.count for head in store.series.heads(RunId("r")))
            entry["bytes a point"] = round((size(folder) - empty) / held, 2)
        found[f"10^{len(str(mark)) - 1}"] = entry | calls(store, source, total=total, keys=keys)
        total += keys * BATCH
        mark *= 10
    return found


def shapes(store: Callable[[str], Metadata]) -> dict[str, Any]:
    """Bytes a point of a store that holds one series of 100,000 points of each shape."""
    found = {}
    for name, shape in SHAPES.items():
        with tempfile.TemporaryDirectory() as folder:
            opened = store(f"{folder}/meta.db")
            begin(opened)
            empty = size(folder)
            points = a_curve(100_000, shape=shape)
            for start in range(0, len(points), BATCH):
                opened.runs.log_metrics(RunId("r"), points[start : start + BATCH])
            found[name] = round((size(folder) - empty) / len(points), 2)
            opened.close()
    return found


def chunk_sizes() -> dict[str, Any]:
    """The codec alone: bytes a point and microseconds, by how many points share a chunk."""
    found = {}
    for count in (256, 512, 1024, 2048, 4096):
        points = [(p.step, 1_700_000_000_000_000 + p.step * 100_000, wire.bits([p.value])[0]) for p in a_curve(count)]
        chunk = wire.pack_points(points)
        found[count] = {
            "bytes a point, body": round(len(chunk.body) / count, 2),
            "bytes a point, blocks": round(len(chunk.blocks) / count, 2),
            "pack_us": round(cost(lambda: wire.pack_points(points), times=50)["cpu_ms"] * 1e3),  # noqa: B023 - called at once
            "unpack_us": round(cost(lambda: wire.unpack_points(chunk.body, what=""), times=50)["cpu_ms"] * 1e3),  # noqa: B023
            "blocks_us": round(cost(lambda: wire.unpack_blocks(chunk.blocks, what=""), times=50)["cpu_ms"] * 1e3),  # noqa: B023
        }
    return found


def choices() -> dict[str, Any]:
    """Ways to write 1024 points that were thought of: bytes a point, and microseconds to compress them. The last line is what is done."""
    found: dict[str, Any] = {}
    for name in ("random walk, doubles", "random walk, as float32", "random walk, 4 decimals"):
        points = [
            (p.step, 1_700_000_000_000_000 + (p.at - START) // timedelta(microseconds=1), wire.bits([p.value])[0])
            for p in a_curve(1024, shape=SHAPES[name])
        ]
        steps, times, values = zip(*points, strict=True)
        columns = wire._column(steps) + wire._column(times)
        plain, crossed = (array("q", some).tobytes() for some in (values, [values[0], *map(xor, values[1:], values)]))
        by_byte = columns + b"".join(plain[place::8] for place in range(8))
        ways: dict[str, tuple[bytes, Callable[[bytes], bytes]]] = {
            "24 bytes a point, zlib 1": (
                array("q", [*steps, *times]).tobytes() + plain,
                lambda data: zlib.compress(data, 1),
            ),
            "columns, not compressed": (columns + plain, bytes),
            "columns, zlib 1": (columns + plain, lambda data: zlib.compress(data, 1)),
            "columns, values byte by byte, zlib 1": (by_byte, lambda data: zlib.compress(data, 1)),
            "columns, values byte by byte, zlib 6": (by_byte, lambda data: zlib.compress(data, 6)),
            "columns, values byte by byte, lzma": (by_byte, lzma.compress),
            "columns, XOR with the value before, byte by byte, zlib 1": (
                columns + b"".join(crossed[place::8] for place in range(8)),
                lambda data: zlib.compress(data, 1),
            ),
            "as it is done": (columns + wire._values(values), lambda data: zlib.compress(data, 1)),
        }
        found[name] = {
            way: {
                "bytes a point": round(len(pack(data)) / 1024, 2),
                "us": round(cost(partial(pack, data), times=50)["cpu_ms"] * 1e3),
            }
            for way, (data, pack) in ways.items()
        }
    return found


def begin(store: Metadata) -> None:
    """The one run."""
    store.runs.create(Run(id=RunId("r"), experiment="e", name="r", status="running", started_at=START))


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--most", type=float, default=1e7)
    options.add_argument("--keys", type=int, default=10)
    options.add_argument("--folder", default=None, help="where the store is made; the disk under it decides")
    options.add_argument("--location", default="", help="a PostgreSQL store instead, by its URL")
    given = options.parse_args()
    name = "postgres" if given.location else "sqlite"
    adapter = import_module(f"noria.adapters.metadata.{name}")

    def opened(location: str) -> Metadata:
        store: Metadata = adapter.open_store(location, project="bench")
        return store

    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        store = opened(given.location or f"{folder}/meta.db")
        begin(store)
        results: dict[str, Any] = {
            "store": name,
            "ways to write 1024 points": choices(),
            "a chunk of so many points": chunk_sizes(),
        }
        if not given.location:
            results["bytes a point by shape, 100,000 points"] = shapes(opened)
        results["growth"] = growth(store, None if given.location else folder, most=int(given.most), keys=given.keys)
        store.close()
    print(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
