"""Write a bundle as a folder that is both: its files with their digests, and an MLflow model that a plain mlflow loads.

Reading an MLflow model is mlmodel_in; answering inside MLflow is pyfunc, of which each folder holds a copy. Called by app/packaging.
"""

import json
import re
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path, PurePosixPath
from typing import Any

import msgspec

from noria.domain.bundle import Bundle
from noria.domain.ids import Digest, derive
from noria.errors import AlreadyExists, BundleCorrupt, BundleRefused, NotFound, StoreCorrupt
from noria.packaging.bundle import EXAMPLE
from noria.packaging.environment import made_with, requirements, served_with
from noria.packaging.mlmodel_signature import as_schema
from noria.packaging.pyfunc import MANIFEST
from noria.ports.blobs import BlobStore

MLMODEL = "MLmodel"
LOADER = "noria_pyfunc"
REQUIREMENTS, TRAINED = "requirements.txt", "requirements-trained.txt"
CONDA, VIRTUALENV = "conda.yaml", "python_env.yaml"
_PLAIN = re.compile(r"[a-z]+(?:_[a-z]+)*")
_WORDS = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null"})
INPUT_EXAMPLE, SERVING_EXAMPLE = "input_example.json", "serving_input_example.json"


def write(digest: Digest, manifest: Bundle, *, blobs: BlobStore, folder: Path) -> None:
    """Lay the bundle out in a folder that does not exist yet or is empty; the same bundle gives the same bytes.

    `bundle.json` is the manifest to the byte, so the folder can be taken in again under the same address; `requirements.txt` pins what serving needs,
    `requirements-trained.txt` what it was trained with. Raises AlreadyExists for a folder that holds something, BundleCorrupt, BundleRefused for a
    bundle that carries code: nobody but the store that built it can tell that it is the same (ADR 25).
    """
    if not manifest.code_free:
        raise BundleRefused(
            f"the bundle of model {manifest.model!r} carries code and is not written out",
            cause=f"flavor {manifest.flavor!r} runs code from its files, and only this store's record says that they are its own",
            remedy="export the model to ONNX and package that, or package it again where it is needed",
        )
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise AlreadyExists(f"'{folder}' is not empty", remedy="name a folder that does not exist yet")
    folder.mkdir(parents=True, exist_ok=True)
    for entry in manifest.files:
        target = folder / entry.path
        target.parent.mkdir(parents=True, exist_ok=True)
        _export(blobs, entry.digest, target, what=entry.path)
    _export(blobs, digest, folder / MANIFEST, what="the manifest")
    (folder / "code").mkdir()
    loader = files("noria.packaging").joinpath("pyfunc.py").read_bytes()
    (folder / "code" / f"{LOADER}.py").write_bytes(loader)
    environment, needed = manifest.environment, served_with(manifest.environment, manifest.flavor)
    own = {} if manifest.flavor == "onnx" else {"noria": environment.packages.get("noria", "")}
    lines = [*_pins({**needed, **own}), "mlflow", *({"pandas"} - needed.keys())]
    texts = {
        REQUIREMENTS: "".join(f"{line}\n" for line in lines),
        TRAINED: requirements(made_with(environment), environment.hashes),
        VIRTUALENV: yaml({"python": environment.python, "dependencies": [f"-r {REQUIREMENTS}"]}),
        CONDA: yaml(
            {
                "name": "noria-bundle",
                "channels": ["conda-forge"],
                "dependencies": [f"python={environment.python}", "pip", {"pip": lines}],
            }
        ),
        **_examples(folder, manifest),
    }
    texts[MLMODEL] = yaml(_mlmodel(digest, manifest, has_example=INPUT_EXAMPLE in texts))
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")


def yaml(value: Mapping[str, Any]) -> str:
    """Plain values as block YAML whose scalars are JSON's, which every reader of YAML understands alike.

    >>> print(yaml({"a": {"b": [1, "x: y"], "c": {}}, "d": None}), end="")
    a:
      b:
        - 1
        - "x: y"
      c: {}
    d: null
    """
    return "".join(f"{line}\n" for line in _lines(value))


