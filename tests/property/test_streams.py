"""Streams with a known truth: they repeat themselves, change when they say so, and not before."""

from dataclasses import replace
from datetime import timedelta
from itertools import islice

import numpy as np
import pytest

from noria.testing.streams import Change, Labels, Rows, Stream
from noria.testing.streams_agrawal import Agrawal
from noria.testing.streams_catalogue import CONCEPTS, INPUTS, Scenario
from noria.testing.streams_faults import Broken, Fault
from noria.testing.streams_weather import Batches, RowMemory, Season, Trend, Weather, Wobble
from noria.testing.streams_worlds import Hyperplane, Led, Sea, Stagger, Table, World

WORLDS = [Table(width=8, levels=(3, 20)), Sea(), Agrawal(), Stagger(), Hyperplane(), Led()]
WEATHERS = [Wobble(0.3, 0.5, 0.5), Season(7, 0.5), Trend(0.05), RowMemory(), Batches(10, 0.5)]


def errors(world: World, rows: Rows) -> float:
    """Share of rows on which a perfect model of the old concept is wrong."""
    belief = world.believes(rows.columns)
    said = belief > 0.5 if belief.ndim == 1 else belief.argmax(axis=1)
    return float((said != rows.labels).mean())


def same(a: Rows, b: Rows) -> bool:
    return (
        all((a.columns[n] == b.columns[n]).all() for n in a.columns)
        and (a.at == b.at).all()
        and (a.labels == b.labels).all()
    )


@pytest.mark.parametrize("world", WORLDS, ids=lambda w: type(w).__name__)
def test_the_same_seed_gives_the_same_rows_and_another_one_gives_others(world: World) -> None:
    stream = Stream(world=world, seed=3, rows=60, reference=2, windows=4, weather=(Wobble(0.1, 0.5, 0.5),))

    longer = replace(stream, windows=9)

    assert all(same(a, b) for a, b in zip(stream, islice(longer, 4), strict=True))
    assert not (stream.window(0).at == replace(stream, seed=4).window(0).at).any()


@pytest.mark.parametrize("world", WORLDS, ids=lambda w: type(w).__name__)
def test_a_model_of_the_old_concept_is_right_until_the_concept_changes(world: World) -> None:
    stream = Stream(world=world, seed=1, rows=3000, windows=2, changes=(Change(kind="concept", window=1),))

    before, after = (errors(world, rows) for rows in stream)

    assert before < 0.3
    assert after > before + 0.05


@pytest.mark.parametrize("weather", WEATHERS, ids=lambda w: type(w).__name__)
def test_weather_moves_inputs_and_leaves_the_concept_alone(weather: Weather) -> None:
    calm = Stream(world=Sea(), seed=2, rows=4000, windows=1)

    moved = replace(calm, weather=(weather,))

    assert not np.allclose(calm.window(0).columns["x0"], moved.window(0).columns["x0"])
    assert errors(Sea(), moved.window(0)) == pytest.approx(0.1, abs=0.02)


def test_a_change_moves_what_it_names_from_its_window_on_by_its_size() -> None:
    change = Change(kind="shift", window=2, size=0.5, columns=("x0",), over=2, lasts=3)
    stream = Stream(world=Table(width=4, levels=(3,)), seed=5, rows=8000, windows=6, changes=(change,))

    means = [(rows.columns["x0"].mean(), rows.columns["x2"].mean()) for rows in stream]

    assert [a for a, _ in means] == pytest.approx([0, 0, 0.25, 0.5, 0.5, 0], abs=0.05)
    assert [b for _, b in means] == pytest.approx([means[0][1]] * 6, abs=0.15)
    assert [bool(stream.active(i)) for i in range(6)] == [False, False, True, True, True, False]
    assert stream.quiet().active(3) == ()


def test_joint_changes_leave_every_input_as_it_was() -> None:
    stream = Stream(world=Table(width=4, levels=(3,)), seed=6, rows=8000, windows=2)
    before, after = replace(stream, changes=(Change(kind="joint", window=1, size=0.8),))

    assert np.corrcoef(before.columns["x0"], before.columns["x1"])[0, 1] == pytest.approx(0, abs=0.04)
    assert np.corrcoef(after.columns["x0"], after.columns["x1"])[0, 1] == pytest.approx(0.8, abs=0.04)
    assert after.columns["x1"].mean() == pytest.approx(before.columns["x1"].mean(), abs=0.05)
    assert after.columns["x1"].std() == pytest.approx(before.columns["x1"].std(), abs=0.05)


