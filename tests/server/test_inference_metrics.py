"""What a worker counts: every request once, by its outcome, also one that ended as nobody expected; labels are never made by callers."""

import json
from collections.abc import Iterator

import pytest

from noria.domain.model import Field, Signature
from tests.peers.prometheus import lint
from tests.server.inference_rig import ONE, Rig

BROKEN = Signature(inputs=(Field(name="z", datatype="FP64"),), outputs=(Field(name="y", datatype="FP64"),))
"""The rig's model looks for columns that are not there, and raises KeyError."""


@pytest.fixture
def rig() -> Iterator[Rig]:
    rig = Rig({"fine": ONE, "broken": BROKEN})
    yield rig
    rig.close()


def ask(rig: Rig, name: str, column: str = "x") -> int:
    tensor = {"name": column, "datatype": "FP64", "shape": [2], "data": [1.0, 2.0]}
    return rig.ask("POST", f"/v2/models/{name}/infer", json.dumps({"inputs": [tensor]}).encode())[0]


def lines(rig: Rig, begin: str) -> list[str]:
    text = rig.ask("GET", "/metrics")[2].decode()
    assert lint(text) == ""
    return [line for line in text.splitlines() if line.startswith(begin)]


def test_every_request_is_counted_once_by_its_outcome(rig: Rig) -> None:
    statuses = [ask(rig, "fine"), ask(rig, "fine"), ask(rig, "fine", "y"), ask(rig, "broken", "z"), ask(rig, "nope")]

    assert statuses == [200, 200, 400, 500, 404]
    assert sorted(lines(rig, "noria_requests_total")) == [
        'noria_requests_total{deployment="",version="",variant="",protocol="v2",status="404"} 1',
        'noria_requests_total{deployment="broken",version="",variant="",protocol="v2",status="500"} 1',
        'noria_requests_total{deployment="fine",version="",variant="",protocol="v2",status="400"} 1',
        'noria_requests_total{deployment="fine",version="1",variant="champion",protocol="v2",status="200"} 2',
    ]


def test_bytes_and_rows_are_those_that_came_and_left(rig: Rig) -> None:
    body = b'{"inputs":[{"name":"x","datatype":"FP64","shape":[3],"data":[1,2,3]}]}'
    _, _, content = rig.ask("POST", "/v2/models/fine/infer", body)

    labels = 'deployment="fine",protocol="v2"'
    assert lines(rig, "noria_request_bytes_total") == [f"noria_request_bytes_total{{{labels}}} {len(body)}"]
    assert lines(rig, "noria_response_bytes_total") == [f"noria_response_bytes_total{{{labels}}} {len(content)}"]
    assert lines(rig, "noria_rows_total")[0].endswith(" 3")


def test_names_that_callers_make_up_become_no_labels(rig: Rig) -> None:
    before = len(rig.ask("GET", "/metrics")[2].splitlines())
    for number in range(200):
        ask(rig, f"made-up-{number}")
        rig.ask("GET", f"/v2/models/made-up-{number}/ready")

    assert len(rig.ask("GET", "/metrics")[2].splitlines()) < before + 5
