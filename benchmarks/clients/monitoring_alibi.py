"""Alibi Detect as its documentation shows: TabularDrift (KS and chi-squared, Bonferroni at 5 %) on windows, FETDriftOnline on errors."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from alibi_detect.cd import FETDriftOnline, TabularDrift
from monitoring_stream import load, serve, windows


def judge(folder: Path, options: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    if options["what"] == "errors":
        yield from on_errors(folder, options)
        return
    columns, beside = load(folder / "reference.npz")
    names = [*columns, "prediction"]
    everything = {**columns, "prediction": beside["scores"]}
    texts = [n for n in names if everything[n].dtype == object]
    codes = {n: {v: i for i, v in enumerate(np.unique(everything[n].astype(str)))} for n in texts}

    def table(rows: dict[str, Any]) -> Any:
        """Texts as numbers; values that the reference does not have share one more."""
        return np.stack(
            [[codes[n].get(str(v), len(codes[n])) for v in rows[n]] if n in codes else rows[n] for n in names], axis=1
        ).astype(np.float32)

    levels = {names.index(n): None for n in texts}
    detector = TabularDrift(table(everything), p_val=0.05, categories_per_feature=levels or None)
    flags = [
        int(detector.predict(table(w))["data"]["is_drift"])
        for _, w in windows(*load(folder / "current.npz"), options["skip"])
    ]
    yield "Alibi Detect, TabularDrift", {"flags": flags}


def on_errors(folder: Path, options: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    with np.load(folder / "errors.npz") as file:
        before, errors = file["reference"], file["errors"]
    np.random.seed(0)
    detector = FETDriftOnline(
        before.astype(np.int64)[:, None],
        ert=float(options.get("ert", 10_000)),
        window_sizes=[100, 400],
        alternative="greater",
        n_bootstraps=options.get("bootstraps", 20_000),
        verbose=False,
    )
    alarms = []
    for i, error in enumerate(errors.astype(np.int64)):
        if detector.predict(np.array([error]))["data"]["is_drift"]:
            alarms.append(i)
            detector.reset_state()
    yield "Alibi Detect, FETDriftOnline", {"alarms": alarms}


serve(judge)
