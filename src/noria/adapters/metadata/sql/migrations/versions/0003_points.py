"""Metric points packed in columns. Never edited once released.

Revision 0003, after 0002.
"""

from collections.abc import Iterator
from math import isnan

from alembic import op
from sqlalchemy import Connection, text

from noria.adapters.metadata.sql.migrations.statements import dialect, run
from noria.wire.points import Point, floats, pack_points

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

TABLES = """
ALTER TABLE series ADD COLUMN count BIGINT NOT NULL DEFAULT 0;
ALTER TABLE series ADD COLUMN tail BIGINT NOT NULL DEFAULT 0;
ALTER TABLE series ADD COLUMN value DOUBLE;
ALTER TABLE series ADD COLUMN is_nan INTEGER NOT NULL DEFAULT 0;
CREATE TABLE tails (
    series INTEGER NOT NULL,
    step BIGINT NOT NULL,
    at BIGINT NOT NULL,
    bits BIGINT NOT NULL,
    PRIMARY KEY (series, step, at, bits)
) WITHOUT ROWID;
CREATE TABLE chunks (
    series INTEGER NOT NULL,
    first_step BIGINT NOT NULL,
    first_at BIGINT NOT NULL,
    first_bits BIGINT NOT NULL,
    last_step BIGINT NOT NULL,
    last_at BIGINT NOT NULL,
    last_bits BIGINT NOT NULL,
    count BIGINT NOT NULL,
    nans BIGINT NOT NULL,
    low_step BIGINT,
    low_at BIGINT,
    low_bits BIGINT,
    high_step BIGINT,
    high_at BIGINT,
    high_bits BIGINT,
    pack BIGINT NOT NULL,
    PRIMARY KEY (series, first_step, first_at, first_bits)
) WITHOUT ROWID;
CREATE TABLE packs (
    id INTEGER NOT NULL PRIMARY KEY,
    blocks BLOB NOT NULL,
    body BLOB NOT NULL
);
"""
AFTER = """
DROP TABLE points;
CREATE INDEX series_value ON series (project, "key", value, run);
"""
COMPRESSED_ALREADY = """
ALTER TABLE packs ALTER COLUMN blocks SET STORAGE EXTERNAL;
ALTER TABLE packs ALTER COLUMN body SET STORAGE EXTERNAL;
"""
CHUNK = 1024
WORTH_PACKING = 256


def upgrade() -> None:
    """Make the tables and pack the points of every series, one chunk in memory at a time."""
    run(TABLES)
    if dialect() == "postgresql":
        run(COMPRESSED_ALREADY)
    bind = op.get_bind()
    after = -1
    while some := bind.execute(
        text("SELECT id, bits FROM series WHERE id > :after ORDER BY id LIMIT 500"), {"after": after}
    ).fetchall():
        for number, last in some:
            after = number
            count, tail = _move(bind, number)
            value = floats([last])[0]
            bind.execute(
                text("UPDATE series SET count = :count, tail = :tail, value = :value, is_nan = :is_nan WHERE id = :id"),
                {
                    "count": count,
                    "tail": tail,
                    "value": None if isnan(value) else value,
                    "is_nan": int(isnan(value)),
                    "id": number,
                },
            )
    run(AFTER)


def _move(bind: Connection, series: int) -> tuple[int, int]:
    """Pack one series; gives how many points it has, and how many of them stay rows."""
    count = 0
    for points in _pages(bind, series):
        count += len(points)
        if len(points) >= WORTH_PACKING:
            _pack(bind, series, points)
            continue
        bind.execute(
            text("INSERT INTO tails (series, step, at, bits) VALUES (:series, :step, :at, :bits)"),
            [{"series": series, "step": step, "at": at, "bits": held} for step, at, held in points],
        )
        return count, len(points)
    return count, 0


def _pages(bind: Connection, series: int) -> Iterator[list[Point]]:
    rows = bind.execute(
        text("SELECT step, at, bits FROM points WHERE series = :series ORDER BY step, at, bits LIMIT :size"),
        {"series": series, "size": CHUNK},
    ).fetchall()
    while rows:
        points = [(int(step), int(at), int(held)) for step, at, held in rows]
        yield points
        step, at, held = points[-1]
        rows = bind.execute(
            text(
                "SELECT step, at, bits FROM points WHERE series = :series AND (step, at, bits) > (:step, :at, :bits)"
                " ORDER BY step, at, bits LIMIT :size"
            ),
            {"series": series, "step": step, "at": at, "bits": held, "size": CHUNK},
        ).fetchall()


def _pack(bind: Connection, series: int, points: list[Point]) -> None:
    whole, blocks, body = pack_points(points)
    pack = bind.execute(
        text("INSERT INTO packs (blocks, body) VALUES (:blocks, :body) RETURNING id"), {"blocks": blocks, "body": body}
    ).scalar_one()
    values: dict[str, int | None] = {"series": series, "count": whole.size, "nans": whole.nans, "pack": pack}
    for name, point in (("first", whole.first), ("last", whole.last), ("low", whole.low), ("high", whole.high)):
        step, at, held = point or (None, None, None)
        values |= {f"{name}_step": step, f"{name}_at": at, f"{name}_bits": held}
    columns = ", ".join(values)
    marks = ", ".join(f":{name}" for name in values)
    bind.execute(text(f"INSERT INTO chunks ({columns}) VALUES ({marks})"), values)
