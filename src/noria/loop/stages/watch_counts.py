"""Count what was served since the last look, in the bins of each version's profile, and judge the counts for drift. Called by stages/watch.

A look finds the parts of the log that are new or grew, and counts every minute (hour, day: monitoring/tiers) of theirs that holds more rows than
were counted, whole and anew. So a row counts once, whenever it arrives, and a look that was killed is repeated without harm.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import msgspec
import polars as pl

from noria.domain.bundle import Bundle
from noria.domain.deployment import Variant
from noria.domain.ids import Digest
from noria.domain.log_part import LogPart
from noria.domain.profile import ReferenceProfile, WindowCounts
from noria.errors import NotFound, StoreCorrupt
from noria.loop.champion import judged_windows
from noria.loop.context import Context, Recipe
from noria.loop.stages.watch_memo import remembered
from noria.monitoring import tiers
from noria.monitoring.drift import Budget, Drift, detect_on
from noria.monitoring.profile import windows
from noria.monitoring.tiers import DAY, HOUR, MINUTE, Stored, Unit
from noria.registry.packaged import bundle_of
from noria.wire.tables import open_table

MOST_ROWS = 200_000
"""Rows that are held in memory at once while they are counted."""
FLOOR = "before tiers"
"""A mark in place of a part: microseconds since 1970, up to which a Noria of before counted, without tiers."""
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def count_served(context: Context, recipe: Recipe, *, now: datetime) -> list[WindowCounts]:
    """Count what was served since the last look. Gives the windows in which drift is judged that changed, in time order.

    The log is compacted first, so a year of looks stays cheap. Files that cannot be read are set aside and the rest is counted: `log_findings` names
    them.
    """
    try:
        return _count(context, recipe, now=now)
    except StoreCorrupt:
        if not context.predictions.set_aside(recipe.deployment):
            raise
        return _count(context, recipe, now=now)


def _count(context: Context, recipe: Recipe, *, now: datetime) -> list[WindowCounts]:
    name = recipe.deployment
    context.predictions.compact(name)
    parts = [part for part in context.predictions.parts(name) if not part.damaged]
    marks = context.counts.counted(name)
    changed = [part for part in parts if marks.get(part.name) != part.rows]
    gone = marks.keys() - {part.name for part in parts} - {FLOOR}
    counting = Counting(context=context, recipe=recipe, now=now, floor=_floor(context, recipe, marks))
    for since, until in _stretches(changed, until=now):
        counting.stretch(since, until)
    # A part with rows of the future is looked at again when they have come to pass.
    done = {part.name: part.rows for part in changed if part.until < now}
    if done or gone:
        context.counts.mark_counted(name, parts=done, gone=sorted(gone))
    if counting.began_day:
        for step in tiers.KEPT:
            if step < counting.finest_base:
                context.counts.forget(name, step=step, before=tiers.oldest_kept(step, now))
    return sorted(counting.judged, key=lambda window: (window.since, window.number))


def _floor(context: Context, recipe: Recipe, marks: dict[str, int]) -> datetime:
    """Where counting in tiers begins: at the first row, or where windows of a Noria of before end."""
    if not marks:
        numbers = range(1, context.models.next_number(recipe.model))
        before = [w.until for n in numbers for w in context.counts.windows(recipe.deployment, n, step=0)]
        if before:
            marks[FLOOR] = (max(before) - EPOCH) // timedelta(microseconds=1)
            context.counts.mark_counted(recipe.deployment, parts={FLOOR: marks[FLOOR]})
    return EPOCH + timedelta(microseconds=marks.get(FLOOR, 0))


def _stretches(parts: Iterable[LogPart], *, until: datetime) -> list[tuple[datetime, datetime]]:
    """What the parts reach over, in whole hours, each hour once; the last ends now."""
    found: list[tuple[datetime, datetime]] = []
    for part in sorted(parts, key=lambda part: part.since):
        begins = part.since.replace(minute=0, second=0, microsecond=0)
        ends = min(until, part.until.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1))
        if begins >= ends:
            continue
        if found and begins <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], ends))
        else:
            found.append((begins, ends))
    return found


@dataclass
class Counting:
    """One counting of one deployment. floor: rows before it are counted elsewhere.

    judged: windows, of those in which drift is judged, that were written. began_day: whether a day was counted for the first time.
    """

    context: Context
    recipe: Recipe
    now: datetime
    floor: datetime
    judged: list[WindowCounts] = field(default_factory=list)
    began_day: bool = False
    finest_base: int = DAY

    def stretch(self, since: datetime, until: datetime) -> None:
        """Compare the rows of each version with what is counted, count what changed, and write it."""
        rows = self._rows(since, until)
        for number, whole in _tally(rows, DAY).items():
            try:
                version = self.context.models.get(self.recipe.model, number)
            except NotFound:
                continue  # it answered and was deleted since: there is nothing left to compare its answers with
            digest, profile = profile_of(self.context, bundle_of(version))
            base = tiers.base_step(profile)
            self.finest_base = min(self.finest_base, base)
            stored: dict[int, Stored] = {}
            units: list[Unit] = []
            days = self._days(number, since, until)
            # A day with as many rows as were counted is counted, in a part of another name.
            fresh = [
                day
                for day, count in whole.items()
                if not (since <= _moment(day) and until >= _moment(day + DAY) and day in days)
                or days[day].rows != count
            ]
            minutes = _tally(rows.filter(pl.col("number") == number, _step(DAY).is_in(fresh)), MINUTE)
            for day, found_rows in tiers.by_day(minutes.get(number, {})).items():
                stored[day] = self._stored(number, day)
                found = tiers.due(found_rows, stored[day], base=base, now=self.now)
                if found is None:
                    covered = since <= _moment(day) and until >= min(_moment(day + DAY), self.now)
                    of_day = found_rows if covered else self._of_day(number, day)
                    found = tiers.due_of_whole_day(of_day, stored[day], base=base, now=self.now)
                units += found
            counted: list[WindowCounts] = []
            for group in tiers.stretches(units, most_rows=MOST_ROWS):
                counted += self._windows(group, profile, number=number, digest=digest)
            for day, held in stored.items():
                new = [w for w in counted if day <= w.since.timestamp() < day + DAY]
                if new:
                    self._write(tiers.merged(new, held, now=self.now), base)
                    self.began_day = self.began_day or held.day is None

    def _write(self, windows: Sequence[WindowCounts], base: int) -> None:
        self.context.counts.put(windows)
        self.judged += [w for w in windows if w.step == base]

    def _scan(self, since: datetime, until: datetime, columns: Sequence[str]) -> pl.DataFrame:
        begins, ends = max(since, self.floor), min(until, self.now)
        if begins >= ends:
            return pl.DataFrame()
        log = self.context.predictions
        return open_table(log.scan(self.recipe.deployment, since=begins, until=ends, columns=columns))

    def _rows(self, since: datetime, until: datetime) -> pl.DataFrame:
        """Number and time of each row."""
        return self._scan(since, until, ["number", "at"])

    def _of_day(self, number: int, day: int) -> dict[int, int]:
        """Rows of a version by the minutes of a whole day."""
        return _tally(self._rows(_moment(day), _moment(day + DAY)), MINUTE).get(number, {})

    def _days(self, number: int, since: datetime, until: datetime) -> dict[int, WindowCounts]:
        held = self.context.counts.windows(self.recipe.deployment, number, since=since, until=until, step=DAY)
        return {int(window.since.timestamp()): window for window in held}

    def _stored(self, number: int, day: int) -> Stored:
        counts, name = self.context.counts, self.recipe.deployment
        since, until = _moment(day), _moment(day + DAY)

        def tier(step: int) -> dict[int, WindowCounts]:
            held = counts.windows(name, number, since=since, until=until, step=step)
            return {int(window.since.timestamp()): window for window in held}

        return Stored(tier(DAY).get(day), tier(HOUR), tier(MINUTE))

    def _windows(
        self, units: Sequence[Unit], profile: ReferenceProfile, *, number: int, digest: Digest
    ) -> list[WindowCounts]:
        """Read a stretch of the log once and count those windows of it."""
        recipe = self.recipe
        columns = ["number", "at", "request_id", "row", "redacted"]
        columns += [*(f"in.{name}" for name in recipe.features), f"out.{recipe.output}"]
        frame = self._scan(_moment(units[0].start), _moment(units[-1].end), columns)
        frame = frame.filter(pl.col("number") == number)
        # A part of a segment that was put back beside the whole holds requests twice: each counts once.
        frame = frame.unique(["request_id", "row"], keep="first", maintain_order=True)
        redacted = {name for each in frame["redacted"].unique() if each is not None for name in json.loads(each)}
        names = [name for name in recipe.features if name not in redacted and f"in.{name}" in frame.columns]
        output = f"out.{recipe.output}"
        found: list[WindowCounts] = []
        for step in sorted({unit.step for unit in units}):
            starts = [unit.start for unit in units if unit.step == step]
            at = pl.col("at").dt.timestamp("us")
            rows = frame.filter((at // (step * 1_000_000) * step).is_in(starts))
            found += windows(
                profile,
                {name: rows[f"in.{name}"].to_numpy() for name in names},
                rows[output].to_numpy() if output in rows.columns else None,
                at=rows["at"].dt.timestamp("us").to_numpy(),
                step=step,
                until=self.now,
                deployment=recipe.deployment,
                number=number,
                profile_digest=digest,
                unseen=redacted,
            )
        return found


def _step(seconds: int) -> pl.Expr:
    """The beginning of each row's step, in seconds since 1970."""
    return pl.col("at").dt.timestamp("us") // (seconds * 1_000_000) * seconds


