"""Once a week the groups that a recipe names are looked at: a bad slice and an unfair gap open an alert, and it says nothing between its weeks."""

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from msgspec import structs

from noria.domain.deployment import Variant
from noria.domain.prediction import GroundTruth
from noria.loop.context import Recipe
from noria.loop.stages.watch_groups import groups_of
from tests.loop.counted import MONDAY, NAME, Asked

DAYS, ROWS = 30, 80


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Asked:
    """Scores that keep their word, but say too little in the north; selected from 0.5 on."""
    made = Asked(tmp_path_factory.mktemp("log"))
    dice = np.random.default_rng(0)
    labels = []
    for day in range(DAYS):
        (record,) = made.records([day * 1440 + 600], rows=ROWS)
        chance, shop = dice.uniform(0.1, 0.9, ROWS), dice.choice(["north", "south", "web"], ROWS)
        score = np.clip(chance - 0.35 * (shop == "north"), 0.02, 1)
        inputs = {"price": dice.gamma(2.0, 30.0, ROWS).tolist(), "shop": shop.tolist()}
        made.write([structs.replace(record, inputs=inputs, outputs={"probability": score.tolist()})])
        labels += [
            GroundTruth(
                prediction_id=record.prediction_id(row),
                value=float(dice.random() < chance[row]),
                at=record.at + timedelta(hours=1),
            )
            for row in range(ROWS)
        ]
    made.log.add_labels(NAME, labels)
    return made


def look(asked: Asked, recipe: Recipe, *, days: float):  # type: ignore[no-untyped-def]
    champion = Variant(name="champion", model="m", number=1, version="1.0.0", bundle=asked.bundle, weight=1.0)
    return groups_of(asked.context, recipe, champion, since=MONDAY, now=MONDAY + timedelta(days=days))


def test_a_group_that_is_worse_than_its_scores_expect_opens_an_alert(asked: Asked) -> None:
    found = look(asked, replace(asked.recipe, slices=("shop",)), days=29)

    alert = found["slice"].alert
    assert alert is not None
    assert alert.causes == ("shop",)
    assert alert.summary.startswith("answers where shop = 'north'")
    assert alert.next_command == f"noria errors {NAME} --by excess"
    assert "fairness" not in found


def test_a_gap_between_groups_opens_an_alert_that_says_what_would_have_silenced_it(asked: Asked) -> None:
    unfair = look(asked, replace(asked.recipe, groups=("shop",)), days=29)["fairness"]
    lenient = look(asked, replace(asked.recipe, groups=("shop",), allowed_gap=0.6), days=29)["fairness"]

    assert unfair.alert is not None
    assert "shop = 'north'" in unfair.alert.summary
    assert unfair.alert.silencers[0].needed > 0.1
    assert (lenient.alert, lenient.over) == (None, "no gap between groups surely exceeds what is allowed any more")


def test_between_its_weeks_it_says_the_same(asked: Asked) -> None:
    recipe = replace(asked.recipe, slices=("shop",))

    assert look(asked, recipe, days=22.1) == look(asked, recipe, days=28.9)
    assert look(asked, recipe, days=22.1)["slice"] != look(asked, recipe, days=29)["slice"]


def test_nothing_is_said_where_nothing_is_named_or_known(asked: Asked) -> None:
    assert look(asked, asked.recipe, days=29) == {}
    assert look(asked, replace(asked.recipe, slices=("shop",), groups=("shop",)), days=3) == {}
