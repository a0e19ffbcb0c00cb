"""Open the model in a folder of MLflow's without running code of it: ONNX, LightGBM's text, XGBoost's JSON and UBJ, scikit-learn kept with skops.

A pickle is refused, unless this store recorded it and the project lets models carry code. Which columns a model takes is mlmodel_in.
"""

import pickle
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from shutil import copyfile
from typing import Any, cast

from noria.domain.model import Field, Signature
from noria.errors import BundleCorrupt, BundleRefused, ExtraMissing
from noria.ports.flavor import Flavor, Reopened
from noria.wire.paths import checked_path

XGBOOST_CLASSES = ("XGBClassifier", "XGBRegressor", "XGBRanker", "XGBRFClassifier", "XGBRFRegressor")
XGBOOST_FORMATS = ("json", "ubj")


@dataclass(frozen=True, kw_only=True)
class Opened:
    """A fitted model, or an ONNX graph as bytes. form: MLflow's flavor. columns: the names it was fitted on, if it knows them.

    outputs: what it answers as Noria serves it (empty for a graph, which says so itself). takes_missing: whether NaN is an ordinary value to it.
    """

    model: object
    form: str
    columns: tuple[str, ...] = ()
    outputs: tuple[Field, ...] = ()
    takes_missing: bool = False
    notes: tuple[str, ...] = ()


def open_model(
    folder: Path, said: Mapping[str, Mapping[str, Any]], *, flavors: Mapping[str, Flavor], recorded: bool = False
) -> Opened:
    """The model by the first of MLflow's flavors that is plain data. said: the flavors of the file MLmodel.

    recorded: whether this store recorded the digests of these files; a pickled estimator is then opened where `flavors` gives the pickle flavor.
    Raises BundleRefused for what only its own code can open, BundleCorrupt for a damaged file, ExtraMissing.
    """
    if "onnx" in said:
        return Opened(model=_file(folder, said["onnx"].get("data")).read_bytes(), form="onnx")
    if "lightgbm" in said:
        return _lightgbm(folder, said["lightgbm"], flavors, recorded=recorded)
    if "xgboost" in said:
        return _xgboost(folder, said["xgboost"])
    if "sklearn" in said:
        kept = said["sklearn"].get("serialization_format", "pickle")
        path = _file(folder, said["sklearn"].get("pickled_model"))
        if kept == "skops":
            return _skops(path, flavors, form="sklearn")
        refusal = _pickled(f"a scikit-learn model kept with {kept}", "mlflow.sklearn")
        return _unpickled(path, refusal, flavors=flavors, form="sklearn", recorded=recorded)
    loader = said.get("python_function", {}).get("loader_module", "none")
    others = ", ".join(name for name in said if name != "python_function") or f"python_function ({loader})"
    raise BundleRefused(
        f"an MLflow model of flavor {others} runs code of its own when it is loaded",
        cause="Noria opens models as data: ONNX, LightGBM's text, XGBoost's JSON and UBJ, scikit-learn kept with skops",
        remedy="export the model to ONNX and log that: mlflow.onnx.log_model(...)",
    )


def _lightgbm(folder: Path, said: Mapping[str, Any], flavors: Mapping[str, Flavor], *, recorded: bool) -> Opened:
    path = _file(folder, said.get("data"))
    if path.suffix == ".skops":
        return _skops(path, flavors, form="lightgbm")
    if said.get("model_class") != "lightgbm.basic.Booster":
        kept = said.get("serialization_format", "pickle")
        refusal = _pickled(f"a {said.get('model_class')} kept with {kept}", "mlflow.lightgbm")
        return _unpickled(path, refusal, flavors=flavors, form="lightgbm", recorded=recorded)
    try:
        import lightgbm
    except ModuleNotFoundError as exc:
        raise _lacking("lightgbm") from exc
    try:
        booster = lightgbm.Booster(model_file=str(path), params={"verbosity": -1})
    except (lightgbm.basic.LightGBMError, ValueError) as exc:
        raise BundleCorrupt(f"'{path.name}' cannot be loaded", cause=str(exc)[:300]) from exc
    objective, classes = (
        str(booster.dump_model(num_iteration=1).get("objective", "")).partition(" ")[0],
        booster.num_model_per_iteration(),
    )
    names = tuple(booster.feature_name())
    unnamed = all(name == f"Column_{i}" for i, name in enumerate(names))
    return Opened(
        model=booster,
        form="lightgbm",
        columns=() if unnamed else names,
        outputs=_answers(
            range(classes), probabilities=objective in ("binary", "cross_entropy", "multiclass", "multiclassova")
        ),
        takes_missing=True,
    )


def _xgboost(folder: Path, said: Mapping[str, Any]) -> Opened:
    path = _file(folder, said.get("data"))
    kind = str(said.get("model_class", "xgboost.core.Booster")).rpartition(".")[2]
    if path.suffix.lstrip(".") not in XGBOOST_FORMATS or kind not in ("Booster", *XGBOOST_CLASSES):
        raise _pickled(f"a {kind} kept as '{path.name}'", "mlflow.xgboost", how="model_format='ubj'")
    try:
        import xgboost
    except ModuleNotFoundError as exc:
        raise _lacking("xgboost") from exc
    model: Any = getattr(xgboost, kind)()
    try:
        model.load_model(str(path))
    except (xgboost.core.XGBoostError, ValueError, KeyError, TypeError) as exc:
        raise BundleCorrupt(f"'{path.name}' cannot be loaded", cause=str(exc)[:300]) from exc
    booster = model if kind == "Booster" else model.get_booster()
    if kind == "Booster":
        objective = _xgboost_objective(booster)
        single = objective in ("binary:logistic", "reg:logistic")
        classes = range(_xgboost_classes(booster)) if objective == "multi:softprob" else range(1)
        outputs = _answers(classes, probabilities=single or objective == "multi:softprob")
    else:
        outputs = outputs_of(model)
    return Opened(
        model=model, form="xgboost", columns=tuple(booster.feature_names or ()), outputs=outputs, takes_missing=True
    )


