"""Every page over a seeded store: shows its facts, breaks no rule of accessibility, asks no other host, logs no error."""

from __future__ import annotations

import json
from collections.abc import Iterator
from urllib.request import urlopen

import pytest

from noria.domain.ids import derive
from tests.ui.browser import Page
from tests.ui.seed import CANARY, MODEL, NAME, PREDICTION
from tests.ui.serving import running

RUN = derive("run", "challenger-2")
PAGES = {
    "/": ["The loop has closed once", "v2 80%, v5 20%", "1 open alert", "recent_delay moved"],
    "/runs": ["challenger-5", "0.4921", "late-wren-9", "1 to 14 of 14", "flights v2"],
    f"/runs/{RUN}": [
        "challenger-2",
        "validation loss",
        "20,000 points in 500 stretches",
        "half_life_days",
        "flights v2",
        "report.html",
        "4f2a9c1d7e3b",
    ],
    f"/compare?run={RUN}&run={derive('run', 'challenger-5')}": ["log loss", "−0.0126", "values are shown"],
    "/models": ["delay", "6 of 6 passed", "v2"],
    f"/models/{MODEL}": ["the training data changed", "@champion", "won its canary", "Latest stable"],
    f"/models/{MODEL}/versions/2": [
        "6 of 6 gates passed",
        "beats-champion",
        "no-carrier-left-behind",
        "recent_delay",
        "won its canary",
    ],
    f"/models/{MODEL}/versions/1": ["5 of 5 gates passed", "nothing to compare with"],
    "/deployments": [NAME, "1 open alert", "generation 6"],
    f"/deployments/{NAME}": [
        "version 5 is being tried beside 2",
        "slow requests",
        "after 24 hours, 300 labels",
        "Blind monthly, last 2 months",
        "270,045",
        "version 4 was rolled back, 2 answers",
        "whole interval lies below 0",
        "until 18 Dec 2013, 06:00 UTC",
        "None is declared",
        "v2: 75, v4: 3",
        "open-inference",
    ],
    f"/deployments/{NAME}/deliveries/{CANARY}": [
        "step 1 of 2 (20%): 24 of 24 hours",
        "about 2,400 labels in 3.2 days",
        "44 looks",
        "41,200",
        "6 of 6 gates passed",
        "version 5 approved by policy",
    ],
    f"/deployments/{NAME}/quality": [
        "A point stands where its window begins",
        "estimated",
        "90.8 %",
        "Inside their interval",
        "the gate was changed twice",
    ],
    f"/deployments/{NAME}/shadow": ["version 4 in the shadow of version 2", "same answer", "what the shadow said"],
    f"/deployments/{NAME}/inputs": ["nothing is wrong with it", "recent_delay", "importance 44 %", "-49.28 to 68.85"],
    f"/deployments/{NAME}/watch": [
        "drifted",
        "recent_delay",
        "moved",
        "61,204",
        "Where the errors are",
        "4 h 0 min",
    ],
    "/alerts": [
        "recent_delay moved",
        "6.1 %",
        "of 2.2 % allowed",
        "stayed quiet with a shift of 6.1 %",
        "has heard everything",
    ],
    "/alerts?state=all": ["v1 keeps its word less well", "v2 keeps its word again"],
    "/why": [f"Newest in {NAME}", "probability 0."],
    f"/why/{PREDICTION}": ["computed again: the same, bit for bit", "generation 1", "challenger-1", "What led here"],
    "/ledger": ["46 to 1 of 46", "project flights began"],
}


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with running() as address:
        yield address


@pytest.mark.parametrize("place", PAGES)
def test_a_page_shows_its_facts_and_keeps_the_rules(page: Page, url: str, place: str) -> None:
    """In light, in dark, and in a window that is small."""
    page.goto(url + place)
    page.wait("main h1")
    for fact in PAGES[place]:
        page.wait(f"main >> text={fact} >> nth=0")

    assert page.axe() == []
    page.prefer("dark")
    page.wait("html[data-mantine-color-scheme=dark]")
    assert page.axe() == []
    page.resize(width=480, height=900)
    assert page.eval("document.documentElement.scrollWidth") <= 480
    assert page.axe() == []
    assert page.count("[role=alert]") == 0
    assert page.errors() == []
    assert page.hosts() == {url.removeprefix("http://")}


def test_the_best_run_is_starred_and_stands_first(page: Page, url: str) -> None:
    page.goto(f"{url}/runs")
    page.wait("tbody tr")

    first = page.texts("tbody tr")[0]

    assert "challenger-5" in first
    assert "best:" in first
    assert page.count("tbody .star") == 1


def test_ticked_runs_are_compared_by_what_differs(page: Page, url: str) -> None:
    page.goto(f"{url}/runs")
    page.click("[aria-label='Compare challenger-5']")
    page.click("[aria-label='Compare brisk-owl-1']")
    page.click("text=Compare 2 runs")
    page.wait("text=values are shown")

    shown = page.text("main table")

    assert "learning_rate" in shown
    assert "lightgbm" not in shown
    page.click("role=switch[name='Show what is equal, too']")
    page.wait("main table >> text=lightgbm")


