"""Keeps a worker's board in step with the published documents, in a thread of its own: what answers is exchanged, never interrupted.

A deployment can be unloaded by hand, and stays so until it is loaded by hand (worker_unloaded). Called by worker.py.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from threading import Event, RLock, Thread
from time import monotonic

from noria.app.worker_unloaded import Unloaded
from noria.app.worker_warm import warm
from noria.domain.bundle import Bundle
from noria.domain.deployment import Variant
from noria.domain.ids import Digest
from noria.errors import BundleError, InputInvalid, ModelNotReady, ModelUnknown, NoriaError
from noria.packaging.bundle import open_bundle
from noria.packaging.signature import checker, unseen_counter
from noria.ports.blobs import BlobStore
from noria.ports.flavor import Columns, Flavor
from noria.ports.telemetry import Telemetry
from noria.serving import desired
from noria.serving.companions import batcher_for, example_columns, judge
from noria.serving.live import Board, Live, Served
from noria.serving.recording import EVERYTHING, Recording, check_against

POLL_S = 0.1
LOOK_S, LOOK_AFAR_S = 0.1, 2.0
"""How often the documents are looked at: on this machine, and in a store over the network, which is asked by every process."""
RETRY_S = 2.0

log = logging.getLogger(__name__)


class Loader:
    """Follows the published documents: loads the new bundle first, then exchanges the snapshot at once. Thread-safe."""

    def __init__(
        self,
        board: Board,
        *,
        blobs: BlobStore,
        cache: Path,
        flavors: Mapping[str, Flavor],
        only: Sequence[str] | None = None,
        unloaded: Unloaded | None = None,
        telemetry: Telemetry | None = None,
        documents: BlobStore | None = None,
        recording: Mapping[str, Recording] | None = None,
        look_s: float = LOOK_S,
    ) -> None:
        """only: the deployments to serve, None: all that are published. unloaded: what was taken off by hand, shared by the workers of a group.

        documents: where what shall be served is published, by default beside the bundles; it is looked at every `look_s` seconds.
        telemetry: told how long loads take, and which fail.
        """
        self._board, self._blobs, self._cache, self._flavors, self._only = board, blobs, cache, flavors, only
        self._unloaded = unloaded or Unloaded()
        self._documents = documents or blobs
        self._recording = dict(recording or {})
        self._look_s = look_s
        self._store_away = ""
        self._told: dict[str, str] = {}
        self._telemetry = telemetry
        self._seen: dict[str, bytes] = {}
        self._not_before: dict[str, float] = {}
        self._loaded: dict[Digest, Served] = {}
        self._followed = 0
        self._one_at_a_time = RLock()
        self._stop = Event()
        self._thread: Thread | None = None

    def start(self) -> None:
        """Look again and again, in a thread of its own: loading never holds up a request."""
        self._thread = Thread(target=self._follow, name="noria-loader", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Look no more."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def step(self, *, at_documents: bool = True) -> None:
        """Look once; load what changed. What cannot be loaded is noted on the board, the former generation goes on answering.

        at_documents: False to look only at what was unloaded by hand.
        """
        with self._one_at_a_time:
            unloaded = self._unloaded.read()
            for name in unloaded.names:
                self._take_off(name)
            for name in self._names_now() if at_documents or unloaded.change != self._followed else ():
                if name not in unloaded.names and monotonic() >= self._not_before.get(name, 0.0):
                    self._update(name)
            self._unloaded.followed(unloaded)
            self._followed = unloaded.change

    def _names_now(self) -> list[str]:
        """The deployments to look at; while the store is away, those that were known before. Told once, not at every look."""
        try:
            names = self._names()
        except NoriaError as error:
            if self._store_away != error.problem:
                log.error("what shall be served cannot be read; what answers goes on answering: %s", error)
            self._store_away = error.problem
            return []
        if self._store_away:
            log.warning("what shall be served can be read again")
            self._store_away = ""
        return names

    def load(self, name: str) -> None:
        """Serve a deployment's newest generation, also one that was unloaded; returns when it answers here and in the other workers of the group.

        Raises ModelUnknown for one that is not published or not to be served here, ModelNotReady while it has not followed everywhere, and what kept
        it from loading: BundleError, StoreError.
        """
        if name not in self._names():
            known = ", ".join(repr(n) for n in self._names()) or "none"
            raise ModelUnknown(
                f"no deployment {name!r} is published", cause=f"known here: {known}", remedy="noria status"
            )
        with self._one_at_a_time:
            change = self._unloaded.discard(name)
            self._not_before.pop(name, None)
            self.step()
            error = self._board.error(name)
            if error is not None:
                raise error
            self._board.get(name)
        self._wait_for(change, f"deployment {name!r} is not loaded in every worker yet")

    def unload(self, name: str) -> None:
        """Serve a deployment no longer until it is loaded again. Requests under way finish. Returns when no worker of the group takes new ones.

        Raises ModelUnknown for a name that is not served here, ModelNotReady while it has not followed everywhere.
        """
        with self._one_at_a_time:
            if name not in self._board.names() and name not in self._board.unloaded():
                self._board.get(name)
            change = self._unloaded.add(name)
            self.step()
        self._wait_for(change, f"deployment {name!r} is not unloaded in every worker yet")

    def _wait_for(self, change: int, problem: str) -> None:
        if not self._unloaded.wait_for(change):
            raise ModelNotReady(problem, cause="one of them does not look at its loader", remedy="see /noria/status")

    def _take_off(self, name: str) -> None:
        if name not in self._board.unloaded():
            self._board.unload(name)
            self._seen.pop(name, None)
            self._forget_unused()

    def _names(self) -> list[str]:
        return list(self._only) if self._only is not None else desired.names(self._documents)

    def _follow(self) -> None:
        look_at = 0.0
        while not self._stop.wait(POLL_S):
            due = monotonic() >= look_at
            if due:
                look_at = monotonic() + self._look_s
            try:
                self.step(at_documents=due)
            except (
                Exception
            ):  # the thread must live: without it the worker would answer with an old generation for ever
                log.exception("looking at what shall be served failed unexpectedly")
                look_at = monotonic() + RETRY_S

    def _update(self, name: str) -> None:
        try:
            document = desired.document(self._documents, name)
            if document is None:
                if name not in self._board.names():
                    self._board.wanted(name)
                return
            if document == self._seen.get(name):
                if self._board.error(name) is not None:
                    self._board.put(self._board.get(name))  # the store was away, and says what it said before
                return
            state = desired.parse(document)
            if state.deployment not in self._board.names():
                self._board.wanted(name)
            self._board.put(self._live(state))
        except NoriaError as error:
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
        self._told.pop(name, None)
        self._forget_unused()

    def _put_off(self, name: str, error: NoriaError) -> None:
        """Note why, log it once, and try again in a while."""
        if self._told.get(name) != str(error):
            log.error("deployment %s cannot be loaded: %s", name, error)
        self._told[name] = str(error)
        self._board.wanted(name, error)
        self._not_before[name] = monotonic() + RETRY_S
        if self._telemetry is not None:
            self._telemetry.count("noria_model_load_failures_total", deployment=name)

    def _live(self, state: desired.DesiredState) -> Live:
        if not state.variants:
            raise InputInvalid(
                f"deployment {state.deployment!r} was published without a variant", remedy="publish one with a champion"
            )
        served = tuple(self._served(variant) for variant in state.variants)
        for each in served:
            check_against(
                self._recording.get(state.deployment, EVERYTHING), each.signature, deployment=state.deployment
            )
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
            began = monotonic()
            opened = open_bundle(variant.bundle, blobs=self._blobs, cache=self._cache, flavors=self._flavors)
            signature = opened.manifest.signature
            example = self._example(opened.manifest)
            if example is not None:
                warm(opened, example)
            company = judge(opened.predictor.predict, example)
            known = Served(
                variant,
                signature,
                opened.predictor,
                checker(signature),
                unseen_counter(signature),
                opened.manifest.flavor,
                batcher_for(opened.predictor.predict, company),
                company,
            )
            self._loaded[variant.bundle] = known
            if self._telemetry is not None:
                self._telemetry.observe(
                    "noria_model_load_seconds", monotonic() - began, model=variant.model, version=str(variant.number)
                )
        return replace(known, variant=variant)

    def _example(self, manifest: Bundle) -> Columns | None:
        """The bundle's example rows, if it has any that can be read."""
        found = next((entry.digest for entry in manifest.files if entry.path == manifest.example), None)
        return None if found is None else example_columns(self._blobs.get(found), manifest.signature)

    def _forget_unused(self) -> None:
        used = {served.variant.bundle for live in self._board.all() for served in live.variants}
        self._loaded = {digest: served for digest, served in self._loaded.items() if digest in used}
