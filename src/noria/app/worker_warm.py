"""Ask a bundle that was just loaded for its example's predictions, before anybody else does: what fails here is never put live.

Called by worker_loader.
"""

import numpy as np

from noria.errors import BundleError, NoriaError
from noria.packaging.bundle import OpenBundle
from noria.ports.flavor import Columns


def warm(opened: OpenBundle, example: Columns) -> None:
    """Answer the example once, as a request would be; the model's first answer, often its slowest, is given by then.

    Raises BundleError when it fails, lacks an output of the signature, or gives another number of rows.
    """
    problem = f"the bundle {opened.digest} for model {opened.manifest.model!r} does not answer its own example"
    remedy = "build it again: noria run; the former version goes on answering"
    try:
        outputs = opened.predictor.predict(example)
    except NoriaError as error:
        raise BundleError(problem, cause=f"{error.headline()} {error.cause}".strip(), remedy=remedy) from error
    except Exception as exc:  # whatever a model raises
        raise BundleError(problem, cause=f"{type(exc).__name__}: {exc}", remedy=remedy) from exc
    rows = len(next(iter(example.values())))
    for field in opened.manifest.signature.outputs:
        if field.name not in outputs:
            raise BundleError(problem, cause=f"it gives no output {field.name!r}", remedy=remedy)
        given = np.shape(outputs[field.name])
        if not given or given[0] != rows:
            raise BundleError(problem, cause=f"output {field.name!r} has shape {given} for {rows} rows", remedy=remedy)
