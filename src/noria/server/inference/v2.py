"""Open Inference Protocol V2 over REST: its paths, and Triton's extensions of it that a worker has: binary tensors, classes, repository, counts.

Source: kserve/open-inference-protocol, specification/protocol/inference_rest.md; Triton, docs/protocol/extension_*.md.
Reading a request is v2_question, writing an answer v2_answer, what the server tells of itself v2_facts; gRPC is grpc/.
"""

from typing import Any, TypeVar, cast

import msgspec

from noria.errors import BundleError, NoriaError, RequestInvalid
from noria.server.inference.answering import Answer, Question
from noria.server.inference.codec import Call, Desk, Headers, Reply
from noria.server.inference.v2_answer import compressed, respond
from noria.server.inference.v2_facts import absent, index, model, server, statistics
from noria.server.inference.v2_question import V2Question

ABSENT = {
    "trace": "trace",
    "logging": "logging",
    "systemsharedmemory": "system_shared_memory",
    "cudasharedmemory": "cuda_shared_memory",
}
"""Parts of paths that belong to extensions of Triton which a worker does not have: a client is told so, not that it mistyped."""
T = TypeVar("T")
_encode = msgspec.json.Encoder().encode


class IndexRequest(msgspec.Struct, frozen=True):
    """The body of a request for the repository's index."""

    ready: bool = False


class RepositoryRequest(msgspec.Struct, frozen=True):
    """The body of load and unload."""

    parameters: dict[str, Any] | None = None


class V2Codec:
    """See codec.Codec. Verbs: infer; live, ready, server; model, model_ready; index, load, unload; stats; absent."""

    name = "v2"
    roots = ("v2",)

    def call(self, method: str, path: str) -> Call | None:
        """See Codec."""
        call: Call | None = None
        match (method, *path.removesuffix("/").split("/")[2:]):
            case ("GET",):
                call = Call("tell", "server")
            case ("GET", "health", ("live" | "ready") as verb):
                call = Call("tell", verb, is_open=True)
            case ("GET", "models", "stats"):
                call = Call("tell", "stats")
            case (_, "models", name, "versions", version, *rest) if name and version:
                call = _about_model(method, name, version, rest)
            case (_, "models", name, *rest) if name:
                call = _about_model(method, name, None, rest)
            case ("POST", "repository", "index"):
                call = Call("tell", "index")
            case ("POST", "repository", "models", name, ("load" | "unload") as verb) if name:
                call = Call("tell", verb, name)
            case (_, part, *_) if part in ABSENT:
                call = Call("tell", "absent", variant=ABSENT[part])
        return call

    def ask(self, call: Call, headers: Headers, body: bytes) -> Question:
        """See Codec."""
        length = headers.get("inference-header-content-length")
        return V2Question(body, header_length=length, accepts=headers.get("accept-encoding"))

    def respond(self, call: Call, question: Question, answer: Answer) -> Reply:
        """See Codec."""
        return respond(answer, cast(V2Question, question))

    async def tell(self, call: Call, headers: Headers, body: bytes, desk: Desk) -> Reply:
        """See Codec."""
        told: Any
        status = 200
        match call.verb:
            case "live" | "ready":
                told = {call.verb: call.verb == "live" or desk.board.ready()}
                status = 200 if told[call.verb] else 503
            case "server":
                told = server()
            case "index":
                told = index(desk.board, ready=_read(body, IndexRequest).ready)
            case "stats":
                told = {"model_stats": statistics(desk.board, desk.metrics, call.model, call.version)}
            case "load" | "unload":
                told, status = await _change(call, body, desk)
            case "absent":
                told, status = {"error": absent(call.variant or "")}, 501
            case _:
                told = model(desk.board, call.model, call.version)
                if call.verb == "model_ready":
                    told = {"name": call.model, "ready": True}
        return compressed(Reply(_encode(told), status), headers.get("accept-encoding"))

    def refuse(self, call: Call | None, status: int, error: NoriaError) -> Reply:
        """See Codec."""
        return Reply(_encode({"error": str(error)}), status)


CODEC = V2Codec()


def _about_model(method: str, name: str, version: str | None, rest: list[str]) -> Call | None:
    if method == "POST" and rest == ["infer"]:
        return Call("predict", "infer", name, version)
    if method == "GET" and rest in ([], ["ready"], ["stats"]):
        return Call("tell", {"ready": "model_ready", "stats": "stats"}.get("".join(rest), "model"), name, version)
    if rest == ["trace", "setting"]:
        return Call("tell", "absent", variant="trace")
    if method == "GET" and rest == ["config"]:
        return Call("tell", "absent", variant="model_configuration")
    return None


async def _change(call: Call, body: bytes, desk: Desk) -> tuple[dict[str, str], int]:
    """Load or unload. What keeps a model from loading is the request's failure, not the server's: 400, as Triton has it."""
    parameters = _read(body, RepositoryRequest).parameters or {}
    refuse_parameters(call.verb, parameters)
    try:
        await (desk.load(call.model) if call.verb == "load" else desk.unload(call.model))
    except BundleError as error:
        return {"error": str(error)}, 400
    return {}, 200


def refuse_parameters(verb: str, parameters: dict[str, Any]) -> None:
    """Triton takes a configuration and files with `load`; a deployment is what was published. Raises RequestInvalid."""
    known = {"unload_dependents"} if verb == "unload" else set()
    foreign = sorted(parameters.keys() - known)
    if foreign:
        raise RequestInvalid(
            f"parameter {foreign[0]!r} of {verb!r} is not supported",
            cause="a deployment is loaded as it was published",
            remedy="leave the parameter out",
        )


def _read(body: bytes, kind: type[T]) -> T:
    """A body of JSON; an empty one stands for an empty object."""
    try:
        return msgspec.json.decode(body or b"{}", type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        raise RequestInvalid(
            "the request does not follow the protocol", cause=str(exc), remedy="send an object, or nothing"
        ) from exc
