"""Texts that changed: an alert that names the words, within a budget, and silence while it is neither clear nor over."""

from datetime import UTC, datetime, timedelta

import msgspec
import numpy as np

from noria.monitoring.profile import build_profile
from noria.monitoring.text import Contrast
from noria.monitoring.text_alert import may_be_prose, text_report, threshold_of

FOUND = Contrast(
    column="note",
    kind="text",
    rows_before=4000,
    rows_now=700,
    evidence=4.0,
    threshold=2.0,
    alarm=True,
    advantage=0.4,
    margin=0.05,
    now=("refund (0.1% -> 20.0%)", "please (1.0% -> 21.0%)"),
)
CALM = msgspec.structs.replace(FOUND, column="title", evidence=-1.0)


def test_changed_texts_open_an_alert_that_names_their_words_and_its_budget() -> None:
    report = text_report([CALM, FOUND], threshold=2.5, harmful=False, deployment="shop", days=365)

    alert = report.alert
    assert alert is not None
    assert (alert.kind, alert.severity, alert.causes) == ("text_drift", "info", ("note",))
    assert "'note'" in alert.summary
    assert "refund" in alert.summary
    assert "one false alarm in 365 days" in alert.budget
    assert alert.next_command == "noria errors shop --texts"
    assert alert.silencers[0].needed > 365


def test_it_wakes_somebody_only_where_labelled_answers_got_worse_with_it() -> None:
    alert = text_report([FOUND], threshold=2.5, harmful=True, deployment="shop", days=365).alert

    assert alert is not None
    assert alert.severity == "warn"
    assert "got worse" in alert.summary


def test_it_is_over_when_the_evidence_is_gone_and_between_nothing_is_said() -> None:
    between = text_report(
        [msgspec.structs.replace(FOUND, evidence=2.0)], threshold=2.5, harmful=False, deployment="s", days=9
    )
    over = text_report([CALM], threshold=2.5, harmful=False, deployment="s", days=9)

    assert (between.alert, between.over) == (None, "")
    assert over.over


def test_the_threshold_keeps_the_budget_over_all_looks_and_columns() -> None:
    assert 10 ** threshold_of(days=700, looked_at_s=7 * 86400, columns=3) >= 300
    assert threshold_of(days=7, looked_at_s=7 * 86400, columns=1) == 2.0


def test_only_texts_whose_usual_values_are_few_of_all_are_read() -> None:
    dice = np.random.default_rng(0)
    rows = 400
    start = datetime(2026, 1, 1, tzinfo=UTC)
    words = np.array(["a late parcel", "two small shoes", "no blue shirt", "one big hat"])
    columns = {
        "note": np.array([f"{dice.choice(words)} {i}" for i in range(rows)], dtype=object),
        "shop": dice.choice(np.array(["north", "south"], dtype=object), rows),
        "price": dice.normal(size=rows),
    }
    profile = build_profile(
        columns,
        dice.random(rows),
        labels=dice.integers(0, 2, rows),
        blocks=np.arange(rows) * 20 // rows,
        since=start,
        until=start + timedelta(days=20),
    )

    assert may_be_prose(profile, ("note", "shop", "price")) == ["note"]
    assert may_be_prose(profile, ("shop",)) == []
