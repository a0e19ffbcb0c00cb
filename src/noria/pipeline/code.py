"""Address the code of a step: the function and every first-party definition it reaches, read from their sources, nothing imported.

First-party is the step's own top-level package, or, for a script, the modules beside it; libraries are in the environment's digest instead.
A helper in another file that changes is a changed step (joblib#1287, redun#99, flyte#2899 tell what happens otherwise). Called by plan.py.
"""

import ast
import inspect
import re
import sys
import sysconfig
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

import msgspec

from noria.domain.ids import Digest, digest_of
from noria.errors import InputInvalid
from noria.pipeline.sources import SourceModule, dotted_names, load_module, normalised
from noria.wire.canonical import canonical

_INSTALLED = tuple(
    str(Path(sysconfig.get_path(name)).resolve()) for name in ("stdlib", "platstdlib", "purelib", "platlib")
)


class Code(msgspec.Struct, frozen=True, kw_only=True):
    """own: digest of the function itself. reached: per module, the digest of all definitions that it leads to; docstrings, comments
    and annotations of arguments do not count."""

    own: Digest
    reached: dict[str, Digest]

    def digest(self) -> Digest:
        """One address for all of it."""
        return digest_of(canonical({"own": self.own, "reached": self.reached}))


def code_of(function: Callable[..., Any]) -> Code:
    """Address a function's code. Reads source files as they are on disk; a process that outlives an edit of its own code must be restarted.

    Raises InputInvalid if the function closes over (or, in a notebook, uses as a global) a value that cannot be addressed.
    """
    plain = inspect.unwrap(function)
    if not isinstance(plain, FunctionType):
        raise InputInvalid(
            f"{function!r} is no plain function", cause="only those have code of their own", remedy="wrap it in one"
        )
    walk = _Walk(plain)
    own = walk.start(plain)
    walk.follow()
    return Code(own=digest_of(own.encode()), reached=walk.digests())


class _Walk:
    """Definitions found so far, and those whose own references are still to be looked at."""

    def __init__(self, function: FunctionType) -> None:
        self._top, self._folder = _home_of(function)
        self._found: dict[tuple[str, str], list[str]] = {}
        self._open: list[tuple[SourceModule, list[ast.stmt]]] = []
        self._live: set[int] = set()

    def start(self, function: FunctionType) -> str:
        """Take in a function; gives its own code as text."""
        self._live.add(id(function.__code__))
        module = self._module(function.__module__)
        root = function.__qualname__.split(".")[0]
        if module is not None and module.holds(root) and "<" not in function.__qualname__:
            nodes = module.definitions[root]
            self._open.append((module, nodes))
            self._found[(module.name, root)] = []  # addressed as the step's own code
            return _text(nodes)
        node = _parsed(function)
        values = inspect.getclosurevars(function).nonlocals
        if module is None:
            values = {**_globals_used(function), **values}
        elif node is None:
            for name in _names_in(function.__code__):
                self._refer(module, (name,), {})
        else:
            self._open.append((module, [node]))
        for name, value in sorted(values.items()):
            self._take_value(function, name, value)
        return _text([node]) if node is not None else _bytecode(function.__code__)

    def follow(self) -> None:
        """Look at references until nothing new is found."""
        while self._open:
            module, nodes = self._open.pop()
            for node in nodes:
                imported = module.imports_within(node)
                for chain in dotted_names(node):
                    self._refer(module, chain, imported)

    def digests(self) -> dict[str, Digest]:
        """Per module, in the order of names."""
        texts: dict[str, list[str]] = {}
        for (module, name), parts in sorted(self._found.items()):
            if parts:
                texts.setdefault(module, []).append(f"{name}\n" + "\n".join(parts))
        return {module: digest_of("\n".join(parts).encode()) for module, parts in texts.items()}

    def _refer(self, module: SourceModule, chain: tuple[str, ...], imported: dict[str, tuple[str, str]]) -> None:
        root = chain[0]
        if root in imported:
            self._resolve(*_join(imported[root], chain[1:]))
        elif module.holds(root):
            self._visit(module, root)
        elif root in module.imports:
            self._resolve(*_join(module.imports[root], chain[1:]))
        else:
            for star in module.stars:
                self._resolve(star, (root,), only_if_held=True)

    def _resolve(self, name: str, chain: tuple[str, ...], *, only_if_held: bool = False, depth: int = 0) -> None:
        """Follow `name.chain` to a definition, through modules that hand on what they import."""
        module = self._module(name)
        if module is None or depth > 20:
            return
        if chain and module.holds(chain[0]):
            self._visit(module, chain[0])
        elif chain and chain[0] in module.imports:
            target, rest = _join(module.imports[chain[0]], chain[1:])
            if (target, rest) != (name, chain):
                self._resolve(target, rest, depth=depth + 1)
        elif chain and self._module(f"{name}.{chain[0]}") is not None:
            self._resolve(f"{name}.{chain[0]}", chain[1:], depth=depth + 1)
        elif not only_if_held:
            self._visit_all(module)

    def _visit(self, module: SourceModule, name: str) -> None:
        if (module.name, name) not in self._found:
            nodes = module.definitions[name]
            self._found[(module.name, name)] = [_text(nodes)]
            self._open.append((module, nodes))

    def _visit_all(self, module: SourceModule) -> None:
        """A module used as a value, or a name it makes at run time: all of it counts."""
        if (module.name, "") not in self._found:
            self._found[(module.name, "")] = [_text(module.body)]
            self._open.append((module, module.body))

    def _take_value(self, function: FunctionType, name: str, value: object) -> None:
        """A value that only lives in memory: a closure's cell, or a notebook's global."""
        key = ("<values>", f"{function.__qualname__}.{name}")
        if isinstance(value, ModuleType):
            self._resolve(value.__name__, ())
        elif isinstance(value, FunctionType) and self._is_first_party(value.__module__):
            if id(value.__code__) not in self._live:
                self._found[key] = [self.start(value)]
        elif isinstance(value, type) and self._is_first_party(value.__module__):
            self._found[key] = [_class_text(value)]
        elif isinstance(value, type) or callable(value):
            self._found[key] = [f"{getattr(value, '__module__', '')}.{getattr(value, '__qualname__', type(value))}"]
        else:
            self._found[key] = [_value_text(function, name, value)]

    def _is_first_party(self, name: str) -> bool:
        if name == "__main__" or name.split(".", maxsplit=1)[0] == self._top:
            return True
        if self._folder is None:
            return False
        top = name.split(".", maxsplit=1)[0]
        return (self._folder / f"{top}.py").is_file() or (self._folder / top).is_dir()

    def _module(self, name: str) -> SourceModule | None:
        return load_module(name, self._folder) if self._is_first_party(name) else None


