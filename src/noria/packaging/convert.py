"""A fitted model becomes ONNX: one named input a column, only the answer as output. What cannot be said exactly is refused.

Whether the two answer alike is parity; writing files is bundle. Boosted trees are written here (trees, trees_*), what comes before them by skl2onnx,
PyTorch programs by convert_torch.
"""

from typing import Any

from noria.domain.model import Field, Signature
from noria.errors import BundleError, ExtraMissing
from noria.packaging import trees_histogram, trees_lightgbm, trees_xgboost
from noria.packaging.convert_torch import is_torch, torch_to_onnx
from noria.packaging.trees import Ensemble, unsayable

OPSET = {"": 18, "ai.onnx.ml": 3}
IR_VERSION = 9


def to_onnx(model: object, signature: Signature, *, grown: Ensemble | None = None) -> bytes:
    """Write the model as ONNX, the same bytes for the same model.

    Inputs carry the signature's names with shape (rows, width). The output is `probabilities` (rows, classes) or `prediction` (rows, 1), float32.
    Trees keep the numbers that they were grown with: LightGBM's and scikit-learn's histogram trees float64, XGBoost's float32; everything else
    computes in float32, as skl2onnx does. grown: what `grown_by` gives, if that was asked before. Raises BundleError when the model cannot be
    converted (the cause says why), ExtraMissing without the converters.
    """
    try:
        import onnx
    except ModuleNotFoundError as exc:
        raise ExtraMissing("converting a model needs the package 'onnx'", remedy="pip install 'noria[train]'") from exc
    before, last = _parts(model)
    grown = grown or _trees_of(last)
    if is_torch(model):
        graph, together = torch_to_onnx(model, signature)
        if together:
            _lay_side_by_side(graph, signature, element=graph.graph.input[0].type.tensor_type.elem_type)
    elif grown is not None:
        graph = _with_trees(before, grown, signature)
    elif last is not None:
        graph = _by_skl2onnx(model, signature, double=False)
        _keep_answer(graph, "probabilities" if hasattr(last, "predict_proba") else "")
    else:
        raise BundleError(
            f"a {type(model).__name__} cannot be written as ONNX",
            cause="it is no fitted scikit-learn, LightGBM, XGBoost or PyTorch model",
            remedy="nothing to do: the native form is served",
        )
    try:
        onnx.checker.check_model(graph)
    except onnx.checker.ValidationError as exc:
        raise BundleError(
            "the converted graph is not valid ONNX", cause=str(exc).splitlines()[0], remedy="serve it natively"
        ) from exc
    # The converter keeps them in a set: their order would be another in each process, and so would the digest of the bundle.
    graph.opset_import.sort(key=lambda each: each.domain)
    return bytes(graph.SerializeToString(deterministic=True))


def grown_by(model: object) -> Ensemble | None:
    """The trees that a model answers by; None if it is no model of trees that are written here. Raises BundleError for trees ONNX cannot say."""
    return _trees_of(_parts(model)[1])


def raw_thresholds(model: object, signature: Signature, *, grown: Ensemble | None = None) -> dict[str, list[float]]:
    """Input column -> thresholds of trees on that very column (columns that are scaled or encoded first have none). grown: as in `to_onnx`."""
    before, last = _parts(model)
    grown = grown or _trees_of(last)
    thresholds = grown.thresholds() if grown is not None else _of_scikit_learn(last)
    if not thresholds:
        return {}
    names = (
        [name for field in signature.inputs for name in [field.name] * field.width]
        if before is None
        else [str(n).split("__", 1)[-1] for n in before.get_feature_names_out()]
    )
    plain = {f.name for f in signature.inputs if f.datatype in ("FP32", "FP64", "INT64") and f.width == 1}
    return {names[i]: values for i, values in thresholds.items() if i < len(names) and names[i] in plain}


def _of_scikit_learn(last: Any) -> dict[int, list[float]]:
    """Feature -> thresholds of a decision tree, or of all the trees of a forest or a boosting; nothing for other models."""
    waiting, found = [last], dict[int, set[float]]()
    while waiting:
        part = waiting.pop()
        tree = getattr(part, "tree_", None)
        if tree is None:
            several = getattr(part, "estimators_", ())
            waiting += several.ravel().tolist() if hasattr(several, "ravel") else several
            continue
        for feature, threshold in zip(tree.feature.tolist(), tree.threshold.tolist(), strict=True):
            if feature >= 0:  # a leaf has none
                found.setdefault(feature, set()).add(threshold)
    return {feature: sorted(values) for feature, values in found.items()}


def _parts(model: object) -> tuple[Any | None, Any | None]:
    """(everything before the last step, the last step); for a bare estimator (None, itself); for anything else (None, None)."""
    steps = getattr(model, "steps", None)
    if isinstance(steps, list) and steps:
        return (model[:-1] if len(steps) > 1 else None), steps[-1][1]  # type: ignore[index]
    return None, model if _is_booster(model) or hasattr(model, "get_params") else None


def _is_booster(model: object) -> bool:
    """Whether it is a bare booster, which has no scikit-learn parameters."""
    return type(model).__name__ == "Booster" and type(model).__module__.split(".")[0] in ("lightgbm", "xgboost")


def _is(model: object, library: str, name: str) -> bool:
    return any(kind.__module__.startswith(f"{library}.") and kind.__name__ == name for kind in type(model).__mro__)


