"""Texts and embeddings out of a real log: which inputs are looked at, over the application and over HTTP."""

from collections.abc import Iterator

import numpy as np
import pytest
from litestar.testing import TestClient

from noria.app.analysis import analyse_errors
from noria.app.texts import analyse_texts
from noria.app.workspace import Workspace
from noria.errors import NotFound
from noria.server.control.app import create_app
from noria.testing.clock import FakeClock
from tests.app.served import BEGIN, NAME, serve

ROWS, DAYS = 480, 12


@pytest.fixture(scope="module")
def workspace() -> Iterator[Workspace]:
    rng = np.random.default_rng(0)
    days = (np.arange(ROWS) * DAYS // ROWS).tolist()
    words = [" ".join(rng.choice([f"w{i}" for i in range(40)], 6)) for _ in range(ROWS)]
    notes: list[object] = [
        f"refund please {w}" if d >= 9 and i % 2 else w for i, (w, d) in enumerate(zip(words, days, strict=True))
    ]
    vectors: list[object] = rng.normal(size=(ROWS, 4)).tolist()
    clock = FakeClock(BEGIN)
    with Workspace.ephemeral("shop", clock=clock) as workspace:
        columns: dict[str, list[object]] = {"note": notes, "vector": vectors, "shop": ["a", "b"] * (ROWS // 2)}
        said: dict[str, list[object]] = {"probability": rng.random(ROWS).tolist()}
        serve(workspace, columns, said, labels=[None] * ROWS, days=days)
        clock.advance(days=DAYS)
        yield workspace


def test_prose_and_embeddings_are_compared_and_categories_are_not(workspace: Workspace) -> None:
    found = analyse_texts(workspace, NAME, since=workspace.clock.now().replace(day=10))

    assert [(c.column, c.kind, c.alarm) for c in found.columns] == [
        ("note", "text", True),
        ("vector", "embedding", False),
    ]
    assert any("refund" in word for word in found.columns[0].now)


def test_one_input_can_be_asked_for_over_http(workspace: Workspace) -> None:
    with TestClient(create_app(workspace), base_url="http://127.0.0.1") as client:
        path = f"/api/v1/deployments/{NAME}/texts"
        read = client.get(path, params={"column": "vector", "since": "2026-03-10T00:00:00Z"}).json()
        missing = client.get(path, params={"column": "nothing"})

    assert [c["column"] for c in read["columns"]] == ["vector"]
    assert read["columns"][0]["rows_now"] == 120
    assert missing.status_code == 404


def test_an_unknown_input_is_refused_with_those_there_are(workspace: Workspace) -> None:
    with pytest.raises(NotFound, match="nose"):
        analyse_texts(workspace, NAME, column="nose")


def test_probabilities_of_classes_are_read_as_one_output() -> None:
    rng = np.random.default_rng(1)
    chances = rng.dirichlet([1, 1, 1], 200)
    labels: list[float | None] = [float(rng.choice(3, p=p)) for p in chances]
    with Workspace.ephemeral("classes", clock=FakeClock(BEGIN)) as workspace:
        serve(
            workspace,
            {"x": rng.normal(size=200).tolist()},
            {"probabilities": chances.tolist()},
            labels=labels,
            days=(np.arange(200) // 10).tolist(),
        )
        workspace.clock.advance(days=30)  # type: ignore[attr-defined]
        found = analyse_errors(workspace, NAME)

    assert found.report.task == "multiclass"
    assert found.report.confusion is not None
    assert len(found.report.confusion.matrix) == 3
