"""Adapters by name. The only place that turns a name into code; everything else gets ports. Called by app/workspace and app/worker.

A name is either one of Noria's own (`sqlite`) or an entry point in the group `noria.<port>` of an installed package.
"""

from importlib import import_module
from importlib.metadata import entry_points
from types import ModuleType

from noria.errors import AdapterUnknown, ExtraMissing

BUILT_IN: dict[str, tuple[str, ...]] = {
    "metadata": ("memory", "sqlite", "postgres", "remote"),
    "blobs": ("memory", "local", "object_store", "remote"),
    "tables": ("memory", "parquet"),
    "predictions": ("memory", "parquet", "journal"),
    "executors": ("inline", "process"),
    "flavors": ("onnx", "lightgbm", "xgboost", "torch", "sklearn", "python", "pickle"),
    "notifiers": (
        "log",
        "webhook",
        "email",
        "slack",
        "pagerduty",
        "opgenie",
        "victorops",
        "alertmanager",
        "heartbeat",
    ),
    "telemetry": ("memory",),
}


def load(port: str, name: str) -> ModuleType:
    """Give the adapter module of this name for a port. Raises AdapterUnknown, ExtraMissing.

    >>> load("metadata", "memory").__name__
    'noria.adapters.metadata.memory'
    """
    try:
        if name in BUILT_IN.get(port, ()):
            return import_module(f"noria.adapters.{port}.{name}")
        for point in entry_points(group=f"noria.{port}", name=name):
            module = point.load()
            if isinstance(module, ModuleType):
                return module
    except ModuleNotFoundError as exc:
        if exc.name is not None and exc.name.startswith("noria"):
            raise
        raise ExtraMissing(
            f"adapter {name!r} for {port} needs the package {exc.name!r}",
            cause="it is an optional dependency and is not installed",
            remedy="pip install 'noria[demo]'",
        ) from exc
    known = ", ".join(BUILT_IN.get(port, ())) or "none"
    raise AdapterUnknown(
        f"no adapter {name!r} for {port}", cause=f"known: {known}", remedy="correct the name in noria.toml"
    )
