"""An XGBoost booster's trees, read from its own JSON. Its thresholds and comparisons are float32, so nothing is rounded. Called by convert.

A row goes left if value < threshold; a missing value goes where training sent it. The base score is written in the answer's own scale (a probability
for a logistic objective), one for all sums or one each. Source: XGBoost's "Introduction to Model IO" and its JSON schema; checked by parity tests.
"""

import json
from collections.abc import Mapping
from math import log
from typing import Any

from noria.packaging.trees import Ensemble, Kind, Link, unsayable

_LOGISTIC = ("binary:logistic", "reg:logistic")
_EXPONENTIAL = ("count:poisson", "reg:gamma", "reg:tweedie")
_IDENTITY = (
    "binary:logitraw",
    "reg:squarederror",
    "reg:linear",
    "reg:squaredlogerror",
    "reg:absoluteerror",
    "reg:pseudohubererror",
    "reg:quantileerror",
    "rank:pairwise",
    "rank:ndcg",
    "rank:map",
)


def read(content: bytes | bytearray) -> Ensemble:
    """content: what `Booster.save_raw("json")` gives. Raises BundleError, saying why, for trees that ONNX cannot say exactly."""
    learner = json.loads(bytes(content))["learner"]
    model, factors = _trees(learner)
    kind, link = _objective(learner["objective"]["name"])
    numbers = learner["learner_model_param"]
    sums = max(1, int(numbers["num_class"]), int(numbers.get("num_target", 1)))
    if kind == "binary" and sums > 1:
        raise unsayable("it answers several yes-or-no questions at once", "train one model for each")
    trees = Ensemble(kind=kind, classes=2 if kind == "binary" else sums, mode="BRANCH_LT", single=True, link=link)
    trees.begin_at([_margin(score, kind, link) for score in _base(numbers["base_score"], sums)])
    for tree, target, factor in zip(model["trees"], model["tree_info"], factors, strict=True):
        if int(tree["tree_param"]["size_leaf_vector"]) > 1:
            raise unsayable("its leaves hold several values", "train with multi_strategy='one_output_per_tree'")
        if any(tree["split_type"]):
            raise unsayable("it splits on categories inside the booster", "one-hot or ordinal encode them before it")
        _grow(trees, tree, int(target), factor)
    return trees


def _grow(trees: Ensemble, tree: Mapping[str, Any], target: int, factor: float) -> None:
    """One tree, which XGBoost keeps as parallel lists; a leaf has no left child and holds its value where others hold a threshold."""
    left, right, features = tree["left_children"], tree["right_children"], tree["split_indices"]
    conditions, missing_left = tree["split_conditions"], tree["default_left"]

    def node(at: int) -> tuple[int, float, bool, Any, Any] | float:
        if left[at] == -1:
            return float(conditions[at]) * factor
        return int(features[at]), float(conditions[at]), bool(missing_left[at]), left[at], right[at]

    trees.grow(0, node, target=target)


def _trees(learner: Mapping[str, Any]) -> tuple[Mapping[str, Any], list[float]]:
    """The trees and the weight of each (1, but for DART)."""
    booster = learner["gradient_booster"]
    if booster["name"] == "dart":
        return booster["gbtree"]["model"], [float(weight) for weight in booster["weight_drop"]]
    if booster["name"] == "gbtree":
        return booster["model"], [1.0] * len(booster["model"]["trees"])
    raise unsayable(f"its booster is {booster['name']!r}", "train with booster='gbtree'")


def _objective(name: str) -> tuple[Kind, Link]:
    if name in _LOGISTIC:
        return "binary", ""
    if name == "multi:softprob":
        return "multiclass", ""
    if name in _EXPONENTIAL:
        return "regression", "exp"
    if name in _IDENTITY:
        return "regression", ""
    raise unsayable(f"its objective is {name!r}", "use a logistic, softprob, squared-error or count objective")


def _base(text: str, sums: int) -> list[float]:
    """The base scores: one number until XGBoost 3.0, a list since."""
    found = json.loads(text)
    scores = [float(score) for score in found] if isinstance(found, list) else [float(found)]
    return scores * sums if len(scores) == 1 else scores


def _margin(score: float, kind: Kind, link: Link) -> float:
    """What a sum starts from: the base score before the link."""
    if kind == "binary":
        return log(score / (1.0 - score))
    return log(score) if link == "exp" else score
