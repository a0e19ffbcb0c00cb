"""Webhooks are told everything, in order, signed, again until it is taken; and no longer than they want to be told."""

import base64
import hmac
import json
import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from itertools import pairwise

import pytest
from msgspec.structs import replace

from noria.adapters.metadata.memory import open_store
from noria.app.outgoing import Allowance
from noria.app.webhooks import FEWEST_KEPT, Deliverer, Rules
from noria.domain.change import Change, ChangeKind, Webhook
from noria.domain.ids import RunId, WebhookId
from noria.domain.run import Run
from noria.errors import SettingInvalid
from noria.ports.metadata import Metadata
from noria.testing.clock import FakeClock
from noria.testing.models_suite import a_version
from tests.app.receiver import Message, Receiver

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
OPEN = Rules(allowed=Allowance(http=True, private=True))


class World:
    """A store, a clock that stands still, and a deliverer that goes by both."""

    def __init__(self, rules: Rules = OPEN) -> None:
        self.store: Metadata = open_store("", project="p")
        self.clock = FakeClock(NOON)
        self.deliverer = self.another(rules)

    def another(self, rules: Rules = OPEN) -> Deliverer:
        return Deliverer(lambda: self.store, clock=self.clock, rules=rules, elapsed=self.elapsed, seed=1)

    def elapsed(self) -> float:
        return (self.clock.now() - NOON).total_seconds()

    def hook(self, url: str, *, name: str = "w1", kinds: tuple[ChangeKind, ...] = (), secret: str = "") -> Webhook:
        made = Webhook(
            id=WebhookId(name), name=name, url=url, kinds=kinds, secret=secret, created_at=NOON, updated_at=NOON
        )
        return self.store.feed.put_webhook(made)

    def begin(self, *names: str) -> None:
        for name in names:
            self.store.runs.create(
                Run(id=RunId(name), experiment="e", name=name, status="running", started_at=self.clock.now())
            )

    def until_told(self, *, hours: float = 1.0, rounds: int = 400) -> int:
        """Rounds with time between them, until nothing is left; gives how many messages were taken."""
        taken = 0
        for _ in range(rounds):
            taken += self.deliverer.round()
            if all(self.store.feed.delivered(h.id) == self.store.feed.newest() for h in self.store.feed.webhooks()):
                break
            self.clock.advance(hours=hours)
        return taken


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver


def test_everything_since_it_was_made_is_told_in_order_and_once(world: World, receiver: Receiver) -> None:
    world.begin("before")
    world.hook(receiver.url)
    world.begin("a", "b")
    world.store.runs.finish(RunId("a"), status="finished", at=NOON)

    assert world.deliverer.round() == 3
    assert world.deliverer.round() == 0

    bodies = [message.body for message in receiver.messages]
    assert [(body["type"], body["data"]["subject"]) for body in bodies] == [
        ("run.created", "a"),
        ("run.created", "b"),
        ("run.finished", "a"),
    ]
    assert bodies[0]["timestamp"] == NOON.isoformat()


def test_only_what_it_asked_for_is_told_and_the_rest_is_passed(world: World, receiver: Receiver) -> None:
    world.hook(receiver.url, kinds=("version.created",))
    world.begin("a")
    world.store.models.register(a_version(1))
    world.begin("b")

    assert world.deliverer.round() == 1
    assert receiver.messages[0].body["data"]["subject"] == "delay/1"
    assert receiver.messages[0].body["data"]["semantic_version"] == "1.1.0"
    assert world.store.feed.delivered(WebhookId("w1")) == world.store.feed.newest()


def test_more_than_a_portion_is_told_in_the_end(world: World, receiver: Receiver) -> None:
    world.hook(receiver.url)
    names = [f"r{number:03}" for number in range(120)]
    world.begin(*names)

    assert world.until_told() == 121  # the experiment's own change comes with them

    subjects = [message.subject for message in receiver.messages]
    assert [subject for subject in subjects if subject.startswith("r")] == names


def test_a_message_is_signed_over_id_time_and_body(world: World, receiver: Receiver) -> None:
    world.hook(receiver.url, secret="s3cret")
    world.begin("a")
    world.deliverer.round()

    message = receiver.messages[-1]
    signed = f"{message.headers['webhook-id']}.{message.headers['webhook-timestamp']}.".encode() + message.content
    expected = base64.b64encode(hmac.new(b"s3cret", signed, sha256).digest()).decode()
    assert message.headers["webhook-signature"] == f"v1,{expected}"
    assert message.headers["webhook-timestamp"] == str(int(NOON.timestamp()))


