"""Metric series in SQL: adding points for runs.py, and reading them whole or as a chart. Called by runs.py and through ports.series.SeriesStore.

How points are kept is points.py; how a chart's stretches are put together is ../charting.
"""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import accumulate
from math import isnan

from noria.adapters.metadata import charting, rules
from noria.adapters.metadata.rules_runs import missing_run
from noria.adapters.metadata.sql import points as placing
from noria.adapters.metadata.sql.connection import Connection, Database, listed, portions
from noria.adapters.metadata.sql.points import Batch, Chunk, Place
from noria.domain.ids import RunId
from noria.domain.run import Bucket, Metric, SeriesHead
from noria.errors import StoreCorrupt
from noria.wire.points import BLOCK, Point, Stretch, extremes, floats, stretches, unpack_blocks

_BEGINNING, _END = -(2**63), 2**63 - 1
FINE = 8
"""So many times more stretches than a chart's buckets are told apart before they are put together: none differs from its share by more than that."""
_STATE = "step, at, bits, count, tail, value, is_nan"


def add_points(connection: Connection, project: int, run_number: int, points: Sequence[Metric]) -> None:
    """Add points of any keys to a run's series; what a series holds already stays one point. Raises InputInvalid before anything is written.

    Reads and writes inside the caller's transaction. A point's subject is not kept here.
    """
    add_batch(connection, project, run_number, placing.keyed(points))


def add_batch(connection: Connection, project: int, run_number: int, batch: Batch) -> None:
    """As `add_points`, of points that went through `points.keyed` before the transaction, where nobody waits for it."""
    places = _places(connection, run_number, list(batch))
    fresh = {}
    for key, some in batch.items():
        place = places.get(key)
        found = some if place is None else placing.unknown(connection, place, some)
        if found:
            fresh[key] = found
    new = {key: some for key, some in fresh.items() if key not in places}
    if new:
        _begin(connection, project, run_number, new)
        places |= _places(connection, run_number, list(new))
    rows: list[tuple[int, int, int, int]] = []
    states: list[tuple[object, ...]] = []
    for key, some in fresh.items():
        place = places[key] if key not in new else places[key]._replace(size=0, tail=0)
        if placing.needs_packing(place, len(some)):
            left = placing.pack(connection, place.id, place.tail, some)
        else:
            rows += [(place.id, *point) for point in some]
            left = place.tail + len(some)
        if key not in new or left != len(some):
            states.append((*_state(max(place.last, some[-1]), place.size + len(some), left), place.id))
    if rows:
        placing.add_rows(connection, rows)
    if states:
        marks = ", ".join(f"{column} = ?" for column in _STATE.split(", "))
        connection.executemany(f"UPDATE series SET {marks} WHERE id = ?", states)


