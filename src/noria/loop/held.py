"""What a training leaves for the stages after it, as artifacts of its run: the fitted model, and the held-back rows with their answers.

Written by loop/stages/train, read by package and gate. Pure but for the blob store.
"""

import io
import tarfile
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np
import polars as pl

from noria.domain.model import Field, Signature
from noria.domain.run import Run
from noria.errors import NotFound
from noria.loop.context import Context, Featured, Recipe
from noria.pipeline.cache import Codec, Codecs
from noria.ports.flavor import Columns, Flavor, Reopened

MODEL, HELD_BACK = "model", "held_back"
# What the flavor asks of a signature when it reopens a fitted estimator; what the model answers is decided when it is packaged.
PLAIN = Signature(inputs=(), outputs=(Field(name="probability", datatype="FP64"),))


def estimator_codec(flavors: Mapping[str, Flavor]) -> Codec:
    """Keeps a fitted estimator among cached results: by the flavor 'sklearn', so without pickle."""

    def accepts(value: object) -> bool:
        return hasattr(value, "predict_proba") and flavors["sklearn"].accepts(value)

    def encode(value: object) -> bytes:
        with tempfile.TemporaryDirectory(prefix="noria-model-") as scratch:
            folder = Path(scratch)
            flavors["sklearn"].save(value, PLAIN, folder)
            packed = io.BytesIO()
            with tarfile.open(fileobj=packed, mode="w") as archive:
                for path in sorted(folder.iterdir()):
                    member = tarfile.TarInfo(path.name)
                    member.size = path.stat().st_size
                    with path.open("rb") as content:
                        archive.addfile(member, content)
            return packed.getvalue()

    def decode(content: bytes) -> object:
        with tempfile.TemporaryDirectory(prefix="noria-model-") as scratch:
            with tarfile.open(fileobj=io.BytesIO(content)) as archive:
                archive.extractall(scratch, filter="data")
            return cast(Reopened, flavors["sklearn"].load(Path(scratch), PLAIN)).model

    return Codec(name="estimator", accepts=accepts, encode=encode, decode=decode)


def left_by(run: Run, path: str, context: Context) -> object:
    """What a training left under this name: the fitted estimator (MODEL), or the held-back rows as a frame (HELD_BACK). Raises NotFound."""
    for kept in run.artifacts:
        if kept.path == path:
            return Codecs([estimator_codec(context.flavors)]).decode(context.blobs.get(kept.digest))
    raise NotFound.of(f"artifact of run {run.name!r}", path, [a.path for a in run.artifacts])


def held_back(run: Run, context: Context) -> pl.DataFrame:
    """The rows that the rehearsal was judged on, with its answers. Raises NotFound."""
    return cast(pl.DataFrame, left_by(run, HELD_BACK, context))


def columns_of(frame: pl.DataFrame, recipe: Featured) -> Columns:
    """Features as a served model gets them: float32 with NaN for missing, text as objects."""
    return {
        name: np.array(frame[name].to_list(), dtype=object)
        if frame.schema[name] == pl.String
        else frame[name].cast(pl.Float32).fill_null(float("nan")).to_numpy()
        for name in recipe.features
    }


def days_of(frame: pl.DataFrame, recipe: Recipe) -> "np.ndarray[Any, np.dtype[np.int64]]":
    """The day of each row, as a number: rows of one day are not independent of each other."""
    return (frame[recipe.time].dt.epoch("s") // 86400).to_numpy().astype(np.int64)
