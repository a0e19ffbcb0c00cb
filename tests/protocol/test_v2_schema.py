"""Our messages of gRPC against those of Triton's own client: every name, number, type and choice; and what making them costs."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from noria.server.inference.grpc.schema import HEALTH_MESSAGES, MESSAGES, file_of, message

FLOWS = Path(__file__).parent / "flows"
PEER = Path(__file__).resolve().parents[2] / ".make" / "peers" / "bin" / "python"


@pytest.fixture(scope="module")
def official():
    done = subprocess.run(
        [str(PEER), str(FLOWS / "triton_schema.py")], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


def described(messages, outer=""):
    found = {}
    for one in messages:
        name = f"{outer}{one.name}"
        found[name] = {
            f.name: [f.number, f.type, f.label, f.type_name, f.HasField("oneof_index")] for f in one.field
        } | {"": one.options.map_entry}
        found |= described(one.nested_type, f"{name}.")
    return found


def test_every_field_has_the_name_number_and_type_that_tritons_client_knows(official):
    ours = described(file_of("inference", MESSAGES).message_type)

    assert {
        name: {f: v for f, v in official["messages"][name].items() if f in held} for name, held in ours.items()
    } == ours


def test_only_what_is_not_answered_here_is_left_out(official):
    ours = described(file_of("inference", MESSAGES).message_type)
    apart = ("ModelConfig", "SystemSharedMemory", "CudaSharedMemory", "TraceSetting", "LogSettings")
    unmeasured = {"InferResponseStatistics", "MemoryUsage", "ModelStatistics.ResponseStatsEntry"}

    left_out = {name for name in official["messages"].keys() - ours.keys() if not name.startswith(apart)}

    assert left_out == unmeasured
    fields = {(name, field) for name, held in ours.items() for field in official["messages"][name].keys() - held.keys()}
    assert fields == {("ModelStatistics", "memory_usage"), ("ModelStatistics", "response_stats")}


def test_a_method_takes_and_gives_the_messages_of_its_name(official):
    for method, (takes, gives, *streams) in official["methods"].items():
        if takes.removeprefix(".inference.") in MESSAGES:
            kind = "ModelInfer" if method == "ModelStreamInfer" else method
            assert takes == f".inference.{kind}Request"
            assert gives == f".inference.{method}Response"
            assert streams == [method == "ModelStreamInfer"] * 2


def test_every_message_can_be_made_and_read_back():
    for name in (*MESSAGES, *HEALTH_MESSAGES):
        assert message(name).FromString(message(name)().SerializeToString()) == message(name)()


def test_a_worker_without_the_port_loads_no_grpc():
    code = "import sys, noria.server.inference.run; print('grpc' in sys.modules or 'google.protobuf' in sys.modules)"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "False"
