"""Keeps a worker's board in step with the published documents, in a thread of its own: what answers is exchanged, never interrupted.

Looking never waits for loading (worker_bundles): what is loaded already, as a roll-back always is, answers at the next look.
A deployment can be unloaded by hand, and stays so until it is loaded by hand (worker_unloaded). Called by worker.py.
"""

import logging
import os
import platform
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, wait
from datetime import UTC, datetime
from pathlib import Path
from threading import Event, RLock, Thread
from time import monotonic

from noria.app.worker_bundles import RETRY_S, Bundles
from noria.app.worker_unloaded import Unloaded
from noria.domain.deployment import Variant
from noria.errors import BundleError, InputInvalid, ModelNotReady, ModelUnknown, NoriaError
from noria.ports.blobs import BlobStore
from noria.ports.flavor import Flavor
from noria.ports.telemetry import Telemetry
from noria.serving import desired, trouble
from noria.serving.live import Board, Live, Served
from noria.serving.recording import EVERYTHING, Recording, check_against

POLL_S = 0.1
LOOK_S, LOOK_AFAR_S = 0.1, 0.5
"""How often the documents are looked at: on this machine, and in a store over the network, which is asked by every process."""
NAMES_AFAR_S = 2.0
"""How often such a store is asked whether there are new deployments."""

