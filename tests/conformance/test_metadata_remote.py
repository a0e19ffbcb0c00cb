"""The remote adapter under every suite of the metadata ports: real HTTP to a real server, over SQLite."""

import asyncio
import socket
import threading

import pytest
from granian.constants import Interfaces
from granian.server.embed import Server
from litestar import Litestar

from noria.adapters.metadata import remote, sqlite
from noria.errors import NoriaError, NotFound, SettingInvalid, StoreError, StoreUnavailable
from noria.server.control.store import store_router
from noria.testing.ledger_suite import PROJECT, a_draft
from tests.conformance.metadata_suites import *  # noqa: F403


class Behind:
    """The metadata that the server serves now: one server for the whole file, a fresh store for each test."""

    store = None

    def __getattr__(self, port):
        return getattr(self.store, port)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def listening(port: int, *, seconds: float = 20) -> None:
    """Wait until something accepts connections there."""
    again = threading.Event()
    for _ in range(int(seconds / 0.02)):
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            again.wait(0.02)
    raise AssertionError(f"nothing listens on port {port}")


class Running:
    """A Granian in a thread of its own."""

    def __init__(self, app, port: int) -> None:
        self._loop = asyncio.new_event_loop()
        self._server = Server(app, address="127.0.0.1", port=port, interface=Interfaces.ASGI)
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()
        listening(port)

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._server.serve())
        self._loop.close()

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._server.stop)
        self._thread.join(20)
        assert not self._thread.is_alive()


@pytest.fixture(scope="module")
def behind():
    return Behind()


@pytest.fixture(scope="module")
def address(behind):
    port = free_port()
    running = Running(Litestar([store_router(behind)], openapi_config=None), port)
    yield f"http://127.0.0.1:{port}"
    running.stop()


@pytest.fixture
def metadata(behind, address, tmp_path):
    behind.store = sqlite.open_store(str(tmp_path / "meta.db"), project=PROJECT)
    store = remote.open_store(address, project=PROJECT)
    yield store
    store.close()
    behind.store.close()


def test_another_project_is_refused_at_once(metadata, address):
    metadata.ledger.append([a_draft("a")])

    with pytest.raises(NotFound) as caught:
        remote.open_store(address, project="other")

    assert PROJECT in caught.value.cause


def test_nothing_listening_is_a_store_that_is_away():
    with pytest.raises(StoreUnavailable) as caught:
        remote.open_store(f"http://127.0.0.1:{free_port()}", project=PROJECT)

    assert caught.value.retryable
    assert "noria up" in caught.value.remedy


@pytest.mark.parametrize("location", ["", "meta.db", "ftp://127.0.0.1", "http://", "http://h:port"])
def test_what_is_no_address_is_refused(location):
    with pytest.raises(SettingInvalid):
        remote.open_store(location, project=PROJECT)


def test_something_else_that_answers_is_told_apart(address):
    with pytest.raises(StoreError, match="404"):
        remote.open_store(address + "/elsewhere", project=PROJECT)


def test_a_closed_store_says_so(metadata):
    metadata.close()

    with pytest.raises(StoreUnavailable, match="closed"):
        metadata.ledger.head()


def test_a_server_that_came_back_is_found_again_on_the_same_store(tmp_path):
    port = free_port()
    local = sqlite.open_store(str(tmp_path / "meta.db"), project=PROJECT)
    first = Running(Litestar([store_router(local)], openapi_config=None), port)
    store = remote.open_store(f"http://127.0.0.1:{port}", project=PROJECT)
    store.ledger.append([a_draft("a")])
    first.stop()
    with pytest.raises(StoreUnavailable):
        store.ledger.head()

    second = Running(Litestar([store_router(local)], openapi_config=None), port)
    try:
        assert store.ledger.append([a_draft("a"), a_draft("b")])[-1].seq == 2
    finally:
        store.close()
        second.stop()
        local.close()


def test_a_key_in_the_address_is_sent_and_never_shown(tmp_path):
    local = sqlite.open_store(str(tmp_path / "meta.db"), project=PROJECT)
    port = free_port()
    seen = []

    async def look(request):
        seen.append(request.headers.get("authorization"))

    running = Running(Litestar([store_router(local)], openapi_config=None, before_request=look), port)
    try:
        store = remote.open_store(f"http://S3cret%20key@127.0.0.1:{port}", project=PROJECT)
        store.close()
        with pytest.raises(NoriaError) as caught:
            store.ledger.head()
    finally:
        running.stop()
        local.close()

    assert seen == ["Bearer S3cret key"]
    assert "S3cret" not in str(caught.value)
