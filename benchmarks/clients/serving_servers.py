"""The servers that serving.py compares: Noria's worker in several settings, the bare bound, and peers, each as its documentation serves such a model.

A peer's environment is PEERS_ROOT/<name> (a venv); one that is not there is left out. Each runs one worker process. What had to be known of them:
MLServer 1.7 needs uvloop below 0.22; LitServe calls decode_request with the keyword `request`.
"""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]

BOUND = """
import asyncio, os, signal, sys, msgspec, numpy as np, onnxruntime as ort
from granian.constants import HTTPModes, Interfaces
from granian.server.embed import Server
options = ort.SessionOptions(); options.intra_op_num_threads = options.inter_op_num_threads = 1
options.add_session_config_entry("session.intra_op.allow_spinning", "0")
session = ort.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])
of = {"tensor(float)": np.float32, "tensor(double)": np.float64, "tensor(string)": object}
kinds = {i.name: of[i.type] for i in session.get_inputs()}
class Tensor(msgspec.Struct):
    name: str
    shape: list[int]
    datatype: str
    data: list[float | str]
class Request(msgspec.Struct):
    inputs: list[Tensor]
decode, encode = msgspec.json.Decoder(Request).decode, msgspec.json.Encoder().encode
class App:
    async def __rsgi__(self, scope, protocol):
        request = decode(await protocol())
        out = session.run(None, {t.name: np.array(t.data, kinds[t.name]).reshape(-1, 1) for t in request.inputs})[0][:, -1].tolist()
        body = encode({"model_name": "m", "outputs": [{"name": "probability", "datatype": "FP32", "shape": [len(out)], "data": out}]})
        protocol.response_bytes(200, [("content-type", "application/json")], body)
async def main():
    server = Server(App(), port=int(sys.argv[2]), interface=Interfaces.RSGI, http=HTTPModes.http1, websockets=False, log_enabled=False, backlog=1024)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, server.stop)
    await server.serve()
asyncio.run(main())
os._exit(0)
"""

TABLE = """
import pickle, sys, warnings, pandas as pd
warnings.simplefilter("ignore")
def answer(model, kind, inputs):
    table = pd.DataFrame({t["name"]: t["data"] for t in inputs})
    return model.predict_proba(table.to_numpy() if kind == "gbdt" else table)[:, 1].tolist()
"""

FASTAPI = (
    TABLE
    + """
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel
app = FastAPI()
class Tensor(BaseModel):
    name: str
    shape: list[int]
    datatype: str
    data: list[float] | list[str]
class Request(BaseModel):
    inputs: list[Tensor]
model, kind = pickle.load(open(sys.argv[1], "rb")), sys.argv[2]
@app.post("/predict")
def infer(request: Request):
    p = answer(model, kind, [t.model_dump() for t in request.inputs])
    return {"outputs": [{"name": "probability", "datatype": "FP64", "shape": [len(p)], "data": p}]}
uvicorn.run(app, port=int(sys.argv[3]), log_level="error", access_log=False)
"""
)

LITSERVE = (
    TABLE
    + """
import litserve as ls
class Api(ls.LitAPI):
    def setup(self, device):
        self.model, self.kind = pickle.load(open(sys.argv[1], "rb")), sys.argv[2]
    def decode_request(self, request):
        return request["inputs"]
    def predict(self, inputs):
        return answer(self.model, self.kind, inputs)
    def encode_response(self, output):
        return {"probability": output}
if __name__ == "__main__":
    ls.LitServer(Api(), accelerator="cpu", workers_per_device=1).run(port=int(sys.argv[3]), generate_client_file=False, log_level="error")
"""
)

BENTOML = (
    TABLE
    + """
import bentoml, os
@bentoml.service(workers=1)
class Peer:
    def __init__(self):
        self.model, self.kind = pickle.load(open(os.environ["BENCH_MODEL"], "rb")), os.environ["BENCH_KIND"]
    @bentoml.api
    def predict(self, inputs: list) -> dict:
        return {"probability": answer(self.model, self.kind, inputs)}
"""
)

RAY = (
    TABLE
    + """
import signal, time
import ray
from ray import serve
@serve.deployment(num_replicas=1)
class Peer:
    def __init__(self, path, kind):
        self.model, self.kind = pickle.load(open(path, "rb")), kind
    async def __call__(self, request):
        return {"probability": answer(self.model, self.kind, (await request.json())["inputs"])}
ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
serve.start(http_options={"host": "127.0.0.1", "port": int(sys.argv[3])})
serve.run(Peer.bind(sys.argv[1], sys.argv[2]), route_prefix="/predict")
signal.signal(signal.SIGTERM, lambda *_: (serve.shutdown(), ray.shutdown(), sys.exit(0)))
while True:
    time.sleep(1)
"""
)

