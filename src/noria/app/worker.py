"""A worker's composition, without SQL: blobs, the prediction journal, flavors by name, and a loader that follows the published documents.

The HTTP half is server/inference, which builds on this one; `python -m noria.app.worker` hands over to it. Nothing here opens a database.
"""

import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from threading import Event, Thread
from time import monotonic
from typing import cast

import msgspec

from noria.app.plugins import BUILT_IN, load
from noria.app.stores import open_blobs
from noria.domain.deployment import Variant
from noria.domain.ids import Digest, fresh
from noria.errors import BundleError, InputInvalid, NoriaError, StoreError
from noria.packaging.bundle import open_bundle
from noria.packaging.signature import checker, unseen_counter
from noria.ports.blobs import BlobStore
from noria.ports.flavor import Flavor
from noria.ports.predictions import PredictionWriter
from noria.serving import desired
from noria.serving.live import Board, Live, Served
from noria.serving.record import CAPACITY_ROWS, LINGER_S, Recorder, RingStatus, WhenFull

POLL_S = 0.1
RETRY_S = 2.0

log = logging.getLogger(__name__)


class VariantStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One variant that answers."""

    name: str
    model: str
    number: int
    version: str
    weight: float
    bundle: Digest
    flavor: str


class DeploymentStatus(msgspec.Struct, frozen=True, kw_only=True):
    """generation: what answers now (0: nothing does). loaded: whether it is the newest that was published. problem: why it is not."""

    generation: int
    loaded: bool
    variants: tuple[VariantStatus, ...] = ()
    problem: str = ""


class WorkerStatus(msgspec.Struct, frozen=True, kw_only=True):
    """What GET /noria/status shows."""

    pid: int
    deployments: dict[str, DeploymentStatus]
    ring: RingStatus


class Worker:
    """Everything a worker holds: the board, the recorder, and the thread that keeps the board in step with what is published."""

    def __init__(
        self,
        home: Path,
        *,
        deployments: Sequence[str] | None = None,
        durable: bool = False,
        when_full: WhenFull = "drop",
        capacity_rows: int = CAPACITY_ROWS,
        blobs: BlobStore | None = None,
    ) -> None:
        """home: the project's folder (`.noria`). blobs: where bundles are, by default in that folder.

        deployments: which to serve, None: all that are published, also later ones."""
        self.blobs = blobs or open_blobs("local", "", home=home, project="")
        self.board = Board()
        self.recorder = Recorder(
            self._writers(home, durable),
            capacity_rows=capacity_rows,
            when_full="refuse" if durable else when_full,
            linger_s=0.0 if durable else LINGER_S,
        )
        self.loader = Loader(self.board, blobs=self.blobs, cache=home / "cache", flavors=Flavors(), only=deployments)

    @staticmethod
    def _writers(home: Path, durable: bool) -> Callable[[str], PredictionWriter]:
        """How to open the journal of a deployment. The name is new for each life of a worker, so two never share a file."""
        journal = load("predictions", "journal")
        name = f"w{os.getpid()}-{fresh()[:8]}"

        def open_writer(deployment: str) -> PredictionWriter:
            return cast(
                PredictionWriter,
                journal.open_writer(str(home / "predictions"), deployment=deployment, name=name, durable=durable),
            )

        return open_writer

    def start(self) -> None:
        """Load what is published now, then follow it."""
        self.loader.step()
        self.loader.start()

    def status(self) -> WorkerStatus:
        """What answers, what should, and how the ring stands."""
        deployments = {name: self._deployment(name) for name in self.board.names()}
        return WorkerStatus(pid=os.getpid(), deployments=deployments, ring=self.recorder.status())

    def _deployment(self, name: str) -> DeploymentStatus:
        live = next((one for one in self.board.all() if one.deployment == name), None)
        error = self.board.error(name)
        problem = "" if error is None else f"{error.headline()} {error.cause}".strip()
        if live is None:
            return DeploymentStatus(generation=0, loaded=False, problem=problem)
        variants = tuple(
            VariantStatus(
                name=s.variant.name,
                model=s.variant.model,
                number=s.variant.number,
                version=s.variant.version,
                weight=s.variant.weight,
                bundle=s.variant.bundle,
                flavor=s.flavor,
            )
            for s in live.variants
        )
        return DeploymentStatus(generation=live.generation, loaded=error is None, variants=variants, problem=problem)

    def close(self) -> bool:
        """Stop following, write what is left. False: some records could not be written."""
        self.loader.stop()
        done = self.recorder.close()
        if not done:
            log.error("some predictions could not be written: %s", self.recorder.status().problem)
        return done


class Loader:
    """Keeps a board in step with the published documents: loads the new bundle first, then exchanges the snapshot at once."""

    def __init__(
        self,
        board: Board,
        *,
        blobs: BlobStore,
        cache: Path,
        flavors: Mapping[str, Flavor],
        only: Sequence[str] | None = None,
    ) -> None:
        self._board, self._blobs, self._cache, self._flavors, self._only = board, blobs, cache, flavors, only
        self._seen: dict[str, bytes] = {}
        self._not_before: dict[str, float] = {}
        self._loaded: dict[Digest, Served] = {}
        self._stop = Event()
        self._thread: Thread | None = None

    def start(self) -> None:
        """Look about every 100 ms, in a thread of its own: loading never holds up a request."""
        self._thread = Thread(target=self._follow, name="noria-loader", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Look no more."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def step(self) -> None:
        """Look once; load what changed. What cannot be loaded is noted on the board, the former generation goes on answering."""
        try:
            names = list(self._only) if self._only is not None else desired.names(self._blobs)
        except StoreError as error:
            log.error("the published deployments cannot be read: %s", error)
            return
        for name in names:
            if monotonic() >= self._not_before.get(name, 0.0):
                self._update(name)

    def _follow(self) -> None:
        while not self._stop.wait(POLL_S):
            self.step()

    def _update(self, name: str) -> None:
        try:
            document = desired.document(self._blobs, name)
            if document is None:
                if name not in self._board.names():
                    self._board.wanted(name)
                return
            if document == self._seen.get(name):
                return
            state = desired.parse(document)
            if state.deployment not in self._board.names():
                self._board.wanted(name)
            self._board.put(self._live(state))
        except NoriaError as error:
            log.error("deployment %s cannot be loaded: %s", name, error)
            self._put_off(name, error)
            return
        except (
            Exception
        ) as error:  # the thread must live: without it the worker would answer with an old generation for ever
            log.exception("loading deployment %s failed unexpectedly", name)
            self._put_off(
                name, BundleError(f"deployment {name!r} cannot be loaded", cause=f"{type(error).__name__}: {error}")
            )
            return
        self._seen[name] = document
        self._forget_unused()

    def _put_off(self, name: str, error: NoriaError) -> None:
        self._board.wanted(name, error)
        self._not_before[name] = monotonic() + RETRY_S

    def _live(self, state: desired.DesiredState) -> Live:
        if not state.variants:
            raise InputInvalid(
                f"deployment {state.deployment!r} was published without a variant", remedy="publish one with a champion"
            )
        served = tuple(self._served(variant) for variant in state.variants)
        return Live(
            deployment=state.deployment,
            generation=state.generation,
            variants=served,
            sticky_by=state.sticky_by,
            rollout=state.rollout,
        )

    def _served(self, variant: Variant) -> Served:
        """A loaded bundle is loaded once, whatever number of generations and variants name it."""
        known = self._loaded.get(variant.bundle)
        if known is None:
            opened = open_bundle(variant.bundle, blobs=self._blobs, cache=self._cache, flavors=self._flavors)
            signature = opened.manifest.signature
            known = Served(
                variant,
                signature,
                opened.predictor,
                checker(signature),
                unseen_counter(signature),
                opened.manifest.flavor,
            )
            self._loaded[variant.bundle] = known
        return replace(known, variant=variant)

    def _forget_unused(self) -> None:
        used = {served.variant.bundle for live in self._board.all() for served in live.variants}
        self._loaded = {digest: served for digest, served in self._loaded.items() if digest in used}


class Flavors(Mapping[str, Flavor]):
    """Flavors by name, each imported when a bundle asks for it."""

    def __getitem__(self, name: str) -> Flavor:
        return cast(Flavor, load("flavors", name).FLAVOR)

    def __iter__(self) -> Iterator[str]:
        return iter(BUILT_IN["flavors"])

    def __len__(self) -> int:
        return len(BUILT_IN["flavors"])


def main(arguments: Sequence[str] | None = None) -> None:
    """`python -m noria.app.worker --home DIR [--port 0] ...`: the same as `python -m noria.server.inference.run`. Ends the process.

    A face stands above this floor, so it is found by its name, as adapters are.
    """
    face = import_module("noria.server.inference.run")
    face.leave(face.main(arguments))


if __name__ == "__main__":
    main()
