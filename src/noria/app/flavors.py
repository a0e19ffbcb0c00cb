"""Flavors by name, each imported when it is asked for; those that run code from a bundle only where the project allows it (ADR 9, ADR 25).

Which bundles of theirs may be loaded is packaging/trust. Called by workspace and worker.
"""

from collections.abc import Iterator, Mapping
from typing import cast

from noria.app.plugins import BUILT_IN, load
from noria.errors import BundleRefused
from noria.ports.flavor import Flavor


class Flavors(Mapping[str, Flavor]):
    """Opening an ONNX bundle imports no scikit-learn. The order is that in which they are asked to keep a model: code-free forms first."""

    def __init__(self, *, allow_code: bool = False) -> None:
        """allow_code: the project's permission, `allow_code` under [packaging]."""
        self._allow_code = allow_code

    def __getitem__(self, name: str) -> Flavor:
        """Raises BundleRefused for a flavor that would run code from files and is not allowed, AdapterUnknown, ExtraMissing."""
        flavor = cast(Flavor, load("flavors", name).FLAVOR)
        if not flavor.code_free and not self._allow_code:
            raise BundleRefused(
                f"flavor {name!r} runs code from a model's files, and this project does not allow that",
                cause="whoever can change such a file decides what this process does",
                remedy="export the model to ONNX; or set allow_code = true under [packaging] in noria.toml (NORIA_ALLOW_CODE=1 for a worker alone)",
            )
        return flavor

    def __iter__(self) -> Iterator[str]:
        return iter(BUILT_IN["flavors"])

    def __len__(self) -> int:
        return len(BUILT_IN["flavors"])
