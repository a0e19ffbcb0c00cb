"""The bundles that a worker has loaded, is loading, or could not load. Loading has a thread of its own, so that looking never waits for it.

Which are wanted is worker_loader's business. Called by it.
"""

import logging
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Lock
from time import monotonic

from noria.app.worker_marks import MOST_CRASHES, Marks
from noria.app.worker_warm import warm
from noria.domain.bundle import Bundle
from noria.domain.deployment import Variant
from noria.domain.ids import Digest
from noria.errors import BundleError, NoriaError
from noria.packaging.bundle import open_bundle
from noria.packaging.signature import checker, unseen_counter
from noria.ports.blobs import BlobStore
from noria.ports.flavor import Columns, Flavor
from noria.ports.telemetry import Telemetry
from noria.serving.companions import batcher_for, example_columns, judge
from noria.serving.live import Served

RETRY_S, RETRY_MOST_S = 2.0, 30.0
"""What could not be loaded is tried again after RETRY_S; what will hardly pass by itself after twice as long each time, up to the other."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Refusal:
    error: NoriaError
    due: float
    wait: float


class Bundles:
    """Loaded bundles by digest: each is loaded once, whatever number of generations and variants name it. Thread-safe."""

    def __init__(
        self, *, blobs: BlobStore, cache: Path, flavors: Mapping[str, Flavor], telemetry: Telemetry | None = None
    ) -> None:
        self._blobs, self._cache, self._flavors, self._telemetry = blobs, cache, flavors, telemetry
        self._marks = Marks(cache / "marks")
        self._lock = Lock()
        self._loaded: dict[Digest, Served] = {}
        self._refused: dict[Digest, _Refusal] = {}
        self._wanted: dict[str, frozenset[Digest]] = {}
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="noria-load")

    def close(self) -> None:
        """Load no more, and note that the process ends as it should."""
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._marks.close()

    def want(self, deployment: str, digests: Iterable[Digest]) -> None:
        """Keep these for a deployment, loaded or not, until others are wanted for it."""
        with self._lock:
            self._wanted[deployment] = frozenset(digests)

    def is_due(self, deployment: str) -> bool:
        """Whether something wanted for it is not loaded, and may be tried (again)."""
        with self._lock:
            left = self._wanted.get(deployment, frozenset()) - self._loaded.keys()
            refused = {digest: self._refused[digest].due for digest in left if digest in self._refused}
        return any(monotonic() >= refused.get(digest, 0.0) for digest in left)

    def untried(self, variants: Sequence[Variant]) -> list[Variant]:
        """Those that are neither loaded nor were refused just now, each bundle once."""
        now = monotonic()
        with self._lock:
            refused = {digest for digest, refusal in self._refused.items() if now < refusal.due}
            left = {v.bundle: v for v in variants if v.bundle not in self._loaded and v.bundle not in refused}
        return list(left.values())

    def load(self, variants: Sequence[Variant]) -> "Future[None]":
        """Load these, one after the other, in the thread that does nothing else; done when each is loaded or refused."""
        return self._pool.submit(self._load_all, list(variants))

    def served(self, variant: Variant) -> Served:
        """A loaded variant. Raises what kept it from loading: BundleError, StoreError."""
        known, refusal = self._loaded.get(variant.bundle), self._refused.get(variant.bundle)
        if known is not None:
            return replace(known, variant=variant)
        if refusal is not None:
            raise refusal.error
        raise BundleError(f"bundle {variant.bundle} is not loaded", remedy="try again in a moment")

    def crashes(self, variant: Variant) -> int:
        """How often a process died lately while it loaded or asked this version."""
        return self._marks.crashes(variant.bundle)

    def try_now(self) -> None:
        """Forget what could not be loaded, so that it is tried at once."""
        with self._lock:
            self._refused.clear()

    def forget_unused(self, live: Iterable[Digest]) -> None:
        """Drop what neither answers nor is wanted."""
        with self._lock:
            used = set(live).union(*self._wanted.values())
            for digest in self._loaded.keys() - used:
                self._marks.forget(digest)
            self._loaded = {digest: served for digest, served in self._loaded.items() if digest in used}
            self._refused = {digest: refusal for digest, refusal in self._refused.items() if digest in used}

    def _load_all(self, variants: Sequence[Variant]) -> None:
        for variant in variants:
            try:
                served = self._load(variant)
            except NoriaError as error:
                self._refuse(variant, error)
            except Exception as error:
                log.exception("loading bundle %s failed unexpectedly", variant.bundle)
                problem = f"version {variant.number} of {variant.model!r} cannot be loaded"
                self._refuse(variant, BundleError(problem, cause=f"{type(error).__name__}: {error}"))
            else:
                with self._lock:
                    self._loaded[variant.bundle] = served
                    self._refused.pop(variant.bundle, None)

    def _refuse(self, variant: Variant, error: NoriaError) -> None:
        with self._lock:
            before = self._refused.get(variant.bundle)
            wait = RETRY_S if before is None or error.retryable else min(2 * before.wait, RETRY_MOST_S)
            self._refused[variant.bundle] = _Refusal(error, monotonic() + wait, wait)

    def _load(self, variant: Variant) -> Served:
        crashes = self._marks.crashes(variant.bundle)
        if crashes >= MOST_CRASHES and variant.name != "champion":
            raise BundleError(
                f"version {variant.number} of {variant.model!r} is not loaded again",
                cause=f"the worker's process died {crashes} times while it loaded or asked it",
                remedy="roll it back, and look into the worker's log",
            )
        began = monotonic()
        with self._marks.loading(variant.bundle):
            opened = open_bundle(variant.bundle, blobs=self._blobs, cache=self._cache, flavors=self._flavors)
            signature = opened.manifest.signature
            example = self._example(opened.manifest)
            if example is not None:
                warm(opened, example)
            company = judge(opened.predictor.predict, example)
        predictor = self._marks.asked(variant.bundle, opened.predictor)
        if self._telemetry is not None:
            self._telemetry.observe(
                "noria_model_load_seconds", monotonic() - began, model=variant.model, version=str(variant.number)
            )
        return Served(
            variant,
            signature,
            predictor,
            checker(signature),
            unseen_counter(signature),
            opened.manifest.flavor,
            batcher_for(predictor.predict, company),
            company,
        )

    def _example(self, manifest: Bundle) -> Columns | None:
        """The bundle's example rows, if it has any that can be read."""
        found = next((entry.digest for entry in manifest.files if entry.path == manifest.example), None)
        return None if found is None else example_columns(self._blobs.get(found), manifest.signature)
