"""ONNX models by onnxruntime: one thread, no spinning, no code in the files. Converting to ONNX is packaging/convert. Loaded by name."""

from collections.abc import Callable
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

from noria.domain.model import Field, Signature
from noria.errors import BundleCorrupt, BundleError, BundleRefused, ExtraMissing, RequestInvalid
from noria.ports.flavor import Columns, Predictor

FILE = "model.onnx"
_NUMBERS = {
    "tensor(float)": np.float32,
    "tensor(double)": np.float64,
    "tensor(int64)": np.int64,
    "tensor(bool)": np.bool_,
}
_DTYPES: dict[str, Any] = {"FP32": np.float32, "FP64": np.float64, "INT64": np.int64, "BOOL": np.bool_, "BYTES": object}
_STRAIGHT = {"FP32": "tensor(float)", "FP64": "tensor(double)", "INT64": "tensor(int64)", "BOOL": "tensor(bool)"}


class OnnxPredictor:
    """A loaded graph. The same columns give the same bits: one thread, fixed order of sums."""

    def __init__(self, session: Any, signature: Signature) -> None:
        """session: an onnxruntime InferenceSession whose inputs are the signature's columns. Raises BundleError if they are not."""
        # Below the wrapper in Python, which looks at each input again: a fifth of a small answer.
        run: Callable[..., list[Any]] = getattr(session, "_sess", session).run
        self._run: Callable[[list[str], dict[str, Any]], list[Any]] = lambda names, feeds: run(names, feeds, None)
        by_name = {f.name: f for f in signature.inputs}
        inputs = session.get_inputs()
        if {i.name for i in inputs} != by_name.keys():
            raise BundleError(
                "the graph's inputs are not the signature's columns",
                cause=f"graph: {sorted(i.name for i in inputs)}; signature: {sorted(by_name)}",
                remedy="package the model again with its own signature",
            )
        # Columns of the graph's own type need nothing but their shape: usually most of them, so their types are compared in one go.
        self._straight = [
            i.name for i in inputs if by_name[i.name].width == 1 and _STRAIGHT.get(by_name[i.name].datatype) == i.type
        ]
        self._kinds = [np.dtype(_DTYPES[by_name[name].datatype]) for name in self._straight]
        # Numbers of another type than the graph's are converted together: one call for all columns of a type, not one for each.
        self._cast: dict[Any, list[str]] = {}
        for i in inputs:
            field = by_name[i.name]
            if i.name not in self._straight and field.width == 1 and not field.dims and i.type in _NUMBERS:
                self._cast.setdefault(_NUMBERS[i.type], []).append(i.name)
        done = {*self._straight, *(name for names in self._cast.values() for name in names)}
        self._others = [(i.name, _feed(by_name[i.name], i.type)) for i in inputs if i.name not in done]
        self._names, self._pick = _answers([o.name for o in session.get_outputs()], signature)
        self._first = inputs[0].name
        self._one = _OneRow(session, self._names) if all(f.width == 1 for f in signature.inputs) else None
        if self._one is not None and not self._one.possible:
            self._one = None

    def predict(self, columns: Columns) -> Columns:
        """Answer all rows. Raises RequestInvalid when the graph refuses them."""
        try:
            if self._one is not None and len(columns[self._first]) == 1:
                return self._pick(self._one.run(columns))
            return self._pick(self._run(self._names, self._fed(columns)))
        except Exception as exc:
            # onnxruntime's errors share no base class of its own (they are RuntimeError and Exception subclasses made in C).
            raise RequestInvalid(
                "the model cannot answer these rows",
                cause=" ".join(str(exc).split())[:300],
                remedy="compare them with the signature",
            ) from exc

    def _fed(self, columns: Columns) -> dict[str, Any]:
        """The columns as the graph takes them."""
        feeds: dict[str, Any]
        if [columns[name].dtype for name in self._straight] == self._kinds:
            feeds = {name: columns[name].reshape(-1, 1) for name in self._straight}
        else:
            pairs = zip(self._straight, self._kinds, strict=True)
            feeds = {name: columns[name].reshape(-1, 1).astype(kind, copy=False) for name, kind in pairs}
        for kind, names in self._cast.items():
            together = np.array([columns[name] for name in names], dtype=kind)
            feeds.update(zip(names, together[:, :, None], strict=True))
        for name, feed in self._others:
            feeds[name] = feed(columns[name])
        return feeds


