"""Folders as MLflow 3.17 writes them, without MLflow: the words of its MLmodel files around models that are saved by their own libraries."""

import json
from pathlib import Path
from typing import Any

MLMODEL = """flavors:
  python_function:
    env:
      conda: conda.yaml
      virtualenv: python_env.yaml
    loader_module: mlflow.{flavor}
    python_version: 3.11.7
  {flavor}:
{words}
is_signature_from_type_hint: false
mlflow_version: 3.17.2
model_id: null
model_size_bytes: 10447
model_uuid: 2e316da4d5044e5ea1c2d1f092bb6a11
prompts: null
{example}{signature}type_hint_from_example: false
utc_time_created: '2026-11-21 15:06:09.116990'
"""
FRAME = """saved_input_example_info:
  artifact_path: input_example.json
  pandas_orient: split
  serving_input_path: serving_input_example.json
  type: dataframe
"""
ARRAY = """saved_input_example_info:
  artifact_path: input_example.json
  serving_input_path: serving_input_example.json
  type: ndarray
"""


def folder(
    at: Path, flavor: str, *, inputs: list[Any] | None = None, columns: Any = None, rows: Any = None, **words: str
) -> Path:
    """A folder with its MLmodel. columns and rows: a data frame as example; rows alone: an array; none: no example."""
    at.mkdir(parents=True)
    signature = (
        "" if inputs is None else f"signature:\n  inputs: '{json.dumps(inputs)}'\n  outputs: null\n  params: null\n"
    )
    example = "" if rows is None else FRAME if columns else ARRAY
    if rows is not None:
        said = {"columns": columns, "data": rows} if columns else rows
        (at / "input_example.json").write_text(json.dumps(said))
    said_words = "\n".join(f"    {key}: {value}" for key, value in words.items())
    (at / "MLmodel").write_text(MLMODEL.format(flavor=flavor, words=said_words, example=example, signature=signature))
    (at / "requirements.txt").write_text("mlflow==3.17.2\nscikit-learn==1.6.0")
    return at


def column(name: str, kind: str = "double") -> dict[str, Any]:
    return {"type": kind, "name": name, "required": True}


def tensor(width: int, dtype: str = "float64") -> dict[str, Any]:
    return {"type": "tensor", "tensor-spec": {"dtype": dtype, "shape": [-1, width]}}
