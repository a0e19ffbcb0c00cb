"""The face of the package: its names, what they say of themselves, and what importing it does not cost."""

import inspect
import json
import subprocess
import sys

import pytest

import noria

HEAVY = ("numpy", "polars", "sklearn", "sqlalchemy", "litestar", "rich", "onnxruntime", "pandas", "lightgbm")
LOADED = f"import json, sys; sys.stderr.write(json.dumps([name for name in {HEAVY!r} if name in sys.modules]))"
HELP = "import contextlib; from noria.cli.main import main\nwith contextlib.suppress(SystemExit): main({})\n"

STARTS = {
    "import": "import noria\n",
    "names are listed": "import noria; dir(noria); noria.__version__\n",
    "no command": HELP.format([]),
    "help": HELP.format(["--help"]),
    "version": HELP.format(["--version"]),
}


@pytest.mark.parametrize("code", STARTS.values(), ids=STARTS.keys())
def test_starting_imports_nothing_heavy(code: str) -> None:
    done = subprocess.run([sys.executable, "-c", code + LOADED], capture_output=True, text=True, check=True)

    assert json.loads(done.stderr) == []


def test_help_of_the_program_itself_imports_nothing_heavy() -> None:
    arguments = [sys.executable, "-X", "importtime", "-m", "noria.cli.main", "--help"]

    done = subprocess.run(arguments, capture_output=True, text=True, check=True)

    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in done.stderr.splitlines()}
    assert "noria" in imported
    assert imported.isdisjoint(HEAVY)


@pytest.mark.parametrize("name", noria.__all__)
def test_every_public_name_resolves(name: str) -> None:
    assert getattr(noria, name) is not None


def test_all_lists_what_is_there_and_nothing_else() -> None:
    for name in noria.__all__:
        getattr(noria, name)
    here = {
        name
        for name, value in vars(noria).items()
        if not name.startswith("_")
        and not inspect.ismodule(value)
        and name not in ("import_module", "ModuleType", "TYPE_CHECKING", "Any")
    }

    assert here | {"__version__"} == set(noria.__all__) == set(dir(noria))
    assert len(noria.__all__) == len(set(noria.__all__))


@pytest.mark.parametrize("name", [name for name in noria.__all__ if name != "__version__"])
def test_every_public_name_says_what_it_is(name: str) -> None:
    said = inspect.getdoc(getattr(noria, name)) or ""

    assert len(said.split()) >= 3, f"noria.{name} has no docstring of its own"
    assert not said.startswith(f"{name}("), f"the docstring of noria.{name} is only its signature"


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Wheelbarrow'"):
        _ = noria.Wheelbarrow


@pytest.mark.parametrize("first", ["noria.pipeline.declare", "noria.pipeline.run", "noria.app.turn"])
def test_a_public_name_stays_itself_beside_a_package_of_the_same_name(first: str) -> None:
    code = f"import {first}, noria; from noria import pipeline; assert pipeline is noria.pipeline; print(pipeline.__qualname__)"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout == "pipeline\n"
