"""Where the points of a series stand: a tail of rows, and packed chunks that never overlap. Adding and packing, inside the writer's transaction.

A point later than all others goes into the tail or a new chunk without a look at the rest. A late one is compared with the tail's rows and with
the one chunk in whose range it falls, and is merged into that chunk when the tail is packed. So a chart may trust the chunks' extremes, and points
that come in any order stay exact. Reading is series.py; bytes are wire/points; measurements are ADR 17.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from itertools import islice
from operator import lt
from typing import NamedTuple

from noria.adapters.metadata import rules
from noria.adapters.metadata.sql.connection import Connection
from noria.domain.run import Metric
from noria.errors import StoreCorrupt
from noria.wire.metrics import MetricColumns
from noria.wire.points import Point, Stretch, pack_points, unpack_points

CHUNK = 1024
"""Points of a chunk, more or less: a merge leaves between half and one and a half of it."""
WAITING = 256
"""So many points of one series at once are packed without going through the tail; of points that come singly, half of it or more waits there."""
FEW = WAITING // 4
"""Fewer points than this are no chunk of their own while there is another one to take them."""
MOST_TAIL = 8 * CHUNK
"""Points that come late and scattered wait as rows, up to so many, until several fall into one chunk."""
MOST_MERGED = 16
"""Chunks that one packing opens, as long as the tail is no longer than MOST_TAIL: bounds how long other writers wait."""
MOST_SEALED = 100
"""Series that the end of a run packs, for the same reason."""
MICROSECOND = rules.moment(1) - rules.EPOCH

CHUNK_COLUMNS = (
    "first_step, first_at, first_bits, last_step, last_at, last_bits, low_step, low_at, low_bits, high_step, high_at, high_bits,"
    " count, nans, pack"
)
_COLUMNS = CHUNK_COLUMNS.split(", ")
_BY_FIRST = "first_step, first_at, first_bits"

Batch = dict[str, list[Point]]
"""New points by key, each list sorted and without repetitions: what `keyed` gives."""


class Chunk(NamedTuple):
    """A chunk's range, how many points it has and where they are."""

    first: Point
    last: Point
    size: int
    pack: int


class Place(NamedTuple):
    """A series as it stands: its number, its last point, how many points it has, and how many of them are in the tail."""

    id: int
    last: Point
    size: int
    tail: int


def keyed(points: Sequence[Metric]) -> Batch:
    """The points of each key, sorted, each once. Raises InputInvalid for a time without zone and a step beyond 64 bits."""
    return {name: _ordered(some) for name, some in MetricColumns.of(points).by_key().items()}


def _ordered(points: list[Point]) -> list[Point]:
    return points if all(map(lt, points, islice(points, 1, None))) else sorted(set(points))


def unknown(connection: Connection, place: Place, points: list[Point]) -> list[Point]:
    """Those points (sorted) that the series does not hold yet."""
    if points[0] > place.last:
        return points
    end = bisect_right(points, place.last)
    late = points[:end]
    held: set[Point] = set()
    if place.tail:
        held.update(
            connection.execute(
                "SELECT step, at, bits FROM tails WHERE series = ? AND (step, at, bits) >= (?, ?, ?) AND (step, at, bits) <= (?, ?, ?)",
                (place.id, *late[0], *late[-1]),
            ).fetchall()
        )
    if place.size > place.tail:
        for chunk, some in _groups(connection, place.id, late):
            if chunk is not None and some[-1] >= chunk.first and some[0] <= chunk.last:
                held.update(opened(connection, place.id, chunk))
    return [point for point in late if point not in held] + points[end:] if held else points


def needs_packing(place: Place, fresh: int) -> bool:
    """Whether points that come to a tail are packed with it, and not just put there.

    Series that grow side by side get there at different times, so that no one call has to pack them all.
    """
    most = WAITING // 2 + place.id * 97 % (WAITING // 2)
    return fresh >= WAITING or (place.tail + fresh) // most > place.tail // most


def pack(connection: Connection, series: int, tail: int, fresh: list[Point]) -> int:
    """Pack the tail and some new points into chunks. Gives how many points are left in the tail."""
    points = fresh
    if tail:
        rows: list[Point] = connection.execute(
            "SELECT step, at, bits FROM tails WHERE series = ?", (series,)
        ).fetchall()
        points = sorted([*rows, *fresh])
        connection.execute("DELETE FROM tails WHERE series = ?", (series,))
    groups = _groups(connection, series, points)
    left: list[Point] = []
    if len(groups) > MOST_MERGED:
        groups.sort(key=lambda group: len(group[1]), reverse=True)
        waiting = sum(len(some) for _, some in groups[MOST_MERGED:])
        most = MOST_MERGED
        while waiting > MOST_TAIL:
            waiting -= len(groups[most][1])
            most += 1
        left = [point for _, some in groups[most:] for point in some]
        groups = groups[:most]
    for chunk, some in groups:
        _merge(connection, series, chunk, some)
    if left:
        add_rows(connection, [(series, *point) for point in left])
    return len(left)


