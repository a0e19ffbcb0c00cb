"""Since when a change stands, where labels come late and in no order: by when answers were asked for, not by when their labels came."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from noria.monitoring.concept import concept, losses_of
from noria.monitoring.labels import moment

START = datetime(2026, 1, 1, tzinfo=UTC)
DAYS, ROWS, TURNS = 40, 100, 22


@pytest.mark.parametrize("latest", [0, 5, 12])
@pytest.mark.parametrize("seed", range(3))
def test_a_change_is_dated_by_when_answers_were_asked_for(seed: int, latest: int) -> None:
    dice = np.random.default_rng(seed)
    at = moment(START) + np.arange(DAYS * ROWS) * np.timedelta64(86400 // ROWS, "s")
    waits = (
        np.floor(dice.uniform(0, latest, at.size) * 86400).astype(np.int64)
        if latest
        else np.zeros(at.size, dtype=np.int64)
    )
    loss = (dice.random(at.size) < np.where(np.arange(at.size) < TURNS * ROWS, 0.1, 0.5)).astype(float)

    (found,) = concept(losses_of(loss, at=at, label_at=at + waits * np.timedelta64(1, "s")), budget_labels=1e6).changes[
        :1
    ]

    assert found.worse
    assert abs(found.since - (START + timedelta(days=TURNS))) < timedelta(days=1)
    assert found.seen_at > found.since
