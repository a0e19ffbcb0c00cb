"""Registered models, versions and aliases in memory. What may become of them is metadata/rules_registry. Made by MemoryMetadata."""

from collections.abc import Callable, Mapping
from datetime import datetime
from threading import RLock

import msgspec
from msgspec.structs import replace

from noria.adapters.metadata import matching
from noria.adapters.metadata import rules_registry as rules
from noria.adapters.metadata.memory.feed import MemoryFeed
from noria.adapters.metadata.memory.views import model_view, version_view
from noria.domain.change import Change, ChangeKind
from noria.domain.deployment import Deployment
from noria.domain.ids import Digest
from noria.domain.model import AliasMove, ModelVersion, Packaged, RegisteredModel
from noria.domain.query import Field, Order, Page, Query
from noria.wire.nouns import pack

BY_NAME = (Order(field=Field(scope="attribute", key="name")),)


class Shelf(msgspec.Struct):
    """A registered model with all that belongs to it. made: what was registered under each number that was ever given."""

    model: RegisteredModel
    versions: dict[int, ModelVersion] = {}
    made: dict[int, Digest] = {}
    moves: list[AliasMove] = []
    aliases: dict[str, int] = {}


class Shelves:
    """Every model's shelf, by its name. Whoever calls a method holds the lock."""

    def __init__(self, lock: RLock, *, feed: MemoryFeed, deployments: Callable[[], list[Deployment]]) -> None:
        self.lock = lock
        self.feed = feed
        self.deployments = deployments
        self.clear()

    def clear(self) -> None:
        """Back to the beginning."""
        self.by_name: dict[str, Shelf] = {}

    def find(self, name: str) -> Shelf:
        """Raises NotFound."""
        if name not in self.by_name:
            raise rules.missing_model(name, self.by_name)
        return self.by_name[name]

    def add(self, model: RegisteredModel) -> Shelf:
        """A new model, told to the feed."""
        shelf = self.by_name[model.name] = Shelf(model=model)
        detail = rules.model_detail(model.description, model.tags)
        self.tell("model.created", model.name, at=model.created_at, detail=detail)
        return shelf

    def tell(self, kind: ChangeKind, subject: str, *, at: datetime, detail: Mapping[str, str] | None = None) -> None:
        """Write a change to the feed."""
        self.feed.tell(Change(seq=0, at=at, kind=kind, subject=subject, detail=dict(detail or {})))


class MemoryCatalog:
    """ports.catalog.ModelCatalog."""

    def __init__(self, shelves: Shelves) -> None:
        self._shelves = shelves
        self._lock = shelves.lock

    def create(
        self, name: str, *, at: datetime, description: str = "", tags: Mapping[str, str] | None = None
    ) -> RegisteredModel:
        rules.check_model_name(name)
        made = RegisteredModel(name=name, created_at=at, updated_at=at)
        model = rules.amended_model(made, at=at, description=description, tags=tags)
        pack(model)
        with self._lock:
            if name in self._shelves.by_name:
                raise rules.taken_model(name)
            return self._shelves.add(model).model

    def get(self, name: str) -> RegisteredModel:
        with self._lock:
            return self._shelves.find(name).model

    def search(self, query: Query) -> Page[RegisteredModel]:
        with self._lock:
            return matching.page(
                [shelf.model for shelf in self._shelves.by_name.values()],
                query if query.order else replace(query, order=BY_NAME),
                kind="models",
                view_of=model_view,
                id_of=lambda model: model.name,
                newest_of=lambda model: model.created_at,
            )

    def count(self, query: Query) -> int:
        with self._lock:
            models = [shelf.model for shelf in self._shelves.by_name.values()]
            return len(matching.chosen(models, query, kind="models", view_of=model_view))

    def rename(self, name: str, new: str, *, at: datetime) -> RegisteredModel:
        rules.check_model_name(new)
        with self._lock:
            shelves = self._shelves
            shelf = shelves.find(name)
            if new == name:
                return shelf.model
            if new in shelves.by_name:
                raise rules.taken_model(new)
            rules.check_unserved(name, shelves.deployments())
            renamed = replace(rules.amended_model(shelf.model, at=at, description=None, tags=None), name=new)
            del shelves.by_name[name]
            shelves.by_name[new] = Shelf(
                model=renamed,
                versions={number: replace(version, model=new) for number, version in shelf.versions.items()},
                made=shelf.made,
                moves=[replace(move, model=new) for move in shelf.moves],
                aliases=shelf.aliases,
            )
            shelves.tell("model.renamed", new, at=at, detail={"previous": name})
            return renamed

    def amend(
        self,
        name: str,
        *,
        at: datetime,
        description: str | None = None,
        tags: Mapping[str, str | None] | None = None,
    ) -> RegisteredModel:
        with self._lock:
            shelf = self._shelves.find(name)
            changed = rules.amended_model(shelf.model, at=at, description=description, tags=tags)
            pack(changed)
            shelf.model = changed
            return changed

    def delete(self, name: str, *, at: datetime) -> None:
        with self._lock:
            self._shelves.find(name)
            rules.check_unserved(name, self._shelves.deployments())
            del self._shelves.by_name[name]
            self._shelves.tell("model.deleted", name, at=at)


