"""What watching left in the seeded store: the reference of each version, a window a day since the champion answers, and the newest look."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
import numpy as np

from noria.app.workspace import Workspace
from noria.domain.bundle import Bundle
from noria.domain.ids import Digest
from noria.domain.look import LabelState, Look, QualityState
from noria.domain.profile import ReferenceProfile
from noria.monitoring import drift
from noria.monitoring.profile import build_profile, window

DAYS, ROWS = 60, 80
DAY = 86_400
IMPORTANCE = {"hour": 0.31, "distance": 0.08, "wind": 0.17, "recent_delay": 0.44}


def _rows(chance: np.random.Generator, rows: int, *, later: float = 0.0) -> dict[str, np.ndarray]:
    """Inputs of one day; later: minutes by which recent delays have grown."""
    calm = chance.normal(0, 1.5)
    wind = np.maximum(chance.normal(12 + calm, 6, rows), 0)
    wind[chance.random(rows) < 0.02] = np.nan
    return {
        "hour": chance.integers(5, 24, rows).astype(float),
        "distance": chance.uniform(90, 2500, rows),
        "wind": wind,
        "recent_delay": chance.normal(14 + calm + later, 16, rows),
    }


def _scores(rows: dict[str, np.ndarray]) -> np.ndarray:
    logit = 0.05 * rows["hour"] - 0.0004 * rows["distance"] + 0.03 * np.nan_to_num(rows["wind"])
    return 1 / (1 + np.exp(-(logit + 0.028 * rows["recent_delay"] - 2.2)))


def reference(until: datetime) -> ReferenceProfile:
    """Sixty days before a training."""
    chance = np.random.default_rng(5)
    days = [_rows(chance, ROWS) for _ in range(DAYS)]
    columns = {name: np.concatenate([day[name] for day in days]) for name in days[0]}
    scores = _scores(columns)
    return build_profile(
        columns,
        scores,
        labels=(chance.random(scores.size) < scores).astype(float),
        blocks=np.repeat(np.arange(DAYS), ROWS),
        since=until - timedelta(days=DAYS),
        until=until,
        importance=IMPORTANCE,
    )


def watched(workspace: Workspace, deployment: str, *, since: datetime, until: datetime) -> None:
    """A window a day of the champion; from mid November on delays grow. The newest look says what a real one would."""
    champion = workspace.deployments.get(deployment).variant("champion")
    assert champion is not None
    manifest = msgspec.json.decode(workspace.blobs.get(champion.bundle), type=Bundle)
    assert manifest.profile is not None
    profile = msgspec.json.decode(workspace.blobs.get(manifest.profile), type=ReferenceProfile)
    chance, windows = np.random.default_rng(8), []
    begins = datetime.fromtimestamp(since.timestamp() // DAY * DAY + DAY, UTC)
    grown = datetime(2013, 11, 18, tzinfo=UTC)
    while begins + timedelta(days=1) <= until:
        rows = _rows(chance, ROWS, later=9.0 if begins >= grown else 0.0)
        windows.append(
            window(
                profile,
                rows,
                _scores(rows),
                deployment=deployment,
                number=champion.number,
                profile_digest=Digest(manifest.profile),
                since=begins,
                until=begins + timedelta(days=1),
            )
        )
        begins += timedelta(days=1)
    windows = [msgspec.structs.replace(each, step=DAY) for each in windows]
    workspace.counts.put(windows)
    seen = drift.detect(profile, windows, budget=drift.Budget(windows=365))
    workspace.looks.keep(
        Look(
            deployment=deployment,
            number=champion.number,
            at=until,
            inputs=seen.inputs,
            prediction=seen.prediction,
            windows=seen.windows,
            quality=QualityState(
                evidence=0.4,
                threshold=2.56,
                alarm=False,
                rows=61_204,
                bias=0.0041,
                excess=0.0023,
                excess_low=-0.0018,
                excess_high=0.0064,
            ),
            labels=LabelState(answers=64_100, labelled=61_204, delay_s=(14_400.0, 29_000.0, 90_000.0)),
        )
    )
