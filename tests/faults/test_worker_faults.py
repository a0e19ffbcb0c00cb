"""A worker that is killed, given a damaged bundle, exchanged under load, stopped under load, or left without a disk."""

import json
import shutil
import signal
import stat
import threading
from http.client import HTTPConnection, HTTPException

import pytest

from noria.domain.ids import digest_of
from noria.serving import desired
from noria.wire.canonical import canonical
from tests.serving.worker_factory import (
    Running,
    a_home,
    a_worker,
    bundle,
    deployment,
    eventually,
    flights,
    logged,
    open_blobs,
    request_of,
    variant,
)

pytestmark = [pytest.mark.faults, pytest.mark.filterwarnings("ignore")]

BODY = json.dumps(request_of(flights(1))).encode()


class Load:
    """Clients that ask as fast as they can over kept connections, and remember every answer and every fault."""

    def __init__(self, worker: Running, clients: int = 4, body: bytes = BODY):
        self.answers: list[tuple[int, str, str]] = []
        self.faults: list[str] = []
        self._stop = threading.Event()
        self._worker, self._body = worker, body
        self._threads = [threading.Thread(target=self._ask) for _ in range(clients)]
        for thread in self._threads:
            thread.start()

    def _ask(self):
        connection = HTTPConnection(self._worker.host, self._worker.port, timeout=20)
        while not self._stop.is_set():
            try:
                connection.request("POST", "/v2/models/late/infer", body=self._body)
                response = connection.getresponse()
                content = json.loads(response.read())
            except (OSError, HTTPException) as error:
                self.faults.append(repr(error))
                return
            answer = content.get("parameters", {})
            self.answers.append((response.status, content.get("model_version", ""), answer.get("request_id", "")))
        connection.close()

    def stop(self):
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def ids(self):
        return [request_id for status, _, request_id in list(self.answers) if status == 200]


def test_what_was_answered_and_flushed_survives_a_kill(tmp_path):
    home, _, _ = a_home(tmp_path)
    with a_worker(home) as worker:
        load = Load(worker)
        eventually(lambda: len(load.answers) > 200)
        flushed = set(load.ids())
        assert worker.flush()
        eventually(lambda: len(load.answers) > len(flushed) + 100)
        worker.process.send_signal(signal.SIGKILL)
        worker.process.wait()
        load.stop()

    found = logged(home)["request_id"].to_list()

    assert flushed <= set(found)
    assert len(found) == len(set(found))


def test_after_a_kill_the_next_worker_goes_on(tmp_path):
    home, _, _ = a_home(tmp_path)
    ids = []
    for _ in range(3):
        with a_worker(home) as worker:
            ids.append(worker.infer(request_of(flights(1)))[1]["parameters"]["request_id"])
            assert worker.flush()
            worker.process.send_signal(signal.SIGKILL)
            worker.process.wait()

    assert set(logged(home)["request_id"].to_list()) == set(ids)


def test_durable_answers_survive_a_kill_without_a_flush(tmp_path):
    home, _, _ = a_home(tmp_path)
    with a_worker(home, "--durable") as worker:
        load = Load(worker)
        eventually(lambda: len(load.answers) > 100)
        worker.process.send_signal(signal.SIGKILL)
        worker.process.wait()
        load.stop()

    assert set(load.ids()) <= set(logged(home)["request_id"].to_list())


def test_sigterm_finishes_what_is_under_way_and_logs_every_answer(tmp_path):
    home, _, _ = a_home(tmp_path)
    with a_worker(home) as worker:
        load = Load(worker)
        eventually(lambda: len(load.answers) > 200)
        assert worker.stop() == 0
        load.stop()

    assert all(status == 200 for status, _, _ in load.answers)
    assert set(load.ids()) == set(logged(home)["request_id"].to_list())


