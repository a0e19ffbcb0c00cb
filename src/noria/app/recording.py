"""`noria.run(...)`: record a run of your own in the current project. No hidden global run: what you log to is what you hold."""

from collections.abc import Iterator
from contextlib import contextmanager

from noria.app.workspace import Workspace
from noria.domain.run import ParamValue
from noria.tracking.code_version import code_version
from noria.tracking.recorder import ActiveRun, Recorder


@contextmanager
def run(
    experiment: str = "default",
    *,
    name: str | None = None,
    seed: int | None = None,
    workspace: Workspace | None = None,
    **params: ParamValue,
) -> Iterator[ActiveRun]:
    """Record a run: `with noria.run("churn", lr=0.1) as run: run.log(auc=0.91)`.

    params: kept with their types. The run is 'failed' if the block raises, and the error is recorded; a store that is away does not stop the block.
    """
    own = workspace is None
    held = workspace or Workspace.open()
    try:
        recorder = Recorder(held.runs, held.blobs, clock=held.clock, journal_folder=held.home / "journal")
        with recorder.run(
            experiment, name=name, params=params, seed=seed, code=code_version(held.home.parent)
        ) as active:
            yield active
    finally:
        if own:
            held.close()
