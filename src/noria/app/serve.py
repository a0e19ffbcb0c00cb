"""`noria serve`: one worker for one source, without a control plane. Publishes what shall answer into a scratch folder and starts the worker over it.

Finding the source is serve_source; the worker is a process of its own. Called by cli/serve.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any

from noria.app.serve_source import Source, again
from noria.app.stores import open_blobs
from noria.domain.deployment import Deployment
from noria.errors import NoriaError, StoreUnavailable
from noria.ports.models import ModelStore
from noria.serving import desired

FOLLOW_S = 2.0


def available_cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def port_from(environment: Mapping[str, str]) -> int | None:
    """The port that a platform tells its containers to listen on: SageMaker's, then Vertex AI's; None outside of them.

    >>> port_from({"AIP_HTTP_PORT": "8080"}), port_from({})
    (8080, None)
    """
    for name in ("SAGEMAKER_BIND_TO_PORT", "AIP_HTTP_PORT"):
        if environment.get(name, "").isdecimal():
            return int(environment[name])
    return None


def publish(source: Source, *, scratch: Path, generation: int = 1) -> None:
    """Say what shall answer, where the worker looks (`documents` in the scratch folder)."""
    if source.variant is None:
        return
    state = Deployment(
        name=source.name,
        model=source.variant.model,
        generation=generation,
        variants=(source.variant,),
        updated_at=datetime.now(UTC),
    )
    desired.publish(open_blobs("local", str(scratch / "documents"), home=scratch, project=""), state)


def arguments_of(source: Source, *, home: Path, scratch: Path) -> list[str]:
    """The worker's command line, as far as it depends on the source."""
    place = source.place
    words = ["--home", str(home), "--blobs", place.blobs, "--project", place.project]
    if place.location:
        words += ["--blobs-location", place.location]
    if source.variant is not None:
        words += ["--documents", str(scratch / "documents")]
    return words


@dataclass(frozen=True)
class Started:
    """A worker that answers. told: its first line, with `url`."""

    told: dict[str, Any]
    handle: "subprocess.Popen[str]"


def start(arguments: Sequence[str], *, environment: Mapping[str, str]) -> Started:
    """Start the worker and wait until it answers. A signal meanwhile ends it. Raises StoreUnavailable; what went wrong stands on standard error."""
    handle = subprocess.Popen(
        [sys.executable, "-m", "noria.app.worker", *arguments],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,  # Ctrl-C comes to this process, which hands it on in its own way
        env={**os.environ, **environment, "PYTHONUNBUFFERED": "1"},
    )
    _hand_on_signals(handle)
    assert handle.stdout is not None
    for line in handle.stdout:
        if line.startswith("{"):
            return Started(json.loads(line), handle)
    code = handle.wait()
    raise StoreUnavailable(
        "the worker did not start", cause=f"it ended with code {code}; what it said stands above", remedy="noria doctor"
    )


def follow(
    started: Started,
    source: Source,
    *,
    models: Callable[[], ModelStore] | None,
    scratch: Path,
    tell: Callable[[str], None],
) -> int:
    """Wait until the worker ends; meanwhile publish what an alias comes to point to. Gives the exit code.

    models: the project's, for an alias; None: nothing is followed. While they cannot be asked, what answers goes on answering, and that is told once.
    """
    generation, away = 1, ""
    while True:
        with contextlib.suppress(subprocess.TimeoutExpired):
            return started.handle.wait(FOLLOW_S if models is not None and source.follows else None)
        assert models is not None
        try:
            now = again(source, models())
            if now is not source:
                generation += 1
                publish(now, scratch=scratch, generation=generation)
                source = now
                assert now.variant is not None
                tell(f"{now.said} is now version {now.variant.number} ({now.variant.version})")
            away = ""
        except NoriaError as error:
            if error.problem != away:
                tell(f"{source.said} cannot be followed; what answers goes on answering: {error.headline()}")
            away = error.problem


def _hand_on_signals(handle: "subprocess.Popen[str]") -> None:
    def hand_on(number: int, frame: FrameType | None) -> None:
        if handle.poll() is None:
            handle.send_signal(signal.SIGTERM)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, hand_on)