def seal_points(connection: Connection, run_number: int) -> None:
    """Pack what waits in the tails of a run that has ended, the longest first, and not so many that others wait. Inside the caller's transaction."""
    rows = connection.execute(
        "SELECT id, tail FROM series WHERE run = ? AND tail >= ? ORDER BY tail DESC, id LIMIT ?",
        (run_number, placing.FEW // 2, placing.MOST_SEALED),
    ).fetchall()
    left = [(placing.pack(connection, number, tail, []), number) for number, tail in rows]
    if left:
        connection.executemany("UPDATE series SET tail = ? WHERE id = ?", left)


def drop_points(connection: Connection, run_numbers: Sequence[int]) -> None:
    """Forget every series of some runs. Inside the caller's transaction."""
    for some in portions(run_numbers):
        marks, values = listed(some)
        series = f"SELECT id FROM series WHERE run IN ({marks})"
        connection.execute(
            f"DELETE FROM packs WHERE id IN (SELECT pack FROM chunks WHERE series IN ({series}))", values
        )
        connection.execute(f"DELETE FROM chunks WHERE series IN ({series})", values)
        connection.execute(f"DELETE FROM tails WHERE series IN ({series})", values)
        connection.execute(f"DELETE FROM series WHERE run IN ({marks})", values)


class SqlSeries:
    """ports.series.SeriesStore."""

    def __init__(self, database: Database, project: int) -> None:
        self._database = database
        self._project = project

    def history(self, run_id: RunId, key: str, *, limit: int | None = None, offset: int = 0) -> list[Metric]:
        start = max(offset, 0)

        def query(connection: Connection) -> list[Point]:
            place = self._place(connection, run_id, key)
            if place is None or (limit is not None and limit <= 0):
                return []
            end = place.size if limit is None else min(start + limit, place.size)
            return _between(connection, place, start, end)

        return _nouns(key, self._database.read(query))

    def chart(
        self,
        run_id: RunId,
        key: str,
        *,
        buckets: int = 500,
        first_step: int | None = None,
        last_step: int | None = None,
    ) -> list[Bucket]:
        charting.check_buckets(buckets)
        first = _BEGINNING if first_step is None else min(max(first_step, _BEGINNING), _END)
        last = _END if last_step is None else min(max(last_step, _BEGINNING), _END)

        def query(connection: Connection) -> list[Stretch]:
            place = self._place(connection, run_id, key)
            if place is None or (first_step or 0) > _END or (last_step or 0) < _BEGINNING:
                return []
            return _Window(connection, place, first, last).stretches(buckets)

        return charting.nouns(self._database.read(query), lambda points: _nouns(key, points))

    def heads(self, run_id: RunId) -> list[SeriesHead]:
        def query(connection: Connection) -> list[tuple[str, int, int, int, int]]:
            number = self._run(connection, run_id)
            return connection.execute(
                'SELECT "key", count, step, at, bits FROM series WHERE run = ?', (number,)
            ).fetchall()

        return [
            SeriesHead(key=key, count=count, last=_noun(key, (step, at, held)))
            for key, count, step, at, held in sorted(self._database.read(query))
        ]

    def latest(self, run_ids: Sequence[RunId], key: str) -> dict[RunId, Metric]:
        def query(connection: Connection) -> dict[str, Metric]:
            found: dict[str, Metric] = {}
            for some in portions(run_ids):
                marks, values = listed(some)
                for run_id, step, at, held in connection.execute(
                    "SELECT r.id, s.step, s.at, s.bits FROM runs r JOIN series s ON s.run = r.number"
                    f' WHERE r.project = ? AND r.id IN ({marks}) AND s."key" = ?',
                    (self._project, *values, key),
                ).fetchall():
                    found[run_id] = _noun(key, (step, at, held))
            return found

        found = self._database.read(query)
        return {run_id: found[run_id] for run_id in run_ids if run_id in found}

    def _run(self, connection: Connection, run_id: str) -> int:
        row = connection.execute(
            "SELECT number FROM runs WHERE project = ? AND id = ?", (self._project, run_id)
        ).fetchone()
        if row is None:
            raise missing_run(run_id)
        return int(row[0])

    def _place(self, connection: Connection, run_id: str, key: str) -> Place | None:
        return _places(connection, self._run(connection, run_id), [key]).get(key)


class _Window:
    """The points of one series between two steps, at the coarseness that a chart needs."""

    def __init__(self, connection: Connection, place: Place, first_step: int, last_step: int) -> None:
        self._connection = connection
        self._place = place
        self._steps = first_step, last_step
        self._loose = _loose(connection, place, "AND step >= ? AND step <= ?", self._steps)
        self._rows: list[Sequence[int]] = connection.execute(
            f"SELECT {placing.CHUNK_COLUMNS} FROM chunks WHERE series = ? AND last_step >= ? AND first_step <= ?"
            " ORDER BY first_step, first_at, first_bits",
            (place.id, *self._steps),
        ).fetchall()

    def stretches(self, buckets: int) -> list[Stretch]:
        """The window in at most so many stretches: from the chunks' extremes if there are enough of them, else the blocks', else the points."""
        covered = [row[12] for row in self._rows if self._covers(row)]
        if len(covered) >= buckets:
            return charting.of_stretches(charting.with_points(self._whole(buckets), self._loose), buckets)
        if sum(covered) // BLOCK >= buckets:
            return charting.of_stretches(charting.with_points(self._blocks(), self._loose), buckets)
        inside = [point for row in self._rows for point in self._points(row)]
        points = sorted([*inside, *self._loose]) if self._loose else inside
        return charting.of_points(points, buckets)

    def _whole(self, buckets: int) -> list[Stretch]:
        """Only the first and the last chunk can reach out of the window. Of very many, some that follow each other are put together at once."""
        every = max(1, len(self._rows) // (FINE * buckets))
        edges = {0, len(self._rows) - 1}
        found: list[Stretch] = []
        inner: list[Sequence[int]] = []
        for place, row in enumerate(self._rows):
            if place not in edges:
                inner.append(row)
                continue
            found += _stretches(inner, every)
            inner = []
            found += [_stretch(row)] if self._covers(row) else stretches(self._points(row))
        return found

    def _blocks(self) -> list[Stretch]:
        found: list[Stretch] = []
        held = _read_packs(self._connection, "blocks", [row[14] for row in self._rows if self._covers(row)])
        for row in self._rows:
            if not self._covers(row):
                found += stretches(self._points(row))
                continue
            try:
                blocks = unpack_blocks(held.get(row[14], b""), what="a chunk's summary")
                if (*blocks[0].first, *blocks[-1].last) != tuple(row[:6]):
                    raise StoreCorrupt("a chunk's summary is that of another")
            except StoreCorrupt as error:
                raise placing.damaged(self._connection, self._place.id, error) from error
            found += blocks
        return found

    def _covers(self, row: Sequence[int]) -> bool:
        return self._steps[0] <= row[0] and row[3] <= self._steps[1]

    def _points(self, row: Sequence[int]) -> list[Point]:
        chunk = Chunk(_point(row, 0), _point(row, 3), row[12], row[14])
        points = placing.opened(self._connection, self._place.id, chunk)
        if self._covers(row):
            return points
        first, last = self._steps
        return [point for point in points if first <= point[0] <= last]


def _between(connection: Connection, place: Place, start: int, end: int) -> list[Point]:
    """Points number `start` to `end` (not inclusive) of a series, chunks and tail merged."""
    if start >= end:
        return []
    loose = _loose(connection, place)
    rows = connection.execute(
        "SELECT first_step, first_at, first_bits, last_step, last_at, last_bits, count, pack FROM chunks WHERE series = ?"
        " ORDER BY first_step, first_at, first_bits",
        (place.id,),
    ).fetchall()
    chunks = [Chunk(_point(row, 0), _point(row, 3), row[6], row[7]) for row in rows]
    # A chunk's slot reaches to the next chunk: the loose points up to there are read with it. Those before the first chunk are a slot of their own.
    borders = [0, *(bisect_left(loose, chunk.first) for chunk in chunks), len(loose)]
    sizes = [borders[1], *(chunk.size + borders[n + 2] - borders[n + 1] for n, chunk in enumerate(chunks))]
    before = list(accumulate(sizes, initial=0))
    wanted = [slot for slot in range(len(sizes)) if before[slot] < end and before[slot + 1] > start]
    found: list[Point] = []
    for slot, points in _slots(connection, place, chunks, wanted):
        more = loose[borders[slot] : borders[slot + 1]]
        some = sorted([*points, *more]) if points and more and more[0] < points[-1] else [*points, *more]
        found += some[max(start - before[slot], 0) : end - before[slot]]
    return found


def _slots(
    connection: Connection, place: Place, chunks: Sequence[Chunk], wanted: Sequence[int]
) -> Iterator[tuple[int, list[Point]]]:
    """The packed points of some slots; slot 0 has none, slot n those of chunk n - 1."""
    for some in portions(wanted, 256):
        bodies = _read_packs(connection, "body", [chunks[slot - 1].pack for slot in some if slot])
        for slot in some:
            if slot == 0:
                yield 0, []
                continue
            chunk = chunks[slot - 1]
            yield slot, placing.read_body(connection, place.id, chunk, bodies.get(chunk.pack))


def _read_packs(connection: Connection, column: str, numbers: Sequence[int]) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    for some in portions(numbers):
        marks, values = listed(some)
        found.update(connection.execute(f"SELECT id, {column} FROM packs WHERE id IN ({marks})", values).fetchall())
    return found


def _loose(connection: Connection, place: Place, where: str = "", values: Sequence[object] = ()) -> list[Point]:
    """Points of the tail, in order."""
    if not place.tail:
        return []
    rows: list[Point] = connection.execute(
        f"SELECT step, at, bits FROM tails WHERE series = ? {where} ORDER BY step, at, bits", (place.id, *values)
    ).fetchall()
    return rows


def _places(connection: Connection, run: int, keys: Sequence[str]) -> dict[str, Place]:
    found: dict[str, Place] = {}
    for some in portions(keys):
        marks, values = listed(some)
        for key, number, step, at, held, count, tail in connection.execute(
            f'SELECT "key", id, step, at, bits, count, tail FROM series WHERE run = ? AND "key" IN ({marks})',
            (run, *values),
        ).fetchall():
            found[key] = Place(number, (step, at, held), count, tail)
    return found


def _begin(connection: Connection, project: int, run: int, new: dict[str, list[Point]]) -> None:
    """Make series with points that are going to be in their tails, as far as they are not packed after all."""
    rows = [(project, run, key, *_state(some[-1], len(some), len(some))) for key, some in new.items()]
    columns = ("project", "run", "key", *_STATE.split(", "))
    if len(rows) < 16:
        marks = ", ".join("?" * len(columns))
        names = ", ".join(f'"{column}"' for column in columns)
        connection.executemany(f"INSERT INTO series ({names}) VALUES ({marks})", rows)
    else:
        connection.copy("series", columns, rows)


def _state(last: Point, count: int, tail: int) -> tuple[object, ...]:
    value = rules.bits_float(last[2])
    return (*last, count, tail, None if isnan(value) else value, int(isnan(value)))


def _stretch(row: Sequence[int]) -> Stretch:
    """A row of CHUNK_COLUMNS. Its extremes are NULL if all its points are NaN."""
    low, high = (_point(row, 6), _point(row, 9)) if row[13] < row[12] else (None, None)
    return Stretch(row[12], row[13], _point(row, 0), _point(row, 3), low, high)


def _stretches(rows: Sequence[Sequence[int]], every: int) -> list[Stretch]:
    """Rows of CHUNK_COLUMNS, `every` so many put together."""
    if every == 1:
        return [_stretch(row) for row in rows]
    found = []
    for start in range(0, len(rows), every):
        some = rows[start : start + every]
        numbers = [row for row in some if row[13] < row[12]]
        low = extremes(floats([row[8] for row in numbers]))[0] if numbers else None
        high = extremes(floats([row[11] for row in numbers]))[1] if numbers else None
        found.append(
            Stretch(
                sum([row[12] for row in some]),
                sum([row[13] for row in some]),
                _point(some[0], 0),
                _point(some[-1], 3),
                None if low is None else _point(numbers[low], 6),
                None if high is None else _point(numbers[high], 9),
            )
        )
    return found


def _point(row: Sequence[int], at: int) -> Point:
    return row[at], row[at + 1], row[at + 2]


def _noun(key: str, point: Point) -> Metric:
    return Metric(key=key, value=rules.bits_float(point[2]), step=point[0], at=rules.moment(point[1]))


def _nouns(key: str, points: Sequence[Point]) -> list[Metric]:
    if not points:
        return []
    start, tick = rules.EPOCH, placing.MICROSECOND
    values = floats([point[2] for point in points])
    return [
        Metric(key=key, value=value, step=step, at=start + at * tick)
        for (step, at, _), value in zip(points, values, strict=True)
    ]