def _home_of(function: FunctionType) -> tuple[str, Path | None]:
    """The top-level package of a function; and the folder of a module that is in no package, unless libraries are installed there."""
    name = function.__module__
    module = sys.modules.get(name)
    spec = getattr(module, "__spec__", None)
    if name == "__main__" and spec is not None:
        name = spec.name
    file = getattr(module, "__file__", None)
    if "." in name or file is None or hasattr(module, "__path__"):
        return name.split(".")[0], None
    folder = Path(file).resolve().parent
    return name, None if str(folder).startswith(_INSTALLED) else folder


def _join(target: tuple[str, str], rest: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
    module, attribute = target
    return module, (attribute, *rest) if attribute else rest


def _text(nodes: list[ast.stmt]) -> str:
    return "\n".join(normalised(node) for node in nodes)


def _parsed(function: FunctionType) -> ast.stmt | None:
    """The statement that defines a nested function or a lambda; None where no source is kept, or where it is a part of a line."""
    try:
        body = ast.parse(textwrap.dedent(inspect.getsource(function))).body
    except (OSError, TypeError, SyntaxError):
        return None
    return body[0] if len(body) == 1 and isinstance(body[0], ast.FunctionDef | ast.AsyncFunctionDef) else None


def _class_text(kind: type) -> str:
    try:
        return _text(ast.parse(textwrap.dedent(inspect.getsource(kind))).body)
    except (OSError, TypeError, SyntaxError):
        return "\n".join(
            [kind.__qualname__, *(_bytecode(v.__code__) for v in vars(kind).values() if isinstance(v, FunctionType))]
        )


def _bytecode(code: CodeType) -> str:
    """Instructions, names and constants, without lines and docstrings."""
    return "\n".join([code.co_code.hex(), *code.co_names, *_constants(code)])


def _names_in(code: CodeType) -> list[str]:
    """Names that the code and the functions inside of it look up."""
    inner = [name for c in code.co_consts if isinstance(c, CodeType) for name in _names_in(c)]
    return sorted({*code.co_names, *inner})


def _globals_used(function: FunctionType) -> dict[str, Any]:
    return {n: function.__globals__[n] for n in _names_in(function.__code__) if n in function.__globals__}


def _constants(code: CodeType) -> Iterator[str]:
    for constant in code.co_consts:
        yield _bytecode(constant) if isinstance(constant, CodeType) else repr(constant)


def _value_text(function: FunctionType, name: str, value: object) -> str:
    if isinstance(value, re.Pattern | float):
        return repr(value)
    try:
        return f"{type(value).__qualname__} {canonical(value).decode()}"
    except InputInvalid as error:
        raise InputInvalid(
            f"step '{function.__name__}' uses '{name}', a {type(value).__qualname__} from outside of it",
            cause="whether that value changed cannot be told, so a cached result might be out of date",
            remedy=f"hand '{name}' in as an input or a param, or declare @step(cache=False)",
        ) from error
