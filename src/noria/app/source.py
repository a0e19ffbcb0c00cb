"""Open a user's Python file and take one object out of it. The only place that runs code by path. Called by `noria run` and `noria up`."""

import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import TypeVar

from noria.errors import NotFound, SettingInvalid

T = TypeVar("T")


def module_of(path: Path) -> ModuleType:
    """Import a file under its own name. Raises NotFound; what the file itself raises passes through as SettingInvalid with its cause."""
    if not path.is_file():
        raise NotFound(
            f"no file {path.name!r}",
            cause=f"looked in {path.parent.resolve()}",
            remedy="give the path of a Python file; noria init writes one to begin with",
        )
    spec = spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise SettingInvalid(f"{path.name!r} is not a Python file", remedy="give a file that ends in .py")
    module = module_from_spec(spec)
    sys.modules[path.stem] = module
    sys.path.insert(0, str(path.parent.resolve()))
    try:
        spec.loader.exec_module(module)
    except Exception as exc:
        cause = f"{type(exc).__name__}: {exc}"
        raise SettingInvalid(f"{path.name!r} cannot be imported", cause=cause, remedy=f"python {path}") from exc
    finally:
        sys.path.pop(0)
    return module


def named(target: str, kind: type[T], *, root: Path) -> T:
    """The object of `kind` that `file.py` or `file.py:NAME` means. Raises NotFound naming what the file offers."""
    file, _, name = target.partition(":")
    module = module_of(root / file)
    offered = {key: value for key, value in vars(module).items() if isinstance(value, kind)}
    if not name and len(offered) == 1:
        return next(iter(offered.values()))
    if name in offered:
        return offered[name]
    wanted = name or f"one {kind.__name__}"
    raise NotFound.of(f"{kind.__name__} in {file}", wanted, sorted(offered), remedy=f"noria run {file}:NAME")