MLFLOW = """
import pickle, sys, mlflow.sklearn
more = {"serialization_format": "cloudpickle", "pip_requirements": ["scikit-learn"], "pyfunc_predict_fn": "predict_proba"}
mlflow.sklearn.save_model(pickle.load(open(sys.argv[1], "rb")), sys.argv[2], **more)
"""


@dataclass(frozen=True, kw_only=True)
class Server:
    """One to compare. start: port -> process. path: of predictions. body: which form of the request it takes. kind: the model that it serves."""

    name: str
    kind: str
    start: Callable[[int], "subprocess.Popen[Any]"]
    path: str
    body: str = "v2"


def own(made: dict[str, Path], kind: str) -> Iterator[Server]:
    """The bound, and Noria: everything on; without a challenger, so nothing to route; without a log."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}

    def noria(*more: str) -> Callable[[int], "subprocess.Popen[Any]"]:
        command = [sys.executable, "-m", "noria.app.worker", "--home", str(made["home"]), *more, "--port"]
        return lambda port: subprocess.Popen([*command, str(port)], env=environment, stdout=subprocess.DEVNULL)

    bare = [sys.executable, "-c", BOUND, str(made[f"{kind}.onnx"])]
    yield Server(name="bound", kind=kind, path="/predict", start=lambda port: subprocess.Popen([*bare, str(port)]))
    yield Server(name="noria", kind=kind, path=f"/v2/models/{kind}/infer", start=noria())
    yield Server(name="noria, one variant", kind=kind, path=f"/v2/models/{kind}-alone/infer", start=noria())
    yield Server(name="noria, no log", kind=kind, path=f"/v2/models/{kind}/infer", start=noria("--no-log"))


def peers(made: dict[str, Path], kind: str, root: Path, names: list[str]) -> Iterator[Server]:
    """Those of the names whose environment is there."""
    scratch, model = made["scratch"], str(made[f"{kind}.pickle"])
    for name in names:
        python = root / name / "bin" / "python"
        if not python.exists():
            print(f"{name}: there is no {python}, left out", file=sys.stderr)
            continue
        environment = {**os.environ, "PATH": f"{python.parent}:{os.environ['PATH']}", "OMP_NUM_THREADS": "1"}
        yield Server(
            name=name,
            kind=kind,
            start=_starter(name, python, scratch, model, kind, environment),
            path={"mlflow": "/invocations", "mlserver": f"/v2/models/{kind}/infer"}.get(name, "/predict"),
            body={"mlflow": "invocations", "mlserver": "mlserver"}.get(name, "v2"),
        )


def _starter(
    name: str, python: Path, scratch: Path, model: str, kind: str, environment: dict[str, str]
) -> Callable[[int], "subprocess.Popen[Any]"]:
    def start(port: int) -> "subprocess.Popen[Any]":
        folder = scratch / f"{name}-{kind}"
        folder.mkdir(exist_ok=True)
        command, extra = _command(name, str(python), folder, model, kind, port)
        return subprocess.Popen(
            command, cwd=folder, env={**environment, **extra}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )

    return start


def _command(
    name: str, python: str, folder: Path, model: str, kind: str, port: int
) -> tuple[list[str], dict[str, str]]:
    tool = str(Path(python).parent / name)
    if name == "mlflow":
        saved = folder / "model"
        if not saved.exists():
            subprocess.run([python, "-W", "ignore", "-c", MLFLOW, model, str(saved)], check=True, cwd=folder)
        return [
            tool,
            "models",
            "serve",
            "-m",
            str(saved),
            "-p",
            str(port),
            "--env-manager",
            "local",
            "--workers",
            "1",
        ], {}
    if name == "mlserver":
        settings = f'{{"http_port": {port}, "grpc_port": {port + 1}, "metrics_port": {port + 2}, "debug": false}}'
        (folder / "settings.json").write_text(settings)
        described = f'{{"name": "{kind}", "implementation": "mlserver_sklearn.SKLearnModel", "parameters": {{"uri": "{model}"}}}}'
        (folder / "model-settings.json").write_text(described)
        return [tool, "start", str(folder)], {}
    if name == "bentoml":
        (folder / "service.py").write_text(BENTOML)
        told = {"BENCH_MODEL": model, "BENCH_KIND": kind, "BENTOML_DO_NOT_TRACK": "1"}
        return [tool, "serve", "service:Peer", "--port", str(port)], told
    script = folder / "serve_it.py"
    script.write_text({"fastapi": FASTAPI, "litserve": LITSERVE, "ray": RAY}[name])
    return [python, "-W", "ignore", str(script), model, kind, str(port)], {}
