"""The feed in SQL: changes in order, webhooks, and how far each was told. `tell` is what the stores call inside their own transactions.

What a change says is domain/change; delivering it is app/webhooks. Called through ports.feed.Feed.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from noria.adapters.metadata import rules, rules_registry
from noria.adapters.metadata.sql.connection import Connection, Database, listed
from noria.domain.change import Change, ChangeKind, Webhook
from noria.domain.ids import WebhookId
from noria.wire.nouns import pack, unpack


def tell(
    connection: Connection,
    project: int,
    kind: ChangeKind,
    subject: str,
    *,
    at: datetime,
    detail: Mapping[str, str] | None = None,
) -> int:
    """Write one change in the transaction that makes it so; gives its number. The project's row in feed_heads stays locked until COMMIT."""
    return tell_all(connection, project, kind, [subject], at=at, detail=detail)


def tell_all(
    connection: Connection,
    project: int,
    kind: ChangeKind,
    subjects: Sequence[str],
    *,
    at: datetime,
    detail: Mapping[str, str] | None = None,
) -> int:
    """The same change of several subjects, in their order; gives the newest number."""
    moment, packed = rules.micros(at, what=f"change '{kind}'"), pack(dict(detail or {}))
    newest: int = connection.execute(
        "INSERT INTO feed_heads (project, seq) VALUES (?, ?)"
        " ON CONFLICT (project) DO UPDATE SET seq = feed_heads.seq + excluded.seq RETURNING seq",
        (project, len(subjects)),
    ).fetchall()[0][0]
    first = newest - len(subjects) + 1
    connection.executemany(
        "INSERT INTO changes (project, seq, at, kind, subject, detail) VALUES (?, ?, ?, ?, ?, ?)",
        [(project, first + i, moment, kind, subject, packed) for i, subject in enumerate(subjects)],
    )
    return newest


class SqlFeed:
    """ports.feed.Feed."""

    def __init__(self, database: Database, project: int) -> None:
        self._database = database
        self._project = project

    def read(self, *, after: int = 0, limit: int = 1000, kinds: Collection[ChangeKind] | None = None) -> list[Change]:
        marks, chosen = ("", ()) if kinds is None else listed(sorted(kinds))
        by_kind = f" AND kind IN ({marks})" if marks else ""
        rows = self._database.read(
            lambda connection: connection.execute(
                "SELECT seq, at, kind, subject, detail FROM changes"
                f" WHERE project = ? AND seq > ?{by_kind} ORDER BY seq LIMIT ?",
                (self._project, after, *chosen, max(limit, 0)),
            ).fetchall()
        )
        return [_change(row) for row in rows]

    def newest(self) -> int:
        return self._database.read(self._newest)

    def forget(self, *, until: int) -> int:
        return self._database.write(
            lambda connection: (
                connection.execute(
                    "DELETE FROM changes WHERE project = ? AND seq <= ?", (self._project, until)
                ).rowcount
            )
        )

    def put_webhook(self, webhook: Webhook) -> Webhook:
        rules_registry.check_webhook(webhook)

        def work(connection: Connection) -> Webhook:
            stored = self._webhook(connection, webhook.id)
            kept = rules_registry.kept_webhook(stored, webhook, newest=self._newest(connection))
            if stored is None:
                connection.execute(
                    "INSERT INTO webhooks (project, id, told, doc) VALUES (?, ?, ?, ?)",
                    (self._project, kept.id, kept.since, pack(kept)),
                )
            else:
                connection.execute(
                    "UPDATE webhooks SET doc = ? WHERE project = ? AND id = ?", (pack(kept), self._project, kept.id)
                )
            return kept

        return self._database.write(work)

    def webhook(self, webhook_id: WebhookId) -> Webhook:
        found = self._database.read(lambda connection: self._webhook(connection, webhook_id))
        if found is None:
            raise rules_registry.missing_webhook(webhook_id)
        return found

    def webhooks(self) -> list[Webhook]:
        rows = self._database.read(
            lambda connection: connection.execute(
                "SELECT doc FROM webhooks WHERE project = ? ORDER BY number DESC", (self._project,)
            ).fetchall()
        )
        return rules_registry.newest_first([_webhook(row[0]) for row in rows])

    def drop_webhook(self, webhook_id: WebhookId) -> None:
        def work(connection: Connection) -> None:
            gone = connection.execute(
                "DELETE FROM webhooks WHERE project = ? AND id = ?", (self._project, webhook_id)
            ).rowcount
            if not gone:
                raise rules_registry.missing_webhook(webhook_id)

        self._database.write(work)

    def mark_webhook(self, webhook_id: WebhookId, *, failing_since: datetime | None, switched_off: str = "") -> Webhook:
        def work(connection: Connection) -> Webhook:
            stored = self._webhook(connection, webhook_id)
            if stored is None:
                raise rules_registry.missing_webhook(webhook_id)
            kept = rules_registry.marked_webhook(stored, failing_since=failing_since, switched_off=switched_off)
            connection.execute(
                "UPDATE webhooks SET doc = ? WHERE project = ? AND id = ?", (pack(kept), self._project, kept.id)
            )
            return kept

        return self._database.write(work)

    def delivered(self, webhook_id: WebhookId) -> int:
        row = self._database.read(
            lambda connection: connection.execute(
                "SELECT told FROM webhooks WHERE project = ? AND id = ?", (self._project, webhook_id)
            ).fetchone()
        )
        if row is None:
            raise rules_registry.missing_webhook(webhook_id)
        return int(row[0])

    def advance(self, webhook_id: WebhookId, *, seq: int) -> None:
        def work(connection: Connection) -> None:
            rows = connection.execute(
                "UPDATE webhooks SET told = CASE WHEN told < ? THEN ? ELSE told END WHERE project = ? AND id = ?",
                (seq, seq, self._project, webhook_id),
            ).rowcount
            if not rows:
                raise rules_registry.missing_webhook(webhook_id)

        self._database.write(work)

    def _newest(self, connection: Connection) -> int:
        row = connection.execute("SELECT seq FROM feed_heads WHERE project = ?", (self._project,)).fetchone()
        return int(row[0]) if row else 0

    def _webhook(self, connection: Connection, webhook_id: str) -> Webhook | None:
        row = connection.execute(
            "SELECT doc FROM webhooks WHERE project = ? AND id = ?", (self._project, webhook_id)
        ).fetchone()
        return _webhook(row[0]) if row else None


def _change(row: tuple[int, int, ChangeKind, str, bytes]) -> Change:
    seq, at, kind, subject, detail = row
    told = unpack(detail, dict[str, str], what="the detail of a stored change")
    return Change(seq=seq, at=rules.moment(at), kind=kind, subject=subject, detail=told)


def _webhook(doc: bytes) -> Webhook:
    return unpack(doc, Webhook, what="a stored webhook")
