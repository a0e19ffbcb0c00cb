"""One comparison of two tables by one tool, in a process of its own and in that tool's Python: python monitoring_cost_of.py TOOL FOLDER.

Prints JSON: CPU seconds of the import, of the comparison, peak memory, columns flagged. Called by monitoring_cost.
"""

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

os.environ.update(DO_NOT_TRACK="1", NML_DISABLE_USAGE_LOGGING="1")

from monitoring_stream import load


def peak_mb() -> float:
    """Of this program alone: what getrusage tells includes the parent's before exec."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def noria() -> Any:
    from noria.monitor import compare

    def judge(reference: Any, current: Any) -> int:
        return sum(column.blamed for column in compare(reference, current).columns)

    return judge


def evidently() -> Any:
    import pandas as pd
    from evidently import DataDefinition, Dataset, Report
    from evidently.presets import DataDriftPreset

    def judge(reference: Any, current: Any) -> int:
        numbers = [n for n, v in reference.items() if v.dtype != object]
        kinds = DataDefinition(
            numerical_columns=numbers, categorical_columns=[n for n in reference if n not in numbers]
        )
        tables = [Dataset.from_pandas(pd.DataFrame(t), data_definition=kinds) for t in (current, reference)]
        return int(Report([DataDriftPreset()]).run(*tables).dict()["metrics"][0]["value"]["count"])

    return judge


def nannyml() -> Any:
    import nannyml as nml
    import pandas as pd

    def judge(reference: Any, current: Any) -> int:
        names = list(reference)
        calculator = nml.UnivariateDriftCalculator(column_names=names, chunk_number=10).fit(pd.DataFrame(reference))
        table = calculator.calculate(pd.DataFrame(current)).filter(period="analysis").to_df()
        return sum(bool(table[c].any()) for c in table.columns if c[-1] == "alert")

    return judge


def alibi() -> Any:
    import numpy as np
    from alibi_detect.cd import TabularDrift

    def judge(reference: Any, current: Any) -> int:
        texts = [n for n, v in reference.items() if v.dtype == object]
        codes = {n: {v: i for i, v in enumerate(sorted(set(reference[n].tolist())))} for n in texts}

        def table(rows: Any) -> Any:
            as_numbers = [[codes[n].get(v, -1) for v in rows[n].tolist()] if n in codes else rows[n] for n in rows]
            return np.stack(as_numbers, axis=1).astype(np.float32)

        places = {list(reference).index(n): None for n in texts}
        detector = TabularDrift(table(reference), p_val=0.05 / len(reference), categories_per_feature=places)
        return int(detector.predict(table(current), drift_type="feature")["data"]["is_drift"].sum())

    return judge


def main() -> None:
    tool, folder = sys.argv[1], Path(sys.argv[2])
    started, begun = peak_mb(), time.process_time()
    judge = {"noria": noria, "evidently": evidently, "nannyml": nannyml, "alibi": alibi}[tool]()
    found: dict[str, Any] = {
        "import_cpu_s": time.process_time() - begun,
        "import_mb": peak_mb() - started,
        "python_and_numpy_mb": started,
    }
    if folder.is_dir():
        reference, current = load(folder / "reference.npz")[0], load(folder / "current.npz")[0]
        held, begun, since = peak_mb(), time.process_time(), time.monotonic()
        found["flagged"] = judge(reference, current)
        found.update(drift_cpu_s=time.process_time() - begun, drift_wall_s=time.monotonic() - since)
        found.update(tables_mb=held, peak_mb=peak_mb())
    print("\n" + json.dumps({k: round(v, 3) for k, v in found.items()}), flush=True)


main()
