"""Which code runs: a digest of the sources, and the commit where there is a repository. Reads files and asks git. Called by app/ and loop/stages."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

from blake3 import blake3

from noria.domain.ids import Digest
from noria.domain.run import CodeVersion

PACKAGE = Path(__file__).resolve().parents[1]
NOT_SOURCES = {"node_modules", "__pycache__", "site-packages"}


def code_version(root: Path = PACKAGE) -> CodeVersion:
    """The version of the Python sources in a folder (Noria's own by default), or of one source file, as they are on disk now.

    Hidden folders, environments and caches are left out; a file that cannot be read counts by its name. commit, dirty: of the repository that holds
    the sources, dirty meaning that git knows of a change among them; None where there is no repository, or no git.

    >>> code_version(PACKAGE) == code_version(PACKAGE)
    True
    """
    hasher = blake3()
    folder = root if root.is_dir() else root.parent
    for path in [root] if root.is_file() else sorted(_sources(root)):
        hasher.update(path.relative_to(folder).as_posix().encode("utf-8", "surrogateescape") + b"\0" + _content(path))
    scope = "." if root.is_dir() else root.name
    commit = _git(folder, "rev-parse", "HEAD")
    changes = _git(folder, "status", "--porcelain", "--", scope) if commit else None
    dirty = None if changes is None else bool(changes)
    return CodeVersion(digest=Digest("blake3:" + hasher.hexdigest()), commit=commit, dirty=dirty)


def _sources(root: Path) -> Iterator[Path]:
    for folder, below, files in os.walk(root):
        here = Path(folder)
        below[:] = [
            name
            for name in below
            if not name.startswith(".") and name not in NOT_SOURCES and not (here / name / "pyvenv.cfg").exists()
        ]
        yield from (here / name for name in files if name.endswith(".py"))


def _content(path: Path) -> bytes:
    """The digest of a file's content. A dangling link or a file of somebody else must not stop a run: it counts as unreadable."""
    try:
        return blake3(path.read_bytes()).digest()
    except OSError:
        return b"unreadable"


def _git(folder: Path, *arguments: str) -> str | None:
    """What git says, or None if it cannot say it."""
    command = ["git", "-C", str(folder), "--no-optional-locks", *arguments]
    try:
        said = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return said.stdout.strip()
