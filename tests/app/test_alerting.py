"""Alerts reach everybody who wants them: in order, at least once, through outages, restarts and refusals; and nobody else."""

from datetime import timedelta

import pytest
from msgspec.structs import replace

from noria.app.alerting import FEWEST_REFUSALS, cursor_of, waiting
from noria.app.alerting_acts import acknowledge, find, reopen, resolve, snooze
from noria.app.alerting_acts import book_of as book
from noria.domain import events as e
from noria.domain.alert import Silencer
from noria.errors import Conflict, InputInvalid, NotFound, RequestInvalid, SettingInvalid, StoreUnavailable
from tests.app.alerting_world import NOON, World, an_alert
from tests.app.receiver import Receiver as Web

AWAY = StoreUnavailable("nobody is there")


@pytest.fixture
def world() -> World:
    return World()


def test_everything_about_an_alert_is_told_once_and_in_order(world: World) -> None:
    ear, receiver = world.ear()
    courier = world.courier(receiver)
    first, second = an_alert("a1"), an_alert("a2", causes=("fare",))
    world.open(first, second)

    assert courier.round() == 2
    acknowledge(world.store.ledger, "a1", clock=world.clock, actor="ann", reason="on it")
    world.over(second)
    assert courier.round() == 2
    assert courier.round() == 0

    assert ear.heard == ["opened a1", "opened a2", "acknowledged a1", "resolved a2"]
    assert (ear.told[2].by, ear.told[2].reason, ear.told[2].alert.state) == ("ann", "on it", "acknowledged")
    assert len({notice.id for notice in ear.told}) == 4


def test_one_cause_is_opened_once_then_joined_and_raised_when_it_gets_worse(world: World) -> None:
    ear, receiver = world.ear()
    courier = world.courier(receiver)
    world.open(
        an_alert("a1"),
        an_alert("a2", kind="prediction_drift", group="a1"),
        an_alert("a3", kind="decay", severity="page", group="a1"),
    )

    courier.round()
    world.over(an_alert("a3"))
    courier.round()

    assert ear.heard == ["opened a1", "joined a2", "raised a3", "resolved a3"]
    assert {other.id for other in ear.told[-1].others} == {"a1", "a2"}


def test_a_receiver_hears_what_it_wants_and_a_cause_is_new_to_it_when_its_first_alert_is(world: World) -> None:
    pages, pager = world.ear("pager", severity="page")
    shop, shops = world.ear("shops", deployments=("shop-*",), kinds=("input_drift",), resolved=False)
    courier = world.courier(pager, shops)
    other = an_alert("a2", deployment="shop-berlin", group="a1")
    world.open(an_alert("a1"), other, an_alert("a3", kind="decay", severity="page", group="a1"))
    courier.round()
    world.over(other)
    courier.round()

    assert pages.heard == ["opened a3"]
    assert shop.heard == ["opened a2"]


def test_a_receiver_that_was_away_for_an_hour_misses_nothing_and_holds_up_nobody(world: World) -> None:
    ear, away = world.ear("away")
    other, near = world.ear("near")
    courier = world.courier(away, near)
    ear.failure = AWAY
    for minute in range(60):
        if minute % 10 == 0:
            world.open(an_alert(f"a{minute}", causes=(f"x{minute}",)))
        courier.round()
        world.clock.advance(minutes=1)
    assert (ear.heard, len(other.told)) == ([], 6)
    assert courier.health()[0].waiting == 6
    assert courier.health()[0].waiting_since == NOON
    assert courier.health()[0].tries < 30, "it is asked less and less often"

    ear.failure = None
    world.clock.advance(minutes=5)
    assert courier.round() == 6

    assert ear.heard == [f"opened a{minute}" for minute in range(0, 60, 10)]
    assert courier.health()[0].waiting == 0
    assert courier.health()[0].problem == ""


