"""Files through the server: up and down in constant memory, in ranges and in parts; no path leads anywhere else, however it is written."""

from __future__ import annotations

import contextlib
import hashlib
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import psutil
import pytest

from tests.peers.noria_server import Server, noria_server

FILES = "/api/2.0/mlflow-artifacts/artifacts"
MB = 1 << 20


@pytest.fixture(scope="module")
def process() -> Iterator[Server]:
    with noria_server() as server:
        yield server


@pytest.fixture
def server(process: Server) -> Server:
    process.reset()
    return process


@pytest.fixture
def on_disk(tmp_path: Path) -> Iterator[Server]:
    with noria_server(home=tmp_path / ".noria") as server:
        yield server


def put(server: Server, path: str, content: bytes = b"0") -> None:
    answer = server.ask("PUT", f"{FILES}/{path}", content)
    assert (answer.status, answer.body) == (200, b"{}")


def listed(server: Server, path: str = "") -> list[tuple[str, bool, int | None]]:
    answer = server.ask("GET", FILES, query={"path": path} if path else None)
    assert answer.status == 200
    return [(f["path"], f["is_dir"], f.get("file_size")) for f in answer.json.get("files", [])]


def a_run(server: Server, root: str = "") -> dict[str, str]:
    given = {"name": f"e{root}", **({"artifact_location": root} if root else {})}
    experiment = server.ok("POST", "experiments/create", given)["experiment_id"]
    info: dict[str, str] = server.ok("POST", "runs/create", {"experiment_id": experiment, "start_time": 1})["run"][
        "info"
    ]
    return info


def test_files_go_up_are_listed_come_down_and_go(server: Server) -> None:
    put(server, "a.txt", b"0")
    put(server, "dir/b.txt", b"12")
    put(server, "dir/sub/c%20%C3%A9.txt", b"")

    assert server.ask("GET", FILES).body == (
        b'{"files":[{"path":"a.txt","is_dir":false,"file_size":1},{"path":"dir","is_dir":true}]}'
    )
    assert listed(server, "dir") == [("b.txt", False, 2), ("sub", True, None)]
    assert listed(server, "dir/sub") == [("c é.txt", False, 0)]
    assert listed(server, "a.txt") == listed(server, "absent") == []
    assert server.ask("GET", f"{FILES}/dir/b.txt").body == b"12"
    assert server.ask("GET", f"{FILES}/dir/sub/c%20%C3%A9.txt").body == b""

    assert server.ask("DELETE", f"{FILES}/dir").body == b"{}"
    assert server.ask("DELETE", f"{FILES}/dir").status == 200
    assert listed(server) == [("a.txt", False, 1)]
    missing = server.ask("GET", f"{FILES}/dir/b.txt")
    assert (missing.status, missing.json["error_code"]) == (404, "RESOURCE_DOES_NOT_EXIST")


@pytest.mark.parametrize("step", [0, 12, 20, 95, 100])
def test_images_keep_the_names_that_clients_give_them(server: Server, step: int) -> None:
    info = a_run(server)
    path = f"{info['run_id']}/artifacts/images/loss%step%{step}%timestamp%1795276103221%tb1f.png"

    put(server, f"{info['experiment_id']}/{quote(path)}", b"png")

    asked = {"run_id": info["run_id"], "path": "images"}
    name = server.ok("GET", "artifacts/list", asked)["files"][0]["path"]
    assert name == path.partition("/artifacts/")[2]
    found = server.ask("GET", "/get-artifact", query={"run_id": info["run_id"], "path": name})
    assert (found.status, found.body) == (200, b"png")
    assert found.headers["content-disposition"] == f"attachment; filename={name.removeprefix('images/')}"


def test_putting_a_file_again_replaces_it(server: Server) -> None:
    put(server, "a", b"first")
    first = server.ask("GET", f"{FILES}/a").headers["etag"]
    put(server, "a", b"second")

    again = server.ask("GET", f"{FILES}/a")
    assert again.body == b"second"
    assert again.headers["etag"] != first


