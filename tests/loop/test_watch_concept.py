"""A look says when labelled answers began to mean something else, from what is new since the look before, and the same when it begins anew."""

from dataclasses import replace
from datetime import timedelta

import numpy as np
import polars as pl
import pytest
from msgspec import structs

from noria.adapters.predictions import parquet
from noria.domain.deployment import Variant
from noria.domain.prediction import GroundTruth
from noria.loop.stages.watch_concept import concept_of
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

    def look(self, day: float) -> object:
        def beside(begin: object, inputs: object) -> pl.DataFrame:
            found = self.answers(day, since=begin, also=tuple(inputs))  # type: ignore[arg-type]
            self.reads.append(found.height)
            return found

        return concept_of(self.context, self.recipe, self.champion, self.answers(day), since=MONDAY, answers=beside)


def test_the_group_is_named_with_its_day_and_looks_read_only_what_is_new(asked: Asked) -> None:
    looks = Looks(asked)

    early = [looks.look(day)[0] for day in (2, 8, 14)]  # type: ignore[index]
    found, shares = looks.look(DAYS)  # type: ignore[misc]
    again = looks.look(DAYS)
    looks.look(DAYS + 1)

    assert early[:2] == [None, None], "ten days must be known"
    assert early[2] is not None
    assert not early[2].alarm
    assert found.alarm
    worse = [change for change in found.changes if change.worse]
    assert {change.where for change in worse} >= {"shop=north"}
    assert "shop=south" not in {change.where for change in worse}
    assert all(abs(change.since - (MONDAY + timedelta(days=15))) < timedelta(days=3) for change in worse)
    assert shares["shop=north"] == pytest.approx(0.5, abs=0.05)
    assert again == (found, shares)
    assert len(looks.reads) == 3, "the same labels are not read twice"
    assert looks.reads[-1] <= 2 * ROWS


def test_a_process_that_begins_anew_says_the_same(asked: Asked) -> None:
    looks = Looks(asked)
    step_by_step = [looks.look(day) for day in (14, 18, 25, DAYS + 1)][-1]

    looks.context = replace(asked.context, predictions=parquet.open_store(str(asked.home)))
    begun_anew = looks.look(DAYS + 1)

    assert begun_anew == step_by_step