def test_a_swap_under_load_drops_nothing(tmp_path):
    home, champion, challenger = a_home(tmp_path)
    blobs = open_blobs(home)
    with a_worker(home) as worker:
        load = Load(worker)
        eventually(lambda: len(load.answers) > 100)
        for generation in range(2, 8):
            number = generation % 2 + 1
            desired.publish(
                blobs, deployment(variant([champion, challenger][number - 1], number=number), generation=generation)
            )
            eventually(
                lambda g=generation: worker.json("GET", "/noria/status")[1]["deployments"]["late"]["generation"] == g
            )
            before = len(load.answers)
            eventually(lambda b=before: len(load.answers) > b + 50)
        load.stop()
        assert worker.flush()

    assert load.faults == []
    assert {status for status, _, _ in load.answers} == {200}
    assert {version for _, version, _ in load.answers} == {"1", "2"}
    rows = logged(home)
    assert len(rows) == len(load.answers)
    assert set(rows["generation"].unique().to_list()) == set(range(1, 8))


def _damage(home, digest):
    path = next(p for p in (home / "blobs").rglob("*") if p.is_file() and p.name.endswith(digest[-40:]))
    path.chmod(stat.S_IRUSR | stat.S_IWUSR)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def _model_file(home, digest):
    manifest = json.loads(open_blobs(home).get(digest))
    return next(f["digest"] for f in manifest["files"] if f["path"] == "model.onnx")


def test_a_damaged_bundle_is_not_served_and_the_file_is_named(tmp_path):
    home, champion, _ = a_home(tmp_path)
    _damage(home, _model_file(home, champion))

    with a_worker(home) as worker:
        status, answer = worker.infer(request_of(flights(1)))
        told = worker.json("GET", "/noria/status")[1]["deployments"]["late"]

    assert status == 503
    assert "BundleCorrupt" in answer["error"]
    assert "'model.onnx'" in told["problem"]
    assert not told["loaded"]


def test_a_damaged_successor_leaves_the_former_generation_answering(tmp_path):
    home, _, challenger = a_home(tmp_path)
    _damage(home, _model_file(home, challenger))

    with a_worker(home) as worker:
        desired.publish(open_blobs(home), deployment(variant(challenger, number=2), generation=2))
        eventually(lambda: worker.json("GET", "/noria/status")[1]["deployments"]["late"]["problem"])
        told = worker.json("GET", "/noria/status")[1]["deployments"]["late"]
        assert "'model.onnx'" in told["problem"]
        assert told["generation"] == 1
        assert worker.infer(request_of(flights(1)))[1]["model_version"] == "1"


def test_a_bundle_that_comes_late_is_loaded_when_it_is_there(tmp_path):
    home, champion, _ = a_home(tmp_path)
    held = tmp_path / "held"
    path = next(p for p in (home / "blobs").rglob("*") if p.is_file() and p.name.endswith(champion[-40:]))
    shutil.move(path, held)

    with a_worker(home) as worker:
        assert worker.infer(request_of(flights(1)))[0] == 503
        shutil.move(held, path)
        assert eventually(lambda: worker.infer(request_of(flights(1)))[0] == 200)


def test_a_document_of_rubbish_leaves_the_former_generation_answering(tmp_path):
    home, champion, _ = a_home(tmp_path)
    blobs = open_blobs(home)

    with a_worker(home) as worker:
        blobs.publish("serving/late.json", b"{rubbish")
        eventually(lambda: worker.json("GET", "/noria/status")[1]["deployments"]["late"]["problem"])
        assert worker.infer(request_of(flights(1)))[0] == 200
        for state in (
            desired.DesiredState(deployment="late", generation=3, variants=()),
            desired.state_of(deployment(variant(digest_of(b"never built"), number=9), generation=3)),
        ):
            blobs.publish("serving/late.json", canonical(state))
            assert worker.infer(request_of(flights(1)))[0] == 200
        blobs.publish(
            "serving/late.json", canonical(desired.state_of(deployment(variant(champion, number=4), generation=4)))
        )
        assert eventually(lambda: worker.infer(request_of(flights(1)))[1]["model_version"] == "4")


