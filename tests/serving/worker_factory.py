"""Real models, real bundles and real workers for the tests of packaging, serving and inference. Tiny, seeded, built once a session."""

import functools
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import polars as pl

from noria.app.worker import Flavors
from noria.domain.deployment import Deployment, Rollout, Variant
from noria.domain.ids import Digest, RunId
from noria.domain.model import Signature
from noria.packaging.bundle import BuiltBundle, build
from noria.packaging.environment import capture
from noria.packaging.signature import infer_signature
from noria.serving import desired

WHEN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
COLUMNS = ("distance", "delay", "hour", "carrier", "origin")


def flights(rows: int = 200, seed: int = 7) -> pl.DataFrame:
    """A small table in the shape of the demo's: numbers with gaps, whole numbers, text."""
    rng = np.random.default_rng(seed)
    delay = rng.normal(10, 20, rows)
    delay[rng.random(rows) < 0.1] = np.nan
    return pl.DataFrame(
        {
            "distance": rng.uniform(100, 2500, rows).round(1),
            "delay": delay,
            "hour": rng.integers(5, 23, rows),
            "carrier": rng.choice(["AA", "DL", "UA"], rows),
            "origin": rng.choice(["EWR", "JFK", "LGA"], rows),
        }
    )


def late(table: pl.DataFrame, seed: int = 7) -> np.ndarray:
    rng = np.random.default_rng(seed + 1)
    score = (
        np.nan_to_num(table["delay"].to_numpy()) / 20
        + (table["carrier"] == "UA").to_numpy()
        + rng.normal(0, 0.5, len(table))
    )
    return (score > 0.8).astype(int)


def arrays(table: pl.DataFrame) -> dict[str, np.ndarray]:
    return {
        n: np.array(table[n].to_list(), object) if table[n].dtype == pl.String else table[n].to_numpy()
        for n in table.columns
    }


def before(numbers: Any = "passthrough") -> Any:
    """The usual first step: one-hot for text, numbers as they are."""
    from sklearn.compose import ColumnTransformer
    from sklearn.preprocessing import OneHotEncoder

    return ColumnTransformer(
        [
            ("text", OneHotEncoder(handle_unknown="ignore", sparse_output=False), ["carrier", "origin"]),
            ("numbers", numbers, ["distance", "delay", "hour"]),
        ]
    )


