"""A signature in MLflow's words and back: columns where every input is one value a row, tensors where one is more. No I/O.

Source: MLflow's `ModelSignature.to_dict` (schemas as JSON texts) of 3.17.2. Called by mlmodel_out and mlmodel_in.
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from noria.domain.model import Field, FieldType
from noria.errors import SchemaMismatch

COLUMN_TYPES: dict[str, FieldType] = {
    "boolean": "BOOL",
    "integer": "INT64",
    "long": "INT64",
    "float": "FP32",
    "double": "FP64",
    "string": "BYTES",
}
_AS_COLUMN: dict[FieldType, str] = {
    "BOOL": "boolean",
    "INT64": "long",
    "FP32": "float",
    "FP64": "double",
    "BYTES": "string",
}
_AS_TENSOR: dict[FieldType, str] = {
    "BOOL": "bool",
    "INT64": "int64",
    "FP32": "float32",
    "FP64": "float64",
    "BYTES": "object",
}
_TENSOR_KINDS = {"b": "BOOL", "i": "INT64", "u": "INT64", "f": "FP64", "o": "BYTES", "s": "BYTES"}
UNNAMED = "input"
"""What the one tensor of a model is called that has no names for its inputs."""


def as_schema(fields: Sequence[Field]) -> str:
    """Fields as the text of an MLflow schema. A column that may miss values is not required.

    >>> as_schema([Field(name="age", datatype="FP32", nullable=True)])
    '[{"type":"float","name":"age","required":false}]'
    """
    if any(field.width > 1 or _dims(field) for field in fields):
        said: list[dict[str, Any]] = [_tensor(field) for field in fields]
    else:
        said = [{"type": _AS_COLUMN[f.datatype], "name": f.name, "required": not f.nullable} for f in fields]
    return msgspec.json.encode(said).decode()


def as_fields(schema: str) -> tuple[Field, ...]:
    """The fields that the text of an MLflow schema means. Raises SchemaMismatch for what no request can carry.

    >>> as_fields('[{"type": "double", "name": "age", "required": true}]')[0].datatype
    'FP64'
    >>> as_fields('[{"type": "tensor", "tensor-spec": {"dtype": "float32", "shape": [-1, 5]}}]')[0].width
    5
    """
    try:
        listed = msgspec.json.decode(schema, type=list[_Spec])
    except msgspec.MsgspecError as exc:
        raise SchemaMismatch("the signature of an MLflow model cannot be read", cause=str(exc)) from exc
    return tuple(_field(spec, number, alone=len(listed) == 1) for number, spec in enumerate(listed))


class _Tensor(msgspec.Struct):
    dtype: str
    shape: list[int]


class _Spec(msgspec.Struct):
    type: str
    name: str | int | None = None
    required: bool = True
    tensor: _Tensor | None = msgspec.field(default=None, name="tensor-spec")


def _dims(field: Field) -> tuple[int, ...]:
    return tuple(field.dims)


def _tensor(field: Field) -> dict[str, Any]:
    shape = [-1, *(_dims(field) or ((field.width,) if field.width > 1 else ()))]
    return {"type": "tensor", "name": field.name, "tensor-spec": {"dtype": _AS_TENSOR[field.datatype], "shape": shape}}


def _field(spec: _Spec, number: int, *, alone: bool) -> Field:
    name = str(spec.name) if spec.name is not None else UNNAMED if alone else f"{UNNAMED}_{number}"
    if spec.tensor is None:
        if spec.type not in COLUMN_TYPES:
            raise _unknown(name, spec.type)
        return Field(name=name, datatype=COLUMN_TYPES[spec.type], nullable=not spec.required)
    kind = _TENSOR_KINDS.get("o" if spec.tensor.dtype == "object" else spec.tensor.dtype[:1])
    row = spec.tensor.shape[1:]
    if kind is None or any(size < 1 for size in row) or spec.tensor.shape[:1] != [-1]:
        raise _unknown(name, f"{spec.tensor.dtype} tensor of shape {spec.tensor.shape}")
    datatype: FieldType = "FP32" if spec.tensor.dtype in ("float32", "float16") else kind  # type: ignore[assignment]
    width = 1
    for size in row:
        width *= size
    return Field(name=name, datatype=datatype, width=width, dims=tuple(row) if len(row) > 1 else ())


def _unknown(name: str, what: str) -> SchemaMismatch:
    return SchemaMismatch(
        f"{name!r} of the MLflow model's signature is a {what}",
        cause="requests carry booleans, whole numbers, floats and text, each of one fixed shape a row",
        remedy="log the model again with an input_example of such columns",
    )