def test_a_secret_of_the_standards_form_is_base64(world: World, receiver: Receiver) -> None:
    world.hook(receiver.url, secret="whsec_" + base64.b64encode(b"raw bytes").decode())
    world.begin("a")
    world.deliverer.round()

    message = receiver.messages[-1]
    signed = f"{message.headers['webhook-id']}.{message.headers['webhook-timestamp']}.".encode() + message.content
    expected = base64.b64encode(hmac.new(b"raw bytes", signed, sha256).digest()).decode()
    assert message.headers["webhook-signature"] == f"v1,{expected}"


def test_what_is_refused_is_sent_again_later_with_the_same_id_and_nothing_overtakes_it(world: World) -> None:
    refusals = iter([500, 404, 429])
    with Receiver(answer=lambda _: next(refusals, 200)) as receiver:
        world.hook(receiver.url)
        world.begin("a", "b")

        assert world.deliverer.round() == 0
        assert world.deliverer.round() == 0, "it is not asked again at once"
        assert len(receiver.messages) == 1
        assert world.store.feed.webhook(WebhookId("w1")).failing_since == NOON
        world.until_told(hours=1)

    ids = [message.headers["webhook-id"] for message in receiver.messages]
    assert ids[:4] == [ids[0]] * 4
    assert len(set(ids)) == len(ids) - 3
    assert [m.subject for m in receiver.messages][-2:] == ["a", "b"]
    assert world.store.feed.webhook(WebhookId("w1")).failing_since is None


def test_the_pause_grows_with_each_failure_and_never_beyond_an_hour(world: World) -> None:
    asked: list[float] = []

    def refuse(_: Message) -> int:
        asked.append(world.elapsed())
        return 500

    with Receiver(answer=refuse) as receiver:
        world.hook(receiver.url)
        world.begin("a")
        while len(asked) < 16:
            world.deliverer.round()
            world.clock.advance(seconds=0.5 if len(asked) < 6 else 60)

    pauses = [later - earlier for earlier, later in pairwise(asked)]
    assert 1.0 <= pauses[0] <= 2.5
    assert pauses[4] > 3 * pauses[1]
    assert max(pauses) <= 3660
    assert min(pauses[-3:]) >= 1800


def test_a_receiver_that_says_when_to_come_again_is_left_alone_until_then(world: World) -> None:
    answers = iter([503])
    with Receiver(answer=lambda _: next(answers, 200), extra={"retry-after": "900"}) as receiver:
        world.hook(receiver.url)
        world.begin("a")
        world.deliverer.round()

        world.clock.advance(seconds=899)
        world.deliverer.round()
        assert len(receiver.messages) == 1
        world.clock.advance(seconds=1)
        world.deliverer.round()
        assert len(receiver.messages) > 1


def test_one_that_fails_holds_up_no_other(world: World, receiver: Receiver) -> None:
    with Receiver(answer=lambda _: 500) as bad:
        world.hook(bad.url, name="bad")
        world.hook(receiver.url, name="good")
        world.begin("a", "b")

        world.deliverer.round()

    assert [message.subject for message in receiver.messages][-2:] == ["a", "b"]


