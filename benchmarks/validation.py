"""39 expectations over 1,000,000 rows of 20 columns: the report, the quarantine, and the digest of the table.

    python benchmarks/validation.py [--rows 1000000] [--repeats 5]

20 not-null, 16 ranges, one set of values, one pattern, one unique key; about 750 bad rows. Budget: the report <= 0.4 s of CPU, all threads together.
Peers measured once on 2 busy cores (2026-11): pandera 0.35 on polars 0.39-0.41 s CPU and 3.8 s to import, Great Expectations 1.24 on pandas
2.84-2.86 s and 9.7 s to import. Beside it stands the bound: the same counts as one polars select written by hand. Prints JSON.
"""

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl

from noria.data.schema import infer_schema
from noria.data.validate import quarantine, validate
from noria.domain.dataset import Expectation
from noria.wire.tables import content_digest


def a_table(rows: int) -> pl.DataFrame:
    rng = np.random.default_rng(0)
    columns: dict[str, Any] = {f"f{i}": rng.normal(size=rows) for i in range(12)}
    columns |= {f"i{i}": rng.integers(0, 1000, rows) for i in range(4)}
    columns["carrier"] = rng.choice(["AA", "UA", "DL", "B6", "WN"], rows)
    columns["email"] = [f"u{i}@example.org" for i in range(rows)]
    columns["day"] = rng.integers(0, 365, rows)
    columns["id"] = np.arange(rows)
    bad = rng.random(rows) < 0.00075
    return pl.DataFrame(columns).with_columns(pl.when(pl.Series(bad)).then(99.0).otherwise(pl.col("f0")).alias("f0"))


def rules(table: pl.DataFrame) -> list[Expectation]:
    found = [Expectation(rule="not_null", column=name, severity="quarantine") for name in table.columns]
    found += [
        Expectation(rule="between", column=f"f{i}", minimum=-9, maximum=9, severity="quarantine") for i in range(12)
    ]
    found += [
        Expectation(rule="between", column=f"i{i}", minimum=0, maximum=999, severity="quarantine") for i in range(4)
    ]
    found.append(
        Expectation(rule="one_of", column="carrier", values=("AA", "UA", "DL", "B6", "WN"), severity="quarantine")
    )
    found.append(Expectation(rule="matches", column="email", pattern=r"[a-z0-9]+@[a-z.]+", severity="quarantine"))
    found.append(Expectation(rule="unique", column="id", severity="quarantine"))
    return found


def by_hand(table: pl.DataFrame) -> pl.DataFrame:
    checks = [pl.col(name).null_count().alias(f"null {name}") for name in table.columns]
    checks += [(~pl.col(f"f{i}").is_between(-9, 9)).sum().alias(f"range f{i}") for i in range(12)]
    checks += [(~pl.col(f"i{i}").is_between(0, 999)).sum().alias(f"range i{i}") for i in range(4)]
    checks.append((~pl.col("carrier").is_in(["AA", "UA", "DL", "B6", "WN"])).sum().alias("set"))
    checks.append((~pl.col("email").str.contains(r"^[a-z0-9]+@[a-z.]+$")).sum().alias("pattern"))
    checks.append((pl.len() - pl.col("id").n_unique()).alias("unique"))
    return table.lazy().select(checks).collect()


def measure(work: Callable[[], object], repeats: int) -> dict[str, Any]:
    wall, cpu = [], []
    for _ in range(repeats):
        w, c = time.perf_counter(), time.process_time()
        work()
        wall.append(time.perf_counter() - w)
        cpu.append(time.process_time() - c)
    return {
        kind: {"min": min(taken), "median": statistics.median(taken), "max": max(taken)}
        for kind, taken in (("wall_s", wall), ("cpu_s", cpu))
    } | {"repeats": repeats}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    table = a_table(options.rows)
    checks, schema = rules(table), infer_schema(table)
    warn = [Expectation(**{f: getattr(e, f) for f in e.__struct_fields__} | {"severity": "refuse"}) for e in checks]
    report = validate(table, checks)
    figures = {
        "report": measure(lambda: validate(table, warn), options.repeats),
        "report_counting_quarantine": measure(lambda: validate(table, checks), options.repeats),
        "report_and_quarantine": measure(lambda: quarantine(table, checks), options.repeats),
        "one_select_by_hand": measure(lambda: by_hand(table), options.repeats),
        "digest": measure(lambda: content_digest(table, schema), options.repeats),
    }
    print(
        json.dumps(
            {
                "benchmark": "validation",
                "rows": table.height,
                "columns": table.width,
                "checks": len(checks),
                "quarantined": report.quarantined,
                "python": platform.python_version(),
                "polars": pl.__version__,
                "cpus": os.cpu_count(),
                "load": os.getloadavg()[0],
                "figures": figures,
            },
            indent=2,
        )
    )


if __name__ == "__main__":
    main()
