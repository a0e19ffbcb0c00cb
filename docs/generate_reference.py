"""Write docs/reference/*.md from the code: commands, settings, events, errors, ports, REST, queries. `--write` writes; a test holds the pages to it.

What a page says is taken from docstrings, the parsers, the wheel and the OpenAPI document; nothing is said here that could part from them.
"""

import argparse
import ast
import inspect
import json
import pkgutil
import sys
from collections.abc import Iterator
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import get_args

import noria.ports
from noria.app import settings
from noria.app.plugins import BUILT_IN
from noria.cli.main import COMMANDS, command
from noria.domain import events
from noria.domain.declaration import Declaration, DeclaredVariant
from noria.domain.deployment import CanaryPlan, CanaryStep, Objective
from noria.domain.policy import Policy
from noria.domain.trigger import TriggerRule
from noria.errors import NoriaError
from noria.loop.wheel import WHEEL

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "docs" / "reference"
MADE = "<!-- Written by docs/generate_reference.py from the code: change that, then run it with --write. -->"
PORTS_OF_METADATA = ("ledger", "runs", "models", "deployments", "journal", "counts", "leases")
FOLDERS = {"executor": "executors", "flavor": "flavors", "notifier": "notifiers"}


def cell(text: str) -> str:
    """Text that may stand in a table."""
    return " ".join(text.split()).replace("|", "\\|")


def said(thing: object) -> str:
    """The docstring without its examples."""
    return (inspect.getdoc(thing) or "").split("\n>>>")[0].strip()


def first(text: str) -> str:
    """The first line."""
    return text.partition("\n")[0]


def classes(module: ModuleType) -> dict[str, ast.ClassDef]:
    """The classes of a module as they are written."""
    tree = ast.parse(inspect.getsource(module))
    return {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}


def fields(node: ast.ClassDef) -> Iterator[tuple[str, str, str, str]]:
    """(name, type, default, what is said below it) of each field."""
    for part, following in zip(node.body, [*node.body[1:], None], strict=True):
        if isinstance(part, ast.AnnAssign) and isinstance(part.target, ast.Name):
            default = ast.unparse(part.value) if part.value is not None else ""
            below = ""
            if isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant):
                below = str(following.value.value)
            yield part.target.id, ast.unparse(part.annotation), default, below


def commands() -> str:
    """Every command with its arguments."""
    parts = [
        "# Commands",
        MADE,
        "Exit codes: 0 well, 1 an error with its remedy on stderr, 2 a wrong command line, 3 a finding, 130 interrupted.",
    ]
    for name, purpose in COMMANDS.items():
        module, its = command(name)
        rows = []
        for action in its._actions:
            if isinstance(action, argparse._HelpAction):
                continue
            shown = ", ".join(f"`{option}`" for option in action.option_strings) or f"`{action.metavar or action.dest}`"
            if action.choices:
                shown += " (" + ", ".join(f"`{choice}`" for choice in action.choices) + ")"
            rows.append(f"| {shown} | {cell(action.help or '')} |")
        parts += [f"## noria {name}", f"{purpose[0].upper()}{purpose[1:]}. {said(module.run)}"]
        parts.append("\n".join(["| argument | |", "|---|---|", *rows]))
    return "\n\n".join(parts)


DECLARED = {
    Declaration: "[deployments.NAME]",
    DeclaredVariant: "[[deployments.NAME.variants]]",
    CanaryPlan: "[deployments.NAME.canary]",
    CanaryStep: "[[deployments.NAME.canary.steps]]",
    Objective: "[[deployments.NAME.canary.objectives]]",
    Policy: "[deployments.NAME.policy]",
    TriggerRule: "[[deployments.NAME.triggers]]",
}
"""What a declared deployment is made of, and where it stands in noria.toml."""


def settings_page() -> str:
    """Every key of noria.toml."""
    parts = [
        "# Settings",
        MADE,
        f"In `{settings.FILE}` at the root of a project. Every key has a default, an unknown key is an error. "
        "The environment variables `NORIA_HOME` and `NORIA_PROJECT` go before the file; "
        "`NORIA_WEBHOOKS_ALLOW` (`http`, `private`) adds to `[webhooks]`; `NORIA_ALLOW_CODE=1` is `allow_code = true` of `[packaging]`; "
        "`NORIA_LOG_FORMAT` and `NORIA_LOG_LEVEL` go before `[logs]`.",
    ]
    written = classes(settings)
    nested = {
        "Settings": "",
        "Stores": "stores",
        "Serving": "serving",
        "Notify": "notify",
        "Receiver": "notify.receivers.NAME",
        "Heartbeat": "notify.heartbeat",
        "Webhooks": "webhooks",
        "Packaging": "packaging",
        "Logs": "logs",
    }
    for name, table in nested.items():
        rows = [
            f"| `{key}` | `{kind}` | `{default}` | {cell(below)} |"
            for key, kind, default, below in fields(written[name])
            if kind not in nested
        ]
        parts += [f"## [{table}]" if table else "## Top level", said(getattr(settings, name))]
        parts.append("\n".join(["| key | type | default | |", "|---|---|---|---|", *rows]))
    for noun, table in DECLARED.items():
        written = classes(sys.modules[noun.__module__])
        rows = [
            f"| `{key}` | `{kind}` | `{default}` | {cell(below)} |"
            for key, kind, default, below in fields(written[noun.__name__])
        ]
        parts += [f"## {table}", said(noun)]
        parts.append("\n".join(["| key | type | default | |", "|---|---|---|---|", *rows]))
    return "\n\n".join(parts)


