"""The page of capabilities is complete, counted, and names tests that exist."""

import importlib.util
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def counting():
    spec = importlib.util.spec_from_file_location("count_capabilities", ROOT / "docs" / "count_capabilities.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def text(counting):
    return counting.PAGE.read_text(encoding="utf-8")


def test_every_capability_stands_there_once(counting, text):
    assert [int(row[1]) for row in counting.ROW.finditer(text)] == list(range(1, 159))


def test_every_state_is_one_of_three(counting, text):
    assert {row[3] for row in counting.ROW.finditer(text)} <= set(counting.STATES)


def test_what_is_there_says_by_what_and_names_a_test(counting, text):
    bare = [row[1] for row in counting.ROW.finditer(text) if row[3] != "not yet" and "–" in (row[4], row[5])]

    assert bare == []


def test_what_is_not_there_claims_no_test(counting, text):
    assert [row[1] for row in counting.ROW.finditer(text) if row[3] == "not yet" and row[5] != "–"] == []


def test_every_named_test_exists(text):
    named = set(re.findall(r"`(tests/[^`]+\.py)`", text))

    assert len(named) > 20
    assert sorted(path for path in named if not (ROOT / path).is_file()) == []


def test_the_count_on_the_page_is_the_count(counting, text):
    assert counting.written(text) == text
