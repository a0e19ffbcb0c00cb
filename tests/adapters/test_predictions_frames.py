"""Frames of a journal larger than one write: whole when all of it could be written, gone when the disk was full in the middle."""

import os
import resource
from pathlib import Path

import pytest

from noria.adapters.predictions.frames import AT_ONCE, HEADER_LENGTH, Appender, read_frames
from noria.errors import DiskFull

KIND = b"test"
LARGE = os.urandom(3 * AT_ONCE + 7)


@pytest.fixture
def appender(tmp_path: Path) -> Appender:
    path = tmp_path / "journal"
    descriptor = os.open(path, os.O_CREAT | os.O_APPEND | os.O_WRONLY)
    made = Appender(descriptor, path=path, end=0, durable=False)
    made.begin(KIND)
    return made


def test_a_frame_of_several_writes_is_read_back_as_one(appender: Appender) -> None:
    for body in (b"first", LARGE, b"last"):
        appender.append(body)
    appender.close()

    assert read_frames(appender.path, KIND, sealed=True)[0] == [b"first", LARGE, b"last"]


def test_a_disk_that_is_full_at_the_second_write_keeps_nothing_of_the_frame(appender: Appender) -> None:
    appender.append(b"first")
    stood = appender.end
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (stood + AT_ONCE + 100, limits[1]))
    try:
        with pytest.raises(DiskFull):
            appender.append(LARGE)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)

    assert (appender.broken, appender.end) == (False, stood)
    assert os.path.getsize(appender.path) == stood
    appender.append(b"after")
    appender.close()
    assert read_frames(appender.path, KIND, sealed=True)[0] == [b"first", b"after"]


def test_what_a_killed_writer_left_of_a_frame_is_no_frame(appender: Appender) -> None:
    appender.append(b"first")
    appender.append(LARGE)
    appender.close()
    with open(appender.path, "r+b") as file:
        file.truncate(HEADER_LENGTH + 2 * AT_ONCE)

    assert read_frames(appender.path, KIND)[0] == [b"first"]
