"""A worker's composition, without SQL: blobs, the prediction journal, flavors by name, and a loader that follows the published documents.

The HTTP half is server/inference, which builds on this one; `python -m noria.app.worker` hands over to it. Nothing here opens a database.
"""

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import cast

import msgspec

from noria.app.flavors import Flavors
from noria.app.plugins import load
from noria.app.redaction import redaction_salt
from noria.app.settings import code_is_allowed
from noria.app.stores import open_blobs
from noria.app.worker_group import GroupUnloaded, standing
from noria.app.worker_loader import LOOK_S, Loader
from noria.app.worker_unloaded import Unloaded
from noria.domain.ids import Digest, fresh
from noria.domain.prediction import PredictionRecord
from noria.ports.blobs import BlobStore
from noria.ports.predictions import PredictionWriter
from noria.ports.telemetry import Telemetry
from noria.serving.companions import UNTRIED, Judgement
from noria.serving.live import Board, Served
from noria.serving.record import CAPACITY_ROWS, LINGER_S, Recorder, RingStatus, WhenFull
from noria.serving.recording import EVERYTHING, SALT_BYTES, Recording
from noria.serving.shadow import Shadows, ShadowStatus

log = logging.getLogger(__name__)


class VariantStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One variant that answers. company: whether its requests are answered in batches, and what was measured to decide it."""

    name: str
    model: str
    number: int
    version: str
    weight: float
    bundle: Digest
    flavor: str
    company: Judgement = UNTRIED
    shadow: bool = False


class DeploymentStatus(msgspec.Struct, frozen=True, kw_only=True):
    """generation: what answers now (0: nothing does). loaded: whether it is the newest that was published. problem: why it is not.

    recording: how much of it goes into the prediction log. stopped: why nobody is answered, where a person wants it so. missing: variants of this
    generation that could not be loaded, and why; the champion answers their share.
    """

    generation: int
    loaded: bool
    variants: tuple[VariantStatus, ...] = ()
    problem: str = ""
    recording: Recording = EVERYTHING
    stopped: str = ""
    missing: dict[str, str] = {}


class WorkerStatus(msgspec.Struct, frozen=True, kw_only=True):
    """What GET /noria/status shows, of the process that answers it. slot: its place among the `processes` that share the port.

    restarts: how often one of them has crashed and come back. recorded: whether predictions are logged.
    """

    pid: int
    deployments: dict[str, DeploymentStatus]
    ring: RingStatus
    unloaded: tuple[str, ...] = ()
    """Deployments that were taken off by hand."""
    recorded: bool = True
    slot: int = 0
    processes: int = 1
    restarts: int = 0
    shadows: ShadowStatus = ShadowStatus()


class Unrecorded:
    """Stands where a journal would, in a worker that shall record nothing."""

    def __init__(self, deployment: str) -> None:
        self.deployment = deployment

    def write(self, records: Sequence[PredictionRecord]) -> None:
        """Keep nothing."""

    def close(self) -> None:
        """Nothing is open."""


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
        telemetry: Telemetry | None = None,
        documents: BlobStore | None = None,
        recorded: bool = True,
        group: Path | None = None,
        slot: int = 0,
        recording: Mapping[str, Recording] | None = None,
        look_s: float = LOOK_S,
    ) -> None:
        """home: the project's folder (`.noria`). blobs: where bundles are, by default in that folder. documents: what shall be served, by default
        published beside the bundles.

        deployments: which to serve, None: all that are published, also later ones. recorded: whether predictions are logged at all.
        group, slot: the folder and the number of this process among those that share its port (worker_group).
        telemetry: told of loads. look_s: how often what shall be served is looked at.
        recording: how much is recorded of deployments that are not recorded whole."""
        self.blobs = blobs or open_blobs("local", "", home=home, project="")
        self.board = Board()
        self.recorder = Recorder(
            self._writers(home, durable) if recorded else Unrecorded,
            capacity_rows=capacity_rows,
            when_full="refuse" if durable else when_full,
            linger_s=0.0 if durable else LINGER_S,
            recording=recording,
            salt=redaction_salt(home) if any(each.digest for each in (recording or {}).values()) else bytes(SALT_BYTES),
        )
        self.shadows = Shadows(self.recorder, telemetry=telemetry)
        self._recording = dict(recording or {})
        self._group, self._slot, self._recorded = group, slot, recorded
        self._unloaded = Unloaded() if group is None else GroupUnloaded(group, slot, flush=self._flush_own)
        self.loader = Loader(
            self.board,
            blobs=self.blobs,
            cache=home / "cache",
            flavors=Flavors(allow_code=code_is_allowed()),
            only=deployments,
            telemetry=telemetry,
            unloaded=self._unloaded,
            documents=documents,
            recording=self._recording,
            look_s=look_s,
        )

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
        processes, restarts = (1, 0) if self._group is None else standing(self._group)
        return WorkerStatus(
            pid=os.getpid(),
            deployments=deployments,
            ring=self.recorder.status(),
            unloaded=tuple(self.board.unloaded()),
            recorded=self._recorded,
            slot=self._slot,
            processes=processes,
            restarts=restarts,
            shadows=self.shadows.status(),
        )

    def _deployment(self, name: str) -> DeploymentStatus:
        live = next((one for one in self.board.all() if one.deployment == name), None)
        error = self.board.error(name)
        problem = "" if error is None else f"{error.headline()} {error.cause}".strip()
        recording = self._recording.get(name, EVERYTHING)
        stopped = self.board.stopped(name)
        if live is None:
            return DeploymentStatus(
                generation=0, loaded=bool(stopped), problem=problem, recording=recording, stopped=stopped
            )
        variants = tuple(_variant_status(served) for served in (*live.variants, *live.shadows))
        return DeploymentStatus(
            generation=live.generation,
            loaded=error is None,
            variants=variants,
            problem=problem,
            recording=recording,
            missing={name: error.headline() for name, error in live.missing.items()},
        )

    def flush(self) -> bool:
        """Wait until everything answered before this call, by any process of the group, is in the log. False: it was not within some seconds."""
        if not isinstance(self._unloaded, GroupUnloaded):
            return self._flush_own()
        change = self._unloaded.touch()
        self.loader.step()
        return self._unloaded.wait_for(change, flushed=True)

    def _flush_own(self) -> bool:
        return self.shadows.wait() and self.recorder.flush()

    def close(self) -> bool:
        """Stop following, write what is left. False: some records could not be written."""
        self.loader.stop()
        self.shadows.close()
        done = self.recorder.close()
        if not done:
            log.error("some predictions could not be written: %s", self.recorder.status().problem)
        return done


def _variant_status(served: Served) -> VariantStatus:
    variant = served.variant
    return VariantStatus(
        name=variant.name,
        model=variant.model,
        number=variant.number,
        version=variant.version,
        weight=variant.weight,
        bundle=variant.bundle,
        flavor=served.flavor,
        company=served.company,
        shadow=variant.shadow,
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """`python -m noria.app.worker --home DIR [--port 0] ...`: the same as `python -m noria.server.inference.run`. Ends the process.

    A face stands above this floor, so it is found by its name, as adapters are.
    """
    face = import_module("noria.server.inference.run")
    face.leave(face.main(arguments))


if __name__ == "__main__":
    main()
