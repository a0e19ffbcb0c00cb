"""A stream as two files that every monitoring tool's own Python can read: numpy only, text as fixed-width unicode. Written by monitoring_proof.

folder/reference.npz and folder/current.npz: `column:NAME` arrays, `labels` (NaN: never comes), `scores`, `window`; errors.npz: 0/1 errors of a frozen
model in the order in which labels came. A client answers one JSON line a rule: flags (0/1 a window), or alarms (places in the error stream).
"""

import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

Table = dict[str, Any]


def save(path: Path, columns: Table, **arrays: Any) -> None:
    """Write one table."""
    texts = {f"column:{n}": _as_text(v) if v.dtype == object else v for n, v in columns.items()}
    np.savez(path, **texts, **arrays)


def _as_text(values: Any) -> Any:
    """None becomes an empty text, which no stream holds otherwise."""
    return np.array(["" if v is None else v for v in values.tolist()], dtype=np.str_)


def load(path: Path) -> tuple[Table, Table]:
    """Columns of one table (text as objects), and the arrays beside them."""
    with np.load(path) as file:
        found = {name: file[name] for name in file.files}
    columns = {
        n[7:]: np.where(v == "", None, v.astype(object)) if v.dtype.kind == "U" else v
        for n, v in found.items()
        if n.startswith("column:")
    }
    return columns, {n: v for n, v in found.items() if not n.startswith("column:")}


def windows(columns: Table, beside: Table, skip: int = 0) -> Iterator[tuple[int, Table]]:
    """The windows of a table in order, from `skip` on, with the model's answers as the column `prediction`."""
    everything = {**columns, "prediction": beside["scores"]}
    for number in np.unique(beside["window"]):
        if number >= skip:
            mask = beside["window"] == number
            yield int(number), {n: v[mask] for n, v in everything.items()}


def serve(judge: Callable[[Path, dict[str, Any]], Iterator[tuple[str, dict[str, Any]]]]) -> None:
    """A client's main: the options as JSON, then folders; `judge` yields (rule, answer). What goes wrong is an answer too."""
    options = json.loads(sys.argv[1])
    for name in sys.argv[2:]:
        begun = time.process_time()
        try:
            for rule, answer in judge(Path(name), options):
                say(folder=name, rule=rule, cpu_s=round(time.process_time() - begun, 3), **answer)
                begun = time.process_time()
        except Exception as error:  # noqa: BLE001 - another program's failure is a result of the comparison
            say(folder=name, rule="", problem=f"{type(error).__name__}: {error}"[:300])


def say(**answer: Any) -> None:
    print("\n" + json.dumps(answer), flush=True)