class MemoryModels:
    """ports.models.ModelStore."""

    def __init__(self, shelves: Shelves) -> None:
        self._shelves = shelves
        self._lock = shelves.lock

    def register(self, version: ModelVersion) -> ModelVersion:
        rules.check_version(version)
        pack(version)
        digest = rules.made(version)
        with self._lock:
            shelves = self._shelves
            shelf = shelves.by_name.get(version.model)
            if shelf is not None and version.number in shelf.made:
                stored = shelf.versions.get(version.number)
                if stored is None or shelf.made[version.number] != digest:
                    raise rules.taken_number(version, deleted=stored is None)
                return stored
            at = version.created_at
            if shelf is None:
                shelf = shelves.add(RegisteredModel(name=version.model, created_at=at, updated_at=at))
            shelf.versions[version.number], shelf.made[version.number] = version, digest
            shelf.model = replace(shelf.model, updated_at=at)
            shelves.tell("version.created", version.ref, at=at, detail=rules.version_detail(version))
            return version

    def get(self, model: str, number: int) -> ModelVersion:
        with self._lock:
            return self._find(model, number)

    def versions(self, model: str) -> list[ModelVersion]:
        with self._lock:
            shelf = self._shelves.by_name.get(model)
            return [shelf.versions[number] for number in sorted(shelf.versions)] if shelf else []

    def search(self, query: Query) -> Page[ModelVersion]:
        with self._lock:
            return matching.page(
                [version for shelf in self._shelves.by_name.values() for version in shelf.versions.values()],
                query,
                kind="versions",
                view_of=version_view,
                id_of=lambda version: (version.model, version.number),
                newest_of=lambda version: version.created_at,
            )

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
        with self._lock:
            before = self._find(model, number)
            changed = rules.amended_version(before, at=at, description=description, tags=tags, packaged=packaged)
            pack(changed)
            self._shelves.by_name[model].versions[number] = changed
            for kind, detail in rules.tag_changes(before, tags or {}):
                self._shelves.tell(kind, changed.ref, at=at, detail=detail)
            return changed

    def delete(self, model: str, number: int, *, at: datetime) -> None:
        with self._lock:
            version = self._find(model, number)
            rules.check_unserved(model, self._shelves.deployments(), number=number)
            shelf = self._shelves.by_name[model]
            for alias in sorted(alias for alias, where in shelf.aliases.items() if where == number):
                self._move(shelf, rules.move_by_deletion(model, alias, number, at=at))
            del shelf.versions[number]
            shelf.model = replace(shelf.model, updated_at=at)
            self._shelves.tell("version.deleted", version.ref, at=at)

    def next_number(self, model: str) -> int:
        with self._lock:
            shelf = self._shelves.by_name.get(model)
            return max(shelf.made, default=0) + 1 if shelf else 1

    def models(self) -> list[str]:
        with self._lock:
            return sorted(self._shelves.by_name)

    def move_alias(self, move: AliasMove) -> None:
        rules.check_move(move)
        pack(move)
        with self._lock:
            if move.number is not None:
                self._find(move.model, move.number)
            shelf = self._shelves.find(move.model)
            if any(earlier.alias == move.alias and rules.same_move(earlier, move) for earlier in shelf.moves):
                return
            if not rules.moves_nothing(move, now=shelf.aliases.get(move.alias)):
                self._move(shelf, move)

    def alias(self, model: str, alias: str) -> int | None:
        return self.aliases(model).get(alias)

    def aliases(self, model: str) -> dict[str, int]:
        with self._lock:
            shelf = self._shelves.by_name.get(model)
            return dict(sorted(shelf.aliases.items())) if shelf else {}

    def alias_history(self, model: str, alias: str | None = None) -> list[AliasMove]:
        with self._lock:
            shelf = self._shelves.by_name.get(model)
            return [move for move in shelf.moves if alias in (None, move.alias)] if shelf else []

    def _move(self, shelf: Shelf, move: AliasMove) -> None:
        previous = shelf.aliases.get(move.alias)
        shelf.moves.append(replace(move, previous=previous))
        if move.number is None:
            del shelf.aliases[move.alias]
        else:
            shelf.aliases[move.alias] = move.number
        kind, subject, detail = rules.alias_change(move, previous=previous)
        self._shelves.tell(kind, subject, at=move.at, detail=detail)

    def _find(self, model: str, number: int) -> ModelVersion:
        shelf = self._shelves.by_name.get(model)
        if shelf is None or number not in shelf.versions:
            known = [version.ref for each in self._shelves.by_name.values() for version in each.versions.values()]
            raise rules.missing_version(model, number, known)
        return shelf.versions[number]
