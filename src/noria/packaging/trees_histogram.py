"""The trees of scikit-learn's HistGradientBoosting models, in float64 as they are. Called by convert.

skl2onnx does not convert them (ADR 8). They are read from the fitted estimator's own arrays, which scikit-learn keeps to itself: an estimator of
another shape is refused with the reason, and parity judges what was read.
"""

from typing import Any

from noria.packaging.trees import Ensemble, Kind, Link, unsayable

_LINKS: dict[str, Link] = {
    "HalfSquaredError": "",
    "AbsoluteError": "",
    "PinballLoss": "",
    "HalfPoissonLoss": "exp",
    "HalfGammaLoss": "exp",
}


def is_histogram(model: object) -> bool:
    """Whether this is a HistGradientBoosting classifier or regressor."""
    return any(
        kind.__module__.startswith("sklearn.ensemble") and kind.__name__ == "BaseHistGradientBoosting"
        for kind in type(model).__mro__
    )


def read(model: Any) -> Ensemble:
    """model: a fitted estimator. Raises BundleError, saying why, for trees that ONNX cannot say exactly."""
    try:
        if getattr(model, "_preprocessor", None) is not None or model.is_categorical_ is not None:
            raise unsayable("it splits on categories inside the model", "one-hot or ordinal encode them before it")
        kind, link, sums = _meaning(model)
        trees = Ensemble(kind=kind, classes=2 if kind == "binary" else sums, mode="BRANCH_LEQ", single=False, link=link)
        trees.begin_at([float(value) for value in model._baseline_prediction.ravel()])
        for iteration in model._predictors:
            for target, predictor in enumerate(iteration):
                _grow(trees, predictor.nodes, target)
    except AttributeError as exc:
        raise unsayable(f"this scikit-learn keeps them in another form ({exc})", "nothing to do") from exc
    return trees


def _grow(trees: Ensemble, nodes: Any, target: int) -> None:
    def node(at: int) -> tuple[int, float, bool, Any, Any] | float:
        found = nodes[at]
        if found["is_leaf"]:
            return float(found["value"])
        missing_first = bool(found["missing_go_to_left"])
        return int(found["feature_idx"]), float(found["num_threshold"]), missing_first, found["left"], found["right"]

    trees.grow(0, node, target=target)


def _meaning(model: Any) -> tuple[Kind, Link, int]:
    """What the sums mean, the link after them, and how many there are."""
    if hasattr(model, "classes_"):
        several = len(model.classes_) > 2
        return ("multiclass" if several else "binary"), "", (len(model.classes_) if several else 1)
    name = type(model._loss).__name__
    if name not in _LINKS:
        raise unsayable(f"its loss is {name!r}", "use squared_error, absolute_error, quantile, poisson or gamma")
    return "regression", _LINKS[name], 1
