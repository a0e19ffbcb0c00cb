"""PyTorch modules as exported programs (.pt2): graph and weights, no code. Converting to ONNX is packaging/convert. Loaded by name.

A module takes one tensor a column, or, if it takes a single one, all columns side by side. PyTorch itself is imported when a model asks for it.
"""

import inspect
import warnings
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

from noria.adapters.flavors.answers import cutter, refused
from noria.adapters.flavors.pt2 import Program
from noria.domain.model import Field, Signature
from noria.errors import BundleCorrupt, BundleRefused, ExtraMissing
from noria.ports.flavor import Columns, Predictor

FILE = "model.pt2"
TOLERANCE = 1e-4
"""How far the exported program may be from the module, relatively: decomposed operators sum in another order."""
_ABOUT_THE_SOURCE = ("stack_trace", "nn_module_stack", "source_fn_stack", "torch_fn", "from_node", "custom")


class TorchPredictor:
    """A program that was read. One thread and one call at a time, so that the same columns give the same bits."""

    def __init__(self, program: Program, signature: Signature) -> None:
        import torch

        self._torch, self._program, self._fields = torch, program, signature.inputs
        self._together = len(program.inputs) == 1 and len(signature.inputs) > 1
        if not self._together and len(program.inputs) != len(signature.inputs):
            raise BundleCorrupt(
                f"the program takes {len(program.inputs)} inputs, the signature has {len(signature.inputs)}",
                remedy="package the model again with its own signature",
            )
        self._several = len(program.outputs) > 1
        self._cut = cutter(signature)
        self._lock = Lock()

    def predict(self, columns: Columns) -> Columns:
        """Answer all rows. Raises RequestInvalid when the program refuses them (an index beyond an embedding)."""
        rows = len(columns[self._fields[0].name])
        torch = self._torch
        try:
            given = self._tensors(columns)
            with self._lock, torch.inference_mode():
                threads = torch.get_num_threads()
                torch.set_num_threads(1)
                try:
                    answers = [answer.reshape(rows, -1).numpy() for answer in self._program.run(*given)]
                finally:
                    torch.set_num_threads(threads)
        except (RuntimeError, IndexError, ValueError, TypeError) as exc:
            raise refused(exc) from exc
        return self._cut(np.concatenate(answers, axis=1) if self._several else answers[0])

    def _tensors(self, columns: Columns) -> list[Any]:
        kinds = self._program.kinds
        if self._together:
            wide = np.concatenate([columns[field.name].reshape(-1, field.width) for field in self._fields], axis=1)
            return [self._torch.from_numpy(wide).to(kinds[0])]
        return [
            self._torch.from_numpy(np.array(columns[field.name].reshape(-1, *(field.dims or (field.width,))))).to(kind)
            for field, kind in zip(self._fields, kinds, strict=True)
        ]


class TorchFlavor:
    """Keeps torch.nn.Module and torch.export.ExportedProgram."""

    name = "torch"
    code_free = True

    def accepts(self, model: object) -> bool:
        """Whether it is a module or an exported program, without importing PyTorch."""
        names = {f"{kind.__module__}.{kind.__name__}" for kind in type(model).__mro__}
        return bool(names & {"torch.nn.modules.module.Module", "torch.export.exported_program.ExportedProgram"})

    def save(self, model: Any, signature: Signature, folder: Path) -> None:
        """Export the module if it is not, keep its core operators, and see that what was kept answers as the module does.

        Raises BundleRefused for a module that cannot be exported, holds other operators, or takes a fixed number of rows; ExtraMissing.
        """
        if not self.accepts(model):
            raise BundleRefused(f"a {type(model).__name__} is no PyTorch module", remedy="use another flavor")
        torch = _torch()
        try:
            with warnings.catch_warnings(), torch.no_grad():
                warnings.simplefilter("ignore")
                given = _like(model, signature, rows=2)
                program = (model if _is_program(model) else _exported(model, given)).run_decompositions()
                for node in program.graph.nodes:  # paths and lines of the machine that trained are nobody's business
                    for about in _ABOUT_THE_SOURCE:
                        node.meta.pop(about, None)
                program._example_inputs = None
                torch.export.save(program, folder / FILE)
        except Exception as exc:
            # Exporting runs the module; its errors share no base below Exception.
            raise BundleRefused(
                f"a {type(model).__name__} cannot be exported",
                cause=f"{type(exc).__name__}: {(str(exc).strip().splitlines() or ['no message'])[0]}"[:300],
                remedy="see torch.export's own advice; or export the model to ONNX and package that",
            ) from exc
        _see_that_it_answers(model, Program(folder / FILE), signature)

    def load(self, folder: Path, signature: Signature) -> Predictor:
        """Read the program. Raises BundleCorrupt, BundleRefused for what is no core operator, ExtraMissing."""
        _torch()
        return TorchPredictor(Program(folder / FILE), signature)


