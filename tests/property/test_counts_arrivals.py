"""However rows arrive (late, twice, in any order, between looks, compactions and lost marks), the counts are those of all rows at once."""

from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from noria.monitoring.profile import merge, window
from tests.loop.counted import MONDAY, NAME, Asked


@pytest.mark.parametrize("seed", range(4))
def test_counts_are_those_of_all_rows_at_once_however_they_arrive(tmp_path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    asked = Asked(tmp_path)
    span = [200, 1440 * 2, 1440 * 9, 1440 * 3][seed]
    burst = rng.uniform(0, span, 2)
    minutes = np.sort(np.concatenate([rng.uniform(0, span, 15), *(b + rng.uniform(0, 3, 12) for b in burst)]))
    records = asked.records(minutes.tolist(), rows=int(rng.integers(1, 20)))
    order = rng.permutation(len(records))
    now = MONDAY
    for number, part in enumerate(np.array_split(order, 6)):
        sent = [records[i] for i in part] + [records[i] for i in rng.choice(order, 2)]
        asked.write(sent, name=f"w{number}", closed=bool(rng.integers(0, 2)))
        now = max(now + timedelta(minutes=1), MONDAY + timedelta(minutes=float(rng.uniform(0, span))))
        if rng.uniform() < 0.7:
            asked.look(now)
        if rng.uniform() < 0.2:
            asked.context.counts.mark_counted(NAME, parts={}, gone=list(asked.context.counts.counted(NAME)))
    asked.look(MONDAY + timedelta(minutes=span + 10))

    days = asked.context.counts.windows(NAME, 1, step=86400)
    whole = window(
        asked.profile,
        {name: np.concatenate([np.array(r.inputs[name], dtype=object) for r in records]) for name in ("price", "shop")},
        np.concatenate([r.outputs["probability"] for r in records]),
        deployment=NAME,
        number=1,
        profile_digest=days[0].profile,
        since=MONDAY,
        until=MONDAY,
    )
    total = merge(days)
    assert (total.rows, total.counts) == (whole.rows, whole.counts), seed
    assert total.moments["price"].low == whole.moments["price"].low
    for step in (3600, 60):
        held = asked.context.counts.windows(NAME, 1, step=step)
        starts = {w.since for w in held}
        assert len(starts) == len(held)
        for each in held:
            inside = [r for r in records if each.since <= r.at < each.since + timedelta(seconds=step)]
            assert each.rows == sum(r.rows for r in inside), (seed, step, each.since)
