"""What it costs to join predictions with their labels: of 10^6, 10^7 or 10^8 predictions on this disk, month by month, in one process. Prints JSON.

    python benchmarks/labels_join.py [--rows 1000000] [--months 12] [--folder .] [--make | --keep]

The log is made as a year of segments (as compaction leaves them) with one request a row, an input and a probability; labels come by an exponential
delay of two days, one in ten never. Making it is not counted. `join` reads every month's predictions with their labels as known at the end of the
year and scores them (log loss), `newest_month` only the last one, `first_month` the first call of a process, which reads all labels once. CPU of
this process; peak is its largest resident set.
"""

import argparse
import json
import os
import resource
import shutil
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from noria.adapters.predictions import labels as label_file
from noria.adapters.predictions import parquet
from noria.adapters.predictions.columns import STORED
from noria.adapters.predictions.segments import SegmentFolder
from noria.stats.metrics import log_loss

START = datetime(2025, 1, 1, tzinfo=UTC)
YEAR_US = 365 * 86_400 * 10**6
SEGMENT = 1_000_000
COLUMNS = ["at", "number", "label", "out.probability"]


def request_ids(place: int, rows: int) -> pl.Series:
    """Ids that look random and can be made again: 32 hexadecimal characters."""
    numbers = np.arange(place, place + rows, dtype=np.uint64)
    halves = []
    for salt in (np.uint64(0x9E3779B97F4A7C15), np.uint64(0xC2B2AE3D27D4EB4F)):
        mixed = (numbers + np.uint64(1)) * salt
        mixed ^= mixed >> np.uint64(29)
        mixed *= np.uint64(0xBF58476D1CE4E5B9)
        mixed ^= mixed >> np.uint64(32)
        halves.append(mixed)
    raw = np.stack(halves, axis=1).astype(">u8").tobytes().hex()
    return pl.Series("request_id", ["r" + raw[n : n + 32] for n in range(0, len(raw), 32)])


def write(folder: Path, rows: int, labelled: float) -> int:
    """Segments of predictions and of labels; gives the bytes on the disk."""
    log, book = SegmentFolder(folder / "flights" / "segments"), SegmentFolder(folder / "flights" / "labels")
    (folder / "flights" / "journal").mkdir(parents=True)
    written = int(START.timestamp() * 1e9)
    for place in range(0, rows, SEGMENT):
        size = min(SEGMENT, rows - place)
        dice = np.random.default_rng(place)
        at = (np.arange(place, place + size) * (YEAR_US / rows)).astype(np.int64) + int(START.timestamp() * 1e6)
        p = dice.uniform(0.02, 0.6, size)
        ids = request_ids(place, size)
        log.write(f"w-{place}", _predictions(ids, at, p), time_column="at")
        kept = dice.random(size) < labelled
        names = ids.filter(pl.Series(kept)) + ".0"
        table = pl.DataFrame(
            {
                "prediction_id": names,
                "value": (dice.random(size) < p)[kept].astype(float),
                "at": pl.Series(at[kept] + dice.exponential(2 * 86_400e6, int(kept.sum())).astype(np.int64)).cast(
                    STORED["at"]
                ),
                "source": pl.Series(["label"]).new_from_index(0, names.len()),
                "corrects": pl.Series([False]).new_from_index(0, names.len()),
                "effective": pl.Series([True]).new_from_index(0, names.len()),
                "_written": np.arange(place, place + names.len()) + written,
            }
        )
        book.write(f"labels-{place}", table.select(*label_file.SCHEMA, "_written"), time_column="at")
    return sum(path.stat().st_size for path in folder.rglob("*.parquet"))


def _predictions(ids: pl.Series, at: np.ndarray, p: np.ndarray) -> pl.DataFrame:
    size = ids.len()
    constants: dict[str, Any] = {
        "row": 0, "key": None, "deployment": "flights", "variant": "champion", "model": "delay", "number": 1, "generation": 1,
        "rollout": None, "latency_us": 140, "protocol": "v2", "sampled": 1.0, "redacted": None, "_bundle": "blake3:0", "_written": 0,
        "_layout": '[["distance"],["probability"]]', "_exact": None,
    }  # fmt: skip
    frame = pl.DataFrame({"request_id": ids, "at": pl.Series(at).cast(STORED["at"])})
    return (
        (
            frame.with_columns(*[pl.lit(value, STORED[name]).alias(name) for name, value in constants.items()])
            .select(*STORED)
            .with_columns(pl.Series("in.distance", np.round(p * 1000)), pl.Series("out.probability", p))
            .sort(["at", "request_id", "row"])
        )
        if size
        else frame
    )


def spent(work: Callable[[], Any]) -> tuple[dict[str, float], Any]:
    wall, cpu = time.perf_counter(), time.process_time()
    result = work()
    return {"wall_s": round(time.perf_counter() - wall, 2), "cpu_s": round(time.process_time() - cpu, 2)}, result


def main() -> int:
    options = argparse.ArgumentParser()
    options.add_argument("--rows", type=int, default=1_000_000)
    options.add_argument("--labelled", type=float, default=0.9)
    options.add_argument("--folder", type=Path, default=Path("."))
    options.add_argument("--months", type=int, default=12)
    options.add_argument("--joined", type=int, default=0, help="join only so many of the months (default: all)")
    options.add_argument("--make", action="store_true", help="make the log, keep it and stop")
    options.add_argument("--keep", action="store_true", help="leave the log where it is, and use it if it is there")
    given = options.parse_args()
    folder = (
        given.folder / f"labels-join-{given.rows}"
        if given.keep or given.make
        else Path(tempfile.mkdtemp(dir=given.folder))
    )
    made = folder / "flights"
    size = (
        sum(path.stat().st_size for path in folder.rglob("*.parquet"))
        if made.is_dir()
        else write(folder, given.rows, given.labelled)
    )
    if given.make:
        return 0
    edges = [START + timedelta(days=365 * month / given.months) for month in range(given.months + 1)]
    store = parquet.open_store(str(folder))

    def month(since: datetime, until: datetime) -> tuple[int, int, float]:
        rows = pl.DataFrame(store.joined("flights", known_by=edges[-1], since=since, until=until, columns=COLUMNS))
        known = rows.filter(pl.col("label").is_not_null())
        return rows.height, known.height, log_loss(known["label"].to_numpy(), known["out.probability"].to_numpy())

    first, _ = spent(lambda: month(edges[0], edges[1]))
    whole, found = spent(lambda: [month(a, b) for a, b in list(pairwise(edges))[: given.joined or None]])
    newest, _ = spent(lambda: month(edges[-2], edges[-1]))
    told = {
        "rows": given.rows,
        "labelled": sum(known for _, known, _ in found),
        "bytes_per_prediction_with_label": round(size / given.rows, 1),
        "first_month": first,
        "join": whole,
        "joined": (joined := sum(rows for rows, _, _ in found)),
        "rows_per_cpu_s": round(joined / whole["cpu_s"]),
        "newest_month": newest,
        "peak_gb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2),
        "log_loss_of_months": [round(loss, 4) for _, _, loss in found],
        "load_average": os.getloadavg()[0],
    }
    assert given.joined or joined == given.rows
    if not given.keep:
        shutil.rmtree(folder)
    print(json.dumps(told, indent=1))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
