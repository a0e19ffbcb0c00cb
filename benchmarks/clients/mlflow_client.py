"""The other side of tracking.py: one case a call, run by an environment with MLflow's unmodified client. Prints one line of JSON.

Cases that only seed a store run without a server: `seed-mlflow DB RUNS` in MLflow's environment, `seed-noria RUNS` in Noria's.
"""

import json
import os
import random
import sys
import tempfile
import time

PARAMS, METRICS, TAGS = 10, 10, 3


def values(number):
    """The same for both stores: params, metrics and tags of one run."""
    chance = random.Random(number)
    params = {f"p{i}": str(round(chance.random(), 4)) for i in range(PARAMS)}
    metrics = {f"m{i}": chance.random() for i in range(METRICS)}
    tags = {"team": f"team-{number % 7}", "note": f"note {number % 100}", "kind": "seeded"}
    return params, metrics, tags


def seed_mlflow(path, runs):
    import sqlite3
    import uuid

    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    SqlAlchemyStore(f"sqlite:///{path}", os.path.join(os.path.dirname(path), "mlartifacts"))
    database = sqlite3.connect(path)
    for number in range(runs):
        run, (params, metrics, tags) = uuid.uuid4().hex, values(number)
        database.execute(
            "INSERT INTO runs (run_uuid, name, source_type, source_name, entry_point_name, user_id, status, start_time, end_time, source_version,"
            " lifecycle_stage, artifact_uri, experiment_id) VALUES (?, ?, 'UNKNOWN', '', '', 'bench', 'FINISHED', ?, ?, '', 'active', ?, 0)",
            (
                run,
                f"run-{number}",
                1_700_000_000_000 + number,
                1_700_000_001_000 + number,
                f"mlflow-artifacts:/0/{run}/artifacts",
            ),
        )
        database.executemany(
            "INSERT INTO params (run_uuid, key, value) VALUES (?, ?, ?)", [(run, *p) for p in params.items()]
        )
        database.executemany(
            "INSERT INTO tags (run_uuid, key, value) VALUES (?, ?, ?)", [(run, *t) for t in tags.items()]
        )
        points = [(run, key, value, 1_700_000_000_000, 0, False) for key, value in metrics.items()]
        for table in ("metrics", "latest_metrics"):
            database.executemany(
                f"INSERT INTO {table} (run_uuid, key, value, timestamp, step, is_nan) VALUES (?, ?, ?, ?, ?, ?)", points
            )
    database.commit()
    database.close()


def seed_noria(runs):
    from concurrent.futures import ThreadPoolExecutor
    from datetime import UTC, datetime, timedelta

    from noria.app.workspace import Workspace
    from noria.domain.ids import RunId, fresh
    from noria.domain.run import Run

    begin = datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)
    with Workspace.open() as workspace:
        if workspace.experiments.named("Default") is None:
            from noria.domain.ids import ExperimentId

            workspace.experiments.create("Default", at=begin, experiment_id=ExperimentId("0"))

        def write(number):
            params, metrics, tags = values(number)
            at = begin + timedelta(milliseconds=number)
            workspace.runs.create(
                Run(
                    id=RunId(fresh()), experiment="Default", name=f"run-{number}", status="finished", started_at=at,
                    finished_at=at + timedelta(seconds=1), params=params, metrics=metrics, tags=tags, user="bench",
                )
            )  # fmt: skip

        with ThreadPoolExecutor(16) as pool:
            list(pool.map(write, range(runs)))


def begin():
    """Say that what is measured begins: the other side reads its server's CPU now."""
    print("begin", flush=True)


