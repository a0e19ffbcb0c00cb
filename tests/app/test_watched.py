"""How a deployment was watched, told again from its counts."""

from datetime import timedelta
from itertools import pairwise

import pytest

from noria.app import watched
from noria.app.settings import Settings, Stores
from noria.app.workspace import Workspace
from noria.domain.deployment import Deployment
from noria.monitoring.profile import SCORE
from tests.ui.seed import NAME, START, seed


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    stores = Stores(metadata="memory", blobs="memory", tables="memory")
    home = tmp_path_factory.mktemp("watched")
    with Workspace(Settings(project="flights", stores=stores), home) as workspace:
        seed(workspace)
        yield workspace


@pytest.fixture(scope="module")
def told(workspace):
    return watched.story(workspace, workspace.deployments.get(NAME))


def test_the_last_moment_says_what_the_newest_look_said(told):
    assert told.look is not None
    assert told.moments[-1].inputs == pytest.approx(told.look.inputs.evidence, abs=1e-9)
    assert told.moments[-1].prediction == pytest.approx(told.look.prediction.evidence, abs=1e-9)
    assert (told.alarm_inputs, told.alarm_prediction) == (told.look.inputs.alarm, told.look.prediction.alarm)
    assert told.threshold_inputs == pytest.approx(told.look.inputs.threshold, abs=0.01)


def test_evidence_stays_below_the_line_until_delays_grow(told):
    crossed = next(each for each in told.moments if each.inputs > told.threshold_inputs)

    assert timedelta(0) < crossed.until - START.replace(month=11, day=18, hour=0) <= timedelta(days=7)
    assert all(a.until <= b.since for a, b in pairwise(told.moments))


def test_each_feature_stands_beside_its_reference_and_shares_are_whole(told):
    assert told.features[0].name == SCORE
    for feature in told.features:
        assert sum(b.reference for b in feature.bins) == pytest.approx(1)
        assert sum(b.now for b in feature.bins) == pytest.approx(1)
    assert {each.name for each in told.features if each.drift.blamed and each.name != SCORE} == {"recent_delay"}


def test_without_a_champion_it_says_so(workspace):
    empty = Deployment(name="none", model="none", variants=(), generation=1, updated_at=START)

    assert watched.story(workspace, empty).note == "no version is champion yet"
