"""Record a run while it happens. Tracking never stops a training: what the store cannot take now waits in a local journal and is sent later.

Keeping runs is the RunStore port; the run under way is active_run.py, the files journal.py, sending them sync.py. Called by app/recording.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from noria.domain.ids import Digest, EventId, RunId, fresh
from noria.domain.run import CodeVersion, ParamValue, Run
from noria.errors import AccessError, ConfigError, Conflict, NoriaError
from noria.ports.blobs import BlobStore
from noria.ports.clock import Clock
from noria.ports.runs import RunStore
from noria.tracking.active_run import ActiveRun, checked_name, checked_text, plain_param
from noria.tracking.delivery import REFUSALS
from noria.tracking.naming import human_name
from noria.tracking.sync import sync

_log = logging.getLogger("noria.tracking")


class Recorder:
    """Begins runs in one store. journal_folder: where runs keep what is not in the store yet; made when it is needed.

    >>> recorder = Recorder(store.runs, store.blobs, clock=clock, journal_folder=folder)  # doctest: +SKIP
    >>> with recorder.run("churn", params={"lr": 0.1}) as run:  # doctest: +SKIP
    ...     run.log(auc=0.91, step=3)
    """

    def __init__(self, runs: RunStore, blobs: BlobStore, *, clock: Clock, journal_folder: Path) -> None:
        self._runs = runs
        self._blobs = blobs
        self._clock = clock
        self._folder = journal_folder

    @contextmanager
    def run(
        self,
        experiment: str,
        *,
        name: str | None = None,
        params: Mapping[str, ParamValue] | None = None,
        tags: Mapping[str, str] | None = None,
        seed: int | None = None,
        datasets: Sequence[Digest] = (),
        code: CodeVersion | None = None,
        environment: Digest | None = None,
        parent: RunId | None = None,
        cause: EventId | None = None,
        run_id: RunId | None = None,
        user: str = "",
    ) -> Iterator[ActiveRun]:
        """Record what happens in the block; the run is 'failed', with the error, if it raises. Without a name it is given one that people can say.

        parent: the run that this one is a part of. Raises what the store says against the run itself (AlreadyExists, InputInvalid) before the block
        begins; a store that is away stops nothing.
        """
        chosen = run_id or RunId(fresh())
        said = {
            **({"noria.parent": parent} if parent else {}),
            **(tags or {}),
        }  # a tag can be searched for: so are children found
        begun = Run(
            id=chosen,
            experiment=checked_name(experiment),
            name=checked_text(name) if name else human_name(chosen),
            status="running",
            started_at=self._clock.now(),
            params={checked_name(key): plain_param(key, value) for key, value in (params or {}).items()},
            tags={checked_name(key): checked_text(str(value)) for key, value in said.items()},
            datasets=tuple(datasets),
            seed=seed,
            code=code,
            environment=environment,
            parent=parent,
            cause=cause,
            user=user,
        )
        with self._active(begun) as active:
            yield active

    @contextmanager
    def resume(self, run_id: RunId) -> Iterator[ActiveRun]:
        """Go on with a run, whether it ended or its process was killed; what that process left in its journal here is sent first.

        Raises NotFound, Conflict for a run in the trash; a store that is away stops nothing.
        """
        self._sync()
        try:
            known = self._runs.get(run_id)
        except (*REFUSALS, ConfigError, AccessError):
            raise
        except NoriaError as error:
            _log.info("run %s is resumed while its store is away: %s", run_id, error)
            known = Run(
                id=run_id,
                experiment="",
                name=human_name(run_id),
                status="running",
                started_at=self._clock.now(),
            )
        if known.trashed_at is not None:
            raise Conflict(f"run {run_id!r} is in the trash", remedy="take it out first")
        with self._active(known, resumed=True) as active:
            yield active

    @contextmanager
    def _active(self, run: Run, *, resumed: bool = False) -> Iterator[ActiveRun]:
        active = ActiveRun(
            run, self._runs, blobs=self._blobs, clock=self._clock, journal_folder=self._folder, resumed=resumed
        )
        with active:
            yield active
        if active.is_complete:
            self._sync()

    def _sync(self) -> None:
        """The store is there: send what earlier runs left."""
        try:
            for done in sync(self._folder, self._runs, blobs=self._blobs):
                _log.info("run %s was sent from its journal", done.run_id)
        except (NoriaError, OSError) as error:
            _log.info("journals in %s are kept: %s", self._folder, error)