def timed(call, seconds):
    """Call as often as fits; gives calls, calls a second, and percentiles in ms."""
    call(0)
    begin()
    times, begun = [], time.perf_counter()
    while time.perf_counter() - begun < seconds:
        before = time.perf_counter()
        call(len(times) + 1)
        times.append(time.perf_counter() - before)
    wall = time.perf_counter() - begun
    times.sort()
    return {
        "calls": len(times),
        "calls_per_s": round(len(times) / wall, 2),
        "p50_ms": round(1000 * times[len(times) // 2], 2),
        "p99_ms": round(1000 * times[min(len(times) - 1, int(0.99 * len(times)))], 2),
        "client_cpu_ms": 0.0,
    }


def main(case, url, *arguments):
    from mlflow import MlflowClient
    from mlflow.entities import Metric, Param

    client = MlflowClient(url)
    seconds = float(arguments[0])
    own = time.process_time()

    def new_run():
        return client.create_run("0").info.run_id

    if case == "log_metric":
        run = new_run()
        found = timed(
            lambda i: client.log_metric(run, "loss", 1.0 / (i + 1), timestamp=1_700_000_000_000 + i, step=i), seconds
        )
    elif case == "log_batch":
        run = new_run()

        def batch(i):
            client.log_batch(
                run,
                metrics=[
                    Metric("loss", 1.0 / (j + 1), 1_700_000_000_000 + 1000 * i + j, 1000 * i + j) for j in range(1000)
                ],
            )

        found = timed(batch, seconds)
        found["points_per_s"] = round(1000 * found["calls_per_s"])
    elif case == "run_per_call":

        def one(_):
            run = new_run()
            for i in range(10):
                client.log_param(run, f"p{i}", i)
                client.log_metric(run, f"m{i}", i / 7)
            client.set_terminated(run)

        found = timed(one, seconds)
    elif case == "run_batched":

        def one(_):
            run = new_run()
            client.log_batch(
                run,
                metrics=[Metric(f"m{i}", i / 7, 1_700_000_000_000, 0) for i in range(10)],
                params=[Param(f"p{i}", str(i)) for i in range(10)],
            )
            client.set_terminated(run)

        found = timed(one, seconds)
    elif case == "history":
        points = int(arguments[0])
        run = new_run()
        begin()
        begun = time.perf_counter()
        for start in range(0, points, 1000):
            client.log_batch(
                run,
                metrics=[Metric("loss", 1.0 / (j + 1), 1_700_000_000_000 + j, j) for j in range(start, start + 1000)],
            )
        wrote = time.perf_counter() - begun
        begun = time.perf_counter()
        assert len(client.get_metric_history(run, "loss")) == points
        read = time.perf_counter() - begun
        found = {"calls": 1, "write_points_per_s": round(points / wrote), "read_ms": round(1000 * read)}
    elif case.startswith("search"):
        filters = {
            "search_filter": {
                "filter_string": "metrics.m1 > 0.5 and params.p1 != '0.1'",
                "order_by": ["metrics.m2 DESC"],
                "max_results": 100,
            },
            "search_latest": {"max_results": 100},
            "search_like": {"filter_string": "tags.note LIKE '%note 1%'", "max_results": 100},
        }
        found = timed(lambda i: client.search_runs(["0"], **filters[case]), seconds)
    elif case == "versions":
        name = f"model-{random.random()}"
        client.create_registered_model(name)
        run = new_run()
        source = client.get_run(run).info.artifact_uri + "/model"
        found = timed(lambda i: client.create_model_version(name, source, run), seconds)
    elif case == "artifact":
        run, size = new_run(), int(arguments[0])
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "big.bin")
            with open(path, "wb") as file:
                for _ in range(size):
                    file.write(os.urandom(1 << 20))
            begin()
            begun = time.perf_counter()
            client.log_artifact(run, path)
            up = time.perf_counter() - begun
            begun = time.perf_counter()
            got = client.download_artifacts(run, "big.bin", os.path.join(folder))
            down = time.perf_counter() - begun
            assert os.path.getsize(got) == size << 20
        found = {"calls": 2 * size, "up_mb_s": round(size / up, 1), "down_mb_s": round(size / down, 1)}
    else:
        raise SystemExit(f"no case {case!r}")
    found["client_cpu_ms"] = round(1000 * (time.process_time() - own) / found["calls"], 2)
    print(json.dumps(found))


if __name__ == "__main__":
    if sys.argv[1] == "seed-mlflow":
        seed_mlflow(sys.argv[2], int(sys.argv[3]))
    elif sys.argv[1] == "seed-noria":
        seed_noria(int(sys.argv[2]))
    else:
        main(*sys.argv[1:])
