"""What watching says at /metrics: the numbers of a real loop's newest look, and the alerts that its ledger holds."""

from pathlib import Path

import msgspec
import pytest

from noria.app.looks import Looks
from noria.domain import events as e
from noria.domain.events import AnyEvent
from noria.domain.ids import EventId
from noria.domain.ledger import Draft
from noria.domain.measurement import Family, Histogram, Labels
from noria.server.control.watching import MOST_FEATURES, Told, look_families, watching_families
from noria.wire.exposition import expose
from tests.loop.small import BEGIN, World, open_life
from tests.peers.prometheus import lint

TURNS = BEGIN + 3


def samples(families: list[Family]) -> dict[str, dict[Labels, float | Histogram]]:
    return {family.name: dict(family.samples) for family in families}


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory):
    """A loop in whose world cheap and dear exchange their meaning: it is told at once, and retrains."""
    home = tmp_path_factory.mktemp("life") / ".noria"
    with open_life(home, world=World(turns=TURNS)) as life:
        told = Told()
        before = samples(told.families(life.workspace.ledger))
        life.declare().live(range(BEGIN + 2, BEGIN + 12))
        yield life, told, before


def test_the_newest_look_has_the_numbers_that_decided(lived) -> None:
    life, _, _ = lived

    (look,) = life.workspace.looks.all()
    found = samples(look_families([look]))
    one = (("deployment", "returns"), ("version", str(look.number)))

    assert found["noria_look_timestamp_seconds"][one] == life.clock.now().timestamp()
    assert found["noria_drift_evidence"][*one, ("side", "inputs")] == look.inputs.evidence
    assert found["noria_decay_evidence"][one] == look.quality.evidence
    assert {dict(labels)["feature"] for labels in found["noria_feature_drift_psi"]} >= {"shop", "price"}


def test_alerts_that_stand_and_alerts_that_were_are_counted(lived) -> None:
    life, told, before = lived

    found = samples(told.families(life.workspace.ledger))
    opened, resolved = life.all(e.AlertOpened), life.all(e.AlertResolved)

    assert opened, "this world makes alerts"
    assert set(before["noria_events_total"].values()) == {0}
    assert sum(found["noria_alerts_opened_total"].values()) == len(opened)
    assert sum(found["noria_alerts_open"].values()) == len(opened) - len(resolved)
    assert sum(found["noria_events_total"].values()) == life.workspace.ledger.head().seq
    promoted = life.all(e.RolloutPromoted)[-1]
    assert found["noria_champion_version"] == {(("deployment", "returns"),): promoted.number}


def test_a_fold_that_went_on_is_the_fold_from_the_beginning(lived) -> None:
    life, told, _ = lived

    assert samples(told.families(life.workspace.ledger)) == samples(Told().families(life.workspace.ledger))


def test_another_process_sees_the_look_and_promtool_takes_the_page(lived) -> None:
    life, _, _ = lived

    elsewhere = Looks(life.workspace.home)

    assert elsewhere.all() == life.workspace.looks.all()
    assert lint(expose(watching_families(life.workspace, Told()))) == ""


def test_an_emptied_workspace_is_counted_anew() -> None:
    with open_life() as life:
        told = Told()
        life.declare()
        told.families(life.workspace.ledger)
        life.workspace.reset()

        assert set(samples(told.families(life.workspace.ledger))["noria_events_total"].values()) == {0}
        assert life.workspace.looks.all() == []


def test_a_file_that_is_no_look_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "looks").mkdir()
    (tmp_path / "looks" / "torn.msgpack").write_bytes(b"\x88\xaadeploy")

    assert Looks(tmp_path).all() == []


def test_an_alert_is_counted_in_the_state_it_is_in(lived) -> None:
    life, _, _ = lived
    (alert,) = [event.alert for event in life.all(e.AlertOpened)]
    told = Told()

    def states() -> list[str]:
        found = samples(told.families(life.workspace.ledger))["noria_alerts_open"]
        return [dict(labels)["state"] for labels in found]

    def say(number: int, event: AnyEvent) -> None:
        draft = Draft(id=EventId(f"said-{number}"), at=life.clock.now(), actor="somebody", event=event)
        life.workspace.ledger.append([draft])

    seen = [states()]
    what = {"deployment": alert.deployment, "alert_id": alert.id}
    say(1, e.AlertAcknowledged(**what))
    seen.append(states())
    say(2, e.AlertSnoozed(**what, until=life.clock.now()))
    seen.append(states())
    say(3, e.AlertReopened(**what, reason="it is time"))
    seen.append(states())

    assert seen == [["open"], ["acknowledged"], ["snoozed"], ["open"]]


def test_of_many_deployments_each_has_fewer_features(lived) -> None:
    life, _, _ = lived
    (look,) = life.workspace.looks.all()
    one = look.inputs.features[0]
    inputs = msgspec.structs.replace(
        look.inputs, features=tuple(msgspec.structs.replace(one, feature=f"f{i}") for i in range(100))
    )
    look = msgspec.structs.replace(look, inputs=inputs)

    alone = samples(look_families([look]))["noria_feature_drift_psi"]
    many = [msgspec.structs.replace(look, deployment=f"d{i}") for i in range(1000)]
    together = samples(look_families(many))["noria_feature_drift_psi"]

    assert len(alone) == MOST_FEATURES + 1  # and the score
    assert len(together) <= 1000 * 6
