"""The law of ports/blobs as tests. Subclass `BlobStoreSuite` with a `store` fixture; faults of one medium have their own tests.

class TestMine(BlobStoreSuite):
    @pytest.fixture
    def store(self):
        return my_store()
"""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from noria.domain.ids import Digest, digest_of
from noria.errors import AlreadyExists, InputInvalid, NotFound, SourceUnreadable
from noria.ports.blobs import BlobStore

GOOD_NAMES = ["a", "serving/churn.json", "a/b/c/d.txt", "0", "x_1-2.3", ".hidden", "a..b", "z" * 200]
BAD_NAMES = [
    "",
    ".",
    "..",
    "...",
    "/",
    "/etc/passwd",
    "a/",
    "a//b",
    "../a",
    "a/../b",
    "a/./b",
    "a/..",
    "..\\a",
    "a\\b",
    "c:/a",
    "A",
    "a b",
    "a\n",
    "a\x00b",
    "%2e%2e/a",
    "a%2fb",
    "ａ",
    "é",
    "․․/a",
    "~",
    "a:b",
    "a*",
    "z" * 201,
    "/".join("a" * 600),
]
BAD_DIGESTS = [
    "",
    "blake3:",
    "blake3:" + "0" * 63,
    "blake3:" + "G" * 64,
    "blake3:" + "A" * 64,
    "sha256:" + "0" * 64,
    "blake3:../../../" + "0" * 55,
]
ABSENT = digest_of(b"never stored")


