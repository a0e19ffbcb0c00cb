"""Start Noria's own servers as processes of their own and wait until they answer. Called by `noria up` and the demo."""

import json
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from noria.errors import StoreUnavailable
from noria.serving.recording import Recording, written


@dataclass(frozen=True)
class Process:
    """A server that runs, and where it answers."""

    url: str
    handle: "subprocess.Popen[str]"

    def stop(self, *, seconds: float = 10.0) -> None:
        """Ask it to finish what it has and wait; then insist."""
        if self.handle.poll() is None:
            self.handle.send_signal(signal.SIGTERM)
            try:
                self.handle.wait(seconds)
            except subprocess.TimeoutExpired:
                self.handle.kill()
                self.handle.wait()


def start_worker(
    home: Path,
    *,
    host: str,
    port: int,
    durable: bool = False,
    replay_clock: bool = False,
    workers: int = 1,
    blobs: str = "local",
    blobs_location: str = "",
    project: str = "default",
    allow_code: bool = False,
    recording: Mapping[str, Recording] | None = None,
) -> Process:
    """Start a worker over a home. Port 0 takes any free one. blobs, blobs_location, allow_code, recording: as in the settings."""
    extra = [*(["--durable"] if durable else []), *(["--replay-clock"] if replay_clock else [])]
    if (blobs, blobs_location) != ("local", ""):
        extra += ["--blobs", blobs, "--blobs-location", blobs_location, "--project", project]
    if recording:
        extra += ["--recording", written(recording)]
    return _start(
        [
            "-m",
            "noria.app.worker",
            "--home",
            str(home),
            "--host",
            host,
            "--port",
            str(port),
            "--workers",
            str(workers),
            *extra,
        ],
        "worker",
        {"NORIA_ALLOW_CODE": "1"} if allow_code else {},
    )


def start_server(home: Path, *, project: str, host: str, port: int) -> Process:
    """Start the control server with its pages over a home."""
    return _start(
        [
            "-m",
            "noria.server.control.run",
            "--home",
            str(home),
            "--project",
            project,
            "--host",
            host,
            "--port",
            str(port),
        ],
        "server",
    )


def leave(code: int) -> NoReturn:
    """End a process that has served, once everything is written and closed, without finalising the interpreter.

    The server's native threads may still end: one that touches the interpreter while it is taken down aborts the process (seen in 2 of 6 exits).
    """
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _start(arguments: list[str], what: str, environment: Mapping[str, str] | None = None) -> Process:
    """Both servers print one JSON line with their url when they answer; whatever they say before goes to the error message."""
    handle = subprocess.Popen(
        [sys.executable, *arguments],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=False,
        env={**os.environ, "PYTHONUNBUFFERED": "1", **(environment or {})},
    )
    assert handle.stdout is not None
    said = []
    for line in handle.stdout:
        if line.startswith("{"):
            return Process(url=str(json.loads(line)["url"]), handle=handle)
        said.append(line.rstrip())
    code = handle.wait()
    raise StoreUnavailable(
        f"the {what} did not start", cause=f"it ended with code {code}: {' / '.join(said[-3:])}", remedy="noria doctor"
    )
