"""A real S3 server over HTTP, from the peers' environment (`make test` makes it): one for a test process, a bucket of its own for each test."""

import os
import secrets
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

PEERS = Path(__file__).resolve().parents[2] / ".make" / "peers" / "bin" / "python"
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "noria", "AWS_SECRET_ACCESS_KEY": "noria"}


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """Its address."""
    assert PEERS.exists(), "the peers' environment is missing: run `make test`, or `make .make/peers/.locked`"
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [str(PEERS), "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    address = f"http://127.0.0.1:{port}"
    try:
        until = time.monotonic() + 60
        while not _answers(address):
            assert process.poll() is None, "the S3 server ended"
            assert time.monotonic() < until, "the S3 server does not answer"
            time.sleep(0.05)
        yield address
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def bucket(s3_server: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A new bucket, as the location of a blob store in it."""
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    name = f"noria-{secrets.token_hex(8)}"
    with urllib.request.urlopen(urllib.request.Request(f"{s3_server}/{name}", method="PUT"), timeout=20):
        pass
    return f"s3://{name}/some/prefix?endpoint={s3_server}&region=us-east-1"


def _answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=2):
            return True
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False


def environment() -> dict[str, str]:
    """For a process that shall use the server."""
    return {**os.environ, **CREDENTIALS}
