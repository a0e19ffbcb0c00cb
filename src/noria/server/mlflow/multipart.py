"""Large files in parts: begin, put the parts side by side, join them in constant memory, or give up.

Until it is complete an upload is files under a name that no client can reach: its parts, so that no collector of unused content takes them, and a
note of what it is for. Whoever began it is given addresses on this server for the parts, with the key that they showed.
"""

import secrets
from collections.abc import Iterator
from typing import Any

import msgspec

from noria.domain.ids import Digest
from noria.domain.run import Artifact
from noria.errors import NotFound
from noria.server.mlflow import wire
from noria.server.mlflow.errors import Refused, missing
from noria.server.mlflow.locations import HIDDEN, checked
from noria.server.mlflow.routing import Context, Request, Response, Route

MOST_PARTS = 10_000
LONGEST_MS = 7 * 24 * 3600 * 1000
"""After a week an upload that was never completed is given up, as its client did."""
PARTS = "/mlflow-artifacts/mpu/part/{upload_id}/{number}"


class Note(msgspec.Struct, frozen=True):
    """What an upload is for. begun: when, in ms since 1970."""

    path: str
    parts: int
    begun: int


class Create(msgspec.Struct):
    """What mpu/create takes. path: the file's name, or where it is on the client's machine."""

    path: str | None = None
    num_parts: wire.Int64 | None = None


class Credential(msgspec.Struct):
    """Where one part is to be put."""

    url: str
    part_number: int
    headers: dict[str, str]


class Created(msgspec.Struct):
    """The answer to mpu/create."""

    upload_id: str
    credentials: list[Credential]


class Part(msgspec.Struct):
    """A part that the client says it has put."""

    part_number: wire.Int64 = 0
    etag: str | None = None
    url: str | None = None


class Complete(msgspec.Struct):
    """What mpu/complete takes."""

    path: str | None = None
    upload_id: str | None = None
    parts: list[Part] | None = None


class Abort(msgspec.Struct):
    """What mpu/abort takes."""

    path: str | None = None
    upload_id: str | None = None


CREATE = wire.Form(Create, path=(wire.required, wire.string), num_parts=(wire.intlike,))
COMPLETE = wire.Form(Complete, path=(wire.required, wire.string), upload_id=(wire.string,), parts=(wire.required,))
ABORT = wire.Form(Abort, path=(wire.required, wire.string), upload_id=(wire.string,))


def create(request: Request, context: Context) -> Created:
    """Begin an upload in parts."""
    given = CREATE.read(request)
    target = _target(request, given.path or "")
    parts = 1 if given.num_parts is None else given.num_parts
    if not 1 <= parts <= MOST_PARTS:
        raise Refused(f"num_parts must be between 1 and {MOST_PARTS}, got {parts}.")
    upload_id = secrets.token_hex(16)
    begun = wire.to_ms(context.clock.now())
    _forget_old(context, begun - LONGEST_MS)
    _put(context, f"{HIDDEN}/{upload_id}/note", msgspec.json.encode(Note(target, parts, begun)))
    shown = request.header("authorization")
    headers = {"Authorization": shown} if shown else {}
    base = f"{request.header('x-forwarded-proto') or 'http'}://{request.header('host')}/api/2.0"
    path = PARTS.replace("{upload_id}", upload_id)
    return Created(
        upload_id=upload_id,
        credentials=[
            Credential(url=base + path.replace("{number}", str(number)), part_number=number, headers=headers)
            for number in range(1, parts + 1)
        ],
    )


def put_part(request: Request, context: Context) -> Response:
    """Keep one part; putting it again replaces it."""
    upload_id, number = request.args["upload_id"], request.args["number"]
    note = _note(context, upload_id)
    if not number.isdecimal() or not 1 <= int(number) <= note.parts:
        raise Refused(f"The upload has parts 1 to {note.parts}, not {number!r}.")
    try:
        digest, size = context.blobs.put_chunks(request.chunks())
    except ConnectionError:
        raise Refused("The upload was broken off; nothing of this part is kept.", "BAD_REQUEST") from None
    context.metadata.artifacts.put([Artifact(path=_part(upload_id, int(number)), digest=digest, size=size)])
    return Response(b"", 200, [(b"etag", _tag(digest).encode())])


