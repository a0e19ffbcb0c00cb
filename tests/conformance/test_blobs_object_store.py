"""Blobs in an object store under the suite of the port, against a real S3 server over HTTP; and what only an object store has to get right."""

import hashlib
import os
from datetime import UTC, datetime, timedelta

import pytest

from noria.adapters.blobs import object_store
from noria.domain.ids import digest_of
from noria.errors import NotFound, SettingInvalid, StoreUnavailable
from noria.testing.blobs_suite import BlobStoreSuite
from tests.peers.s3 import bucket, s3_server  # noqa: F401 (fixtures)

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")


@pytest.fixture
def store(bucket):  # noqa: F811
    return object_store.open_store(bucket)


class TestObjectStore(BlobStoreSuite):
    pass


def test_what_is_larger_than_a_part_is_uploaded_while_it_comes(store):
    content = os.urandom(3 * object_store.PART + 5)
    digest, size = store.put_chunks(content[place : place + 700_000] for place in range(0, len(content), 700_000))

    assert (digest, size) == (digest_of(content), len(content))
    assert store.size(digest) == len(content)
    assert b"".join(store.chunks(digest)) == content
    assert (
        b"".join(store.chunks(digest, start=object_store.PART - 3, end=object_store.PART + 3))
        == (content[object_store.PART - 3 : object_store.PART + 3])
    )
    assert list(store.digests()) == [digest]
    assert store.put_chunks(iter([content])) == (digest, size), "the second copy is dropped again"
    assert list(store.digests()) == [digest]


def test_deleting_large_content_frees_its_parts(store):
    digest, _ = store.put_chunks(iter([os.urandom(object_store.PART + 1)]))

    assert store.delete(digest)

    assert not store.has(digest)
    assert [meta["path"] for batch in object_store.obstore.list(store._store) for meta in batch] == []


def test_a_large_upload_that_breaks_off_leaves_nothing_to_find(store):
    def broken():
        yield os.urandom(object_store.PART + 1)
        raise ConnectionError("the client went away")

    with pytest.raises(ConnectionError, match="went away"):
        store.put_chunks(broken())

    assert list(store.digests()) == []


def test_a_copy_on_the_way_is_not_believed(store):
    digest = store.put(b"what was stored")
    object_store.obstore.put(store._store, object_store._key("objects", digest), b"something other")

    with pytest.raises(Exception, match="damaged"):
        store.get(digest)


def test_two_openings_see_the_same(store, bucket):  # noqa: F811
    digest = store.put(b"abc")

    other = object_store.open_store(bucket)

    assert other.get(digest) == b"abc"
    assert list(other.digests(idle_since=datetime.now(UTC) - timedelta(minutes=5))) == []


@pytest.mark.parametrize(
    ("location", "problem"),
    [
        ("ftp://bucket", "no object store"),
        ("s3://", "no object store"),
        ("s3://key:secret@bucket/a", "carries a secret"),
        ("s3://bucket/a?secret_access_key=abc", "no option"),
    ],
)
def test_an_address_that_cannot_be_is_refused_without_repeating_a_secret(location, problem):
    with pytest.raises(SettingInvalid, match=problem) as caught:
        object_store.open_store(location)

    assert "secret@" not in str(caught.value)
    assert "abc" not in str(caught.value).replace("access", "")


def test_a_bucket_that_is_not_there_is_said(s3_server, bucket):  # noqa: F811
    store = object_store.open_store(f"s3://never-made/x?endpoint={s3_server}&region=us-east-1")

    with pytest.raises((SettingInvalid, StoreUnavailable), match="cannot be stored"):
        store.put(b"abc")
    with pytest.raises((NotFound, SettingInvalid, StoreUnavailable)):
        store.get(digest_of(b"abc"))


def test_streaming_holds_a_few_parts_at_most(store):
    import tracemalloc

    def pieces():
        for number in range(64):
            yield hashlib.sha256(str(number).encode()).digest() * 32_768  # 1 MiB

    tracemalloc.start()
    digest, size = store.put_chunks(pieces())
    read = sum(len(piece) for piece in store.chunks(digest))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert size == read == 64 << 20
    assert peak < 6 * object_store.PART
