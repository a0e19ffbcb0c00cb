"""An alert about decay or the answers says why, in its evidence, when it opens; every other event stays as it is."""

from datetime import timedelta

import numpy as np
import pytest
from msgspec import structs

from noria.domain import events as e
from noria.domain.alert import Alert, AlertKind
from noria.domain.deployment import Variant
from noria.domain.ids import AlertId
from noria.domain.prediction import GroundTruth
from noria.loop.context import Timed
from noria.loop.stages.watch_causes import with_causes
from tests.loop.counted import MONDAY, NAME, Asked

DAYS, ROWS = 40, 100


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Asked:
    """Forty days of answers that keep their word, and in the newest fourteen not in the north; labels come a day later."""
    made = Asked(tmp_path_factory.mktemp("log"))
    dice = np.random.default_rng(0)
    labels = []
    for day in range(DAYS):
        (record,) = made.records([day * 1440 + 600], rows=ROWS)
        score, shop = dice.uniform(0.1, 0.6, ROWS), dice.choice(["north", "south"], ROWS)
        chance = np.where((shop == "north") & (day >= DAYS - 14), 1 - score, score)
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


def opened(asked: Asked, kind: AlertKind, *, days: int = DAYS) -> dict[str, float | str]:
    """The evidence of an alert that opens on this day."""
    now = MONDAY + timedelta(days=days)
    alert = Alert(
        id=AlertId("a"),
        kind=kind,
        deployment=NAME,
        number=1,
        opened_at=now,
        severity="page",
        summary="",
        evidence={"days": 40.0},
    )
    champion = Variant(name="champion", model="m", number=1, version="1.0.0", bundle=asked.bundle, weight=1.0)
    events = [Timed(key="a", event=e.AlertOpened(deployment=NAME, alert=alert))]
    found = with_causes(asked.context, asked.recipe, champion, asked.profile, events, since=MONDAY, now=now)
    assert [t.key for t in found] == ["a"]
    event = found[0].event
    assert isinstance(event, e.AlertOpened)
    return event.alert.evidence


def test_a_decay_says_that_the_inputs_mean_something_else_and_where(asked: Asked) -> None:
    told = opened(asked, "decay")

    assert told["days"] == 40.0
    assert "mean something else now" in str(told["cause"])
    assert isinstance(told["cause.meaning"], float) and told["cause.meaning"] > 0.1
    assert str(told["worst_group"]).startswith("shop = 'north'")


def test_answers_that_drifted_are_explained_without_labels(asked: Asked) -> None:
    told = opened(asked, "prediction_drift")

    assert "the mean answer did not surely change" in str(told["cause"])


def test_too_few_days_are_said(asked: Asked) -> None:
    assert "four days on each side" in str(opened(asked, "decay", days=10)["cause"])


def test_other_alerts_stay_as_they_are(asked: Asked) -> None:
    assert opened(asked, "input_drift") == {"days": 40.0}
