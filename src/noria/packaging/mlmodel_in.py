"""Read a folder that MLflow wrote and build a bundle of the model in it, without running code that it carries.

Writing such folders is mlmodel_out, the words of signatures are mlmodel_signature, opening models is mlmodel_models, graphs are mlmodel_graph.
Called by app/packaging.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from noria.domain.bundle import Bundle
from noria.domain.ids import Digest, RunId
from noria.domain.model import Field, Signature
from noria.errors import BundleError, BundleRefused, ExtraMissing, SourceUnreadable
from noria.packaging.bundle import BuiltBundle, build, read_manifest
from noria.packaging.environment import needed_by, pinned
from noria.packaging.mlmodel_graph import as_model
from noria.packaging.mlmodel_models import Opened, open_model
from noria.packaging.mlmodel_out import MLMODEL, REQUIREMENTS
from noria.packaging.mlmodel_signature import as_fields
from noria.packaging.pyfunc import MANIFEST
from noria.packaging.verify import check_file
from noria.ports.blobs import BlobStore
from noria.ports.flavor import Columns, Flavor
from noria.wire.paths import checked_path

PARITY_ROWS = 500
MISSING = "missing values"
"""How parity's reason begins when only rows with gaps were answered differently."""
_DTYPES: dict[str, Any] = {"BOOL": np.bool_, "INT64": np.int64, "FP32": np.float32, "FP64": np.float64, "BYTES": object}


class MlModel(msgspec.Struct, frozen=True, kw_only=True):
    """What the file MLmodel says, as far as Noria needs it."""

    flavors: dict[str, dict[str, Any]]
    signature: dict[str, Any] | None = None
    saved_input_example_info: dict[str, Any] | None = None
    run_id: str | None = None
    model_id: str | None = None
    utc_time_created: Any = None


@dataclass(frozen=True, kw_only=True)
class TakenIn:
    """A bundle in the store, and what there is to say about it. form: MLflow's flavor that it was built from; 'noria' for a bundle as it was."""

    digest: Digest
    bundle: Bundle
    form: str
    notes: tuple[str, ...]


def take_in(
    folder: Path,
    *,
    name: str,
    blobs: BlobStore,
    flavors: Mapping[str, Flavor],
    run_id: RunId | None = None,
    recorded: bool = False,
) -> TakenIn:
    """Make a bundle of a model that MLflow saved, or take in a bundle that `noria package export` wrote, under its own address.

    name: of the model in the bundle. recorded: whether this store has the digests of the folder's files, as of those that were logged to it: only
    then, and only where `flavors` gives those that carry code, is a pickle opened (ADR 25).
    Raises SourceUnreadable for what is no such folder, BundleRefused for what cannot be opened without running code of it or says neither by
    signature nor by graph what it takes, BundleCorrupt for a damaged file.
    """
    said = read(folder)
    if "noria" in said.flavors and (folder / MANIFEST).is_file():
        return _again(folder, blobs)
    opened = open_model(folder, said.flavors, flavors=flavors, recorded=recorded)
    columns = as_fields(said.signature["inputs"]) if said.signature and said.signature.get("inputs") else ()
    example = _example(folder, said, columns)
    built_from = partial(
        _built,
        name=name,
        said=said,
        blobs=blobs,
        flavors=flavors,
        trained=pinned(_text(folder / REQUIREMENTS)),
        run_id=run_id or RunId(said.run_id or ""),
    )
    if isinstance(opened.model, bytes):
        graph, signature, notes = as_model(opened.model, columns)
        opened = replace(opened, model=graph)
        example = None if example is None or example.keys() != set(signature.input_names()) else example
        built = built_from(opened, signature, example)
    else:
        built, example, notes = _of_estimator(opened, columns, example, built_from)
    if example is None and built.bundle.flavor != "onnx":
        notes.append("not converted to ONNX: without an input_example nothing shows that both forms answer alike")
    told = (built.note, *opened.notes, *notes)
    return TakenIn(digest=built.digest, bundle=built.bundle, form=opened.form, notes=told)


def read(folder: Path) -> MlModel:
    """The file MLmodel of a folder. Raises SourceUnreadable, ExtraMissing without a reader of YAML."""
    try:
        content = (folder / MLMODEL).read_bytes()
        return msgspec.yaml.decode(content, type=MlModel)
    except OSError as exc:
        raise SourceUnreadable(
            f"'{folder}' holds no MLflow model", cause=str(exc), remedy="name the folder that holds the file MLmodel"
        ) from exc
    except msgspec.MsgspecError as exc:
        raise SourceUnreadable(f"'{folder / MLMODEL}' cannot be read", cause=str(exc)[:300]) from exc
    except ImportError as exc:
        raise ExtraMissing(
            "MLflow's model folders need the package 'pyyaml'", remedy="pip install 'noria[train]'"
        ) from exc


