"""Boosted trees as the attributes of an ONNX tree ensemble, node by node: what every library's trees become on their way to ONNX.

Reading a library's own trees is trees_lightgbm, trees_xgboost and trees_histogram; the graph around them is convert.
"""

from collections.abc import Callable
from typing import Any, Literal

from noria.errors import BundleError

Kind = Literal["binary", "multiclass", "regression"]
Link = Literal["", "exp"]
Mode = Literal["BRANCH_LEQ", "BRANCH_LT"]
_NODES = (
    "treeids",
    "nodeids",
    "featureids",
    "modes",
    "truenodeids",
    "falsenodeids",
    "missing_value_tracks_true",
    "values",
)


class Ensemble:
    """The trees of one model. What a row's leaves sum to is its answer before the link.

    kind: what the sums mean. classes: how many sums there are (2 for 'binary', whose one sum is that of class 1). mode: which side equality takes.
    single: whether numbers are compared in float32, as the library that grew the trees does, or in float64. link: what follows a regression's sum.
    """

    def __init__(self, *, kind: Kind, classes: int, mode: Mode, single: bool, link: Link = "") -> None:
        self.kind, self.classes, self.mode, self.single, self.link = kind, classes, mode, single, link
        self.nodes: dict[str, list[Any]] = {name: [] for name in _NODES}
        self.leaves: dict[str, list[Any]] = {"treeids": [], "nodeids": [], "ids": [], "weights": []}
        self._trees = 0

    def grow(
        self, root: Any, read: Callable[[Any], "tuple[int, float, bool, Any, Any] | float"], *, target: int
    ) -> None:
        """Add one tree, numbering its nodes from the root, without recursion: trees may be deep.

        read: what a node is: (feature, threshold, whether a missing value goes to the first side, first side, second side), or a leaf's weight.
        target: which sum the leaves add to.
        """
        tree, self._trees = self._trees, self._trees + 1
        waiting: list[tuple[Any, int | None, str]] = [(root, None, "")]
        number = 0
        while waiting:
            node, parent, side = waiting.pop()
            if parent is not None:
                self.nodes[side][parent] = number
            position = len(self.nodes["treeids"])
            found = read(node)
            if isinstance(found, tuple):
                feature, threshold, missing_first, first, second = found
                self._append(tree, number, feature, self.mode, int(missing_first), threshold)
                waiting.append((second, position, "falsenodeids"))
                waiting.append((first, position, "truenodeids"))
            else:
                self._append(tree, number, 0, "LEAF", 0, 0.0)
                for name, part in (("treeids", tree), ("nodeids", number), ("ids", target), ("weights", found)):
                    self.leaves[name].append(part)
            number += 1

    def begin_at(self, margins: list[float]) -> None:
        """What each sum starts from: a tree of one leaf each, since converters and runtimes read base values in more than one way."""
        for target, margin in enumerate(margins):
            if margin != 0.0:
                self.grow(None, lambda _, weight=margin: weight, target=target)  # type: ignore[misc]

    def _append(self, tree: int, number: int, feature: int, mode: str, missing: int, value: float) -> None:
        for name, part in zip(_NODES, (tree, number, feature, mode, 0, 0, missing, value), strict=True):
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


def unsayable(why: str, remedy: str) -> BundleError:
    """Trees that ONNX cannot say exactly, with the reason."""
    return BundleError(
        "the trees cannot be written as ONNX", cause=why, remedy=f"{remedy}; until then the native form is served"
    )
