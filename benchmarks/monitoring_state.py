"""What watching's state costs: counting a minute, its bytes, looks of many deployments, a year opened, late rows, sketches.

Budgets: a minute of 50 features <= 5 ms; 1,000 deployments of 50 features a minute on 2 cores (120 s of CPU); a year opened in < 1 s.
Run: python benchmarks/monitoring_state.py [--deployments 40] [--out FILE]. Prints one JSON object. CPU seconds of one thread, best and median.
Stores are real: SQLite with fsync, Parquet segments and journals in a temporary folder.
"""

import argparse
import json
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import numpy as np

import noria
from noria.app.settings import Settings
from noria.domain.bundle import Bundle, Environment
from noria.domain.deployment import Deployment, Variant
from noria.domain.ids import Digest, EventId, RunId, digest_of
from noria.domain.model import ModelVersion, SemanticVersion, Signature
from noria.domain.prediction import PredictionRecord
from noria.domain.profile import ReferenceProfile, WindowCounts
from noria.loop.context import Recipe
from noria.loop.stages.watch_counts import count_served, drift_of
from noria.loop.stages.watch_findings import findings_of
from noria.monitoring.data_quality import check_window
from noria.monitoring.drift import Budget, detect, watch
from noria.monitoring.profile import build_profile, window
from noria.stats.kll import EMPTY
from noria.wire.canonical import canonical
from noria.wire.nouns import pack

NUMBERS, TEXTS = 40, 10
MONDAY = datetime(2026, 1, 5, tzinfo=UTC)
Table = dict[str, np.ndarray]


def a_table(rng: np.random.Generator, rows: int) -> Table:
    columns: Table = {f"x{i}": rng.standard_normal(rows).astype(np.float32) for i in range(NUMBERS)}
    for i in range(TEXTS):
        levels = np.array([f"value-{v}" for v in range(2 + 20 * i)], dtype=object)
        columns[f"t{i}"] = levels[np.minimum(rng.geometric(0.2, rows) - 1, levels.size - 1)]
    return columns


def a_profile(rng: np.random.Generator, rows: int = 50_000) -> ReferenceProfile:
    scores = rng.beta(2, 5, rows)
    return build_profile(
        a_table(rng, rows),
        scores,
        labels=(rng.uniform(size=rows) < scores).astype(float),
        blocks=np.arange(rows) * 60 // rows,
        since=MONDAY - timedelta(days=60),
        until=MONDAY,
    )


def cpu(work: Callable[[], object], repeats: int = 15) -> dict[str, float]:
    taken = []
    for _ in range(repeats):
        begun = time.process_time()
        work()
        taken.append((time.process_time() - begun) * 1e3)
    return {"best_ms": round(min(taken), 3), "median_ms": round(statistics.median(taken), 3), "repeats": repeats}


def a_window(profile: ReferenceProfile, rng: np.random.Generator, rows: int, *, step: int = 60) -> WindowCounts:
    return window(
        profile,
        a_table(rng, rows),
        rng.beta(2, 5, rows),
        deployment="d",
        number=1,
        profile_digest=digest_of(b"p"),
        since=MONDAY,
        until=MONDAY + timedelta(seconds=step),
        step=step,
    )


def of_a_minute(profile: ReferenceProfile, rng: np.random.Generator) -> dict[str, object]:
    """Counting, the drift step, the checks, and the bytes."""
    found: dict[str, object] = {}
    eyes = watch(profile, budget=Budget(windows=365))
    for rows in (60, 1000, 6000):
        table, scores = a_table(rng, rows), rng.beta(2, 5, rows)
        made = a_window(profile, rng, rows)

        def counted(table: Table = table, scores: np.ndarray = scores) -> WindowCounts:
            return window(
                profile,
                table,
                scores,
                deployment="d",
                number=1,
                profile_digest=digest_of(b"p"),
                since=MONDAY,
                until=MONDAY,
                step=60,
            )

        state = eyes.begin()
        found[f"{rows} rows"] = {
            "count": cpu(counted),
            "drift_step": cpu(lambda made=made, state=state: eyes.step(state, made.counts, at=made.since)),
            "checks": cpu(lambda made=made: check_window(profile, made)),
            "bytes_stored": len(pack(made)),
            "bytes_per_million_rows": round(len(pack(made)) * 1e6 / rows),
        }
    return found


