"""A stream against a reference: windows, late rows, late labels, and a watch that goes on where it was saved."""

import json
from pathlib import Path

import numpy as np
import pytest

from noria.errors import EmptyTable, InputInvalid, SettingInvalid, SourceUnreadable
from noria.monitor import Watch

Columns = dict[str, object]
START = np.datetime64("2026-01-05", "us")


def rows(seed: int, n: int, *, shift: float = 0.0, day: int = 0, days: int = 1, flip: float = 0.0) -> Columns:
    rng = np.random.default_rng(seed)
    chance = 1 / (1 + np.exp(-1.5 * rng.normal(size=n)))
    bought = (rng.random(n) < chance).astype(float)
    at = START + np.timedelta64(day, "D") + (np.arange(n) * (days * 86400e6 / n)).astype("m8[us]")
    return {
        "age": rng.normal(40 + 10 * shift, 10, n),
        "channel": rng.choice(np.array(["web", "store"], dtype=object), n),
        "chance": chance,
        "bought": np.where(rng.random(n) < flip, 1 - bought, bought),
        "at": at,
    }


def plain(table: Columns) -> Columns:
    return {name: values for name, values in table.items() if name in ("age", "channel")}


def test_batches_without_drift_are_fine_and_a_drift_is_found_after_some_batches() -> None:
    watch = Watch(plain(rows(1, 5000)))

    quiet = [watch.update(plain(rows(10 + i, 200))).verdict for i in range(30)]
    drifted = [watch.update(plain(rows(50 + i, 200, shift=0.25))) for i in range(9)]

    assert set(quiet) == {"fine"}
    assert drifted[0].verdict == "fine", "one small batch alone raises no alarm"
    assert drifted[-1].verdict == "alarm"
    assert [c.name for c in drifted[-1].columns if c.blamed] == ["age"]
    assert drifted[-1].budget == "at most one false alarm in 3,650 windows on average"


def test_an_alarm_is_over_when_the_drift_is() -> None:
    watch = Watch(plain(rows(1, 5000)))
    for i in range(5):
        watch.update(plain(rows(50 + i, 300, shift=0.5)))
    assert watch.verdict().verdict == "alarm"

    for i in range(60):
        watch.update(plain(rows(100 + i, 300)))

    assert watch.verdict().verdict == "fine"


def test_before_the_first_batch_all_is_fine_on_no_rows() -> None:
    found = Watch(plain(rows(1, 500))).verdict()

    assert (found.verdict, found.current.rows) == ("fine", 0)


def test_windows_of_time_are_judged_once_they_are_over() -> None:
    watch = Watch(rows(1, 6000, days=30), time="at", ignore=["bought", "chance"])

    first = watch.update(rows(2, 300, day=40))
    second = watch.update(rows(3, 300, day=41))
    closed = watch.close()

    assert [f.current.rows for f in (first, second, closed)] == [0, 300, 600]
    assert "windows of 1 day" in closed.budget


def test_the_order_of_batches_and_late_rows_change_nothing() -> None:
    stream = rows(5, 3000, day=40, days=10, shift=0.4)
    batches = [
        {name: np.asarray(values)[part] for name, values in stream.items()}
        for part in np.array_split(np.arange(3000), 15)
    ]
    reference = rows(1, 6000, days=30)
    in_order, mixed = (Watch(reference, time="at", ignore=["bought", "chance"]) for _ in range(2))

    for batch in batches:
        in_order.update(batch)
    for i in (0, 1, 5, 6, 2, 3, 4, 14, 13, 12, 7, 8, 9, 10, 11):
        mixed.update(batches[i])

    assert mixed.close() == in_order.close()


def test_a_saved_watch_goes_on_where_it_was(tmp_path: Path) -> None:
    watch = Watch(rows(1, 4000), prediction="chance", label="bought", ignore=["at"])
    for i in range(4):
        watch.update(rows(20 + i, 200, shift=0.3, flip=0.2))

    other = Watch.load(watch.save(tmp_path / "watch.json"))

    assert other.verdict() == watch.verdict()
    assert other.update(rows(30, 200, shift=0.3)) == watch.update(rows(30, 200, shift=0.3))


def test_answers_that_got_worse_are_found_though_no_input_moved() -> None:
    watch = Watch(rows(1, 5000), prediction="chance", label="bought", ignore=["at"])

    quiet = [watch.update(rows(10 + i, 300)).verdict for i in range(20)]
    for i in range(25):
        found = watch.update(rows(50 + i, 300, flip=0.25))

    assert set(quiet) == {"fine"}
    assert found.quality is not None and found.quality.alarm
    assert not found.inputs.alarm


def test_labels_may_come_later() -> None:
    watch = Watch(rows(1, 5000), prediction="chance", label="bought", ignore=["at"])
    for i in range(25):
        batch = rows(50 + i, 300, flip=0.25)
        watch.update({name: values for name, values in batch.items() if name != "bought"})
        watch.add_labels({name: batch[name] for name in ("chance", "bought")})

    found = watch.verdict()

    assert found.quality is not None and found.quality.alarm
    assert found.quality.labelled_current == 7500
    assert not found.findings


def test_what_is_wrong_with_a_batch_is_found_and_stops_nothing() -> None:
    watch = Watch(plain(rows(1, 2000)))
    batch = plain(rows(2, 200))
    batch["age"] = np.array(["old"] * 200, dtype=object)
    del batch["channel"]
    batch["surplus"] = np.ones(200)

    found = watch.update(batch)

    assert found.verdict == "alarm"
    assert {("schema", "channel"), ("schema", "surplus"), ("type", "age")} <= {
        (f.kind, f.about) for f in found.findings
    }
    assert watch.update(plain(rows(3, 200))).verdict == "fine"


@pytest.mark.parametrize(
    ("act", "error"),
    [
        (lambda w: w.update({"age": [], "channel": []}), EmptyTable),
        (lambda w: w.add_labels({"x": [1]}), InputInvalid),
        (lambda w: w.save("/nowhere/at/all.json"), SettingInvalid),
        (lambda w: Watch.load("/nowhere/at/all.json"), SourceUnreadable),
        (lambda w: Watch({"x": [1, 2]}, budget=0), InputInvalid),
        (lambda w: Watch({"x": [1, 2]}, window="soon"), InputInvalid),
        (lambda w: Watch({"x": [1, 2]}, importance={"y": 1}), InputInvalid),
        (lambda w: Watch({"x": [1, 2]}, importance={"x": -1}), InputInvalid),
    ],
    ids=["empty", "no labels known", "no folder", "no file", "no budget", "no window", "no column", "negative"],
)
def test_bad_input_is_refused(act, error) -> None:
    with pytest.raises(error) as caught:
        act(Watch(plain(rows(1, 500))))

    assert caught.value.remedy


def test_a_file_that_is_no_watch_is_refused(tmp_path: Path) -> None:
    other = tmp_path / "other.json"
    other.write_text(json.dumps({"learnt": 3}), encoding="utf-8")

    with pytest.raises(SourceUnreadable):
        Watch.load(other)
