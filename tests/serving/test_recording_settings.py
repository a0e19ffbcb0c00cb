"""What shall not be recorded is not recorded; a sample says that it is one; and every process decides alike."""

import json
import stat
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import numpy as np
import pytest

from noria.app.redaction import redaction_salt
from noria.app.settings import read
from noria.domain.ids import Digest
from noria.domain.prediction import PredictionRecord
from noria.errors import SettingInvalid
from noria.monitoring.profile import build_profile, window
from noria.packaging.signature import infer_signature
from noria.serving.record import Recorder
from noria.serving.recording import Recording, as_set, check_against, is_kept, parse, written
from tests.serving.worker_factory import a_home, a_worker, flights, logged, request_of, signature_of

SALT = bytes(range(32))
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def record(number=0, **changes):
    fields = {
        "request_id": f"r{number:032x}",
        "deployment": "late",
        "variant": "champion",
        "model": "m",
        "number": 1,
        "bundle": Digest("blake3:0"),
        "generation": 1,
        "at": NOW,
        "latency_us": 1,
        "protocol": "v2",
        "rows": 2,
        "inputs": {"age": [1.0, 2.0], "email": ["a@b", None], "name": ["A", "B"], "wide.0": [1.0, 1.0]},
        "outputs": {"p": [0.5, 0.5]},
    }
    return PredictionRecord(**(fields | changes))


class Shelf:
    """A writer in memory."""

    def __init__(self):
        self.records = []

    def write(self, records):
        self.records += records

    def close(self):
        pass


def test_a_sample_is_decided_by_the_request_alone_and_says_its_rate():
    recording = Recording(rate=0.3)
    shelves = Shelf(), Shelf()
    told = []
    for shelf in shelves:
        recorder = Recorder(lambda _, shelf=shelf: shelf, recording={"late": recording})
        for number in range(2000):
            recorder.offer(record(number), then=told.append)
        assert recorder.close()
        status = recorder.status()
        assert status.written + status.sampled_out == 4000

    assert [r.request_id for r in shelves[0].records] == [r.request_id for r in shelves[1].records]
    assert {r.sampled for r in shelves[0].records} == {0.3}
    estimate = sum(1 / r.sampled for r in shelves[0].records)
    assert abs(estimate - 2000) < 5 * (2000 * 0.7 / 0.3) ** 0.5
    assert told == [""] * 4000


def test_a_deployment_without_a_setting_is_recorded_whole():
    shelf = Shelf()
    recorder = Recorder(lambda _: shelf, recording={"late": Recording(rate=1e-9)})
    recorder.offer(record(1, deployment="other"))
    recorder.close()

    assert shelf.records == [record(1, deployment="other")]


def test_redacted_columns_are_absent_or_digests_and_are_named():
    kept = as_set(record(), Recording(leave_out=("name", "wide"), digest=("email",)), salt=SALT)

    assert list(kept.inputs) == ["age", "email"]
    assert kept.inputs["email"][1] is None
    assert "a@b" not in str(kept)
    assert kept.redacted == ("email", "name", "wide")
    assert kept == as_set(record(), Recording(leave_out=("name", "wide"), digest=("email",)), salt=SALT)


def test_equal_values_have_equal_digests_under_one_salt_only():
    digest = Recording(digest=("email",))
    first, again = (as_set(record(n), digest, salt=SALT).inputs["email"][0] for n in (1, 2))
    other = as_set(record(1), digest, salt=bytes(32)).inputs["email"][0]

    assert first == again != other
    assert len(first) == 32


@pytest.mark.parametrize(
    ("recording", "word"),
    [(Recording(leave_out=("emial",)), "emial"), (Recording(digest=("delay",)), "leave_out")],
)
def test_a_setting_that_does_not_fit_the_model_is_refused(recording, word):
    with pytest.raises(SettingInvalid, match=word):
        check_against(recording, signature_of(flights()), deployment="late")


