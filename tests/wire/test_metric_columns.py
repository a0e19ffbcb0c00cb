"""Points as columns: whatever goes in comes out, bit for bit, and what does not fit together is refused."""

import struct
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from noria.domain.ids import TrainedModelId
from noria.domain.run import Metric, Subject
from noria.errors import InputInvalid, RequestInvalid
from noria.wire.metrics import Columns, MetricColumns, columns_of
from noria.wire.nouns import pack, unpack

NOON = datetime(2013, 3, 1, 12, tzinfo=UTC)
SUBJECTS = st.none() | st.builds(
    Subject, model_id=st.text(min_size=1, max_size=3).map(TrainedModelId), dataset=st.text(max_size=3)
)
POINTS = st.lists(
    st.builds(
        Metric,
        key=st.text(max_size=3),
        value=st.floats(),
        step=st.integers(-(2**63), 2**63 - 1),
        at=st.datetimes(timezones=st.sampled_from((UTC, timezone(timedelta(hours=-7))))),
        subject=SUBJECTS,
    ),
    max_size=30,
)


def exact(points) -> list[tuple[object, ...]]:
    return [(p.key, p.step, p.at, struct.pack("<d", p.value), p.subject) for p in points]


def crossed(points) -> MetricColumns:
    return MetricColumns.read(unpack(pack(columns_of(points)), Columns, what="points"))


@given(POINTS)
def test_points_cross_bit_for_bit(points: list[Metric]) -> None:
    there = crossed(points)

    assert exact(there) == exact(points)
    assert exact([there[place] for place in range(len(there))]) == exact(points)
    assert exact(crossed(there)) == exact(points)
    assert exact(there.measuring()) == exact([point for point in points if point.subject is not None])


@given(POINTS)
def test_by_key_they_are_what_orders_them(points: list[Metric]) -> None:
    found = MetricColumns.of(points).by_key()

    assert sum(map(len, found.values())) == len(points)
    for key, some in found.items():
        mine = [point for point in points if point.key == key]
        assert [step for step, _, _ in some] == [point.step for point in mine]
        assert [struct.pack("<q", bits) for _, _, bits in some] == [struct.pack("<d", point.value) for point in mine]


def test_a_stretch_of_them_is_a_list() -> None:
    points = [Metric(key="a", value=float(step), step=step, at=NOON) for step in range(5)]

    assert MetricColumns.of(points)[1:3] == points[1:3]
    assert MetricColumns.of(points) == points
    with pytest.raises(IndexError):
        MetricColumns.of(points)[5]


@pytest.mark.parametrize(
    "wrong",
    [
        Metric(key="loss", value=1.0, step=2**63, at=NOON),
        Metric(key="loss", value=1.0, step=1.5, at=NOON),  # type: ignore[arg-type]
        Metric(key="loss", value=1.0, at=datetime(2013, 3, 1)),
        Metric(key="loss", value="high", at=NOON),  # type: ignore[arg-type]
    ],
)
def test_what_cannot_be_a_point_is_named(wrong: Metric) -> None:
    fine = Metric(key="auc", value=1.0, at=NOON)

    with pytest.raises(InputInvalid, match="'loss'"):
        MetricColumns.of([fine, wrong])


@pytest.mark.parametrize(
    "change",
    [
        {"steps": b"1234567"},
        {"steps": b""},
        {"times": b"12345678"},
        {"values": b"12345678" * 3},
        {"which": b"1"},
        {"which": b"\x00\x00\x00\x00\x02\x00\x00\x00"},
        {"which": b"\x00\x00\x00\x00"},
        {"which": b""},
        {"names": []},
        {"subjects": {2: Subject(model_id=TrainedModelId("m"))}},
        {"subjects": {-1: Subject(model_id=TrainedModelId("m"))}},
        {"times": b"\xff" * 7 + b"\x7f" + b"\xff" * 7 + b"\x7f"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_columns_that_do_not_fit_together_are_refused(change: dict[str, object]) -> None:
    points = [Metric(key=key, value=1.0, at=NOON) for key in ("a", "b")]

    with pytest.raises(RequestInvalid):
        MetricColumns.read(replace(columns_of(points), **change))
