"""A worker of several processes on one port: what one is told, all follow; what they count, any tells; no answer is recorded twice."""

import os
import re
import signal

import grpc
import pytest

from noria.errors import SettingInvalid
from noria.server.inference.run_options import Options, parse
from tests.serving.worker_factory import a_home, a_worker, eventually, flights, logged, request_of

REQUEST = request_of(flights(2))


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """Two processes with a gRPC port, over one home."""
    home, _, _ = a_home(tmp_path_factory.mktemp("processes"))
    with a_worker(home, "--workers", "2", "--grpc-port", "0") as worker:
        yield worker, home


def of_all(worker, path="/noria/status"):
    """What each process says: asked until both have been heard."""
    heard = {}

    def both():
        told = worker.json("GET", path)[1]
        heard[told["pid"]] = told
        return len(heard) == told["processes"] == 2

    eventually(both)
    return heard


def test_both_processes_answer_and_know_of_each_other(served):
    worker, _ = served

    heard = of_all(worker)

    assert {told["slot"] for told in heard.values()} == {0, 1}
    assert all(told["deployments"]["late"]["loaded"] for told in heard.values())
    assert worker.process.pid not in heard


def test_every_answer_is_recorded_once_whichever_process_gave_it(served):
    worker, home = served

    ids = [worker.infer(REQUEST)[1]["parameters"]["request_id"] for _ in range(40)]

    assert worker.flush()
    rows = logged(home)
    assert rows["prediction_id"].n_unique() == rows.height
    assert rows.filter(rows["request_id"].is_in(ids)).height == 80


def test_what_is_counted_is_counted_over_all_processes(served):
    worker, _ = served

    def count():
        text = worker.ask("GET", "/metrics")[2].decode()
        found = re.search(r'noria_requests_total\{deployment="late"[^}]*status="200"[^}]*\} (\d+)', text)
        return 0 if found is None else int(float(found[1]))

    before = count()
    for _ in range(20):
        assert worker.infer(REQUEST)[0] == 200

    assert [count() - before for _ in range(5)] == [20] * 5


def test_what_is_unloaded_is_unloaded_in_every_process_when_the_answer_comes(served):
    worker, _ = served

    assert worker.ask("POST", "/v2/repository/models/late/unload", b"{}")[0] == 200
    refused = [worker.infer(REQUEST)[0] for _ in range(20)]
    assert worker.ask("POST", "/v2/repository/models/late/load", b"{}")[0] == 200
    answered = [worker.infer(REQUEST)[0] for _ in range(20)]

    assert set(refused).isdisjoint({200})
    assert set(answered) == {200}


def test_the_grpc_port_is_shared_too(tmp_path):
    home, _, _ = a_home(tmp_path)
    with a_worker(home, "--workers", "2", "--grpc-port", "0") as worker:
        for _ in range(5):
            with grpc.insecure_channel(worker.told["grpc"]) as channel:
                live = channel.unary_unary("/inference.GRPCInferenceService/ServerLive")
                assert live(b"", timeout=10) == b"\x08\x01"


def test_a_worker_whose_parent_is_killed_ends(tmp_path):
    home, _, _ = a_home(tmp_path)
    with a_worker(home, "--workers", "2") as worker:
        pids = list(of_all(worker))
        worker.process.send_signal(signal.SIGKILL)
        worker.process.wait()

        assert eventually(lambda: not any(_lives(pid) for pid in pids))


def test_options_survive_being_told_to_a_process():
    options = Options(home="/h", port=0, deployment=("a",), durable=True, workers=3, deadline_ms=12.5, grpc_port=0)

    assert parse(options.arguments()) == options


@pytest.mark.parametrize(
    "flag", ["--workers=0", "--max-in-flight=0", "--body-s=0", "--deadline-ms=-1", "--grpc-port=70000"]
)
def test_numbers_that_cannot_be_are_refused(flag):
    with pytest.raises(SettingInvalid):
        parse(["--home", "/h", flag])


def _lives(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
