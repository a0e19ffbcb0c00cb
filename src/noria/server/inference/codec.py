"""What a protocol is to the worker: the requests it answers, bytes to columns, an answer to bytes, and errors in its own form.

A protocol is one file with a codec; `protocols` lists them. What it does with columns is answering; HTTP is app.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any, Literal, Protocol

import msgspec

from noria.errors import NoriaError
from noria.server.inference.answering import Answer, Question
from noria.server.inference.metrics import Metrics
from noria.serving.live import Board

HeaderList = tuple[tuple[str, str], ...]
JSON: HeaderList = (("content-type", "application/json"),)
TEXT: HeaderList = (("content-type", "text/plain; charset=utf-8"),)


class Headers(Protocol):
    """A request's headers; names are lower case."""

    def get(self, name: str, default: str | None = None, /) -> str | None:
        """The value of a header, or the default."""
        ...


class Call(msgspec.Struct, frozen=True, gc=False):
    """A request line that a codec answers, as it understood it; the same for the same line, and kept.

    does: 'predict' has a body of rows and is recorded; 'tell' is everything else. verb: the codec's own word for what is asked.
    model: the deployment, '' for the only one. version, variant: of the path. is_open: answered without a key (what orchestrators ask).
    model_headers, variant_headers: which headers say what the path does not.
    """

    does: Literal["predict", "tell"]
    verb: str
    model: str = ""
    version: str | None = None
    variant: str | None = None
    is_open: bool = False
    model_headers: tuple[str, ...] = ("noria-deployment",)
    variant_headers: tuple[str, ...] = ("noria-variant",)


class Reply(msgspec.Struct, frozen=True, gc=False):
    """An answer in HTTP's terms."""

    body: bytes = b""
    status: int = 200
    headers: HeaderList = JSON


class Shelf(Protocol):
    """Where models are loaded from (app/worker_loader.Loader). Both methods wait, so they are called in a thread."""

    def load(self, name: str) -> None:
        """See Desk."""
        ...

    def unload(self, name: str) -> None:
        """See Desk."""
        ...


class Desk(msgspec.Struct, frozen=True):
    """What codecs may ask of the worker beside predictions. board.unloaded() names what was taken off by hand."""

    board: Board
    shelf: Shelf
    metrics: Metrics = msgspec.field(default_factory=Metrics)

    async def load(self, name: str) -> None:
        """Serve a deployment's newest generation, also one that was unloaded; returns when it answers, in every process of the worker.

        Raises ModelUnknown, BundleError, StoreError, ModelNotReady.
        """
        await asyncio.to_thread(self.shelf.load, name)

    async def unload(self, name: str) -> None:
        """Serve a deployment no longer until it is loaded again; requests under way finish. Raises ModelUnknown, ModelNotReady."""
        await asyncio.to_thread(self.shelf.unload, name)


class Codec(Protocol):
    """One protocol. Stateless; every method but `tell` runs on the event loop and waits for nothing."""

    @property
    def name(self) -> str:
        """For records and metrics: 'v2'."""
        ...

    @property
    def roots(self) -> tuple[str, ...]:
        """First parts of the paths that it looks at: 'v2' for /v2/models/m/infer."""
        ...

    def call(self, method: str, path: str) -> Call | None:
        """Understand a request line (GET also stands for HEAD); None for what the protocol does not have."""
        ...

    def ask(self, call: Call, headers: Headers, body: bytes) -> "Question | Coroutine[Any, Any, Question]":
        """Read the body of a 'predict'; a coroutine where another process reads it. Raises RequestInvalid."""
        ...

    def respond(self, call: Call, question: Question, answer: Answer) -> "Reply | Coroutine[Any, Any, Reply]":
        """Write the answer; a coroutine where another process writes it. Raises RequestInvalid for an output that does not exist."""
        ...

    async def tell(self, call: Call, headers: Headers, body: bytes, desk: Desk) -> Reply:
        """Answer anything else. Raises NoriaError."""
        ...

    def refuse(self, call: Call | None, status: int, error: NoriaError) -> Reply:
        """An error in the protocol's own form. call: None for a line that was not understood."""
        ...