@functools.cache
def boosting(seed: int = 7, trees: int = 20) -> Any:
    """A pipeline around LightGBM, fitted."""
    from lightgbm import LGBMClassifier
    from sklearn.pipeline import Pipeline

    table = flights(seed=seed)
    model = Pipeline(
        [
            ("before", before()),
            ("model", LGBMClassifier(n_estimators=trees, num_leaves=7, verbose=-1, n_jobs=1, random_state=seed)),
        ]
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return model.fit(table, late(table, seed))


def signature_of(table: pl.DataFrame) -> Signature:
    return infer_signature(arrays(table), {"probability": np.zeros(1, np.float32)})


def bundle(
    model: Any, blobs: Any, *, run: str = "run-1", table: pl.DataFrame | None = None, signature: Signature | None = None
) -> BuiltBundle:
    table = flights() if table is None else table
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return build(
            model,
            name="late",
            run_id=RunId(run),
            signature=signature or signature_of(table),
            sample=arrays(table),
            blobs=blobs,
            flavors=Flavors(),
            environment=capture(),
            created_at=WHEN,
        )


def variant(digest: Digest, *, name: str = "champion", number: int = 1, weight: float = 1.0) -> Variant:
    return Variant(name=name, model="late", number=number, version=f"{number}.0.0", bundle=digest, weight=weight)  # type: ignore[arg-type]


def deployment(
    *variants: Variant,
    generation: int = 1,
    name: str = "late",
    sticky_by: str = "request",
    rollout: Rollout | None = None,
) -> Deployment:
    return Deployment(
        name=name,
        model="late",
        generation=generation,
        variants=variants,
        updated_at=WHEN,
        sticky_by=sticky_by,
        rollout=rollout,
    )


def open_blobs(home: Path) -> Any:
    from noria.adapters.blobs import local

    return local.open_store(str(home / "blobs"))


@functools.cache
def _template() -> tuple[Path, Digest, Digest]:
    """A home with two bundles (champion, challenger), deployment 'late' published with the champion."""
    home = Path(tempfile.mkdtemp(prefix="noria-test-home-"))
    blobs = open_blobs(home)
    champion = bundle(boosting(), blobs).digest
    challenger = bundle(boosting(seed=11), blobs, run="run-2").digest
    desired.publish(blobs, deployment(variant(champion)))
    return home, champion, challenger


def a_home(tmp_path: Path) -> tuple[Path, Digest, Digest]:
    """A fresh copy of the template: (home, champion's bundle, challenger's bundle)."""
    template, champion, challenger = _template()
    home = tmp_path / "home"
    shutil.copytree(template, home)
    return home, champion, challenger


class Running:
    """A worker process that answers."""

    def __init__(self, process: "subprocess.Popen[str]", told: dict[str, Any]) -> None:
        """told: the line that it printed when it answered."""
        self.process, self.told, self.url = process, told, str(told["url"])
        parts = urlsplit(self.url)
        self.host, self.port = str(parts.hostname), int(parts.port or 0)

    def ask(
        self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> tuple[int, dict[str, str], bytes]:
        connection = HTTPConnection(self.host, self.port, timeout=30)
        try:
            connection.request(method, path, body=body, headers=headers or {})
            response = connection.getresponse()
            return response.status, {k.lower(): v for k, v in response.getheaders()}, response.read()
        finally:
            connection.close()

    def json(self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> tuple[int, Any]:
        status, _, content = self.ask(method, path, None if body is None else json.dumps(body).encode(), headers)
        return status, json.loads(content)

    def infer(self, body: Any, *, headers: dict[str, str] | None = None, name: str = "late") -> tuple[int, Any]:
        return self.json("POST", f"/v2/models/{name}/infer", body, headers)

    def flush(self) -> bool:
        return bool(self.json("POST", "/noria/flush")[1]["flushed"])

    def stop(self) -> int:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(20)


@contextmanager
def a_worker(home: Path, *flags: str, env: dict[str, str] | None = None, stderr: Any = None) -> Iterator[Running]:
    """A worker over a home, ended with the block. stderr: an open file for its log."""
    command = [sys.executable, "-m", "noria.app.worker", "--home", str(home), "--port", "0", *flags]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=stderr, text=True, env={**os.environ, **(env or {})}
    )
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        assert line.startswith("{"), f"the worker said {line!r}"
        yield Running(process, json.loads(line))
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        process.stdout.close()


def request_of(table: pl.DataFrame, **changes: Any) -> dict[str, Any]:
    """A V2 request for all rows. changes: column -> its tensor's fields to change, or None to leave the column out."""
    kinds = {"distance": "FP64", "delay": "FP64", "hour": "INT64", "carrier": "BYTES", "origin": "BYTES"}
    inputs = []
    for name in table.columns:
        change = changes.get(name, {})
        if change is None:
            continue
        data = [None if isinstance(v, float) and v != v else v for v in table[name].to_list()]
        inputs.append({"name": name, "shape": [len(table)], "datatype": kinds[name], "data": data, **change})
    return {"inputs": inputs}


def logged(home: Path, name: str = "late") -> pl.DataFrame:
    """The prediction log as a table."""
    from noria.adapters.predictions import parquet

    return pl.DataFrame(parquet.open_store(str(home / "predictions")).scan(name))


def eventually(what: Any, *, seconds: float = 20.0) -> Any:
    """Ask until the answer is true (a process of its own cannot be given a fake clock)."""
    import threading
    import time

    until = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < until, "it did not happen"
        threading.Event().wait(0.02)
    return found
