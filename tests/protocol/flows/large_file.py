"""A large file by MLflow's own client: in one piece and in parts, up and down. Run with a server's URL and the number of megabytes."""

import hashlib
import os
import sys
import tempfile
from pathlib import Path

os.environ["MLFLOW_TRACKING_URI"] = sys.argv[1]
os.environ["MLFLOW_MULTIPART_UPLOAD_MINIMUM_FILE_SIZE"] = str(8 << 20)
os.environ["MLFLOW_MULTIPART_UPLOAD_CHUNK_SIZE"] = str(8 << 20)
import mlflow


def digest(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


folder = Path(tempfile.mkdtemp())
sent = folder / "big file.bin"
with open(sent, "wb") as file:
    for number in range(int(sys.argv[2])):
        file.write(number.to_bytes(4, "big") * (1 << 18))

for parts in ("false", "true"):
    os.environ["MLFLOW_ENABLE_PROXY_MULTIPART_UPLOAD"] = parts
    with mlflow.start_run() as run:
        mlflow.log_artifact(str(sent), "data")
    assert mlflow.MlflowClient().list_artifacts(run.info.run_id, "data")[0].file_size == sent.stat().st_size
    received = mlflow.artifacts.download_artifacts(run_id=run.info.run_id, artifact_path=f"data/{sent.name}")
    assert digest(received) == digest(sent), parts
print("ok", mlflow.__version__)