def _trees_of(last: Any | None) -> Ensemble | None:
    """The trees that the last step answers by; None if it is no model of trees that are written here."""
    if _is(last, "lightgbm", "LGBMModel") or _is(last, "lightgbm", "Booster"):
        booster = last if type(last).__name__ == "Booster" else last.booster_  # type: ignore[union-attr]
        return trees_lightgbm.read(booster.dump_model())  # type: ignore[union-attr]
    if _is(last, "xgboost", "XGBModel") or _is(last, "xgboost", "Booster"):
        return trees_xgboost.read(_xgboost(last).save_raw("json"))
    return trees_histogram.read(last) if trees_histogram.is_histogram(last) else None


def _xgboost(last: Any) -> Any:
    """The booster with the trees that it answers by: an estimator that stopped early keeps later ones. Missing must mean NaN."""
    if type(last).__name__ == "Booster":
        return last
    if last.missing is not None and last.missing == last.missing:
        raise unsayable(f"it reads {last.missing!r} as missing", "put NaN in its place before training")
    booster = last.get_booster()
    best = booster.attr("best_iteration")
    return booster if best is None else booster[: int(best) + 1]


def _with_trees(before: Any | None, trees: Ensemble, signature: Signature) -> Any:
    """The steps before by skl2onnx in float64, then the trees as one node."""
    from onnx import TensorProto, helper

    element = TensorProto.FLOAT if trees.single else TensorProto.DOUBLE
    if before is None:
        graph, features = _merged(signature, element), "features"
    else:
        graph = _by_skl2onnx(before, signature, double=True)
        value = graph.graph.output[0]
        features = value.name
        if value.type.tensor_type.elem_type != element:
            graph.graph.node.append(helper.make_node("Cast", [features], ["features_of_trees"], to=element))
            features = "features_of_trees"
        del graph.graph.output[:]
        # skl2onnx declares the oldest operator set that its own nodes need; double thresholds came with version 3.
        del graph.opset_import[:]
        graph.opset_import.extend(helper.make_opsetid(domain, version) for domain, version in OPSET.items())
    attributes = _attributes(trees)
    if trees.kind == "regression":
        name, shape = "prediction", [None, trees.classes]
        sums = "sums" if trees.link else name
        attributes |= {"n_targets": trees.classes, "post_transform": "NONE"}
        graph.graph.node.append(
            helper.make_node("TreeEnsembleRegressor", [features], [sums], domain="ai.onnx.ml", **attributes)
        )
        if trees.link:
            graph.graph.node.append(helper.make_node("Exp", [sums], [name]))
    else:
        name, shape = "probabilities", [None, trees.classes]
        attributes["classlabels_int64s"] = list(range(trees.classes))
        attributes["post_transform"] = "LOGISTIC" if trees.kind == "binary" else "SOFTMAX"
        graph.graph.node.append(
            helper.make_node("TreeEnsembleClassifier", [features], ["label", name], domain="ai.onnx.ml", **attributes)
        )
    graph.graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))
    return graph


def _attributes(trees: Ensemble) -> dict[str, Any]:
    """Nodes and leaves as attributes: plain floats for trees in float32, tensors for trees in float64."""
    import numpy as np
    from onnx import numpy_helper

    leaf = "target" if trees.kind == "regression" else "class"
    numbers = {"nodes_values": trees.nodes["values"], f"{leaf}_weights": trees.leaves["weights"]}
    attributes: dict[str, Any] = {f"nodes_{name}": part for name, part in trees.nodes.items() if name != "values"}
    attributes |= {f"{leaf}_{name}": part for name, part in trees.leaves.items() if name != "weights"}
    if trees.single:
        return attributes | {name: np.array(part, np.float32).tolist() for name, part in numbers.items()}
    return attributes | {
        f"{name}_as_tensor": numpy_helper.from_array(np.array(part, dtype=np.float64), name)
        for name, part in numbers.items()
    }


def _merged(signature: Signature, element: int) -> Any:
    """A graph that only lays numeric columns side by side, in the order of the signature: what a bare model was fitted on."""
    from onnx import helper

    inputs, parts, nodes = [], [], []
    for number, field in enumerate(signature.inputs):
        if field.datatype == "BYTES":
            raise BundleError(
                f"column {field.name!r} is text, and a bare booster takes numbers",
                remedy="put an encoder before the booster",
            )
        inputs.append(helper.make_tensor_value_info(field.name, _element(field), [None, field.width]))
        parts.append(field.name if _element(field) == element else f"number_{number}")
        if parts[-1] != field.name:
            nodes.append(helper.make_node("Cast", [field.name], [parts[-1]], to=element))
    nodes.append(helper.make_node("Concat", parts, ["features"], axis=1))
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
        from onnx import TensorProto

        _lay_side_by_side(graph, signature, element=TensorProto.DOUBLE if double else TensorProto.FLOAT)
    return graph


def _takes_columns(model: object) -> bool:
    """Whether the model picks columns itself (a ColumnTransformer comes first)."""
    steps = getattr(model, "steps", None)
    first = steps[0][1] if isinstance(steps, list) and steps else model
    return hasattr(first, "transformers_")


def _lay_side_by_side(graph: Any, signature: Signature, *, element: int) -> None:
    """Replace the one input matrix `features` by named columns. Floating ones enter in the matrix's own type."""
    from onnx import helper

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