class BlobStoreSuite:
    """What every blob store does."""

    @pytest.mark.parametrize("content", [b"", b"a", bytes(range(256)) * 5000], ids=["empty", "one byte", "a megabyte"])
    def test_content_comes_back_under_its_digest(self, store: BlobStore, content: bytes) -> None:
        digest = store.put(content)

        assert digest == digest_of(content)
        assert store.get(digest) == content
        assert store.has(digest)
        assert store.size(digest) == len(content)

    def test_same_content_is_held_once(self, store: BlobStore, tmp_path: Path) -> None:
        file = tmp_path / "given"
        file.write_bytes(b"abc")

        assert store.put(b"abc") == store.put(b"abc") == store.put_file(file)
        assert list(store.digests()) == [digest_of(b"abc")]

    def test_a_file_is_kept_whole(self, store: BlobStore, tmp_path: Path) -> None:
        content = os.urandom(3_000_001)
        file = tmp_path / "given"
        file.write_bytes(content)

        digest = store.put_file(file)

        assert digest == digest_of(content)
        assert store.get(digest) == content

    def test_what_is_not_held_is_not_found(self, store: BlobStore, tmp_path: Path) -> None:
        assert not store.has(ABSENT)
        for ask in (store.get, store.size, lambda d: store.export(d, tmp_path / "target")):
            with pytest.raises(NotFound):
                ask(ABSENT)
        with pytest.raises(SourceUnreadable):
            store.put_file(tmp_path / "missing")
        assert list(store.digests()) == []

    def test_export_writes_a_new_file_and_no_old_one(self, store: BlobStore, tmp_path: Path) -> None:
        digest = store.put(b"abc")

        store.export(digest, tmp_path / "target")

        assert (tmp_path / "target").read_bytes() == b"abc"
        assert not (tmp_path / "target").stat().st_mode & 0o222, "a file that may be a link into the store is read-only"
        with pytest.raises(AlreadyExists):
            store.export(digest, tmp_path / "target")

    def test_replacing_an_exported_file_leaves_the_store_as_it_was(self, store: BlobStore, tmp_path: Path) -> None:
        digest = store.put(b"abc")
        store.export(digest, tmp_path / "target")

        (tmp_path / "other").write_bytes(b"xyz")
        (tmp_path / "other").rename(tmp_path / "target")

        assert store.get(digest) == b"abc"

    def test_deleted_content_is_gone_and_may_return(self, store: BlobStore) -> None:
        digest = store.put(b"abc")

        store.delete(digest)
        store.delete(digest)

        assert not store.has(digest)
        assert list(store.digests()) == []
        assert store.put(b"abc") == digest
        assert store.get(digest) == b"abc"

    def test_what_comes_in_pieces_is_kept_whole(self, store: BlobStore) -> None:
        content = os.urandom(2_500_001)

        digest, size = store.put_chunks(content[place : place + 70_000] for place in range(0, len(content), 70_000))

        assert (digest, size) == (digest_of(content), len(content))
        assert b"".join(store.chunks(digest)) == content
        assert store.put_chunks(iter(())) == (digest_of(b""), 0)
        assert list(store.chunks(digest_of(b""))) == []

    def test_content_is_put_together_from_contents_of_the_same_store(self, store: BlobStore) -> None:
        parts = [store.put(bytes([number]) * (6 << 20)) for number in range(2)]

        digest, size = store.put_chunks(piece for part in parts for piece in store.chunks(part))

        assert size == 12 << 20
        assert digest == digest_of(bytes(6 << 20) + b"\x01" * (6 << 20))

    def test_any_stretch_can_be_read(self, store: BlobStore) -> None:
        content = os.urandom(2_500_001)
        digest = store.put(content)

        for start, end in (
            (0, 1),
            (1, 2_500_001),
            (1_048_575, 1_048_577),
            (2_500_000, None),
            (5, 5),
            (3_000_000, None),
        ):
            assert b"".join(store.chunks(digest, start=start, end=end)) == content[start:end]
        assert all(len(piece) <= 1 << 20 for piece in store.chunks(digest))
        with pytest.raises(NotFound):
            store.chunks(ABSENT)

    def test_pieces_that_break_off_leave_nothing(self, store: BlobStore) -> None:
        def broken() -> Iterator[bytes]:
            yield b"a" * 100_000
            raise ConnectionError("the client went away")

        with pytest.raises(ConnectionError):
            store.put_chunks(broken())

        assert list(store.digests()) == []

    def test_only_what_nobody_put_lately_is_deleted_as_idle(self, store: BlobStore) -> None:
        before = datetime.now(UTC) - timedelta(hours=1)
        digest = store.put(b"abc")
        after = datetime.now(UTC) + timedelta(hours=1)

        assert list(store.digests(idle_since=before)) == []
        assert not store.delete(digest, idle_since=before)
        assert store.has(digest)
        assert list(store.digests(idle_since=after)) == [digest]
        assert store.delete(digest, idle_since=after)
        assert not store.delete(digest, idle_since=after)
        assert not store.has(digest)

    @pytest.mark.parametrize("text", BAD_DIGESTS)
    def test_an_odd_digest_is_refused(self, store: BlobStore, tmp_path: Path, text: str) -> None:
        digest = Digest(text)
        for ask in (store.get, store.has, store.size, store.delete, lambda d: store.export(d, tmp_path / "target")):
            with pytest.raises(InputInvalid):
                ask(digest)

    @pytest.mark.parametrize("name", GOOD_NAMES)
    def test_a_document_is_replaced_whole(self, store: BlobStore, name: str) -> None:
        assert store.published(name) is None

        store.publish(name, b"a longer first version")
        store.publish(name, b"second")

        assert store.published(name) == b"second"
        assert list(store.digests()) == []

    @pytest.mark.parametrize("name", BAD_NAMES)
    def test_an_odd_name_is_refused(self, store: BlobStore, name: str) -> None:
        with pytest.raises(InputInvalid):
            store.publish(name, b"x")
        with pytest.raises(InputInvalid):
            store.published(name)

    def test_a_name_is_not_folder_and_document_at_once(self, store: BlobStore) -> None:
        store.publish("a/b", b"1")

        with pytest.raises(InputInvalid):
            store.publish("a", b"2")
        with pytest.raises(InputInvalid):
            store.publish("a/b/c", b"3")
        assert store.published("a/b") == b"1"
        assert store.published("a") is None

    def test_readers_see_one_version_or_the_other_while_it_is_replaced(self, store: BlobStore) -> None:
        versions = [bytes([i]) * 10_000 for i in range(20)]
        store.publish("doc", versions[0])

        with ThreadPoolExecutor(4) as pool:
            reads = [pool.submit(store.published, "doc") for _ in range(200)]
            for version in versions:
                store.publish("doc", version)

        assert {read.result() for read in reads} <= set(versions)
        assert store.published("doc") == versions[-1]

    def test_many_threads_put_the_same_and_other_content(self, store: BlobStore) -> None:
        contents = [bytes([i % 7]) * 5000 for i in range(70)]

        with ThreadPoolExecutor(8) as pool:
            digests = list(pool.map(store.put, contents))

        assert digests == [digest_of(content) for content in contents]
        assert sorted(store.digests()) == sorted(set(digests))
