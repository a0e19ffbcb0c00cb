"""The local blob store against full disks, killed writers, damaged files and planted links."""

import errno
import os
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from noria.adapters.blobs import local
from noria.domain.ids import Digest, digest_of
from noria.errors import DiskFull, InputInvalid, StoreCorrupt

pytestmark = pytest.mark.faults

BIG = random.Random(7).randbytes(2_000_000)


@pytest.fixture
def big_file(tmp_path: Path) -> Path:
    path = tmp_path / "big"
    path.write_bytes(BIG)
    return path


def files_below(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


WAYS: dict[str, Callable[[local.LocalBlobStore, Path], object]] = {
    "put": lambda store, _: store.put(BIG),
    "put_file": lambda store, file: store.put_file(file),
    "publish": lambda store, _: store.publish("doc", BIG),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_full_disk_keeps_nothing_of_the_write_and_all_before_it(big_file: Path, small_disk: Path, way: str) -> None:
    store = local.open_store(str(small_disk / "blobs"))
    kept = store.put(b"a" * 100_000)
    store.publish("doc", b"first")
    before = files_below(small_disk)

    with pytest.raises(DiskFull) as raised:
        WAYS[way](store, big_file)

    assert raised.value.retryable
    assert files_below(small_disk) == before
    assert not store.has(digest_of(BIG))
    assert store.get(kept) == b"a" * 100_000
    assert store.published("doc") == b"first"
    assert store.get(store.put(b"after")) == b"after"


def test_export_to_a_full_disk_leaves_no_part_behind(big_file: Path, small_disk: Path, tmp_path: Path) -> None:
    store = local.open_store(str(tmp_path / "blobs"))  # another file system than the small disk: no link is possible
    if os.stat(tmp_path).st_dev == os.stat(small_disk).st_dev:
        pytest.skip("needs the right to mount a small disk")
    digest = store.put_file(big_file)

    with pytest.raises(DiskFull):
        store.export(digest, small_disk / "target")

    assert files_below(small_disk) == []
    store.export(digest, tmp_path / "target")
    assert (tmp_path / "target").stat().st_nlink == 2, "on the same file system the export is a link"


def test_export_to_another_file_system_is_a_copy(small_disk: Path, tmp_path: Path) -> None:
    store = local.open_store(str(tmp_path / "blobs"))
    digest = store.put(b"abc")

    store.export(digest, small_disk / "target")

    assert (small_disk / "target").read_bytes() == b"abc"
    assert not (small_disk / "target").stat().st_mode & 0o222


PUTTER = """
import sys, random
from noria.adapters.blobs import local
store = local.open_store(sys.argv[1])
source = random.Random(int(sys.argv[2]))
while True:
    content = source.randbytes(source.randint(0, 300_000))
    digest = store.put(content)
    store.publish("newest", digest.encode())
    print(digest, flush=True)
"""


@pytest.mark.parametrize("seed", range(4))
def test_a_killed_writer_leaves_content_whole_or_absent(tmp_path: Path, seed: int) -> None:
    answered: list[Digest] = []
    with subprocess.Popen(
        [sys.executable, "-c", PUTTER, str(tmp_path), str(seed)], stdout=subprocess.PIPE, text=True
    ) as putter:
        assert putter.stdout is not None
        for _ in range(random.Random(seed).randint(3, 40)):
            answered.append(Digest(putter.stdout.readline().strip()))
        putter.kill()
        answered += [Digest(line.strip()) for line in putter.stdout.read().split("\n") if len(line) == 71]

    store = local.open_store(str(tmp_path))

    assert all(digest_of(store.get(digest)) == digest for digest in answered)
    assert all(digest_of(store.get(digest)) == digest for digest in store.digests()), "nothing half is at an address"
    assert len(set(store.digests()) - set(answered)) <= 1, "at most the one whose answer was on its way"
    newest = store.published("newest")
    assert newest is not None
    assert store.has(Digest(newest.decode()))
    assert files_below(tmp_path / "incoming") == [], "leftovers are swept when the store is opened"


def test_opening_beside_a_live_writer_leaves_its_temporary_file_alone(tmp_path: Path, big_file: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    store = str(tmp_path / "blobs")
    script = "import sys; from pathlib import Path; from noria.adapters.blobs import local\n"
    script += "print(local.open_store(sys.argv[1]).put_file(Path(sys.argv[2])))"
    with subprocess.Popen(
        [sys.executable, "-c", script, store, str(fifo)], stdout=subprocess.PIPE, text=True
    ) as putter:
        with open(fifo, "wb") as feed:
            feed.write(BIG[:1_500_000])
            feed.flush()
            local.open_store(store)
            assert len(files_below(tmp_path / "blobs" / "incoming")) == 1
            feed.write(BIG[1_500_000:])
        assert putter.stdout is not None
        assert putter.stdout.read().strip() == digest_of(BIG)

    assert local.open_store(store).get(digest_of(BIG)) == BIG


@pytest.mark.parametrize("change", ["flip", "cut", "lengthen", "empty"])
def test_damaged_content_is_never_given_out(tmp_path: Path, change: str) -> None:
    store = local.open_store(str(tmp_path / "blobs"))
    digest = store.put(b"a" * 5000)
    (path,) = files_below(tmp_path / "blobs" / "objects")
    path.chmod(0o644)
    path.write_bytes(
        {"flip": b"a" * 2500 + b"b" + b"a" * 2499, "cut": b"a" * 4999, "lengthen": b"a" * 5001, "empty": b""}[change]
    )

    for read in (lambda: store.get(digest), lambda: store.export(digest, tmp_path / "target")):
        with pytest.raises(StoreCorrupt) as raised:
            read()
        assert str(path) in str(raised.value)
    assert not (tmp_path / "target").exists()

    store.delete(digest)
    store.put(b"a" * 5000)
    assert store.get(digest) == b"a" * 5000


@pytest.mark.parametrize("name", ["link", "link/inside", "folder/link"])
def test_a_document_never_leads_through_a_symbolic_link(tmp_path: Path, name: str) -> None:
    store = local.open_store(str(tmp_path / "blobs"))
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "inside").write_bytes(b"secret")
    store.publish("folder/real", b"x")
    (tmp_path / "blobs" / "documents" / "link").symlink_to(outside)
    (tmp_path / "blobs" / "documents" / "folder" / "link").symlink_to(outside / "inside")

    with pytest.raises(InputInvalid):
        store.publish(name, b"y")
    with pytest.raises(InputInvalid):
        store.published(name)
    assert (outside / "inside").read_bytes() == b"secret"


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_every_way_of_being_full_is_disk_full(number: int) -> None:
    assert DiskFull.is_behind(OSError(number, os.strerror(number)))
    assert not DiskFull.is_behind(OSError(errno.EIO, "input/output error"))
