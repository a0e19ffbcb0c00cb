"""Pipes that break: what Noria's data quality says of each day, and the same days as files for peers. Called by monitoring_proof."""

from datetime import datetime
from pathlib import Path
from typing import Any

import monitoring_stream
import monitoring_watch
import numpy as np

from noria.domain.profile import WindowCounts
from noria.monitoring.data_quality import check_window
from noria.monitoring.data_volume import check_volume
from noria.monitoring.profile import window
from noria.testing.streams import Rows
from noria.testing.streams_faults import Broken


def noria(pipe: Broken) -> tuple[list[int], list[str]]:
    """One flag a day: any finding; and the kinds of findings on the first broken day. Model and drift are left aside."""
    stream, history = pipe.stream, pipe.history()
    profile = monitoring_watch.profile_of(stream, history, stream.world.believes(history.columns))
    flags: list[int] = []
    kinds: list[str] = []
    before: WindowCounts | None = None
    volume = [(stream.span(i)[0], int((history.window == i).sum())) for i in range(-stream.reference, 0)]
    for number in range(stream.windows):
        rows, (since, until) = pipe.window(number), stream.span(number)
        counted = _count(profile, rows, number, since, until)
        volume.append((since, len(rows)))
        few = check_volume(volume, step_s=86400)
        found = [*check_window(profile, counted, before=before), *([few] if few else [])]
        before = counted
        flags.append(int(bool(found)))
        if pipe.faults_in(number) and not kinds:
            kinds = sorted({f.kind for f in found})
    return flags, kinds


def _count(profile: Any, rows: Rows, number: int, since: datetime, until: datetime) -> WindowCounts:
    scores = np.full(
        len(rows), 0.3
    )  # a constant answer would be a finding of its own; broken inputs are what is tried here
    scores += np.random.default_rng(number).normal(0, 0.05, len(rows))
    return window(
        profile,
        rows.columns,
        scores,
        deployment="d",
        number=1,
        profile_digest=monitoring_watch.DIGEST,
        since=since,
        until=until,
    )


def write(pipe: Broken, folder: Path, *, first: int, last: int) -> Path:
    """The reference and a file for each of some days."""
    folder.mkdir(parents=True)
    history = pipe.history()
    monitoring_stream.save(folder / "reference.npz", history.columns, window=history.window)
    for number in range(first, last + 1):
        monitoring_stream.save(folder / f"day-{number:03d}.npz", pipe.window(number).columns)
    return folder
