"""Python source files as tables of what they define and import; nothing is run. What a step reaches in them is code.py. Called by it."""

import ast
import copy
import sys
from collections.abc import Iterator
from pathlib import Path

_parsed: dict[Path, tuple[tuple[int, int], "SourceModule"]] = {}


class SourceModule:
    """One file: its top-level definitions by name (a name may be set several times), and what its imports bind.

    imports: local name -> (module, attribute), attribute '' for a module itself. stars: modules of which everything is imported.
    """

    def __init__(self, name: str, path: Path, text: bytes) -> None:
        self.name = name
        self.package = name if path.name == "__init__.py" else name.rpartition(".")[0]
        self.body = ast.parse(text).body
        self.definitions: dict[str, list[ast.stmt]] = {}
        self.imports: dict[str, tuple[str, str]] = {}
        self.stars: list[str] = []
        for statement in _flat(self.body):
            self._take(statement)

    def holds(self, name: str) -> bool:
        """Whether the file itself gives the name a value."""
        return name in self.definitions

    def imports_within(self, node: ast.AST) -> dict[str, tuple[str, str]]:
        """What imports inside of a definition bind."""
        found: dict[str, tuple[str, str]] = {}
        for inner in ast.walk(node):
            if isinstance(inner, ast.Import | ast.ImportFrom):
                found |= self._bound(inner)
        return found

    def _take(self, statement: ast.stmt) -> None:
        if isinstance(statement, ast.Import | ast.ImportFrom):
            self.imports |= self._bound(statement)
            if isinstance(statement, ast.ImportFrom) and any(a.name == "*" for a in statement.names):
                self.stars.append(self._absolute(statement))
        elif isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            self.definitions.setdefault(statement.name, []).append(statement)
        elif isinstance(statement, ast.Expr):
            # `TABLE.update(...)`: belongs to what it changes.
            for root in {chain[0] for chain in dotted_names(statement)} & self.definitions.keys():
                self.definitions[root].append(statement)
        else:
            for name in sorted(_names_set(statement)):
                self.definitions.setdefault(name, []).append(statement)

    def _bound(self, statement: ast.Import | ast.ImportFrom) -> dict[str, tuple[str, str]]:
        if isinstance(statement, ast.Import):
            return {
                alias.asname or alias.name.split(".")[0]: (alias.name if alias.asname else alias.name.split(".")[0], "")
                for alias in statement.names
            }
        module = self._absolute(statement)
        return {alias.asname or alias.name: (module, alias.name) for alias in statement.names if alias.name != "*"}

    def _absolute(self, statement: ast.ImportFrom) -> str:
        if not statement.level:
            return statement.module or ""
        parts = self.package.split(".")
        base = parts[: len(parts) - statement.level + 1]
        return ".".join([*base, *([statement.module] if statement.module else [])])


def load_module(name: str, folder: Path | None) -> SourceModule | None:
    """The file of a module, whether or not it is imported; None if it has none. folder: where modules in no package are looked for."""
    path = _path_of(name, folder)
    if path is None:
        return None
    try:
        stat = path.stat()
        stamp = (stat.st_mtime_ns, stat.st_size)
        known = _parsed.get(path)
        if known is None or known[0] != stamp:
            known = (stamp, SourceModule(name, path, path.read_bytes()))
            _parsed[path] = known
    except (OSError, SyntaxError, ValueError):
        return None
    return known[1]


def dotted_names(node: ast.AST) -> Iterator[tuple[str, ...]]:
    """Every name that is read, with the attributes taken from it: `a.b(c)` gives ('a', 'b') and ('c',).

    >>> sorted(dotted_names(ast.parse("x = a.b(c)")))
    [('a', 'b'), ('c',)]
    """
    waiting: list[ast.AST] = [node]
    while waiting:
        current = waiting.pop()
        if isinstance(current, ast.Attribute):
            chain, inner = [current.attr], current.value
            while isinstance(inner, ast.Attribute):
                chain.append(inner.attr)
                inner = inner.value
            if isinstance(inner, ast.Name):
                yield (inner.id, *reversed(chain))
                continue
            waiting.append(inner)
            continue
        if isinstance(current, ast.Name) and isinstance(current.ctx, ast.Load):
            yield (current.id,)
        waiting.extend(_children(current))


def normalised(node: ast.AST) -> str:
    """The definition as text that does not change with comments, layout, docstrings, annotations of arguments, or the @step mark."""
    bare = copy.deepcopy(node)
    for inner in ast.walk(bare):
        if isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef):
            inner.returns = None
            inner.decorator_list = [d for d in inner.decorator_list if not _is_step_mark(d)]
        if isinstance(inner, ast.arg):
            inner.annotation = None
        if isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and ast.get_docstring(
            inner, clean=False
        ):
            inner.body = inner.body[1:] or [ast.Pass()]
    return ast.dump(bare, annotate_fields=False)


def _children(node: ast.AST) -> Iterator[ast.AST]:
    """Children that run: annotations of arguments and the @step mark are left out."""
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns") and isinstance(node, ast.arg | ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST) and not (name == "decorator_list" and _is_step_mark(child)):
                yield child


def _is_step_mark(decorator: ast.AST) -> bool:
    called = decorator.func if isinstance(decorator, ast.Call) else decorator
    return (isinstance(called, ast.Name) and called.id == "step") or (
        isinstance(called, ast.Attribute) and called.attr == "step"
    )


def _flat(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Statements of a module, those under `if`, `try` and `with` as well."""
    for statement in body:
        if isinstance(statement, ast.If | ast.Try | ast.With):
            yield from _flat(statement.body)
            if not isinstance(statement, ast.With):
                yield from _flat(statement.orelse)
            if isinstance(statement, ast.Try):
                for handler in statement.handlers:
                    yield from _flat(handler.body)
                yield from _flat(statement.finalbody)
        else:
            yield statement


def _names_set(statement: ast.stmt) -> set[str]:
    """Names that a statement binds or changes: `X = 1`, `X += 1`, `X['a'] = 1`, `for X in ...`."""
    names = {n.id for n in ast.walk(statement) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    targets = statement.targets if isinstance(statement, ast.Assign) else []
    for target in targets:
        while isinstance(target, ast.Attribute | ast.Subscript):
            target = target.value
        if isinstance(target, ast.Name):
            names.add(target.id)
    return names


def _path_of(name: str, folder: Path | None) -> Path | None:
    loaded = sys.modules.get(name)
    file = getattr(loaded, "__file__", None)
    if file is not None:
        return Path(file) if str(file).endswith(".py") else None
    top, *rest = name.split(".")
    roots = [Path(p) for p in getattr(sys.modules.get(top), "__path__", ())]
    if not roots and folder is not None:
        roots, rest = [folder], [top, *rest]
    for root in roots:
        place = root.joinpath(*rest)
        for candidate in (place.with_name(f"{place.name}.py"), place / "__init__.py"):
            if candidate.is_file():
                return candidate
    return None
