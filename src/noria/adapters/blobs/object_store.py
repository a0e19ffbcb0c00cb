"""Blobs in an object store (S3 and what speaks its protocol, Google's, Azure's) through obstore, extra `noria[s3]`.

Keys below the location's prefix: `objects/ab/cd/<rest of the digest>` is content; `large/ab/cd/<rest>` names the key under which content stands that
came in pieces and was too large to be held until its digest was known; `uploads/<random>` is that content; `documents/<name>`.
Credentials come from the environment alone (AWS_ACCESS_KEY_ID, ...), never from a location. Loaded by app/plugins.
"""

import contextlib
import os
import secrets
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from queue import Full, Queue
from threading import Event, Thread
from typing import Any, cast
from urllib.parse import parse_qsl, urlsplit, urlunsplit

import obstore
from blake3 import blake3
from obstore import exceptions as oops
from obstore.store import from_url

from noria.adapters.blobs.names import hexadecimal, parts_of
from noria.domain.ids import Digest, digest_of
from noria.errors import (
    AlreadyExists,
    DiskFull,
    InputInvalid,
    NoriaError,
    NotFound,
    SettingInvalid,
    SourceUnreadable,
    StoreCorrupt,
    StoreUnavailable,
)

CHUNK = 1 << 20
PART = 8 << 20
"""Bytes of one part of an upload, and the most that is held in memory of content whose digest is not known yet."""
AHEAD = 4
"""Pieces of a source that may wait for their turn."""
STILL_FRESH = timedelta(minutes=10)
"""Content put more recently than this is not written again when it is put once more."""
OPTIONS = {"endpoint": "endpoint", "region": "region", "virtual_hosted": "virtual_hosted_style_request"}
SCHEMES = ("s3", "s3a", "gs", "az", "abfs", "abfss")


def open_store(location: str) -> "ObjectBlobStore":
    """Open a bucket and a prefix in it: 's3://bucket/prefix', with '?endpoint=http://127.0.0.1:9000&region=eu-1' where it is not Amazon's own.

    Asks the store nothing yet. Raises SettingInvalid for an address that is none, or that carries a secret.
    """
    parts = urlsplit(location)
    if parts.scheme not in SCHEMES or not parts.hostname:
        raise SettingInvalid(
            f"{parts.scheme}://{parts.hostname or ''} is no object store",
            cause=f"an address begins with one of {', '.join(SCHEMES)} and names a bucket",
            remedy="stores.blobs_location = 's3://bucket/prefix'",
        )
    if parts.username or parts.password:
        raise SettingInvalid(
            "the address of an object store carries a secret",
            cause="settings are read by many",
            remedy="export AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
        )
    config: dict[str, Any] = {}
    for name, value in parse_qsl(parts.query):
        if name not in OPTIONS:
            raise SettingInvalid(f"an object store has no option {name!r}", cause=f"known: {', '.join(OPTIONS)}")
        config[OPTIONS[name]] = value
    plain = str(config.get("endpoint", "")).startswith("http://")
    address = urlunsplit((parts.scheme, parts.netloc, parts.path, "", ""))
    try:
        store: Any = from_url(
            address, config=cast(Any, config or None), client_options=cast(Any, {"allow_http": True} if plain else None)
        )
    except (oops.BaseError, ValueError, TypeError) as exc:
        raise SettingInvalid(f"the object store {address} cannot be used", cause=str(exc)) from exc
    return ObjectBlobStore(store, f"{parts.scheme}://{parts.netloc}{parts.path}".rstrip("/"))


