"""Estimators that only pickle can keep: parts of one's own, or types that the sklearn flavor's list does not name. Loaded by name.

Kept with their code (carried), so only where a project allows that; scikit-learn's own go to the sklearn flavor, which is asked before.
"""

from pathlib import Path
from threading import Lock
from typing import Any

from noria.adapters.flavors.answers import refused
from noria.adapters.flavors.carried import keep, reopen
from noria.adapters.flavors.sklearn import SklearnPredictor
from noria.domain.model import Signature
from noria.errors import BundleCorrupt, BundleRefused, RequestInvalid
from noria.ports.flavor import Columns, Predictor


class PicklePredictor:
    """A loaded estimator. One call at a time: nobody knows whether its code may run twice at once."""

    def __init__(self, model: Any, signature: Signature) -> None:
        self._inner, self._lock = SklearnPredictor(model, signature), Lock()

    @property
    def model(self) -> Any:
        """The estimator as it was saved."""
        return self._inner.model

    def predict(self, columns: Columns) -> Columns:
        """Answer all rows, as the sklearn flavor does. Raises RequestInvalid for whatever the code raises."""
        try:
            with self._lock:
                return self._inner.predict(columns)
        except RequestInvalid:
            raise
        except Exception as exc:
            # Somebody else's code may raise anything.
            raise refused(exc) from exc


class PickleFlavor:
    """Keeps estimators with their code."""

    name = "pickle"
    code_free = False

    def accepts(self, model: object) -> bool:
        """Whether it is an estimator: it has scikit-learn's parameters and predicts."""
        return hasattr(model, "get_params") and hasattr(model, "predict") and not isinstance(model, type)

    def save(self, model: object, signature: Signature, folder: Path) -> None:
        """Write it with its code. Raises BundleRefused, ExtraMissing."""
        if not self.accepts(model):
            raise BundleRefused(f"a {type(model).__name__} is no estimator", remedy="use the python flavor")
        keep(model, folder)

    def load(self, folder: Path, signature: Signature) -> Predictor:
        """Read it back, which runs its code. Raises BundleCorrupt, BundleRefused under another Python, ExtraMissing."""
        model = reopen(folder)
        if not self.accepts(model):
            raise BundleCorrupt("the files hold no estimator", cause=type(model).__name__)
        return PicklePredictor(model, signature)


FLAVOR = PickleFlavor()