class _Natively(Mapping[str, Flavor]):
    """The flavors without ONNX. None is asked for before it is needed: some may not be given."""

    def __init__(self, flavors: Mapping[str, Flavor]) -> None:
        self._flavors = flavors

    def __getitem__(self, name: str) -> Flavor:
        if name == "onnx":
            raise KeyError(name)
        return self._flavors[name]

    def __iter__(self) -> Iterator[str]:
        return (name for name in self._flavors if name != "onnx")

    def __len__(self) -> int:
        return sum(1 for _ in self)


def _built(
    opened: Opened,
    signature: Signature,
    example: Columns | None,
    *,
    name: str,
    said: MlModel,
    blobs: BlobStore,
    flavors: Mapping[str, Flavor],
    trained: Mapping[str, str],
    run_id: RunId,
) -> BuiltBundle:
    """Converted only where an example lets the conversion be judged."""
    text = any(field.datatype == "BYTES" for field in signature.outputs)
    judged = isinstance(opened.model, bytes) or (example is not None and not text)
    allowed = flavors if judged else _Natively(flavors)
    shown = example if example is not None else _nothing(signature)
    return build(
        opened.model,
        name=name,
        run_id=run_id,
        signature=signature,
        sample=shown if example is None else spread(example, signature),
        blobs=blobs,
        flavors=allowed,
        environment=needed_by(opened.model, trained=trained),
        created_at=_moment(said.utc_time_created),
        example=shown,
    )


def spread(example: Columns, signature: Signature, *, rows: int = PARITY_ROWS) -> dict[str, Any]:
    """The example's rows and many more in their neighbourhood, the same for the same example: a few rows would show little of a model.

    Numbers are moved by about the example's own spread, text and gaps are drawn from it. The example's rows come first.
    """
    found = {}
    for number, field in enumerate(signature.inputs):
        values = np.asarray(example[field.name])
        rng = np.random.default_rng(number)
        drawn = values[rng.integers(0, len(values), max(0, rows - len(values)))]
        if field.datatype in ("FP32", "FP64", "INT64"):
            known = np.nan_to_num(values.astype(np.float64))
            scale = float(known.std()) or max(1.0, float(np.abs(known).max()))
            moved = drawn.astype(np.float64) + rng.normal(0.0, scale, drawn.shape)
            drawn = (np.round(moved) if field.datatype == "INT64" else moved).astype(values.dtype)
        found[field.name] = np.concatenate([values, drawn])
    return found


def _of_estimator(
    opened: Opened, columns: Sequence[Field], example: Columns | None, built_from: Callable[..., BuiltBundle]
) -> tuple[BuiltBundle, Columns | None, list[str]]:
    """A bundle of a fitted model: inputs by the logged signature, under the names that the model itself knows, outputs as the model answers.

    What a model would answer for gaps that nobody showed is given up where only that keeps it from being converted.
    """
    if not columns:
        raise BundleRefused(
            "the MLflow model does not say which columns it takes",
            cause="it was logged with neither a signature nor an input_example",
            remedy=f"log it again with input_example=X[:5]: mlflow.{opened.form}.log_model(model, ..., input_example=X[:5])",
        )
    columns, example = _by_own_names(opened, columns, example)

    def built(takes_missing: bool) -> BuiltBundle:
        inputs = tuple(_with_gaps(field, example, takes_missing=takes_missing) for field in columns)
        return built_from(opened, Signature(inputs=inputs, outputs=opened.outputs), example)

    first = built(opened.takes_missing)
    judged = first.bundle.parity
    if judged is None or not judged.reason.startswith(MISSING) or not opened.takes_missing:
        return first, example, []
    strict = built(False)
    if strict.bundle.flavor != "onnx":
        return first, example, []
    note = "refuses missing values, for which both forms answer differently; an input_example with a missing value keeps the model native instead"
    return strict, example, [note]


