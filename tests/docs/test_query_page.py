"""Every example on the page of the search grammar is read as it stands there, and the fault it shows is the fault that is given."""

import re
from pathlib import Path

import pytest

from noria.errors import QueryInvalid
from noria.wire.query import parse_filter, parse_order, text_of
from noria.wire.query_fields import Kind

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "reference" / "query.md").read_text(encoding="utf-8")
BLOCKS = [
    (kind, line)
    for kind, body in re.findall(r"^```(query|order|trained)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    for line in body.splitlines()
]


@pytest.mark.parametrize(("kind", "line"), BLOCKS, ids=[line for _, line in BLOCKS])
def test_every_example_is_read(kind: str, line: str) -> None:
    if kind == "order":
        assert parse_order(line)
        return
    of: Kind = "trained" if kind == "trained" else "runs"
    condition = parse_filter(line, kind=of)
    assert condition is not None
    assert text_of(parse_filter(text_of(condition), kind=of)) == text_of(condition)


def test_the_fault_is_said_as_the_page_shows_it() -> None:
    found = re.search(r'--where "(.*)"\n(QueryInvalid.*?)^```', PAGE, re.MULTILINE | re.DOTALL)
    assert found is not None

    with pytest.raises(QueryInvalid) as refused:
        parse_filter(found[1])

    said = f"{refused.value.headline()}\n  cause:  {refused.value.cause}\n"
    assert said == found[2]


def test_there_are_examples() -> None:
    assert len(BLOCKS) > 20
