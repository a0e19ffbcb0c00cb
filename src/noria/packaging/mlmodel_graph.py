"""An ONNX graph from elsewhere as a model of Noria: which columns it takes and gives, and named columns before a graph that takes one matrix.

Graphs that Noria makes itself are convert's. Called by mlmodel_in.
"""

from collections.abc import Sequence
from typing import Any

from noria.domain.model import Field, FieldType, Signature
from noria.errors import BundleCorrupt, BundleRefused, ExtraMissing

_KINDS: dict[str, FieldType] = {
    "tensor(float)": "FP32",
    "tensor(double)": "FP64",
    "tensor(int64)": "INT64",
    "tensor(bool)": "BOOL",
    "tensor(string)": "BYTES",
}
_SAMPLE = {"FP32": "float32", "FP64": "float64", "INT64": "int64", "BOOL": "bool"}


def as_model(graph: bytes, columns: Sequence[Field]) -> tuple[bytes, Signature, list[str]]:
    """The graph as Noria serves it, its signature, and what there is to say about it.

    columns: the inputs as an MLflow signature names them; empty: as the graph does. One matrix as input is cut into these columns, if there are as
    many. Outputs that are no tensors (dictionaries of probabilities) are left out. Raises BundleRefused, BundleCorrupt, ExtraMissing.
    """
    session = _session(graph)
    notes: list[str] = []
    inputs = [_field(slot) for slot in session.get_inputs()]
    named = {field.name: field for field in columns}
    if len(inputs) == 1 and _fits_side_by_side(inputs[0], columns):
        graph = _cut(graph, inputs[0].name, columns)
        session, inputs = _session(graph), list(columns)
        notes.append(f"its one input became the {len(columns)} columns of the signature")
    elif named.keys() == {field.name for field in inputs}:
        inputs = [_with_gaps(field, named[field.name]) for field in inputs]
    outputs, left_out = _outputs(session, inputs)
    if left_out:
        notes.append(f"left out what is no tensor: {', '.join(left_out)}")
    return graph, Signature(inputs=tuple(inputs), outputs=tuple(outputs)), notes


def _session(graph: bytes) -> Any:
    try:
        import onnxruntime
    except ModuleNotFoundError as exc:
        raise ExtraMissing(
            "an ONNX model needs the package 'onnxruntime'", remedy="pip install 'noria[serve]'"
        ) from exc
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    try:
        return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    except Exception as exc:
        # onnxruntime's errors share no base class of its own.
        raise BundleCorrupt("the ONNX graph cannot be loaded", cause=" ".join(str(exc).split())[:300]) from exc


def _field(slot: Any) -> Field:
    """An input of the graph as a field. Raises BundleRefused for one that requests cannot fill."""
    row = list(slot.shape[1:])
    if slot.type not in _KINDS or not slot.shape or isinstance(slot.shape[0], int) or len(row) > 1:
        raise _refused(slot, "an input is a table's column: any number of rows, each with one value or a list of them")
    if row and not isinstance(row[0], int):
        raise _refused(slot, "how many values a row has is not said")
    return Field(name=slot.name, datatype=_KINDS[slot.type], width=row[0] if row else 1)


def _refused(slot: Any, cause: str) -> BundleRefused:
    return BundleRefused(
        f"input {slot.name!r} of the ONNX graph is a {slot.type} of shape {list(slot.shape)}",
        cause=cause,
        remedy="export the model with a dynamic batch dimension and fixed columns",
    )


def _fits_side_by_side(matrix: Field, columns: Sequence[Field]) -> bool:
    plain = all(f.width == 1 and f.datatype != "BYTES" and f.name != matrix.name for f in columns)
    return plain and matrix.datatype != "BYTES" and len(columns) == matrix.width and len(columns) > 0


def _with_gaps(field: Field, named: Field) -> Field:
    return Field(name=field.name, datatype=field.datatype, width=field.width, nullable=named.nullable)


def _cut(graph: bytes, matrix: str, columns: Sequence[Field]) -> bytes:
    """The same graph with named columns, which are laid side by side before it."""
    try:
        import onnx
        from onnx import TensorProto, helper
    except ModuleNotFoundError as exc:
        raise ExtraMissing(
            "naming a graph's columns needs the package 'onnx'", remedy="pip install 'noria[train]'"
        ) from exc
    model = onnx.load_from_string(graph)
    position = next(i for i, slot in enumerate(model.graph.input) if slot.name == matrix)
    element = model.graph.input[position].type.tensor_type.elem_type
    kinds = {
        "FP32": TensorProto.FLOAT,
        "FP64": TensorProto.DOUBLE,
        "INT64": TensorProto.INT64,
        "BOOL": TensorProto.BOOL,
    }
    nodes, parts = [], []
    for number, field in enumerate(columns):
        model.graph.input.append(helper.make_tensor_value_info(field.name, kinds[field.datatype], [None, 1]))
        parts.append(f"{matrix}_column_{number}")
        nodes.append(helper.make_node("Cast", [field.name], [parts[-1]], to=element))
    nodes.append(helper.make_node("Concat", parts, [matrix], axis=1))
    del model.graph.input[position]
    for node in reversed(nodes):
        model.graph.node.insert(0, node)
    return bytes(model.SerializeToString(deterministic=True))


def _outputs(session: Any, inputs: Sequence[Field]) -> tuple[list[Field], list[str]]:
    """What the graph gives for one row of nothing: its declared shapes are often incomplete."""
    usable = [slot for slot in session.get_outputs() if slot.type in _KINDS]
    left_out = [slot.name for slot in session.get_outputs() if slot.type not in _KINDS]
    try:
        results = session.run([slot.name for slot in usable], {f.name: _empty(f, session) for f in inputs})
    except Exception as exc:
        # The same as above.
        raise BundleRefused(
            "the ONNX graph does not answer a row of zeros",
            cause=" ".join(str(exc).split())[:300],
            remedy="compare its inputs with the signature that was logged",
        ) from exc
    fields = []
    for slot, value in zip(usable, results, strict=True):
        if value.ndim > 2 or len(value) != 1:
            left_out.append(slot.name)
            continue
        fields.append(Field(name=slot.name, datatype=_KINDS[slot.type], width=1 if value.ndim == 1 else value.shape[1]))
    if not fields:
        raise BundleRefused(
            "the ONNX graph gives no tensor of one line a row",
            cause=f"its outputs: {', '.join(f'{s.name} ({s.type})' for s in session.get_outputs())}",
            remedy="export it without ZipMap: options={'zipmap': False}",
        )
    return fields, left_out


def _empty(field: Field, session: Any) -> Any:
    """One row of zeros, or of empty text, as the graph takes it."""
    import numpy as np

    slot = next(s for s in session.get_inputs() if s.name == field.name)
    shape = (1,) if len(slot.shape) == 1 else (1, field.width)
    kind = _KINDS[slot.type]
    return np.full(shape, "", dtype=object) if kind == "BYTES" else np.zeros(shape, dtype=_SAMPLE[kind])
