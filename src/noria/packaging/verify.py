"""Whether a folder holds exactly the files of a bundle, byte for byte; nothing is loaded before. Called by bundle and by whoever serves a folder.

Every refusal names the file. Laying files out is bundle; whether a bundle may run code is trust.
"""

import os
import stat
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from blake3 import blake3

from noria.domain.bundle import Bundle, FileEntry
from noria.errors import BundleCorrupt, BundleRefused


def verify(folder: Path, manifest: Bundle) -> None:
    """Refuse a folder that differs from its bundle: a file that is changed, cut short, missing, not named by the manifest, or no plain file.

    Raises BundleCorrupt naming the file.
    """
    wanted = {entry.path: entry for entry in manifest.files}
    if folder.is_symlink():
        raise BundleCorrupt(f"the folder of the bundle for model {manifest.model!r} is a symbolic link")
    for path in _walk(folder):
        name = path.relative_to(folder).as_posix()
        if not stat.S_ISREG(path.lstat().st_mode):
            raise BundleCorrupt(
                f"{name!r} in the bundle for model {manifest.model!r} is no plain file",
                cause="symbolic links and devices lead out of the bundle",
            )
        if name not in wanted:
            raise BundleCorrupt(f"file {name!r} does not belong to the bundle for model {manifest.model!r}")
    for entry in manifest.files:
        check_file(folder / entry.path, entry, model=manifest.model)


def check_file(path: Path, entry: FileEntry, *, model: str) -> None:
    """Read one file and compare it with its entry. Raises BundleCorrupt naming it."""
    problem = f"file {entry.path!r} of the bundle for model {model!r} differs from its recorded digest"
    found = blake3()
    try:
        size = path.lstat().st_size
        if size != entry.size:
            raise BundleCorrupt(problem, cause=f"it has {size} bytes, recorded are {entry.size}")
        with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW), "rb") as stream:
            while block := stream.read(1 << 20):
                found.update(block)
    except FileNotFoundError as exc:
        raise BundleCorrupt(f"file {entry.path!r} of the bundle for model {model!r} is missing") from exc
    except OSError as exc:
        raise BundleCorrupt(
            f"file {entry.path!r} of the bundle for model {model!r} cannot be read", cause=str(exc)
        ) from exc
    if "blake3:" + found.hexdigest() != entry.digest:
        raise BundleCorrupt(problem, cause=f"its digest is blake3:{found.hexdigest()}, recorded is {entry.digest}")


def check_paths(manifest: Bundle) -> None:
    """Refuse a manifest that names a file outside its folder, or one file twice. Raises BundleRefused."""
    seen: set[str] = set()
    for entry in manifest.files:
        path = PurePosixPath(entry.path)
        strange = "\\" in entry.path or "\x00" in entry.path or path.as_posix() != entry.path
        if path.is_absolute() or ".." in path.parts or not path.parts or strange:
            raise BundleRefused(
                f"the bundle for model {manifest.model!r} names a file outside itself: {entry.path!r}",
                remedy="do not trust where it came from",
            )
        if entry.path in seen:
            raise BundleRefused(
                f"the bundle for model {manifest.model!r} names {entry.path!r} twice",
                remedy="do not trust where it came from",
            )
        seen.add(entry.path)


def _walk(folder: Path) -> Iterator[Path]:
    """Everything below a folder but its plain folders; links are not followed."""
    for found in sorted(folder.iterdir()) if folder.is_dir() else ():
        if found.is_dir() and not found.is_symlink():
            yield from _walk(found)
        else:
            yield found
