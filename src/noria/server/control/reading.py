"""Reads that several views need: entries of some kinds, alerts as they stand, numbers that JSON can carry. No HTTP. Called by the views."""

import math
from collections.abc import Collection, Iterable, Iterator, Mapping

from noria.app.alerting_acts import book_of
from noria.domain.alert import Alert
from noria.domain.ids import Digest
from noria.domain.ledger import Entry
from noria.errors import NotFound
from noria.ports.ledger import Ledger
from noria.ports.tables import TableStore
from noria.server.control.views import DatasetName, DatasetRef

STRIDE = 1000


def entries(ledger: Ledger, kinds: Collection[str]) -> Iterator[Entry]:
    """Every entry of these kinds, oldest first, read in strides."""
    after = 0
    while batch := ledger.read(after=after, limit=STRIDE, kinds=kinds):
        yield from batch
        after = batch[-1].seq
        if len(batch) < STRIDE:
            return


def alerts(ledger: Ledger, deployment: str | None = None) -> list[Alert]:
    """Alerts as they stand now, newest first."""
    return [a for a in book_of(ledger).alerts() if deployment in (None, a.deployment)]


def finite(value: float) -> float | None:
    """The number, or None where JSON has no word for it."""
    return value if math.isfinite(value) else None


def finite_all(values: Mapping[str, float]) -> dict[str, float | None]:
    """Each number, or None where JSON has no word for it."""
    return {key: finite(value) for key, value in values.items()}


def dataset_names(tables: TableStore, digests: Iterable[str]) -> dict[str, DatasetName]:
    """Digest -> name of each dataset version, each looked up once."""
    found = {}
    for digest in set(digests):
        version = dataset(tables, digest)
        found[digest] = DatasetName(
            digest=digest, name=f"{version.dataset} v{version.number}" if version.dataset else ""
        )
    return found


def dataset(tables: TableStore, digest: str) -> DatasetRef:
    """What is known of a dataset version; only its digest when the table is not here any more."""
    try:
        version = tables.version(Digest(digest))
    except NotFound:
        return DatasetRef(digest=digest)
    report = version.expectations
    return DatasetRef(
        digest=version.digest,
        dataset=version.dataset,
        number=version.number,
        rows=version.rows,
        bytes_stored=version.bytes_stored,
        columns=len(version.schema.columns),
        created_at=version.created_at,
        since=version.since,
        until=version.until,
        source=version.source,
        expectations=list(report.results) if report else [],
        quarantined=report.quarantined if report else 0,
        passed=report.passed if report else None,
    )


def better(metric: str) -> bool:
    """Whether higher is better, told from the metric's name.

    >>> better("auc"), better("log_loss"), better("p99_ms")
    (True, False, False)
    """
    lower = ("loss", "error", "rmse", "mae", "mse", "brier", "latency", "seconds", "_ms", "perplexity", "deviance")
    return not any(word in metric.lower() for word in lower)


def primary(keys: Collection[str]) -> str:
    """The metric that a list of runs is about: the log loss if it is measured, then the usual ones, then the first by name; '' without any.

    >>> primary({"seconds", "auc"}), primary({"test.log_loss", "auc"}), primary(set())
    ('auc', 'test.log_loss', '')
    """
    for wanted in ("log_loss", "auc", "rmse", "accuracy", "loss"):
        matching = sorted(
            (key for key in keys if key == wanted or key.endswith((f".{wanted}", f"_{wanted}", f"/{wanted}"))), key=len
        )
        if matching:
            return matching[0]
    return min(keys, default="")
