"""The paths that KServe V1 and TensorFlow Serving share: /v1/models, its models with versions and labels, and what they are asked to do.

Source: KServe, "Data plane: V1 protocol"; TensorFlow Serving, "RESTful API". Bodies are tfserving, CloudEvents v1_events. Called by app.
"""

import re
from typing import cast

import msgspec

from noria.errors import NoriaError, RequestInvalid
from noria.server.inference import tfserving
from noria.server.inference.answering import Answer, Question
from noria.server.inference.codec import Call, Desk, Headers, Reply
from noria.server.inference.records_question import RowsQuestion, keys_of
from noria.server.inference.v1_events import Mode, unwrap, wrap

PATH = re.compile(
    r"/v1/models/(?P<model>[^/:]+)(?:/versions/(?P<version>[^/:]+)|/labels/(?P<label>[^/:]+))?(?P<rest>/metadata|:\w+)?"
)
VERBS = {":predict": "predict", ":classify": "classify", ":regress": "regress"}
NO_EXPLANATIONS = NoriaError(
    "this worker gives no explanations", cause="its models come without an explainer", remedy="ask it to :predict"
)

_encode = msgspec.json.Encoder().encode


class Note(msgspec.Struct, frozen=True, gc=False):
    """What an answer needs to know of its request. key: under which a prediction stands."""

    key: str = ""
    mode: Mode = ""


class V1Codec:
    """See codec.Codec. Verbs: predict, classify, regress; alive, models, status, metadata, explain."""

    name = "v1"
    roots = ("v1", "")

    def call(self, method: str, path: str) -> Call | None:
        """See Codec."""
        reads = method == "GET"
        if path in ("/", "/v1/models", "/v1/models/"):
            return Call("tell", "alive" if path == "/" else "models", is_open=path == "/") if reads else None
        found = PATH.fullmatch(path)
        if found is None:
            return None
        model, version, label, rest = found["model"], found["version"], found["label"], found["rest"]
        if method == "POST" and rest in VERBS:
            return Call("predict", VERBS[rest], model, version, label)
        if method == "POST" and rest == ":explain":
            return Call("tell", "explain", model, version, label)
        if reads and rest in (None, "/metadata"):
            return Call("tell", "metadata" if rest else "status", model, version, label)
        return None

    def ask(self, call: Call, headers: Headers, body: bytes) -> Question:
        """See Codec."""
        document, mode = unwrap(headers, body)
        if not isinstance(document, dict):
            raise RequestInvalid("the request is not a JSON object", remedy='send {"instances": [...]}')
        keys = keys_of(document.get("keys"))
        if call.verb == "predict":
            rows, key = tfserving.read_predict(document)
            return RowsQuestion(rows, protocol="v1", keys=keys, note=Note(key, mode))
        rows = tfserving.read_examples(document, call.verb)
        fits = tfserving.class_field if call.verb == "classify" else tfserving.value_field
        return RowsQuestion(rows, protocol="v1", keys=keys, note=Note(mode=mode), fits=fits)

    def respond(self, call: Call, question: Question, answer: Answer) -> Reply:
        """See Codec."""
        note = cast(Note, cast(RowsQuestion, question).note)
        if call.verb == "predict":
            document = tfserving.predictions(answer, note.key)
        else:
            document = tfserving.classes(answer) if call.verb == "classify" else tfserving.values(answer)
        return wrap(document, note.mode, model=call.model, request_id=answer.request_id)

    async def tell(self, call: Call, headers: Headers, body: bytes, desk: Desk) -> Reply:
        """See Codec."""
        if call.verb == "alive":
            return Reply(b'{"status":"alive"}')
        if call.verb == "models":
            return Reply(_encode({"models": desk.board.names()}))
        live = desk.board.get(call.model)
        if call.verb == "explain":
            return self.refuse(call, 501, NO_EXPLANATIONS)
        chosen = list(live.variants)
        if call.version is not None:
            chosen = [live.numbered(call.version)]
        elif call.variant is not None:
            chosen = [live.named(call.variant)]
        if call.verb == "metadata":
            return Reply(tfserving.metadata(live, chosen[0]))
        return Reply(tfserving.status(live, chosen))

    def refuse(self, call: Call | None, status: int, error: NoriaError) -> Reply:
        """See Codec."""
        return Reply(_encode({"error": str(error)}), status)


CODEC = V1Codec()