def test_a_real_receiver_over_http_that_is_away_for_an_hour_is_told_when_it_is_back(world: World) -> None:
    with Web() as web:
        url = web.url
    courier = world.courier(world.at("webhook", url))
    world.open(an_alert())
    for _ in range(60):
        assert courier.round() == 0
        world.clock.advance(minutes=1)

    courier.release()  # as after a while, when its lease has run out
    answers = iter([503, 429])
    with Web(answer=lambda _: next(answers, 200)) as web:
        courier = world.courier(world.at("webhook", web.url))  # another process, which knows of no failure
        while courier.round() == 0:
            world.clock.advance(minutes=10)

    assert [message.headers["idempotency-key"] for message in web.messages] == ["open-a1"] * 3
    assert web.messages[-1].body["notice"]["alert"]["id"] == "a1"


def test_another_process_goes_on_where_the_first_one_was(world: World) -> None:
    ear, receiver = world.ear()
    first, second = world.courier(receiver), world.courier(receiver)
    world.open(an_alert("a1"))
    assert first.round() == 1
    world.open(an_alert("a2", causes=("fare",)))

    assert second.round() == 0, "the first one still has the lease"
    first.release()
    world.clock.advance(minutes=1)
    assert second.round() == 1
    second.release()
    assert first.round() == 0

    assert ear.heard == ["opened a1", "opened a2"]


def test_a_new_receiver_is_told_of_what_stands_and_not_of_what_was_over_before(world: World) -> None:
    ear, receiver = world.ear()
    world.open(an_alert("a1"), an_alert("a2", causes=("fare",)))
    world.over(an_alert("a1"))

    courier = world.courier(receiver)
    courier.round()
    courier.release()
    world.open(an_alert("a3", causes=("tax",)))
    world.over(an_alert("a3"))
    world.courier(receiver).round()

    assert ear.heard == ["opened a2", "opened a3", "resolved a3"]


def test_a_receiver_that_was_never_there_hears_of_what_came_and_went_meanwhile(world: World) -> None:
    ear, receiver = world.ear()
    ear.failure = AWAY
    world.write(e.ProjectCreated(project="p", noria_version="1"), "e1")
    world.courier(receiver).round()
    world.open(an_alert("a1"))
    world.over(an_alert("a1"))
    ear.failure = None
    world.courier(receiver).round()

    assert ear.heard == ["opened a1", "resolved a1"]


def test_what_a_receiver_refuses_for_good_is_set_aside_and_said_aloud(world: World) -> None:
    ear, receiver = world.ear()
    courier = world.courier(receiver)
    world.open(an_alert("a1"))
    ear.failure = RequestInvalid("the summary is too long", cause="it answers 400")
    for _ in range(FEWEST_REFUSALS):
        courier.round()
        world.clock.advance(minutes=10)
    ear.failure = None
    world.open(an_alert("a2", causes=("fare",)))

    assert courier.round() == 1

    (entry,) = world.store.ledger.latest(kinds=("AlertUndelivered",))
    assert isinstance(entry.event, e.AlertUndelivered)
    assert (entry.event.receiver, entry.event.alert_id, entry.cause) == ("ear", "a1", "open-a1")
    assert ear.heard == ["opened a2"]


@pytest.mark.parametrize("failure", [AWAY, SettingInvalid("it answers 401"), ValueError("a plugin's own fault")])
def test_what_may_pass_is_never_set_aside(world: World, failure: Exception) -> None:
    ear, receiver = world.ear()
    courier = world.courier(receiver)
    world.open(an_alert())
    ear.failure = failure
    for _ in range(200):
        courier.round()
        world.clock.advance(minutes=10)
    ear.failure = None
    courier.round()

    assert ear.heard == ["opened a1"]


def test_a_project_that_was_emptied_is_told_of_from_its_beginning(world: World) -> None:
    ear, receiver = world.ear()
    courier = world.courier(receiver)
    world.open(an_alert("a1"), an_alert("a2", causes=("fare",)))
    courier.round()
    world.store = World().store

    courier.round()
    world.open(an_alert("a1"))
    courier.round()

    assert ear.heard == ["opened a1", "opened a2", "opened a1"]


