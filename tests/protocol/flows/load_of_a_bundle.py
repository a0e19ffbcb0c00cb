"""A bundle that Noria exported, opened by a plain mlflow. Run with nothing, the folder, and what it shall answer."""

import json
import sys
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd

folder, right = Path(sys.argv[2]), json.loads(Path(sys.argv[3]).read_text())
frame = pd.DataFrame(right["rows"])
model = mlflow.pyfunc.load_model(str(folder))

found = model.predict(frame)
assert list(found.columns) == ["probability"], found
assert np.array_equal(found["probability"].to_numpy(dtype="float32"), np.array(right["probability"], dtype="float32"))
assert list(found.index) == list(frame.index)
assert "noria" not in sys.modules
assert model.metadata.signature.inputs.input_names() == list(frame.columns)
assert len(model.input_example) == 3
assert mlflow.models.get_model_info(str(folder)).flavors.keys() == {"python_function", "noria", "onnx"}
assert mlflow.onnx.load_model(str(folder)).graph.input[0].name == frame.columns[0]


def refused(kind, text, call, *given):
    said = "nothing"
    try:
        call(*given)
    except kind as error:
        said = str(error)
    assert text in said, (text, said)


refused(mlflow.exceptions.MlflowException, frame.columns[0], model.predict, frame.drop(columns=frame.columns[0]))
damaged = bytearray((folder / "model.onnx").read_bytes())
damaged[len(damaged) // 2] ^= 1
(folder / "model.onnx").write_bytes(damaged)
refused(ValueError, "model.onnx", mlflow.pyfunc.load_model, str(folder))
print("ok", mlflow.__version__)
