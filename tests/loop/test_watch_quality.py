"""What a look says of labelled answers: whether the model decayed, since when and where, and how far labels have come."""

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from msgspec import structs

from noria.domain.deployment import Variant
from noria.domain.prediction import GroundTruth
from noria.loop.stages.watch_quality import quality_of
from tests.loop.counted import MONDAY, NAME, Asked

DAYS, ROWS = 40, 200


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Asked:
    """Forty days of answers that keep their word, and from day 20 on not in the north; labels come a day later, one in ten never."""
    made = Asked(tmp_path_factory.mktemp("log"))
    dice = np.random.default_rng(0)
    labels = []
    for day in range(DAYS):
        (record,) = made.records([day * 1440 + 600], rows=ROWS)
        score = dice.uniform(0.1, 0.6, ROWS)
        shop = dice.choice(["north", "south"], ROWS)
        chance = np.where((shop == "north") & (day >= 20), 1 - score, score)
        inputs = {"price": [1.0] * ROWS, "shop": shop.tolist()}
        made.write([structs.replace(record, inputs=inputs, outputs={"probability": score.tolist()})])
        labels += [
            GroundTruth(
                prediction_id=record.prediction_id(row),
                value=float(dice.random() < chance[row]),
                at=record.at + timedelta(days=1, minutes=row),
            )
            for row in range(ROWS)
            if row % 10
        ]
    made.log.add_labels(NAME, labels)
    return made


def test_a_decay_is_dated_and_its_group_named(asked: Asked) -> None:
    champion = Variant(name="champion", model="m", number=1, version="1.0.0", bundle=asked.bundle, weight=1.0)
    recipe = replace(asked.recipe, slices=("shop",))
    profile = structs.replace(
        asked.profile, expected_excess=0.0, expected_excess_sd=0.01, expected_bias=0.0, expected_bias_sd=0.01
    )
    quiet = quality_of(asked.context, recipe, champion, profile, since=MONDAY, now=MONDAY + timedelta(days=19))
    look = quality_of(asked.context, recipe, champion, profile, since=MONDAY, now=MONDAY + timedelta(days=DAYS))

    found, labels = look.decay, look.labels
    assert (quiet.decay.alarm, quiet.decay.began) == (False, "")
    assert look.concept.alert is None, "decay tells of the same answers"
    assert found.alarm
    assert "2026-01-22" <= found.began <= "2026-01-28", "day 20 is January 25th"
    assert found.changed_at.startswith(found.began)
    assert found.where == "shop=north"
    assert labels.answers == 30 * ROWS
    assert 0.85 < labels.labelled / labels.answers < 0.9
    assert labels.delay_s[0] == pytest.approx(86400 + 100 * 60, abs=600)
