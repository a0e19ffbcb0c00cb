"""Show that nobody touched the ledger: verify its chain, and hand it out as a file that can be verified without Noria's database.

The chain itself is wire/chain; what it can and cannot show stands there. Called by cli/audit and server/control.
"""

import errno
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TextIO

import msgspec

from noria.domain.ids import fresh
from noria.domain.ledger import Break, Head, StoredEntry
from noria.errors import DiskFull, SourceUnreadable, StoreUnavailable
from noria.ports.ledger import Ledger
from noria.wire import chain

FORMAT = "noria-ledger-1"


class AuditReport(msgspec.Struct, frozen=True, kw_only=True):
    """What verification found. rows: how many were read; head: the newest row by the store's word; breaks: every place that is not as written."""

    project: str
    rows: int
    head: Head
    breaks: tuple[Break, ...] = ()

    @property
    def whole(self) -> bool:
        """Whether nothing was changed, removed or reordered, as far as the rows and the heads can show."""
        return not self.breaks


class _Header(msgspec.Struct, frozen=True, kw_only=True):
    """First line of an export."""

    format: str
    project: str
    head: Head


class _Line(msgspec.Struct, frozen=True, kw_only=True):
    """One row of an export. body: the row's bytes as text; its BLAKE3 digest is `hash`, and it names the hash before it as `previous`."""

    seq: int
    hash: str
    body: str


class _Named(msgspec.Struct, frozen=True):
    project: str


class _Counted:
    """Rows on their way into verification, counted."""

    def __init__(self, rows: Iterable[StoredEntry]) -> None:
        self._rows = rows
        self.number = 0

    def __iter__(self) -> Iterator[StoredEntry]:
        for row in self._rows:
            self.number += 1
            yield row


def verify(ledger: Ledger, *, project: str, checkpoint: Head | None = None) -> AuditReport:
    """Read every row and find every break. Appends may go on meanwhile.

    checkpoint: a head that was noted outside the store (an earlier report's `head`); without one, whoever owns the database could have written
    a whole new chain unnoticed.
    """
    head = ledger.head()
    rows = _Counted(ledger.stored())
    breaks = chain.verify(rows, project=project, head=head, checkpoint=checkpoint)
    return AuditReport(project=project, rows=rows.number, head=head, breaks=tuple(breaks))


def export(ledger: Ledger, path: Path, *, project: str = "") -> Head:
    """Write the ledger as JSON lines and give its head, which is worth noting elsewhere: it is a checkpoint.

    The first line names the project and the head; then a line a row with `seq`, `hash` and `body`. To check by any other program: `hash` is
    'blake3:' and the digest of `body` in UTF-8; `body` is JSON whose `previous` is the hash of the line before (of the first: the digest of the
    project's name). project: taken from the first row if it is not given. The file appears whole or not at all. Raises DiskFull, StoreUnavailable.
    """
    head = ledger.head()
    header = _Header(format=FORMAT, project=project or _project_of(ledger), head=head)
    beside = path.with_name(f".{path.name}.{fresh()[:8]}")
    try:
        with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            _write(file, header)
            for row in ledger.stored():
                if row.seq <= head.seq:
                    # A body that somebody broke need not be text: surrogates carry its bytes through.
                    _write(file, _Line(seq=row.seq, hash=row.hash, body=row.body.decode(errors="surrogateescape")))
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        kind = DiskFull if full else StoreUnavailable
        raise kind(f"the ledger cannot be exported to '{path}'", cause=str(error)) from error
    finally:
        beside.unlink(missing_ok=True)
    return head


def verify_export(path: Path, *, checkpoint: Head | None = None) -> AuditReport:
    """Verify an exported ledger by the file alone. Raises SourceUnreadable if the file is no export."""
    spoilt: list[Break] = []
    try:
        with path.open(encoding="utf-8", errors="surrogateescape") as file:
            header = _header(file, path)
            rows = _Counted(_rows(file, spoilt))
            breaks = chain.verify(rows, project=header.project, head=header.head, checkpoint=checkpoint)
    except OSError as error:
        raise SourceUnreadable(f"'{path}' cannot be read", cause=str(error)) from error
    found = sorted([*breaks, *spoilt], key=lambda item: item.seq)
    return AuditReport(project=header.project, rows=rows.number, head=header.head, breaks=tuple(found))


def _project_of(ledger: Ledger) -> str:
    """What the first row says; nothing if it says nothing, for a broken ledger must be exportable as it stands."""
    for row in ledger.stored():
        try:
            return msgspec.json.decode(row.body, type=_Named).project
        except (msgspec.MsgspecError, UnicodeDecodeError):
            break
    return ""


def _header(file: TextIO, path: Path) -> _Header:
    try:
        header = msgspec.convert(json.loads(file.readline()), _Header)
    except (ValueError, msgspec.ValidationError) as error:
        raise SourceUnreadable(
            f"'{path}' is no exported ledger", cause=str(error), remedy="noria audit export"
        ) from error
    if header.format != FORMAT:
        raise SourceUnreadable(f"'{path}' is of format '{header.format}'", cause=f"this Noria reads '{FORMAT}'")
    return header


def _rows(file: TextIO, spoilt: list[Break]) -> Iterator[StoredEntry]:
    """The rows of an export; lines that cannot be read are noted under the seq that they ought to have."""
    for number, text in enumerate(file, start=1):
        try:
            line = msgspec.convert(json.loads(text), _Line)
            yield StoredEntry(seq=line.seq, body=line.body.encode(errors="surrogateescape"), hash=line.hash)
        except (ValueError, msgspec.ValidationError) as error:
            spoilt.append(Break(seq=number, problem=f"line {number + 1} of the export cannot be read: {error}"))


def _write(file: TextIO, value: msgspec.Struct) -> None:
    file.write(json.dumps(msgspec.to_builtins(value)) + "\n")
