"""The law of the Feed port as tests. Subclass FeedSuite where a fixture `metadata` gives an empty store."""

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

import pytest
from msgspec.structs import replace

from noria.domain.change import Change, Webhook
from noria.domain.ids import ExperimentId, RunId, WebhookId
from noria.domain.run import RunBatch
from noria.errors import AlreadyExists, InputInvalid, NotFound
from noria.ports.feed import Feed
from noria.ports.metadata import Metadata
from noria.testing.models_suite import a_move, a_version
from noria.testing.runs_suite import LATER, NOON, a_point, a_run


def a_webhook(name: str = "w1", *, hours: int = 0) -> Webhook:
    """Somebody who wants to know of runs that ended."""
    at = NOON + timedelta(hours=hours)
    return Webhook(
        id=WebhookId(name),
        name=f"hook {name}",
        url="https://example.org/hook",
        kinds=("run.finished",),
        secret="s3cret",
        created_at=at,
        updated_at=at,
    )


class FeedSuite:
    """Laws that every feed keeps."""

    @pytest.fixture
    def feed(self, metadata: Metadata) -> Feed:
        """An empty feed."""
        return metadata.feed

    def told(self, feed: Feed, after: int = 0) -> list[tuple[str, str]]:
        """Kind and subject of every change."""
        return [(change.kind, change.subject) for change in feed.read(after=after)]

    def test_a_new_feed_is_empty(self, feed: Feed) -> None:
        assert (feed.read(), feed.newest(), feed.webhooks()) == ([], 0, [])

    def test_what_becomes_of_experiments_and_runs_is_told(self, metadata: Metadata, feed: Feed) -> None:
        runs, experiments = metadata.runs, metadata.experiments
        runs.create(a_run())
        runs.log(RunBatch(run_id=RunId("a"), metrics=[a_point(0.5)], params={"a": 1}, tags={"b": "c"}))
        runs.finish(RunId("a"), status="failed", at=LATER)
        runs.amend(RunId("a"), status="running")
        runs.amend(RunId("a"), status="finished", finished_at=LATER)
        runs.trash([RunId("a")], at=LATER)
        runs.trash([RunId("a")], at=None)
        experiments.trash(ExperimentId("1"), at=LATER)
        experiments.trash(ExperimentId("1"), at=None)
        experiments.create("lines", at=NOON)

        assert self.told(feed) == [
            ("experiment.created", "1"),
            ("run.created", "a"),
            ("run.finished", "a"),
            ("run.finished", "a"),
            ("run.trashed", "a"),
            ("run.restored", "a"),
            ("experiment.trashed", "1"),
            ("experiment.restored", "1"),
            ("experiment.created", "2"),
        ]
        changes = feed.read()
        assert changes[0].detail == {"name": "trees"}
        assert changes[2].detail == {"experiment_id": "1", "name": "run a", "status": "failed"}
        assert [change.at for change in changes[:3]] == [NOON, NOON, LATER]
        assert [change.seq for change in changes] == sorted({change.seq for change in changes})
        assert feed.newest() == changes[-1].seq

    def test_what_changes_nothing_is_not_told(self, metadata: Metadata, feed: Feed) -> None:
        runs, experiments = metadata.runs, metadata.experiments
        runs.create(a_run())
        runs.finish(RunId("a"), status="finished", at=LATER)
        runs.trash([RunId("a")], at=LATER)
        experiments.trash(ExperimentId("1"), at=LATER)
        before = feed.newest()

        runs.create(a_run())
        runs.trash([RunId("a")], at=NOON)
        experiments.trash(ExperimentId("1"), at=NOON)
        with pytest.raises(AlreadyExists):
            runs.create(a_run(experiment="other"))
        with pytest.raises(NotFound):
            runs.finish(RunId("nobody"), status="finished", at=NOON)
        experiments.trash(ExperimentId("1"), at=None)
        runs.trash([RunId("a")], at=None)
        runs.finish(RunId("a"), status="finished", at=NOON)
        runs.amend(RunId("a"), name="other", status="finished")

        assert self.told(feed, before) == [("experiment.restored", "1"), ("run.restored", "a")]

    def test_what_becomes_of_registered_models_is_told(self, metadata: Metadata, feed: Feed) -> None:
        catalog, models = metadata.catalog, metadata.models
        catalog.create("empty", at=NOON)
        models.register(a_version(1))
        models.register(a_version(1))
        models.amend("delay", 1, at=NOON, description="x")
        models.amend("delay", 1, at=NOON, tags={"a": "b", "gone": None})
        models.amend("delay", 1, at=NOON, tags={"a": None})
        models.move_alias(a_move(1))
        models.move_alias(a_move(1))
        models.move_alias(a_move(None, minutes=5))
        models.move_alias(a_move(1, minutes=6))
        catalog.rename("delay", "lateness", at=NOON)
        models.delete("lateness", 1, at=NOON)
        catalog.delete("lateness", at=NOON)

        assert self.told(feed) == [
            ("model.created", "empty"),
            ("model.created", "delay"),
            ("version.created", "delay/1"),
            ("version.tag_set", "delay/1"),
            ("version.tag_deleted", "delay/1"),
            ("alias.set", "delay/1"),
            ("alias.deleted", "delay/1"),
            ("alias.set", "delay/1"),
            ("model.renamed", "lateness"),
            ("alias.deleted", "lateness/1"),
            ("version.deleted", "lateness/1"),
            ("model.deleted", "lateness"),
        ]
        by_kind = {change.kind: change.detail for change in feed.read()}
        assert by_kind["version.tag_set"] == {"key": "a", "value": "b"}
        assert by_kind["model.renamed"] == {"previous": "delay"}
        assert by_kind["alias.set"]["alias"] == "champion"

    def test_changes_are_read_in_portions_and_by_kind(self, metadata: Metadata, feed: Feed) -> None:
        for number in range(5):
            metadata.runs.create(a_run(str(number)))

        first = feed.read(limit=3)
        rest = feed.read(after=first[-1].seq)

        assert self.told(feed) == [(change.kind, change.subject) for change in first + rest]
        assert [change.subject for change in feed.read(kinds=["run.created"], limit=2)] == ["0", "1"]
        assert [change.subject for change in feed.read(kinds={"experiment.created"})] == ["1"]
        assert feed.read(kinds=[]) == []
        assert feed.read(after=feed.newest()) == []
        assert feed.read(limit=0) == []

    def test_forgotten_changes_are_gone_and_numbers_go_on(self, metadata: Metadata, feed: Feed) -> None:
        for number in range(3):
            metadata.runs.create(a_run(str(number)))
        changes = feed.read()

        assert feed.forget(until=changes[1].seq) == 2
        assert feed.read() == changes[2:]
        assert feed.forget(until=feed.newest()) == 2
        assert feed.forget(until=feed.newest()) == 0
        assert feed.newest() == changes[-1].seq
        metadata.runs.create(a_run("new"))
        assert feed.newest() > changes[-1].seq

    def test_a_webhook_comes_back_and_begins_at_the_newest_change(self, metadata: Metadata, feed: Feed) -> None:
        metadata.runs.create(a_run())

        made = feed.put_webhook(a_webhook())

        assert made == replace(a_webhook(), since=feed.newest())
        assert feed.webhook(made.id) == made
        assert feed.delivered(made.id) == made.since

    def test_changing_a_webhook_keeps_where_it_began_and_how_far_it_was_told(
        self, metadata: Metadata, feed: Feed
    ) -> None:
        made = feed.put_webhook(a_webhook())
        metadata.runs.create(a_run())
        feed.advance(made.id, seq=2)

        changed = feed.put_webhook(replace(a_webhook(), url="https://example.org/other", active=False, since=99))

        assert changed == replace(a_webhook(), url="https://example.org/other", active=False, since=made.since)
        assert feed.webhooks() == [changed]
        assert feed.delivered(made.id) == 2

    def test_how_far_a_webhook_was_told_never_moves_back(self, feed: Feed) -> None:
        feed.put_webhook(a_webhook())

        feed.advance(WebhookId("w1"), seq=7)
        feed.advance(WebhookId("w1"), seq=3)

        assert feed.delivered(WebhookId("w1")) == 7

    def test_what_its_deliverer_finds_out_is_kept_beside_what_its_owner_says(self, feed: Feed) -> None:
        feed.put_webhook(a_webhook())

        failing = feed.mark_webhook(WebhookId("w1"), failing_since=NOON)
        assert failing == replace(a_webhook(), failing_since=NOON)
        assert feed.mark_webhook(WebhookId("w1"), failing_since=None) == a_webhook()

        dead = feed.mark_webhook(WebhookId("w1"), failing_since=NOON, switched_off="too long")
        assert (dead.active, dead.note) == (False, "too long")
        assert feed.webhook(WebhookId("w1")) == dead

        again = feed.put_webhook(replace(dead, active=True))
        assert (again.active, again.note, again.failing_since) == (True, "", None)

    def test_webhooks_come_newest_first_and_can_be_dropped(self, feed: Feed) -> None:
        for name, hours in (("w1", 1), ("w3", 3), ("w2", 2)):
            feed.put_webhook(a_webhook(name, hours=hours))

        assert [webhook.id for webhook in feed.webhooks()] == ["w3", "w2", "w1"]
        feed.drop_webhook(WebhookId("w2"))
        assert [webhook.id for webhook in feed.webhooks()] == ["w3", "w1"]
        assert feed.put_webhook(a_webhook("w2")).id == "w2"

    def test_an_unknown_webhook_is_not_found_by_any_call(self, feed: Feed) -> None:
        missing = WebhookId("nobody")

        for call in (
            lambda: feed.webhook(missing),
            lambda: feed.drop_webhook(missing),
            lambda: feed.mark_webhook(missing, failing_since=None),
            lambda: feed.delivered(missing),
            lambda: feed.advance(missing, seq=1),
        ):
            with pytest.raises(NotFound, match="'nobody'"):
                call()

    def test_what_cannot_be_a_webhook_is_refused(self, feed: Feed) -> None:
        for webhook in (
            replace(a_webhook(), id=WebhookId("")),
            replace(a_webhook(), created_at=datetime(2013, 3, 1)),
            replace(a_webhook(), updated_at=datetime(2013, 3, 1)),
        ):
            with pytest.raises(InputInvalid):
                feed.put_webhook(webhook)

        assert feed.webhooks() == []

    def test_a_reader_that_goes_on_from_its_last_number_misses_nothing(self, metadata: Metadata, feed: Feed) -> None:
        def write(thread: int) -> None:
            for number in range(15):
                metadata.runs.create(a_run(f"{thread}-{number}"))

        seen: list[Change] = []
        with ThreadPoolExecutor(4) as pool:
            writers = [pool.submit(write, thread) for thread in range(4)]
            while not all(writer.done() for writer in writers):
                seen += feed.read(after=seen[-1].seq if seen else 0)
            for writer in writers:
                writer.result()
        seen += feed.read(after=seen[-1].seq if seen else 0)

        assert seen == feed.read()
        assert len([change for change in seen if change.kind == "run.created"]) == 60