WORKER = f"{platform.node()}-{os.getpid()}"

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
        self._board, self._only = board, only
        self._bundles = Bundles(blobs=blobs, cache=cache, flavors=flavors, telemetry=telemetry)
        self._unloaded = unloaded or Unloaded()
        self._documents = documents or blobs
        self._recording = dict(recording or {})
        self._look_s = look_s
        self._store_away = ""
        self._known: tuple[float, list[str]] = (0.0, [])
        self._told: dict[str, str] = {}
        self._telemetry = telemetry
        self._seen: dict[str, bytes] = {}
        self._not_before: dict[str, float] = {}
        self._loading: dict[str, Future[None]] = {}
        self._in_trouble: set[str] = set()
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
        self._bundles.close()

    def step(self, *, at_documents: bool = True, patient: bool = True) -> None:
        """Look once; load what changed. What cannot be loaded is noted on the board, the former generation goes on answering.

        at_documents: False to look only at what was unloaded by hand. patient: wait for what is being loaded, and exchange it.
        """
        waited_for: list[Future[None]] = []
        while True:
            with self._one_at_a_time:
                self._look(at_documents)
                loading = list(self._loading.values())
            if not patient or not loading or loading == waited_for:
                return
            wait(loading)
            waited_for = loading

    def _look(self, at_documents: bool) -> None:
        unloaded = self._unloaded.read()
        for name in unloaded.names:
            self._take_off(name)
        for name in self._names_now() if at_documents or unloaded.change != self._followed else ():
            if name not in unloaded.names and monotonic() >= self._not_before.get(name, 0.0):
                self._update(name)
        if not any(name in self._loading for name in self._board.names()):
            self._unloaded.followed(unloaded)
            self._followed = unloaded.change

    def _names_now(self) -> list[str]:
        """The deployments to look at; while the store is away, those that were known before. Told once, not at every look."""
        try:
            names = self._names(held_s=NAMES_AFAR_S if self._look_s > LOOK_S else 0.0)
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
            self._bundles.try_now()
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
            self._bundles.want(name, ())
            self._forget_unused()

    def _names(self, *, held_s: float = 0.0) -> list[str]:
        """The deployments to serve. held_s: how old the list of a store may be."""
        if self._only is not None:
            return list(self._only)
        at, names = self._known
        if not held_s or monotonic() >= at + held_s:
            names = desired.names(self._documents)
            self._known = (monotonic(), names)
        return names

    def _follow(self) -> None:
        look_at = 0.0
        while not self._stop.wait(POLL_S):
            due = monotonic() >= look_at or any(future.done() for future in self._loading.values())
            if due:
                look_at = monotonic() + self._look_s
            try:
                self.step(at_documents=due, patient=False)
            except (
                Exception
            ):  # the thread must live: without it the worker would answer with an old generation for ever
                log.exception("looking at what shall be served failed unexpectedly")
                look_at = monotonic() + RETRY_S

    def _update(self, name: str) -> None:
        """Bring one deployment to what is published, as far as it is loaded; what is not is loaded beside, and looked at again when it is."""
        try:
            document = desired.document(self._documents, name)
            if document is None:
                if name not in self._board.names():
                    self._board.wanted(name)
                return
            if document == self._seen.get(name) and not self._bundles.is_due(name) and name not in self._loading:
                if self._board.error(name) is not None:
                    self._board.put(self._board.get(name))  # the store was away, and says what it said before
                return
            state = desired.parse(document)
            if self._is_loading(name, state):
                return
            if state.stopped:
                self._board.stop(name, state.stopped)
                live = None
            else:
                live = self._live(state)
                self._board.put(live)
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
        self._settled(name, document, live, state.variants)

    def _is_loading(self, name: str, state: desired.DesiredState) -> bool:
        """Whether a bundle of this generation must still be loaded; loading it is begun."""
        if name not in self._board.names():
            self._board.wanted(name)
        self._bundles.want(name, [v.bundle for v in state.variants])
        untried = self._bundles.untried(state.variants)
        future = self._loading.get(name)
        if not untried:
            self._loading.pop(name, None)
        elif future is None or future.done():
            self._loading[name] = self._bundles.load(untried)
        return bool(untried)

    def _live(self, state: desired.DesiredState) -> Live:
        """The generation, loaded. The champion must be; another variant that is not leaves its share to the champion."""
        if not state.variants:
            raise InputInvalid(
                f"deployment {state.deployment!r} was published without a variant", remedy="publish one with a champion"
            )
        answering: list[Served] = []
        shadows: list[Served] = []
        missing: dict[str, NoriaError] = {}
        for place, variant in enumerate(state.variants):
            try:
                served = self._bundles.served(variant)
                check_against(
                    self._recording.get(state.deployment, EVERYTHING), served.signature, deployment=state.deployment
                )
            except NoriaError as error:
                if not place:
                    raise
                missing[variant.name] = error
            else:
                (shadows if variant.shadow else answering).append(served)
        return Live(
            deployment=state.deployment,
            generation=state.generation,
            variants=tuple(answering),
            sticky_by=state.sticky_by,
            header_override=state.header_override,
            rollout=state.rollout,
            shadows=tuple(shadows),
            routes=tuple(variant for variant in state.variants if not variant.shadow),
            missing=missing,
        )

    def _settled(self, name: str, document: bytes, live: Live | None, variants: Sequence[Variant]) -> None:
        """A generation answers: remember that, and say what of it cannot be loaded."""
        self._seen[name] = document
        self._told.pop(name, None)
        if live is not None and (live.missing or name in self._in_trouble):
            self._tell_trouble(live, variants)
        self._forget_unused()

    def _forget_unused(self) -> None:
        self._bundles.forget_unused(
            served.variant.bundle for one in self._board.all() for served in (*one.variants, *one.shadows)
        )

    def _tell_trouble(self, live: Live, variants: Sequence[Variant]) -> None:
        """Leave word where the control plane reads it; if that cannot be, the log has it."""
        name, now = live.deployment, datetime.now(UTC)
        troubles = [
            trouble.Trouble(
                generation=live.generation,
                variant=variant.name,
                number=variant.number,
                bundle=variant.bundle,
                error=f"{error.headline()} {error.cause}".strip(),
                at=now,
                worker=WORKER,
                passing=error.retryable,
                crashes=self._bundles.crashes(variant),
            )
            for variant in variants
            if (error := live.missing.get(variant.name)) is not None
        ]
        for each in troubles:
            log.error("deployment %s: the champion answers for %s: %s", name, each.variant, each.error)
        if troubles and self._telemetry is not None:
            self._telemetry.count("noria_model_load_failures_total", deployment=name)
        try:
            trouble.tell(self._documents, name, generation=live.generation, worker=WORKER, troubles=troubles)
        except NoriaError as error:
            log.error("the control plane cannot be told of it: %s", error)
            return
        self._in_trouble.discard(name)
        self._in_trouble |= {name} if troubles else set()

    def _put_off(self, name: str, error: NoriaError) -> None:
        """Note why, log it once, and try again in a while."""
        if self._told.get(name) != str(error):
            log.error("deployment %s cannot be loaded: %s", name, error)
        self._told[name] = str(error)
        self._board.wanted(name, error)
        self._not_before[name] = monotonic() + RETRY_S
        if self._telemetry is not None:
            self._telemetry.count("noria_model_load_failures_total", deployment=name)
