"""The digest of a step's code: it changes with everything that can change the result, and with nothing else."""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from noria.errors import InputInvalid
from noria.pipeline.code import Code, code_of

STEPS = '''
"""A project's steps."""
import math
from shop import features as made
from shop.tables import RATES, Total
import shop.deep.inner

LIMIT = 15
NOTES = "not used"

def fit(table: "Table", *, depth: int = 3):
    """Fit."""
    # a comment
    total = Total(depth).of(table)
    return made.make(table) + helper(total) + RATES["a"] + shop.deep.inner.value() + math.sqrt(4)

def helper(x):
    from shop.late import late
    return late(x) if x > LIMIT else 0

def unused():
    return 1
'''
FILES = {
    "__init__.py": "",
    "steps.py": STEPS,
    "features.py": "from .deep import reexported\nSCALE = 2\n\ndef make(t):\n    return reexported(t) * SCALE\n\ndef other():\n    return 0\n",
    "tables.py": "RATES = {'a': 1}\nRATES['b'] = 2\n\n"
    "class Base:\n    def of(self, t):\n        return len(t)\n\nclass Total(Base):\n    def __init__(self, d):\n        self.d = d\n",
    "late.py": "def late(x):\n    return x\n",
    "deep/__init__.py": "from shop.deep.inner import reexported\n",
    "deep/inner.py": "def reexported(t):\n    return 1\n\ndef value():\n    return 5\n",
}  # fmt: skip


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    folder = tmp_path / "shop"
    for name, text in FILES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)  # an edit within a second of the last one would not be seen
    yield folder
    forget()


def forget() -> None:
    for name in [n for n in sys.modules if n.split(".")[0] in ("shop", "alone", "beside")]:
        del sys.modules[name]


def code_in(folder: Path) -> Code:
    """As a new process would see it."""
    forget()
    importlib.invalidate_caches()
    return code_of(importlib.import_module("shop.steps").fit)


def edit(folder: Path, file: str, before: str, after: str) -> None:
    path = folder / file
    assert before in path.read_text()
    path.write_text(path.read_text().replace(before, after))


@pytest.mark.parametrize(
    ("file", "before", "after"),
    [
        ("steps.py", "return made", "return 1 + made"),
        ("steps.py", "depth: int = 3", "depth: int = 4"),
        ("steps.py", "LIMIT = 15", "LIMIT = 16"),
        ("steps.py", "else 0", "else 1"),
        ("features.py", "* SCALE", "+ SCALE"),
        ("features.py", "SCALE = 2", "SCALE = 3"),
        ("tables.py", "'a': 1", "'a': 7"),
        ("tables.py", "['b'] = 2", "['b'] = 3"),
        ("tables.py", "self.d = d", "self.d = -d"),
        ("tables.py", "len(t)", "len(t) + 1"),
        ("late.py", "return x", "return -x"),
        ("deep/inner.py", "return 1", "return 2"),
        ("deep/inner.py", "return 5", "return 6"),
    ],
)
def test_whatever_the_step_reaches_counts(shop: Path, file: str, before: str, after: str) -> None:
    old = code_in(shop)

    edit(shop, file, before, after)

    assert code_in(shop).digest() != old.digest()


@pytest.mark.parametrize(
    ("file", "before", "after"),
    [
        ("steps.py", "# a comment", "# another"),
        ("steps.py", '"""Fit."""', '"""Fit it."""'),
        ("steps.py", 'table: "Table"', "table"),
        ("steps.py", "return 1\n", "return 2\n"),
        ("steps.py", '"not used"', '"still not used"'),
        ("features.py", "return 0", "return 1"),
        ("late.py", "def late(x):\n    return x", "def late(x):\n\n    return (x)"),
    ],
)
def test_what_cannot_change_the_result_does_not_count(shop: Path, file: str, before: str, after: str) -> None:
    old = code_in(shop)

    edit(shop, file, before, after)

    assert code_in(shop) == old


def test_a_changed_helper_is_named_by_its_module(shop: Path) -> None:
    old = code_in(shop)
    edit(shop, "late.py", "return x", "return -x")

    new = code_in(shop)

    assert new.own == old.own
    assert [m for m in new.reached if new.reached[m] != old.reached[m]] == ["shop.late"]


def test_nothing_is_imported_to_find_out(shop: Path) -> None:
    code_in(shop)

    assert "shop.late" not in sys.modules
    before = code_in(shop)
    importlib.import_module("shop.late")
    assert code_of(sys.modules["shop.steps"].fit) == before


def test_modules_beside_a_script_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "beside.py").write_text("def f():\n    return 1\n")
    (tmp_path / "alone.py").write_text("import beside\nimport json\n\ndef g():\n    return json.dumps(beside.f())\n")
    old = code_of(importlib.import_module("alone").g)
    (tmp_path / "beside.py").write_text("def f():\n    return 22\n")

    forget()
    new = code_of(importlib.import_module("alone").g)

    assert new.own == old.own
    assert new.reached.keys() == {"beside"}
    assert new.reached != old.reached
    forget()


def closing_over(value: object) -> Code:
    def inner() -> object:
        return value

    return code_of(inner)


def test_values_that_a_function_closes_over_count() -> None:
    assert closing_over(1) == closing_over(1)
    assert len({closing_over(v).digest() for v in (1, 1.5, True, "a", (1, 2), {"a": 1}, None, code_in, FILES)}) == 9


def test_a_value_that_cannot_be_addressed_is_refused() -> None:
    with pytest.raises(InputInvalid, match="uses 'value', a object from outside"):
        closing_over(object())


def test_functions_without_a_file_are_told_apart_by_what_they_do() -> None:
    def made(text: str) -> Code:
        names: dict[str, object] = {"__name__": "no.such.module"}
        exec(text, names)
        return code_of(names["f"])  # type: ignore[arg-type]

    base = made("def f():\n    return g()\ndef g():\n    return K\nK = 1")

    assert base == made("def f():\n\n    return g()\ndef g():\n    return K\nK = 1")
    assert base != made("def f():\n    return g()\ndef g():\n    return K\nK = 2")
    assert base != made("def f():\n    return g()\ndef g():\n    return K + 1\nK = 1")
    assert base != made("def f():\n    return g() + 1\ndef g():\n    return K\nK = 1")


def test_lambdas_follow_what_they_call() -> None:
    assert code_of(CALLS_EDIT).reached.keys() == {__name__}
    assert code_of(CALLS_EDIT) != code_of(CALLS_FORGET)


CALLS_EDIT, CALLS_FORGET = (lambda: edit(Path(), "", "", "")), (lambda: [forget()])