class _OneRow:
    """Answers single rows of numbers through buffers that are bound to the graph once: 30 columns cost 12 us instead of 34.

    possible: whether every input is a number and the one output has a known width (texts cannot be bound). One row at a time (a lock).
    """

    def __init__(self, session: Any, names: list[str]) -> None:
        inputs, outputs = session.get_inputs(), session.get_outputs()
        self.possible = (
            all(i.type in _NUMBERS for i in inputs)
            and len(outputs) == 1
            and outputs[0].type in _NUMBERS
            and len(outputs[0].shape) == 2
            and isinstance(outputs[0].shape[1], int)
        )
        if not self.possible:
            return
        self._lock = Lock()
        self._run: Callable[[Any], None] = session.run_with_iobinding
        self._binding = session.io_binding()
        self._groups: list[tuple[list[str], Any]] = []
        for kind in sorted({i.type for i in inputs}):
            members = [i.name for i in inputs if i.type == kind]
            buffer: Any = np.zeros(len(members), dtype=_NUMBERS[kind])
            for place, name in enumerate(members):
                address = buffer.ctypes.data + place * buffer.itemsize
                self._binding.bind_input(name, "cpu", 0, _NUMBERS[kind], (1, 1), address)
            self._groups.append((members, buffer))
        self._answer: Any = np.zeros((1, outputs[0].shape[1]), dtype=_NUMBERS[outputs[0].type])
        self._binding.bind_output(
            names[0], "cpu", 0, self._answer.dtype.type, self._answer.shape, self._answer.ctypes.data
        )

    def run(self, columns: Columns) -> list[Any]:
        """The graph's output for one row, copied out of the buffer."""
        with self._lock:
            for members, buffer in self._groups:
                np.concatenate([columns[name] for name in members], out=buffer)
            self._run(self._binding)
            return [self._answer.copy()]


class OnnxFlavor:
    """Keeps a model as one ONNX file. accepts: the bytes of one."""

    name = "onnx"
    code_free = True

    def accepts(self, model: object) -> bool:
        """Whether these are the bytes of an ONNX model (a serialised protocol buffer that begins with its IR version)."""
        return isinstance(model, bytes) and model[:1] == b"\x08"

    def save(self, model: object, signature: Signature, folder: Path) -> None:
        """Write the graph after loading it once: what cannot be loaded is not kept."""
        if not isinstance(model, bytes):
            raise BundleRefused(f"a {type(model).__name__} is not ONNX", remedy="convert it first")
        (folder / FILE).write_bytes(model)
        self.load(folder, signature)

    def load(self, folder: Path, signature: Signature) -> Predictor:
        """Open the graph. Raises BundleCorrupt, ExtraMissing."""
        try:
            import onnxruntime
        except ModuleNotFoundError as exc:
            raise ExtraMissing(
                "an ONNX model needs the package 'onnxruntime'", remedy="pip install 'noria[serve]'"
            ) from exc
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.add_session_config_entry("session.inter_op.allow_spinning", "0")
        options.log_severity_level = 4  # errors come as exceptions; onnxruntime would print them as well
        try:
            session = onnxruntime.InferenceSession(str(folder / FILE), options, providers=["CPUExecutionProvider"])
        except Exception as exc:
            # The same: InvalidGraph, InvalidProtobuf, Fail and NoSuchFile have no common base that can be named.
            raise BundleCorrupt(f"{FILE} cannot be loaded", cause=" ".join(str(exc).split())[:300]) from exc
        return OnnxPredictor(session, signature)


def _feed(field: Field, kind: str) -> Callable[[Any], Any]:
    """How one column enters the graph: shape (rows, width) or (rows, *dims), the graph's type; a missing text is the empty text."""
    shape = (-1, *(field.dims or (field.width,)))
    if kind == "tensor(string)":
        if not field.nullable:
            return lambda values: values.reshape(shape)
        return lambda values: np.array(["" if v is None else v for v in values.ravel().tolist()], dtype=object).reshape(
            shape
        )
    if kind not in _NUMBERS:
        raise BundleError(
            f"input {field.name!r} of the graph is a {kind}",
            cause="requests carry booleans, numbers and text",
            remedy="convert it again",
        )
    wanted: Any = _NUMBERS[kind]
    return lambda values: values.reshape(shape).astype(wanted, copy=False)


def _answers(names: list[str], signature: Signature) -> tuple[list[str], Callable[[list[Any]], Columns]]:
    """Which outputs to ask for, and how they become the signature's columns.

    Outputs of the same names are taken as they are. Otherwise the one matrix is cut: a column for each output, the last column for a single output
    (the positive class of two), all of it for one that is as wide.
    """
    kinds: dict[str, Any] = {
        "FP32": np.float32,
        "FP64": np.float64,
        "INT64": np.int64,
        "BOOL": np.bool_,
        "BYTES": object,
    }
    wanted = [(f.name, kinds[f.datatype]) for f in signature.outputs]
    if {name for name, _ in wanted} <= set(names):
        order = [name for name, _ in wanted]

        def by_name(results: list[Any]) -> Columns:
            return {
                name: _plain(value).astype(kind, copy=False)
                for (name, kind), value in zip(wanted, results, strict=True)
            }

        return order, by_name
    if len(names) != 1:
        raise BundleError(
            "the graph's outputs are not the signature's", cause=f"graph: {names}; signature: {[n for n, _ in wanted]}"
        )
    if len(wanted) == 1:
        name, kind = wanted[0]
        if signature.outputs[0].width > 1:
            return names, lambda results: {name: results[0].reshape(len(results[0]), -1).astype(kind, copy=False)}
        return names, lambda results: {name: results[0].reshape(len(results[0]), -1)[:, -1].astype(kind, copy=False)}
    return names, lambda results: {
        name: results[0][:, i].astype(kind, copy=False) for i, (name, kind) in enumerate(wanted)
    }


def _plain(value: Any) -> Any:
    """(rows,) for one value a row, (rows, width) for more."""
    if value.ndim > 2:
        value = value.reshape(len(value), -1)
    return value[:, 0] if value.ndim == 2 and value.shape[1] == 1 else value


FLAVOR = OnnxFlavor()