def test_a_path_is_no_file_and_folder_at_once(server: Server) -> None:
    put(server, "a/b")

    for path in ("a", "a/b/c"):
        refused = server.ask("PUT", f"{FILES}/{path}", b"x" * MB)
        assert (refused.status, refused.json["error_code"]) == (400, "INVALID_PARAMETER_VALUE")
    assert listed(server, "a") == [("b", False, 1)]


@pytest.mark.parametrize(
    ("name", "media"),
    [
        ("a.txt", "text/plain"),
        ("b.pkl", "application/octet-stream"),
        ("c.png", "image/png"),
        ("d.pdf", "application/pdf"),
        ("MLmodel", "text/plain"),
        ("page.html", "text/html"),
        ("conda.yaml", "text/plain"),
    ],
)
def test_the_name_decides_the_type_and_no_browser_shows_it(server: Server, name: str, media: str) -> None:
    put(server, f"d/{name}")

    headers = server.ask("GET", f"{FILES}/d/{name}", headers={"accept": "text/html"}).headers

    assert headers["content-type"] == media
    assert headers["content-disposition"] == f"attachment; filename={name}"
    assert headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    ("asked", "status", "body", "shown"),
    [
        ("bytes=0-3", 206, b"0123", "bytes 0-3/10"),
        ("bytes=7-", 206, b"789", "bytes 7-9/10"),
        ("bytes=-2", 206, b"89", "bytes 8-9/10"),
        ("bytes=4-99", 206, b"456789", "bytes 4-9/10"),
        ("bytes=-99", 206, b"0123456789", "bytes 0-9/10"),
        ("bytes=10-", 416, b"", "bytes */10"),
        ("bytes=-0", 416, b"", "bytes */10"),
        ("bytes=3-1", 200, b"0123456789", None),
        ("bytes=0-1,3-4", 200, b"0123456789", None),
        ("lines=1-2", 200, b"0123456789", None),
    ],
)
def test_a_range_is_a_part(server: Server, asked: str, status: int, body: bytes, shown: str | None) -> None:
    put(server, "a", b"0123456789")

    answer = server.ask("GET", f"{FILES}/a", headers={"range": asked})

    assert (answer.status, answer.body, answer.headers.get("content-range")) == (status, body, shown)
    assert answer.headers["content-length"] == str(len(body))


def test_what_has_not_changed_is_not_sent_and_head_says_all_but_the_content(server: Server) -> None:
    put(server, "a", b"0123456789")
    tag = server.ask("GET", f"{FILES}/a").headers["etag"]

    assert server.ask("GET", f"{FILES}/a", headers={"if-none-match": tag}).status == 304
    assert server.ask("GET", f"{FILES}/a", headers={"range": "bytes=0-1", "if-range": '"other"'}).status == 200
    head = server.ask("HEAD", f"{FILES}/a")
    assert (head.status, head.body, head.headers["content-length"], head.headers["etag"]) == (200, b"", "10", tag)


BAD = {
    "up": "/../x",
    "up within": "/a/../../x",
    "up within, staying": "/a/../x",
    "up, encoded": "/%2e%2e/x",
    "up, half encoded": "/.%2E/x",
    "slash encoded": "/..%2fx",
    "slash and dots encoded": "/%2e%2e%2fx",
    "encoded twice": "/%252e%252e/x",
    "slash encoded twice": "/..%252fx",
    "encoded thrice": "/%25252e%25252e/x",
    "backslash": "/..\\x",
    "backslash encoded": "/..%5cx",
    "a drive": "/C%3A%5CWindows",
    "absolute": "//etc/passwd",
    "absolute, encoded": "/%2fetc/passwd",
    "dot": "/./x",
    "empty part": "/a//x",
    "NUL": "/a%00.txt",
    "newline": "/a%0ab",
    "escape": "/a%1b",
    "overlong UTF-8 dot": "/%c0%ae%c0%ae/x",
    "no UTF-8": "/a%ff",
    "fullwidth dots": "/%EF%BC%8E%EF%BC%8E/x",
    "trailing slash": "/a/",
    "uploads of others": "/.uploads/x",
    "too long": "/" + "a" * 5000,
}


