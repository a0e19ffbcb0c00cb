"""The chain: what a row covers, and what verification says of each way to break it."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from msgspec.structs import replace

from noria.domain.events import ModelVersionApproved, ProjectCreated
from noria.domain.ids import EventId, digest_of
from noria.domain.ledger import Draft, Head, StoredEntry
from noria.errors import StoreCorrupt, StoreNewer
from noria.wire import chain
from noria.wire.canonical import canonical

NOON = datetime(2013, 3, 1, 12, tzinfo=UTC)


def a_chain(length: int, *, project: str = "p") -> list[StoredEntry]:
    head = chain.genesis(project)
    rows = []
    for number in range(1, length + 1):
        event = ModelVersionApproved(deployment="d", model="m", number=number, by="me", reason="'why', «ü»")
        draft = Draft(
            id=EventId(f"e{number}"), at=NOON, actor="me", event=event, cause=EventId("c") if number % 2 else None
        )
        _, row = chain.seal(
            chain.prepare(draft), project=project, head=head, recorded_at=NOON + timedelta(seconds=number)
        )
        head = Head(seq=row.seq, hash=row.hash)
        rows.append(row)
    return rows


def head_of(rows: list[StoredEntry]) -> Head:
    return Head(seq=rows[-1].seq, hash=rows[-1].hash)


def rewritten(row: StoredEntry, **changes: object) -> StoredEntry:
    """What somebody writes who knows how rows are hashed."""
    body = canonical(msgspec.json.decode(row.body) | changes)
    return StoredEntry(seq=row.seq, body=body, hash=digest_of(body))


def found(rows, head=None, **options) -> list[tuple[int, str]]:
    return [(b.seq, b.problem) for b in chain.verify(rows, project="p", head=head, **options)]


@pytest.mark.parametrize("row", a_chain(2))
def test_a_body_is_the_canonical_form_of_its_entry_without_the_hash(row):
    entry = chain.read(row)

    whole = msgspec.to_builtins(entry)
    del whole["hash"]
    assert row.body == canonical(whole)
    assert row.hash == entry.hash == digest_of(row.body)


def test_the_time_of_the_store_is_covered():
    row = a_chain(1)[0]

    assert msgspec.json.decode(row.body)["recorded_at"] == "2013-03-01T12:00:01Z"


def test_a_whole_chain_has_no_breaks():
    rows = a_chain(5)

    assert found(rows, head_of(rows)) == []
    assert found(rows[:3] + rows[3:], head_of(rows[:3])) == []
    assert found([], chain.genesis("p")) == []


def test_a_changed_row_is_named():
    rows = a_chain(5)
    rows[2] = replace(rows[2], body=rows[2].body.replace(b'"me"', b'"you"'))

    assert found(rows, head_of(rows)) == [(3, "row 3 was changed: its content does not match its hash")]


def test_a_row_rewritten_with_its_hash_is_named_by_the_row_after_it():
    rows = a_chain(5)
    rows[2] = rewritten(rows[2], actor="you")

    assert found(rows, head_of(rows)) == [(3, "row 3 was rewritten: row 4 was chained to another")]


def test_the_newest_row_rewritten_with_its_hash_is_named_by_the_head():
    rows = a_chain(5)
    head = head_of(rows)
    rows[4] = rewritten(rows[4], actor="you")

    assert found(rows, head) == [(5, "row 5 was rewritten: it is not the one that the head names")]


def test_a_removed_row_is_named():
    rows = a_chain(6)

    assert found(rows[:2] + rows[4:], head_of(rows)) == [(3, "rows 3 to 4 are missing")]
    assert found(rows[1:], head_of(rows)) == [(1, "row 1 is missing")]


def test_a_cut_tail_is_named_by_the_head_and_only_by_it():
    rows = a_chain(6)

    assert found(rows[:4], head_of(rows)) == [(5, "rows 5 to 6 are missing from the end")]
    assert found(rows[:4]) == []
    assert found([], head_of(rows)) == [(1, "rows 1 to 6 are missing from the end")]


def test_exchanged_rows_are_named():
    rows = a_chain(5)
    rows[1], rows[3] = replace(rows[3], seq=2), replace(rows[1], seq=4)

    breaks = found(rows, head_of(rows))

    assert [seq for seq, _ in breaks] == [2, 4]
    assert "written as row 4" in breaks[0][1]


def test_rows_out_of_order_are_named():
    rows = a_chain(5)
    rows[1], rows[3] = rows[3], rows[1]

    breaks = found(rows, head_of(rows))

    assert [seq for seq, _ in breaks] == [2, 3]
    assert all("reordered" in problem for _, problem in breaks)


def test_a_repeated_row_is_named():
    rows = a_chain(3)

    assert found([*rows, rows[1]], head_of(rows)) == [(2, "row 2 stands in the ledger twice")]


def test_a_row_of_another_project_is_named():
    rows = a_chain(3)

    assert "project 'q'" in found([a_chain(1, project="q")[0], *rows[1:]], head_of(rows))[0][1]


def test_a_chain_that_was_begun_anew_is_told_by_its_first_row_or_by_a_checkpoint():
    rows = a_chain(3)
    checkpoint = head_of(rows[:2])
    forged = [rewritten(rows[0], actor="you")]
    for row in rows[1:]:
        forged.append(rewritten(row, previous=forged[-1].hash))

    assert found(forged, head_of(forged)) == []  # unkeyed: the owner of the database can do this
    assert [seq for seq, _ in found(forged, head_of(forged), checkpoint=checkpoint)] == [2]
    assert found(rows, head_of(rows), checkpoint=checkpoint) == []


def test_a_first_row_chained_to_something_else_is_named():
    rows = a_chain(1)
    rows[0] = rewritten(rows[0], previous="blake3:0")

    assert found(rows) == [(1, "row 1 was rewritten: it does not begin where project 'p' began")]


@pytest.mark.parametrize("body", [b"", b"{}", b"\xff\xfe", b'{"seq":"one"}'])
def test_a_body_that_is_no_entry_is_a_break_and_no_crash(body):
    rows = a_chain(3)
    rows[1] = StoredEntry(seq=2, body=body, hash=digest_of(body))

    assert [seq for seq, _ in found(rows, head_of(rows))] == [2]


def test_a_row_that_cannot_be_read_is_corrupt():
    with pytest.raises(StoreCorrupt, match="row 7"):
        chain.read(StoredEntry(seq=7, body=b'{"seq": 7}', hash=""))


def test_an_event_of_a_newer_noria_is_told_apart_and_still_verifies():
    row = a_chain(1)[0]
    newer = rewritten(row, event={"kind": "MoonLanded", "by": "us"})

    with pytest.raises(StoreNewer, match="MoonLanded"):
        chain.read(newer)
    assert found([newer], head_of([newer])) == []


def test_an_event_with_a_field_of_a_newer_noria_can_be_read():
    draft = Draft(id=EventId("e"), at=NOON, actor="me", event=ProjectCreated(project="p", noria_version="1"))
    _, row = chain.seal(chain.prepare(draft), project="p", head=chain.genesis("p"), recorded_at=NOON)
    event = msgspec.json.decode(row.body)["event"] | {"colour": "blue"}

    assert chain.read(rewritten(row, event=event)).event == draft.event
