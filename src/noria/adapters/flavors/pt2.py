"""Reads and runs PyTorch's exported programs (.pt2) without PyTorch's own loader, which evaluates expressions and unpickles objects from the file.

The archive's JSON names operators and numbers, the rest is raw tensors; only operators that PyTorch itself tags as core are run, and none that draws
numbers at random. Source: PyTorch's `_export/serde/schema.py` (schema 8) and its PT2 archive format. Called by torch.
"""

import json
import operator
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile

from noria.errors import BundleCorrupt, BundleRefused

_DTYPES = {
    1: "uint8",
    2: "int8",
    3: "int16",
    4: "int32",
    5: "int64",
    6: "float16",
    7: "float32",
    8: "float64",
    12: "bool",
    13: "bfloat16",
}
_MEMORY = {1: "contiguous_format", 2: "channels_last", 3: "channels_last_3d", 4: "preserve_format"}
_STRIDED = 7
_NUMBERS: dict[str, Callable[..., Any]] = {
    f"_operator.{name}": getattr(operator, name)
    for name in ("add", "sub", "mul", "floordiv", "mod", "neg", "eq", "ne", "lt", "le", "gt", "ge")
}
_BESIDES_CORE = (
    "_assert_scalar.default",
    "_assert_tensor_metadata.default",
    "lift_fresh_copy.default",
    "detach.default",
)
"""Operators that exported programs hold beside the core ones: they check, copy or pass on."""
_NOT_THE_SAME_TWICE = ("rand", "randn", "randperm", "native_dropout", "empty", "empty_strided")
_STORED = {"parameter": "parameter_name", "buffer": "buffer_name", "tensor_constant": "tensor_constant_name"}


class Program:
    """One exported program: straight steps from inputs to outputs."""

    def __init__(self, file: Path) -> None:
        """Read and check everything. Raises BundleCorrupt, BundleRefused naming the operator that is not run."""
        try:
            with ZipFile(file) as archive:
                self._read(archive)
        except (OSError, BadZipFile, KeyError, ValueError, TypeError, IndexError, AttributeError, RuntimeError) as exc:
            raise BundleCorrupt(
                f"{file.name} cannot be loaded", cause=f"{type(exc).__name__}: {str(exc)[:300]}"
            ) from exc

    def _read(self, archive: ZipFile) -> None:
        root = archive.namelist()[0].partition("/")[0]
        document = json.loads(archive.read(f"{root}/models/model.json"))["graph_module"]
        graph, signature = document["graph"], document["signature"]
        stored = _tensors(archive, root, "weights") | _tensors(archive, root, "constants")
        self._state: dict[str, Any] = {}
        self.inputs: list[str] = []
        for spec in signature["input_specs"]:
            ((kind, found),) = spec.items()
            if kind in _STORED:
                self._state[found["arg"]["name"]] = stored[found[_STORED[kind]]]
            elif kind == "user_input":
                self.inputs.append(found["arg"]["as_tensor"]["name"])
            else:
                raise _refused(f"an input of kind {kind!r}")
        self.outputs = []
        for spec in signature["output_specs"]:
            if "user_output" not in spec:
                raise _refused(f"an output of kind {next(iter(spec))!r}")
            self.outputs.append(spec["user_output"]["arg"]["as_tensor"]["name"])
        self.kinds = [_dtype(graph["tensor_values"][name]["dtype"]) for name in self.inputs]
        self._steps = [_Step(node) for node in graph["nodes"]]

    def run(self, *tensors: Any) -> list[Any]:
        """The outputs for these inputs, in order."""
        values = self._state | dict(zip(self.inputs, tensors, strict=True))
        for step in self._steps:
            step.run(values)
        return [values[name] for name in self.outputs]


class _Step:
    """One node: an operator, how its arguments are found among the values, and where its results go."""

    def __init__(self, node: dict[str, Any]) -> None:
        self._operator = _operator_of(node["target"])
        self._places = [_argument(given["arg"]) for given in node["inputs"] if given.get("kind", 1) == 1]
        self._named = {given["name"]: _argument(given["arg"]) for given in node["inputs"] if given.get("kind", 1) != 1}
        self._into = [_into(output) for output in node["outputs"]]

    def run(self, values: dict[str, Any]) -> None:
        result = self._operator(
            *(place(values) for place in self._places), **{name: place(values) for name, place in self._named.items()}
        )
        results: Sequence[Any] = (result,) if len(self._into) == 1 else result
        for into, each in zip(self._into, results, strict=True):
            if isinstance(into, str):
                values[into] = each
            else:
                values.update(zip(into, each, strict=True))