class Rig:
    """Deployments on real stores, asked each minute."""

    def __init__(self, home: Path, profile: ReferenceProfile, deployments: int) -> None:
        self.workspace = noria.Workspace(Settings(project="state"), home)
        blobs = self.workspace.blobs
        manifest = Bundle(
            model="m",
            run_id=RunId("r"),
            flavor="onnx",
            code_free=True,
            signature=Signature(inputs=(), outputs=()),
            files=(),
            environment=Environment(python="3", platform="", packages={}),
            created_at=MONDAY,
            profile=Digest(blobs.put(canonical(profile))),
        )
        bundle = Digest(blobs.put(canonical(manifest)))
        version = ModelVersion(
            model="m",
            number=1,
            version=SemanticVersion(major=1, minor=0, patch=0),
            version_reason="",
            run_id=None,
            bundle=bundle,
            flavor="onnx",
            signature=None,
            created_at=MONDAY,
        )
        self.workspace.models.register(version)
        self.profile = profile
        self.champion = Variant(name="champion", model="m", number=1, version="1.0.0", bundle=bundle, weight=1.0)
        self.names = [f"d{i}" for i in range(deployments)]
        self.recipes = [
            Recipe(
                deployment=name,
                model="m",
                base=Digest("blake3:0"),
                schema=noria.Schema(columns=()),
                features=tuple(f.name for f in profile.features if f.name != "prediction"),
                candidates={},
                gates=(),
            )
            for name in self.names
        ]
        for name in self.names:
            self.workspace.deployments.put(
                Deployment(
                    name=name,
                    model="m",
                    generation=1,
                    variants=(self.champion,),
                    updated_at=MONDAY,
                    cause=EventId(name),
                )
            )
        self.context = noria.Loop(self.workspace, self.recipes, tell=False).context
        self.writers = {name: self.workspace.predictions.writer(name, name="w") for name in self.names}
        self._asked = 0

    def ask(self, name: str, rng: np.random.Generator, rows: int, at: datetime) -> None:
        self._asked += 1
        table = {k: v.tolist() for k, v in a_table(rng, rows).items()}
        record = PredictionRecord(
            request_id=f"r{self._asked:032x}",
            deployment=name,
            variant="champion",
            model="m",
            number=1,
            bundle=self.champion.bundle,
            generation=1,
            at=at,
            latency_us=100,
            protocol="v2",
            rows=rows,
            inputs=table,
            outputs={"probability": rng.beta(2, 5, rows).tolist()},
        )
        self.writers[name].write([record])

    def look(self, recipe: Recipe, now: datetime) -> None:
        counted = count_served(self.context, recipe, now=now)
        drift_of(self.context, recipe, self.champion, self.profile, since=MONDAY)
        findings_of(self.context, recipe, self.champion, self.profile, counted, since=MONDAY, now=now)


def of_many(profile: ReferenceProfile, rng: np.random.Generator, deployments: int, minutes: int) -> dict[str, object]:
    """Looks at many deployments, a minute of 60 rows each, after some hours have passed."""
    with tempfile.TemporaryDirectory() as folder:
        rig = Rig(Path(folder), profile, deployments)
        for name in rig.names:  # some hours that were counted before
            for minute in range(0, 180, 5):
                rig.ask(name, rng, 60, MONDAY + timedelta(minutes=minute, seconds=30))
        for recipe in rig.recipes:
            rig.look(recipe, MONDAY + timedelta(minutes=180))
        taken, wall = [], []
        for minute in range(180, 180 + minutes):
            for name in rig.names:
                rig.ask(name, rng, 60, MONDAY + timedelta(minutes=minute, seconds=30))
            begun, clock = time.process_time(), time.perf_counter()
            for recipe in rig.recipes:
                rig.look(recipe, MONDAY + timedelta(minutes=minute + 1))
            taken.append((time.process_time() - begun) / deployments)
            wall.append((time.perf_counter() - clock) / deployments)
        for name in rig.names[:3]:
            rig.ask(name, rng, 60, MONDAY + timedelta(minutes=20, seconds=45))
        begun = time.process_time()
        for recipe in rig.recipes[:3]:
            rig.look(recipe, MONDAY + timedelta(minutes=181 + minutes))
        late_cpu = (time.process_time() - begun) / 3
        for writer in rig.writers.values():
            writer.close()
        rig.workspace.close()
    per_look = statistics.median(taken)
    return {
        "deployments": deployments,
        "rows_a_minute": 60,
        "cpu_ms_a_look": round(per_look * 1e3, 2),
        "wall_ms_a_look": round(statistics.median(wall) * 1e3, 2),
        "cpu_s_for_1000_deployments_a_minute": round(per_look * 1000, 1),
        "share_of_2_cores": round(per_look * 1000 / 120, 3),
        "cpu_s_per_million_predictions": round(per_look / 60 * 1e6, 1),
        "cpu_ms_a_look_with_late_rows": round(late_cpu * 1e3, 2),
    }


