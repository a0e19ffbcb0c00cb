"""Replay the year through the endpoint in accelerated time: each flight is asked for at its scheduled departure, its label comes when it landed.

One simulated day at a time; at its end the day is flushed, labels that have arrived are handed in, and the loop's clock strikes. After a kill the day
that was under way is asked again under the same keys, so nothing is recorded twice. Called by demo/story.
"""

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import msgspec
import polars as pl

from noria.app.turn import Loop
from noria.app.workspace import Workspace
from noria.demo.client import Ask, Client, encode
from noria.demo.features import FEATURES, TEXT
from noria.domain.ids import PredictionId, derive
from noria.domain.prediction import GroundTruth
from noria.errors import NotFound, StoreUnavailable

PROGRESS = "demo/replay.json"


class ReplayClock:
    """A clock that stands where the replay has come to."""

    def __init__(self, now: datetime) -> None:
        self._now = now

    def now(self) -> datetime:
        """The simulated moment."""
        return self._now

    def set(self, now: datetime) -> None:
        """Move on; never back."""
        self._now = max(self._now, now)


class Reached(msgspec.Struct, frozen=True, kw_only=True):
    """How far the replay has come: every day before `until` is asked, labelled and judged."""

    until: datetime


class Replay:
    """The airline: knows the whole year, tells each thing only when it would have been known."""

    def __init__(
        self,
        workspace: Workspace,
        loop: Loop,
        client: Client,
        year: pl.DataFrame,
        *,
        deployment: str,
        clock: ReplayClock,
    ) -> None:
        self._workspace = workspace
        self._loop = loop
        self._client = client
        self._deployment = deployment
        self._clock = clock
        self._year = year
        self._labels = labels_of(year)

    def run(self, begin: datetime, end: datetime, *, on_day: Callable[[datetime, int], None]) -> None:
        """Replay from where the last one stopped (or from `begin`) to `end`."""
        day = max(begin, reached(self._workspace) or begin)
        self._clock.set(day)
        while day < end:
            following = min(day + timedelta(days=1), end)
            asked = self._ask(day, following)
            self._client.post("/noria/flush")
            self._clock.set(following)
            hand_in_labels(self._workspace, self._deployment, self._labels, since=day, until=following)
            self._loop.tick()
            self._settle()
            self._workspace.blobs.publish(PROGRESS, msgspec.json.encode(Reached(until=following)))
            on_day(following, asked)
            day = following

    def asked_before(self, day: datetime) -> int:
        """How many flights of the year are scheduled before a moment."""
        return int((self._year["at"] < day).sum())

    def _ask(self, day: datetime, following: datetime) -> int:
        today = self._year.filter(pl.col("at").is_between(day, following, closed="left"))
        self._client.ask_all(list(questions(today)))
        return today.height

    def _settle(self, *, seconds: float = 30.0) -> None:
        """Wait until every process that answers us serves the generation that the loop has declared."""
        try:
            wanted = self._workspace.deployments.get(self._deployment).generation
        except NotFound:
            return
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            told = [msgspec.json.decode(status) for status in self._client.get_everywhere("/noria/status")]
            if all(one["deployments"].get(self._deployment, {}).get("generation") == wanted for one in told):
                return
            time.sleep(0.02)
        raise StoreUnavailable(
            f"the worker does not serve generation {wanted} of {self._deployment!r}", remedy="noria doctor"
        )


def labels_of(year: pl.DataFrame) -> pl.DataFrame:
    """Every label of the year with the moment at which it is known, in the order of those."""
    labelled = year.filter(pl.col("label").is_not_null()).sort("known_at", maintain_order=True)
    return labelled.select("prediction_id", "label", "known_at")


def hand_in_labels(
    workspace: Workspace, deployment: str, labels: pl.DataFrame, *, since: datetime, until: datetime
) -> None:
    """Hand in what became known in (since, until]. Handed in again after a kill, labels count as duplicates and change nothing."""
    arrived = labels.filter((pl.col("known_at") > since) & (pl.col("known_at") <= until))
    truths = [
        GroundTruth(prediction_id=PredictionId(prediction_id), value=value, at=known_at)
        for prediction_id, value, known_at in arrived.iter_rows()
    ]
    workspace.predictions.add_labels(deployment, truths)


def reached(workspace: Workspace) -> datetime | None:
    """Where an earlier replay of this home stopped."""
    document = workspace.blobs.published(PROGRESS)
    return msgspec.json.decode(document, type=Reached).until.astimezone(UTC) if document else None


def questions(today: pl.DataFrame) -> Iterator[Ask]:
    """One request for each minute in which flights are scheduled, in the order of time."""
    columns = {name: today[name].to_list() for name in FEATURES}
    kinds = {name: "BYTES" if name in TEXT else "FP32" for name in FEATURES}
    moments = today["at"].to_list()
    start = 0
    for stop in range(1, len(moments) + 1):
        if stop < len(moments) and moments[stop] == moments[start]:
            continue
        body = encode({name: (kinds[name], values[start:stop]) for name, values in columns.items()}, stop - start)
        yield Ask(key=_key(moments[start]), at=moments[start], rows=stop - start, body=body)
        start = stop


def _key(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M")


def with_ids(year: pl.DataFrame, deployment: str) -> pl.DataFrame:
    """The year's rows with the id that each one's prediction will have: its request's key is its minute, its row its place in that minute."""
    year = year.sort("at", maintain_order=True)
    minutes = year["at"].unique(maintain_order=True)
    ids = pl.DataFrame({"at": minutes, "request": [f"r{derive(deployment, _key(at))}" for at in minutes.to_list()]})
    rows = year.with_columns(row=pl.int_range(pl.len()).over("at")).join(
        ids, on="at", how="left", maintain_order="left"
    )
    return rows.with_columns(prediction_id=pl.format("{}.{}", "request", "row"))
