"""Models that carry code: kept and loaded only with the project's permission, and only if this store built them (ADR 25)."""

import json
import sys

import msgspec
import numpy as np
import pytest

from noria.adapters.flavors import carried
from noria.app.flavors import Flavors
from noria.app.settings import resolve
from noria.domain.ids import RunId
from noria.errors import BundleError, BundleRefused, RequestInvalid
from noria.packaging.bundle import build, open_bundle
from noria.packaging.environment import capture
from noria.packaging.signature import infer_signature
from noria.serving import desired
from tests.serving.worker_factory import (
    WHEN,
    a_home,
    a_worker,
    arrays,
    deployment,
    eventually,
    flights,
    open_blobs,
    request_of,
    variant,
)

ALLOWED, NOT_ALLOWED = Flavors(allow_code=True), Flavors()
FACTOR = 0.25


def half_an_hour(columns):
    """A model of one's own, with a global of its own module."""
    return np.clip(np.nan_to_num(columns["delay"]) / 30, 0, 1) * FACTOR


def packaged(model, blobs, flavors):
    given = arrays(flights())
    return build(
        model,
        name="late",
        run_id=RunId("own"),
        signature=infer_signature(given, {"probability": np.zeros(1, np.float32)}),
        sample=given,
        blobs=blobs,
        flavors=flavors,
        environment=capture(),
        created_at=WHEN,
    )


def test_nothing_is_kept_with_its_code_unless_the_project_allows_it(tmp_path):
    with pytest.raises(BundleRefused) as refused:
        packaged(half_an_hour, open_blobs(tmp_path), NOT_ALLOWED)

    assert "this project does not allow that" in refused.value.cause
    assert "allow_code = true" in refused.value.remedy


def test_nothing_that_carries_code_is_loaded_unless_the_project_allows_it(tmp_path):
    blobs = open_blobs(tmp_path)
    built = packaged(half_an_hour, blobs, ALLOWED)

    with pytest.raises(BundleRefused) as refused:
        open_bundle(built.digest, blobs=blobs, cache=tmp_path / "cache", flavors=NOT_ALLOWED)

    assert not built.bundle.code_free
    assert "NORIA_ALLOW_CODE" in refused.value.remedy
    assert not (tmp_path / "cache").exists()


def test_with_permission_what_this_store_built_answers(tmp_path):
    blobs = open_blobs(tmp_path)
    built = packaged(half_an_hour, blobs, ALLOWED)

    opened = open_bundle(built.digest, blobs=blobs, cache=tmp_path / "cache", flavors=ALLOWED)
    answers = opened.predictor.predict(arrays(flights()))["probability"]

    assert built.bundle.flavor == "python"
    assert built.bundle.parity is not None
    assert "cannot be written as ONNX" in built.bundle.parity.reason
    assert np.array_equal(answers, half_an_hour(arrays(flights())).astype(np.float32))


def test_even_with_permission_a_bundle_from_elsewhere_is_refused(tmp_path):
    """Copied byte for byte, all digests right: they say that it is unchanged, not who made it."""
    theirs, ours = open_blobs(tmp_path / "theirs"), open_blobs(tmp_path / "ours")
    built = packaged(half_an_hour, theirs, ALLOWED)
    for digest in (built.digest, *(f.digest for f in built.bundle.files)):
        ours.put(theirs.get(digest))

    with pytest.raises(BundleRefused) as refused:
        open_bundle(built.digest, blobs=ours, cache=tmp_path / "cache", flavors=ALLOWED)

    assert "was not built by this store" in refused.value.problem
    assert not (tmp_path / "cache").exists()


def test_a_manifest_that_calls_itself_code_free_is_not_believed(tmp_path):
    blobs = open_blobs(tmp_path)
    built = packaged(half_an_hour, blobs, ALLOWED)
    lie = blobs.put(msgspec.json.encode(msgspec.structs.replace(built.bundle, code_free=True)))

    for flavors in (ALLOWED, NOT_ALLOWED):
        with pytest.raises(BundleRefused):
            open_bundle(lie, blobs=blobs, cache=tmp_path / "cache", flavors=flavors)


def test_a_changed_byte_is_refused_before_anything_runs(tmp_path):
    blobs = open_blobs(tmp_path)
    built = packaged(half_an_hour, blobs, ALLOWED)
    open_bundle(built.digest, blobs=blobs, cache=tmp_path / "cache", flavors=ALLOWED)
    entry = next(f for f in built.bundle.files if f.path == carried.FILE)
    kept = next(p for p in (tmp_path / "blobs").rglob("*") if p.is_file() and p.name.endswith(entry.digest[-40:]))
    kept.chmod(0o600)
    kept.write_bytes(kept.read_bytes()[:-1] + b"?")
    (tmp_path / "cache" / built.digest.partition(":")[2] / carried.FILE).unlink()

    with pytest.raises(BundleError, match=carried.FILE):
        open_bundle(built.digest, blobs=blobs, cache=tmp_path / "cache", flavors=ALLOWED)


def test_code_free_forms_need_no_record_and_no_permission(tmp_path):
    from tests.serving.worker_factory import boosting, bundle

    theirs, ours = open_blobs(tmp_path / "theirs"), open_blobs(tmp_path / "ours")
    built = bundle(boosting(), theirs)
    for digest in (built.digest, *(f.digest for f in built.bundle.files)):
        ours.put(theirs.get(digest))

    assert open_bundle(built.digest, blobs=ours, cache=tmp_path / "cache", flavors=NOT_ALLOWED).manifest.code_free


