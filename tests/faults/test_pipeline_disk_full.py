"""A disk that fills up while a step's result is stored: the step is given back, what was done is kept, and it goes on when there is room."""

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from noria.adapters.blobs.local import open_store as open_blobs
from noria.adapters.executors.inline import open_executor
from noria.adapters.metadata.memory import open_store as open_metadata
from noria.domain.ids import digest_of
from noria.errors import DiskFull
from noria.pipeline.declare import pipeline, step
from noria.pipeline.run import PipelineRun, run_pipeline
from noria.testing.clock import FakeClock

pytestmark = pytest.mark.faults
RAN: list[str] = []


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MB, where this may be mounted."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", folder], capture_output=True, check=False)
    if mount.returncode:
        pytest.skip("only root may mount a small file system")
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


@step
def small() -> bytes:
    RAN.append("small")
    return bytes(1000)


@step
def large(small: bytes) -> bytes:
    RAN.append("large")
    return small * 1500


def run(folder: Path, metadata: Any, holder: str) -> PipelineRun:
    return run_pipeline(
        pipeline("p", small, large),
        journal=metadata.journal,
        blobs=open_blobs(str(folder)),
        executor=open_executor(workers=1),
        clock=FakeClock(),
        holder=holder,
        environment=digest_of(b"e"),
    )


def test_a_full_disk_loses_no_step_that_was_done(small_disk: Path) -> None:
    RAN.clear()
    metadata = open_metadata("", project="p")
    filler = small_disk / "filler"
    filler.write_bytes(bytes(1_000_000))

    with pytest.raises(DiskFull) as caught:
        run(small_disk, metadata, "one")
    assert caught.value.retryable
    filler.unlink()
    again = run(small_disk, metadata, "another")  # the lease was given back: nobody has to wait for it

    assert RAN == ["small", "large", "large"]
    assert [s.state for s in again.steps] == ["cached", "done"]
    assert len(again["large"]) == 1_500_000
