"""A change of what answers mean: told with its day, by its harm, once; and not told where days are harder for every model."""

from datetime import UTC, datetime, timedelta

import msgspec
import numpy as np

from noria.domain.quality import ConceptReport
from noria.monitoring.concept import ConceptFold, concept, learn, learnt_from, losses_of
from noria.monitoring.concept_alert import above_expected, concept_report
from noria.monitoring.labels import moment
from noria.monitoring.quality import Decay

START = datetime(2026, 1, 1, tzinfo=UTC)
DAYS, ROWS = 40, 150
CALM = Decay(
    alarm=False,
    evidence=0.0,
    threshold=2.5,
    statistic="",
    days=DAYS,
    rows=DAYS * ROWS,
    recent=None,
    recent_bias=0.0,
    budget="",
)


def answers(*, seed: int = 0, harder: bool = False, north: float = 0.0, whole: float = 0.0) -> ConceptReport:
    """Honest answers for 20 days; then scores that tell less (harder), or chances that leave the scores for shop north or for all."""
    dice = np.random.default_rng(seed)
    late = np.arange(DAYS * ROWS) >= DAYS * ROWS // 2
    spread = np.where(late & harder, 0.1, 0.4)
    score = 0.5 + spread * dice.uniform(-1, 1, late.size)
    shop = dice.choice(["north", "south"], late.size, p=[0.2, 0.8])
    turned = late * np.where(shop == "north", np.maximum(north, whole), whole)
    chance = score + turned * (1 - 2 * score)
    at = moment(START) + np.arange(late.size) * np.timedelta64(86400 // ROWS, "s")
    loss = above_expected((dice.random(late.size) < chance).astype(float), score)
    return concept(
        losses_of(loss, at=at, label_at=at + np.timedelta64(1, "D"), groups={"shop": shop}), budget_labels=1e5
    )


def told(found: ConceptReport, decay: Decay = CALM) -> object:
    return concept_report(
        found, decay, expected_excess=0.0, days=365, shares={"shop=north": 0.2, "shop=south": 0.8}
    ).alert


def test_days_that_are_harder_for_every_model_are_no_change_of_meaning() -> None:
    found = answers(harder=True)

    assert found.changes == ()
    assert told(found) is None


def test_a_change_of_all_answers_pages_and_says_since_when() -> None:
    alert = concept_report(answers(whole=0.5), CALM, expected_excess=0.0, days=365, shares={}).alert

    assert alert is not None
    assert (alert.kind, alert.severity, alert.causes) == ("concept_drift", "page", ())
    since = datetime.fromisoformat(str(alert.evidence["changed_at"]))
    assert abs(since - (START + timedelta(days=20))) < timedelta(days=2)
    assert "mean something else than before" in alert.summary
    assert "at most one false alarm in 365 days" in alert.budget


def test_a_change_in_a_group_names_it_and_wakes_nobody_where_it_costs_the_whole_nothing() -> None:
    found = answers(north=0.5)
    warn, info = (
        concept_report(found, CALM, expected_excess=0.0, days=365, shares={"shop=north": share}).alert
        for share in (0.2, 0.001)
    )

    assert warn is not None
    assert info is not None
    assert (warn.severity, info.severity) == ("warn", "info")
    assert warn.causes == ("shop",)
    assert warn.evidence["where"] == "shop=north"


def test_decay_has_the_first_word_and_answers_that_are_better_than_at_acceptance_are_information() -> None:
    found = answers(whole=0.5)
    during = concept_report(found, msgspec.structs.replace(CALM, alarm=True), expected_excess=0.0, days=1, shares={})
    better = concept_report(found, msgspec.structs.replace(CALM, better=True), expected_excess=0.0, days=1, shares={})

    unhurt = concept_report(found, CALM, expected_excess=0.0, days=1, shares={}, loss_rise=-0.01).alert

    assert (during.alert, during.over) == (None, ""), "what stands stays"
    assert unhurt is not None
    assert unhurt.severity == "info"
    assert "the loss itself did not rise" in unhurt.summary
    assert better.alert is not None
    assert better.alert.severity == "info"


def test_without_a_change_that_stands_it_is_over_and_without_labels_nothing_is_said() -> None:
    assert concept_report(answers(), CALM, expected_excess=0.0, days=365, shares={}).over
    nothing = concept_report(None, CALM, expected_excess=0.0, days=365, shares={})
    assert (nothing.alert, nothing.over) == (None, "")


def test_a_fold_says_the_same_however_its_labels_are_handed_in() -> None:
    dice = np.random.default_rng(1)
    loss = (dice.random(4000) < np.repeat([0.1, 0.4], 2000)).astype(float)
    at = moment(START) + np.arange(4000) * np.timedelta64(600, "s")
    shop = dice.choice(["north", "south"], 4000)
    usual = learn(losses_of(loss[:900], at=at[:900], label_at=at[:900], groups={"shop": shop[:900]}))
    whole, pieces = ConceptFold(usual), ConceptFold(usual)

    whole.feed(losses_of(loss, at=at, label_at=at, groups={"shop": shop}))
    for first, last in ((0, 7), (7, 7), (7, 1900), (1900, 2501), (2501, 4000)):
        part = slice(first, last)
        pieces.feed(losses_of(loss[part], at=at[part], label_at=at[part], groups={"shop": shop[part]}))

    assert whole.report() == pieces.report()
    assert {change.where for change in whole.report().changes} == {"all", "shop=north", "shop=south"}
    assert [learnt_from(at[:n]) for n in (0, 1440, 1441)] == [(), (), ((1440, 1440),)], "ten days of 144"
    assert [learnt_from(at[:n])[-1] for n in (3456, 3457)] == [(1440, 1440), (2880, 3456)], "twenty, and four more"