def test_filters_stand_in_the_address(page: Page, url: str) -> None:
    page.goto(f"{url}/runs")
    page.fill("role=textbox[name='Search']", "candidate=logistic")
    page.wait("text=1 to 4 of 4")

    assert "search=candidate%3Dlogistic" in page.url
    page.goto(f"{url}/runs?status=failed")
    page.wait("text=1 to 1 of 1")
    assert "pale-fox-6" in page.text("tbody")


def test_the_chart_draws_and_its_table_holds_the_same_numbers(page: Page, url: str) -> None:
    page.goto(f"{url}/deployments/{NAME}")
    page.wait("canvas")
    drawn = "(() => {const c = document.querySelector('canvas'); const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;"
    assert page.eval(drawn + " return d.some((v) => v > 0)})()")

    with urlopen(f"{url}/api/v1/deployments/{NAME}") as answer:
        months = json.load(answer)["comparison"]["months"]
    page.click("main >> text=AUC >> nth=1")
    page.click("label:has-text('Table')")
    page.wait("role=region[name='AUC by month']")

    table = page.text("role=region[name='AUC by month']")
    for month in months:
        assert f"{month['arms']['noria']['auc']:.4f}" in table


def test_a_prediction_is_reached_by_its_id_from_the_keyboard(page: Page, url: str) -> None:
    page.goto(f"{url}/why")
    page.fill("role=textbox[name='Id of a prediction, a rollout or an event']", PREDICTION)
    page.press("Enter")

    page.wait("text=computed again: the same, bit for bit")
    assert page.url.endswith(PREDICTION)


def test_a_rollout_is_explained_by_its_id_like_on_the_terminal(page: Page, url: str) -> None:
    page.goto(f"{url}/why/{CANARY}")

    page.wait("main >> text=version 5 is being tried beside 2 (canary)")
    assert page.errors() == []


def test_an_unknown_prediction_is_told_with_its_remedy(page: Page, url: str) -> None:
    page.goto(f"{url}/why/r00.0")
    page.wait("[role=alert]")

    assert "r00.0" in page.text("[role=alert]")
    assert page.axe() == []


def test_the_ledger_is_verified_on_request(page: Page, url: str) -> None:
    page.goto(f"{url}/ledger")
    page.click("text=Verify every row")

    page.wait("text=46 rows, every one as it was written")


@pytest.fixture(scope="module")
def own() -> Iterator[str]:
    """A server whose store the tests change, with a version that waits for a person."""
    with running("waiting") as address:
        yield address


def test_an_alert_is_taken_care_of_snoozed_and_resolved_by_a_click(page: Page, own: str) -> None:
    page.goto(f"{own}/alerts")
    page.click("text=I take care")
    page.wait("text=in somebody's hands, warn")
    page.click("main >> text=Snooze")
    page.click("text=for a day")
    page.wait("text=snoozed, warn")
    assert page.axe() == []
    page.click("main >> role=button[name='Resolve']")
    page.wait("text=No alert stands.")

    with urlopen(f"{own}/api/v1/alerts?state=resolved") as answer:
        newest = json.load(answer)[0]
    assert (newest["changed_by"], newest["reason"]) == ("pages", "resolved on the page")
    assert page.errors() == []


def test_a_person_approves_stops_and_lets_go_on_each_asked_once(page: Page, own: str) -> None:
    page.goto(f"{own}/deployments/{NAME}")
    page.click("role=button[name='Approve']")
    page.fill("role=textbox[name='Why']", "looked at its slices")
    page.fill("role=textbox[name='Your name']", "anna")
    assert page.axe() == []
    page.press("Enter")
    page.wait("text=version 6 approved by anna >> nth=0")
    page.wait("text=waits for you", state="detached")

    page.click("role=button[name='Stop']")
    page.fill("role=textbox[name='Why']", "the feed is broken")
    page.press("Enter")
    page.wait("text=by anna, >> nth=0")
    page.wait("text=Version 2 answers alone. >> nth=0")
    assert page.axe() == []
    page.click("role=button[name='Let it go on']")
    page.fill("role=textbox[name='Why']", "it is mended")
    page.press("Enter")
    page.wait("main >> text=goes on with version 2 >> nth=0")

    with urlopen(f"{own}/api/v1/deployments/{NAME}/deliveries") as answer:
        told = json.load(answer)
    assert [(x["kind"], x["actor"], x["reason"]) for x in told[:2]] == [
        ("resumed", "anna", "it is mended"),
        ("stopped", "anna", "the feed is broken"),
    ]
    assert page.errors() == []


def test_a_guarded_server_asks_for_its_key_once(page: Page) -> None:
    with running("empty", NORIA_API_KEY="correct-horse-battery") as guarded:
        page.goto(f"{guarded}/runs")
        page.wait("text=Sign in >> nth=0")
        assert page.axe() == []

        page.fill("input[type=password]", "a-wrong-guess-of-the-key")
        page.press("Enter")
        page.wait("[role=alert] >> text=this is not the server's key")
        page.fill("input[type=password]", "correct-horse-battery")
        page.press("Enter")

        page.wait("text=noria run pipeline.py")
