"""A fitted scikit-learn or LightGBM model becomes ONNX: one named input a column, only the answer as output. What cannot be said exactly is refused.

Whether the two answer alike is parity; writing files is bundle. LightGBM trees are written here (trees), everything before them by skl2onnx.
"""

from typing import Any

from noria.domain.model import Field, Signature
from noria.errors import BundleError, ExtraMissing
from noria.packaging.trees import Ensemble

OPSET = {"": 18, "ai.onnx.ml": 3}
IR_VERSION = 9


def to_onnx(model: object, signature: Signature) -> bytes:
    """Write the model as ONNX, the same bytes for the same model.

    Inputs carry the signature's names with shape (rows, width). The output is `probabilities` (rows, classes) or `prediction` (rows, 1), float32.
    LightGBM keeps float64 inputs and thresholds; everything else computes in float32, as skl2onnx does.
    Raises BundleError when the model cannot be converted (the cause says why), ExtraMissing without the converters.
    """
    try:
        import onnx
    except ModuleNotFoundError as exc:
        raise ExtraMissing("converting a model needs the package 'onnx'", remedy="pip install 'noria[train]'") from exc
    before, last = _parts(model)
    if _is_lightgbm(last):
        graph = _with_trees(before, booster_of(model), signature)
    elif last is not None:
        graph = _by_skl2onnx(model, signature, double=False)
        _keep_answer(graph, "probabilities" if hasattr(last, "predict_proba") else "")
    else:
        raise BundleError(
            f"a {type(model).__name__} cannot be written as ONNX",
            cause="it is no fitted scikit-learn or LightGBM estimator",
            remedy="serve it natively",
        )
    try:
        onnx.checker.check_model(graph)
    except onnx.checker.ValidationError as exc:
        raise BundleError(
            "the converted graph is not valid ONNX", cause=str(exc).splitlines()[0], remedy="serve it natively"
        ) from exc
    return bytes(graph.SerializeToString(deterministic=True))


def booster_of(model: object) -> Any | None:
    """The LightGBM booster that gives the last answer of a model, or None."""
    last: Any = _parts(model)[1]
    if not _is_lightgbm(last):
        return None
    return last if type(last).__name__ == "Booster" else last.booster_


def raw_thresholds(model: object, signature: Signature) -> dict[str, list[float]]:
    """Input column -> thresholds of a LightGBM model on that very column (columns that are scaled or encoded first have none)."""
    booster = booster_of(model)
    if booster is None:
        return {}
    before = _parts(model)[0]
    names = (
        list(signature.input_names())
        if before is None
        else [str(n).split("__", 1)[-1] for n in before.get_feature_names_out()]
    )
    numeric = {f.name for f in signature.inputs if f.datatype in ("FP32", "FP64", "INT64")}
    found = Ensemble(booster.dump_model()).thresholds()
    return {names[i]: values for i, values in found.items() if i < len(names) and names[i] in numeric}


def _parts(model: object) -> tuple[Any | None, Any | None]:
    """(everything before the last step, the last step); for a bare estimator (None, itself); for anything else (None, None)."""
    steps = getattr(model, "steps", None)
    if isinstance(steps, list) and steps:
        return (model[:-1] if len(steps) > 1 else None), steps[-1][1]  # type: ignore[index]
    return None, model if _is_lightgbm(model) or hasattr(model, "get_params") else None


def _is_lightgbm(model: object) -> bool:
    return any(
        kind.__module__.startswith("lightgbm.") and kind.__name__ in ("LGBMModel", "Booster")
        for kind in type(model).__mro__
    )


def _with_trees(before: Any | None, booster: Any, signature: Signature) -> Any:
    """The steps before by skl2onnx in float64, then the trees as one node."""
    import numpy as np
    from onnx import TensorProto, helper, numpy_helper

    trees = Ensemble(booster.dump_model())
    if before is None:
        graph, features = _merged(signature), "features"
    else:
        graph = _by_skl2onnx(before, signature, double=True)
        value = graph.graph.output[0]
        features = value.name
        if value.type.tensor_type.elem_type != TensorProto.DOUBLE:
            graph.graph.node.append(helper.make_node("Cast", [features], ["features_double"], to=TensorProto.DOUBLE))
            features = "features_double"
        del graph.graph.output[:]
        # skl2onnx declares the oldest operator set that its own nodes need; double thresholds came with version 3.
        del graph.opset_import[:]
        graph.opset_import.extend(helper.make_opsetid(domain, version) for domain, version in OPSET.items())
    attributes: dict[str, Any] = {f"nodes_{name}": part for name, part in trees.nodes.items() if name != "values"}
    attributes["nodes_values_as_tensor"] = numpy_helper.from_array(
        np.array(trees.nodes["values"], dtype=np.float64), "thresholds"
    )
    weights = numpy_helper.from_array(np.array(trees.leaves["weights"], dtype=np.float64), "leaves")
    leaf = "target" if trees.kind == "regression" else "class"
    attributes |= {f"{leaf}_{name}": part for name, part in trees.leaves.items() if name != "weights"}
    attributes[f"{leaf}_weights_as_tensor"] = weights
    if trees.kind == "regression":
        node, output, shape = "TreeEnsembleRegressor", "prediction", [None, 1]
        outputs = [output]
        attributes |= {"n_targets": 1, "post_transform": "NONE"}
    else:
        node, output, shape = "TreeEnsembleClassifier", "probabilities", [None, trees.classes]
        outputs = ["label", output]
        attributes["classlabels_int64s"] = list(range(trees.classes))
        attributes["post_transform"] = "LOGISTIC" if trees.kind == "binary" else "SOFTMAX"
    graph.graph.node.append(helper.make_node(node, [features], outputs, domain="ai.onnx.ml", **attributes))
    graph.graph.output.append(helper.make_tensor_value_info(output, TensorProto.FLOAT, shape))
    return graph


