"""Answers for a bundle inside MLflow: `mlflow.pyfunc.load_model(folder).predict(frame)`. mlmodel_out puts a copy of this file into the folder.

So it stands alone: numpy, pandas and onnxruntime for an ONNX bundle; other forms are opened by an installed Noria. Every file is checked first.
"""

import json
from collections.abc import Callable, Mapping
from hashlib import sha256
from importlib import import_module
from pathlib import Path
from typing import Any

MANIFEST = "bundle.json"
_DTYPES = {"FP32": "float32", "FP64": "float64", "INT64": "int64", "BOOL": "bool", "BYTES": "object"}
_GRAPH = {
    "tensor(float)": "float32",
    "tensor(double)": "float64",
    "tensor(int64)": "int64",
    "tensor(bool)": "bool",
    "tensor(string)": "object",
}

Columns = Mapping[str, Any]


class Answerer:
    """What MLflow calls. The same rows give the same answers as a worker of Noria gives, in the same columns."""

    def __init__(self, signature: Mapping[str, Any], answer: Callable[[Columns], Columns]) -> None:
        self._inputs: list[dict[str, Any]] = signature["inputs"]
        self._outputs: list[str] = [field["name"] for field in signature["outputs"]]
        self._answer = answer

    def predict(self, model_input: Any, params: Any = None) -> Any:
        """A data frame for a data frame; for arrays by name (or one array, for one input) arrays by name.

        Raises ValueError for a column that is missing, or a value where training saw none. params: there are none.
        """
        pd = import_module("pandas")

        framed = isinstance(model_input, pd.DataFrame)
        if not framed and not isinstance(model_input, Mapping):
            if len(self._inputs) != 1:
                raise ValueError(f"one array for {len(self._inputs)} inputs: send a data frame")
            model_input = {self._inputs[0]["name"]: model_input}
        rows = len(model_input) if framed else len(next(iter(model_input.values()), ()))
        if rows == 0:
            raise ValueError("there are no rows")
        found = self._answer({field["name"]: _column(field, model_input, rows) for field in self._inputs})
        given = {name: found[name] for name in self._outputs}
        if not framed:
            return given
        shown = {name: list(values) if values.ndim > 1 else values for name, values in given.items()}
        return pd.DataFrame(shown, index=model_input.index)


def _load_pyfunc(path: str) -> Answerer:
    """What MLflow calls with the folder. Raises ValueError for a file that is missing or differs from its digest, and for a bundle with code."""
    folder = Path(path)
    manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    for entry in manifest["files"]:
        _check(folder / entry["path"], entry)
    if manifest["code_free"] is not True:
        raise ValueError(f"the bundle carries code ({manifest['flavor']}), and nothing here says whose it is")
    signature = manifest["signature"]
    if manifest["flavor"] == "onnx":
        return Answerer(signature, _onnx(folder, signature))
    try:
        load, msgspec = import_module("noria.app.plugins").load, import_module("msgspec")
        noun = import_module("noria.domain.model").Signature
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"a bundle kept as {manifest['flavor']!r} is opened by Noria, which is not installed (pip install 'noria[train]')",
            name=error.name,
        ) from error
    predictor = load("flavors", manifest["flavor"]).FLAVOR.load(folder, msgspec.convert(signature, noun))
    return Answerer(signature, predictor.predict)


def _check(path: Path, entry: Mapping[str, Any]) -> None:
    found = sha256()
    try:
        with path.open("rb") as stream:
            while block := stream.read(1 << 20):
                found.update(block)
    except OSError as error:
        raise ValueError(f"file {entry['path']!r} of the bundle cannot be read: {error}") from error
    if found.hexdigest() != entry["sha256"]:
        raise ValueError(f"file {entry['path']!r} of the bundle differs from its recorded digest")


def _column(field: Mapping[str, Any], given: Any, rows: int) -> Any:
    """One column as the model takes it. Of one that may be missing as a whole every value is missing."""
    import numpy as np

    pd = import_module("pandas")

    name, width, nullable = field["name"], field.get("width", 1), field.get("nullable", False)
    if name not in given:
        if not nullable:
            raise ValueError(f"column {name!r} is missing")
        given = {name: [None] * rows}
    values = given[name]
    if isinstance(values, pd.Series):
        values = np.stack(values.to_numpy()) if width > 1 else values.to_numpy()
    values = np.asarray(values)
    shape = (rows, *field.get("dims", ())) if field.get("dims") else (rows, width) if width > 1 else (rows,)
    if field["datatype"] == "BYTES":
        flat = [None if pd.isna(each) else each for each in values.ravel().tolist()]
        missing, values = None in flat, np.array(flat, dtype=object)
    else:
        values = values.astype(_DTYPES[field["datatype"]])
        missing = values.dtype.kind == "f" and bool(np.isnan(values).any())
    if missing and not nullable:
        raise ValueError(f"column {name!r} misses values, and training saw none missing there")
    return values.reshape(shape)


def _onnx(folder: Path, signature: Mapping[str, Any]) -> Callable[[Columns], Columns]:
    """The graph by onnxruntime: one thread, so that the same rows give the same bits as in a worker."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(str(folder / "model.onnx"), options, providers=["CPUExecutionProvider"])
    wanted = [(field["name"], _DTYPES[field["datatype"]]) for field in signature["outputs"]]
    names = [output.name for output in session.get_outputs()]
    by_name = {name for name, _ in wanted} <= set(names)
    asked = [name for name, _ in wanted] if by_name else names

    def answer(columns: Columns) -> Columns:
        feeds = {each.name: _fed(columns[each.name], each) for each in session.get_inputs()}
        results = session.run(asked, feeds)
        if by_name:
            pairs = zip(wanted, results, strict=True)
            return {name: _plain(value).astype(kind, copy=False) for (name, kind), value in pairs}
        matrix = results[0].reshape(len(results[0]), -1)
        places = [-1] if len(wanted) == 1 else range(len(wanted))
        pairs = zip(wanted, places, strict=True)
        return {name: matrix[:, place].astype(kind, copy=False) for (name, kind), place in pairs}

    return answer


def _fed(values: Any, slot: Any) -> Any:
    """One column as a graph's input: its type, at least two dimensions unless the graph wants one; a missing text is the empty text."""
    kind = _GRAPH[slot.type]
    if kind == "object":
        values = values.copy()
        values[[each is None for each in values.ravel().tolist()] if values.ndim == 1 else values == None] = ""  # noqa: E711
    if values.ndim == 1 and len(slot.shape) != 1:
        values = values.reshape(-1, 1)
    return values.astype(kind, copy=False)


def _plain(value: Any) -> Any:
    return value[:, 0] if value.ndim == 2 and value.shape[1] == 1 else value
