"""Who may ask a worker: named keys kept as digests, certificates of both sides, and nobody from elsewhere without either."""

import hashlib
import http.client
import json
import os
import ssl
import subprocess

import pytest

from noria.errors import SettingInvalid
from noria.server.inference.access import Keys, check_address, keys_from, read_file
from noria.server.inference.tls import Certificates, check
from tests.serving.worker_factory import a_home, a_worker, eventually, flights, request_of

REQUEST = request_of(flights(1))
CI, WEB = "a long secret of the ci".replace(" ", "-"), "a long secret of the web".replace(" ", "-")


@pytest.fixture
def key_file(tmp_path):
    """Two keys, one of them only as its digest."""
    path = tmp_path / "keys"
    path.write_text(f"# who may ask\nci {CI}\n\nweb sha256:{hashlib.sha256(WEB.encode()).hexdigest()}\n")
    return path


@pytest.mark.parametrize(
    ("headers", "name"),
    [
        ({"authorization": f"Bearer {CI}"}, "ci"),
        ({"authorization": f"bearer {WEB}"}, "web"),
        ({"x-api-key": WEB}, "web"),
        ({"x-api-key": WEB + "x"}, None),
        ({"authorization": CI}, None),
        ({"authorization": f"Basic {CI}"}, None),
        ({"x-api-key": hashlib.sha256(WEB.encode()).hexdigest()}, None),
        ({"x-api-key": ""}, None),
        ({}, None),
    ],
)
def test_a_key_is_known_by_its_name_in_either_header(key_file, headers, name):
    assert Keys(file=key_file).name_of(headers) == name


def test_no_keys_let_nobody_in_by_an_empty_one():
    assert not keys_from({"NORIA_API_KEY": ""})
    assert keys_from({"NORIA_API_KEY": ""}).name_of({"x-api-key": ""}) is None


def test_keys_of_file_and_environment_hold_together(key_file):
    keys = keys_from({"NORIA_API_KEY": "one", "NORIA_API_KEYS": "a=first-of-two, b=second-of-two"}, file=str(key_file))

    given = ("one", "first-of-two", "second-of-two", CI)
    assert [keys.name_of({"x-api-key": key}) for key in given] == ["NORIA_API_KEY", "a", "b", "ci"]


@pytest.mark.parametrize("line", ["ci", "ci short", "ci two words-and-more-words", "web sha256:12", ""])
def test_a_line_that_is_no_key_is_named_and_not_shown(tmp_path, line):
    path = tmp_path / "keys"
    path.write_text(line)

    with pytest.raises(SettingInvalid) as raised:
        read_file(path)

    assert "'keys'" in str(raised.value)
    assert "two words" not in str(raised.value)


def test_an_address_beyond_this_machine_needs_a_guard():
    check_address("0.0.0.0", 1, guarded=True)
    check_address("127.0.0.1", 1, guarded=False)
    with pytest.raises(SettingInvalid, match="no API key"):
        check_address("192.0.2.1", 1, guarded=False)


PATHS = {
    "v2": ("POST", "/v2/models/late/infer"),
    "v2 metadata": ("GET", "/v2/models/late"),
    "v1": ("POST", "/v1/models/late:predict"),
    "mlflow": ("POST", "/invocations"),
    "metrics": ("GET", "/metrics"),
    "status": ("GET", "/noria/status"),
    "nothing": ("GET", "/nothing"),
}


@pytest.fixture(scope="module")
def guarded(tmp_path_factory):
    """A worker with one key in the environment and one in a file, which can be changed; (worker, file, log)."""
    folder = tmp_path_factory.mktemp("guarded")
    home, _, _ = a_home(folder)
    path = folder / "keys"
    path.write_text(f"ci {CI}\n")
    with a_worker(home, "--api-key-file", str(path), env={"NORIA_API_KEY": "sesame"}) as worker:
        yield worker, path


@pytest.mark.parametrize("case", PATHS)
def test_without_a_key_every_protocol_says_401_in_its_own_form(guarded, case):
    worker, _ = guarded

    status, headers, content = worker.ask(*PATHS[case], b"{}" if PATHS[case][0] == "POST" else None)

    body = json.loads(content)
    assert status == 401
    assert headers["www-authenticate"] == "Bearer"
    assert "API key" in (body.get("message") or body["error"])


def test_what_orchestrators_ask_needs_no_key(guarded):
    assert [guarded[0].ask("GET", path)[0] for path in ("/v2/health/live", "/v2/health/ready", "/ping")] == [200] * 3


