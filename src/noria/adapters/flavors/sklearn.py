"""scikit-learn models by skops: loaded without running code from the file, and only types of a fixed list. Pickle is not read. Loaded by name."""

import zlib
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from noria.adapters.flavors.answers import cutter, refused
from noria.domain.model import Signature
from noria.errors import BundleCorrupt, BundleRefused, ExtraMissing
from noria.ports.flavor import Columns, Predictor

FILE = "model.skops"
ALLOWED = frozenset(
    {
        "collections.OrderedDict",
        "lightgbm.basic.Booster",
        "lightgbm.sklearn.LGBMClassifier",
        "lightgbm.sklearn.LGBMRegressor",
        "numpy.dtype",
        "sklearn.compose._column_transformer._RemainderColsList",  # a list that warns when it is read, of scikit-learn before 1.7
        "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
        "sklearn.tree._tree.Tree",
        "xgboost.core.Booster",
        "xgboost.sklearn.XGBClassifier",
        "xgboost.sklearn.XGBRFClassifier",
        "xgboost.sklearn.XGBRFRegressor",
        "xgboost.sklearn.XGBRegressor",
    }
)
"""Types trusted beyond those that skops trusts itself; each is data with a constructor that only reads data. Add one only after reading it."""


class SklearnPredictor:
    """A loaded estimator. Columns enter as the kind of table that it was fitted on: a data frame if it knows column names, else a matrix."""

    def __init__(self, model: Any, signature: Signature) -> None:
        self._model = model
        self._inputs = signature.input_names()
        self._named = hasattr(model, "feature_names_in_")
        self._answer = model.predict_proba if hasattr(model, "predict_proba") else model.predict
        self._cut = cutter(signature)

    @property
    def model(self) -> Any:
        """The estimator as it was saved."""
        return self._model

    def predict(self, columns: Columns) -> Columns:
        """Answer all rows: the probability of the last of two classes, a column for each of several, or the value. Raises RequestInvalid."""
        table = self._frame(columns) if self._named else self._matrix(columns)
        try:
            answers = np.asarray(self._answer(table))
        except (ValueError, TypeError, KeyError) as exc:
            raise refused(exc) from exc
        return self._cut(answers)

    def _frame(self, columns: Columns) -> Any:
        import polars as pl

        return pl.DataFrame(
            {
                n: pl.Series(n, columns[n].tolist(), dtype=pl.String) if columns[n].dtype == object else columns[n]
                for n in self._inputs
            }
        )

    def _matrix(self, columns: Columns) -> Any:
        return np.column_stack([columns[name] for name in self._inputs])


class SklearnFlavor:
    """Keeps fitted scikit-learn estimators and pipelines."""

    name = "sklearn"
    code_free = True

    def accepts(self, model: object) -> bool:
        """Whether it is an estimator: it has scikit-learn's parameters and predicts."""
        return hasattr(model, "get_params") and hasattr(model, "predict")

    def save(self, model: object, signature: Signature, folder: Path) -> None:
        """Write the estimator. Raises BundleRefused when it holds a type that would not be loaded again."""
        skops = _skops()
        try:
            content = skops.dumps(model)
            foreign = sorted(set(skops.get_untrusted_types(data=content)) - ALLOWED)
        except (TypeError, ValueError, AttributeError) as exc:
            raise BundleRefused(
                f"a {type(model).__name__} cannot be kept without pickle",
                cause=str(exc)[:300],
                remedy="use only parts of scikit-learn",
            ) from exc
        if foreign:
            raise _refused(foreign)
        (folder / FILE).write_bytes(content)

    def load(self, folder: Path, signature: Signature) -> Predictor:
        """Open the file. Raises BundleCorrupt, BundleRefused for a type that is not allowed, ExtraMissing."""
        skops = _skops()
        try:
            content = (folder / FILE).read_bytes()
            foreign = sorted(set(skops.get_untrusted_types(data=content)) - ALLOWED)
            if foreign:
                raise _refused(foreign)
            return SklearnPredictor(skops.loads(content, trusted=sorted(ALLOWED)), signature)
        except ModuleNotFoundError as exc:
            raise ExtraMissing(
                f"this model needs the package {exc.name!r}", remedy="pip install 'noria[train]'"
            ) from exc
        except (OSError, ValueError, KeyError, TypeError, AttributeError, ImportError, BadZipFile, zlib.error) as exc:
            raise BundleCorrupt(f"{FILE} cannot be loaded", cause=str(exc)[:300]) from exc


def _refused(foreign: list[str]) -> BundleRefused:
    return BundleRefused(
        f"the model holds types that are not loaded from files: {', '.join(foreign[:5])}",
        cause="only types that carry no code are on the list of the sklearn flavor",
        remedy="replace those parts by scikit-learn's own, or export the model to ONNX",
    )


def _skops() -> Any:
    try:
        import skops.io
    except ModuleNotFoundError as exc:
        raise ExtraMissing(
            "a native scikit-learn model needs the package 'skops'", remedy="pip install 'noria[train]'"
        ) from exc
    return skops.io


FLAVOR = SklearnFlavor()
