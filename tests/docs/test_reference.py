"""The reference cannot part from the code: the pages are what the generator writes now, and nothing that exists is missing from them."""

import pkgutil
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import get_args

import msgspec
import pytest

import noria.ports
from noria.app.plugins import BUILT_IN
from noria.app.settings import Settings
from noria.cli.main import COMMANDS, command
from noria.domain.events import AnyEvent
from noria.errors import NoriaError

ROOT = Path(__file__).resolve().parents[2]
REFERENCE = ROOT / "docs" / "reference"


@pytest.fixture(scope="module")
def generator() -> ModuleType:
    spec = spec_from_file_location("generate_reference", ROOT / "docs" / "generate_reference.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def text(name: str) -> str:
    return (REFERENCE / name).read_text(encoding="utf-8")


def errors(kind: type[NoriaError] = NoriaError) -> list[type[NoriaError]]:
    return [kind, *(e for child in kind.__subclasses__() if child.__module__ == "noria.errors" for e in errors(child))]


def test_the_pages_are_up_to_date(generator: ModuleType) -> None:
    written = {path.name: path.read_text(encoding="utf-8") for path in REFERENCE.glob("*.md")}

    stale = sorted(name for name, page in generator.pages().items() if written.get(name) != page)

    assert stale == [], "python docs/generate_reference.py --write"
    assert set(written) == set(generator.PAGES)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_and_every_option_is_there(name: str) -> None:
    _, section = text("commands.md").split(f"## noria {name}\n")
    section = section.partition("\n## ")[0]

    _, parser = command(name)

    options = [
        option for action in parser._actions for option in action.option_strings if option not in ("-h", "--help")
    ]
    assert "--json" in options
    assert [option for option in options if f"`{option}`" not in section] == []


def test_every_event_kind_is_there_with_its_fields() -> None:
    page = text("events.md")

    for kind in get_args(AnyEvent):
        assert f"## {kind.__name__}\n" in page
        section = page.split(f"## {kind.__name__}\n")[1].partition("\n## ")[0]
        assert [f.name for f in msgspec.structs.fields(kind) if f"| `{f.name}` |" not in section] == []


def test_every_error_code_is_there() -> None:
    page = text("errors.md")

    assert [kind.code for kind in errors() if f"| {kind.code} |" not in page] == []
    assert [kind.__name__ for kind in errors() if f"`{kind.__name__}`" not in page] == []


def test_every_port_and_every_built_in_adapter_is_there() -> None:
    page = text("ports.md")

    assert [
        found.name for found in pkgutil.iter_modules(noria.ports.__path__) if f"\n## {found.name}\n" not in page
    ] == []
    missing = [(port, name) for port, names in BUILT_IN.items() for name in names if f"`{name}`" not in page]
    assert missing == []


def test_every_setting_is_there() -> None:
    page = text("settings.md")

    def keys(kind: type) -> list[str]:
        found = []
        for field in msgspec.structs.fields(kind):
            nested = isinstance(field.type, type) and issubclass(field.type, msgspec.Struct)
            found.extend(keys(field.type) if nested else [field.name])
        return found

    assert [key for key in keys(Settings) if f"| `{key}` |" not in page] == []
