"""What a prediction costs from the worker to the yearly table: journal, compaction, scan of a day, join of a year, one prediction. Prints JSON.

    python benchmarks/prediction_log.py [--days 300] [--rows 1000] [--folder .]

Requests have one row of 35 inputs (25 floats, 5 whole numbers, 5 texts) and two outputs. `us` and `ms` are the best of several; CPU of this process.
"""

import argparse
import json
import random
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from noria.adapters.predictions import journal, parquet
from noria.domain.ids import Digest
from noria.domain.prediction import GroundTruth, PredictionRecord, Scalar

START = datetime(2013, 1, 1, tzinfo=UTC)
CARRIERS = ["UA", "AA", "DL", "B6"]


def a_day(day: int, rows: int, source: random.Random) -> list[PredictionRecord]:
    def value(column: int) -> Scalar:
        if column < 25:
            return source.random()
        return source.randint(0, 1000) if column < 30 else source.choice(CARRIERS)

    return [
        PredictionRecord(
            request_id=f"r{source.getrandbits(128):032x}",
            deployment="flights",
            variant="challenger" if row % 5 == 0 else "champion",
            model="delay",
            number=2 if row % 5 == 0 else 1,
            bundle=Digest("blake3:" + "0" * 64),
            generation=3,
            at=START + timedelta(days=day, seconds=row * 86_400 / rows),
            latency_us=140,
            protocol="oip",
            rows=1,
            inputs={f"feature_{column:02d}": [value(column)] for column in range(35)},
            outputs={"label": [source.randint(0, 1)], "probability": [source.random()]},
        )
        for row in range(rows)
    ]


def timed(work: Callable[[], Any], times: int = 1) -> dict[str, float]:
    """Best wall and CPU milliseconds."""
    spent = []
    for _ in range(times):
        wall, cpu = time.perf_counter(), time.process_time()
        work()
        spent.append((time.perf_counter() - wall, time.process_time() - cpu))
    return {"wall_ms": round(min(spent)[0] * 1e3, 2), "cpu_ms": round(min(cpu for _, cpu in spent) * 1e3, 2)}


def journal_cost(folder: Path, records: list[PredictionRecord]) -> dict[str, float]:
    """CPU us a record by size of the batch."""
    cost = {}
    for size in (1, 10, 100, 1000):
        writer = journal.open_writer(str(folder / f"batch{size}"), deployment="flights", name="w")
        batches = [records[start : start + size] for start in range(0, len(records), size)]
        cost[f"batch_{size}_cpu_us"] = round(min(_cpu(writer, batches) for _ in range(5)) / len(records) * 1e6, 2)
        writer.close()
    return cost


def _cpu(writer: journal.JournalWriter, batches: list[list[PredictionRecord]]) -> float:
    begun = time.process_time()
    for batch in batches:
        writer.write(batch)
    return time.process_time() - begun


def one_compaction(folder: Path, days: list[list[PredictionRecord]]) -> dict[str, float]:
    """All days as one worker's journals, turned into segments at once."""
    writer = journal.open_writer(str(folder), deployment="flights", name="w")
    for day in days:
        for start in range(0, len(day), 100):
            writer.write(day[start : start + 100])
    writer.close()
    return timed(lambda: parquet.open_store(str(folder)).compact("flights"))


def a_year(folder: Path, days: list[list[PredictionRecord]], source: random.Random) -> dict[str, Any]:
    """Day by day: write, compact, label. Then the questions."""
    log = parquet.open_store(str(folder))
    compacting, labelling = [], []
    for records in days:
        writer = log.writer("flights", name="w")
        for start in range(0, len(records), 100):
            writer.write(records[start : start + 100])
        writer.close()
        compacting.append(timed(lambda: log.compact("flights")))
        truths = [
            GroundTruth(
                prediction_id=r.prediction_id(0), value=float(source.random() < 0.3), at=r.at + timedelta(hours=3)
            )
            for r in records
        ]
        labelling.append(timed(lambda truths=truths: log.add_labels("flights", truths)))
    middle, end = START + timedelta(days=len(days) // 2), START + timedelta(days=len(days) + 1)
    day = {"since": middle, "until": middle + timedelta(days=1)}
    wanted = days[len(days) // 2][7].prediction_id(0)
    return {
        "compact_a_day": _middle(compacting),
        "add_labels_a_day": _middle(labelling),
        "scan_a_day": timed(lambda: log.scan("flights", **day), 5),
        "joined_a_day": timed(lambda: log.joined("flights", known_by=end, **day), 5),
        "joined_all": timed(lambda: log.joined("flights", known_by=end), 5),
        "get": timed(lambda: log.get(wanted), 5),
        "scan_a_day_in_a_new_process": timed(lambda: parquet.open_store(str(folder)).scan("flights", **day)),
        "joined_all_in_a_new_process": timed(lambda: parquet.open_store(str(folder)).joined("flights", known_by=end)),
        "segments": len(list((folder / "flights" / "segments").iterdir())),
        "bytes": sum(file.stat().st_size for file in (folder / "flights").rglob("*") if file.is_file()),
    }


def _middle(spent: list[dict[str, float]]) -> dict[str, float]:
    return {key: sorted(one[key] for one in spent)[len(spent) // 2] for key in spent[0]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--days", type=int, default=300)
    parser.add_argument("--rows", type=int, default=1000, help="requests a day")
    parser.add_argument("--folder", default=None, help="where to write (default: the system's temporary folder)")
    given = parser.parse_args()
    source = random.Random(0)
    days = [a_day(day, given.rows, source) for day in range(given.days)]
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        found = {
            "rows": given.days * given.rows,
            "journal": journal_cost(Path(folder) / "journal", [r for day in days[:5] for r in day]),
            "compact_all": one_compaction(Path(folder) / "once", days),
            "year": a_year(Path(folder) / "year", days, source),
        }
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
