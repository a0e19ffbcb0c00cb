"""What the pipeline costs beside the work: a re-run of 1,000 finished steps, and one step journalled and committed, against a bare loop.

    python benchmarks/cached_steps.py [--steps 1000] [--repeats 7] [--folder .]

Budgets: 1,000 cached steps < 0.1 s; a step < 5 ms with fsync. The journal is SQLite (WAL, synchronous=FULL), results are files, both under --folder;
the bare loop calls the same function and keeps nothing. A run is measured whole, with a fresh plan. Beside the steps stands the disk's own price:
one small file written, synced and renamed, which a committed step pays once for its result and once or twice more inside of SQLite. Prints JSON.
"""

import argparse
import json
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from noria.adapters.blobs.local import open_store as open_blobs
from noria.adapters.executors.inline import open_executor
from noria.adapters.metadata.sqlite import open_store as open_metadata
from noria.domain.ids import digest_of
from noria.pipeline.declare import Pipeline, Step, pipeline
from noria.pipeline.run import PipelineRun, run_pipeline


class Now:
    def now(self) -> datetime:
        return datetime.now(UTC)


def plus_one(value: int) -> int:
    return value + 1


def a_chain(steps: int) -> Pipeline:
    return pipeline(
        "chain",
        *(Step(function=plus_one, name=f"s{i}", needs={"value": f"s{i - 1}" if i else "start"}) for i in range(steps)),
    )


def a_fan(steps: int) -> Pipeline:
    return pipeline("fan", *(Step(function=plus_one, name=f"s{i}", params={"value": i}) for i in range(steps)))


def measure(work: Callable[[int], object], repeats: int, *, per: int = 1) -> dict[str, Any]:
    """Wall and CPU seconds of `work(repeat)`, divided by `per`."""
    wall, cpu = [], []
    for repeat in range(repeats):
        w, c = time.perf_counter(), time.process_time()
        work(repeat)
        wall.append((time.perf_counter() - w) / per)
        cpu.append((time.process_time() - c) / per)
    return {
        kind: {"min": min(taken), "median": statistics.median(taken), "max": max(taken)}
        for kind, taken in (("wall_s", wall), ("cpu_s", cpu))
    } | {"repeats": repeats}


def synced_file(folder: Path) -> Callable[[int], None]:
    def write(repeat: int) -> None:
        path = folder / f"probe-{repeat}"
        with path.open("wb") as file:
            file.write(b"x" * 100)
            file.flush()
            os.fsync(file.fileno())
        path.rename(folder / f"probed-{repeat}")

    return write


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--folder", default=".")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        metadata = open_metadata(str(folder / "meta.db"), project="bench")
        blobs, executor = open_blobs(str(folder / "blobs")), open_executor(workers=1)

        def run(flow: Pipeline, start: int | None = 0) -> PipelineRun:
            return run_pipeline(
                flow,
                journal=metadata.journal,
                blobs=blobs,
                executor=executor,
                clock=Now(),
                holder="bench",
                environment=digest_of(b"bench"),
                inputs={} if start is None else {"start": start},
            )

        def loop(repeat: int) -> None:
            value = repeat
            for _ in range(options.steps):
                value = plus_one(value)

        chain, fan, few = a_chain(options.steps), a_fan(options.steps), 50
        assert run(chain).ran == options.steps
        assert run(fan, None).ran == options.steps
        assert run(chain).cached == options.steps
        figures = {
            "cached_chain": measure(lambda _: run(chain), options.repeats),
            "cached_fan": measure(lambda _: run(fan, None), options.repeats),
            "one_step_committed_in_a_chain": measure(
                lambda r: run(a_chain(few), 10**6 * (r + 1)), options.repeats, per=few
            ),
            "bare_loop": measure(loop, options.repeats),
            "one_synced_file": measure(synced_file(folder), 30),
        }
        metadata.close()
    print(
        json.dumps(
            {
                "benchmark": "cached_steps",
                "steps": options.steps,
                "python": platform.python_version(),
                "cpus": os.cpu_count(),
                "load": os.getloadavg()[0],
                "figures": figures,
            },
            indent=2,
        )
    )


if __name__ == "__main__":
    main()
