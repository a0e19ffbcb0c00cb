"""Score a whole table through a loaded model, in slices, so that memory stays bounded whatever the table's length. Single requests are predict.

Called by loop/stages and whoever scores offline; the only part of serving/ that needs polars, so the worker does not import it.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl

from noria.domain.arrow import ArrowTable
from noria.domain.model import Signature
from noria.errors import RequestInvalid
from noria.ports.flavor import Columns, Predictor
from noria.serving.columns import DTYPES

CHUNK_ROWS = 20_000


def score_table(
    predictor: Predictor,
    table: ArrowTable,
    *,
    signature: Signature,
    check: Callable[[Columns], int] | None = None,
    chunk_rows: int = CHUNK_ROWS,
) -> pl.DataFrame:
    """One row of outputs for each row of the table, in its order; columns the model does not take are ignored.

    check: packaging/signature's checker, to refuse rows that a worker would refuse. Raises RequestInvalid naming the column.
    """
    frame = pl.DataFrame(table).select(_present(pl.DataFrame(table), signature))
    parts = []
    for piece in frame.iter_slices(chunk_rows):
        columns = columns_of(piece, signature)
        if check is not None:
            check(columns)
        answers = predictor.predict(columns)
        parts.append(pl.DataFrame({f.name: np.asarray(answers[f.name]) for f in signature.outputs}))
    if parts:
        return pl.concat(parts)
    return pl.DataFrame({f.name: np.empty(0, dtype=DTYPES[f.datatype]) for f in signature.outputs})


def columns_of(table: ArrowTable, signature: Signature | None = None) -> Columns:
    """A table's columns as arrays; with a signature, its inputs in its types. Nulls become NaN among numbers and None in text.

    Raises RequestInvalid for a null that the type cannot say, or a column that is missing.

    >>> columns_of(pl.DataFrame({"a": [1, None], "b": ["x", None]}))
    {'a': array([ 1., nan]), 'b': array(['x', None], dtype=object)}
    """
    frame = pl.DataFrame(table)
    if signature is None:
        return {name: _plain(frame[name]) for name in frame.columns}
    _present(frame, signature)
    columns: dict[str, Any] = {}
    for field in signature.inputs:
        values = _plain(frame[field.name])
        wanted = DTYPES[field.datatype]
        if field.datatype in ("INT64", "BOOL") and values.dtype.kind not in "iub":
            raise RequestInvalid(
                f"column {field.name!r} has missing or fractional values",
                cause=f"the model takes {field.datatype} there",
            )
        if field.datatype in ("FP32", "FP64") and values.dtype.kind not in "iuf":
            raise RequestInvalid(
                f"column {field.name!r} has type {frame[field.name].dtype}",
                cause=f"the model takes {field.datatype} there",
            )
        columns[field.name] = values.astype(wanted, copy=False)
    return columns


def _present(frame: pl.DataFrame, signature: Signature) -> list[str]:
    missing = [name for name in signature.input_names() if name not in frame.columns]
    if missing:
        raise RequestInvalid(
            f"column {missing[0]!r} is missing from the table",
            cause=f"the model takes {', '.join(repr(n) for n in signature.input_names())}",
        )
    return list(signature.input_names())


def _plain(series: pl.Series) -> Any:
    if series.dtype in (pl.String, pl.Categorical, pl.Enum):
        return np.array(series.to_list(), dtype=object)
    if isinstance(series.dtype, pl.Array):
        return series.to_numpy()
    return series.to_numpy()
