"""Bare XGBoost models in XGBoost's own binary JSON: no code in the file. Pipelines around one are the sklearn flavor's. Loaded by name.

Text columns are categories, looked up in the table that the model itself carries; a text it does not know is answered as a missing value.
"""

import json
from itertools import pairwise
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

from noria.adapters.flavors.answers import cutter, matrix, refused
from noria.domain.model import Signature
from noria.errors import BundleCorrupt, BundleRefused, ExtraMissing
from noria.ports.flavor import Columns, Predictor

FILE = "model.ubj"
_MISSING = "noria_missing"
"""The attribute of the booster that says what an estimator reads as missing, where that is not NaN."""


class XgboostPredictor:
    """A loaded booster; columns enter in the order that it was trained on, as one float32 matrix."""

    def __init__(self, booster: Any, signature: Signature) -> None:
        import xgboost

        self._xgboost, self._booster = xgboost, booster
        self._names = _order(booster, signature)
        self._categories = {
            name: table for name, table in zip(self._names, _categories(booster), strict=False) if table
        }
        self._text = [field.name for field in signature.inputs if field.datatype == "BYTES"]
        self._missing = float(booster.attr(_MISSING) or "nan")
        learner = json.loads(booster.save_config())["learner"]
        # A linear booster predicts from a DMatrix alone, and by a buffer that it shares between threads.
        self._lock = None if learner["learner_train_param"]["booster"] in ("gbtree", "dart") else Lock()
        self._both = learner["objective"]["name"] == "binary:logistic" and sum(f.width for f in signature.outputs) == 2
        self._cut = cutter(signature)

    @property
    def model(self) -> Any:
        """The booster as it was saved."""
        return self._booster

    def predict(self, columns: Columns) -> Columns:
        """Answer all rows: the probability of class 1 or of both classes, one column for each of several, or the value. Raises RequestInvalid."""
        if self._text:
            columns = {**columns, **{name: self._codes(name, columns[name]) for name in self._text}}
        rows = matrix(columns, self._names, np.float32)
        try:
            answers = np.asarray(self._answer(rows)).reshape(len(rows), -1)
        except (self._xgboost.core.XGBoostError, ValueError, TypeError) as exc:
            raise refused(exc) from exc
        return self._cut(np.column_stack([1.0 - answers, answers]) if self._both else answers)

    def _answer(self, rows: Any) -> Any:
        if self._lock is None:
            return self._booster.inplace_predict(rows, missing=self._missing, validate_features=False)
        with self._lock:
            data = self._xgboost.DMatrix(rows, missing=self._missing, nthread=1)
            return self._booster.predict(data, validate_features=False)

    def _codes(self, name: str, values: Any) -> Any:
        table = self._categories[name]
        return np.array([table.get(value, np.nan) for value in values.tolist()], dtype=np.float32)


class XgboostFlavor:
    """Keeps XGBClassifier, XGBRegressor, XGBRanker, their random forests and Booster."""

    name = "xgboost"
    code_free = True

    def accepts(self, model: object) -> bool:
        """Whether the model is a bare XGBoost one."""
        return any(
            kind.__module__.startswith("xgboost.") and kind.__name__ in ("XGBModel", "Booster")
            for kind in type(model).__mro__
        )

    def save(self, model: object, signature: Signature, folder: Path) -> None:
        """Write the trees that the model answers by. Raises BundleRefused for another model, or for columns that it does not take."""
        if not self.accepts(model):
            raise BundleRefused(f"a {type(model).__name__} is not an XGBoost model", remedy="use the sklearn flavor")
        booster = _booster(model)
        wide = sum(field.width for field in signature.inputs)
        if booster.num_features() != wide:
            raise BundleRefused(
                f"the model takes {booster.num_features()} numbers a row, the signature has {wide}",
                remedy="infer the signature from the columns that it was trained on",
            )
        _check_text(booster, signature)
        (folder / FILE).write_bytes(booster.save_raw("ubj"))

    def load(self, folder: Path, signature: Signature) -> Predictor:
        """Read the trees. Raises BundleCorrupt, ExtraMissing."""
        try:
            import xgboost
        except ModuleNotFoundError as exc:
            raise ExtraMissing("this model needs the package 'xgboost'", remedy="pip install 'noria[xgboost]'") from exc
        try:
            content = bytearray((folder / FILE).read_bytes())
            if content[:1] != b"{":
                raise ValueError("it does not begin as binary JSON does")
            booster = xgboost.Booster(params={"nthread": 1})
            booster.load_model(content)
            booster.set_param({"nthread": 1})
            return XgboostPredictor(booster, signature)
        except (xgboost.core.XGBoostError, OSError, ValueError, KeyError) as exc:
            raise BundleCorrupt(f"{FILE} cannot be loaded", cause=" ".join(str(exc).split())[:300]) from exc


def _booster(model: Any) -> Any:
    """A copy with the trees that the model answers by: an estimator that stopped early keeps later ones, and may read a number as missing."""
    if type(model).__name__ == "Booster":
        return model
    booster = model.get_booster()
    best = booster.attr("best_iteration")
    booster = booster.copy() if best is None else booster[: int(best) + 1]
    if model.missing is not None and not np.isnan(model.missing):
        booster.set_attr(**{_MISSING: repr(float(model.missing))})
    return booster


def _check_text(booster: Any, signature: Signature) -> None:
    """Refuse text that the model has no table for, or whose table lacks what training saw."""
    tables = dict(zip(_order(booster, signature), _categories(booster), strict=False))
    for field in signature.inputs:
        table = tables.get(field.name) or {}
        if field.datatype == "BYTES" and not table:
            raise BundleRefused(
                f"column {field.name!r} is text, and the model has no categories there",
                remedy="train with enable_categorical=True, or put an encoder before it in a Pipeline",
            )
        strange = next((word for word in field.categories or () if word not in table), None)
        if field.datatype == "BYTES" and strange is not None:
            raise BundleRefused(
                f"the model's own table of categories for column {field.name!r} lacks {strange!r}",
                cause="training never saw it, or XGBoost cut it short (3.2 does so to letters beyond ASCII)",
                remedy="infer the signature from the training columns; put an encoder before the model in a Pipeline",
            )


def _order(booster: Any, signature: Signature) -> list[str]:
    """The columns as the booster was trained on them: by its own names if they are the signature's, else in the signature's order."""
    own = booster.feature_names
    names = list(signature.input_names())
    return list(own) if own is not None and set(own) == set(names) else names


def _categories(booster: Any) -> list[dict[str, float]]:
    """For each feature its categories of text and their codes; empty for numbers. Source: the `cats` of XGBoost's JSON, since 3.1."""
    if "c" not in (booster.feature_types or ()):
        return [{} for _ in range(booster.num_features())]
    learner = json.loads(bytes(booster.save_raw("json")))["learner"]
    model = learner["gradient_booster"]
    model = model.get("gbtree", model).get("model", {})
    tables: list[dict[str, float]] = []
    for kept in (model.get("cats") or {}).get("enc", []):
        if "offsets" not in kept:
            tables.append({})
            continue
        text, ends = bytes(value % 256 for value in kept["values"]), kept["offsets"]
        words = [text[start:end].decode("utf-8") for start, end in pairwise(ends)]
        tables.append({word: float(code) for code, word in enumerate(words)})
    return tables or [{} for _ in range(booster.num_features())]


FLAVOR = XgboostFlavor()
