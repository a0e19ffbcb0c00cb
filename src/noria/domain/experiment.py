"""Experiments: where runs belong. Searching them is ports/experiments."""

from datetime import datetime

import msgspec

from noria.domain.ids import ExperimentId


class Experiment(msgspec.Struct, frozen=True, kw_only=True):
    """A named group of runs. id: a decimal number as text, never used twice in a project.

    artifact_root: where its runs keep files if that is outside this store; a URI that only clients open, never the server. Empty: in this store.
    trashed_at: when it was put into the trash; its name is free again from then on.
    """

    id: ExperimentId
    name: str
    created_at: datetime
    updated_at: datetime
    tags: dict[str, str] = {}
    artifact_root: str = ""
    trashed_at: datetime | None = None