def _merged(signature: Signature) -> Any:
    """A graph that only lays numeric columns side by side, in the order of the signature: what a bare booster was fitted on."""
    from onnx import TensorProto, helper

    inputs, doubles, nodes = [], [], []
    for number, field in enumerate(signature.inputs):
        if field.datatype == "BYTES":
            raise BundleError(
                f"column {field.name!r} is text, and a bare booster takes numbers",
                remedy="put an encoder before the booster",
            )
        inputs.append(helper.make_tensor_value_info(field.name, _element(field), [None, field.width]))
        doubles.append(field.name if field.datatype == "FP64" else f"double_{number}")
        if field.datatype != "FP64":
            nodes.append(helper.make_node("Cast", [field.name], [doubles[-1]], to=TensorProto.DOUBLE))
    nodes.append(helper.make_node("Concat", doubles, ["features"], axis=1))
    opsets = [helper.make_opsetid(domain, version) for domain, version in OPSET.items()]
    return helper.make_model(helper.make_graph(nodes, "model", inputs, []), opset_imports=opsets, ir_version=IR_VERSION)


def _by_skl2onnx(model: object, signature: Signature, *, double: bool) -> Any:
    """What skl2onnx makes of scikit-learn's part. double: numbers enter as float64 (only safe for steps that do not compute)."""
    try:
        from skl2onnx import convert_sklearn
        from skl2onnx.common.data_types import (
            BooleanTensorType,
            DoubleTensorType,
            FloatTensorType,
            Int64TensorType,
            StringTensorType,
        )
    except ModuleNotFoundError as exc:
        raise ExtraMissing(
            "converting a model needs the package 'skl2onnx'", remedy="pip install 'noria[train]'"
        ) from exc
    number = DoubleTensorType if double else FloatTensorType
    kinds = {
        "BOOL": BooleanTensorType,
        "INT64": Int64TensorType,
        "FP32": number,
        "FP64": number,
        "BYTES": StringTensorType,
    }
    by_column = _takes_columns(model)
    if by_column:
        types = [(f.name, kinds[f.datatype]([None, f.width])) for f in signature.inputs]
    else:
        if any(f.datatype == "BYTES" for f in signature.inputs):
            raise BundleError(
                "the model takes text without choosing columns", remedy="begin the pipeline with a ColumnTransformer"
            )
        types = [("features", number([None, sum(f.width for f in signature.inputs)]))]
    options = {id(model): {"zipmap": False}} if hasattr(model, "predict_proba") else None
    try:
        graph = convert_sklearn(model, "model", initial_types=types, options=options, target_opset=OPSET)
    except Exception as exc:
        # skl2onnx raises whatever its converters raise: NotImplementedError, RuntimeError, AttributeError, KeyError, its own kinds.
        cause = f"{type(exc).__name__}: {str(exc).strip().splitlines()[0] if str(exc).strip() else 'no message'}"
        raise BundleError(
            "the model cannot be written as ONNX", cause=cause[:300], remedy="nothing to do: the native form is served"
        ) from exc
    if not by_column:
        _lay_side_by_side(graph, signature, double=double)
    return graph


def _takes_columns(model: object) -> bool:
    """Whether the model picks columns itself (a ColumnTransformer comes first)."""
    steps = getattr(model, "steps", None)
    first = steps[0][1] if isinstance(steps, list) and steps else model
    return hasattr(first, "transformers_")


def _lay_side_by_side(graph: Any, signature: Signature, *, double: bool) -> None:
    """Replace the one input matrix by named columns."""
    from onnx import TensorProto, helper

    element = TensorProto.DOUBLE if double else TensorProto.FLOAT
    del graph.graph.input[:]
    nodes, parts = [], []
    for number, field in enumerate(signature.inputs):
        own = _element(field) if field.datatype in ("BOOL", "INT64") else element
        graph.graph.input.append(helper.make_tensor_value_info(field.name, own, [None, field.width]))
        parts.append(field.name if own == element else f"number_{number}")
        if own != element:
            nodes.append(helper.make_node("Cast", [field.name], [parts[-1]], to=element))
    nodes.append(helper.make_node("Concat", parts, ["features"], axis=1))
    for node in reversed(nodes):
        graph.graph.node.insert(0, node)


def _keep_answer(graph: Any, name: str) -> None:
    """Drop every output but the answer: a class label would be computed and sent for nothing. name: '' takes the first output."""
    kept = next((o for o in graph.graph.output if o.name == name), None) if name else graph.graph.output[0]
    if kept is None:
        raise BundleError(
            "the converted model gives no probabilities",
            cause=f"outputs: {[o.name for o in graph.graph.output]}",
            remedy="serve it natively",
        )
    others = [o for o in graph.graph.output if o.name != kept.name]
    for other in others:
        graph.graph.output.remove(other)


def _element(field: Field) -> int:
    from onnx import TensorProto

    kinds = {
        "BOOL": TensorProto.BOOL,
        "INT64": TensorProto.INT64,
        "FP32": TensorProto.FLOAT,
        "FP64": TensorProto.DOUBLE,
        "BYTES": TensorProto.STRING,
    }
    return int(kinds[field.datatype])
