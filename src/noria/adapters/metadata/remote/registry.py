"""The ports of the registry over HTTP: models, catalog and feed. How a call is made is server.py."""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import cast

from noria.adapters.metadata.remote.server import Server, listed
from noria.domain.change import Change, ChangeKind, Webhook
from noria.domain.ids import WebhookId
from noria.domain.model import AliasMove, ModelVersion, Packaged, RegisteredModel
from noria.domain.query import Page, Query


class RemoteModels:
    """ports.models.ModelStore."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def register(self, version: ModelVersion) -> ModelVersion:
        return cast(ModelVersion, self._server.call("models.register", version=version))

    def get(self, model: str, number: int) -> ModelVersion:
        return cast(ModelVersion, self._server.call("models.get", model=model, number=number))

    def versions(self, model: str) -> list[ModelVersion]:
        return cast(list[ModelVersion], self._server.call("models.versions", model=model))

    def search(self, query: Query) -> Page[ModelVersion]:
        return cast(Page[ModelVersion], self._server.call("models.search", query=query))

    def amend(
        self,
        model: str,
        number: int,
        *,
        at: datetime,
        description: str | None = None,
        tags: Mapping[str, str | None] | None = None,
        packaged: Packaged | None = None,
    ) -> ModelVersion:
        changes = None if tags is None else dict(tags)
        answer = self._server.call(
            "models.amend",
            model=model,
            number=number,
            at=at,
            description=description,
            tags=changes,
            packaged=packaged,
        )
        return cast(ModelVersion, answer)

    def delete(self, model: str, number: int, *, at: datetime) -> None:
        self._server.call("models.delete", model=model, number=number, at=at)

    def next_number(self, model: str) -> int:
        return cast(int, self._server.call("models.next_number", model=model))

    def models(self) -> list[str]:
        return cast(list[str], self._server.call("models.models"))

    def move_alias(self, move: AliasMove) -> None:
        self._server.call("models.move_alias", move=move)

    def alias(self, model: str, alias: str) -> int | None:
        return cast(int | None, self._server.call("models.alias", model=model, alias=alias))

    def aliases(self, model: str) -> dict[str, int]:
        return cast(dict[str, int], self._server.call("models.aliases", model=model))

    def alias_history(self, model: str, alias: str | None = None) -> list[AliasMove]:
        return cast(list[AliasMove], self._server.call("models.alias_history", model=model, alias=alias))


class RemoteCatalog:
    """ports.catalog.ModelCatalog."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def create(
        self, name: str, *, at: datetime, description: str = "", tags: Mapping[str, str] | None = None
    ) -> RegisteredModel:
        own = None if tags is None else dict(tags)
        answer = self._server.call("catalog.create", name=name, at=at, description=description, tags=own)
        return cast(RegisteredModel, answer)

    def get(self, name: str) -> RegisteredModel:
        return cast(RegisteredModel, self._server.call("catalog.get", name=name))

    def search(self, query: Query) -> Page[RegisteredModel]:
        return cast(Page[RegisteredModel], self._server.call("catalog.search", query=query))

    def count(self, query: Query) -> int:
        return cast(int, self._server.call("catalog.count", query=query))

    def rename(self, name: str, new: str, *, at: datetime) -> RegisteredModel:
        return cast(RegisteredModel, self._server.call("catalog.rename", name=name, new=new, at=at))

    def amend(
        self,
        name: str,
        *,
        at: datetime,
        description: str | None = None,
        tags: Mapping[str, str | None] | None = None,
    ) -> RegisteredModel:
        changes = None if tags is None else dict(tags)
        answer = self._server.call("catalog.amend", name=name, at=at, description=description, tags=changes)
        return cast(RegisteredModel, answer)

    def delete(self, name: str, *, at: datetime) -> None:
        self._server.call("catalog.delete", name=name, at=at)


class RemoteFeed:
    """ports.feed.Feed."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def read(self, *, after: int = 0, limit: int = 1000, kinds: Collection[ChangeKind] | None = None) -> list[Change]:
        return cast(list[Change], self._server.call("feed.read", after=after, limit=limit, kinds=listed(kinds)))

    def newest(self) -> int:
        return cast(int, self._server.call("feed.newest"))

    def forget(self, *, until: int) -> int:
        return cast(int, self._server.call("feed.forget", until=until))

    def put_webhook(self, webhook: Webhook) -> Webhook:
        return cast(Webhook, self._server.call("feed.put_webhook", webhook=webhook))

    def webhook(self, webhook_id: WebhookId) -> Webhook:
        return cast(Webhook, self._server.call("feed.webhook", webhook_id=webhook_id))

    def webhooks(self) -> list[Webhook]:
        return cast(list[Webhook], self._server.call("feed.webhooks"))

    def drop_webhook(self, webhook_id: WebhookId) -> None:
        self._server.call("feed.drop_webhook", webhook_id=webhook_id)

    def mark_webhook(self, webhook_id: WebhookId, *, failing_since: datetime | None, switched_off: str = "") -> Webhook:
        answer = self._server.call(
            "feed.mark_webhook", webhook_id=webhook_id, failing_since=failing_since, switched_off=switched_off
        )
        return cast(Webhook, answer)

    def delivered(self, webhook_id: WebhookId) -> int:
        return cast(int, self._server.call("feed.delivered", webhook_id=webhook_id))

    def advance(self, webhook_id: WebhookId, *, seq: int) -> None:
        self._server.call("feed.advance", webhook_id=webhook_id, seq=seq)
