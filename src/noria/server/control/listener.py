"""The HTTP server under the control plane and MLflow's protocol: uvicorn with httptools, on uvloop where there is one. Called by run.

Granian serves the workers; under the many small requests of tracking clients it takes 1.3 to 1.5 times uvicorn's CPU (docs/adr/0024).
"""

import asyncio
import contextlib
from collections.abc import Iterator

import uvicorn
from litestar.types import ASGIApp

KEEP_ALIVE_S = 75
"""Longer than clients keep an idle connection, so that none sends into one that is just being closed."""
PATIENCE_S = 3
"""How long a stop waits for answers under way; streams without end are cut then."""


class Listener(uvicorn.Server):
    """Answers on one address until `stop`. Signals are the caller's business."""

    def __init__(self, app: ASGIApp, *, host: str, port: int) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                host=host,
                port=port,
                loop="none",
                http="httptools",
                ws="none",
                log_config=None,
                log_level="critical",
                access_log=False,
                proxy_headers=False,
                server_header=False,
                timeout_keep_alive=KEEP_ALIVE_S,
                timeout_graceful_shutdown=PATIENCE_S,
            )
        )

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """None: uvicorn would raise them again once it has stopped."""
        yield

    def stop(self) -> None:
        """Take no more requests, answer those under way, end."""
        self.should_exit = True


def new_loop() -> asyncio.AbstractEventLoop:
    """The fastest event loop that is installed."""
    try:
        import uvloop
    except ImportError:  # there is none for Windows
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()