def test_a_file_of_keys_is_read_again_when_it_changes_and_a_broken_one_changes_nothing(guarded):
    worker, path = guarded
    assert worker.infer(REQUEST, headers={"X-API-Key": CI})[0] == 200

    path.write_text("ci short\n")
    assert worker.infer(REQUEST, headers={"X-API-Key": CI})[0] == 200
    path.write_text(f"web {WEB}\n")

    assert eventually(lambda: worker.infer(REQUEST, headers={"X-API-Key": WEB})[0] == 200)
    assert worker.infer(REQUEST, headers={"X-API-Key": CI})[0] == 401
    assert worker.infer(REQUEST, headers={"Authorization": "Bearer sesame"})[0] == 200


def test_keys_are_never_in_the_log(tmp_path, key_file):
    home, _, _ = a_home(tmp_path)
    with (tmp_path / "log").open("w") as log, a_worker(home, "--api-key-file", str(key_file), stderr=log) as worker:
        for key in (CI, "a wrong one"):
            worker.infer({}, headers={"X-API-Key": key})
        key_file.write_text(f"ci {CI}\nbroken\n")
        eventually(lambda: worker.infer({}) and "stay as they were" in (tmp_path / "log").read_text())

    said = (tmp_path / "log").read_text()
    assert CI not in said
    assert "a wrong one" not in said


@pytest.fixture(scope="session")
def certificates(tmp_path_factory):
    """Folder with ca.pem, server.pem, client.pem and their .key files."""
    folder = tmp_path_factory.mktemp("certificates")

    def openssl(*words):
        subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)

    try:
        openssl("version")
    except FileNotFoundError:
        pytest.skip("the program openssl is not installed")
    new = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    openssl("req", "-x509", *new, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=test authority", "-days", "2")
    (folder / "names").write_text("subjectAltName=IP:127.0.0.1,DNS:localhost")
    for name in ("server", "client"):
        openssl("req", *new, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
        signed = ("-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile", "names")
        openssl("x509", "-req", "-in", f"{name}.csr", *signed, "-out", f"{name}.pem")
    return folder


def _ask_over_tls(worker, folder, *, client=False):
    context = ssl.create_default_context(cafile=folder / "ca.pem")
    if client:
        context.load_cert_chain(folder / "client.pem", folder / "client.key")
    connection = http.client.HTTPSConnection("127.0.0.1", worker.port, context=context, timeout=20)
    try:
        connection.request("POST", "/v2/models/late/infer", json.dumps(REQUEST))
        return connection.getresponse().status
    finally:
        connection.close()


def test_with_a_certificate_answers_come_over_tls_only(tmp_path, certificates):
    home, _, _ = a_home(tmp_path)
    flags = ("--tls-cert", str(certificates / "server.pem"), "--tls-key", str(certificates / "server.key"))
    with a_worker(home, *flags) as worker:
        assert worker.url.startswith("https://")
        assert _ask_over_tls(worker, certificates) == 200
        with pytest.raises((http.client.HTTPException, OSError)):
            worker.ask("GET", "/v2/health/live")


def test_where_clients_must_show_a_certificate_nobody_else_is_answered(tmp_path, certificates):
    home, _, _ = a_home(tmp_path)
    flags = ["--tls-cert", "server.pem", "--tls-key", "server.key", "--tls-client-ca", "ca.pem", "--host", "0.0.0.0"]
    flags = [str(certificates / flag) if flag.endswith((".pem", ".key")) else flag for flag in flags]
    with a_worker(home, *flags) as worker:
        assert _ask_over_tls(worker, certificates, client=True) == 200
        with pytest.raises((ssl.SSLError, OSError, http.client.HTTPException)):
            _ask_over_tls(worker, certificates)


@pytest.mark.parametrize(
    ("cert", "key", "authority", "word"),
    [
        ("server.pem", "", "", "--tls-key is missing"),
        ("", "server.key", "", "--tls-cert is missing"),
        ("server.pem", "client.key", "", "cannot be used"),
        ("nowhere.pem", "server.key", "", "cannot be used"),
        ("", "", "ca.pem", "over TLS only"),
        ("server.pem", "server.key", "nowhere.pem", "cannot be used"),
    ],
)
def test_certificates_that_do_not_fit_are_said_before_the_start(certificates, cert, key, authority, word):
    where = [str(certificates / name) if name else "" for name in (cert, key, authority)]

    with pytest.raises(SettingInvalid) as raised:
        check(Certificates(cert=where[0], key=where[1], client_ca=where[2]))

    assert word in str(raised.value)


def test_a_key_file_is_no_argument_that_shows_keys(key_file):
    """What `ps` shows of a worker: a path, never a key."""
    from noria.server.inference.run_options import Options

    assert CI not in " ".join(Options(home="h", api_key_file=os.fspath(key_file)).arguments())
