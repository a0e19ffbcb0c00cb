"""A plain function, or an object of one's own with `predict`, as a model: it takes the columns by name and gives one array, or outputs by name.

Kept with its code (carried), so only where a project allows that. Estimators of one's own in scikit-learn's manner are the pickle flavor's. Loaded by
name.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from threading import Lock
from types import FunctionType
from typing import Any

from noria.adapters.flavors.answers import named, refused, shaped
from noria.adapters.flavors.carried import keep, reopen
from noria.domain.model import Signature
from noria.errors import BundleCorrupt, BundleRefused, RequestInvalid
from noria.ports.flavor import Columns, Predictor

_FOREIGN = ("lightgbm", "xgboost", "torch")
"""Libraries whose objects predict, but not from columns by name."""


class PythonPredictor:
    """A function, or a `predict`, called with the columns. One call at a time: nobody knows whether the code may run twice at once."""

    def __init__(self, model: Any, signature: Signature) -> None:
        self._model, self._signature = model, signature
        self._call: Callable[[dict[str, Any]], Any] = model if _is_function(model) else model.predict
        self._lock = Lock()

    @property
    def model(self) -> Any:
        """The function or object as it was saved."""
        return self._model

    def predict(self, columns: Columns) -> Columns:
        """Answer all rows. Raises RequestInvalid for whatever the code raises."""
        given = {field.name: shaped(columns[field.name], field) for field in self._signature.inputs}
        rows = len(next(iter(given.values())))
        try:
            with self._lock:
                answers = self._call(given)
            return named(answers, self._signature, rows=rows)
        except RequestInvalid:
            raise
        except Exception as exc:
            # Somebody else's code may raise anything.
            raise refused(exc) from exc


class PythonFlavor:
    """Keeps functions and objects with `predict`."""

    name = "python"
    code_free = False

    def accepts(self, model: object) -> bool:
        """Whether it is a function, or an object with `predict` that is no estimator."""
        if _is_function(model):
            return True
        foreign = any(kind.__module__.split(".")[0] in _FOREIGN for kind in type(model).__mro__)
        predicts = callable(getattr(model, "predict", None)) and not hasattr(model, "get_params")
        return predicts and not foreign and not isinstance(model, type)

    def save(self, model: object, signature: Signature, folder: Path) -> None:
        """Write it with its code. Raises BundleRefused, ExtraMissing."""
        if not self.accepts(model):
            raise BundleRefused(
                f"a {type(model).__name__} is neither a function nor an object with `predict`",
                remedy="wrap it in a function from columns to answers",
            )
        keep(model, folder)

    def load(self, folder: Path, signature: Signature) -> Predictor:
        """Read it back, which runs its code. Raises BundleCorrupt, BundleRefused under another Python, ExtraMissing."""
        model = reopen(folder)
        if not self.accepts(model):
            raise BundleCorrupt("the files hold no function and no object with `predict`", cause=type(model).__name__)
        return PythonPredictor(model, signature)


def _is_function(model: object) -> bool:
    return isinstance(model, FunctionType) or (isinstance(model, partial) and isinstance(model.func, FunctionType))


FLAVOR = PythonFlavor()
