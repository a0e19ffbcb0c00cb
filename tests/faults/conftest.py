"""A disk that is soon full, for every store's tests."""

import resource
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

MOUNT = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs"]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder on a disk of one megabyte; where mounting is not allowed, a limit of 600 kB on the size of a file stands in for it."""
    folder = tmp_path / "small"
    folder.mkdir()
    if subprocess.run([*MOUNT, str(folder)], check=False, capture_output=True).returncode == 0:
        yield folder
        subprocess.run(["umount", "-l", str(folder)], check=True)
        return
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (600_000, before[1]))
    yield folder
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
