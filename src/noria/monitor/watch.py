"""Watch a stream of tables against a reference: learn it once, hand in batch after batch, ask for the verdict at any time.

The verdict is a fold over what was counted, so a saved watch that goes on elsewhere says the same. Two tables at once are two_tables.py.
Called by users.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from noria.domain.comparison import Quality, TableFacts
from noria.domain.finding import Finding
from noria.domain.ids import Digest
from noria.domain.profile import ReferenceProfile, WindowCounts
from noria.errors import InputInvalid, SettingInvalid, SourceUnreadable, StoreNewer
from noria.monitor.grading import graded, task_of
from noria.monitor.judging import Bets, Watched, columns_of, profile_of, watched_of
from noria.monitor.losses import LossReference, LossSums, judge_losses, reference_of, sums_of
from noria.monitor.pairing import Roles, is_sorted_by, pair, require, roles_of
from noria.monitor.pieces import length_words, reference_blocks, times_of, window_seconds
from noria.monitor.result import Comparison
from noria.monitor.table import Kind, Table, open_table
from noria.monitor.two_tables import checked_importance
from noria.monitor.verdict import conclude
from noria.monitoring.data_quality import check_window
from noria.monitoring.drift import Budget, watch
from noria.monitoring.profile import SCORE, merge, window, windows
from noria.stats.sequential import MARGIN_FLOOR

FORMAT = "noria-watch-1"
SHOWN = 7
"""Distances are measured on so many of the newest windows together."""

_NOWHERE = Digest("blake3:" + "0" * 64)
_START = datetime.fromtimestamp(0, UTC)
_LATEST = datetime.max.replace(tzinfo=UTC)


class Learnt(msgspec.Struct, frozen=True, kw_only=True):
    """What was learnt of the reference, and what the user allows. seconds: length of a window, 0 where each batch is one."""

    format: str = FORMAT
    profile: ReferenceProfile
    columns: tuple[Watched, ...]
    roles: Roles
    facts: TableFacts
    losses: LossReference | None
    budget: float
    smallest: float
    seconds: float
    learnt_from: str
    notes: tuple[str, ...]


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """A watch on disk: what was learnt, and what was counted since."""

    learnt: Learnt
    windows: tuple[WindowCounts, ...]
    filling: tuple[WindowCounts, ...]
    labelled: tuple[LossSums, ...]


class Watch:
    """A reference, learnt once, and the windows that came since. Not to be shared between threads.

    >>> watch = Watch({"age": [20, 30, 40, 50] * 250}, budget=365)
    >>> watch.update({"age": [50, 30, 40, 20] * 25}).verdict
    'fine'
    >>> for _ in range(5): found = watch.update({"age": [50, 60, 70, 20] * 25})
    >>> found.headline
    'Alarm: age moved (1 of 1 input)'
    """

    def __init__(
        self,
        reference: Any,
        *,
        prediction: str | None = None,
        label: str | None = None,
        time: str | None = None,
        columns: Sequence[str] = (),
        ignore: Collection[str] = (),
        importance: Mapping[str, float] | None = None,
        window: str | float | timedelta | None = None,
        budget: float = 3650.0,
        smallest: float = MARGIN_FLOOR,
    ) -> None:
        """Learn a reference. At most one false alarm in `budget` windows, on average.

        Without `time` each batch is one window. With it rows are counted in windows of `window` ('1d', '1h'; chosen if not given), and a window is
        judged once a row of a later one has come. The other arguments are those of `compare`, and so are the errors.
        """
        table = open_table(reference, "reference")
        roles = roles_of(table, prediction=prediction, label=label, time=time, columns=columns, ignore=ignore)
        if not budget >= 1:
            raise InputInvalid(
                f"a budget of one false alarm in {budget!r} windows means nothing", remedy="use 3650, say"
            )
        self._learnt = _learn(
            table,
            roles,
            importance=checked_importance(importance, table),
            window=window_seconds(window) if window is not None else None,
            budget=budget,
            smallest=smallest,
        )
        self._windows: list[WindowCounts] = []
        self._filling: dict[datetime, WindowCounts] = {}
        self._labelled: list[LossSums] = []
        self._bets = self._begin()

    def update(self, batch: Any) -> Comparison:
        """Take in one more table and give the verdict. Columns that lack, or are of another type, are findings, not errors.

        Raises EmptyTable and what reading a table raises; InputInvalid where the time column is missing or holds no times.
        """
        table = open_table(batch, "current")
        roles = self._learnt.roles
        if roles.time is not None:
            self._take_timed(table)
        else:
            self._take([self._count(table)[0]])
        if roles.label in table.columns and roles.prediction in table.columns:
            self.add_labels(table)
        return self.verdict()

    def add_labels(self, batch: Any) -> None:
        """Take in answers whose labels came later: a table with the prediction and the label, which counts for the quality only.

        Each call is one window of labelled rows; rows without a label are left out. Raises InputInvalid where there is nothing to compare with.
        """
        table = batch if isinstance(batch, Table) else open_table(batch, "current")
        learnt = self._learnt
        if learnt.losses is None or learnt.roles.prediction is None or learnt.roles.label is None:
            raise InputInvalid(
                "this watch knows no labels",
                cause="the reference was learnt without prediction= and label=",
                remedy="name both columns when the watch is made",
            )
        label = require(table, learnt.roles.label, "the label")
        answer = require(table, learnt.roles.prediction, "the prediction")
        kind: Kind = "text" if learnt.losses.task == "classes" and "text" in (label.kind, answer.kind) else "number"
        label, answer = label.as_kind(kind), answer.as_kind(kind)
        if label.kind != kind or answer.kind != kind:
            raise InputInvalid(
                f"labels are {label.kind} and answers {answer.kind}, the reference had {learnt.losses.task}",
                remedy="hand in both as the reference had them",
            )
        rows = graded(learnt.losses.task, label.values, answer.values, np.zeros(table.rows, dtype=np.int64))
        if rows.loss.size:
            self._labelled.append(sums_of(rows.loss))

    def verdict(self) -> Comparison:
        """What all windows so far come to. Before the first one: fine, on no rows."""
        learnt = self._learnt
        total = TableFacts(
            rows=sum(w.rows for w in self._windows),
            columns=len(learnt.columns),
            since=self._windows[0].since if learnt.seconds and self._windows else None,
            until=self._windows[-1].until if learnt.seconds and self._windows else None,
        )
        judgement = self._bets.now(self._windows[-SHOWN:]) if self._windows else None
        return conclude(
            (learnt.facts, total),
            judgement,
            findings=self._findings(),
            shown=columns_of(learnt.profile, learnt.columns, judgement) if judgement else (),
            quality=self._quality(),
            notes=learnt.notes,
            budget=self._budget_words(),
            window=learnt.learnt_from,
        )

    def close(self) -> Comparison:
        """Judge the windows that still fill, at the end of a stream, and give the verdict."""
        self._take([self._filling.pop(key) for key in sorted(self._filling)])
        return self.verdict()

    def save(self, path: str | Path) -> Path:
        """Write everything that is known to a file, as JSON: bins and counts, no row. Raises SettingInvalid where it cannot be written."""
        target = Path(path)
        filling = tuple(self._filling[key] for key in sorted(self._filling))
        kept = Kept(learnt=self._learnt, windows=tuple(self._windows), filling=filling, labelled=tuple(self._labelled))
        part = target.with_name(target.name + ".part")
        try:
            part.write_bytes(msgspec.json.encode(kept))
            part.replace(target)
        except OSError as exc:
            raise SettingInvalid(
                f"the watch cannot be written to '{target}'", cause=str(exc), remedy="name a place that exists"
            ) from exc
        return target

    @classmethod
    def load(cls, path: str | Path) -> "Watch":
        """Go on with a saved watch. Raises SourceUnreadable, StoreNewer."""
        try:
            content = Path(path).read_bytes()
            kept = msgspec.json.decode(content, type=Kept)
        except (OSError, msgspec.MsgspecError) as exc:
            raise SourceUnreadable(
                f"'{path}' is no saved watch", cause=str(exc), remedy="name a file that Watch.save has written"
            ) from exc
        if kept.learnt.format != FORMAT:
            raise StoreNewer(f"'{path}' is of format {kept.learnt.format!r}, this Noria knows {FORMAT!r}")
        watch_ = cls.__new__(cls)
        watch_._learnt = kept.learnt
        watch_._windows = []
        watch_._filling = {w.since: w for w in kept.filling}
        watch_._labelled = list(kept.labelled)
        watch_._bets = watch_._begin()
        watch_._take(list(kept.windows))
        return watch_

    def _begin(self) -> Bets:
        learnt = self._learnt
        share = 2.0 if learnt.losses is not None else 1.0
        budget = Budget(windows=round(share * learnt.budget), smallest=learnt.smallest)
        return Bets(watch(learnt.profile, budget=budget), timed=learnt.seconds > 0)

    def _take(self, found: Sequence[WindowCounts]) -> None:
        for each in found:
            self._windows.append(each)
            self._bets.take(each)

    def _take_timed(self, table: Table) -> None:
        """Sort the rows into windows; judge those before the newest. Rows that are late join their window, and everything is judged anew."""
        found = self._count(table)
        judged = {w.since: i for i, w in enumerate(self._windows)}
        late = False
        for each in found:
            if each.since in judged:
                at = judged[each.since]
                self._windows[at] = merge([self._windows[at], each])
                late = True
            elif self._windows and each.since < self._windows[-1].since:
                self._windows.append(each)
                self._windows.sort(key=lambda w: w.since)
                judged = {w.since: i for i, w in enumerate(self._windows)}
                late = True
            else:
                held = self._filling.get(each.since)
                self._filling[each.since] = merge([held, each]) if held is not None else each
        if late:
            windows_, self._windows, self._bets = self._windows, [], self._begin()
            self._take(windows_)
        newest = max(self._filling, default=_START)
        self._take([self._filling.pop(key) for key in sorted(self._filling) if key < newest])

    def _count(self, table: Table) -> list[WindowCounts]:
        """The counts of a batch: one window, or one for each stretch of time that holds a row of it."""
        learnt = self._learnt
        special = learnt.roles.special() | learnt.roles.ignore
        order = np.arange(table.rows)
        at: np.ndarray[Any, Any] | None = None
        if learnt.roles.time is not None:
            require(table, learnt.roles.time, "the time")
            times = times_of(table, learnt.roles.time)
            order = np.argsort(times, kind="stable")[: int((~np.isnat(times)).sum())]
            at = times[order].astype("datetime64[us]").astype(np.int64)
        keys = {c.name: c.key for c in learnt.columns}
        wanted = {
            keys.get(c.name, c.name): c.values[order]
            for c in table
            if c.name in keys or (c.name not in special and not learnt.roles.columns)
        }
        scores = wanted.pop(SCORE, None)
        if at is None:
            begun = _START + timedelta(seconds=len(self._windows))
            one = window(
                learnt.profile,
                wanted,
                scores,
                deployment="",
                number=0,
                profile_digest=_NOWHERE,
                since=begun,
                until=begun,
            )
            found = [one]
        else:
            found = windows(
                learnt.profile,
                wanted,
                scores,
                at=at,
                step=int(learnt.seconds),
                until=_LATEST,
                deployment="",
                number=0,
                profile_digest=_NOWHERE,
            )
        return [self._without_late_labels(each) for each in found]

    def _without_late_labels(self, counted: WindowCounts) -> WindowCounts:
        """A label that is not known yet is no row of it, and one that lacks is no fault."""
        labels = {c.key for c in self._learnt.columns if c.role == "label"}
        if not labels:
            return counted
        counts = {n: (*c[:-1], 0) if n in labels else c for n, c in counted.counts.items()}
        absent = tuple(n for n in counted.absent if n not in labels)
        return msgspec.structs.replace(counted, counts=counts, absent=absent)

    def _findings(self) -> list[Finding]:
        """What is wrong with the newest window."""
        if not self._windows:
            return []
        learnt = self._learnt
        names = {c.key: c.name for c in learnt.columns}
        inputs = {c.key for c in learnt.columns if c.role != "label"}
        features = tuple(f for f in learnt.profile.features if f.name in inputs)
        found = check_window(
            msgspec.structs.replace(learnt.profile, features=features),
            self._windows[-1],
            before=self._windows[-2] if len(self._windows) > 1 else None,
            expected=tuple(names),
        )
        return [msgspec.structs.replace(f, about=names.get(f.about, f.about)) for f in found]

    def _quality(self) -> Quality | None:
        learnt = self._learnt
        if learnt.losses is None:
            return None
        return judge_losses(learnt.losses, self._labelled, budget=2 * learnt.budget)

    def _budget_words(self) -> str:
        learnt = self._learnt
        length = f" of {length_words(learnt.seconds)}" if learnt.seconds else ""
        return f"at most one false alarm in {learnt.budget:,.0f} windows{length} on average"


def _learn(
    table: Table,
    roles: Roles,
    *,
    importance: Mapping[str, float],
    window: float | None,
    budget: float,
    smallest: float,
) -> Learnt:
    """Everything that a watch knows before the first batch. A reference without times has its order for one."""
    times = None
    if roles.time is not None:
        times = times_of(table, roles.time)
        known = ~np.isnat(times)
        if not known.any():
            raise InputInvalid(f"no row of the reference has a time in {roles.time!r}", remedy="leave time= away")
        table, times = table.take(known), times[known]
    pairing = pair(table, table, roles)
    sorted_by = is_sorted_by([p for p in pairing.pairs if p.role != "label"]) if times is None else None
    blocks, seconds, by = reference_blocks(times, table.rows, window=window, ordered=sorted_by is None)
    profile = profile_of(pairing.pairs, blocks, importance=importance, seconds=seconds)
    kept = {f.name for f in profile.features}
    answers, labels = pairing.role("prediction"), pairing.role("label")
    losses: LossReference | None = None
    if answers is not None and labels is not None:
        task = task_of(answers, labels)
        losses = reference_of(task, labels.reference.values, answers.reference.values, blocks)
    since, until = (
        (None, None)
        if times is None
        else (t.astype("datetime64[us]").item().replace(tzinfo=UTC) for t in (times.min(), times.max()))
    )
    return Learnt(
        profile=profile,
        columns=tuple(c for c in map(watched_of, pairing.pairs) if c.key in kept),
        roles=roles,
        facts=TableFacts(rows=table.rows, columns=len(table.columns), since=since, until=until),
        losses=losses,
        budget=budget,
        smallest=smallest,
        seconds=seconds,
        learnt_from=by,
        notes=pairing.notes,
    )
