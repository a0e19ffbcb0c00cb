"""Blobs over HTTP under the suite of the port: a real client against a real server over files."""

import asyncio
import os
import socket
import threading
from types import SimpleNamespace

import pytest
from granian.constants import Interfaces
from granian.server.embed import Server
from litestar import Litestar

from noria.adapters.blobs import local, remote
from noria.domain.ids import digest_of
from noria.errors import SettingInvalid, StoreCorrupt, StoreError, StoreUnavailable
from noria.server.control.blobs import blobs_router
from noria.testing.blobs_suite import BlobStoreSuite


@pytest.fixture(scope="module")
def behind():
    """What the server serves now: one server for the file, a fresh store for each test."""
    return SimpleNamespace(blobs=None)


@pytest.fixture(scope="module")
def address(behind):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    loop = asyncio.new_event_loop()
    app = Litestar([blobs_router(behind)], openapi_config=None)
    server = Server(app, address="127.0.0.1", port=port, interface=Interfaces.ASGI)
    thread = threading.Thread(target=lambda: loop.run_until_complete(server.serve()))
    thread.start()
    ready = threading.Event()
    for _ in range(500):
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            break
        except OSError:
            ready.wait(0.02)
    yield f"http://127.0.0.1:{port}"
    loop.call_soon_threadsafe(server.stop)
    thread.join(20)
    loop.close()


@pytest.fixture
def store(behind, address, tmp_path):
    behind.blobs = local.open_store(str(tmp_path / "blobs"))
    return remote.open_store(address)


class TestRemote(BlobStoreSuite):
    pass


def test_large_content_travels_in_pieces(store, behind):
    content = os.urandom(40_000_001)

    digest, size = store.put_chunks(content[place : place + 900_000] for place in range(0, len(content), 900_000))

    assert (digest, size) == (digest_of(content), len(content))
    assert behind.blobs.get(digest) == content
    assert store.get(digest) == content


def test_damage_on_the_servers_disk_is_not_handed_out(store, behind, tmp_path):
    digest = store.put(os.urandom(3_000_000))
    path = next(file for file in (tmp_path / "blobs" / "objects").rglob("*") if file.is_file())
    path.chmod(0o600)
    content = bytearray(path.read_bytes())
    content[1_500_000] ^= 1
    path.write_bytes(content)

    with pytest.raises((StoreCorrupt, StoreUnavailable)):
        store.get(digest)


def test_a_server_that_is_away_is_said():
    with pytest.raises(StoreUnavailable, match="do not answer"):
        remote.open_store("http://127.0.0.1:1").put(b"abc")


def test_something_else_that_answers_is_said(address):
    with pytest.raises(StoreError, match="answered 404"):
        remote.open_store(address + "/elsewhere").get(digest_of(b"abc"))


@pytest.mark.parametrize("location", ["", "ftp://x", "127.0.0.1:80", "http://"])
def test_an_address_that_cannot_be_is_refused(location):
    with pytest.raises(SettingInvalid):
        remote.open_store(location)
