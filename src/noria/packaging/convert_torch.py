"""A PyTorch module or exported program becomes ONNX by PyTorch's own exporter, where its one extra package (onnxscript) is there.

Inputs are the signature's columns, outputs the signature's outputs. Everything else becomes ONNX in convert; judging it is parity. Called by convert.
"""

import contextlib
import inspect
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


def torch_to_onnx(model: Any, signature: Signature) -> tuple[Any, bool]:
    """The graph, weights inside, the number of rows open; and whether its one input, `features`, is all columns side by side.

    Raises BundleError with the exporter's reason.
    """
    import torch

    inputs, together = _inputs(model, signature)
    is_program = _is_program(model)
    rows = torch.export.Dim("rows")
    training = not is_program and model.training
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()), torch.no_grad():
            warnings.simplefilter("ignore")
            if not is_program:
                model.eval()
            program = torch.onnx.export(
                model,
                () if is_program else inputs,
                dynamic_shapes=None if is_program else tuple({0: rows} for _ in inputs),
                input_names=["features"] if together else [field.name for field in signature.inputs],
                output_names=[field.name for field in signature.outputs],
                opset_version=OPSET,
                dynamo=True,
                verbose=False,
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
    finally:
        if training:
            model.train()
    graph = program.model_proto
    del graph.metadata_props[:]
    for part in (*graph.graph.node, *graph.graph.value_info, *graph.graph.input, *graph.graph.output, *graph.functions):
        del part.metadata_props[:]  # where in which source file each node came from: paths of the machine that trained
        part.doc_string = ""
    return graph, together


def _is_program(model: object) -> bool:
    return type(model).__name__ == "ExportedProgram"


def _inputs(model: Any, signature: Signature) -> tuple[tuple[Any, ...], bool]:
    """Two rows of what the module takes: a tensor a column, or, where it takes a single one, all columns side by side (then True).

    Numbers enter in the type of the module's own weights, whatever the columns'.
    """
    import torch

    if text := [field.name for field in signature.inputs if field.datatype == "BYTES"]:
        raise BundleError(
            "the model cannot be written as ONNX",
            cause=f"column {text[0]!r} is text, and PyTorch takes numbers",
            remedy="encode it before the model",
        )
    if _is_program(model):
        return (), len(model.graph_signature.user_inputs) == 1 < len(signature.inputs)
    own = next((weight.dtype for weight in model.parameters() if weight.is_floating_point()), torch.float32)
    kinds = {"INT64": torch.int64, "BOOL": torch.bool}
    plain = [
        p
        for p in inspect.signature(model.forward).parameters.values()
        if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
    ]
    if (
        len(signature.inputs) > 1
        and sum(p.default is p.empty for p in plain) == 1
        and len(plain) < len(signature.inputs)
    ):
        return (torch.zeros((2, sum(field.width for field in signature.inputs)), dtype=own),), True
    return tuple(
        torch.zeros((2, *(field.dims or (field.width,))), dtype=kinds.get(field.datatype, own))
        for field in signature.inputs
    ), False
