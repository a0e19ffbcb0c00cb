"""The real server in a process of its own, for the tests that drive a browser against it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def running(*arguments: str, **environment: str) -> Iterator[str]:
    """The URL of `tests.ui.seeded_server`, stopped afterwards; a server that does not stop well fails the test."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.ui.seeded_server", *arguments],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line, f"the server ended with {process.wait()}"
    yield str(json.loads(line)["url"])
    process.terminate()
    code = process.wait(15)
    process.stdout.close()
    assert code == 0