def test_labels_come_late_or_never_and_are_not_known_before() -> None:
    labels = Labels(delay=timedelta(days=1), spread=timedelta(days=2), never=0.2, slower=3.0)
    stream = Stream(world=Sea(), seed=7, rows=2000, windows=1, labels=labels)
    rows = stream.window(0)

    late = (rows.label_at - rows.at) / np.timedelta64(1, "D")

    assert np.isnat(rows.label_at).mean() == pytest.approx(0.2, abs=0.03)
    assert np.nanmean(late[rows.labels == 0]) == pytest.approx(3, abs=0.3)
    assert np.nanmean(late[rows.labels == 1]) == pytest.approx(9, abs=0.9)
    assert np.isnan(rows.known(stream.span(0)[0])).all()
    assert np.isfinite(rows.known(stream.span(0)[1] + timedelta(days=200))).mean() == pytest.approx(0.8, abs=0.03)


def test_a_reference_may_be_small_and_windows_follow_one_another() -> None:
    stream = Stream(world=Sea(), seed=8, rows=50, reference=10, reference_rows=5, windows=2)

    history = stream.history()

    assert len(history) == 50
    assert history.window.tolist() == sorted(history.window.tolist())
    assert history.at.max() < stream.window(0).at.min() < stream.window(1).at.min()
    with pytest.raises(IndexError):
        stream.window(-11)


BREAKS = [
    (
        Fault(kind="missing", window=1, columns=("x0", "t0"), size=1.0),
        lambda r: all(v is None for v in r.columns["t0"]),
    ),
    (Fault(kind="stuck", window=1, columns=("x0",)), lambda r: np.unique(r.columns["x0"]).size == 1),
    (Fault(kind="unit", window=1, columns=("x0",), size=1000.0), lambda r: r.columns["x0"].std() > 500),
    (Fault(kind="swapped", window=1, columns=("x0", "x2")), lambda r: r.columns["x0"].min() > 0),
    (Fault(kind="unseen", window=1, columns=("t0",)), lambda r: any(v.startswith("new") for v in r.columns["t0"])),
    (Fault(kind="infinite", window=1, columns=("x0",)), lambda r: np.isinf(r.columns["x0"]).any()),
    (Fault(kind="retyped", window=1, columns=("x0",)), lambda r: isinstance(r.columns["x0"][0], str)),
    (Fault(kind="gone", window=1, columns=("x0",)), lambda r: "x0" not in r.columns),
    (Fault(kind="repeated", window=1, size=0.5), lambda r: 120 < len(r) < 180),
    (Fault(kind="lost", window=1, size=0.5), lambda r: 30 < len(r) < 70),
    (
        Fault(kind="misdated", window=1, size=1.0),
        lambda r: bool((r.at - np.datetime64("2026-01-15")).max() > np.timedelta64(r.window[0] + 1, "D")),
    ),
]


@pytest.mark.parametrize(("fault", "shows"), BREAKS, ids=lambda v: v.kind if isinstance(v, Fault) else "")
def test_a_fault_shows_in_its_windows_only(fault: Fault, shows: object) -> None:
    stream = Stream(world=Table(width=4, levels=(9,)), seed=9, rows=100, reference=10, windows=3)
    pipe = Broken(stream=stream, faults=(replace(fault, lasts=1),))

    rows = list(pipe)

    assert callable(shows)
    assert [bool(shows(r)) for r in rows] == [False, True, False]
    assert [bool(pipe.faults_in(i)) for i in range(3)] == [False, True, False]
    assert same(pipe.history(), stream.history())


def test_a_replay_brings_the_window_before_once_more() -> None:
    stream = Stream(world=Sea(), seed=9, rows=30, windows=3)
    pipe = Broken(stream=stream, faults=(Fault(kind="replayed", window=1),))

    assert same(pipe.window(1), stream.window(0))
    assert set(pipe.window(1).window.tolist()) == {1}


@pytest.mark.parametrize("scenario", INPUTS + CONCEPTS, ids=lambda s: s.name)
def test_every_scenario_is_quiet_until_its_change(scenario: Scenario) -> None:
    stream = scenario.stream(0)

    assert not any(stream.active(i) for i in range(scenario.at))
    assert stream.active(scenario.at)
    assert stream.windows > scenario.at