class ObjectBlobStore:
    """Content-addressed objects. Safe for any number of threads, processes and machines."""

    def __init__(self, store: Any, name: str) -> None:
        self._store = store
        self._name = name

    def put(self, content: bytes) -> Digest:
        """See ports/blobs. Costs a question and, unless the content was put lately, an upload."""
        digest = digest_of(content)
        if not self._fresh(digest):
            with self._asked(f"content {digest} cannot be stored"):
                obstore.put(self._store, _key("objects", digest), content, use_multipart=len(content) > PART)
        return digest

    def put_chunks(self, chunks: Iterable[bytes]) -> tuple[Digest, int]:
        """See ports/blobs. What is larger than one part is uploaded while it comes, under a key of its own; nothing goes over this machine's disk."""
        source = iter(chunks)
        held: list[bytes] = []
        size = 0
        for chunk in source:
            held.append(bytes(chunk))
            size += len(chunk)
            if size > PART:
                return self._put_large(held, source)
        return self.put(b"".join(held)), size

    def put_file(self, path: Path) -> Digest:
        """See ports/blobs. Reads once, one part at a time."""
        return self.put_chunks(_pieces_of(path))[0]

    def get(self, digest: Digest) -> bytes:
        """See ports/blobs."""
        return b"".join(self.chunks(digest))

    def chunks(self, digest: Digest, *, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """See ports/blobs."""
        key, size = self._place(digest)
        begin, stop = max(start, 0), size if end is None else min(end, size)
        if begin >= stop:
            return iter(())
        options: dict[str, Any] = {} if (begin, stop) == (0, size) else {"options": {"range": (begin, stop)}}
        with self._asked(f"content {digest} cannot be read", digest):
            stream = obstore.get(self._store, key, **options).stream(min_chunk_size=CHUNK)
        return self._pieces(stream, digest, whole=(begin, stop) == (0, size))

    def export(self, digest: Digest, target: Path) -> None:
        """See ports/blobs. A copy; it appears whole."""
        pieces = self.chunks(digest)
        temporary = target.with_name(f".{secrets.token_hex(8)}.part")
        try:
            with open(temporary, "xb") as file:
                for piece in pieces:
                    file.write(piece)
                os.fchmod(file.fileno(), 0o444)
            os.link(temporary, target)
        except FileExistsError as exc:
            raise AlreadyExists(f"file {str(target)!r} exists", remedy="export to a new path") from exc
        except OSError as exc:
            kind = DiskFull if DiskFull.is_behind(exc) else StoreUnavailable
            raise kind(f"content {digest} cannot be written to {str(target)!r}", cause=str(exc)) from exc
        finally:
            temporary.unlink(missing_ok=True)

    def has(self, digest: Digest) -> bool:
        """See ports/blobs."""
        try:
            self._place(digest)
        except NotFound:
            return False
        return True

    def size(self, digest: Digest) -> int:
        """See ports/blobs."""
        return self._place(digest)[1]

    def delete(self, digest: Digest, *, idle_since: datetime | None = None) -> bool:
        """See ports/blobs. Between the last look at its age and the deletion lie milliseconds: `noria gc` leaves what is younger than a day."""
        found = False
        for folder in ("objects", "large"):
            key = _key(folder, digest)
            meta = self._head(key, digest)
            if meta is None or (idle_since is not None and meta["last_modified"] >= idle_since):
                continue
            with self._asked(f"content {digest} cannot be deleted"):
                large = self._pointed(key)[0] if folder == "large" else ""
                obstore.delete(self._store, [key, large] if large else key)
            found = True
        return found

    def digests(self, *, idle_since: datetime | None = None) -> Iterator[Digest]:
        """See ports/blobs."""
        for folder in ("objects", "large"):
            with self._asked("the contents cannot be listed"):
                for batch in obstore.list(self._store, prefix=f"{folder}/"):
                    for meta in batch:
                        if idle_since is None or meta["last_modified"] < idle_since:
                            yield Digest("blake3:" + str(meta["path"]).removeprefix(folder).replace("/", ""))

    def publish(self, name: str, document: bytes) -> None:
        """See ports/blobs."""
        key = "/".join(("documents", *parts_of(name)))
        with self._asked(f"document {name!r} cannot be stored"):
            parents = ["/".join(key.split("/")[:depth]) for depth in range(2, key.count("/") + 1)]
            below = next(iter(obstore.list(self._store, prefix=f"{key}/", chunk_size=1)), None)
            if below or any(self._head(parent, None) for parent in parents):
                raise InputInvalid(
                    f"{name!r} would be folder and file at once", cause="another document's name says so"
                )
            obstore.put(self._store, key, document)

    def published(self, name: str) -> bytes | None:
        """See ports/blobs."""
        key = "/".join(("documents", *parts_of(name)))
        with self._asked(f"document {name!r} cannot be read"):
            try:
                return bytes(obstore.get(self._store, key).bytes())
            except (FileNotFoundError, oops.NotFoundError):
                return None

    def _put_large(self, held: list[bytes], rest: Iterator[bytes]) -> tuple[Digest, int]:
        """Upload under a random key while hashing, then name that key under the digest. What breaks off leaves no content behind."""
        hasher, size = blake3(), 0
        key = f"uploads/{secrets.token_hex(16)}"
        broken: list[BaseException] = []

        def hashed() -> Iterator[bytes]:
            nonlocal size
            try:
                for chunk in held:
                    hasher.update(chunk)
                    size += len(chunk)
                    yield chunk
                held.clear()
                for chunk in _beside(rest):
                    hasher.update(chunk)
                    size += len(chunk)
                    yield bytes(chunk)
            except BaseException as error:
                broken.append(error)
                raise

        try:
            with self._asked("content that comes in pieces cannot be stored"):
                obstore.put(self._store, key, hashed(), chunk_size=PART, max_concurrency=4)
        except NoriaError:
            if broken:
                raise broken[0] from None
            raise
        digest = Digest("blake3:" + hasher.hexdigest())
        with self._asked(f"content {digest} cannot be stored"):
            if self._fresh(digest):
                obstore.delete(self._store, key)
            else:
                obstore.put(self._store, _key("large", digest), f"{key} {size}".encode())
        return digest, size

    def _pieces(self, stream: Iterable[Any], digest: Digest, *, whole: bool) -> Iterator[bytes]:
        """At most CHUNK bytes each; the last of a whole read only if all of them have the digest."""
        hasher = blake3()
        waiting = b""
        with self._asked(f"content {digest} cannot be read", digest):
            for received in stream:
                view = memoryview(bytes(received))
                for start in range(0, len(view), CHUNK):
                    if waiting:
                        yield waiting
                    waiting = bytes(view[start : start + CHUNK])
                    if whole:
                        hasher.update(waiting)
        if whole and "blake3:" + hasher.hexdigest() != digest:
            raise StoreCorrupt(
                f"content {digest} is damaged", cause=f"what {self._name} gave does not have this digest"
            )
        if waiting:
            yield waiting

    def _fresh(self, digest: Digest) -> bool:
        """Whether the content was put so lately that nobody deletes it as idle."""
        since = datetime.now(UTC) - STILL_FRESH
        metas = (self._head(_key(folder, digest), digest) for folder in ("objects", "large"))
        return any(meta is not None and meta["last_modified"] > since for meta in metas)

    def _place(self, digest: Digest) -> tuple[str, int]:
        """Key and size of content. Raises NotFound."""
        meta = self._head(_key("objects", digest), digest)
        if meta is not None:
            return _key("objects", digest), int(meta["size"])
        with self._asked(f"content {digest} cannot be read", digest):
            return self._pointed(_key("large", digest))

    def _pointed(self, key: str) -> tuple[str, int]:
        text = bytes(obstore.get(self._store, key).bytes()).decode()
        place, _, size = text.partition(" ")
        return place, int(size)

    def _head(self, key: str, digest: Digest | None) -> Any:
        """What the store says of a key, or None."""
        with self._asked(f"{digest or key} cannot be looked up"):
            try:
                return obstore.head(self._store, key)
            except (FileNotFoundError, oops.NotFoundError):
                return None

    @contextlib.contextmanager
    def _asked(self, problem: str, digest: Digest | None = None) -> Iterator[None]:
        """Say what the store's errors mean."""
        try:
            yield
        except (FileNotFoundError, oops.NotFoundError) as exc:
            if digest is not None:
                raise NotFound.of("content", digest) from exc
            raise SettingInvalid(problem, cause=f"{self._name} is not there", remedy="make the bucket") from exc
        except (oops.PermissionDeniedError, oops.UnauthenticatedError) as exc:
            raise StoreUnavailable(
                problem,
                cause=f"{self._name} refuses the credentials that the environment gives",
                remedy="export AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY of somebody who may read and write there",
            ) from exc
        except (oops.BaseError, OSError) as exc:
            cause = str(exc).splitlines()[0][:300]
            raise StoreUnavailable(
                problem, cause=f"{self._name}: {cause}", remedy="check the address and the network"
            ) from exc


def _beside(source: Iterator[bytes]) -> Iterator[bytes]:
    """The source's pieces, pulled by a thread of its own. The library asks for pieces inside its runtime, where a source that reads from an
    object store itself could not ask the library again."""
    pieces: Queue[tuple[bytes, BaseException | None, bool]] = Queue(maxsize=AHEAD)
    ended = Event()

    def hand_over(piece: bytes, error: BaseException | None = None, *, more: bool) -> None:
        while not ended.is_set():
            with contextlib.suppress(Full):
                pieces.put((piece, error, more), timeout=0.1)
                return

    def pull() -> None:
        try:
            for piece in source:
                hand_over(bytes(piece), more=True)
                if ended.is_set():
                    return
            hand_over(b"", more=False)
        except BaseException as error:  # noqa: BLE001  it is raised where the pieces are used
            hand_over(b"", error, more=False)

    thread = Thread(target=pull, name="noria-upload", daemon=True)
    thread.start()
    try:
        more = True
        while more:
            piece, error, more = pieces.get()
            if error is not None:
                raise error
            if piece:
                yield piece
    finally:
        ended.set()


def _key(folder: str, digest: Digest) -> str:
    text = hexadecimal(digest)
    return f"{folder}/{text[:2]}/{text[2:4]}/{text[4:]}"


def _pieces_of(path: Path) -> Iterator[bytes]:
    try:
        with open(path, "rb") as file:
            while piece := file.read(CHUNK):
                yield piece
    except OSError as exc:
        raise SourceUnreadable(f"file {str(path)!r} cannot be read", cause=str(exc)) from exc