def test_code_free_forms_come_first_even_with_permission(tmp_path):
    from tests.serving.worker_factory import boosting

    assert packaged(boosting(), open_blobs(tmp_path), ALLOWED).bundle.flavor == "onnx"


class Doubles:
    """An estimator of somebody's own."""

    def get_params(self, deep=True):
        return {}

    def predict(self, x):
        return np.full(len(x), 2.0)


def test_an_estimator_that_skops_refuses_is_kept_as_pickle_if_the_project_allows_it(tmp_path):
    assert packaged(Doubles(), open_blobs(tmp_path), ALLOWED).bundle.flavor == "pickle"
    with pytest.raises(BundleRefused) as refused:
        packaged(Doubles(), open_blobs(tmp_path / "other"), NOT_ALLOWED)
    assert "Doubles" in refused.value.cause


def test_the_source_stands_in_the_bundle_for_people_to_read(tmp_path):
    blobs = open_blobs(tmp_path)
    built = packaged(half_an_hour, blobs, ALLOWED)

    source = blobs.get(next(f.digest for f in built.bundle.files if f.path == carried.SOURCE)).decode()

    assert source.startswith("def half_an_hour(columns):")


def test_another_python_is_refused_before_anything_runs(tmp_path):
    carried.keep(half_an_hour, tmp_path)
    (tmp_path / carried.NOTE).write_text(json.dumps({"python": "3.99", "cloudpickle": "3"}))

    with pytest.raises(BundleRefused) as refused:
        carried.reopen(tmp_path)

    assert "3.99" in refused.value.problem
    assert f"{sys.version_info.major}.{sys.version_info.minor}" in refused.value.problem


def test_what_holds_an_open_file_is_refused_with_the_reason(tmp_path):
    with (tmp_path / "log").open("w") as log:

        def writes(columns):
            log.write("asked")
            return columns["delay"]

        with pytest.raises(BundleRefused, match="cannot be written"):
            packaged(writes, open_blobs(tmp_path), ALLOWED)


@pytest.mark.parametrize(
    ("model", "why"),
    [
        (lambda columns: columns["delay"][:1], "1 answers for 5 rows"),
        (lambda columns: {"other": columns["delay"]}, "no output 'probability'"),
        (lambda columns: 1 / 0, "cannot answer"),
        (lambda columns: np.zeros((len(columns["delay"]), 3)), None),
    ],
    ids=["too few", "another name", "raises", "wider: the last column"],
)
def test_what_a_model_of_ones_own_may_get_wrong_is_said(tmp_path, model, why):
    from noria.adapters.flavors.python import FLAVOR

    given = arrays(flights(5))
    signature = infer_signature(given, {"probability": np.zeros(1, np.float32)})
    FLAVOR.save(model, signature, tmp_path)
    predictor = FLAVOR.load(tmp_path, signature)

    if why is None:
        assert predictor.predict(given)["probability"].shape == (5,)
    else:
        with pytest.raises(RequestInvalid, match=why):
            predictor.predict(given)


def test_the_setting_is_off_unless_the_file_or_the_environment_says_so(tmp_path, monkeypatch):
    monkeypatch.delenv("NORIA_ALLOW_CODE", raising=False)
    assert not resolve(tmp_path)[0].packaging.allow_code

    for said, meant in (("1", True), ("0", False), ("true", False), ("", False)):
        monkeypatch.setenv("NORIA_ALLOW_CODE", said)
        assert resolve(tmp_path)[0].packaging.allow_code is meant
    monkeypatch.delenv("NORIA_ALLOW_CODE")
    (tmp_path / "noria.toml").write_text("[packaging]\nallow_code = true\n")
    assert resolve(tmp_path)[0].packaging.allow_code


def test_a_workspace_follows_its_setting(tmp_path):
    from noria.app.workspace import Workspace

    (tmp_path / "noria.toml").write_text('project = "own"\n')
    with Workspace.open(tmp_path) as workspace, pytest.raises(BundleRefused):
        workspace.flavors["python"]
    (tmp_path / "noria.toml").write_text('project = "own"\n[packaging]\nallow_code = true\n')
    with Workspace.open(tmp_path) as workspace:
        assert workspace.flavors["python"].name == "python"


@pytest.mark.faults
def test_a_worker_refuses_such_a_model_and_says_why_unless_it_is_allowed(tmp_path):
    home, _, _ = a_home(tmp_path)
    built = packaged(half_an_hour, open_blobs(home), ALLOWED)
    desired.publish(open_blobs(home), deployment(variant(built.digest, number=9), generation=2))

    with a_worker(home) as worker:
        problem = eventually(lambda: worker.json("GET", "/noria/status")[1]["deployments"]["late"]["problem"])
        status, _ = worker.infer(request_of(flights(2)))
    assert "does not allow" in problem
    assert status == 503

    with a_worker(home, env={"NORIA_ALLOW_CODE": "1"}) as worker:
        status, answer = worker.infer(request_of(flights(2)))
    assert (status, answer["model_version"]) == (200, "9")
    expected = half_an_hour(arrays(flights(2))).astype(np.float32)
    assert answer["outputs"][0]["data"] == pytest.approx(expected.tolist())
