"""Blobs of a Noria server over HTTP: the client is an adapter (ADR 4). The other end is server/control/blobs. Standard library only.

Content goes up and down in pieces; what comes down is checked against its digest here as well. Loaded by app/plugins.
"""

import http.client
import json
import os
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from urllib.parse import quote, unquote, urlencode, urlsplit

import msgspec
from blake3 import blake3

from noria.adapters.blobs.names import hexadecimal, parts_of
from noria.domain.ids import Digest, digest_of
from noria.errors import (
    AlreadyExists,
    DiskFull,
    NotFound,
    SettingInvalid,
    SourceUnreadable,
    StoreCorrupt,
    StoreError,
    StoreUnavailable,
)
from noria.wire import calls

PATH = "/api/v1/blobs"
CHUNK = 1 << 20
TIMEOUT_S = 60.0


def open_store(location: str) -> "RemoteBlobStore":
    """The blobs behind a server's address, such as 'http://127.0.0.1:8321', or 'https://KEY@host' if it asks for a key. Asks nothing yet."""
    parts = urlsplit(location)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise SettingInvalid("that is no address of a server", remedy="stores.blobs_location = 'http://127.0.0.1:8321'")
    return RemoteBlobStore(location)


class RemoteBlobStore:
    """One connection a call: content is large, and connecting is cheap beside it. Thread-safe."""

    def __init__(self, location: str) -> None:
        parts = urlsplit(location)
        self._address = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"  # never with the key
        self._kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        self._host = (parts.hostname or "", parts.port)
        self._path = parts.path.rstrip("/") + PATH
        self._headers = {"authorization": f"Bearer {unquote(parts.username)}"} if parts.username else {}

    def put(self, content: bytes) -> Digest:
        """See ports/blobs. Costs a question; the content travels only if the server lacks it."""
        digest = digest_of(content)
        return digest if self.has(digest) else self.put_chunks((content,))[0]

    def put_chunks(self, chunks: Iterable[bytes]) -> tuple[Digest, int]:
        """See ports/blobs."""
        hasher, size = blake3(), 0
        broken: list[BaseException] = []

        def sent() -> Iterator[bytes]:
            nonlocal size
            try:
                for chunk in chunks:
                    hasher.update(chunk)
                    size += len(chunk)
                    if chunk:
                        yield chunk
            except BaseException as error:
                broken.append(error)
                raise

        try:
            answer = json.loads(self._whole("POST", "", body=sent()))
        except StoreUnavailable:
            if broken:
                raise broken[0] from None
            raise
        if answer["digest"] != "blake3:" + hasher.hexdigest():
            raise StoreCorrupt(
                "content was changed on its way to the server", cause=self._address, remedy="send it again"
            )
        return Digest(answer["digest"]), size

    def put_file(self, path: Path) -> Digest:
        """See ports/blobs."""
        try:
            with open(path, "rb") as file:
                return self.put_chunks(iter(lambda: file.read(CHUNK), b""))[0]
        except OSError as exc:
            raise SourceUnreadable(f"file {str(path)!r} cannot be read", cause=str(exc)) from exc

    def chunks(self, digest: Digest, *, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """See ports/blobs."""
        hexadecimal(digest)
        query = {"start": max(start, 0)} | ({} if end is None else {"end": end})
        connection, response = self._ask("GET", f"/{digest}?{urlencode(query)}")
        return self._pieces(connection, response, digest, whole=start <= 0 and end is None)

    def get(self, digest: Digest) -> bytes:
        """See ports/blobs."""
        return b"".join(self.chunks(digest))

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
            self.size(digest)
        except NotFound:
            return False
        return True

    def size(self, digest: Digest) -> int:
        """See ports/blobs."""
        hexadecimal(digest)
        return int(json.loads(self._whole("GET", f"/{digest}/size"))["size"])

    def delete(self, digest: Digest, *, idle_since: datetime | None = None) -> bool:
        """See ports/blobs."""
        hexadecimal(digest)
        return bool(json.loads(self._whole("DELETE", f"/{digest}{_since(idle_since)}"))["deleted"])

    def digests(self, *, idle_since: datetime | None = None) -> Iterator[Digest]:
        """See ports/blobs."""
        text = self._whole("GET", f"/{_since(idle_since)}").decode()
        return (Digest(line) for line in text.splitlines())

    def publish(self, name: str, document: bytes) -> None:
        """See ports/blobs."""
        parts_of(name)
        self._whole("PUT", f"/documents?name={quote(name, safe='')}", body=document)

    def published(self, name: str) -> bytes | None:
        """See ports/blobs."""
        parts_of(name)
        connection, response = self._ask("GET", f"/documents?name={quote(name, safe='')}")
        with self._closing(connection):
            return response.read() if response.status == 200 else None

    def _whole(self, method: str, path: str, *, body: bytes | Iterable[bytes] | None = None) -> bytes:
        connection, response = self._ask(method, path, body=body)
        with self._closing(connection):
            return response.read()

    def _ask(
        self, method: str, path: str, *, body: bytes | Iterable[bytes] | None = None
    ) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
        """Send one request; gives the answer's head. Raises what the server raised; StoreUnavailable if it does not answer."""
        connection = self._kind(*self._host, timeout=TIMEOUT_S)
        try:
            connection.request(method, self._path + path, body, self._headers)
            response = connection.getresponse()
            if response.status < 300:
                return connection, response
            content = response.read()
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise self._away(error) from error
        except BaseException:
            connection.close()
            raise
        connection.close()
        raise self._refused(response.status, content)

    def _pieces(
        self, connection: http.client.HTTPConnection, response: http.client.HTTPResponse, digest: Digest, *, whole: bool
    ) -> Iterator[bytes]:
        """The last piece of a whole read comes only if all of them have the digest."""
        hasher, waiting = blake3(), b""
        with self._closing(connection):
            while piece := response.read(CHUNK):
                if waiting:
                    yield waiting
                waiting = piece
                if whole:
                    hasher.update(piece)
            if whole and "blake3:" + hasher.hexdigest() != digest:
                raise StoreCorrupt(
                    f"content {digest} is damaged", cause=f"what {self._address} sent has another digest"
                )
            if waiting:
                yield waiting

    @contextmanager
    def _closing(self, connection: http.client.HTTPConnection) -> Iterator[None]:
        try:
            yield
        except (OSError, http.client.HTTPException) as error:
            raise self._away(error) from error
        finally:
            connection.close()

    def _away(self, error: Exception) -> StoreUnavailable:
        return StoreUnavailable(
            f"the blobs at '{self._address}' do not answer",
            cause=f"{type(error).__name__}: {error}",
            remedy="noria up, on the machine of that address; then repeat the command",
        )

    def _refused(self, status: int, content: bytes) -> Exception:
        try:
            return calls.raised(msgspec.json.decode(content, type=calls.Refusal))
        except msgspec.MsgspecError:
            kind = StoreUnavailable if status >= 500 else StoreError
            return kind(
                f"'{self._address}' answered {status}",
                cause=f"its answer is not that of a Noria server: {content[:200].decode(errors='replace')!r}",
                remedy="look at the address: is it `noria up` that answers there, of a version like this one?",
            )


def _since(moment: datetime | None) -> str:
    return "" if moment is None else "?" + urlencode({"idle_since": moment.isoformat()})
