"""TensorFlow Serving's REST bodies: predict by row and by column, classify, regress, what a model is and how it stands. Their paths are v1.

Source: TensorFlow Serving, "RESTful API" (g3doc/api_rest.md), which writes `result` in its formats and `results` in its example: both are answered.
"""

from base64 import b64encode
from typing import Any

import msgspec

from noria.domain.model import Field, FieldType, Signature
from noria.errors import RequestInvalid
from noria.server.inference.answering import Answer
from noria.server.inference.records_question import Rows, by_row, from_columns, from_rows, whole
from noria.serving.live import Live, Served

DTYPES: dict[FieldType, str] = {
    "BOOL": "DT_BOOL",
    "INT64": "DT_INT64",
    "FP32": "DT_FLOAT",
    "FP64": "DT_DOUBLE",
    "BYTES": "DT_STRING",
}
PROBABILITY = ("probability", "probabilities")

_encode = msgspec.json.Encoder().encode


def read_predict(document: dict[str, Any]) -> tuple[Rows, str]:
    """Rows, and the key that the answer has: 'predictions' for rows, 'outputs' for columns. Raises RequestInvalid.

    KServe's callers may send rows of objects as `inputs`; they are answered as KServe does.
    """
    _signature_name(document, "predict")
    given = [key for key in ("instances", "inputs") if key in document]
    if len(given) != 1:
        raise RequestInvalid(
            f"the request has {len(given)} of 'instances' and 'inputs'", remedy='send {"instances": [...]}'
        )
    content = document[given[0]]
    if given == ["inputs"] and isinstance(content, dict) and content.keys() != {"b64"}:
        return from_columns(content), "outputs"
    if not isinstance(content, list):
        content = [content]
    rows = from_rows(content, f"'{given[0]}'")
    return rows, "outputs" if given == ["inputs"] and rows.listed is not None else "predictions"


def read_examples(document: dict[str, Any], verb: str) -> Rows:
    """Examples, each with the features of `context`. Raises RequestInvalid."""
    _signature_name(document, verb)
    examples, context = document.get("examples"), document.get("context", {})
    if not isinstance(examples, list) or not all(isinstance(example, dict) for example in examples) or not examples:
        raise RequestInvalid("'examples' is not a list of objects", remedy='send {"examples": [{"feature": value}]}')
    if not isinstance(context, dict):
        raise RequestInvalid("'context' is not an object", remedy='send "context": {"feature": value}')
    twice = next((name for example in examples for name in context if name in example), None)
    if twice is not None:
        raise RequestInvalid(
            f"feature {twice[:80]!r} is in 'context' and in an example", remedy="send it in one of the two"
        )
    return from_rows([{**context, **example} for example in examples], "'examples'")


def predictions(answer: Answer, key: str) -> dict[str, Any]:
    """The answer of predict, by row or by column."""
    signature = answer.served.signature
    values = {name: _outgoing(name, column) for name, column in answer.values.items()}
    if key == "predictions":
        return {key: by_row(values, signature)}
    columns = whole(values, signature)
    return {key: next(iter(columns.values())) if len(columns) == 1 else columns}


def class_field(signature: Signature) -> Field:
    """The output that classify reads. Raises RequestInvalid for a model without probabilities."""
    field = next((f for f in signature.outputs if f.name in PROBABILITY), None)
    if field is None:
        raise RequestInvalid("the model gives no probabilities", remedy="ask it to :predict")
    return field


def value_field(signature: Signature) -> Field:
    """The output that regress reads. Raises RequestInvalid for a model that gives other than one number a row."""
    numbers = [f for f in signature.outputs if f.datatype in ("FP32", "FP64", "INT64") and f.width == 1]
    if len(numbers) != 1:
        raise RequestInvalid("the model does not give one number a row", remedy="ask it to :predict")
    return numbers[0]


def classes(answer: Answer) -> dict[str, Any]:
    """The answer of classify: label and score of every class."""
    signature = answer.served.signature
    field = class_field(signature)
    scores = whole(answer.values, signature)[field.name]
    rows = [[1 - score, score] for score in scores] if field.width == 1 else scores
    labels = field.categories or [str(i) for i in range(2 if field.width == 1 else field.width)]
    return _result([[[label, score] for label, score in zip(labels, row, strict=True)] for row in rows])


def values(answer: Answer) -> dict[str, Any]:
    """The answer of regress."""
    return _result(answer.values[value_field(answer.served.signature).name])


def status(live: Live, chosen: list[Served]) -> bytes:
    """How a model stands, to KServe's callers and to TensorFlow Serving's."""
    versions = [
        {
            "version": str(served.variant.number),
            "state": "AVAILABLE",
            "status": {"error_code": "OK", "error_message": ""},
        }
        for served in chosen
    ]
    return _encode({"name": live.deployment, "ready": True, "model_version_status": versions})


def metadata(live: Live, served: Served) -> bytes:
    """The signature as TensorFlow's SignatureDef in JSON."""
    signature = served.signature
    method = "tensorflow/serving/predict"
    defined = {"serving_default": {**_tensors(signature), "method_name": method}}
    spec = {"name": live.deployment, "signature_name": "", "version": str(served.variant.number)}
    return _encode({"model_spec": spec, "metadata": {"signature_def": {"signature_def": defined}}})


def _tensors(signature: Signature) -> dict[str, Any]:
    return {
        "inputs": {f.name: _tensor(f) for f in signature.inputs},
        "outputs": {f.name: _tensor(f) for f in signature.outputs},
    }


def _tensor(field: Field) -> dict[str, Any]:
    sizes = ["-1"] if field.width == 1 else ["-1", str(field.width)]
    shape = {"dim": [{"size": size, "name": ""} for size in sizes], "unknown_rank": False}
    return {"dtype": DTYPES[field.datatype], "tensor_shape": shape, "name": f"{field.name}:0"}


def _signature_name(document: dict[str, Any], verb: str) -> None:
    name = document.get("signature_name", "")
    if name not in ("", "serving_default", f"tensorflow/serving/{verb}"):
        raise RequestInvalid(
            f"the model has no signature {str(name)[:80]!r}",
            remedy="leave 'signature_name' out, or say 'serving_default'",
        )


def _outgoing(name: str, column: list[Any]) -> list[Any]:
    """Outputs whose name ends with _bytes go out in base64."""
    if not name.endswith("_bytes"):
        return column
    return [{"b64": b64encode(v.encode()).decode()} if isinstance(v, str) else v for v in column]


def _result(rows: list[Any]) -> dict[str, Any]:
    return {"result": rows, "results": rows}