@pytest.fixture
def home_with_small_log(tmp_path, small_disk):
    """A home whose prediction log is on a disk of one megabyte."""
    home, _, _ = a_home(tmp_path)
    (home / "predictions").symlink_to(small_disk)
    return home


WIDE = json.dumps(request_of(flights(200))).encode()


def _ask_wide(worker):
    status, _, content = worker.ask("POST", "/v2/models/late/infer", WIDE)
    assert status == 200
    return json.loads(content)["parameters"]["request_id"]


def _ring(worker):
    return worker.json("GET", "/noria/status")[1]["ring"]


def test_with_a_full_disk_answers_go_on_and_what_is_dropped_is_counted(home_with_small_log):
    with a_worker(home_with_small_log, "--ring-rows", "20000") as worker:
        load = Load(worker, clients=2, body=WIDE)
        eventually(lambda: (r := _ring(worker))["dropped"] > 0 and r["problem"], seconds=60)
        load.stop()
        ring = _ring(worker)
        assert worker.infer(request_of(flights(1)))[0] == 200
        status, _, content = worker.ask("POST", "/noria/flush")
        worker.process.kill()

    assert {s for s, _, _ in load.answers} == {200}
    assert "DiskFull" in ring["problem"]
    assert ring["failures"] > 0
    assert ring["depth"] <= 20000
    assert (status, json.loads(content)) == (503, {"flushed": False})


def test_with_a_full_disk_a_worker_that_shall_not_forget_refuses(home_with_small_log):
    with a_worker(home_with_small_log, "--ring-rows", "20000", "--when-full", "refuse") as worker:
        load = Load(worker, clients=2, body=WIDE)
        eventually(lambda: (r := _ring(worker))["refused"] > 0 and r["problem"], seconds=60)
        load.stop()
        status, headers, content = worker.ask("POST", "/v2/models/late/infer", WIDE)
        ring = _ring(worker)
        worker.process.kill()

    assert status == 503
    assert headers["retry-after"] == "1"
    assert "DiskFull" in json.loads(content)["error"]
    assert ring["refused"] > 0
    assert ring["dropped"] == 0


@pytest.mark.slow
def test_when_room_comes_back_everything_that_was_kept_is_written(home_with_small_log, small_disk):
    filler = small_disk / "filler"
    with a_worker(home_with_small_log) as worker:
        assert worker.infer(request_of(flights(1)))[0] == 200
        assert worker.flush()
        filler.write_bytes(b"x" * 560_000)
        ids = [_ask_wide(worker)]
        while worker.flush():  # one request a flush: what waits for room is then never more than the disk will have
            ids.append(_ask_wide(worker))
        assert _ring(worker)["failures"] > 0
        filler.unlink()
        eventually(lambda: _ring(worker)["depth"] == 0, seconds=60)

        assert len(set(logged(home_with_small_log)["request_id"].to_list()) & set(ids)) == len(ids)
        assert _ring(worker)["dropped"] == 0


def test_a_native_model_is_served_too(tmp_path):
    """The only case in which a worker imports scikit-learn."""
    from lightgbm import LGBMClassifier
    from sklearn.pipeline import Pipeline

    from tests.serving.worker_factory import before, late

    home, _, _ = a_home(tmp_path)
    native = LGBMClassifier(linear_tree=True, n_estimators=3, num_leaves=7, verbose=-1, n_jobs=1)
    model = Pipeline([("before", before()), ("model", native)]).fit(flights(), late(flights()))
    built = bundle(model, open_blobs(home), run="native")
    desired.publish(open_blobs(home), deployment(variant(built.digest, number=5), generation=2))

    with a_worker(home) as worker:
        status, answer = worker.infer(request_of(flights(4)))

    assert (status, answer["model_version"]) == (200, "5")
    assert answer["outputs"][0]["data"] == pytest.approx(model.predict_proba(flights(4))[:, 1].tolist(), abs=1e-7)