def events_page() -> str:
    """Every kind of event with its fields, and what the wheel does after it."""
    parts = [
        "# Events",
        MADE,
        "What may stand in the ledger. Each row has besides: `seq`, `id`, `project`, `at`, `recorded_at`, `actor`, `cause`, `previous`, `hash`.",
    ]
    written = classes(events)
    for kind in get_args(events.AnyEvent):
        stage = WHEEL.get(kind)
        after = (
            f"The wheel then does `{stage.__module__.rpartition('.')[2]}.{stage.__name__}`: {first(said(stage))}"
            if stage
            else "Nothing follows from it by the wheel."
        )
        rows = [
            f"| `{key}` | `{cell(type_)}` | {f'`{default}`' if default else 'needed'} | {cell(below)} |"
            for key, type_, default, below in fields(written[kind.__name__])
        ]
        parts += [f"## {kind.__name__}", f"{said(kind)} {after}"]
        parts.append("\n".join(["| field | type | default | |", "|---|---|---|---|", *rows]))
    return "\n\n".join(parts)


def errors_page() -> str:
    """Every error with its code."""
    rows = []

    def walk(kind: type[NoriaError], depth: int) -> None:
        retry = "yes" if kind.retryable else ""
        remedy = (
            f"`{kind.default_remedy}`" if kind.default_remedy.startswith(("noria ", "pip ")) else kind.default_remedy
        )
        rows.append(
            f"| {kind.code} | {'· ' * depth}`{kind.__name__}` | {retry} | {cell(first(said(kind)))} | {remedy} |"
        )
        for child in kind.__subclasses__():
            if child.__module__ == "noria.errors":
                walk(child, depth + 1)

    walk(NoriaError, 0)
    head = "Every error says what happened, why, and one thing to do. A remedy stands here if the error names none of its own."
    table = "\n".join(["| code | error | a retry can help | | remedy |", "|---|---|---|---|---|", *rows])
    return "\n\n".join(["# Errors", MADE, head, table])


def ports() -> str:
    """Every port with its methods and the adapters that are built in."""
    parts = ["# Ports", MADE, said(noria.ports)]
    for found in sorted(pkgutil.iter_modules(noria.ports.__path__), key=lambda f: f.name):
        module = import_module(f"noria.ports.{found.name}")
        folder = "metadata" if found.name in PORTS_OF_METADATA else FOLDERS.get(found.name, found.name)
        built_in = ", ".join(f"`{name}`" for name in BUILT_IN.get(folder, ()))
        parts += [f"## {found.name}", said(module)]
        if built_in:
            beside = " (one adapter fills all of metadata)" if found.name in PORTS_OF_METADATA else ""
            parts.append(f"Built in: {built_in}{beside}. Others by the entry point group `noria.{folder}`.")
        for name, node in classes(module).items():
            rows = []
            for method in node.body:
                if isinstance(method, ast.FunctionDef):
                    taken = "" if method.decorator_list else f"({ast.unparse(method.args)})"
                    signature = method.name + taken.replace("(self, ", "(").replace("(self)", "()")
                    gives = f" -> {ast.unparse(method.returns)}" if method.returns else ""
                    rows.append(f"| `{cell(signature + gives)}` | {cell(ast.get_docstring(method) or '')} |")
            parts += [f"### {name}", said(getattr(module, name))]
            if rows:
                parts.append("\n".join(["| method | |", "|---|---|", *rows]))
    return "\n\n".join(parts)


def rest() -> str:
    """Every path of the control plane, from its OpenAPI document."""
    document = json.loads((ROOT / "web" / "openapi.json").read_text(encoding="utf-8"))
    rows = []
    for path, methods in document["paths"].items():
        for method, what in methods.items():
            text = what.get("description") or what.get("summary", "")
            rows.append(f"| {method.upper()} | `{path}` | {cell(text)} |")
    head = "What the pages use, and scripts may. The document with every type is served at `/api/v1/openapi.json` and stands in `web/openapi.json`."
    return "\n\n".join(["# REST", MADE, head, "\n".join(["| | path | |", "|---|---|---|", *rows])])


def queries() -> str:
    """The search grammar, with the fields of each kind of thing."""
    spec = spec_from_file_location("query_page", ROOT / "docs" / "query_page.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return str(module.query_page(MADE))


PAGES = {
    "commands.md": commands,
    "settings.md": settings_page,
    "events.md": events_page,
    "errors.md": errors_page,
    "ports.md": ports,
    "rest.md": rest,
    "query.md": queries,
}


def pages() -> dict[str, str]:
    """Every page by its file name."""
    return {name: page() + "\n" for name, page in PAGES.items()}


def main() -> int:
    """Write the pages, or say which are out of date (exit 1)."""
    stale = []
    for name, text in pages().items():
        path = FOLDER / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            stale.append(name)
            if "--write" in sys.argv:
                FOLDER.mkdir(exist_ok=True)
                path.write_text(text, encoding="utf-8")
    print("written: " if "--write" in sys.argv else "out of date: ", ", ".join(stale) or "nothing")
    return 1 if stale and "--write" not in sys.argv else 0


if __name__ == "__main__":
    sys.exit(main())
