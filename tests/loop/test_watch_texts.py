"""A look reads texts once a week, beside those that the champion learnt from, and says when they are others."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
from msgspec import structs

import noria
from noria.data.snapshot import snapshot
from noria.domain.deployment import Variant
from noria.domain.ids import RunId
from noria.loop.stages.watch_texts import texts_of
from noria.monitoring.alert import Report
from noria.monitoring.profile import build_profile
from noria.testing.models_suite import a_version
from noria.testing.runs_suite import a_run
from tests.loop.counted import MONDAY, Asked

WORDS = np.array([f"word{i}" for i in range(60)])
SCHEMA = noria.Schema(
    columns=(noria.Column(name="at", dtype="datetime"), noria.Column(name="note", dtype="string")), time_column="at"
)
LEARNT = timedelta(days=40)


def notes(rows: int, *, seed: int, refunds: float = 0.0) -> list[str]:
    """Notes of eight words; a share `refunds` asks for one."""
    dice = np.random.default_rng(seed)
    texts = [" ".join(dice.choice(WORDS, 8)) for _ in range(rows)]
    return [f"refund please {text}" if dice.random() < refunds else text for text in texts]


class Shop:
    """A champion that learnt from the notes of forty days, and is asked thirty times a day."""

    def __init__(self, home: Path) -> None:
        learnt, start = notes(500, seed=0), MONDAY - LEARNT
        at = [start + timedelta(minutes=115 * i) for i in range(len(learnt))]
        profile = build_profile(
            {"note": np.array(learnt, dtype=object)},
            np.random.default_rng(1).random(len(learnt)),
            labels=np.arange(len(learnt)) % 2,
            blocks=np.array([t.toordinal() for t in at]),
            since=start,
            until=MONDAY,
        )
        self.asked = Asked(home, versions=(), profile=profile)
        workspace = self.asked.workspace
        kept = snapshot(workspace.tables, "notes", pl.DataFrame({"at": at, "note": learnt}), schema=SCHEMA, at=MONDAY)
        workspace.runs.create(structs.replace(a_run("learning"), datasets=(kept.digest,)))
        version = structs.replace(a_version(1, model="m"), bundle=self.asked.bundle, run_id=RunId("learning"))
        workspace.models.register(version)
        self.champion = Variant(
            name="champion", model="m", number=1, version="1.0.0", bundle=self.asked.bundle, weight=1.0
        )
        self.recipe = replace(self.asked.recipe, features=("note",), time="at")

    def ask(self, days: Sequence[int], *, refunds: float) -> None:
        for day in days:
            (record,) = self.asked.records([day * 1440 + 600], rows=30)
            inputs = {"note": notes(30, seed=100 + day, refunds=refunds)}
            self.asked.write([structs.replace(record, inputs=inputs)], name=f"w{day}")

    def look(self, now: datetime) -> Report:
        return texts_of(
            self.asked.context, self.recipe, self.champion, self.asked.profile, since=MONDAY, now=now, harmful=False
        )


def test_texts_that_are_others_than_those_of_the_training_open_an_alert_a_day_after_their_week(tmp_path: Path) -> None:
    shop = Shop(tmp_path)
    shop.ask(range(7), refunds=0.0)
    shop.ask(range(7, 14), refunds=0.5)

    first = shop.look(MONDAY + timedelta(days=6))
    usual = shop.look(MONDAY + timedelta(days=8))
    early = shop.look(MONDAY + timedelta(days=14, hours=23))
    changed = shop.look(MONDAY + timedelta(days=15))

    assert first == Report(), "no week is over"
    assert usual.over
    assert early == usual
    assert changed.alert is not None
    assert changed.alert.kind == "text_drift"
    assert "refund" in changed.alert.summary


def test_a_champion_whose_rows_are_gone_and_categories_say_nothing(tmp_path: Path) -> None:
    plain = Asked(tmp_path)
    champion = Variant(name="champion", model="m", number=1, version="1.0.0", bundle=plain.bundle, weight=1.0)
    now = MONDAY + timedelta(days=8)
    assert (
        texts_of(plain.context, plain.recipe, champion, plain.profile, since=MONDAY, now=now, harmful=False) == Report()
    )
