"""The audit: it counts, it finds what a hand in the database did, and an export can be verified by the file alone."""

import json
import sqlite3
from datetime import UTC, datetime

import pytest
from blake3 import blake3

from noria.adapters.metadata import memory, sqlite
from noria.domain.events import ProjectCreated
from noria.domain.ids import EventId
from noria.domain.ledger import Draft, Head
from noria.errors import SourceUnreadable, StoreUnavailable
from noria.governance import audit


def fill(ledger, rows: int):
    event = ProjectCreated(project="p", noria_version="ü")
    ledger.append([Draft(id=EventId(str(n)), at=datetime.now(UTC), actor="me", event=event) for n in range(rows)])


@pytest.fixture
def ledger():
    found = memory.open_store("", project="p").ledger
    fill(found, 5)
    return found


def test_a_ledger_that_nobody_touched_is_whole(ledger):
    report = audit.verify(ledger, project="p")

    assert report.whole
    assert (report.rows, report.head) == (5, ledger.head())


def test_an_empty_ledger_is_whole_and_can_be_exported(tmp_path):
    ledger = memory.open_store("", project="p").ledger

    audit.export(ledger, tmp_path / "out.jsonl", project="p")

    assert audit.verify(ledger, project="p").whole
    assert audit.verify_export(tmp_path / "out.jsonl").rows == 0
    assert audit.verify_export(tmp_path / "out.jsonl").whole


def test_a_checkpoint_of_another_chain_is_a_break(ledger):
    earlier = Head(seq=3, hash="blake3:other")

    assert [found.seq for found in audit.verify(ledger, project="p", checkpoint=earlier).breaks] == [3]


@pytest.mark.parametrize(
    ("statement", "seq"),
    [
        ("UPDATE ledger SET body = replace(body, '\"me\"', '\"you\"') WHERE seq = 2", 2),
        ("DELETE FROM ledger WHERE seq = 3", 3),
        ("DELETE FROM ledger WHERE seq > 3", 4),
        ("UPDATE ledger SET hash = 'blake3:0' WHERE seq = 5", 5),
        ("UPDATE ledger SET seq = -seq WHERE seq = 4", 4),
        ("UPDATE heads SET hash = 'blake3:0'", 5),
    ],
)
def test_a_hand_in_the_database_is_found(tmp_path, statement, seq):
    store = sqlite.open_store(str(tmp_path / "meta.db"), project="p")
    fill(store.ledger, 5)
    connection = sqlite3.connect(tmp_path / "meta.db", isolation_level=None)
    connection.execute(statement)
    connection.close()

    report = audit.verify(store.ledger, project="p")
    audit.export(store.ledger, tmp_path / "out.jsonl")
    exported = audit.verify_export(tmp_path / "out.jsonl")
    store.close()

    assert seq in [found.seq for found in report.breaks]
    assert seq in [found.seq for found in exported.breaks]


def test_an_export_verifies_by_itself_and_is_the_users_alone(ledger, tmp_path):
    head = audit.export(ledger, tmp_path / "out.jsonl")

    report = audit.verify_export(tmp_path / "out.jsonl", checkpoint=head)

    assert report.whole
    assert (report.project, report.rows, report.head) == ("p", 5, head)
    assert (tmp_path / "out.jsonl").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["out.jsonl"]


def test_an_export_can_be_verified_by_a_program_that_knows_nothing_of_noria(ledger, tmp_path):
    audit.export(ledger, tmp_path / "out.jsonl")

    header, *lines = map(json.loads, (tmp_path / "out.jsonl").read_text().splitlines())
    previous = "blake3:" + blake3(header["project"].encode()).hexdigest()
    for line in lines:
        assert line["hash"] == "blake3:" + blake3(line["body"].encode()).hexdigest()
        assert json.loads(line["body"])["previous"] == previous
        previous = line["hash"]
    assert previous == header["head"]["hash"]


@pytest.mark.parametrize("number", [1, 3, 5])
def test_a_line_that_was_changed_removed_or_spoilt_is_named(ledger, tmp_path, number):
    path = tmp_path / "out.jsonl"
    audit.export(ledger, path)
    lines = path.read_text().splitlines(keepends=True)

    for spoilt in (lines[number].replace('\\"me\\"', '\\"you\\"'), "", "{]\n", '{"seq": 1}\n'):
        path.write_text("".join([*lines[:number], spoilt, *lines[number + 1 :]]))
        assert number in [found.seq for found in audit.verify_export(path).breaks]


@pytest.mark.parametrize(
    "content", ["", "hello\n", "[]\n", '{"format":"noria-ledger-9","project":"p","head":{"seq":0,"hash":""}}\n']
)
def test_what_is_no_export_is_refused(tmp_path, content):
    (tmp_path / "out.jsonl").write_text(content)

    with pytest.raises(SourceUnreadable):
        audit.verify_export(tmp_path / "out.jsonl")


def test_an_export_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(SourceUnreadable):
        audit.verify_export(tmp_path / "none.jsonl")


def test_an_export_to_nowhere_says_why(ledger, tmp_path):
    with pytest.raises(StoreUnavailable, match="none"):
        audit.export(ledger, tmp_path / "none" / "out.jsonl")
