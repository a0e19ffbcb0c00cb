"""A look says when labelled answers began to mean something else, from what is new since the look before, and the same when it begins anew."""

from dataclasses import replace
from datetime import datetime, timedelta

import numpy as np
import polars as pl
import pytest
from msgspec import structs

from noria.adapters.predictions import parquet
from noria.domain.deployment import Variant
from noria.domain.prediction import GroundTruth
from noria.loop.stages.watch_concept import Concepts, concept_of
from noria.wire.tables import open_table
from tests.loop.counted import MONDAY, NAME, Asked

DAYS, ROWS = 30, 100


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Asked:
    """Thirty days of answers that keep their word, and from day 15 on not in the north; labels come a day later."""
    made = Asked(tmp_path_factory.mktemp("log"))
    dice = np.random.default_rng(3)
    labels = []
    for day in range(DAYS):
        (record,) = made.records([day * 1440 + 600], rows=ROWS)
        score = dice.uniform(0.1, 0.9, ROWS)
        shop = dice.choice(["north", "south"], ROWS)
        chance = np.where((shop == "north") & (day >= 15), 1 - score, score)
        inputs = {"price": [1.0] * ROWS, "shop": shop.tolist()}
        made.write([structs.replace(record, inputs=inputs, outputs={"probability": score.tolist()})])
        labels += [
            GroundTruth(
                prediction_id=record.prediction_id(row),
                value=float(dice.random() < chance[row]),
                at=record.at + timedelta(days=1, minutes=row),
            )
            for row in range(ROWS)
        ]
    made.log.add_labels(NAME, labels)
    return made


class Looks:
    """Looks at one deployment, as stages/watch_quality takes them; `reads` counts those that needed the inputs, and their rows."""

    def __init__(self, asked: Asked) -> None:
        self.asked, self.context, self.reads = asked, asked.context, list[int]()
        self.champion = Variant(name="champion", model="m", number=1, version="1.0.0", bundle=asked.bundle, weight=1.0)
        self.recipe = replace(asked.recipe, slices=("shop",))

    def answers(self, day: float, *, since: object = MONDAY, also: tuple[str, ...] = ()) -> pl.DataFrame:
        columns = ["at", "label", "label_at", "out.probability", *also]
        joined = self.asked.log.joined(NAME, known_by=MONDAY + timedelta(days=day), since=since, columns=columns)  # type: ignore[arg-type]
        return open_table(joined).rename({"out.probability": "score"}).filter(pl.col("label").is_not_null())

    def look(self, day: float, *, holdout: pl.DataFrame | None = None, since: datetime = MONDAY) -> Concepts | None:
        def beside(begin: object, inputs: object) -> pl.DataFrame:
            found = self.answers(day, since=begin, also=tuple(inputs))  # type: ignore[arg-type]
            self.reads.append(found.height)
            return found

        labelled = self.answers(day, since=since)
        return concept_of(
            self.context, self.recipe, self.champion, labelled, since=since, answers=beside, holdout=holdout
        )


def said(found: Concepts | None) -> object:
    """What can be compared."""
    assert found is not None
    return found.losses, found.rates, found.edges.tolist(), found.shares


def test_the_group_is_named_with_its_day_and_looks_read_only_what_is_new(asked: Asked) -> None:
    looks = Looks(asked)

    early = [looks.look(day) for day in (2, 8, 14)]
    whole = looks.look(DAYS)
    again = looks.look(DAYS)
    looks.look(DAYS + 1)
    assert whole is not None
    found, shares = whole.losses, whole.shares

    assert early[:2] == [None, None], "ten days must be known"
    assert early[2] is not None
    assert not early[2].losses.alarm
    assert not early[2].rates.alarm
    assert found.alarm
    worse = [change for change in found.changes if change.worse]
    assert {change.where for change in worse} >= {"shop=north"}
    assert "shop=south" not in {change.where for change in worse}
    assert all(abs(change.since - (MONDAY + timedelta(days=15))) < timedelta(days=3) for change in worse)
    assert shares["shop=north"] == pytest.approx(0.5, abs=0.05)
    assert said(again) == said(whole)
    assert len(looks.reads) == 3, "the same labels are not read twice"
    assert looks.reads[-1] <= 2 * ROWS


def test_a_process_that_begins_anew_says_the_same(asked: Asked) -> None:
    looks = Looks(asked)
    step_by_step = [looks.look(day) for day in (14, 18, 25, DAYS + 1)][-1]

    looks.context = replace(asked.context, predictions=parquet.open_store(str(asked.home)))
    begun_anew = looks.look(DAYS + 1)

    assert said(begun_anew) == said(step_by_step)


def test_a_fresh_champion_has_the_hold_out_as_its_past(asked: Asked) -> None:
    """It answers since day 13; the world turned on day 15, long before ten days of its own had passed."""
    looks, begin = Looks(asked), MONDAY + timedelta(days=13)
    holdout = looks.answers(14, also=("in.shop",)).rename({"in.shop": "shop"}).filter(pl.col("at") < begin)

    alone = looks.look(20, since=begin)
    found = looks.look(20, since=begin, holdout=holdout)
    looks.context = replace(asked.context, predictions=parquet.open_store(str(asked.home)))
    begun_anew = looks.look(20, since=begin, holdout=holdout)

    assert alone is None, "ten days must be known"
    assert found is not None
    assert {"all", "shop=north"} & {change.where for change in found.losses.changes}
    assert all(change.seen_at > MONDAY + timedelta(days=15) for change in (*found.losses.changes, *found.rates.changes))
    assert said(begun_anew) == said(found)


def test_what_was_seen_on_the_hold_out_is_no_change_of_the_champions_answers(asked: Asked) -> None:
    looks, begin = Looks(asked), MONDAY + timedelta(days=25)
    holdout = looks.answers(26, also=("in.shop",)).rename({"in.shop": "shop"}).filter(pl.col("at") < begin)

    found = looks.look(DAYS, since=begin, holdout=holdout)

    assert found is not None
    assert not found.losses.changes
    assert not found.rates.changes


def test_a_change_ends_the_learning_of_what_is_usual(asked: Asked) -> None:
    """Twenty days, the last five of a turned world, would teach that days differ as much as worlds do, and the change would be lost in that."""
    looks = Looks(asked)

    before, after = looks.look(22), looks.look(26)

    assert before is not None
    assert after is not None
    assert before.losses.inflation == after.losses.inflation
    assert {change.where for change in before.losses.changes} <= {change.where for change in after.losses.changes}
