"""Paths from outside: what stays inside is taken as it is, what could lead out is refused in every disguise."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from noria.errors import PathRefused
from noria.wire.paths import MAX_BYTES, MAX_PART_BYTES, checked_path

PLAIN = [
    "a",
    "model/MLmodel",
    "model/data/weights.bin",
    ".hidden",
    "..hidden",
    "a..b/c",
    "a...",
    "100%.csv",
    "100% done/50%.txt",
    "a%20b.txt",
    "%41.txt",
    "%zz",
    "loss%step%12%timestamp%1795276103221%tb1f.png",
    "loss%step%95%timestamp%1812%x.png",
    "%80",
    "übersicht/größe.png",
    "日本語/モデル.onnx",
    "e\u0301.txt",
    "Screenshot\u202f1.png",
    "family-👨\u200d👩\u200d👧.png",
    "½.txt",
    "report….pdf",
    "a#b?c=d&e.txt",
    "ab:c/x",
    "table (1).csv",
    "~lock",
    "x" * MAX_PART_BYTES,
    "/".join(["x" * 127] * 8),
]
NASTY = [
    # nothing, and what is no relative path
    "",
    "/",
    "/etc/passwd",
    "//server/share",
    "a//b",
    "a/",
    "/a",
    # up and around
    ".",
    "..",
    "../secret",
    "a/../../b",
    "a/..",
    "a/./b",
    "./a",
    "...",
    "....//....//etc",
    ".. /x",
    "a/. ./b",
    "a/ /b",
    # the other slash
    "..\\secret",
    "a\\b",
    "a\\..\\..\\b",
    "\\\\server\\share",
    # drives and schemes
    "C:/Windows",
    "c:secret",
    "C:\\Windows",
    "file:///etc/passwd",
    "file:etc/passwd",
    "s3:/bucket/key",
    "http://example.org/x",
    "mlflow-artifacts:/0/x",
    # percent-encoded, once or more often, in mixed spelling
    "%2e%2e/secret",
    "%2E%2E/secret",
    "a/%2e%2e/b",
    ".%2e/secret",
    "%2e./secret",
    "..%2fsecret",
    "..%2Fsecret",
    "a%2fb",
    "%2fetc%2fpasswd",
    "%252e%252e/secret",
    "%25252e%25252e/secret",
    "..%252fsecret",
    "%25%32%65%25%32%65/secret",
    "%%32%65%%32%65/secret",
    "a%5cb",
    "..%5c..%5csecret",
    "..%255csecret",
    "%u002e%u002e/secret",
    "a%u2215b",
    "%uff0e%uff0e/secret",
    # bytes that are no text: overlong dots and slashes, beginnings that nothing follows
    "%c0%ae%c0%ae/secret",
    "..%c0%afsecret",
    "%e0%80%ae%e0%80%ae/x",
    "%ff",
    "a%12/%2e%2e/b",
    "%80%c0%ae",
    "%e0%80%12",
    # characters that cannot be seen, raw and encoded
    "a\0b",
    "a.txt\0.png",
    "a%00b",
    "a%2500b",
    "a\nb",
    "a\r\nSet-Cookie: x",
    "a\tb",
    "a\x1bb",
    "a\x7fb",
    "a\x85b",
    "a\u2028b",
    "a%0ab",
    "a%0d%0ab",
    "a%1bb",
    "a\udcc0\udcaeb",
    "a\ud800b",
    "invoice\u202efdp.exe",
    # Unicode that becomes dots or slashes
    "\uff0e\uff0e/secret",
    "\u2024\u2024/secret",
    "\u2025/secret",
    "\uff0e/x",
    ".\u200b./secret",
    ".\u2060./secret",
    "a\uff0fb",
    "..\uff0fsecret",
    "a\u2215b",
    "a\u2044b",
    "a\uff3cb",
    "a\ufe68b",
    "a\u2100b",
    "%e2%80%a5/secret",
    "%ef%bc%8f",
    # too long
    "x" * (MAX_PART_BYTES + 1),
    "ü" * 128,
    "/".join(["x" * 200] * 6),
    "a/" * MAX_BYTES,
    "%2e" * 400,
]


@pytest.mark.parametrize("path", PLAIN)
def test_a_plain_path_is_taken_as_it_is(path: str) -> None:
    assert checked_path(path) == path


@pytest.mark.parametrize("path", NASTY, ids=ascii)
def test_a_path_that_leads_out_or_might_is_refused(path: str) -> None:
    with pytest.raises(PathRefused) as refusal:
        checked_path(path)

    assert refusal.value.cause
    assert refusal.value.problem.isprintable()


@given(st.text(alphabet=st.sampled_from("./\\%25eEfFcC0aAbx\0 ~:\uff0e\uff0f\u2025\u200b"), max_size=24))
def test_what_is_taken_has_no_way_out_however_often_it_is_decoded(path: str) -> None:
    from unicodedata import normalize
    from urllib.parse import unquote

    try:
        form = checked_path(path)
    except PathRefused:
        return

    for _ in range(12):
        for read in (form, normalize("NFKC", form)):
            assert not read.startswith("/")
            assert "\\" not in read
            assert "\0" not in read
            assert not {"", ".", ".."} & set(read.split("/"))
            assert read.count("/") == path.count("/")
        form = unquote(form)
