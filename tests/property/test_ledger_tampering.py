"""Whatever single thing is done to the rows of a ledger, verification finds it and names a row that it was done to."""

from datetime import UTC, datetime, timedelta
from functools import cache

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from noria.domain.events import RetrainRequested
from noria.domain.ids import EventId, digest_of
from noria.domain.ledger import Draft, Head, StoredEntry
from noria.wire import chain
from noria.wire.canonical import canonical

NOON = datetime(2013, 3, 1, 12, tzinfo=UTC)
LENGTH = 8
rows = st.integers(min_value=1, max_value=LENGTH)


@cache
def whole() -> tuple[StoredEntry, ...]:
    head, made = chain.genesis("p"), []
    for number in range(1, LENGTH + 1):
        event = RetrainRequested(
            deployment="d",
            model="m",
            reason="loss rose",
            trigger="decay",
            data_until=NOON,
            evidence={"loss": number / 7},
        )
        draft = Draft(id=EventId(f"e{number}"), at=NOON + timedelta(hours=number), actor="loop", event=event)
        _, row = chain.seal(chain.prepare(draft), project="p", head=head, recorded_at=NOON)
        head = Head(seq=row.seq, hash=row.hash)
        made.append(row)
    return tuple(made)


HEAD = Head(seq=LENGTH, hash=whole()[-1].hash)


def named(tampered: list[StoredEntry]) -> set[int]:
    return {found.seq for found in chain.verify(tampered, project="p", head=HEAD)}


@given(seq=rows, data=st.data())
def test_any_changed_byte_of_a_body_is_found(seq, data):
    tampered = list(whole())
    body = bytearray(tampered[seq - 1].body)
    at = data.draw(st.integers(0, len(body) - 1))
    body[at] ^= data.draw(st.integers(1, 255))
    tampered[seq - 1] = replace(tampered[seq - 1], body=bytes(body))

    assert named(tampered) == {seq}


@given(seq=rows, other=st.text(max_size=80))
def test_any_changed_hash_is_found(seq, other):
    tampered = list(whole())
    if other == tampered[seq - 1].hash:
        return
    tampered[seq - 1] = replace(tampered[seq - 1], hash=other)

    assert seq in named(tampered)


@given(seq=rows, other=st.integers(-5, 2 * LENGTH))
def test_any_changed_number_is_found(seq, other):
    if other == seq:
        return
    tampered = list(whole())
    tampered[seq - 1] = replace(tampered[seq - 1], seq=other)

    assert {seq, other} & named(tampered)


@given(
    seq=rows,
    change=st.one_of(
        st.builds(lambda text: {"actor": text}, st.text(st.characters(codec="utf-8"), max_size=9)),
        st.builds(lambda hours: {"recorded_at": (NOON + timedelta(hours=hours)).isoformat()}, st.integers(1, 99)),
        st.builds(lambda cause: {"cause": cause}, st.text(st.characters(codec="utf-8"), max_size=9)),
        st.builds(lambda previous: {"previous": previous}, st.text(st.characters(codec="ascii"), max_size=9)),
        st.builds(lambda number: {"seq": -number}, rows),
        st.just({"project": "q"}),
    ),
)
def test_any_field_rewritten_together_with_the_hash_is_found(seq, change):
    tampered = list(whole())
    fields = msgspec.json.decode(tampered[seq - 1].body)
    body = canonical(fields | change)
    tampered[seq - 1] = StoredEntry(seq=seq, body=body, hash=digest_of(body))

    assert seq in named(tampered) or body == whole()[seq - 1].body


@given(removed=st.sets(rows, min_size=1))
def test_any_removed_rows_are_found(removed):
    found = chain.verify([row for row in whole() if row.seq not in removed], project="p", head=HEAD)

    assert {seq for seq in removed if seq - 1 not in removed} == {item.seq for item in found}
    assert all("missing" in item.problem for item in found)


@given(order=st.permutations(range(LENGTH)))
@settings(max_examples=200)
def test_any_new_order_of_the_contents_is_found(order):
    tampered = [replace(whole()[place], seq=seq) for seq, place in enumerate(order, start=1)]

    assert named(tampered) == {seq for seq, place in enumerate(order, start=1) if seq != place + 1}


@given(order=st.permutations(range(LENGTH)))
def test_any_new_order_of_the_rows_is_found(order):
    assert bool(named([whole()[place] for place in order])) == (list(order) != sorted(order))


@given(seq=rows, place=st.integers(0, LENGTH))
def test_any_repeated_row_is_found(seq, place):
    tampered = list(whole())
    tampered.insert(place, tampered[seq - 1])

    assert seq in named(tampered)


@given(kept=st.integers(0, LENGTH - 1))
def test_any_cut_tail_is_found(kept):
    assert named(list(whole()[:kept])) == {kept + 1}
