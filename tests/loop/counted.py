"""A deployment that is asked and counted, without a training: a version with a profile, a log in files, looks at any moment."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import numpy as np

import noria
from noria.adapters.predictions import parquet
from noria.domain.bundle import Bundle, Environment
from noria.domain.ids import Digest, RunId
from noria.domain.model import Signature
from noria.domain.prediction import PredictionRecord
from noria.domain.profile import ReferenceProfile, WindowCounts
from noria.loop.context import Context, Recipe
from noria.loop.stages.watch_counts import count_served
from noria.monitoring.profile import build_profile
from noria.testing.models_suite import a_version
from noria.wire.canonical import canonical

MONDAY = datetime(2026, 1, 5, tzinfo=UTC)
NAME = "shop"


def a_profile(rows: int = 2000) -> ReferenceProfile:
    """Prices and shops of 20 days."""
    rng = np.random.default_rng(0)
    return build_profile(
        {"price": rng.gamma(2.0, 30.0, rows), "shop": rng.choice(np.array(["north", "south"], dtype=object), rows)},
        rng.uniform(size=rows),
        labels=rng.integers(0, 2, rows),
        blocks=np.arange(rows) * 20 // rows,
        since=MONDAY - timedelta(days=20),
        until=MONDAY,
    )


class Asked:
    """The deployment, its log in `home` and its counts."""

    def __init__(
        self,
        home: Path,
        *,
        versions: Sequence[int] = (1,),
        profile: ReferenceProfile | None = None,
        workspace: noria.Workspace | None = None,
    ) -> None:
        self.home = home
        workspace = workspace or noria.Workspace.ephemeral("asked")
        self.workspace = workspace
        self.profile = profile or a_profile()
        address = Digest(workspace.blobs.put(canonical(self.profile)))
        manifest = Bundle(
            model="m",
            run_id=RunId("r"),
            flavor="onnx",
            code_free=True,
            signature=Signature(inputs=(), outputs=()),
            files=(),
            environment=Environment(python="3", platform="", packages={}),
            created_at=MONDAY,
            profile=address,
        )
        self.bundle = Digest(workspace.blobs.put(canonical(manifest)))
        for number in versions:
            version = a_version(number, model="m")
            workspace.models.register(msgspec.structs.replace(version, bundle=self.bundle))
        self.recipe = Recipe(
            deployment=NAME,
            model="m",
            base=Digest("blake3:0"),
            schema=noria.Schema(columns=()),
            features=("price", "shop"),
            candidates={},
            gates=(),
        )
        loop = noria.Loop(workspace, [self.recipe])
        self.log = parquet.open_store(str(home))
        self.context: Context = replace(loop.context, predictions=self.log)
        self._requests = 0

    def records(
        self, minutes: Sequence[float], *, number: int = 1, rows: int = 1, since: datetime = MONDAY, **changes: object
    ) -> list[PredictionRecord]:
        """A request at each of these minutes after `since`."""
        made = []
        for minute in minutes:
            self._requests += 1
            rng = np.random.default_rng(self._requests)
            record = PredictionRecord(
                request_id=f"r{self._requests:032x}",
                deployment=NAME,
                variant="champion",
                model="m",
                number=number,
                bundle=self.bundle,
                generation=1,
                at=since + timedelta(minutes=minute),
                latency_us=100,
                protocol="v2",
                rows=rows,
                inputs={
                    "price": rng.gamma(2.0, 30.0, rows).tolist(),
                    "shop": rng.choice(["north", "south"], rows).tolist(),
                },
                outputs={"probability": rng.uniform(size=rows).tolist()},
            )
            made.append(msgspec.structs.replace(record, **changes))
        return made

    def write(self, records: Sequence[PredictionRecord], *, name: str = "w", closed: bool = True) -> None:
        """Into the log, by one writer."""
        writer = self.log.writer(NAME, name=name)
        writer.write(records)
        if closed:
            writer.close()

    def look(self, now: datetime) -> list[WindowCounts]:
        """Count what is there now."""
        return count_served(self.context, self.recipe, now=now)

    def held(self, step: int, *, number: int = 1) -> dict[datetime, int]:
        """Rows of the stored windows of a tier, by their beginning."""
        found = self.context.counts.windows(NAME, number, step=step)
        for window in found:
            assert {sum(counts) for counts in window.counts.values()} == {window.rows}
        return {window.since: window.rows for window in found}