def _by_own_names(
    opened: Opened, columns: Sequence[Field], example: Columns | None
) -> tuple[Sequence[Field], Columns | None]:
    """One matrix as the columns that the model was fitted on, if it knows their names."""
    names = opened.columns
    if len(columns) != 1 or len(names) != columns[0].width or columns[0].name in names:
        return columns, example
    matrix = None if example is None else np.asarray(example[columns[0].name]).reshape(-1, len(names))
    kind, nullable = columns[0].datatype, columns[0].nullable
    return [Field(name=name, datatype=kind, nullable=nullable) for name in names], (
        None if matrix is None else {name: matrix[:, i] for i, name in enumerate(names)}
    )


def _with_gaps(field: Field, example: Columns | None, *, takes_missing: bool) -> Field:
    """Nullable where the signature, the example or the model itself lets values be missing."""
    if field.datatype in ("FP32", "FP64"):
        seen = example is not None and bool(np.isnan(np.asarray(example[field.name])).any())
        return msgspec.structs.replace(field, nullable=field.nullable or seen or takes_missing)
    seen = (
        field.datatype == "BYTES" and example is not None and None in np.asarray(example[field.name]).ravel().tolist()
    )
    return msgspec.structs.replace(field, nullable=field.nullable or seen)


def _example(folder: Path, said: MlModel, columns: Sequence[Field]) -> Columns | None:
    """The logged input example as columns; None if there is none that says a value for every column."""
    info = said.saved_input_example_info or {}
    if not columns or info.get("type") not in ("dataframe", "ndarray"):
        return None
    try:
        path = folder / checked_path(str(info.get("artifact_path", "")))
        raw = msgspec.json.decode(path.read_bytes())
        of: Callable[[int, Field], Any]
        if info["type"] == "dataframe" and isinstance(raw, dict):
            place = {str(name): i for i, name in enumerate(raw.get("columns", range(len(columns))))}
            of = lambda i, field: [row[place.get(field.name, i)] for row in raw["data"]]  # noqa: E731
        elif isinstance(raw, dict):
            held = raw.get("inputs", raw)
            of = lambda i, field: held[field.name]  # noqa: E731
        else:
            of = lambda i, field: raw  # noqa: E731
        return {field.name: _values(of(i, field), field) for i, field in enumerate(columns)}
    except (OSError, msgspec.MsgspecError, KeyError, IndexError, TypeError, ValueError):
        return None


def _values(given: Any, field: Field) -> Any:
    if field.datatype == "BYTES":
        values = np.empty(np.shape(np.array(given, dtype=object)), dtype=object)
        values[...] = np.array(given, dtype=object)
    else:
        gaps = np.array(given, dtype=object)
        if field.datatype in ("FP32", "FP64"):
            gaps[gaps == None] = np.nan  # noqa: E711 (element by element)
        values = gaps.astype(_DTYPES[field.datatype])
    return values.reshape(-1) if field.width == 1 else values.reshape(-1, field.width)


def _nothing(signature: Signature) -> Columns:
    """One row of zeros and empty text: the example of a model that was logged with none."""
    shapes = {f.name: (1,) if f.width == 1 else (1, f.width) for f in signature.inputs}
    return {
        f.name: np.full(shapes[f.name], "", dtype=object)
        if f.datatype == "BYTES"
        else np.zeros(shapes[f.name], dtype=_DTYPES[f.datatype])
        for f in signature.inputs
    }


def _again(folder: Path, blobs: BlobStore) -> TakenIn:
    """A bundle as Noria wrote it. Raises BundleCorrupt, BundleRefused for one that needs code to be loaded."""
    digest = blobs.put_file(folder / MANIFEST)
    manifest = read_manifest(digest, blobs=blobs)
    if not manifest.code_free:
        raise BundleRefused(
            f"the bundle in '{folder}' runs code when it is loaded",
            cause=f"flavor {manifest.flavor!r}; this store did not make it",
            remedy="export the model to ONNX, or keep it with skops, and package that",
        )
    for entry in manifest.files:
        check_file(folder / entry.path, entry, model=manifest.model)
        blobs.put_file(folder / entry.path)
    return TakenIn(digest=digest, bundle=manifest, form="noria", notes=("a bundle of Noria, as it was",))


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""


def _moment(said: Any) -> datetime:
    """When the model was saved, by MLflow's word for it (UTC). Raises BundleError."""
    try:
        found = said if isinstance(said, datetime) else datetime.fromisoformat(str(said))
    except ValueError as exc:
        raise BundleError(
            "the file MLmodel does not say when the model was saved", cause=f"utc_time_created: {said!r}"
        ) from exc
    return found.replace(tzinfo=UTC)