def test_open_alerts_are_told_again_until_somebody_takes_care(world: World) -> None:
    ear, receiver = world.ear(repeat_minutes=60)
    courier = world.courier(receiver)
    world.open(an_alert("a1"), an_alert("a2", kind="prediction_drift", group="a1"))
    for _ in range(5):
        courier.round()
        world.clock.advance(minutes=30)
    assert ear.heard == ["opened a1", "joined a2", "reminded a1", "reminded a1"]

    acknowledge(world.store.ledger, "a1", clock=world.clock, actor="ann")
    ear.told.clear()
    for _ in range(8):
        courier.round()
        world.clock.advance(minutes=30)
    assert ear.heard == ["acknowledged a1", "acknowledged a2"]


def test_an_answer_to_one_alert_is_one_to_its_cause_and_can_be_for_it_alone(world: World) -> None:
    ledger, clock = world.store.ledger, world.clock
    world.open(an_alert("a1"), an_alert("a2", kind="decay", group="a1"), an_alert("a3", causes=("fare",)))

    assert [a.state for a in acknowledge(ledger, "a1", clock=clock, actor="ann")] == ["acknowledged"] * 2
    before = ledger.head().seq
    acknowledge(ledger, "a2", clock=clock, actor="bob")
    assert ledger.head().seq == before, "it was acknowledged before"
    reopen(ledger, "a2", clock=clock, actor="ann", only=True)
    resolve(ledger, "a2", clock=clock, actor="ann", reason="repaired", only=True)

    states = {a.id: (a.state, a.changed_by) for a in book(ledger).alerts()}
    assert states == {"a1": ("acknowledged", "ann"), "a2": ("resolved", "ann"), "a3": ("open", "")}
    assert book(ledger).find("a2").reason == "repaired"  # type: ignore[union-attr]


def test_a_snooze_ends_by_itself_and_an_end_must_be_to_come(world: World) -> None:
    ledger, clock = world.store.ledger, world.clock
    world.open(an_alert())

    (alert,) = snooze(ledger, "a1", until=NOON + timedelta(hours=8), clock=clock, actor="ann")

    assert (alert.state, alert.snoozed_until) == ("snoozed", NOON + timedelta(hours=8))
    for until in (NOON, NOON - timedelta(hours=1), NOON.replace(tzinfo=None) + timedelta(days=1)):
        with pytest.raises(InputInvalid):
            snooze(ledger, "a1", until=until, clock=clock, actor="ann")


def test_acts_that_cannot_be_are_refused(world: World) -> None:
    ledger, clock = world.store.ledger, world.clock
    world.open(an_alert("abcdef1"), an_alert("abcdef2"))
    resolve(ledger, "abcdef2", clock=clock, actor="ann", reason="repaired", only=True)

    assert find(book(ledger), "abcdef1").id == "abcdef1"
    with pytest.raises(InputInvalid):
        find(book(ledger), "abcdef")
    for unknown in ("", "zzzz", "ab"):
        with pytest.raises(NotFound):
            find(book(ledger), unknown)
    with pytest.raises(Conflict):
        acknowledge(ledger, "abcdef2", clock=clock, actor="ann")
    with pytest.raises(InputInvalid):
        resolve(ledger, "abcdef1", clock=clock, actor="ann", reason=" ")


def test_a_year_of_entries_without_alerts_is_not_read_again_by_every_process(world: World) -> None:
    ear, receiver = world.ear()
    for number in range(5_200):
        world.write(e.ProjectCreated(project="p", noria_version=str(number)), f"e{number}")

    world.courier(receiver).round()

    assert world.store.ledger.cursor(cursor_of("ear")).seq == 5_200
    world.open(an_alert())
    assert waiting(world.store, receiver).waiting == 1
    world.courier(receiver).round()
    assert ear.heard == ["opened a1"]


def test_old_alerts_without_the_new_fields_are_read_as_before(world: World) -> None:
    old = replace(an_alert(), group="", causes=(), silencers=())
    new = an_alert("a2", silencers=(Silencer(setting="margin", now=0.05, needed=0.3),))
    world.open(old, new)

    assert book(world.store.ledger).alerts() == [new, old]
    assert old.cause == "a1"