@pytest.mark.parametrize("line", ["rate = 0.0", "rate = 1.5", 'leave_out = ["a"]\ndigest = ["a"]', "share = 1"])
def test_a_setting_that_cannot_be_is_refused(tmp_path, line):
    file = tmp_path / "noria.toml"
    file.write_text(f"[serving.recording.late]\n{line}\n")

    with pytest.raises(SettingInvalid):
        read(file)


def test_a_setting_reaches_a_worker_as_it_was_written(tmp_path):
    file = tmp_path / "noria.toml"
    file.write_text('[serving.recording.late]\nrate = 0.25\nleave_out = ["name"]\ndigest = ["email"]\n')

    recording = read(file).serving.recording

    assert recording == {"late": Recording(rate=0.25, leave_out=("name",), digest=("email",))}
    assert parse(written(recording)) == recording
    assert written({}) == ""


def test_processes_that_need_the_salt_at_once_agree_on_one_that_only_its_owner_reads(tmp_path):
    with ThreadPoolExecutor(8) as pool:
        salts = set(pool.map(lambda _: redaction_salt(tmp_path / "home"), range(32)))

    assert len(salts) == 1
    (file,) = (tmp_path / "home").iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_monitoring_says_nothing_of_a_redacted_column():
    rng = np.random.default_rng(0)
    columns = {"x": rng.normal(size=400), "t": np.array(["a", "b"] * 200, object)}
    labels, scores = rng.integers(0, 2, 400), rng.uniform(size=400)
    profile = build_profile(columns, scores, labels=labels, blocks=np.arange(400) // 40, since=NOW, until=NOW)

    counted = window(
        profile,
        {"x": columns["x"][:50]},
        scores[:50],
        deployment="late",
        number=1,
        profile_digest=Digest("blake3:0"),
        since=NOW,
        until=NOW,
        unseen=("t",),
    )

    assert set(counted.counts["t"]) == {0}
    assert sum(counted.counts["x"]) == 50


@pytest.mark.filterwarnings("ignore")
def test_a_worker_records_as_set_and_says_so(tmp_path):
    home, _, _ = a_home(tmp_path)
    told = json.dumps({"late": {"rate": 0.5, "leave_out": ["carrier"], "digest": ["origin"]}})
    with a_worker(home, "--recording", told) as worker:
        ids = {}
        for number in range(60):
            headers = {"Noria-Request-Key": f"key-{number}"}
            answers = [worker.infer(request_of(flights(1)), headers=headers) for _ in range(2)]
            assert [status for status, _ in answers] == [200, 200]
            (request_id,) = {answer["parameters"]["request_id"] for _, answer in answers}
            ids[request_id] = is_kept(Recording(rate=0.5), request_id)
        assert worker.flush()
        status = worker.json("GET", "/noria/status")[1]

    table = logged(home)

    assert set(table["request_id"]) == {request_id for request_id, kept in ids.items() if kept}
    assert "in.carrier" not in table.columns
    assert set(table["in.origin"].str.len_chars()) == {32}
    assert set(table["sampled"]) == {0.5}
    assert set(table["redacted"]) == {'["carrier", "origin"]'}
    assert status["deployments"]["late"]["recording"] == {"rate": 0.5, "leave_out": ["carrier"], "digest": ["origin"]}
    assert status["ring"]["sampled_out"] == 2 * list(ids.values()).count(False)
    journals = b"".join(path.read_bytes() for path in (home / "predictions").rglob("*") if path.is_file())
    assert flights(1)["origin"][0].encode() not in journals


@pytest.mark.filterwarnings("ignore")
def test_a_worker_does_not_serve_what_it_could_not_redact(tmp_path):
    home, _, _ = a_home(tmp_path)
    signature = infer_signature({"x": np.zeros(1)}, {"p": np.zeros(1)})
    assert "carier" not in signature.input_names()
    with a_worker(home, "--recording", '{"late": {"leave_out": ["carier"]}}') as worker:
        status, answer = worker.infer(request_of(flights(1)))
        problem = worker.json("GET", "/noria/status")[1]["deployments"]["late"]["problem"]

    assert status == 503, answer
    assert "carier" in problem