def test_after_days_of_failure_it_is_switched_off_with_a_note_and_goes_on_where_it_was(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    open_again: list[int] = []
    with Receiver(answer=lambda _: 200 if open_again else 500) as receiver, caplog.at_level(logging.WARNING):
        world.hook(receiver.url, secret="s3cret")
        world.begin("a")
        for _ in range(24 * 7):
            world.deliverer.round()
            world.clock.advance(hours=1)

        dead = world.store.feed.webhook(WebhookId("w1"))
        assert not dead.active
        assert dead.note == "every delivery has failed since 2026-03-01 12:00 UTC; at last: it answers 500"
        world.begin("b")
        asked = len(receiver.messages)
        assert world.deliverer.round() == 0
        assert len(receiver.messages) == asked

        open_again.append(1)
        world.store.feed.put_webhook(replace(dead, active=True))
        world.until_told()
        assert [m.subject for m in receiver.messages][-2:] == ["a", "b"]
    assert "was switched off" in caplog.text
    assert "t0ken" not in caplog.text
    assert "s3cret" not in caplog.text


def test_a_server_that_was_away_itself_tries_again_before_it_gives_up(world: World) -> None:
    with Receiver(answer=lambda _: 500) as receiver:
        world.hook(receiver.url)
        world.begin("a")
        world.deliverer.round()
        world.deliverer.stop()

        world.clock.advance(days=30)
        world.deliverer = world.another()
        world.deliverer.round()

        assert world.store.feed.webhook(WebhookId("w1")).active


def test_a_receiver_that_is_gone_is_asked_no_more(world: World) -> None:
    with Receiver(answer=lambda _: 410) as receiver:
        world.hook(receiver.url)
        world.begin("a")
        world.deliverer.round()

    gone = world.store.feed.webhook(WebhookId("w1"))
    assert (gone.active, gone.note) == (False, "the receiver says that it is gone")


def test_nothing_is_sent_into_this_machines_network_unless_that_is_allowed(receiver: Receiver) -> None:
    world = World(Rules(allowed=Allowance(http=True)))
    world.hook(receiver.url)
    world.begin("a")

    assert world.deliverer.round() == 0
    assert receiver.messages == []
    with pytest.raises(SettingInvalid, match="private network"):
        world.deliverer.deliver_test(world.store.feed.webhook(WebhookId("w1")), "run.created")


def test_a_test_message_goes_out_at_once_and_moves_nothing(world: World, receiver: Receiver) -> None:
    made = world.hook(receiver.url, secret="s")
    told = world.store.feed.delivered(made.id)

    answer = world.deliverer.deliver_test(replace(made, active=False), "version.created")

    assert (answer.status, receiver.messages[0].body["type"]) == (200, "version.created")
    assert "webhook-signature" in receiver.messages[0].headers
    assert world.store.feed.delivered(made.id) == told


def test_of_two_servers_on_one_store_one_delivers_until_it_lets_go(world: World, receiver: Receiver) -> None:
    second = world.another()
    world.hook(receiver.url)
    world.begin("a")
    first_round = world.deliverer.round()
    world.begin("b")

    assert (first_round > 0, second.round()) == (True, 0)
    world.deliverer.stop()
    assert second.round() == 1


class Shouting:
    """A form as a face brings it along: it has no word for some changes."""

    def body(self, change: Change, metadata: Metadata, /) -> bytes | None:
        loud = json.dumps({"data": {"subject": change.subject.upper()}}).encode()
        return loud if change.kind == "run.created" else None

    def example(self, kind: ChangeKind, at: datetime, /) -> bytes:
        return b"{}"

    def headers(self, content: bytes, secret: str, /, *, delivery: str, at: datetime) -> dict[str, str]:
        return {"x-loud": delivery}


def test_a_webhook_is_told_in_its_own_form_and_passes_what_that_has_no_word_for(
    world: World, receiver: Receiver
) -> None:
    world.deliverer = Deliverer(
        lambda: world.store, clock=world.clock, rules=OPEN, elapsed=world.elapsed, forms={"loud": Shouting()}
    )
    world.store.feed.put_webhook(replace(world.hook(receiver.url), form="loud"))
    world.begin("a")
    world.store.runs.finish(RunId("a"), status="finished", at=NOON)

    world.until_told()

    assert [message.subject for message in receiver.messages] == ["A"]
    assert receiver.messages[0].headers["x-loud"].startswith("w1-")


def test_a_form_that_no_server_knows_waits_and_stops_nobody_else(world: World, receiver: Receiver) -> None:
    world.store.feed.put_webhook(replace(world.hook(receiver.url, name="odd"), form="odd"))
    world.hook(receiver.url, name="plain")
    world.begin("a")

    world.deliverer.round()

    assert [message.subject for message in receiver.messages][-1] == "a"
    assert world.store.feed.webhook(WebhookId("odd")).failing_since == NOON


def test_a_webhook_that_is_dropped_or_switched_off_is_left_alone(world: World, receiver: Receiver) -> None:
    off = world.hook(receiver.url, name="off")
    world.store.feed.put_webhook(replace(off, active=False))
    world.hook(receiver.url, name="dropped")
    world.begin("a")
    world.store.feed.drop_webhook(WebhookId("dropped"))

    assert world.deliverer.round() == 0
    assert receiver.messages == []


def test_old_changes_are_dropped_once_everybody_was_told(world: World, receiver: Receiver) -> None:
    world.hook(receiver.url)
    world.begin(*(f"r{number}" for number in range(20)))
    world.clock.advance(days=40)
    assert world.deliverer.forget() == 0, "the newest are kept however old they are"

    for number in range(FEWEST_KEPT):
        world.store.models.register(a_version(number + 1, run=f"v{number}"))
    assert world.deliverer.forget() == 0, "a webhook was not told of them yet"
    world.store.feed.advance(WebhookId("w1"), seq=world.store.feed.newest())

    gone = world.deliverer.forget()

    assert gone >= 20
    assert len(world.store.feed.read(limit=2 * FEWEST_KEPT)) >= FEWEST_KEPT
    assert world.clock.now() - NOON == timedelta(days=40)