def _lines(value: Any) -> list[str]:
    """value: a mapping or a list that is not empty."""
    found = []
    keyed = isinstance(value, Mapping)
    for key, each in value.items() if keyed else ((None, each) for each in value):
        head = f"{key if _PLAIN.fullmatch(str(key)) and key not in _WORDS else _scalar(key)}:" if keyed else "-"
        if not isinstance(each, Mapping | list | tuple) or not each:
            found.append(f"{head} {_scalar(each)}")
            continue
        below = _lines(each)
        if keyed:
            found += [head, *(f"  {line}" for line in below)]
        else:
            found += [f"- {below[0]}", *(f"  {line}" for line in below[1:])]
    return found


def _scalar(value: Any) -> str:
    """As JSON, but what JSON writes as two halves is written as one, which YAML demands."""
    text = json.dumps(value, ensure_ascii=False)
    return "".join(
        c if " " <= c <= "~" else f"\\u{ord(c):04x}" if ord(c) < 1 << 16 else f"\\U{ord(c):08x}" for c in text
    )


def _pins(packages: Mapping[str, str]) -> list[str]:
    return [f"{name}=={version}" if version else name for name, version in sorted(packages.items())]


def _mlmodel(digest: Digest, manifest: Bundle, *, has_example: bool) -> dict[str, Any]:
    """What stands in the file MLmodel."""
    function = {
        "loader_module": LOADER,
        "code": "code",
        "env": {"conda": CONDA, "virtualenv": VIRTUALENV},
        "python_version": manifest.environment.python,
    }
    ours = {"bundle": digest, "model": manifest.model, "flavor": manifest.flavor, "code_free": manifest.code_free}
    made = manifest.created_at.strftime("%Y-%m-%d %H:%M:%S.%f")
    document: dict[str, Any] = {
        "flavors": {"python_function": function, "noria": ours, **_native(manifest)},
        "model_size_bytes": sum(entry.size for entry in manifest.files),
        "model_uuid": derive("mlmodel", digest),
        "run_id": manifest.run_id or None,
        "signature": {
            "inputs": as_schema(manifest.signature.inputs),
            "outputs": as_schema(manifest.signature.outputs),
            "params": None,
        },
        "utc_time_created": made,
    }
    if has_example:
        document["saved_input_example_info"] = {
            "artifact_path": INPUT_EXAMPLE,
            "pandas_orient": "split",
            "serving_input_path": SERVING_EXAMPLE,
            "type": "dataframe",
        }
    return document


def _native(manifest: Bundle) -> dict[str, dict[str, Any]]:
    """The flavor under which MLflow's own `mlflow.onnx.load_model` and the like find the model, where it has one for this form."""
    packages = manifest.environment.packages
    model = next((e.path for e in manifest.files if PurePosixPath(e.path).stem == "model"), "")
    if manifest.flavor == "onnx" and model:
        return {
            "onnx": {"data": model, "onnx_version": packages.get("onnx", ""), "providers": ["CPUExecutionProvider"]}
        }
    if manifest.flavor == "lightgbm" and model:
        version = packages.get("lightgbm", "")
        return {"lightgbm": {"data": model, "lgb_version": version, "model_class": "lightgbm.basic.Booster"}}
    return {}


def _examples(folder: Path, manifest: Bundle) -> dict[str, str]:
    """The example input in the two forms that MLflow keeps one in; for columns only."""
    if manifest.example != EXAMPLE or any(field.width > 1 for field in manifest.signature.inputs):
        return {}
    tensors = msgspec.json.decode((folder / EXAMPLE).read_bytes())["inputs"]
    split = {"columns": [t["name"] for t in tensors], "data": list(zip(*(t["data"] for t in tensors), strict=True))}
    return {
        INPUT_EXAMPLE: msgspec.json.encode(split).decode(),
        SERVING_EXAMPLE: msgspec.json.encode({"dataframe_split": split}).decode(),
    }


def _export(blobs: BlobStore, digest: Digest, target: Path, *, what: str) -> None:
    """A copy of its own: a hard link into the store would let an editor change the store's content."""
    try:
        with target.open("xb") as stream:
            for piece in blobs.chunks(digest):
                stream.write(piece)
    except (StoreCorrupt, NotFound) as exc:
        raise BundleCorrupt(f"{what} of the bundle cannot be taken out of the store", cause=exc.problem) from exc