def add_rows(connection: Connection, rows: list[tuple[int, int, int, int]]) -> None:
    """Put new points into tails."""
    if len(rows) < 16:
        connection.executemany("INSERT INTO tails (series, step, at, bits) VALUES (?, ?, ?, ?)", rows)
    else:
        connection.copy("tails", ("series", "step", "at", "bits"), rows)


def opened(connection: Connection, series: int, chunk: Chunk) -> list[Point]:
    """The points of a chunk. Raises StoreCorrupt, naming run and key."""
    row = connection.execute("SELECT body FROM packs WHERE id = ?", (chunk.pack,)).fetchone()
    return read_body(connection, series, chunk, row[0] if row else None)


def read_body(connection: Connection, series: int, chunk: Chunk, body: bytes | None) -> list[Point]:
    """The points in a chunk's bytes. Raises StoreCorrupt, naming run and key."""
    try:
        if body is None:
            raise StoreCorrupt("its bytes are missing")
        points = unpack_points(body, what="a chunk")
        if (len(points), points[0], points[-1]) != (chunk.size, chunk.first, chunk.last):
            raise StoreCorrupt("its bytes are those of other points")
    except StoreCorrupt as error:
        raise damaged(connection, series, error) from error
    return points


def damaged(connection: Connection, series: int, error: StoreCorrupt) -> StoreCorrupt:
    """Says whose points cannot be read."""
    row = connection.execute(
        'SELECT r.id, s."key" FROM series s JOIN runs r ON r.number = s.run WHERE s.id = ?', (series,)
    ).fetchone()
    run_id, key = row or ("?", "?")
    return StoreCorrupt(
        f"points of metric '{key}' of run '{run_id}' cannot be read",
        cause=error.cause or error.problem,
        remedy="restore the store from a backup",
    )


def _groups(connection: Connection, series: int, points: Sequence[Point]) -> list[tuple[Chunk | None, list[Point]]]:
    """Sorted points by the chunk that they belong to: the last one that begins before them, or else the first. None: there are no chunks."""
    groups: list[tuple[Chunk | None, list[Point]]] = []
    start = 0
    while start < len(points):
        chunk = _neighbour(connection, series, points[start], back=True)
        if chunk is None:
            chunk = _neighbour(connection, series, points[start], back=False)
        after = _neighbour(connection, series, chunk.first, back=False) if chunk else None
        end = bisect_left(points, after.first, start) if after else len(points)
        groups.append((chunk, list(points[start:end])))
        start = end
    return groups


def _neighbour(connection: Connection, series: int, point: Point, *, back: bool) -> Chunk | None:
    """The last chunk that begins at or before a point, or the first that begins after it."""
    order = " DESC, ".join(_BY_FIRST.split(", ")) + " DESC" if back else _BY_FIRST
    row = connection.execute(
        "SELECT first_step, first_at, first_bits, last_step, last_at, last_bits, count, pack FROM chunks"
        f" WHERE series = ? AND ({_BY_FIRST}) {'<=' if back else '>'} (?, ?, ?) ORDER BY {order} LIMIT 1",
        (series, *point),
    ).fetchone()
    return Chunk(tuple(row[:3]), tuple(row[3:6]), row[6], row[7]) if row else None


def _merge(connection: Connection, series: int, chunk: Chunk | None, points: list[Point]) -> None:
    """Write points as chunks of their own, or together with the chunk before them: where they lie among its points or one of both is small."""
    if chunk is not None and (points[0] <= chunk.last or chunk.size + len(points) <= CHUNK or len(points) < FEW):
        points = sorted([*opened(connection, series, chunk), *points])
        connection.execute(f"DELETE FROM chunks WHERE series = ? AND ({_BY_FIRST}) = (?, ?, ?)", (series, *chunk.first))
        connection.execute("DELETE FROM packs WHERE id = ?", (chunk.pack,))
    rows: list[tuple[object, ...]] = []
    for some in _cut(points):
        whole, blocks, body = pack_points(some)
        number = connection.execute(
            "INSERT INTO packs (blocks, body) VALUES (?, ?) RETURNING id", (blocks, body)
        ).fetchall()[0][0]
        rows.append((series, *_row(whole), number))
    connection.executemany(
        f"INSERT INTO chunks (series, {CHUNK_COLUMNS}) VALUES ({', '.join('?' * (len(_COLUMNS) + 1))})", rows
    )


def _cut(points: list[Point]) -> Iterable[list[Point]]:
    """Pieces of nearly equal size, each near that of a chunk."""
    number = max(1, round(len(points) / CHUNK))
    return (points[place * len(points) // number : (place + 1) * len(points) // number] for place in range(number))


def _row(whole: Stretch) -> tuple[int | None, ...]:
    nothing = (None, None, None)
    return (
        *whole.first,
        *whole.last,
        *(whole.low or nothing),
        *(whole.high or nothing),
        whole.size,
        whole.nans,
    )
