"""A LightGBM booster's trees, read with their thresholds in float64, so that no row takes another branch. Called by convert.

The usual converters store thresholds as float32: of 2,622 thresholds 1,387 were rounded up and the largest error of a probability was 0.033
(ADR 8). ONNX-ML 3 takes double thresholds, leaves and inputs at the same speed.
"""

from collections.abc import Mapping
from typing import Any

from noria.packaging.trees import Ensemble, Kind, unsayable

_LOGISTIC = ("binary", "cross_entropy")
_LARGEST = 1e300
"""LightGBM answers infinity as 1e300, so a threshold there lets everything pass but a missing value; ONNX compares infinity as it is."""
_IDENTITY = ("regression", "regression_l1", "huber", "fair", "quantile", "mape")


def read(dump: Mapping[str, Any]) -> Ensemble:
    """dump: what `Booster.dump_model()` gives. Raises BundleError, saying why, for trees that ONNX cannot say exactly."""
    kind, scale = _objective(dump)
    classes = int(dump["num_class"]) if kind == "multiclass" else 2 if kind == "binary" else 1
    trees = Ensemble(kind=kind, classes=classes, mode="BRANCH_LEQ", single=False)

    def node(found: Mapping[str, Any]) -> tuple[int, float, bool, Any, Any] | float:
        if "leaf_coeff" in found:
            raise unsayable("its leaves are linear models", "train with linear_tree=False")
        return float(found["leaf_value"]) * scale if "leaf_value" in found else _branch(found)

    for number, tree in enumerate(dump["tree_info"]):
        trees.grow(tree["tree_structure"], node, target=number % classes if kind == "multiclass" else 0)
    return trees


def _branch(node: Mapping[str, Any]) -> tuple[int, float, bool, Any, Any]:
    if node["decision_type"] != "<=":
        raise unsayable("it splits on categories inside the booster", "one-hot or ordinal encode them before it")
    missing, threshold = node["missing_type"], float(node["threshold"])
    if threshold >= _LARGEST:
        threshold = float("inf")
    if missing == "Zero":
        raise unsayable("it treats zero as missing", "train with zero_as_missing=False")
    # Without missing values in training LightGBM reads NaN as 0; ONNX can only be told where NaN goes.
    goes_left = bool(node["default_left"]) if missing == "NaN" else threshold >= 0.0
    return int(node["split_feature"]), threshold, goes_left, node["left_child"], node["right_child"]


def _objective(dump: Mapping[str, Any]) -> tuple[Kind, float]:
    """The kind of answer, and the factor on every leaf that the link function needs."""
    words = str(dump.get("objective", "")).split()
    name, options = (words[0] if words else ""), dict(w.split(":", 1) for w in words[1:] if ":" in w)
    if dump.get("average_output"):
        raise unsayable("it averages its trees (random forest mode)", "use boosting_type='gbdt'")
    if name in _LOGISTIC:
        return "binary", float(options.get("sigmoid", 1.0))
    if name == "multiclass":
        return "multiclass", 1.0
    if name in _IDENTITY and "sqrt" not in words:
        return "regression", 1.0
    raise unsayable(f"its objective is {name or 'unknown'!r}", "use a binary, multiclass or squared-error objective")