def _operator_of(target: str) -> Callable[..., Any]:
    import torch

    if target in _NUMBERS:
        return _NUMBERS[target]
    name = target.removeprefix("torch.ops.aten.")
    plain, _, overload = name.partition(".")
    if name == target or not plain.isidentifier() or not overload.isidentifier() or plain in _NOT_THE_SAME_TWICE:
        raise _refused(f"the operator {target!r}")
    found: Any = getattr(getattr(torch.ops.aten, plain), overload)
    if name not in _BESIDES_CORE and torch.Tag.core not in found.tags:
        raise _refused(f"the operator {target!r}")
    return found  # type: ignore[no-any-return]


def _argument(given: dict[str, Any]) -> Callable[[dict[str, Any]], Any]:
    """How one argument is found when the program runs: names among the values, or a constant."""
    ((kind, value),) = given.items()
    if kind in ("as_tensor", "as_optional_tensor", "as_sym_int", "as_sym_bool", "as_sym_float"):
        return _one(value)
    if kind in ("as_tensors", "as_optional_tensors", "as_sym_ints", "as_sym_bools", "as_sym_floats"):
        parts = [_one(each) for each in value]
        return lambda values: [part(values) for part in parts]
    constant = _constant(kind, value)
    return lambda _: constant


def _one(given: dict[str, Any]) -> Callable[[dict[str, Any]], Any]:
    """A value by its name ({name}, {as_name} or {as_tensor: {name}}), nothing ({as_none}), or a number ({as_int})."""
    ((kind, value),) = given.items()
    name = value["name"] if kind == "as_tensor" else value
    if kind in ("name", "as_name", "as_tensor"):
        return lambda values: values[name]
    constant = None if kind == "as_none" else value
    return lambda _: constant


def _constant(kind: str, value: Any) -> Any:
    """A constant argument as PyTorch takes it."""
    import torch

    read: dict[str, Any] = {
        "as_none": lambda _: None,
        "as_float": float,  # infinities are written as text
        "as_floats": lambda values: [float(one) for one in values],
        "as_scalar_type": _dtype,
        "as_memory_format": lambda number: getattr(torch, _MEMORY[number]),
        "as_layout": lambda number: torch.strided if number == _STRIDED else None,
        "as_device": lambda device: torch.device("cpu") if device["type"] == "cpu" else None,
    } | dict.fromkeys(("as_int", "as_ints", "as_bool", "as_bools", "as_string", "as_int_lists"), lambda same: same)
    if kind not in read:
        raise _refused(f"an argument of kind {kind!r}")
    found = read[kind](value)
    if found is None and kind in ("as_layout", "as_device"):
        raise _refused(f"tensors that are not plain ones of the CPU ({value!r})")
    return found


def _into(output: dict[str, Any]) -> str | list[str]:
    ((kind, value),) = output.items()
    if kind == "as_tensors":
        return [each["name"] for each in value]
    if kind == "as_tensor":
        return str(value["name"])
    if kind in ("as_sym_int", "as_sym_bool", "as_sym_float"):
        return str(value["as_name"])
    if kind == "as_none":
        return ""
    raise _refused(f"a result of kind {kind!r}")


def _tensors(archive: ZipFile, root: str, kind: str) -> dict[str, Any]:
    """The raw tensors of one folder of the archive by name."""
    import torch

    config = json.loads(archive.read(f"{root}/data/{kind}/model_{kind}_config.json"))["config"]
    found = {}
    for name, about in config.items():
        meta = about["tensor_meta"]
        if about["use_pickle"] or meta is None:
            raise _refused(f"{name!r}, which is kept as a pickle")
        content = bytearray(archive.read(f"{root}/data/{kind}/{about['path_name']}"))
        dtype = _dtype(meta["dtype"])
        sizes = [each["as_int"] for each in meta["sizes"]]
        if not content:
            found[name] = torch.zeros(sizes, dtype=dtype)
            continue
        strides = [each["as_int"] for each in meta["strides"]]
        flat = torch.frombuffer(content, dtype=dtype)
        found[name] = torch.as_strided(flat, sizes, strides, meta["storage_offset"]["as_int"])
    return found


def _dtype(number: int) -> Any:
    import torch

    if number not in _DTYPES:
        raise _refused(f"numbers of type {number}")
    return getattr(torch, _DTYPES[number])


def _refused(what: str) -> BundleRefused:
    return BundleRefused(
        f"the exported program holds {what}, which is not run from a file",
        cause="only PyTorch's core operators on plain tensors of the CPU are, since nothing of them is code",
        remedy="leave it out of the exported module, or export the model to ONNX",
    )