def _torch() -> Any:
    try:
        import torch
    except ModuleNotFoundError as exc:
        raise ExtraMissing("a PyTorch model needs the package 'torch'", remedy="pip install 'noria[torch]'") from exc
    return torch


def _is_program(model: object) -> bool:
    return type(model).__name__ == "ExportedProgram"


def _exported(module: Any, given: tuple[Any, ...]) -> Any:
    """The module as a program over any number of rows; left in the mode it was in."""
    torch = _torch()
    training = module.training
    module.eval()
    try:
        rows = torch.export.Dim("rows")
        return torch.export.export(module, given, dynamic_shapes=tuple({0: rows} for _ in given))
    finally:
        module.train(training)


def _like(model: Any, signature: Signature, *, rows: int) -> tuple[Any, ...]:
    """Inputs of the shapes and types that the model takes, drawn with a fixed seed."""
    torch = _torch()
    draw = torch.Generator().manual_seed(rows)
    if _is_program(model):
        takes = len(model.graph_signature.user_inputs)
        kinds = [n.meta["val"].dtype for n in model.graph.nodes if n.name in model.graph_signature.user_inputs]
    else:
        takes = _number_taken(model, len(signature.inputs))
        own = next((p.dtype for p in model.parameters() if p.is_floating_point()), torch.float32)
        kinds = [{"INT64": torch.int64, "BOOL": torch.bool}.get(field.datatype, own) for field in signature.inputs]
        if takes == 1 and len(signature.inputs) > 1:
            kinds = [own]
    if takes == 1 and len(signature.inputs) > 1:
        shapes: list[tuple[int, ...]] = [(rows, sum(field.width for field in signature.inputs))]
    elif takes == len(signature.inputs):
        shapes = [(rows, *(field.dims or (field.width,))) for field in signature.inputs]
    else:
        raise ValueError(f"it takes {takes} inputs, the signature has {len(signature.inputs)}")
    if text := [field.name for field in signature.inputs if field.datatype == "BYTES"]:
        raise ValueError(f"column {text[0]!r} is text, and PyTorch takes numbers")
    low = _smallest(signature)
    return tuple(
        torch.randn(shape, generator=draw).to(kind) if kind.is_floating_point else torch.full(shape, low, dtype=kind)
        for shape, kind in zip(shapes, kinds, strict=True)
    )


def _smallest(signature: Signature) -> int:
    """A whole number that training saw: an index that every embedding has."""
    seen: list[Field] = [field for field in signature.inputs if field.datatype == "INT64" and field.minimum is not None]
    return int(min((field.minimum or 0.0 for field in seen), default=0.0))


def _number_taken(module: Any, columns: int) -> int:
    """How many tensors the module's forward takes: as many as there are columns if it can, else the ones it must have."""
    parameters = list(inspect.signature(module.forward).parameters.values())
    plain = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    needed = sum(p.default is p.empty for p in plain)
    return columns if needed <= columns <= len(plain) else needed


def _see_that_it_answers(model: Any, kept: Program, signature: Signature) -> None:
    """Compare program and module on rows drawn at random, of two lengths. Raises BundleRefused."""
    torch = _torch()
    module = model.module() if _is_program(model) else model
    training = module.training
    if not _is_program(model):
        module.eval()
    try:
        for rows in (1, 3):
            given = _like(model, signature, rows=rows)
            with torch.inference_mode():
                expected = module(*given)
                answers = kept.run(*given)
            several = list(expected) if isinstance(expected, (tuple, list)) else [expected]
            if any(len(a) != rows for a in answers) or not all(
                torch.allclose(a.double(), b.double(), rtol=TOLERANCE, atol=1e-6, equal_nan=True)
                for a, b in zip(answers, several, strict=True)
            ):
                raise ValueError(f"the exported program answers {rows} rows differently")
    except Exception as exc:
        # The module may raise anything, and a program of fixed shape does for another number of rows.
        raise BundleRefused(
            f"a {type(model).__name__} does not answer alike after export",
            cause=f"{type(exc).__name__}: {(str(exc).strip().splitlines() or ['no message'])[0]}"[:300],
            remedy="export it with dynamic_shapes for the rows, in evaluation mode",
        ) from exc
    finally:
        if not _is_program(model):
            module.train(training)


FLAVOR = TorchFlavor()
