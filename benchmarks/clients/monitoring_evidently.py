"""Evidently as its documentation shows: the share of drifted columns of each window against the reference, its own choice of tests and thresholds."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

os.environ["DO_NOT_TRACK"] = "1"
import numpy as np
import pandas as pd
from evidently import DataDefinition, Dataset, Report
from evidently.metrics import DriftedColumnsCount
from evidently.presets import DataSummaryPreset
from monitoring_stream import load, serve, windows


def judge(folder: Path, options: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    if options["what"] == "faults":
        yield from on_faults(folder)
        return
    columns, beside = load(folder / "reference.npz")
    numbers = [n for n, v in columns.items() if v.dtype != object] + ["prediction"]
    kinds = DataDefinition(numerical_columns=numbers, categorical_columns=[n for n in columns if n not in numbers])
    reference = Dataset.from_pandas(pd.DataFrame({**columns, "prediction": beside["scores"]}), data_definition=kinds)
    half, some = [], []
    for _, window in windows(*load(folder / "current.npz"), options["skip"]):
        current = Dataset.from_pandas(pd.DataFrame(window), data_definition=kinds)
        with np.errstate(all="ignore"):
            found = Report([DriftedColumnsCount()]).run(current, reference).dict()["metrics"][0]["value"]
        half.append(int(found["share"] >= 0.5))
        some.append(int(found["count"] >= 1))
    yield "Evidently, dataset (half of the columns)", {"flags": half}
    yield "Evidently, any column", {"flags": some}


def on_faults(folder: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """The summary preset with the tests that it makes of the reference by itself. An exception is counted as having noticed."""
    columns, _ = load(folder / "reference.npz")
    reference = Dataset.from_pandas(pd.DataFrame(columns))
    flags, failed = [], []
    for place in sorted(folder.glob("day-*.npz")):
        try:
            current = Dataset.from_pandas(pd.DataFrame(load(place)[0]))
            with np.errstate(all="ignore"):
                tests = Report([DataSummaryPreset()], include_tests=True).run(current, reference).dict()["tests"]
            wrong = sum(test["status"] in ("FAIL", "ERROR") for test in tests)
        except Exception:  # noqa: BLE001 - it cannot read the table: nobody overlooks that
            wrong = -1
        flags.append(int(wrong != 0))
        failed.append(wrong)
    yield "Evidently, summary with tests", {"flags": flags, "failed": failed}


serve(judge)
