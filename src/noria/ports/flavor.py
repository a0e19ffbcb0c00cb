"""The flavor port: one kind of model, how it is kept in files and how it answers."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from noria.domain.model import Signature

Columns = Mapping[str, Any]
"""Column name -> numpy array of shape (rows,) or (rows, width); text columns are object arrays of str."""


class Predictor(Protocol):
    """A loaded model. Thread-safe; the same columns give the same bits."""

    def predict(self, columns: Columns) -> Columns:
        """Answer all rows. Output names and dtypes are those of the signature."""
        ...


class Flavor(Protocol):
    """Saves and loads one kind of model. `code_free`: loading cannot run code that the files carry."""

    name: str
    code_free: bool

    def accepts(self, model: object) -> bool:
        """Whether this flavor can keep the model."""
        ...

    def save(self, model: object, signature: Signature, folder: Path) -> None:
        """Write the model's files into an empty folder."""
        ...

    def load(self, folder: Path, signature: Signature) -> Predictor:
        """Open the files. Raises BundleCorrupt, ExtraMissing."""
        ...


class Reopened(Protocol):
    """A predictor that can hand back the fitted model itself, for packaging it in another form."""

    @property
    def model(self) -> object:
        """The model as it was saved."""
        ...
