"""Bare LightGBM models in LightGBM's own text format: no code in the file. Pipelines around one are the sklearn flavor's. Loaded by name."""

from pathlib import Path
from typing import Any

import numpy as np

from noria.adapters.flavors.answers import cutter, matrix, refused
from noria.domain.model import Signature
from noria.errors import BundleCorrupt, BundleRefused, ExtraMissing
from noria.ports.flavor import Columns, Predictor

FILE = "model.txt"
LAST = "pandas_categorical:"
"""How the last line of every model's text begins. LightGBM ends the whole process over a text that was cut short, so that is seen before."""
_MODELS = ("LGBMClassifier", "LGBMRegressor", "Booster")


class LightgbmPredictor:
    """A loaded booster; columns enter in the order of the signature as one float64 matrix."""

    def __init__(self, booster: Any, signature: Signature) -> None:
        self._booster = booster
        self._inputs = signature.input_names()
        self._both = sum(field.width for field in signature.outputs) == 2 and booster.num_model_per_iteration() == 1
        self._cut = cutter(signature)

    def predict(self, columns: Columns) -> Columns:
        """Answer all rows: the probability of class 1 or of both, one column for each of several classes, or the value. Raises RequestInvalid."""
        rows = matrix(columns, self._inputs, np.float64)
        try:
            answers = self._booster.predict(rows, num_threads=1)
        except Exception as exc:
            # lightgbm.basic.LightGBMError derives from Exception; ValueError comes for shapes.
            raise refused(exc) from exc
        answers = np.asarray(answers).reshape(len(rows), -1)
        return self._cut(np.column_stack([1.0 - answers, answers]) if self._both else answers)


class LightgbmFlavor:
    """Keeps LGBMClassifier, LGBMRegressor and Booster as text."""

    name = "lightgbm"
    code_free = True

    def accepts(self, model: object) -> bool:
        """Whether the model is a bare LightGBM one."""
        return type(model).__module__.startswith("lightgbm.") and type(model).__name__ in _MODELS

    def save(self, model: object, signature: Signature, folder: Path) -> None:
        """Write the booster's text. Raises BundleRefused for another model, or for text columns."""
        if not self.accepts(model):
            raise BundleRefused(f"a {type(model).__name__} is not a LightGBM model", remedy="use the sklearn flavor")
        text = [f.name for f in signature.inputs if f.datatype == "BYTES"]
        if text:
            raise BundleRefused(
                f"column {text[0]!r} is text, and a bare booster takes numbers",
                remedy="put an encoder before it, in a Pipeline",
            )
        booster: Any = model if type(model).__name__ == "Booster" else getattr(model, "booster_")  # noqa: B009
        (folder / FILE).write_text(booster.model_to_string(), encoding="utf-8")

    def load(self, folder: Path, signature: Signature) -> Predictor:
        """Read the text. Raises BundleCorrupt, ExtraMissing."""
        try:
            import lightgbm
        except ModuleNotFoundError as exc:
            raise ExtraMissing("this model needs the package 'lightgbm'", remedy="pip install 'noria[train]'") from exc
        try:
            text = (folder / FILE).read_text(encoding="utf-8")
            if "\nend of trees\n" not in text or not text.rstrip().rpartition("\n")[2].startswith(LAST):
                raise ValueError("it does not end as a model's text does")
            booster = lightgbm.Booster(model_str=text, params={"verbosity": -1})
        except (lightgbm.basic.LightGBMError, OSError, ValueError) as exc:
            raise BundleCorrupt(f"{FILE} cannot be loaded", cause=str(exc)) from exc
        return LightgbmPredictor(booster, signature)


FLAVOR = LightgbmFlavor()
