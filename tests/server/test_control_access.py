"""Who is answered: loopback by its own name, others by the key; headers that keep a browser safe."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from litestar.testing import TestClient

from noria.app.workspace import Workspace
from noria.errors import SettingInvalid
from noria.server.control.access import COOKIE, Keyring
from noria.server.control.app import create_app
from noria.server.control.run import is_loopback, serve

KEY = "correct-horse-battery"
BASE = "http://127.0.0.1"
PAGES = "noria.ui.pages:router"


@pytest.fixture
def open_client() -> Iterator[TestClient]:
    with TestClient(create_app(Workspace.ephemeral("p"), pages=PAGES), base_url=BASE) as client:
        yield client


@pytest.fixture
def guarded() -> Iterator[TestClient]:
    with TestClient(
        create_app(Workspace.ephemeral("p"), key=KEY, loopback=False, pages=PAGES), base_url="http://noria.example"
    ) as client:
        yield client


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:8321", "[", ""])
def test_loopback_answers_only_to_its_own_names(open_client: TestClient, host: str) -> None:
    answer = open_client.get("/api/v1/status", headers={"host": host})

    assert (answer.status_code, answer.json()["code"]) == (403, "noria-9002")


@pytest.mark.parametrize("host", ["127.0.0.1:8321", "localhost:8321", "LOCALHOST", "[::1]:8321"])
def test_loopback_answers_to_each_of_its_names(open_client: TestClient, host: str) -> None:
    assert open_client.get("/api/v1/status", headers={"host": host}).status_code == 200


@pytest.mark.parametrize(
    "headers", [{"origin": "https://evil.example"}, {"origin": "null"}, {"sec-fetch-site": "cross-site"}]
)
def test_a_change_asked_for_by_another_site_is_refused(open_client: TestClient, headers: dict[str, str]) -> None:
    answer = open_client.post("/api/v1/deployments/d/labels", json={"labels": []}, headers=headers)

    assert answer.status_code == 403


def test_a_change_asked_for_by_the_own_page_is_taken(open_client: TestClient) -> None:
    headers = {"origin": BASE, "sec-fetch-site": "same-origin"}

    assert open_client.post("/api/v1/deployments/d/labels", json={"labels": []}, headers=headers).status_code == 404


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/status",
        "/api/v1/runs",
        "/api/v1/openapi.json",
        "/api/v1/why/r0.0",
        "/api/v1/nothing",
    ],
)
@pytest.mark.parametrize(
    "headers", [{}, {"authorization": "Bearer wrong"}, {"authorization": "Basic eDp5"}, {"cookie": f"{COOKIE}=9.x"}]
)
def test_without_the_key_nothing_is_told(guarded: TestClient, path: str, headers: dict[str, str]) -> None:
    answer = guarded.get(path, headers=headers)

    assert (answer.status_code, answer.json()["code"]) == (401, "noria-9001")
    assert answer.headers["www-authenticate"] == "Bearer"


def test_other_processes_need_the_key_as_well(guarded: TestClient) -> None:
    refused = guarded.post("/api/v1/store/runs/experiments", content=b"{}")
    known = guarded.post("/api/v1/store/runs/experiments", content=b"{}", headers={"authorization": f"Bearer {KEY}"})

    assert refused.status_code == 401
    assert known.status_code == 400  # it is let in, and then asked for its protocol


def test_the_key_opens_by_header(guarded: TestClient) -> None:
    assert guarded.get("/api/v1/status", headers={"authorization": f"Bearer {KEY}"}).status_code == 200


def test_a_browser_gives_the_key_once(guarded: TestClient) -> None:
    assert guarded.get("/api/v1/session").json() == {"required": True, "signed_in": False}
    refused = guarded.post("/api/v1/session", json={"key": "guess-guess-guess"})
    given = guarded.post("/api/v1/session", json={"key": KEY})

    assert refused.status_code == 401
    assert "set-cookie" not in refused.headers
    cookie = given.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert KEY not in cookie
    assert guarded.get("/api/v1/status").status_code == 200


def test_a_session_ends_and_cannot_be_made_longer() -> None:
    keyring = Keyring(KEY)
    over, running = keyring.session(int(time.time()) - 1), keyring.session(int(time.time()) + 60)
    longer = f"{int(time.time()) + 9999}.{running.partition('.')[2]}"
    foreign = Keyring("another-key-of-the-server").session(int(time.time()) + 60)

    admitted = {value: keyring.admits(a_header(value)) for value in (over, running, longer, foreign, "x", "", "9" * 40)}

    assert [value for value, is_in in admitted.items() if is_in] == [running]


def a_header(session: str):  # type: ignore[no-untyped-def]
    from litestar.datastructures import Headers

    return Headers({"cookie": f"other=1; {COOKIE}={session}"})


def test_health_and_the_pages_hold_no_data_and_need_no_key(guarded: TestClient) -> None:
    assert guarded.get("/api/v1/health").status_code == 200
    assert guarded.get("/runs").status_code in (200, 503)


def test_a_short_key_guards_nothing() -> None:
    with pytest.raises(SettingInvalid, match="5 characters"):
        Keyring("short")


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("10.0.0.3", False),
    ],
)
def test_loopback_is_told_from_the_rest(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected


def test_another_address_than_loopback_is_not_served_without_a_key() -> None:
    with pytest.raises(SettingInvalid, match=r"0\.0\.0\.0") as caught:
        serve(Workspace.ephemeral("p"), host="0.0.0.0", port=0, key="")

    assert "NORIA_API_KEY" in caught.value.remedy


def test_every_answer_forbids_what_a_browser_need_not_do(open_client: TestClient) -> None:
    for path in ("/api/v1/status", "/", "/runs", "/api/v1/nothing"):
        headers = open_client.get(path).headers

        assert "default-src 'none'" in headers["content-security-policy"], path
        assert "unsafe" not in headers["content-security-policy"]
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"


def test_the_pages_are_missing_with_a_command(tmp_path: Path) -> None:
    from litestar import Litestar

    from noria.ui.pages import router

    with TestClient(Litestar([router(tmp_path)], openapi_config=None), base_url=BASE) as client:
        answer = client.get("/runs")

    assert answer.status_code == 503
    assert "make web" in answer.text


@pytest.fixture
def site(tmp_path: Path) -> Iterator[TestClient]:
    from litestar import Litestar

    from noria.ui.pages import router

    folder = tmp_path / "static"
    (folder / "assets").mkdir(parents=True)
    (folder / "index.html").write_text("<html><style nonce='__NORIA_NONCE__'></style></html>", encoding="utf-8")
    (folder / "assets" / "app-1.js").write_text("let x = 1;" * 500, encoding="utf-8")
    (tmp_path / "secret.txt").write_text("hunter2", encoding="utf-8")
    with TestClient(Litestar([router(folder)], openapi_config=None), base_url=BASE) as client:
        yield client


def test_each_page_has_its_own_nonce(site: TestClient) -> None:
    answers = [site.get(path) for path in ("/", "/runs", "/runs/x.y", "/index.html")]

    nonces = {answer.text.split("'")[1] for answer in answers}
    assert len(nonces) == 4
    for answer in answers:
        assert f"'nonce-{answer.text.split(chr(39))[1]}'" in answer.headers["content-security-policy"]
        assert answer.headers["cache-control"] == "no-store"


def test_assets_are_packed_and_kept_for_ever(site: TestClient) -> None:
    packed = site.get("/assets/app-1.js", headers={"accept-encoding": "gzip"})
    plain = site.get("/assets/app-1.js", headers={"accept-encoding": "identity"})

    assert packed.headers["content-encoding"] == "gzip"
    assert packed.content == plain.content
    assert "immutable" in packed.headers["cache-control"]
    assert packed.headers["content-type"].startswith("text/javascript")
    assert site.get("/assets/app-2.js").status_code == 404


@pytest.mark.parametrize(
    "path",
    [
        "/../secret.txt",
        "/%2e%2e/secret.txt",
        "/assets/../../secret.txt",
        "/assets/%2e%2e%2f%2e%2e%2fsecret.txt",
        "/%00",
    ],
)
def test_no_file_outside_the_folder_is_served(site: TestClient, path: str) -> None:
    assert "hunter2" not in site.get(path).text