def of_a_year(profile: ReferenceProfile, rng: np.random.Generator) -> dict[str, object]:
    """365 days, 60 days of hours and 8 days of minutes in SQLite: written once, opened by a process that knows nothing of it."""
    with tempfile.TemporaryDirectory() as folder:
        workspace = noria.Workspace(Settings(project="year"), Path(folder))
        base = a_window(profile, rng, 6000, step=86400)

        def put(step: int, count: int) -> int:
            first = MONDAY + timedelta(days=365) - timedelta(seconds=step * count)
            made = [
                msgspec.structs.replace(
                    base,
                    step=step,
                    since=first + timedelta(seconds=step * i),
                    until=first + timedelta(seconds=step * (i + 1)),
                )
                for i in range(count)
            ]
            workspace.counts.put(made)
            return len(made)

        windows = put(86400, 365) + put(3600, 60 * 24) + put(60, 8 * 1440)
        workspace.close()
        size = sum(file.stat().st_size for file in Path(folder).rglob("meta.db*"))
        begun, clock = time.process_time(), time.perf_counter()
        opened = noria.Workspace(Settings(project="year"), Path(folder))
        days = opened.counts.windows("d", 1, step=86400)
        read = time.perf_counter() - clock
        detect(profile, days, budget=Budget(windows=365))
        result = {
            "windows": windows,
            "store_mb": round(size / 1e6, 1),
            "days_read": len(days),
            "open_and_read_wall_s": round(read, 3),
            "open_read_and_judge_wall_s": round(time.perf_counter() - clock, 3),
            "open_read_and_judge_cpu_s": round(time.process_time() - begun, 3),
        }
        opened.close()
    return result


def of_sketches(rng: np.random.Generator) -> dict[str, object]:
    """The own KLL beside Apache DataSketches, if that is installed here."""
    found: dict[str, object] = {}
    shares = np.linspace(0.02, 0.98, 49)
    for rows in (60, 1000, 6000, 100_000):
        values = rng.normal(size=rows)
        sketch = EMPTY.add(values)
        own = {"cpu": cpu(lambda values=values: EMPTY.add(values)), "bytes": len(sketch.pack())}
        own["rank_error"] = round(_rank_error(values, sketch.quantile(shares), shares), 5)
        found[f"own, {rows} rows"] = own
        try:
            from datasketches import kll_doubles_sketch
        except ImportError:
            found["datasketches"] = "not installed here: pip install datasketches"
            continue

        def peer(values: np.ndarray = values) -> object:
            made = kll_doubles_sketch(200)
            made.update(values)
            return made

        other = peer()
        found[f"datasketches, {rows} rows"] = {
            "cpu": cpu(peer),
            "bytes": len(other.serialize()),
            "rank_error": round(_rank_error(values, np.array(other.get_quantiles(shares)), shares), 5),
        }
    return found


def _rank_error(values: np.ndarray, got: np.ndarray, shares: np.ndarray) -> float:
    ordered = np.sort(values)
    low, high = np.searchsorted(ordered, got, "left"), np.searchsorted(ordered, got, "right")
    return float(np.maximum(np.maximum(low / values.size - shares, shares - high / values.size), 0).max())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--deployments", type=int, default=40)
    parser.add_argument("--minutes", type=int, default=5)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    rng = np.random.default_rng(0)
    profile = a_profile(rng)
    result = {
        "what": "state of watching, 40 numbers and 10 texts",
        "python": platform.python_version(),
        "numpy": np.__version__,
        "cores": os.cpu_count(),
        "load_average": round(os.getloadavg()[0], 1),
        "profile_bytes": len(canonical(profile)),
        "minute": of_a_minute(profile, rng),
        "many": of_many(profile, rng, given.deployments, given.minutes),
        "year": of_a_year(profile, rng),
        "sketches": of_sketches(rng),
    }
    text = json.dumps(result, indent=2)
    if given.out:
        given.out.write_text(text + "\n", encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
