"""What every native flavor does with columns before and with answers after its model. No system of its own; called by the flavors beside it."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from noria.domain.model import Field, FieldType, Signature
from noria.errors import RequestInvalid
from noria.ports.flavor import Columns

DTYPES: dict[FieldType, Any] = {
    "BOOL": np.bool_,
    "INT64": np.int64,
    "FP32": np.float32,
    "FP64": np.float64,
    "BYTES": object,
}


def shaped(values: Any, field: Field) -> Any:
    """One column as its rows are meant: (rows, *dims) if it has dims, else as it came."""
    return values.reshape(-1, *field.dims) if field.dims else values


def cutter(signature: Signature) -> Callable[[Any], Columns]:
    """How one array of answers, (rows,) or (rows, k), becomes the signature's outputs, prepared once.

    Outputs take as many columns as they are wide, in order; a single output of width 1 takes the last (the positive class of two).
    """
    fields = [(field, DTYPES[field.datatype]) for field in signature.outputs]
    wide = sum(field.width for field, _ in fields)

    def cut(answers: Any) -> Columns:
        answers = answers.reshape(len(answers), -1)
        if len(fields) == 1 and wide == 1:
            field, kind = fields[0]
            return {field.name: answers[:, -1].astype(kind, copy=False)}
        if answers.shape[1] != wide:
            raise RequestInvalid(
                "the model's answer does not follow its signature",
                cause=f"it has {answers.shape[1]} values a row, the signature has {wide}",
                remedy="package the model again with the signature of its own answers",
            )
        found, at = {}, 0
        for field, kind in fields:
            part = answers[:, at] if field.width == 1 else answers[:, at : at + field.width]
            found[field.name] = part.astype(kind, copy=False)
            at += field.width
        return found

    return cut


def named(answers: Any, signature: Signature, *, rows: int) -> Columns:
    """What a model of somebody's own gave, a mapping of outputs or one array, as the signature's outputs. Raises RequestInvalid."""
    if isinstance(answers, dict):
        missing = [field.name for field in signature.outputs if field.name not in answers]
        if missing:
            raise RequestInvalid(
                f"the model gave no output {missing[0]!r}",
                cause=f"it gave: {', '.join(map(repr, answers)) or 'nothing'}",
                remedy="package the model again with the signature of its own answers",
            )
        found = {
            field.name: np.asarray(answers[field.name]).astype(DTYPES[field.datatype], copy=False)
            for field in signature.outputs
        }
    else:
        found = dict(cutter(signature)(np.atleast_1d(np.asarray(answers))))
    short = next((name for name, values in found.items() if len(values) != rows), None)
    if short is not None:
        raise RequestInvalid(
            f"the model gave {len(found[short])} answers for {rows} rows", remedy="give one answer a row, in order"
        )
    return found


def refused(error: Exception) -> RequestInvalid:
    """A library's own complaint about rows, as ours."""
    return RequestInvalid(
        "the model cannot answer these rows",
        cause=" ".join(str(error).split())[:300] or type(error).__name__,
        remedy="compare them with the signature",
    )


def matrix(columns: Columns, names: Sequence[str], dtype: Any) -> Any:
    """Columns side by side, in order."""
    return np.column_stack([np.asarray(columns[name], dtype=dtype) for name in names])
