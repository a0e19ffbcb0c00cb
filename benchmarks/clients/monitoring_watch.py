"""Noria on a stream, through its public functions: what a deployment's looks would have said, window by window.

`drift` judges inputs and answers without labels, `decay` the labelled days, `model` is the frozen model that they watch. Called by monitoring_proof.
"""

from dataclasses import dataclass, field
from typing import Any

from noria.domain.ids import digest_of
from noria.domain.profile import ReferenceProfile, WindowCounts
from noria.monitoring import drift as drifts
from noria.monitoring import quality
from noria.monitoring.profile import build_profile, window
from noria.testing.streams import Rows, Stream

DIGEST = digest_of(b"profile")


@dataclass(frozen=True, kw_only=True)
class Said:
    """flags: 0 or 1 a window. blamed: inputs named when the first alarm after the change was there."""

    flags: list[int]
    blamed: list[str] = field(default_factory=list)


def profile_of(stream: Stream, history: Rows, scores: Any, learnt: int = 0) -> ReferenceProfile:
    """The reference's profile, in blocks of days. learnt: first windows that the model learnt from."""
    blocks = history.at.astype("datetime64[D]")  # days with their date: seasons are learnt from it
    held = history.window >= learnt - stream.reference
    return build_profile(
        history.columns,
        scores[held],
        labels=history.labels[held],
        blocks=blocks,
        score_blocks=blocks[held],
        since=stream.span(-stream.reference)[0],
        until=stream.span(-1)[1],
        window_seconds=max(86400.0, stream.length.total_seconds()),
    )


def drift(stream: Stream, at: int) -> Said:
    """Counts of each window, judged as soon as a day is complete."""
    history = stream.history()
    profile = profile_of(stream, history, stream.world.believes(history.columns))
    eyes = drifts.watch(profile)
    state, waiting, done = eyes.begin(), [], []
    flags: list[int] = []
    blamed: list[str] = []
    for number, rows in enumerate(stream):
        waiting.append(_counts(stream, profile, number, rows))
        complete = drifts.complete_windows(profile, waiting)
        for each in complete:
            state = eyes.step(state, each.counts, at=each.since)
        done = (done + complete)[-drifts.SHOWN_WINDOWS :]
        waiting = [w for w in waiting if not complete or w.since >= complete[-1].until]
        flags.append(int(any(eyes.alarms(state))))
        if number >= at and flags[-1] and not blamed:
            found = drifts.report(eyes, state, done)
            blamed = [f.feature for f in (*found.inputs.features, *found.prediction.features) if f.blamed]
    return Said(flags=flags, blamed=blamed)


def _counts(stream: Stream, profile: ReferenceProfile, number: int, rows: Rows) -> WindowCounts:
    since, until = stream.span(number)
    return window(
        profile,
        rows.columns,
        stream.world.believes(rows.columns),
        deployment="d",
        number=1,
        profile_digest=DIGEST,
        since=since,
        until=until,
    )


def decay(stream: Stream, profile: ReferenceProfile, current: Rows, scores: Any) -> Said:
    """Labelled days as they are known at the end of each window."""
    flags = []
    for number in range(stream.windows):
        now = stream.span(number)[1]
        days = quality.daily(current.known(now), scores, at=current.at, known_by=now)
        flags.append(int(quality.decay(profile, days).alarm))
    return Said(flags=flags)