def _xgboost_objective(booster: Any) -> str:
    import msgspec

    return str(msgspec.json.decode(booster.save_config())["learner"]["objective"]["name"])


def _xgboost_classes(booster: Any) -> int:
    import msgspec

    return int(msgspec.json.decode(booster.save_config())["learner"]["learner_model_param"]["num_class"])


def _skops(path: Path, flavors: Mapping[str, Flavor], *, form: str) -> Opened:
    """An estimator by the sklearn flavor and its list of types, whatever list the folder carries."""
    with tempfile.TemporaryDirectory(prefix="noria-mlflow-") as scratch:
        copyfile(path, Path(scratch) / "model.skops")
        predictor = flavors["sklearn"].load(Path(scratch), Signature(inputs=(), outputs=()))
    model = cast(Reopened, predictor).model
    return _of_estimator(model, form=form)


def _unpickled(
    path: Path, refusal: BundleRefused, *, flavors: Mapping[str, Flavor], form: str, recorded: bool
) -> Opened:
    """A pickled estimator, which runs its code: only from files that this store recorded, and only where the project allows it (ADR 25)."""
    if not recorded:
        raise refusal
    try:
        _ = flavors["pickle"]
    except (KeyError, BundleRefused) as exc:
        raise refusal from exc
    try:
        with path.open("rb") as stream:
            model = pickle.load(stream)
    except ModuleNotFoundError as exc:
        raise _lacking(exc.name or "that it was made with") from exc
    except Exception as exc:
        # Whatever is in the file may raise anything.
        raise BundleCorrupt(f"'{path.name}' cannot be loaded", cause=f"{type(exc).__name__}: {exc}"[:300]) from exc
    return _of_estimator(model, form=form)


def _of_estimator(model: Any, *, form: str) -> Opened:
    names = getattr(model, "feature_names_in_", ())
    return Opened(
        model=model,
        form=form,
        columns=tuple(str(name) for name in names),
        outputs=outputs_of(model),
        takes_missing=_takes_missing(model),
        notes=_about(model),
    )


def outputs_of(model: Any) -> tuple[Field, ...]:
    """What an estimator answers in Noria: probabilities if it can give them, else its labels or values.

    >>> from sklearn.dummy import DummyClassifier
    >>> [f.name for f in outputs_of(DummyClassifier().fit([[0], [1], [2]], ["a", "b", "c"]))]
    ['probability_a', 'probability_b', 'probability_c']
    """
    classes = getattr(model, "classes_", None)
    if hasattr(model, "predict_proba"):
        named = range(int(model.n_classes_)) if classes is None else list(classes)
        return _answers(named, probabilities=True)
    if classes is not None:
        kind = getattr(classes, "dtype", None)
        return (Field(name="label", datatype="INT64" if getattr(kind, "kind", "O") in "iu" else "BYTES"),)
    return _answers(range(max(1, int(getattr(model, "n_outputs_", 1) or 1))), probabilities=False)


def _about(model: Any) -> tuple[str, ...]:
    if hasattr(model, "predict_proba") and len(getattr(model, "classes_", ())) == 2:
        return (f"answers the probability of class {model.classes_[1]!s}, not the class",)
    return ()


def _answers(named: Any, *, probabilities: bool) -> tuple[Field, ...]:
    """Fields of the answer: one for one number (of two classes the second one's probability), else one a class or value."""
    said = list(named)
    word = "probability" if probabilities else "prediction"
    datatype: Any = "FP32" if probabilities else "FP64"
    if len(said) <= (2 if probabilities else 1):
        return (Field(name=word, datatype=datatype),)
    return tuple(Field(name=f"{word}_{each}", datatype=datatype) for each in said)


def _takes_missing(model: Any) -> bool:
    try:
        return bool(model.__sklearn_tags__().input_tags.allow_nan)
    except (AttributeError, TypeError, ValueError):
        return False


def _file(folder: Path, path: Any) -> Path:
    """A file that MLmodel names, if it is one inside the folder. Raises PathRefused, BundleCorrupt."""
    found = folder / checked_path(str(path or ""))
    if not found.is_file() or not found.resolve().is_relative_to(folder.resolve()):
        raise BundleCorrupt(
            f"file {str(path)!r} of the MLflow model is missing", cause=f"MLmodel in '{folder}' names it"
        )
    return found


def _pickled(what: str, module: str, *, how: str = "serialization_format='skops'") -> BundleRefused:
    return BundleRefused(
        f"{what} is a program, and Noria does not run it",
        cause="a pickle runs whatever it holds when it is loaded",
        remedy=f"log the model again as data: {module}.log_model(model, ..., {how}), or as ONNX; or let models carry code "
        "(allow_code = true under [packaging] in noria.toml), for what was logged to this store",
    )


def _lacking(package: str) -> ExtraMissing:
    return ExtraMissing(f"this model needs the package {package!r}", remedy=f"pip install {package}")
