"""A change of how often labels come true: found where the loss hardly shows it, told by what it costs, and silent where nothing is lost."""

from datetime import UTC, datetime, timedelta

import msgspec
import numpy as np
import pytest

from noria.domain.quality import ConceptReport
from noria.monitoring.alert import Report
from noria.monitoring.concept import concept, losses_of
from noria.monitoring.concept_alert import above_expected
from noria.monitoring.labels import moment
from noria.monitoring.rate_alert import band_edges, bands, cost, off_by, rate_report, standing_rates
from tests.monitoring.test_concept_alert import CALM

START = datetime(2026, 1, 1, tzinfo=UTC)
DAYS, ROWS = 40, 150
TURNS = 20


class Answers:
    """Honest answers for twenty days; then labels come true more often at scores inside `where`, by `by`, until day `until`."""

    def __init__(
        self, *, by: float = 0.0, where: tuple[float, float] = (0.0, 1.0), until: int = DAYS, rows: int = ROWS
    ) -> None:
        dice = np.random.default_rng(0)
        day = np.repeat(np.arange(DAYS), rows)
        self.score = dice.beta(1.5, 1.5, day.size)
        turned = (day >= TURNS) & (day < until) & (self.score >= where[0]) & (self.score < where[1])
        self.label = (dice.random(day.size) < np.clip(self.score + by * turned, 0, 1)).astype(float)
        self.at = moment(START) + np.arange(day.size) * np.timedelta64(86400 // rows, "s")
        self.edges = band_edges(self.score[: 10 * rows])

    def walk(self, values: "np.ndarray[tuple[int], np.dtype[np.float64]]") -> ConceptReport:
        groups = {"score": bands(self.score, self.edges)}
        losses = losses_of(values, at=self.at, label_at=self.at + np.timedelta64(1, "D"), groups=groups)
        return concept(losses, budget_labels=1e5)

    def told(self, *, decay: object = CALM) -> Report:
        return rate_report(
            self.walk(off_by(self.label, self.score)),
            decay,  # type: ignore[arg-type]
            labels=self.label,
            scores=self.score,
            at=self.at,
            edges=self.edges,
            days=365,
        )


def test_a_rate_that_moves_is_found_with_its_day_before_the_loss_shows_it() -> None:
    """A tenth more positives cost some hundredths of a nat, and the loss varies by half a nat from row to row."""
    made = Answers(by=0.12)

    alert = made.told().alert

    assert alert is not None
    assert (alert.kind, alert.severity) == ("concept_drift", "page")
    since = datetime.fromisoformat(str(alert.evidence["changed_at"]))
    assert abs(since - (START + timedelta(days=TURNS))) < timedelta(days=2)
    assert float(alert.evidence["off_after"]) - float(alert.evidence["off_before"]) == pytest.approx(0.12, abs=0.06)  # type: ignore[arg-type]
    assert 0.005 < float(alert.evidence["cost_rise"]) < 0.1  # type: ignore[arg-type]
    by_rate = min(each.seen_at for each in standing_rates(made.walk(off_by(made.label, made.score))))
    by_loss = [each.seen_at for each in made.walk(above_expected(made.label, made.score)).changes]
    assert not by_loss or by_rate < min(by_loss)


def test_a_band_is_named_where_only_its_labels_changed() -> None:
    alert = Answers(by=0.6, where=(0.1, 0.3)).told().alert

    assert alert is not None
    assert str(alert.evidence["where"]).startswith("score=0.")
    assert "at scores of 0." in alert.summary
    assert alert.severity == "page"


def test_nothing_is_told_of_honest_answers_and_it_is_over_when_they_are_honest_again() -> None:
    assert Answers().told() == Report(over="labels come true as often as before again")
    assert Answers(by=0.5, until=30).told().alert is None
    assert Answers(by=0.5, until=30).told().over


def test_labels_that_come_to_keep_a_word_that_was_broken_are_no_harm() -> None:
    """Scores that were a third too low until the world moved to them."""
    made = Answers(by=0.3)
    made.score, made.label = made.score[::-1].copy(), made.label[::-1].copy()

    told = made.told()

    assert told.alert is None
    assert told.over


def test_a_cost_too_small_to_matter_is_information_and_decay_has_the_first_word() -> None:
    alert = Answers(by=0.04, rows=4 * ROWS).told().alert
    assert alert is not None
    assert alert.severity == "info"

    plain = Answers(by=0.12)
    better = plain.told(decay=msgspec.structs.replace(CALM, better=True)).alert
    assert better is not None
    assert better.severity == "info"
    assert plain.told(decay=msgspec.structs.replace(CALM, alarm=True)) == Report(), "what stands stays"
    assert rate_report(None, CALM, labels=[], scores=[], at=[], edges=plain.edges, days=1) == Report()


def test_what_a_new_calibration_would_gain_is_nothing_by_chance_and_the_divergence_otherwise() -> None:
    dice = np.random.default_rng(2)
    score = dice.uniform(0.1, 0.9, 200_000)
    edges = band_edges(score)
    honest = cost(dice.random(score.size) < score, score, edges)
    fair = [cost(dice.random(300) < score[:300], score[:300], edges).value for _ in range(400)]
    moved = cost(dice.random(score.size) < np.clip(score + 0.1, 0, 1), score, edges)

    assert abs(honest.value) < 3 * honest.error + 1e-4
    assert abs(np.mean(fair)) < 0.002, "no gain is seen where there is none"
    assert moved.value == pytest.approx(0.1**2 / (2 * 0.19), rel=0.2)
    assert moved.error < 0.001


@pytest.mark.parametrize(
    ("edges", "first", "last"),
    [
        ([0.001, 0.002, 0.0042], "0.000 to 0.001", "0.004 to 1.000"),
        ([0.1, 0.5], "0.00 to 0.10", "0.50 to 1.00"),
        ([0.0, 0.25], "0.00 to 0.00", "0.25 to 1.00"),
    ],
)
def test_bands_of_small_scores_have_names_of_their_own(edges: list[float], first: str, last: str) -> None:
    inside = [0.0, *((low + high) / 2 for low, high in zip(edges, [*edges[1:], 1.0], strict=True))]

    names = bands(inside, np.array(edges)).tolist()

    assert len(set(names)) == len(edges) + 1
    assert (names[0], names[-1]) == (first, last)
