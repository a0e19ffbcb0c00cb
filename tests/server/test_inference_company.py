"""A native pipeline behind HTTP: many clients at once are answered in company, each with the bits that it gets alone."""

import json
import threading
from http.client import HTTPConnection

import numpy as np
import pytest

from noria.adapters.flavors.sklearn import FLAVOR
from noria.domain.ids import RunId
from noria.packaging.bundle import build
from noria.packaging.environment import capture
from noria.serving import desired
from tests.serving.worker_factory import (
    WHEN,
    a_worker,
    arrays,
    boosting,
    deployment,
    flights,
    logged,
    open_blobs,
    request_of,
    signature_of,
    variant,
)

pytestmark = pytest.mark.filterwarnings("ignore")
TABLE = flights(64, seed=5)


@pytest.fixture(scope="module")
def native_home(tmp_path_factory):
    home = tmp_path_factory.mktemp("native") / "home"
    blobs = open_blobs(home)
    built = build(
        boosting(),
        name="late",
        run_id=RunId("native"),
        signature=signature_of(flights()),
        sample=arrays(flights()),
        blobs=blobs,
        flavors={"sklearn": FLAVOR},
        environment=capture(),
        created_at=WHEN,
    )
    assert built.bundle.flavor == "sklearn"
    desired.publish(blobs, deployment(variant(built.digest)))
    return home


def test_many_clients_get_the_bits_that_each_gets_alone_and_one_bad_request_hurts_nobody(native_home):
    bodies = [json.dumps(request_of(TABLE[n : n + 1 + n % 3])).encode() for n in range(40)]
    bodies[7] = json.dumps(request_of(TABLE[:1], distance={"data": [None]})).encode()
    answers: dict[int, tuple[int, dict]] = {}

    with a_worker(native_home) as worker:
        company = worker.json("GET", "/noria/status")[1]["deployments"]["late"]["variants"][0]["company"]

        def ask(numbers):
            connection = HTTPConnection(worker.host, worker.port, timeout=30)
            for number in numbers:
                connection.request("POST", "/v2/models/late/infer", body=bodies[number])
                response = connection.getresponse()
                answers[number] = response.status, json.loads(response.read())
            connection.close()

        threads = [threading.Thread(target=ask, args=(range(start, 40, 8),)) for start in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        refused = answers[7]
        together = {n: answer for n, answer in answers.items() if n != 7}
        answers = {}
        ask([n for n in range(40) if n != 7])
        assert worker.flush()

    assert company["in_company"], company
    assert refused[0] == 400
    assert all(status == 200 for status, _ in together.values())
    for number, (_, answer) in together.items():
        assert answer["outputs"] == answers[number][1]["outputs"]
    assert len(logged(native_home)["request_id"].unique()) == 78
    expected = np.asarray(boosting().predict_proba(TABLE[:1])[:, 1], np.float32)
    assert np.float32(together[0][1]["outputs"][0]["data"][0]) == pytest.approx(expected[0], abs=1e-6)
