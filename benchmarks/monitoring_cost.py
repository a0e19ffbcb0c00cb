"""What monitoring costs: one comparison of 100,000 x 50 rows, a million predictions counted, import and installation; peers from their own packages.

    python benchmarks/monitoring_cost.py [--rows 100000] [--repeats 3] [--peers-root DIR] [--out FILE]

DIR/<noria|evidently|nannyml|alibi> are venvs; in `noria`'s are numpy and Noria's own dependencies, Noria itself comes from this tree. CPU seconds
of one process, BLAS and OpenMP on one thread; the tables are loaded before the clock starts. Truth: 3 of 50 columns moved by 0.3 sd.
"""

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent / "clients"))

import monitoring_stream
import msgspec
import numpy as np

from noria.domain.ids import digest_of
from noria.monitoring.drift import watch
from noria.monitoring.profile import build_profile, windows
from noria.testing.streams import Change, Stream
from noria.testing.streams_worlds import Table

HERE = Path(__file__).resolve().parent
TOOLS = ("noria", "evidently", "nannyml", "alibi")
THREADS = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")


def main() -> None:
    options = _options()
    document: dict[str, Any] = {
        "benchmark": "monitoring_cost",
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {"python": platform.python_version(), "cpus": os.cpu_count(), "load": os.getloadavg()},
        "rows": options.rows,
        "million_predictions": million(options.rows),
    }
    if options.peers_root:
        document["comparison"] = compared(Path(options.peers_root).resolve(), options)
    text = json.dumps(document, indent=1)
    print(text)
    if options.out:
        Path(options.out).write_text(text + "\n", encoding="utf-8")


def tables(rows: int) -> Stream:
    change = Change(kind="shift", window=0, size=0.3, columns=("x0", "x4", "x1"))
    return Stream(world=Table(), seed=0, rows=rows, reference=1, windows=1, changes=(change,))


def million(rows: int) -> dict[str, Any]:
    """Predictions of 50 inputs in minutes of 1,000: CPU to count and to judge, bytes of their counts; scaled to a million."""
    stream = tables(rows)
    history, current = stream.history(), stream.window(0)
    scores = stream.world.believes(history.columns)
    blocks = np.arange(rows) * 40 // rows
    since, until = stream.span(-1)
    profile = build_profile(history.columns, scores, labels=history.labels, blocks=blocks, since=since, until=until)
    answers = stream.world.believes(current.columns)
    minutes = rows // 1000
    moments = int(until.timestamp() * 1e6) + np.arange(rows) * minutes * 60_000_000 // rows
    end = until + timedelta(minutes=minutes)
    begun = time.process_time()
    counted = windows(
        profile,
        current.columns,
        answers,
        at=moments,
        step=60,
        until=end,
        deployment="d",
        number=1,
        profile_digest=digest_of(b"p"),
    )
    counting = time.process_time() - begun
    eyes = watch(profile)
    state, begun = eyes.begin(), time.process_time()
    for each in counted:
        state = eyes.step(state, each.counts, at=each.since)
    judging = time.process_time() - begun
    size = sum(len(msgspec.msgpack.encode([list(each.counts.values())])) for each in counted)
    per = 1_000_000 / rows
    return {
        "minutes": len(counted),
        "rows_a_minute": 1000,
        "features": len(profile.features),
        "count_cpu_s": round(counting * per, 2),
        "judge_cpu_s": round(judging * per, 2),
        "judge_ms_a_step": round(1000 * judging / max(1, len(counted)), 3),
        "mb_of_counts_as_msgpack": round(size * per / 1e6, 2),
        "mb_of_rows_as_float64": round(1e6 * len(profile.features) * 8 / 1e6, 1),
    }


def compared(root: Path, options: Any) -> dict[str, Any]:
    """Each tool in turns, so that what else runs on the machine hits all alike."""
    folder = Path(tempfile.mkdtemp(prefix="noria-cost-"))
    try:
        stream = tables(options.rows)
        monitoring_stream.save(folder / "reference.npz", stream.history().columns)
        monitoring_stream.save(folder / "current.npz", stream.window(0).columns)
        runs: dict[str, list[dict[str, Any]]] = {tool: [] for tool in TOOLS}
        for _ in range(options.repeats):
            for tool in TOOLS:
                runs[tool].append(one(root, tool, folder))
        return {tool: {**installed(root, tool), **_middle(runs[tool])} for tool in TOOLS}
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def one(root: Path, tool: str, folder: Path) -> dict[str, Any]:
    environment = {**os.environ, **THREADS, "PYTHONWARNINGS": "ignore"}
    if tool == "noria":
        environment["PYTHONPATH"] = str(HERE.parent / "src")
    command = [str(root / tool / "bin" / "python"), str(HERE / "clients" / "monitoring_cost_of.py"), tool, str(folder)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=600, env=environment, check=False)
    except (subprocess.TimeoutExpired, OSError) as error:
        return {"problem": f"{type(error).__name__}"}
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    return dict(json.loads(lines[-1])) if lines else {"problem": done.stderr.strip()[-300:]}


def _middle(runs: list[dict[str, Any]]) -> dict[str, Any]:
    good = [run for run in runs if "problem" not in run]
    if not good:
        return {"problem": runs[0]["problem"]}
    return {"runs": len(good), **{key: round(statistics.median(run[key] for run in good), 3) for key in good[0]}}


def installed(root: Path, tool: str) -> dict[str, Any]:
    """Bytes and packages that the tool brings, without pip and setuptools."""
    places = list((root / tool / "lib").glob("python3.*/site-packages"))
    if not places:
        return {}
    tops = [p for p in places[0].iterdir() if not p.name.startswith(("pip", "setuptools", "__pycache__"))]
    files = [
        f for top in tops for f in ([top] if top.is_file() else top.rglob("*")) if f.is_file() and f.suffix != ".pyc"
    ]
    size, packages = sum(f.stat().st_size for f in files), sum(top.name.endswith(".dist-info") for top in tops)
    if tool == "noria":
        own = [f for f in (HERE.parent / "src" / "noria").rglob("*") if f.is_file() and f.suffix != ".pyc"]
        size, packages = size + sum(f.stat().st_size for f in own), packages + 1
    return {"installed_mb": round(size / 1e6), "packages": packages}


def _options() -> Any:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--peers-root", default="")
    parser.add_argument("--out", default="")
    return parser.parse_args()


if __name__ == "__main__":
    main()
