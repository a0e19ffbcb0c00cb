"""Where records that are no answers are kept: `<deployment>/shadow/<variant>`, `<deployment>/failure/<variant>`, each a log of its own.

The standard library only: a worker imports this. Called by journal.py, which writes there, and parquet.py, which reads.
"""

from collections.abc import Iterable
from pathlib import Path

from noria.adapters.predictions.frames import checked_name, listing
from noria.domain.prediction import PredictionRecord, RecordKind

ASIDE: tuple[RecordKind, ...] = ("shadow", "failure")


def aside_folder(deployment: Path, kind: RecordKind, variant: str) -> Path:
    """The log of one variant's records of a kind. Raises InputInvalid for a name that cannot be a folder's.

    >>> aside_folder(Path("flights"), "shadow", "challenger").as_posix()
    'flights/shadow/challenger'
    """
    return deployment / kind / checked_name(variant, "variant")


def aside_variants(deployment: Path, kind: RecordKind) -> list[str]:
    """The variants that have a log of this kind, sorted."""
    return [name for name in listing(deployment / kind) if (deployment / kind / name / "journal").is_dir()]


def sorted_out(
    records: Iterable[PredictionRecord],
) -> tuple[list[PredictionRecord], dict[tuple[RecordKind, str], list[PredictionRecord]]]:
    """The answers, and what is kept apart from them by kind and variant; each in the order in which it came."""
    answers: list[PredictionRecord] = []
    aside: dict[tuple[RecordKind, str], list[PredictionRecord]] = {}
    for record in records:
        if record.kind == "answer":
            answers.append(record)
        else:
            aside.setdefault((record.kind, record.variant), []).append(record)
    return answers, aside
