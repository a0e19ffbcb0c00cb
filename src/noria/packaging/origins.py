"""Which modules a model's code comes from, and which distributions these belong to. What else those need is environment, which calls this."""

import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from importlib.metadata import packages_distributions
from types import FunctionType, MethodType, ModuleType

MOST_PARTS = 200_000
"""So many parts of a model are looked at; more are of the same kinds."""
OURS = "noria"


def installed() -> Mapping[str, list[str]]:
    """Top-level module -> the distributions that bring it. Read anew only when a folder on the path has changed: it opens a file of each of them."""
    return _installed(tuple((entry, _changed(entry)) for entry in sys.path))


@lru_cache(maxsize=2)
def _installed(state: tuple[tuple[str, int], ...]) -> Mapping[str, list[str]]:
    """state: what the answer depends on."""
    return packages_distributions()


def _changed(entry: str) -> int:
    try:
        return os.stat(entry or os.curdir).st_mtime_ns
    except OSError:
        return 0


def modules_of(model: object) -> set[str]:
    """Top-level modules of all types and functions in a model's graph of objects, and of what the user's own files import.

    Numbers, text and bytes come from nowhere: an ONNX graph has no modules.

    >>> modules_of({"weights": [1.0, 2.0], "of": modules_of}) - {"builtins", "collections"}
    {'noria'}
    """
    owners = installed()
    found: set[str] = set()
    seen: dict[int, object] = {}  # the parts are held, so that no id is given twice
    waiting: list[object] = [model]
    while waiting and len(seen) < MOST_PARTS:
        part = waiting.pop()
        if part is None or isinstance(part, str | bytes | int | float) or id(part) in seen:
            continue
        seen[id(part)] = part
        for home in _homes(part):
            found.add(home.partition(".")[0])
            if _is_own(home, owners) and home in sys.modules:
                waiting.append(sys.modules[home])
        waiting += _parts(part, owners)
    return found


def owners_of(modules: Iterable[str]) -> set[str]:
    """The names of the installed distributions that these top-level modules are from. Python's own are from none."""
    owners = installed()
    return {owner for name in modules if name not in sys.stdlib_module_names for owner in owners.get(name, ())}


def has_own(modules: Iterable[str]) -> bool:
    """Whether some of these modules are the user's own files, which no distribution brings."""
    owners = installed()
    return any(_is_own(name, owners) for name in modules)


def _is_own(module: str, owners: Mapping[str, list[str]]) -> bool:
    """Whether a module is a file of the user: of no distribution, nor of Python, nor of Noria."""
    top = module.partition(".")[0]
    return top == "__main__" or not (top in owners or top in sys.stdlib_module_names or top == OURS)


def _homes(part: object) -> Iterator[str]:
    """The modules that a part's code is in."""
    if isinstance(part, ModuleType):
        yield part.__name__
    elif isinstance(part, type | FunctionType):
        yield part.__module__
    else:
        yield from (kind.__module__ for kind in type(part).__mro__ if kind is not object)


def _parts(part: object, owners: Mapping[str, list[str]]) -> list[object]:
    """What a part is made of. A module of somebody else is not gone into, nor is a class or a function: their modules are enough."""
    if isinstance(part, Mapping):
        return [*part.keys(), *part.values()]
    if isinstance(part, list | tuple | set | frozenset):
        return list(part)
    if isinstance(part, MethodType):
        return [part.__self__, part.__func__]
    if isinstance(part, ModuleType):
        own = vars(part).items() if _is_own(part.__name__, owners) else ()
        named = [each for name, each in own if not name.startswith(("__", "@"))]  # such names are of whoever loads it
        return [each for each in named if callable(each) or isinstance(each, ModuleType)]
    held = None if isinstance(part, type | FunctionType) else getattr(part, "__dict__", None)
    return list(held.values()) if isinstance(held, dict) else []
