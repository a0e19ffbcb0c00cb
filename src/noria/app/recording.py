"""`noria.run(...)`: record a run of your own in the current project. No hidden global run: what you log to is what you hold."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, cast

from noria.app.workspace import Workspace
from noria.domain.ids import RunId
from noria.domain.run import ParamValue
from noria.errors import StoreUnavailable
from noria.ports.blobs import BlobStore
from noria.ports.runs import RunStore
from noria.tracking.active_run import ActiveRun
from noria.tracking.code_version import code_version
from noria.tracking.facts import facts, user
from noria.tracking.recorder import Recorder


@contextmanager
def run(
    experiment: str = "default",
    *,
    name: str | None = None,
    seed: int | None = None,
    workspace: Workspace | None = None,
    resume: str | None = None,
    parent: ActiveRun | str | None = None,
    tags: Mapping[str, str] | None = None,
    note: str = "",
    **params: ParamValue,
) -> Iterator[ActiveRun]:
    """Record a run: `with noria.run("churn", lr=0.1) as run: run.log(auc=0.91)`.

    params: kept with their types. parent: the run (or its id) that this one is a part of. note: what it is about, in words. resume: the id of a run
    to go on with, whose experiment, name, seed and parent stay as they are. The run is 'failed' if the block raises, and the error is recorded; a
    store that is away does not stop the block: what it could not take is sent by `noria sync`.
    """
    own = workspace is None
    held = workspace or Workspace.open()
    try:
        recorder = Recorder(
            _or_late(lambda: held.runs), _blobs(held), clock=held.clock, journal_folder=held.home / "journal"
        )
        said = {**(tags or {}), **({"noria.note": note} if note else {})}
        if resume is not None:
            with recorder.resume(RunId(resume)) as active:
                active.param(params)
                active.tag(said)
                yield active
            return
        with recorder.run(
            experiment,
            name=name,
            params=params,
            tags={**facts(), **said},
            seed=seed,
            code=code_version(held.home.parent),
            parent=RunId(parent) if isinstance(parent, str) else parent.id if parent is not None else None,
            user=user(),
        ) as active:
            yield active
    finally:
        if own:
            held.close()


class _Late:
    """A store that could not be opened: each call opens it, until it is there."""

    def __init__(self, opened: Callable[[], object]) -> None:
        self._opened = opened

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._opened(), name)


def _or_late(opened: Callable[[], RunStore]) -> RunStore:
    try:
        return opened()
    except StoreUnavailable:
        return cast(RunStore, _Late(opened))


def _blobs(workspace: Workspace) -> BlobStore:
    try:
        return workspace.blobs
    except StoreUnavailable:
        return cast(BlobStore, _Late(lambda: workspace.blobs))
