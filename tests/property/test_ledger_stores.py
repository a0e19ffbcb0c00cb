"""Two ledgers that are asked the same things, one in memory and one in SQLite, give the same answers."""

import contextlib
import tempfile
from datetime import UTC, datetime

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from noria.adapters.metadata import memory, sqlite
from noria.domain.events import AliasMoved, ProjectCreated
from noria.domain.ids import EventId
from noria.domain.ledger import Cursor, Draft
from noria.errors import NoriaError
from noria.wire import chain

NOON = datetime(2013, 3, 1, 12, tzinfo=UTC)
ids = st.sampled_from("abcdefg")
events = st.one_of(
    st.just(ProjectCreated(project="p", noria_version="1")),
    st.builds(
        lambda number: AliasMoved(model="m", alias="champion", number=number, previous=None, reason=""),
        st.integers(1, 2),
    ),
)
drafts = st.lists(
    st.builds(lambda name, event: Draft(id=EventId(name), at=NOON, actor="me", event=event), ids, events), max_size=4
)
cursors = st.one_of(st.none(), st.builds(Cursor, name=st.sampled_from(["r", "s"]), seq=st.integers(0, 6)))


def told(call) -> object:
    """An answer without what a store adds by its own clock, or the class of its error."""
    try:
        answer = call()
    except NoriaError as error:
        return type(error), error.problem
    return [(entry.seq, entry.id, entry.event) for entry in answer] if isinstance(answer, list) else answer


class TwoLedgers(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.closing = contextlib.ExitStack()
        folder = self.closing.enter_context(tempfile.TemporaryDirectory())
        store = sqlite.open_store(f"{folder}/meta.db", project="p")
        self.closing.callback(store.close)
        self.kept, self.model = store.ledger, memory.open_store("", project="p").ledger

    @rule(drafts=drafts, advance=cursors)
    def append(self, drafts, advance):
        assert told(lambda: self.kept.append(drafts, advance=advance)) == told(
            lambda: self.model.append(drafts, advance=advance)
        )

    @rule(after=st.integers(-1, 9), limit=st.integers(-1, 9), kinds=st.sampled_from([None, ["AliasMoved"], ["x"], []]))
    def read(self, after, limit, kinds):
        def ask(ledger):
            return told(lambda: ledger.read(after=after, limit=limit, kinds=kinds))

        assert ask(self.kept) == ask(self.model)
        assert told(lambda: self.kept.latest(limit=limit, kinds=kinds)) == told(
            lambda: self.model.latest(limit=limit, kinds=kinds)
        )

    @rule(name=ids)
    def get(self, name):
        assert told(lambda: [self.kept.get(name)]) == told(lambda: [self.model.get(name)])

    @invariant()
    def both_are_whole_and_agree(self):
        assert self.kept.head().seq == self.model.head().seq
        assert [self.kept.cursor(name) for name in "rs"] == [self.model.cursor(name) for name in "rs"]
        assert chain.verify(self.kept.stored(), project="p", head=self.kept.head()) == []

    def teardown(self) -> None:
        self.closing.close()


TwoLedgers.TestCase.settings = settings(max_examples=15, stateful_step_count=20, deadline=None)
TestTwoLedgers = TwoLedgers.TestCase
