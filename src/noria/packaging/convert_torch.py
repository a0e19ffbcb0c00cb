"""A PyTorch module or exported program becomes ONNX by PyTorch's own exporter, where its one extra package (onnxscript) is there.

Inputs are the signature's columns, outputs the signature's outputs. Everything else becomes ONNX in convert; judging it is parity. Called by convert.
"""

import contextlib
import io
import warnings
from typing import Any

from noria.domain.model import Signature
from noria.errors import BundleError

OPSET = 18


def is_torch(model: object) -> bool:
    """Whether it is a PyTorch module or an exported program, without importing PyTorch."""
    names = {f"{kind.__module__}.{kind.__name__}" for kind in type(model).__mro__}
    return bool(names & {"torch.nn.modules.module.Module", "torch.export.exported_program.ExportedProgram"})


def torch_to_onnx(model: Any, signature: Signature) -> bytes:
    """One ONNX file, weights inside, the number of rows open. Raises BundleError with the exporter's reason."""
    import torch

    inputs = tuple(
        torch.zeros((2, *(field.dims or (field.width,))), dtype=_dtype(field.datatype)) for field in signature.inputs
    )
    is_program = type(model).__name__ == "ExportedProgram"
    arguments: dict[str, Any] = {}
    if not is_program:
        model.eval()
        arguments["dynamic_shapes"] = tuple({0: torch.export.Dim("rows")} for _ in inputs)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()), torch.no_grad():
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                model,
                () if is_program else inputs,
                input_names=[field.name for field in signature.inputs],
                output_names=[field.name for field in signature.outputs],
                opset_version=OPSET,
                dynamo=True,
                verbose=False,
                **arguments,
            )
    except ModuleNotFoundError as exc:
        raise BundleError(
            "the model cannot be written as ONNX",
            cause=f"PyTorch's exporter needs the package {exc.name!r}",
            remedy="pip install 'noria[torch]'; until then the native form is served",
        ) from exc
    except Exception as exc:
        # The exporter raises its own kinds and whatever its decompositions raise; they share no base below Exception.
        cause = f"{type(exc).__name__}: {(str(exc).strip().splitlines() or ['no message'])[0]}"
        raise BundleError(
            "the model cannot be written as ONNX", cause=cause[:300], remedy="nothing to do: the native form is served"
        ) from exc
    graph = program.model_proto
    del graph.metadata_props[:]
    for part in (*graph.graph.node, *graph.graph.value_info, *graph.graph.input, *graph.graph.output, *graph.functions):
        del part.metadata_props[:]  # where in which source file each node came from: paths of the machine that trained
    return bytes(graph.SerializeToString(deterministic=True))


def _dtype(datatype: str) -> Any:
    import torch

    kinds = {"FP32": torch.float32, "FP64": torch.float64, "INT64": torch.int64, "BOOL": torch.bool}
    if datatype not in kinds:
        raise BundleError(
            "the model cannot be written as ONNX",
            cause="a column is text, and PyTorch takes numbers",
            remedy="encode it",
        )
    return kinds[datatype]
