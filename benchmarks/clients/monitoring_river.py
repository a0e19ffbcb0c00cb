"""river's drift detectors with their defaults: on the errors of a frozen model, and ADWIN on every number of the inputs."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from monitoring_stream import load, serve
from river import drift


def judge(folder: Path, options: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    if options["what"] == "errors":
        yield from on_errors(folder)
        return
    before, beside = load(folder / "reference.npz")
    columns, now = load(folder / "current.npz")
    total = int(now["window"].max()) + 1
    flagged = np.zeros(total, dtype=int)
    for name in [*(n for n, v in columns.items() if v.dtype != object), "prediction"]:
        detector = drift.ADWIN()
        first, later = (beside["scores"], now["scores"]) if name == "prediction" else (before[name], columns[name])
        for value in first.tolist():
            detector.update(value)
        for value, window in zip(later.tolist(), now["window"].tolist(), strict=True):
            detector.update(value)
            if detector.drift_detected:
                flagged[window] = 1
    yield "river, ADWIN on any number", {"flags": flagged[options["skip"] :].tolist()}


def on_errors(folder: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    with np.load(folder / "errors.npz") as file:
        before, errors = file["reference"].tolist(), file["errors"].tolist()
    makers = {
        "ADWIN": drift.ADWIN,
        "PageHinkley": drift.PageHinkley,
        "KSWIN": lambda: drift.KSWIN(seed=0),
        "DDM": drift.binary.DDM,
        "EDDM": drift.binary.EDDM,
        "FHDDM": drift.binary.FHDDM,
        "HDDM_A": drift.binary.HDDMA,
        "HDDM_W": drift.binary.HDDMW,
    }
    for name, make in makers.items():
        detector, alarms = make(), []
        for value in before:
            detector.update(value)
        for i, value in enumerate(errors):
            detector.update(value)
            if detector.drift_detected:
                alarms.append(i)
        yield f"river, {name}", {"alarms": alarms}


serve(judge)
