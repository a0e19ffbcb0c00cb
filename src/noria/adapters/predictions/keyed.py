"""Outcomes that come with a key and a moment: which prediction each is about, decided once and kept, and which still wait for theirs.

What a label then does is labels.py's business; how rows are kept is book.py's. `nearest` and `checked_keys` are pure. Called by deployment_log.py and
memory.py.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl

from noria.adapters.predictions.batches import EPOCH, microseconds
from noria.adapters.predictions.book import WRITTEN, Book
from noria.adapters.predictions.columns import TIME
from noria.domain.ids import PredictionId
from noria.domain.prediction import GroundTruth, KeyedTruth
from noria.errors import LabelInvalid

KIND = b"KEYL"
WAITING = ""
SCHEMA: dict[str, Any] = {
    "identity": pl.String,
    "key": pl.String,
    "value": pl.Float64,
    "about": TIME,
    "at": TIME,
    "tolerance_s": pl.Float64,
    "match": pl.String,
    "source": pl.String,
    "corrects": pl.Boolean,
    "prediction_id": pl.String,  # one row for each prediction that is meant; '' while there is none
}
Find = Callable[[Sequence[KeyedTruth]], Sequence[Sequence[PredictionId]]]


def checked_keys(labels: Sequence[KeyedTruth]) -> None:
    """Refuse a batch with an outcome that cannot be used. Raises LabelInvalid."""
    for label in labels:
        fault = ""
        if not label.key:
            fault = "its key is empty"
        elif not math.isfinite(label.value):
            fault = f"its value is {label.value}"
        elif label.at.tzinfo is None or label.about.tzinfo is None:
            fault = "one of its times has no zone"
        elif not (math.isfinite(label.tolerance_s) and label.tolerance_s >= 0):
            fault = f"its tolerance is {label.tolerance_s} seconds"
        if fault:
            raise LabelInvalid(
                f"the outcome of key {label.key[:80]!r} cannot be used",
                cause=fault,
                remedy="send a key, a finite number, aware times and a tolerance of 0 or more; nothing of this batch was kept",
            )


def identity(label: KeyedTruth) -> str:
    """What makes two outcomes the same one, sent twice: key, moment and way of matching.

    >>> identity(KeyedTruth(key="UA 1", value=1.0, about=EPOCH, at=EPOCH))
    'before 0 UA 1'
    """
    return f"{label.match} {microseconds(label.about)} {label.key}"


def nearest(predictions: pl.DataFrame, labels: Sequence[KeyedTruth]) -> list[list[PredictionId]]:
    """For each outcome the predictions that it is about. predictions: columns key, at, prediction_id; any order, keys may be null."""
    asked = pl.DataFrame(
        {
            "place": pl.Series(range(len(labels)), dtype=pl.UInt32),
            "key": pl.Series([label.key for label in labels], dtype=pl.String),
            "about": pl.Series([microseconds(label.about) for label in labels], dtype=pl.Int64),
            "reach": pl.Series([_reach(label) for label in labels], dtype=pl.Int64),
            "match": pl.Series([label.match for label in labels], dtype=pl.String),
        }
    )
    pairs = asked.join(predictions.select("key", "prediction_id", then=pl.col("at").dt.timestamp("us")), on="key")
    ahead = pl.col("then") - pl.col("about")
    near = pairs.filter(ahead.abs() <= pl.col("reach"), (pl.col("match") != "before") | (ahead <= 0))
    near = near.with_columns(gap=ahead.abs()).sort(
        ["place", "gap", "then", "prediction_id"], descending=[False, False, True, False]
    )
    chosen = near.filter((pl.col("match") == "every") | pl.col("place").is_first_distinct())
    meant: list[list[PredictionId]] = [[] for _ in labels]
    for place, name in chosen.select("place", "prediction_id").iter_rows():
        meant[place].append(PredictionId(name))
    return meant


def span(labels: Sequence[KeyedTruth]) -> tuple[int, int]:
    """since and until, in us since 1970, between which the predictions of these outcomes lie, if they are there."""
    low = min(microseconds(label.about) - _reach(label) for label in labels)
    high = max(microseconds(label.about) + (0 if label.match == "before" else _reach(label)) for label in labels)
    return low, high + 1


def truths(labels: Sequence[KeyedTruth], meant: Sequence[Sequence[PredictionId]]) -> list[GroundTruth]:
    """The labels that outcomes become once it is known which predictions they are about."""
    return [
        GroundTruth(prediction_id=name, value=label.value, at=label.at, source=label.source, corrects=label.corrects)
        for label, names in zip(labels, meant, strict=True)
        for name in names
    ]


class KeyedBook:
    """Which predictions the outcomes of one deployment were found to be about. Thread-safe, and safe beside other processes."""

    def __init__(self, folder: Path) -> None:
        self._book = Book(folder, kind=KIND, schema=SCHEMA, by="identity")

    def settle(
        self, labels: Sequence[KeyedTruth], find: Find, *, keep: Callable[[list[list[PredictionId]]], None]
    ) -> list[list[PredictionId]]:
        """The predictions that each outcome is about, found now or known from before; none for those that wait.

        keep: keeps the labels that follow from it. It is called before it is noted here that they are settled: a crash in between repeats them, and a
        repeated label is one label.
        """
        with self._book.writing():
            known = self._settled([identity(label) for label in labels])
            open_ = [label for label in labels if identity(label) not in known]
            found = dict(zip(map(identity, open_), find(open_), strict=True)) if open_ else {}
            waiting = set(self._waiting()) if open_ else set()
            rows = []
            for label in dict.fromkeys(open_):
                names = found[identity(label)]
                if names or label not in waiting:
                    rows += [(label, name) for name in (names or [PredictionId(WAITING)])]
            meant = [list(known.get(identity(label)) or found.get(identity(label), [])) for label in labels]
            keep(meant)
            if rows:
                self._append(rows)
            return meant

    def waiting(self) -> list[KeyedTruth]:
        """Outcomes without a prediction, in the order in which they came."""
        with self._book.reading():
            return list(self._waiting())

    def compact(self) -> None:
        """Move many outcomes to Parquet."""
        self._book.compact()

    def _settled(self, names: Sequence[str]) -> dict[str, list[PredictionId]]:
        rows = self._book.find(names).filter(pl.col("prediction_id") != WAITING)
        found: dict[str, list[PredictionId]] = {}
        for name, prediction_id in rows.select("identity", "prediction_id").unique(maintain_order=True).iter_rows():
            found.setdefault(name, []).append(PredictionId(prediction_id))
        return found

    def _waiting(self) -> Iterator[KeyedTruth]:
        with self._book.reading() as index:
            table = index.table().sort(WRITTEN)
        open_ = table.filter((pl.col("prediction_id") == WAITING).all().over("identity"))
        for key, value, about, at, tolerance_s, match, source, corrects in open_.select(
            "key",
            "value",
            pl.col("about", "at").dt.timestamp("us"),
            "tolerance_s",
            "match",
            "source",
            "corrects",
        ).iter_rows():
            yield KeyedTruth(
                key=key,
                value=value,
                about=_moment(about),
                at=_moment(at),
                tolerance_s=tolerance_s,
                match=match,
                source=source,
                corrects=corrects,
            )

    def _append(self, rows: Sequence[tuple[KeyedTruth, str]]) -> None:
        labels = [label for label, _ in rows]
        self._book.append(
            {
                "identity": [identity(label) for label in labels],
                "about": [microseconds(label.about) for label in labels],
                "at": [microseconds(label.at) for label in labels],
                "prediction_id": [name for _, name in rows],
                **{
                    name: [getattr(label, name) for label in labels]
                    for name in ("key", "tolerance_s", "match", "source", "corrects")
                },
                "value": [float(label.value) for label in labels],
            }
        )


def _reach(label: KeyedTruth) -> int:
    return min(round(label.tolerance_s * 1e6), 200 * 365 * 86_400 * 10**6)


def _moment(us: int) -> datetime:
    return (EPOCH + timedelta(microseconds=us)).astimezone(UTC)
