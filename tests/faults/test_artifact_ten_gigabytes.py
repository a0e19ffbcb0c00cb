"""Ten gigabytes through the server, up and down, in the memory of a small file."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
from pathlib import Path

import psutil
import pytest

from tests.peers.noria_server import noria_server

FILES = "/api/2.0/mlflow-artifacts/artifacts"
GB = 1 << 30
SIZE = 10 * GB
LIMIT = 160 << 20
"""Bytes of memory that the whole server may have: Python, its libraries, and a few pieces of the file."""


@pytest.mark.slow
@pytest.mark.faults
@pytest.mark.timeout(900)
def test_ten_gigabytes_go_up_and_come_down_in_constant_memory(tmp_path: Path) -> None:
    if shutil.disk_usage(tmp_path).free < SIZE + GB:
        pytest.skip("the disk has no room for ten gigabytes")
    source = tmp_path / "sparse.bin"
    with open(source, "wb") as file:
        file.truncate(SIZE)
        file.seek(SIZE // 2)
        file.write(b"somewhere in the middle")

    with contextlib.ExitStack() as held:
        held.callback(shutil.rmtree, tmp_path / ".noria", ignore_errors=True)  # pytest keeps folders of former runs
        server = held.enter_context(noria_server(home=tmp_path / ".noria"))
        memory = psutil.Process(server.process.pid)
        highest = 0
        with socket.create_connection(("127.0.0.1", server.port)) as line, open(source, "rb") as file:
            line.sendall(f"PUT {FILES}/big HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {SIZE}\r\n\r\n".encode())
            sent = 0
            while sent < SIZE:
                sent += os.sendfile(line.fileno(), file.fileno(), sent, 64 << 20)
                highest = max(highest, memory.memory_info().rss)
            assert line.recv(1 << 16).startswith(b"HTTP/1.1 200")

        middle = server.ask("GET", f"{FILES}/big", headers={"range": f"bytes={SIZE // 2}-{SIZE // 2 + 22}"})
        assert middle.body == b"somewhere in the middle"

        with socket.create_connection(("127.0.0.1", server.port)) as line:
            line.sendall(f"GET {FILES}/big HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode())
            head = b""
            while b"\r\n\r\n" not in head:
                head += line.recv(1 << 16)
            total = len(head.partition(b"\r\n\r\n")[2])
            buffer = bytearray(4 << 20)
            while received := line.recv_into(buffer):
                total += received
                if total % (256 << 20) < received:
                    highest = max(highest, memory.memory_info().rss)

    assert total == SIZE
    assert highest < LIMIT
