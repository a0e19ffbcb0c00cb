"""Objects kept with their code, by cloudpickle: what the flavors python and pickle have in common. Opening such a file runs it.

So nobody opens one but through packaging/bundle, which asks for the project's permission and the store's own record first (ADR 25). Modules of the
user's own project travel inside; installed packages do not, they stand in the bundle's lock.
"""

import inspect
import json
import pickle
import sys
import sysconfig
from pathlib import Path
from threading import Lock
from types import ModuleType
from typing import Any

from noria.errors import BundleCorrupt, BundleRefused, ExtraMissing

FILE, NOTE, SOURCE = "model.pkl", "python.json", "source.py"
_ONE_AT_A_TIME = Lock()
"""cloudpickle keeps one list, for the process, of the modules that travel by value."""


def keep(model: object, folder: Path) -> None:
    """Write an object with the code of the user's own modules, what Python it needs, and its source for whoever wants to read it.

    Raises BundleRefused when it holds what cannot be written (an open file, a lock), ExtraMissing.
    """
    try:
        import cloudpickle
    except ModuleNotFoundError as exc:
        raise ExtraMissing(
            "keeping a model of your own code needs the package 'cloudpickle'", remedy="pip install 'noria[python]'"
        ) from exc
    with _ONE_AT_A_TIME:
        own = [
            module for module in _own_modules() if module.__name__ not in cloudpickle.list_registry_pickle_by_value()
        ]
        for module in own:
            cloudpickle.register_pickle_by_value(module)
        try:
            content = cloudpickle.dumps(model, protocol=5)
        except Exception as exc:
            # Anything in the object may refuse, each in its own way: TypeError, PicklingError, RecursionError, its own kinds.
            raise BundleRefused(
                f"a {type(model).__name__} cannot be written to a file",
                cause=" ".join(str(exc).split())[:300],
                remedy="let it open files, connections and locks when it is called, not before",
            ) from exc
        finally:
            for module in own:
                cloudpickle.unregister_pickle_by_value(module)
    (folder / FILE).write_bytes(content)
    (folder / NOTE).write_text(json.dumps({"python": _python(), "cloudpickle": cloudpickle.__version__}), "utf-8")
    (folder / SOURCE).write_text(_source(model), "utf-8")


def reopen(folder: Path) -> Any:
    """Read the object back, which runs its code. Raises BundleRefused under another Python, BundleCorrupt, ExtraMissing."""
    try:
        made_by = json.loads((folder / NOTE).read_text("utf-8"))["python"]
        content = (folder / FILE).read_bytes()
    except (OSError, ValueError, KeyError, TypeError) as exc:
        raise BundleCorrupt(f"{NOTE} or {FILE} cannot be read", cause=str(exc)[:300]) from exc
    if made_by != _python():
        raise BundleRefused(
            f"the model was kept by Python {made_by}, this is Python {_python()}",
            cause="compiled code is another in each Python, and would end the process",
            remedy=f"serve it with Python {made_by}, or package it again here",
        )
    try:
        return pickle.loads(content)
    except ModuleNotFoundError as exc:
        raise ExtraMissing(
            f"this model needs the package {exc.name!r}", remedy="install what stands in the bundle's lock"
        ) from exc
    except Exception as exc:
        # Loading runs somebody else's code, which may raise anything.
        raise BundleCorrupt(f"{FILE} cannot be loaded", cause=f"{type(exc).__name__}: {str(exc)[:300]}") from exc


def _python() -> str:
    return f"{sys.version_info.major}.{sys.version_info.minor}"


def _own_modules() -> list[ModuleType]:
    """Loaded modules that are neither Python's, nor installed, nor Noria's: the user's own project."""
    installed = tuple(
        {str(Path(sysconfig.get_path(name)).resolve()) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    )
    found = []
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if not file or name == "__main__" or name.split(".")[0] == "noria" or getattr(module, "__name__", "") != name:
            continue
        if not str(Path(file).resolve()).startswith(installed):
            found.append(module)
    return found


def _source(model: object) -> str:
    """What can be read of the code, for people; nothing loads it."""
    shown = model if inspect.isroutine(model) or inspect.isclass(model) else type(model)
    try:
        return inspect.getsource(shown)
    except (OSError, TypeError):
        return (
            f"# the source of {getattr(shown, '__qualname__', shown)!s} could not be read when the model was packaged\n"
        )
