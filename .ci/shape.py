"""Refuse what makes a house hard to live in: long files and functions, wide ports, folders that collect anything.

Reads src/noria only. The walls between rooms are import-linter's business (pyproject.toml). Called by `make check`.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

SOURCE = Path(__file__).resolve().parent.parent / "src" / "noria"
FILE_LINES = 500
FUNCTION_LINES = 60
PORT_METHODS = 12
DUMPING_GROUNDS = {"utils", "util", "common", "helpers", "core", "base", "misc"}


def faults(file: Path) -> Iterator[str]:
    """Each fault of one file as `path:line: what`."""
    where = file.relative_to(SOURCE.parent.parent)
    text = file.read_text(encoding="utf-8")
    if DUMPING_GROUNDS & {file.stem, file.parent.name}:
        yield f"{where}: a name that says nothing; name the noun or the verb"
    if (lines := text.count("\n")) > FILE_LINES:
        yield f"{where}: {lines} lines, at most {FILE_LINES}"
    try:
        tree = ast.parse(text)
    except SyntaxError as error:
        yield f"{where}:{error.lineno}: {error.msg}"
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            if (length := body_lines(node)) > FUNCTION_LINES:
                yield f"{where}:{node.lineno}: {node.name} has {length} lines, at most {FUNCTION_LINES}"
        elif isinstance(node, ast.ClassDef) and file.parent == SOURCE / "ports":
            functions = [item for item in node.body if isinstance(item, ast.FunctionDef | ast.AsyncFunctionDef)]
            methods = [
                item for item in functions if not is_property(item)
            ]  # what one can be asked for; Metadata hands out ports
            if len(methods) > PORT_METHODS:
                yield f"{where}:{node.lineno}: port {node.name} has {len(methods)} methods, at most {PORT_METHODS}"


def is_property(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    return any(isinstance(word, ast.Name) and word.id == "property" for word in node.decorator_list)


def body_lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines from the signature to the end, the docstring not counted."""
    length = (node.end_lineno or node.lineno) - node.lineno + 1
    first = node.body[0]
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
        length -= (first.end_lineno or first.lineno) - first.lineno + 1
    return length


if __name__ == "__main__":
    found = [fault for file in sorted(SOURCE.rglob("*.py")) for fault in faults(file)]
    print("\n".join(found) or "sizes and names: kept")
    sys.exit(bool(found))