def _tally(rows: pl.DataFrame, step: int) -> dict[int, dict[int, int]]:
    """Rows of each version by the beginning of their step."""
    if rows.is_empty():
        return {}
    counted = rows.group_by("number", _step(step).alias("step")).len().sort("number", "step")
    found: dict[int, dict[int, int]] = {}
    for number, start, count in counted.iter_rows():
        found.setdefault(number, {})[start] = count
    return found


def _moment(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def drift_of(
    context: Context, recipe: Recipe, champion: Variant, profile: ReferenceProfile, *, since: datetime
) -> Drift:
    """Judge the counts of the champion since it became one."""
    windows = judged_windows(context.counts, recipe.deployment, champion.number, profile, since=since)
    budget = budget_of(recipe, profile)
    return remembered(
        context.counts,
        (recipe.deployment, champion.number, since, budget),
        windows,
        window_seconds=profile.window_seconds,
        judge=lambda before: detect_on(profile, windows, budget=budget, before=before),
    )


def budget_of(recipe: Recipe, profile: ReferenceProfile) -> Budget:
    """The recipe's days between two false alarms, in the profile's windows."""
    return Budget(windows=max(2, round(recipe.false_page_days * 86400 / profile.window_seconds)))


def profile_of(context: Context, bundle: Digest) -> tuple[Digest, ReferenceProfile]:
    manifest = msgspec.json.decode(context.blobs.get(bundle), type=Bundle)
    if manifest.profile is None:
        raise NotFound(
            "the bundle carries no reference profile",
            cause=f"bundle {bundle}",
            remedy="package the model through the loop",
        )
    return manifest.profile, msgspec.json.decode(context.blobs.get(manifest.profile), type=ReferenceProfile)
