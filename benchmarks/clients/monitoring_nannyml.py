"""NannyML as its documentation shows: univariate drift with its defaults, PCA reconstruction, realised and estimated performance."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

os.environ["NML_DISABLE_USAGE_LOGGING"] = "1"
import nannyml as nml
import numpy as np
import pandas as pd
from monitoring_stream import load, serve


def frames(folder: Path, options: dict[str, Any]) -> tuple[pd.DataFrame, pd.DataFrame, int]:
    """Reference and current rows; as many rows a chunk as a window has."""
    reference, beside = load(folder / "reference.npz")
    current, now = load(folder / "current.npz")
    kept = now["window"] >= options["skip"]
    rows = int((now["window"] == now["window"][-1]).sum())
    before = pd.DataFrame({**reference, "prediction": beside["scores"], "label": beside["labels"]})
    after = pd.DataFrame({**current, "prediction": now["scores"], "label": now["labels"]})[kept].reset_index(drop=True)
    return before, after, rows


def flags(result: Any) -> list[int]:
    """One flag a chunk: any column or metric that alerts."""
    table = result.filter(period="analysis").to_df()
    alerts = [c for c in table.columns if c[-1] == "alert"]
    return [int(v) for v in table[alerts].fillna(False).any(axis=1)]


def judge(folder: Path, options: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    if options["what"] == "faults":
        yield from on_faults(folder)
        return
    before, after, rows = frames(folder, options)
    # A chunk of a window's size: with fewer than a handful of them in the reference its threshold of three deviations means nothing.
    size = max(1, min(rows, len(before) // 5))
    inputs = [c for c in before.columns if c != "label"]
    if options["what"] == "inputs":
        univariate = nml.UnivariateDriftCalculator(column_names=inputs, chunk_size=size)
        yield "NannyML, any column", {"flags": _in_windows(flags(univariate.fit(before).calculate(after)), size, rows)}
        pca = nml.DataReconstructionDriftCalculator(column_names=inputs, chunk_size=size)
        yield "NannyML, PCA reconstruction", {"flags": _in_windows(flags(pca.fit(before).calculate(after)), size, rows)}
        return
    for table in (before, after):
        table["yes"] = (table["prediction"] > 0.5).astype(int)
    given = {
        "y_pred_proba": "prediction",
        "y_pred": "yes",
        "y_true": "label",
        "chunk_size": rows,
        "problem_type": "classification_binary",
    }
    realised = nml.PerformanceCalculator(metrics=["roc_auc", "accuracy"], **given).fit(before)
    labelled = after[after["label"].notna()].reset_index(drop=True)
    table = realised.calculate(labelled)
    yield "NannyML, realised performance", {"flags": flags(table)}
    estimated = nml.CBPE(metrics=["roc_auc", "accuracy"], **given).fit(before).estimate(after)
    numbers = estimated.filter(period="analysis").to_df()
    yield (
        "NannyML, CBPE",
        {
            "flags": flags(estimated),
            "auc": _bounds(numbers, "roc_auc"),
            "accuracy": _bounds(numbers, "accuracy"),
        },
    )


def _bounds(numbers: pd.DataFrame, metric: str) -> list[list[float]]:
    """Value and confidence band of each chunk."""
    names = ("value", "lower_confidence_boundary", "upper_confidence_boundary")
    return numbers[[(metric, name) for name in names]].to_numpy(dtype=float).tolist()


def _in_windows(chunks: list[int], size: int, rows: int) -> list[int]:
    """Flags of chunks as flags of windows: a window alerts when one of its chunks does."""
    if size == rows:
        return chunks
    ends = np.arange(1, len(chunks) + 1) * size
    total = max(1, int(np.ceil(len(chunks) * size / rows)))
    return [
        int(any(c for c, e in zip(chunks, ends, strict=True) if w * rows < e <= (w + 1) * rows)) for w in range(total)
    ]


def on_faults(folder: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Missing and unseen values, ranges and number of rows, a day a chunk, defaults. An exception is counted as having noticed."""
    columns, beside = load(folder / "reference.npz")
    reference, rows = pd.DataFrame(columns), int((beside["window"] == -1).sum())
    texts = [n for n, v in columns.items() if v.dtype == object]
    numbers = [n for n in columns if n not in texts]
    calculators = [
        nml.MissingValuesCalculator(column_names=list(columns), chunk_size=rows),
        nml.UnseenValuesCalculator(column_names=texts, chunk_size=rows),
        nml.NumericalRangeCalculator(column_names=numbers, chunk_size=rows),
        nml.SummaryStatsRowCountCalculator(chunk_size=rows),
    ]
    for each in calculators:
        each.fit(reference)
    flags = []
    for place in sorted(folder.glob("day-*.npz")):
        day = pd.DataFrame(load(place)[0])
        for each in calculators:  # a day is a chunk whatever it holds
            each.chunker.chunk_size = max(1, len(day))
        try:
            flags.append(
                int(any(any(flags_of) for flags_of in (flags_in(each.calculate(day)) for each in calculators)))
            )
        except Exception:  # noqa: BLE001 - it cannot read the table: nobody overlooks that
            flags.append(1)
    yield "NannyML, data quality", {"flags": flags}


flags_in = flags
serve(judge)
