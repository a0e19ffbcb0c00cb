"""A LightGBM booster as the attributes of an ONNX tree ensemble, with its thresholds in float64, so that no row takes another branch.

The usual converters store thresholds as float32: of 2,622 thresholds 1,387 were rounded up and the largest error of a probability was 0.033
(ADR 8). ONNX-ML 3 takes double thresholds, leaves and inputs at the same speed. Called by convert.
"""

from collections.abc import Mapping
from typing import Any

from noria.errors import BundleError

_LOGISTIC = ("binary", "cross_entropy")
_LARGEST = 1e300
"""LightGBM answers infinity as 1e300, so a threshold there lets everything pass but a missing value; ONNX compares infinity as it is."""
_IDENTITY = ("regression", "regression_l1", "huber", "fair", "quantile", "mape")


class Ensemble:
    """The trees of one booster, node by node. kind: 'binary', 'multiclass' or 'regression'; classes: 2, k or 1."""

    def __init__(self, dump: Mapping[str, Any]) -> None:
        """dump: what `Booster.dump_model()` gives. Raises BundleError, saying why, for trees that ONNX cannot say exactly."""
        self.kind, self.scale = _objective(dump)
        self.classes = {"binary": 2, "regression": 1}.get(self.kind, int(dump["num_class"]))
        self.nodes: dict[str, list[Any]] = {
            name: []
            for name in (
                "treeids",
                "nodeids",
                "featureids",
                "modes",
                "truenodeids",
                "falsenodeids",
                "missing_value_tracks_true",
                "values",
            )
        }
        self.leaves: dict[str, list[Any]] = {"treeids": [], "nodeids": [], "ids": [], "weights": []}
        for number, tree in enumerate(dump["tree_info"]):
            target = number % self.classes if self.kind == "multiclass" else 0
            self._add(number, tree["tree_structure"], target)

    def _add(self, tree: int, root: Mapping[str, Any], target: int) -> None:
        """Number the nodes of one tree from its root, without recursion: trees may be deep."""
        nodes = self.nodes
        waiting: list[tuple[Mapping[str, Any], int | None, str]] = [(root, None, "")]
        number = 0
        while waiting:
            node, parent, side = waiting.pop()
            if parent is not None:
                nodes[side][parent] = number
            position = len(nodes["treeids"])
            nodes["treeids"].append(tree)
            nodes["nodeids"].append(number)
            nodes["truenodeids"].append(0)
            nodes["falsenodeids"].append(0)
            if "leaf_coeff" in node:
                raise _unsayable("its leaves are linear models", "train with linear_tree=False")
            if "leaf_value" in node:
                self._leaf(tree, number, float(node["leaf_value"]), target)
            else:
                self._branch(node)
                waiting.append((node["right_child"], position, "falsenodeids"))
                waiting.append((node["left_child"], position, "truenodeids"))
            number += 1

    def _leaf(self, tree: int, number: int, value: float, target: int) -> None:
        for name, filler in (("featureids", 0), ("modes", "LEAF"), ("missing_value_tracks_true", 0), ("values", 0.0)):
            self.nodes[name].append(filler)
        for name, part in (("treeids", tree), ("nodeids", number), ("ids", target), ("weights", value * self.scale)):
            self.leaves[name].append(part)

    def _branch(self, node: Mapping[str, Any]) -> None:
        if node["decision_type"] != "<=":
            raise _unsayable("it splits on categories inside the booster", "one-hot or ordinal encode them before it")
        missing, threshold = node["missing_type"], float(node["threshold"])
        if threshold >= _LARGEST:
            threshold = float("inf")
        if missing == "Zero":
            raise _unsayable("it treats zero as missing", "train with zero_as_missing=False")
        # Without missing values in training LightGBM reads NaN as 0; ONNX can only be told where NaN goes.
        goes_left = bool(node["default_left"]) if missing == "NaN" else threshold >= 0.0
        for name, part in (
            ("featureids", int(node["split_feature"])),
            ("modes", "BRANCH_LEQ"),
            ("missing_value_tracks_true", int(goes_left)),
            ("values", threshold),
        ):
            self.nodes[name].append(part)

    def thresholds(self) -> dict[int, list[float]]:
        """Feature index -> its thresholds, for the rows that parity tries beside them."""
        found: dict[int, set[float]] = {}
        for feature, mode, value in zip(
            self.nodes["featureids"], self.nodes["modes"], self.nodes["values"], strict=True
        ):
            if mode != "LEAF":
                found.setdefault(feature, set()).add(value)
        return {feature: sorted(values) for feature, values in found.items()}


def _objective(dump: Mapping[str, Any]) -> tuple[str, float]:
    """The kind of answer, and the factor on every leaf that the link function needs."""
    words = str(dump.get("objective", "")).split()
    name, options = (words[0] if words else ""), dict(w.split(":", 1) for w in words[1:] if ":" in w)
    if dump.get("average_output"):
        raise _unsayable("it averages its trees (random forest mode)", "use boosting_type='gbdt'")
    if name in _LOGISTIC:
        return "binary", float(options.get("sigmoid", 1.0))
    if name == "multiclass":
        return "multiclass", 1.0
    if name in _IDENTITY and "sqrt" not in words:
        return "regression", 1.0
    raise _unsayable(f"its objective is {name or 'unknown'!r}", "use a binary, multiclass or squared-error objective")


def _unsayable(why: str, remedy: str) -> BundleError:
    return BundleError(
        "the booster cannot be written as ONNX", cause=why, remedy=f"{remedy}; until then the native form is served"
    )
