"""Nothing is used before it was known: planted leaks are found, and what is labelled later changes nothing that came before."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest

from noria.demo.arms import answers
from noria.domain import events as e
from noria.errors import LeakDetected
from noria.loop.reactor import Reactor
from noria.loop.training import Known, held_back, known_only, labelled_rows
from noria.loop.wheel import TICKS, WHEEL
from noria.ports.predictions import PredictionLog
from tests.loop.small import BEGIN, DEPLOYMENT, Life, World, moment, open_life

NOW = BEGIN + 2


def rows(world: World, days: range) -> pl.DataFrame:
    return pl.concat([world.orders(day) for day in days])


class Hasty:
    """A prediction log that hands out labels before they are known: the leak, planted. Everything else is the real log's."""

    def __init__(self, log: PredictionLog, *, by: timedelta) -> None:
        self._log, self._by = log, by

    def joined(self, deployment: str, *, known_by: datetime, **more: Any) -> Any:
        return self._log.joined(deployment, known_by=known_by + self._by, **more)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._log, name)


@pytest.mark.parametrize("leaks", [1, 3])
def test_known_only_names_the_number_of_leaked_rows(leaks: int) -> None:
    with open_life() as life:
        frame, known_by = rows(life.world, range(5, 15)), moment(16)
        index = pl.int_range(pl.len())
        leaked = frame.with_columns(
            known_at=pl.when(index % 100 < 1, index < 100 * leaks).then(pl.lit(moment(16.5))).otherwise("known_at")
        )

        assert known_only(frame, life.recipe, known_by=known_by) is frame
        with pytest.raises(LeakDetected, match=f"^{leaks} labels of deployment 'returns'") as caught:
            known_only(leaked, life.recipe, known_by=known_by)
        assert moment(16).isoformat() in caught.value.cause
        assert "2026-01-17 12:00" in caught.value.cause


def test_a_label_without_a_time_is_a_leak_and_a_row_without_a_label_is_none() -> None:
    with open_life() as life:
        frame, known_by = rows(life.world, range(5, 8)), moment(16)
        first = pl.int_range(pl.len()) == 0
        timeless = frame.with_columns(known_at=pl.when(~first).then("known_at"))
        unlabelled = timeless.with_columns(label=pl.when(~first).then("label"))

        with pytest.raises(LeakDetected, match=r"^1 labels"):
            known_only(timeless, life.recipe, known_by=known_by)
        assert known_only(unlabelled, life.recipe, known_by=known_by).height == frame.height


def test_the_back_test_refuses_a_planted_leak() -> None:
    with open_life() as life:
        frame, until = rows(life.world, range(15)), moment(16)
        leaked = frame.with_columns(
            known_at=pl.when(pl.int_range(pl.len()) == 700).then(pl.lit(moment(17))).otherwise("known_at")
        )

        assert held_back(frame, life.recipe, (), Known(), until=until.isoformat()).height > 0
        with pytest.raises(LeakDetected, match=r"^1 labels"):
            held_back(leaked, life.recipe, (), Known(), until=until.isoformat())


def test_a_log_that_tells_labels_too_early_is_found_out_and_the_run_fails() -> None:
    with open_life() as life:
        life.declare().live(range(NOW, NOW + 3))
        now = life.clock.now()
        late = [x for x in life._waiting if x.at > now]
        life.workspace.predictions.add_labels(DEPLOYMENT, late)
        hasty: Any = Hasty(life.workspace.predictions, by=timedelta(days=5))

        with pytest.raises(LeakDetected, match=f"^{len(late)} labels"):
            labelled_rows(life.recipe, life.workspace.tables, hasty, known_by=now)

        before = life.workspace.deployments.get(DEPLOYMENT)
        life.loop = _Turning(Reactor(replace(life.loop.context, predictions=hasty), stages=WHEEL, ticks=TICKS))  # type: ignore[assignment]
        life.request()
        (failed,) = life.all(e.RunFailed)
        assert failed.error.startswith(f"{len(late)} labels of deployment 'returns' were used before they were known")
        assert life.workspace.deployments.get(DEPLOYMENT) == before


class _Turning:
    def __init__(self, reactor: Reactor) -> None:
        self.turn = reactor.turn


def test_an_arm_does_not_see_a_label_that_comes_later() -> None:
    """The rules that the loop is measured against filter by when a label was known; what comes later may be anything."""
    with open_life() as life:
        year, known_by = rows(life.world, range(30)), moment(20)
        asking = {"since": moment(0).isoformat(), "begin": moment(20).isoformat(), "end": moment(30).isoformat()}
        later = pl.col("known_at") > known_by
        flipped = year.with_columns(label=pl.when(later).then(1 - pl.col("label")).otherwise("label"))
        earlier = year.with_columns(label=pl.when(~later).then(1 - pl.col("label")).otherwise("label"))

        said = answers(year, life.recipe, known_by=known_by.isoformat(), **asking)

        assert np.array_equal(said, answers(flipped, life.recipe, known_by=known_by.isoformat(), **asking))
        assert not np.array_equal(said, answers(earlier, life.recipe, known_by=known_by.isoformat(), **asking))


def told(life: Life) -> Sequence[tuple[object, ...]]:
    return [(x.id, x.at, x.actor, x.event, x.cause) for x in life.workspace.ledger.read(limit=100_000)]


def test_labels_known_after_a_moment_change_nothing_before_it() -> None:
    """The same life twice; the second time every label known after T says the opposite."""
    world, cut = World(turns=26), moment(36)
    lives, logs = [], []
    for flip in (False, True):
        with open_life(world=world) as life:
            life.declare().live(
                range(NOW, 44), label=lambda known_at, value, flip=flip: 1 - value if flip and known_at > cut else value
            )
            lives.append(told(life))
            logs.append(pl.DataFrame(life.workspace.predictions.scan(DEPLOYMENT, until=cut)).drop("latency_us"))

    before = [[x for x in life if x[1] <= cut] for life in lives]
    assert len(before[0]) > 13, "something has to happen before T for this to say anything"
    assert before[0] == before[1]
    assert logs[0].equals(logs[1])
    assert lives[0] != lives[1], "the flipped labels have to matter after T"