@pytest.mark.parametrize("path", BAD.values(), ids=list(BAD))
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_no_path_leads_out(server: Server, tmp_path: Path, method: str, path: str) -> None:
    put(server, "a.txt", b"here")
    body = b"evil" if method == "PUT" else b""

    answer = server.raw(
        f"{method} {FILES}{path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode()
        + body
    )

    assert answer.status in (400, 404, 414), answer
    assert b"root:" not in answer.body
    assert listed(server) == [("a.txt", False, 4)]


@pytest.mark.parametrize("path", BAD.values(), ids=list(BAD))
def test_no_path_in_a_query_leads_out(server: Server, path: str) -> None:
    run = a_run(server)["run_id"]
    put(server, "x", b"secret")
    path = path[1:]

    for target in (
        f"{FILES}?path={path}",
        f"/api/2.0/mlflow/artifacts/list?run_id={run}&path={path}",
        f"/get-artifact?run_id={run}&path={path}",
    ):
        answer = server.raw(f"GET {target} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode())
        assert answer.status in (400, 404, 414) or answer.body.endswith(b"{}") or b'"files"' not in answer.body, target
        assert b"secret" not in answer.body


def test_a_runs_files_are_listed_below_the_run(server: Server) -> None:
    info = a_run(server)
    root = info["artifact_uri"].removeprefix("mlflow-artifacts:/")
    put(server, f"{root}/a.txt", b"0")
    put(server, f"{root}/dir/b.txt", b"1")

    found = server.ok("GET", "artifacts/list", {"run_id": info["run_id"]})
    below = server.ok("GET", "artifacts/list", {"run_id": info["run_id"], "path": "dir"})

    assert found == {
        "files": [{"path": "a.txt", "is_dir": False, "file_size": 1}, {"path": "dir", "is_dir": True}],
        "root_uri": info["artifact_uri"],
    }
    assert below["files"] == [{"path": "dir/b.txt", "is_dir": False, "file_size": 1}]
    query = {"run_id": info["run_id"], "path": "dir/b.txt"}
    assert server.ask("GET", "/get-artifact", query=query).body == b"1"
    up = {"run_uuid": info["run_id"], "path": "notes/n.md"}
    assert server.ask("POST", "/ajax-api/2.0/mlflow/upload-artifact", b"hello", query=up).status == 200
    assert server.ask("GET", f"{FILES}/{root}/notes/n.md").body == b"hello"
    assert server.refusal("GET", "artifacts/list", {"run_id": "absent"}) == (
        404,
        "RESOURCE_DOES_NOT_EXIST",
        "Run with id=absent not found",
    )


@pytest.mark.parametrize(
    ("query", "body", "message"),
    [
        ({"path": "x"}, b"1", "Request must specify run_uuid."),
        ({"run_uuid": "r"}, b"1", "Request must specify path."),
        ({"run_uuid": "r", "path": "../x"}, b"1", "Invalid path"),
        ({"run_uuid": "r", "path": "x"}, b"", "Request must specify data."),
        ({"run_uuid": "r", "path": "x"}, b"1" * (10 * MB + 1), "Artifact size is too large. Max size is 10MB."),
    ],
)
def test_a_pages_upload_is_refused_in_mlflows_words(
    server: Server, query: dict[str, str], body: bytes, message: str
) -> None:
    answer = server.ask("POST", "/ajax-api/2.0/mlflow/upload-artifact", body, query=query)

    assert (answer.status, answer.json["message"]) == (400, message)


def test_files_elsewhere_are_never_opened_by_the_server(server: Server, tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("secret", encoding="utf-8")
    run = a_run(server, tmp_path.as_uri())

    for answer in (
        server.api("GET", "artifacts/list", {"run_id": run["run_id"]}),
        server.ask("GET", "/get-artifact", query={"run_id": run["run_id"], "path": "secret.txt"}),
    ):
        assert (answer.status, answer.json["error_code"]) == (501, "NOT_IMPLEMENTED")


def test_a_versions_file_is_found_by_where_it_is(server: Server) -> None:
    put(server, "models/7/MLmodel", b"flavors: {}")
    server.ok("POST", "registered-models/create", {"name": "m"})
    source = f"http://127.0.0.1:{server.port}{FILES}/models/7"
    for each in ("mlflow-artifacts:/models/7", source, "s3://bucket/7"):
        server.ok("POST", "model-versions/create", {"name": "m", "source": each})

    def found(version: str) -> tuple[int, bytes]:
        query = {"name": "m", "version": version, "path": "MLmodel"}
        answer = server.ask("GET", "/model-versions/get-artifact", query=query)
        return answer.status, answer.body[:11]

    assert found("1") == found("2") == (200, b"flavors: {}")
    assert found("3")[0] == 501


def test_an_upload_that_breaks_off_leaves_nothing(on_disk: Server, tmp_path: Path) -> None:
    put(on_disk, "a", b"kept")
    head = f"PUT {FILES}/a HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {8 * MB}\r\n\r\n".encode()
    with socket.create_connection(("127.0.0.1", on_disk.port)) as line:
        line.sendall(head + b"x" * (3 * MB))
    put(on_disk, "b", b"later")

    incoming = tmp_path / ".noria" / "blobs" / "incoming"
    while list(incoming.iterdir()):  # the server notices in its own time
        threading.Event().wait(0.01)
    assert on_disk.ask("GET", f"{FILES}/a").body == b"kept"
    assert listed(on_disk) == [("a", False, 4), ("b", False, 5)]
    objects = [p for p in (tmp_path / ".noria" / "blobs" / "objects").rglob("*") if p.is_file()]
    assert len(objects) == 2


def test_senders_that_take_their_time_keep_nobody_else_waiting(server: Server) -> None:
    head = f"PUT {FILES}/slow HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 2\r\n\r\n0".encode()
    with contextlib.ExitStack() as held:
        lines = [held.enter_context(socket.create_connection(("127.0.0.1", server.port))) for _ in range(100)]
        for line in lines:
            line.sendall(head)

        assert listed(server) == []
        assert server.ok("POST", "experiments/create", {"name": "meanwhile"})
        for line in lines:
            line.sendall(b"1")
        for line in lines:
            assert line.recv(100).startswith(b"HTTP/1.1 200")

    assert server.ask("GET", f"{FILES}/slow").body == b"01"


def test_large_files_pass_in_constant_memory(on_disk: Server) -> None:
    size, piece = 256 * MB, bytes(range(256)) * 4096
    memory = psutil.Process(on_disk.process.pid)
    put(on_disk, "warm", piece)
    before = memory.memory_info().rss
    highest = 0
    digest = hashlib.sha256()

    with socket.create_connection(("127.0.0.1", on_disk.port)) as line:
        line.sendall(f"PUT {FILES}/big HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {size}\r\n\r\n".encode())
        for _ in range(size // len(piece)):
            line.sendall(piece)
            highest = max(highest, memory.memory_info().rss)
        assert line.recv(1 << 16).startswith(b"HTTP/1.1 200")
        line.sendall(f"GET {FILES}/big HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode())
        received = b""
        while b"\r\n\r\n" not in received:
            received += line.recv(1 << 16)
        body = received.partition(b"\r\n\r\n")[2]
        total = len(body)
        digest.update(body)
        while part := line.recv(1 << 20):
            total += len(part)
            digest.update(part)
            highest = max(highest, memory.memory_info().rss)

    assert total == size
    assert digest.hexdigest() == hashlib.sha256(piece * (size // len(piece))).hexdigest()
    assert highest - before < 40 * MB


def begin(
    server: Server, parts: int, path: str = "1/r/artifacts", name: str = "/home/ada/big.bin"
) -> dict[str, object]:
    answer = server.ask("POST", f"/api/2.0/mlflow-artifacts/mpu/create/{path}", {"path": name, "num_parts": parts})
    assert answer.status == 200, answer.body
    found: dict[str, object] = answer.json
    return found


def finish(server: Server, upload: object, parts: list[dict[str, object]], verb: str = "complete") -> tuple[int, bytes]:
    given = {"path": "/home/ada/big.bin", "upload_id": upload, "parts": parts}
    answer = server.ask("POST", f"/api/2.0/mlflow-artifacts/mpu/{verb}/1/r/artifacts", given)
    return answer.status, answer.body


def put_part(server: Server, credential: dict[str, object], content: bytes) -> dict[str, object]:
    url = str(credential["url"])
    assert url.startswith(server.url), "the parts go to this server"
    answer = server.ask("PUT", url.removeprefix(server.url), content)
    assert answer.status == 200
    return {"part_number": credential["part_number"], "etag": answer.headers["etag"], "url": url}


def test_parts_are_joined_in_their_order_whichever_came_first(server: Server) -> None:
    begun = begin(server, 3)
    contents = {1: b"a" * MB, 2: b"b" * MB, 3: b"c"}
    credentials: list[dict[str, object]] = begun["credentials"]  # type: ignore[assignment]

    parts = [put_part(server, each, contents[int(str(each["part_number"]))]) for each in reversed(credentials)]
    put_part(server, credentials[1], contents[2])

    assert listed(server) == [], "nothing is seen of it before it is complete"
    assert finish(server, begun["upload_id"], parts) == (200, b"{}")
    assert server.ask("GET", f"{FILES}/1/r/artifacts/big.bin").body == b"a" * MB + b"b" * MB + b"c"
    assert finish(server, begun["upload_id"], parts)[0] == 404


def test_an_upload_with_missing_or_other_parts_is_not_completed(server: Server) -> None:
    begun = begin(server, 2)
    credentials: list[dict[str, object]] = begun["credentials"]  # type: ignore[assignment]
    first = put_part(server, credentials[0], b"1")

    assert finish(server, begun["upload_id"], [first])[0] == 400
    assert finish(server, begun["upload_id"], [first, {"part_number": 2, "etag": ""}])[0] == 400
    second = put_part(server, credentials[1], b"2")
    assert finish(server, begun["upload_id"], [first, {**second, "etag": first["etag"]}])[0] == 400
    assert server.ask("PUT", f"/api/2.0/mlflow-artifacts/mpu/part/{begun['upload_id']}/3", b"x").status == 400
    assert finish(server, begun["upload_id"], [first, second]) == (200, b"{}")


def test_an_upload_given_up_is_forgotten(server: Server) -> None:
    begun = begin(server, 1)
    credentials: list[dict[str, object]] = begun["credentials"]  # type: ignore[assignment]
    part = put_part(server, credentials[0], b"1")

    assert finish(server, begun["upload_id"], [], "abort") == (200, b"{}")
    assert finish(server, begun["upload_id"], [], "abort") == (200, b"{}")
    assert finish(server, begun["upload_id"], [part])[0] == 404
    assert listed(server) == []


@pytest.mark.parametrize("parts", [0, -1, 10_001])
def test_an_upload_has_a_sensible_number_of_parts(server: Server, parts: int) -> None:
    answer = server.ask("POST", "/api/2.0/mlflow-artifacts/mpu/create/x", {"path": "f", "num_parts": parts})

    assert (answer.status, answer.json["error_code"]) == (400, "INVALID_PARAMETER_VALUE")


@pytest.mark.parametrize("path", ["../x", "a/..", "..\\x", "a\x00b"])
def test_an_uploads_name_leads_nowhere_else(server: Server, path: str) -> None:
    answer = server.ask("POST", "/api/2.0/mlflow-artifacts/mpu/create/a", {"path": path, "num_parts": 1})
    folder = server.ask("POST", "/api/2.0/mlflow-artifacts/mpu/create/%2e%2e", {"path": "x", "num_parts": 1})

    assert answer.status in (200, 400)
    if answer.status == 200:
        given = {"path": path, "upload_id": answer.json["upload_id"], "parts": [{"part_number": 1}]}
        server.ask("PUT", f"/api/2.0/mlflow-artifacts/mpu/part/{answer.json['upload_id']}/1", b"x")
        assert server.ask("POST", "/api/2.0/mlflow-artifacts/mpu/complete/a", given).status == 200
        assert listed(server, "a") == [("x", False, 1)]
    assert folder.status == 400


def test_presigned_addresses_are_not_given(server: Server) -> None:
    for verb in ("upload", "download"):
        answer = server.api("POST", f"artifacts/presigned-{verb}-url", {"run_id": "r", "path": "x"})
        assert answer.json["message"].startswith(f"Presigned {verb} is not supported")
    assert server.ask("GET", "/api/2.0/mlflow-artifacts/presigned/x").status == 501