def complete(request: Request, context: Context) -> None:
    """Join the parts to one file and forget them. Repeated it gives the same file."""
    given = COMPLETE.read(request)
    upload_id = given.upload_id or ""
    note = _note(context, upload_id)
    if note.path != _target(request, given.path or ""):
        raise Refused(f"The upload {upload_id!r} is for another file.")
    parts = sorted(given.parts or [], key=lambda part: part.part_number)
    if [part.part_number for part in parts] != list(range(1, note.parts + 1)):
        raise Refused(f"The upload has parts 1 to {note.parts}; each must be named once.")
    files = [_stored(context, upload_id, part) for part in parts]

    def joined() -> Iterator[bytes]:
        for file in files:
            yield from context.blobs.chunks(file.digest)

    digest, size = context.blobs.put_chunks(joined())
    context.metadata.artifacts.put([Artifact(path=note.path, digest=digest, size=size)])
    context.metadata.artifacts.delete(f"{HIDDEN}/{upload_id}")


def abort(request: Request, context: Context) -> None:
    """Give an upload up; what was put of it is forgotten. One that is not there is no error."""
    given = ABORT.read(request)
    upload_id = given.upload_id or ""
    if upload_id.isalnum():
        context.metadata.artifacts.delete(f"{HIDDEN}/{upload_id}")


def _forget_old(context: Context, before: int) -> None:
    """Give up uploads that were begun before a moment; collecting unused content frees their space."""
    for path, _ in context.metadata.artifacts.children(HIDDEN):
        upload_id = path.rpartition("/")[2]
        try:
            is_old = _note(context, upload_id).begun < before
        except Refused:  # completed meanwhile
            continue
        if is_old:
            context.metadata.artifacts.delete(path)


def _target(request: Request, path: str) -> str:
    """The file's path: the folder in the address and the last part of the name, wherever the client has it."""
    name = path.replace("\\", "/").rpartition("/")[2]
    folder = request.args.get("path", "").strip("/")
    return checked(f"{folder}/{name}" if folder else name)


def _note(context: Context, upload_id: str) -> Note:
    try:
        if not upload_id.isalnum():
            raise NotFound.of("upload", upload_id)
        file = context.metadata.artifacts.get(f"{HIDDEN}/{upload_id}/note")
        return msgspec.json.decode(context.blobs.get(file.digest), type=Note)
    except NotFound:
        raise missing(f"No upload in parts with id {upload_id!r} is under way.") from None


def _stored(context: Context, upload_id: str, part: Part) -> Artifact:
    """The file of a part. Raises Refused if it was never put, or is not what the client says it put."""
    try:
        file = context.metadata.artifacts.get(_part(upload_id, part.part_number))
    except NotFound:
        raise Refused(f"Part {part.part_number} of the upload was never put.") from None
    if part.etag and part.etag.strip('"') != _tag(file.digest).strip('"'):
        raise Refused(f"Part {part.part_number} of the upload is not the one that was put last.")
    return file


def _put(context: Context, path: str, content: bytes) -> None:
    context.metadata.artifacts.put([Artifact(path=path, digest=context.blobs.put(content), size=len(content))])


def _part(upload_id: str, number: int) -> str:
    return f"{HIDDEN}/{upload_id}/{number:05d}"


def _tag(digest: Digest) -> str:
    return f'"{digest.partition(":")[2]}"'


def _both(verb: str, handler: Any) -> list[Route]:
    """A verb with the folder in its address, and for the root without one."""
    path = f"/mlflow-artifacts/mpu/{verb}"
    return [Route("POST", path, handler), Route("POST", path + "/{path:path}", handler)]


ROUTES = [
    *_both("create", create),
    *_both("complete", complete),
    *_both("abort", abort),
    Route("PUT", PARTS, put_part, streams=True),
]
