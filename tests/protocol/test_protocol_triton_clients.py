"""Triton's four clients against a real worker with both ports, in the clients' own environment; keys and certificates as they send them."""

import subprocess
from pathlib import Path

import grpc
import pytest

from noria.server.inference.grpc.schema import message
from tests.server.v2_factory import ask
from tests.serving.worker_factory import a_home, a_worker

FLOWS = Path(__file__).parent / "flows"
PEER = Path(__file__).resolve().parents[2] / ".make" / "peers" / "bin" / "python"


def run(flow, *arguments):
    done = subprocess.run(
        [str(PEER), str(FLOWS / f"{flow}.py"), *arguments], capture_output=True, text=True, timeout=110, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.splitlines()[-1].startswith("ok ")


def test_all_four_clients_notice_no_difference(tmp_path):
    home, _, _ = a_home(tmp_path)

    with a_worker(home, "--grpc-port", "0") as worker:
        run("triton_clients", f"{worker.host}:{worker.port}", worker.told["grpc"])


def test_a_client_with_a_key_is_answered_and_one_without_is_not(tmp_path):
    home, _, _ = a_home(tmp_path)
    key = "correct-horse-battery"
    metadata = message("ModelMetadataRequest")(name="late")

    with a_worker(home, "--grpc-port", "0", env={"NORIA_API_KEY": key}) as worker:
        address = worker.told["grpc"]
        assert ask(address, "ServerLive", message("ServerLiveRequest")()).live
        with pytest.raises(grpc.RpcError) as refused:
            ask(address, "ModelMetadata", metadata)
        assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED
        assert "API key" in refused.value.details()
        assert ask(address, "ModelMetadata", metadata, metadata=(("authorization", f"Bearer {key}"),)).name == "late"


def test_a_taken_port_is_refused_by_name(tmp_path):
    home, _, _ = a_home(tmp_path)

    with a_worker(home, "--grpc-port", "0") as worker:
        port = worker.told["grpc"].rpartition(":")[2]
        with pytest.raises(AssertionError, match="said ''"), a_worker(home, "--grpc-port", port):
            pass


@pytest.mark.slow
def test_every_process_of_a_worker_answers_on_the_one_port(tmp_path):
    home, _, _ = a_home(tmp_path)

    with a_worker(home, "--grpc-port", "0", "--workers", "2") as worker:
        run("triton_clients", f"{worker.host}:{worker.port}", worker.told["grpc"])
